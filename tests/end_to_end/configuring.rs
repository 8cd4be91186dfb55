//! Plugins' configurations: checked before any of their code runs, and changed while they
//! serve.

use std::fs;

use plugbay_loader::config::schema::Declared;
use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{Error, Explain, Host, LoadPluginError, Outcome, StartReport, Versions};
use plugbay_tests::{Folder, broken_piece, build, keep_what_is_logged, logged, piece, piece_of};

const SCHEMA: &str = "[config.schema]
type = \"object\"
additionalProperties = false
required = [\"size\"]
properties.size = { type = \"integer\", maximum = 10 }
properties.mode = { enum = [\"fast\", \"safe\"], default = \"safe\" }
properties.password = { type = \"string\", secret = true }
";

fn with(folder: &Folder, config: Value) -> (Host, StartReport) {
    let host = folder.host().config("a", config).secrets_from(folder.beside("")).build().unwrap();
    let report = host.start().unwrap();
    (host, report)
}

fn config(host: &Host) -> Value {
    host.call("a", "config", json!(null)).unwrap()
}

#[test]
fn a_wrong_configuration_refuses_the_plugin_before_it_is_loaded() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", SCHEMA));
    folder.write("b.so", piece("b", "1.0.0", "[dependencies]\na = \"1\""));
    let (host, report) = with(&folder, json!({ "size": 11, "mod": "fast" }));
    let refusals: Vec<_> = report.refused.iter().map(|it| (it.error.code(), it.reason())).collect();
    assert_eq!(refusals[0].0, "PB1501");
    let reason = &refusals[0].1;
    assert!(reason.contains("`size`") && reason.contains("10 or less"), "{reason}");
    assert!(reason.contains("`mod`"), "{reason}");
    assert_eq!(refusals[1].0, "PB0307");
    // Not even a child process has loaded it.
    assert!(!folder.beside("cache/verdicts").exists() || verdicts(&folder) == 0);
    let (_, report) = with(&folder, json!({ "size": 10 }));
    assert!(report.refused.is_empty());
    drop(host);
}

fn verdicts(folder: &Folder) -> usize {
    let mut open = vec![folder.beside("cache/verdicts")];
    let mut files = 0;
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    files
}

#[test]
fn defaults_are_filled_in_and_secrets_are_found_and_never_shown() {
    keep_what_is_logged();
    let folder = Folder::new();
    fs::write(folder.beside("password"), "correct horse\n").unwrap();
    folder.write("a.so", piece("a", "1.0.0", SCHEMA));
    let given = json!({ "size": 1, "password": { "file": "password" } });
    let (host, report) = with(&folder, given.clone());
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    let expected = json!({ "size": 1, "mode": "safe", "password": "correct horse" });
    assert_eq!(config(&host), expected);
    let error = host.call("a", "blab", json!(null)).unwrap_err();
    assert!(error.to_string().contains("logged in with \"***\""), "{error}");
    drop(host);
    let logged = logged();
    assert!(logged.contains("logs in with ***"), "{logged}");
    assert!(!logged.contains("correct horse"), "{logged}");

    folder.write("a.so", broken_piece("a", "1.0.0", SCHEMA));
    let (_, report) = with(&folder, given);
    assert_eq!(
        report.refused[0].reason(),
        "activation failed: this piece does not come up with ***"
    );
    let (_, report) = with(&folder, json!({ "size": 1, "password": "correct horse" }));
    assert_eq!(report.refused[0].error.code(), "PB1502");
    assert!(!report.refused[0].to_string().contains("correct horse"));
}

#[test]
fn a_schema_extends_those_of_the_host_and_of_other_plugins() {
    let folder = Folder::new();
    folder.write("base.so", piece(
        "base",
        "1.0.0",
        "[schemas.pool]\nschema = { properties = { size = { type = \"integer\", maximum = 20, default = 3 } } }",
    ));
    let extending = "[config]\nextends = [\"pool\", \"host.log\"]\nschema = { properties = { size = { maximum = 5 } } }";
    folder.write("a.so", piece("a", "1.0.0", extending));
    let start = |config: Value| {
        let log =
            json!({ "properties": { "level": { "enum": ["info", "debug"], "default": "info" } } });
        let host = folder
            .host()
            .base_schema("host.log".parse().unwrap(), Declared::new(log))
            .config("a", config)
            .build()
            .unwrap();
        let report = host.start().unwrap();
        (host, report)
    };
    let (host, _) = start(json!({}));
    assert_eq!(config(&host), json!({ "size": 3, "level": "info" }));
    drop(host);
    let (_, report) = start(json!({ "size": 6 }));
    assert_eq!(report.refused[0].error.code(), "PB1501");
    // Looser than what it extends: its author is told, whatever is configured.
    folder.write("a.so", piece("a", "1.0.1", &extending.replace("maximum = 5", "maximum = 50")));
    let (_, report) = start(json!({}));
    assert_eq!(report.refused[0].error.code(), "PB1514");
    let Error::Config(error) = &report.refused[0].error else { panic!("{:?}", report.refused) };
    assert!(error.schema().is_some());
    fs::remove_file(folder.plugins().join("base.so")).unwrap();
    let (_, report) = start(json!({}));
    assert_eq!(report.refused[0].error.code(), "PB1515");
}

#[test]
fn a_changed_configuration_takes_over_with_the_state_and_a_wrong_one_changes_nothing() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", SCHEMA));
    let (host, _) = with(&folder, json!({ "size": 1 }));
    host.call("a", "count", json!(null)).unwrap();
    let outcome = host.configure("a", json!({ "size": 2 })).unwrap();
    let Outcome::Reloaded(reloaded) = outcome else { panic!("{outcome:?}") };
    assert_eq!((reloaded.from_generation, reloaded.to_generation), (1, 2));
    assert_eq!(config(&host), json!({ "size": 2, "mode": "safe" }));
    assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(2));

    // The default by name makes no difference.
    let same = host.configure("a", json!({ "size": 2, "mode": "safe" })).unwrap();
    assert!(matches!(same, Outcome::Unchanged), "{same:?}");
    let error = host.configure("a", json!({ "size": "large" })).unwrap_err();
    assert_eq!(error.code(), "PB1501");
    assert!(matches!(error, LoadPluginError::Refused(_)));
    assert_eq!(config(&host), json!({ "size": 2, "mode": "safe" }));

    // A new file goes on with the one that holds.
    folder.write("a.so", piece("a", "1.1.0", SCHEMA));
    host.reload("a").unwrap();
    assert_eq!(config(&host), json!({ "size": 2, "mode": "safe" }));

    // Back to the generation before, which had the same bytes, is back to what it had.
    host.configure("a", json!({ "size": 3 })).unwrap();
    assert!(matches!(host.configure("a", json!({ "size": 3 })).unwrap(), Outcome::Unchanged));
    host.rollback("a").unwrap();
    assert_eq!(config(&host), json!({ "size": 2, "mode": "safe" }));
    assert!(host.verdicts().quarantined().unwrap().is_empty());
}

fn of(host: &Host, plugin: &str) -> Value {
    host.call(plugin, "config", json!(null)).unwrap()["of"].clone()
}

#[test]
fn going_back_from_a_range_is_back_to_what_was_said_of_the_plugin() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let (host, _) = with(&folder, json!({ "of": "all" }));
    host.configure("a@^1", json!({ "of": "range" })).unwrap();
    assert_eq!(of(&host, "a"), "range");
    host.rollback("a").unwrap();
    assert_eq!(of(&host, "a"), "all");
    // The range is as it was: nothing stands there.
    assert!(matches!(host.unconfigure("a@^1").unwrap(), Outcome::Unchanged));
    host.configure("a", json!({ "of": "new" })).unwrap();
    assert_eq!(of(&host, "a"), "new");
    host.configure("a@^1", json!({ "of": "range" })).unwrap();
    assert_eq!(of(&host, "a"), "range");
    // And back from one that was taken back.
    host.unconfigure("a@^1").unwrap();
    assert_eq!(of(&host, "a"), "new");
    host.rollback("a").unwrap();
    assert_eq!(of(&host, "a"), "range");
    host.unconfigure("a@^1").unwrap();
    assert_eq!(of(&host, "a"), "new");
}

#[test]
fn going_back_undoes_what_was_said_by_other_names_since() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let (host, _) = with(&folder, json!({ "of": "all" }));
    host.configure("a@^1", json!({ "of": "line" })).unwrap();
    // Makes no difference yet.
    host.configure("a@=1.0.0", json!({ "of": "line" })).unwrap();
    host.unconfigure("a@^1").unwrap();
    host.configure("a@=1.0.0", json!({ "of": "version" })).unwrap();
    host.rollback("a").unwrap();
    assert_eq!(of(&host, "a"), "line");
    // It has that by the name that it was said by last.
    assert!(matches!(host.configure("a", json!({ "of": "new" })).unwrap(), Outcome::Unchanged));
    host.unconfigure("a@=1.0.0").unwrap();
    assert_eq!(of(&host, "a"), "new");
}

fn lines(folder: &Folder, config: Option<Value>) -> Host {
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", ""));
    let host = folder.host().policy(|policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    });
    let host = config.into_iter().fold(host, |host, config| host.config("sql", config));
    let host = host.build().unwrap();
    host.start().unwrap();
    host
}

#[test]
fn one_line_goes_back_from_what_was_said_of_several_until_that_is_said_anew() {
    let folder = Folder::new();
    let host = lines(&folder, Some(json!({ "of": "all" })));
    let both = || (of(&host, "sql@1"), of(&host, "sql@2"));
    host.configure("sql@>=1", json!({ "of": "range" })).unwrap();
    assert_eq!(both(), (json!("range"), json!("range")));
    host.rollback("sql@1").unwrap();
    assert_eq!(both(), (json!("all"), json!("range")));
    // The next version of that line goes on with it, and it hears what is said of it.
    folder.write("one.so", piece("sql", "1.5.0", ""));
    host.reload("sql@1").unwrap();
    assert_eq!(both(), (json!("all"), json!("range")));
    host.configure("sql", json!({ "of": "new" })).unwrap();
    assert_eq!(both(), (json!("new"), json!("range")));
    // Also where it is the same.
    host.configure("sql@>=1", json!({ "of": "range" })).unwrap();
    assert_eq!(both(), (json!("range"), json!("range")));
    host.rollback("sql@1").unwrap();
    assert_eq!(both(), (json!("new"), json!("range")));
    host.unconfigure("sql@>=1").unwrap();
    assert_eq!(both(), (json!("new"), json!("new")));
    host.configure("sql@1", json!({ "of": "line" })).unwrap();
    assert_eq!(both(), (json!("line"), json!("new")));
}

#[test]
fn a_name_that_is_refused_anew_leaves_what_was_gone_back_from() {
    let folder = Folder::new();
    let host = lines(&folder, None);
    let both = || (of(&host, "sql@1"), of(&host, "sql@2"));
    host.configure("sql", json!({ "of": "one" })).unwrap();
    host.rollback("sql@1").unwrap();
    assert_eq!(both(), (Value::Null, json!("one")));
    let schema = "[config.schema]\nproperties.of = { enum = [\"one\", \"two\"] }\n";
    folder.write("two.so", piece("sql", "2.1.0", schema));
    host.reload("sql@2").unwrap();
    assert_eq!(host.configure("sql", json!({ "of": "three" })).unwrap_err().code(), "PB1501");
    assert_eq!(both(), (Value::Null, json!("one")));
    folder.write("one.so", piece("sql", "1.5.0", ""));
    host.reload("sql@1").unwrap();
    assert_eq!(both(), (Value::Null, json!("one")));
    host.configure("sql", json!({ "of": "two" })).unwrap();
    assert_eq!(both(), (json!("two"), json!("two")));
}

#[test]
fn one_that_does_not_serve_waits_for_each_of_its_configurations_in_any_order() {
    let folder = Folder::new();
    let table = "[host_config.t.schema]\nrequired = [\"n\"]\n";
    folder.write("a.so", piece("a", "1.0.0", &format!("{SCHEMA}{table}")));
    for own_first in [true, false] {
        let (host, report) = with(&folder, json!({}));
        assert_eq!(report.refused.len(), 1);
        let own = || host.configure("a", json!({ "size": 1 })).map(drop).unwrap();
        let table = || host.configure_extension("t", Some(json!({ "n": 1 }))).map(drop).unwrap();
        if own_first {
            (own(), table())
        } else {
            (table(), own())
        };
        assert_eq!(config(&host)["size"], 1, "own first: {own_first}");
    }
}

#[test]
fn a_file_that_waits_for_its_configuration_takes_over_when_that_is_there() {
    let folder = Folder::new();
    let schema = |key: &str| {
        format!("[config.schema]\nadditionalProperties = false\nrequired = [\"{key}\"]\n")
            + &format!("properties.{key} = {{ type = \"integer\" }}\n")
    };
    folder.write("a.so", piece("a", "1.0.0", &schema("old")));
    let (host, _) = with(&folder, json!({ "old": 1 }));
    folder.write("a.so", piece("a", "2.0.0", &schema("new")));
    assert_eq!(host.reload("a").unwrap_err().code(), "PB1501");
    assert_eq!(config(&host), json!({ "old": 1 }));
    host.configure("a", json!({ "new": 2 })).unwrap();
    assert_eq!(config(&host), json!({ "new": 2 }));
}

#[test]
fn a_line_that_went_on_with_what_another_one_refused_goes_on_as_before_and_not_back_to_that() {
    let folder = Folder::new();
    let dial = fs::read(build("plugbay-fixture-dial")).unwrap();
    let config =
        |of: &str, answer: &str| json!({ "of": of, "size": 1, "url": "a", "answer": answer });
    let host = lines(&folder, Some(config("all", "live")));
    folder.write("two.so", piece_of(&dial, "sql", "2.1.0", "[state]\nversion = 1\n"));
    host.reload("sql@2").unwrap();
    let error = host.configure("sql", config("new", "no")).unwrap_err();
    assert_eq!(error.code(), "PB1521");
    assert_eq!((of(&host, "sql@1"), generation(&host)), (json!("all"), 5));
    assert_eq!(host.rollback("sql@1").unwrap_err().code(), "PB1107");
    assert_eq!(of(&host, "sql@1"), "all");
}

fn generation(host: &Host) -> u64 {
    host.plugins()[0].generation
}
