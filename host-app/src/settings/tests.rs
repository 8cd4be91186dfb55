use serde_json::json;

use super::*;

struct Setting {
    folder: tempfile::TempDir,
    common: Common,
    environment: Environment,
}

impl Setting {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.toml");
        std::fs::write(&path, file).unwrap();
        let environment = Environment {
            plugin_path: None,
            default_folder: Some("/default".into()),
            default_file: Some(path),
            current_folder: "/nowhere".into(),
            watch: WatchEnvironment::default(),
        };
        Self { folder, common: Common::default(), environment }
    }

    fn read(self) -> Result<(Settings, tempfile::TempDir), Failure> {
        Ok((Settings::with(&self.common, self.environment)?, self.folder))
    }
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "plugins = ['/file', 'near']";
    let mut setting = Setting::new(file);
    setting.common.plugins = paths(&["/flag"]);
    setting.environment.plugin_path = Some("/environment".into());
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!((settings.folders, settings.folders_from), (paths(&["/flag"]), Source::Flag));

    let mut setting = Setting::new(file);
    setting.environment.plugin_path = Some("/one::/two".into());
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!(settings.folders, paths(&["/one", "/two"]));

    let (settings, folder) = Setting::new(file).read().unwrap();
    assert_eq!(settings.folders, [PathBuf::from("/file"), folder.path().join("near")]);

    let mut setting = Setting::new("");
    setting.environment.plugin_path = Some("".into());
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!(settings.folders, paths(&["/default"]));
    assert_eq!(settings.folders_from, Source::Default);
}

#[test]
fn the_flag_beats_the_file_for_the_socket() {
    let (settings, folder) = Setting::new("socket = 'here.sock'").read().unwrap();
    assert_eq!(settings.socket.path(), folder.path().join("here.sock"));
    let mut setting = Setting::new("socket = 'here.sock'");
    setting.common.socket = Some("/there.sock".into());
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!(settings.socket.path(), Path::new("/there.sock"));
}

#[test]
fn the_flag_beats_the_file_for_the_name() {
    let name = |setting: Setting| setting.read().unwrap().0.name;
    assert_eq!(name(Setting::new("")), "host-app");
    assert_eq!(name(Setting::new("name = 'staging'")), "staging");
    let mut setting = Setting::new("name = 'staging'");
    setting.common.name = Some("flag".into());
    assert_eq!(name(setting), "flag");
}

#[test]
fn it_is_the_same_in_three_syntaxes() {
    let toml = "plugins = ['near']\n[precedence]\nk = ['a']\n[config.kv]\nlimit = 3\n";
    let yaml = "plugins: [near]\nprecedence: {k: [a]}\nconfig:\n  kv:\n    limit: 3\n";
    let json =
        r#"{"plugins": ["near"], "precedence": {"k": ["a"]}, "config": {"kv": {"limit": 3}}}"#;
    for (name, text) in [("host.toml", toml), ("host.yaml", yaml), ("host.json", json)] {
        let mut setting = Setting::new("");
        let path = setting.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        setting.environment.default_file = Some(path);
        let (settings, folder) = setting.read().unwrap();
        assert_eq!(settings.folders, [folder.path().join("near")], "{name}");
        assert_eq!(settings.config["kv"], json!({ "limit": 3 }), "{name}");
        assert_eq!(settings.policy().precedence["k"].len(), 1, "{name}");
    }
}

#[test]
fn a_stack_lies_over_the_file_relative_to_it_and_the_flag_beats_it() {
    let stacks = |setting: &Setting| {
        for (name, size) in [("a.toml", 1), ("b.toml", 2)] {
            let text = format!("plugins = [{{ id = 'kv', config = {{ size = {size} }} }}]");
            std::fs::write(setting.folder.path().join(name), text).unwrap();
        }
    };
    let file = "stack = 'a.toml'\ndisabled = ['kv']\n[config.kv]\nsize = 0\nlimit = 3";
    let setting = Setting::new(file);
    stacks(&setting);
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!(settings.config["kv"], json!({ "size": 1, "limit": 3 }));
    let policy = settings.policy();
    assert_eq!(policy.members.unwrap().stack, "a");
    assert!(policy.disabled.contains("kv"));

    let mut setting = Setting::new(file);
    stacks(&setting);
    setting.common.stack = Some(setting.folder.path().join("b.toml"));
    let (settings, _folder) = setting.read().unwrap();
    assert_eq!(settings.config["kv"]["size"], 2);

    let failure = Setting::new("stack = 'gone.toml'").read().unwrap_err();
    assert_eq!((failure.code.as_str(), failure.exit), ("PB1701", Exit::NotFound));
}

#[test]
fn precedence_has_another_name() {
    let (settings, _folder) = Setting::new("[plugin_precedence]\nk = ['a']").read().unwrap();
    assert_eq!(settings.policy().precedence["k"].len(), 1);
    let both = "[plugin_precedence]\nk = ['a']\n[precedence]\nk = ['b']";
    let failure = Setting::new(both).read().unwrap_err();
    assert!(failure.message.contains("there twice, perhaps by two names"), "{}", failure.message);
}

#[test]
fn a_plugins_configuration_becomes_json() {
    let text = "[config.kv]\nlimit = 3\nsince = 2026-01-02\nratio = 0.5\nlist = [true, 'a']\n";
    let (settings, _folder) = Setting::new(text).read().unwrap();
    let config = settings.config.get("kv").unwrap();
    let expected = json!({ "limit": 3, "since": "2026-01-02", "ratio": 0.5, "list": [true, "a"] });
    assert_eq!(*config, expected);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let failure = |text: &str| Setting::new(text).read().unwrap_err();
    for (text, words) in [
        ("plugins = []\nplugin = ['x']", &["line 2", "there is no key `plugin`", "`plugins`"][..]),
        ("disabled = ['Bad Id']", &["line 1", "no plugin id"]),
        ("[config.'../x']", &["line 1", "names no plugin"]),
        ("probe = 'sometimes'", &["line 1", "`if-possible`"]),
        ("drain_limit_seconds = -1", &["line 1", "seconds"]),
        ("drain_limit_seconds = nan", &["line 1", "seconds"]),
        ("[watch]\npoll = 3", &["line 2", "there is no key `poll`"]),
        ("[watch]\npoll_seconds = 0", &["line 2", "no interval"]),
        ("[reload]\nmax_generations = 0", &["line 2", "1 at least"]),
        ("[reload]\npause_seconds = -1", &["line 2", "seconds"]),
        ("[reload]\nmax_generation = 1", &["line 2", "`max_generations`"]),
        ("[config.a]\nx = inf", &["line 2", "config.a.x", "inf"]),
        ("[kinds]\nk = 'lots'", &["line 2", "a rule is \"single\""]),
        ("profile = 'ml2'", &["line 1", "machine-learning"]),
    ] {
        let failure = failure(text);
        assert_eq!(failure.code, "PB1003");
        for word in words {
            assert!(failure.message.contains(word), "{word}: {}", failure.message);
        }
    }
}

/// Only a plugin's schema knows that its `dsn` is a secret, and the file is read before.
#[test]
fn what_is_wrong_shows_nothing_of_what_plugins_are_configured_with() {
    for (name, text, words) in [
        ("json", r#"{"config":{"dsn":{"dsn":"hunter2"}},"foo":1}"#, "no key `foo`"),
        ("json", r#"{"config":{"dsn":{"dsn":"hunter2"}},"probe":"so"}"#, "`if-possible`"),
        ("json", r#"{"config":{"dsn":{"dsn":"hunter2"}},}"#, "double quotes"),
        ("json", r#"{"dsn":{"dsn":"hunter2"},"wach":{}}"#, "no key `dsn`"),
        ("toml", "[config]\ndsn = 'hunter2'", "expected a table, found a text"),
        ("toml", "dsn = 'hunter2'", "no key `dsn`"),
        ("yaml", "{config: {dsn: {dsn: hunter2}}, foo: 1}", "no key `foo`"),
        ("yaml", "config:\n  dsn: {}\n  pool: hunter2", "expected a table"),
    ] {
        let mut setting = Setting::new("");
        let path = setting.folder.path().join(format!("host.{name}"));
        std::fs::write(&path, text).unwrap();
        setting.environment.default_file = Some(path);
        let told = match setting.read() {
            Ok((settings, _folder)) => settings.check_tables(&[]).unwrap_err(),
            Err(failure) => failure,
        };
        assert_eq!(told.code, "PB1003");
        assert!(told.message.contains(words), "{text}: {}", told.message);
        assert!(!told.message.contains("hunter2"), "{text}: {}", told.message);
    }
}

#[test]
fn tables_that_the_host_does_not_know_are_kept_for_plugins() {
    let text = "name = 'x'\n[dspy]\nmodel = 'm'\n[config.kv]\nlimit = 3\n";
    let (settings, _folder) = Setting::new(text).read().unwrap();
    assert_eq!(settings.name, "x");
    assert_eq!(settings.tables()["dspy"], json!({ "model": "m" }));
    assert_eq!(settings.tables().len(), 1);
    assert_eq!(settings.config["kv"], json!({ "limit": 3 }));
    // Nobody registers it: the place, and what may be meant.
    let failure = settings.check_tables(&[]).unwrap_err();
    assert_eq!(failure.code, "PB1003");
    assert!(failure.message.contains("line 2"), "{}", failure.message);
    let (settings, _folder) = Setting::new("[wach]\npoll_seconds = 3").read().unwrap();
    let failure = settings.check_tables(&[]).unwrap_err();
    assert!(failure.message.contains("did you mean `watch`?"), "{}", failure.message);
}

#[test]
fn the_hosts_own_keys_are_those_that_it_reads() {
    for key in ["plugins", "config", "watch", "plugin_precedence", "only_known_kinds"] {
        assert!(own_keys().contains(&key), "{key}");
    }
    assert!(!own_keys().contains(&"dspy"));
}

#[test]
fn a_missing_file_is_an_error_only_when_it_was_named() {
    let mut setting = Setting::new("");
    setting.environment.default_file = Some("/nowhere/host.toml".into());
    assert!(setting.read().unwrap().0.file.is_none());
    let mut setting = Setting::new("");
    setting.common.config = Some("/nowhere/host.toml".into());
    let failure = setting.read().unwrap_err();
    assert_eq!((failure.code.as_str(), failure.exit), ("PB1002", Exit::NotFound));
}

#[test]
fn a_file_in_the_current_folder_is_not_read_and_said_so_where_none_is() {
    let beside = |default: &str, named: Option<&str>, plugins: &[&str]| {
        let mut setting = Setting::new("name = 'x'");
        setting.common.plugins = paths(plugins);
        setting.environment.current_folder = setting.folder.path().to_owned();
        setting.environment.default_file = Some(setting.folder.path().join(default));
        setting.common.config = named.map(|name| setting.folder.path().join(name));
        let (settings, folder) = setting.read().unwrap();
        let shown = folder.path().join("host.toml").display().to_string();
        (settings.name.clone(), settings.notice_of_unread().map(|it| it.replace(&shown, "F")))
    };
    let notice = "PB1041: F is not read; help: if it is meant, name it with --config";
    assert_eq!(beside("none.toml", None, &[]), ("host-app".into(), Some(notice.into())));
    assert_eq!(beside("host.toml", None, &[]), ("x".into(), None));
    assert_eq!(beside("none.toml", Some("host.toml"), &[]), ("x".into(), None));
    assert_eq!(beside("none.toml", None, &["/p"]), ("host-app".into(), None));
}

#[test]
fn what_only_a_start_takes_is_told_apart_from_what_plugins_are_given() {
    let stack = |file: &str, folder: &Path| std::fs::write(folder.join("s.toml"), file).unwrap();
    let (begun, folder) = {
        let setting = Setting::new("stack = 's.toml'\nenabled = ['a']\n[config.a]\nsize = 1\n");
        stack("name = 's'\n[plugins.a]\nconfig = { size = 1 }\n", setting.folder.path());
        setting.read().unwrap()
    };
    let differs = |file: &str| {
        let setting = Setting::new(file);
        std::fs::copy(folder.path().join("s.toml"), setting.folder.path().join("s.toml")).unwrap();
        let (now, _folder) = setting.read().unwrap();
        AtStart::of(&begun).differs_in(&AtStart::of(&now))
    };
    let same = "enabled = ['a']\nstack = 's.toml'\n[config.a]\nsize = 2\n[pool]\nsize = 3\n";
    assert!(differs(same).is_empty());
    let other = "enabled = ['b']\nstack = 's.toml'\nprofile = 'machine-learning'\n";
    assert_eq!(differs(other), ["`enabled`", "`profile`"]);
    stack("name = 's'\n[plugins.a]\nconfig = { size = 2 }\n", folder.path());
    assert!(differs(same).is_empty());
    stack("name = 's'\n[plugins.a]\nversion = '2'\n", folder.path());
    assert_eq!(differs(same), ["what the stack names"]);
}
