//! Plugins' configurations: checked before any of their code runs, and changed while they
//! serve.

use std::fs;
use std::sync::Mutex;

use plugbay_loader::config::schema::Declared;
use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{Error, Explain, Host, LoadPluginError, Outcome, StartReport};
use plugbay_tests::{Folder, broken_piece, piece};

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
    static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Logger;
    impl log::Log for Logger {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            LOGGED.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Info);

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
    let logged = LOGGED.lock().unwrap().join("\n");
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
