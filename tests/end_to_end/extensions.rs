//! Tables of the host's own configuration that plugins register.

use std::fs;

use plugbay_loader::interface::serde_json::{self, Value, json};
use plugbay_loader::{Explain, Host, Notice, Outcome, StartReport};
use plugbay_tests::{Folder, build, piece, with_embedded};

/// Registers `[dspy]`, and has a configuration of its own that allows nothing else.
const DSPY: &str = r#"
[host_config.dspy.schema]
type = "object"
required = ["model"]
additionalProperties = false

[host_config.dspy.schema.properties]
model = { type = "string" }
retries = { type = "integer", default = 3, maximum = 9 }
token = { type = "string", secret = true }

[config.schema]
additionalProperties = false
properties = { size = { type = "integer", default = 1 } }
"#;

fn with(folder: &Folder, tables: &[(&str, Value)]) -> (Host, StartReport) {
    let mut host = folder.host().own_keys(["plugins", "watch"]).secrets_from(folder.beside(""));
    for (name, value) in tables {
        host = host.extension(name, value.clone());
    }
    let host = host.build().unwrap();
    let report = host.start().unwrap();
    (host, report)
}

fn table(host: &Host, plugin: &str) -> Value {
    host.call(plugin, "host_config", json!("dspy")).unwrap()
}

fn refused(report: &StartReport) -> Vec<(String, String, String)> {
    let told = report.refused.iter().map(|refusal| {
        let id = refusal.plugin.as_ref().map(|(id, _)| id.to_string()).unwrap_or_default();
        (id, refusal.error.code().to_owned(), refusal.reason())
    });
    told.collect()
}

#[test]
fn a_plugin_gets_the_table_that_it_registers_with_defaults_and_secrets_in_it() {
    let folder = Folder::new();
    fs::write(folder.beside("token"), "correct horse\n").unwrap();
    folder.write("a.so", piece("a", "1.0.0", DSPY));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let given = json!({ "model": "small", "token": { "file": "token" } });
    let (host, report) = with(&folder, &[("dspy", given)]);
    assert_eq!(refused(&report), []);
    assert_eq!(report.notices, []);
    let expected = json!({ "model": "small", "retries": 3, "token": "correct horse" });
    assert_eq!(table(&host, "a"), expected);
    // Its own configuration is what it would be without, and so are those of others.
    assert_eq!(host.call("a", "config", json!(null)).unwrap(), json!({ "size": 1 }));
    assert_eq!(host.call("b", "config", json!(null)).unwrap(), json!({}));
    assert_eq!(table(&host, "b"), json!(null));
}

#[test]
fn a_table_that_does_not_fit_refuses_the_plugin_and_so_does_one_that_is_missing() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", DSPY));
    let (_, report) = with(&folder, &[("dspy", json!({ "model": "m", "retries": 10 }))]);
    let [(_, code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB1501");
    assert!(reason.contains("`dspy`") && reason.contains("`retries`"), "{reason}");
    let (_, report) = with(&folder, &[]);
    let [(_, code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB1501");
    assert!(reason.contains("`model` is missing"), "{reason}");
}

#[test]
fn a_table_that_nobody_registers_is_told_with_the_name_that_may_be_meant() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &DSPY.replace("required = [\"model\"]", "")));
    let (_, report) = with(&folder, &[("dpsy", json!({}))]);
    let [notice @ Notice::Extension { code, .. }] = &report.notices[..] else {
        panic!("{report:?}")
    };
    assert_eq!(code, "PB1533");
    assert!(notice.to_string().contains("did you mean `dspy`?"), "{notice}");
}

#[test]
fn of_two_plugins_that_register_one_name_the_later_one_is_refused_and_both_are_named() {
    let folder = Folder::new();
    folder.write("1.so", piece("b", "1.0.0", DSPY));
    folder.write("2.so", piece("a", "1.0.0", DSPY));
    let (host, report) = with(&folder, &[("dspy", json!({ "model": "m" }))]);
    let [(id, code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!((id.as_str(), code.as_str()), ("b", "PB1531"));
    assert!(reason.contains("`a`") && reason.contains("`b`"), "{reason}");
    assert_eq!(table(&host, "a")["model"], "m");
    drop(host);
    // Two versions of one plugin are one owner.
    folder.write("1.so", piece("a", "1.1.0", DSPY));
    let (host, report) = with(&folder, &[("dspy", json!({ "model": "m" }))]);
    assert!(refused(&report).iter().all(|(_, code, _)| code.starts_with("PB03")), "{report:?}");
    assert_eq!(table(&host, "a")["model"], "m");
}

#[test]
fn the_hosts_own_keys_cannot_be_taken() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", "[host_config.watch]\nschema = true\n"));
    let (_, report) = with(&folder, &[]);
    let [(_, code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB1532");
    assert!(reason.contains("`a`") && reason.contains("`watch`"), "{reason}");
}

#[test]
fn another_value_takes_over_with_the_state_and_a_wrong_one_changes_nothing() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", DSPY));
    let (host, _) = with(&folder, &[("dspy", json!({ "model": "one" }))]);
    host.call("a", "count", json!(null)).unwrap();
    let two = Some(json!({ "model": "two" }));
    let outcome = host.configure_extension("dspy", two.clone()).unwrap();
    assert!(matches!(outcome, Outcome::Reloaded(_)), "{outcome:?}");
    assert_eq!(table(&host, "a"), json!({ "model": "two", "retries": 3 }));
    assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(2));
    // The default by name makes no difference.
    let same = host.configure_extension("dspy", Some(json!({ "model": "two", "retries": 3 })));
    assert!(matches!(same.unwrap(), Outcome::Unchanged));
    let error = host.configure_extension("dspy", Some(json!({ "model": 3 }))).unwrap_err();
    assert_eq!(error.code(), "PB1501");
    assert_eq!(host.configure_extension("dspy", None).unwrap_err().code(), "PB1501");
    assert_eq!(table(&host, "a")["model"], "two");
    assert_eq!(host.extensions()["dspy"], json!({ "model": "two", "retries": 3 }));
    // Its own configuration changes without the table.
    host.configure("a", json!({ "size": 7 })).unwrap();
    assert_eq!(table(&host, "a")["model"], "two");
    // Back to the generation before is back to what that had.
    host.configure_extension("dspy", Some(json!({ "model": "three" }))).unwrap();
    host.rollback("a").unwrap();
    assert_eq!(table(&host, "a")["model"], "two");
    assert_eq!(host.extensions()["dspy"]["model"], "two");
}

#[test]
fn one_that_was_refused_for_its_table_comes_up_with_the_right_one() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", DSPY));
    let (host, report) = with(&folder, &[]);
    assert_eq!(refused(&report).len(), 1);
    host.configure_extension("dspy", Some(json!({ "model": "m" }))).unwrap();
    assert_eq!(table(&host, "a")["model"], "m");
    assert!(host.refused().is_empty(), "{:?}", host.refused());
}

#[test]
fn one_that_takes_its_configuration_while_it_serves_is_reloaded_for_its_table_alone() {
    let folder = Folder::new();
    let library = fs::read(build("plugbay-fixture-dial")).unwrap();
    let library = with_embedded(&library, |embedded| {
        let manifest = &mut embedded.manifest;
        manifest.description.clear();
        manifest.authors.clear();
        let table = serde_json::from_value(json!({ "schema": true })).unwrap();
        manifest.host_config.insert("d".into(), table);
    });
    folder.write("dial.so", library);
    let config = |size: u64| json!({ "size": size, "url": "a", "answer": "live" });
    let host = folder.host().config("dial", config(1)).extension("d", json!({ "a": 1 }));
    let host = host.build().unwrap();
    assert_eq!(refused(&host.start().unwrap()), []);
    let outcome = host.configure("dial", config(2)).unwrap();
    assert!(matches!(outcome, Outcome::Configured(_)), "{outcome:?}");
    let outcome = host.configure_extension("d", Some(json!({ "a": 2 }))).unwrap();
    assert!(matches!(outcome, Outcome::Reloaded(_)), "{outcome:?}");
    let outcome = host.configure("dial", config(3)).unwrap();
    assert!(matches!(outcome, Outcome::Configured(_)), "{outcome:?}");
}
