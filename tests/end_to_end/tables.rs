//! Who has a table of the host's configuration, and how a plugin and its table change together.

use std::fs;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{Explain, Happening, Host, Outcome, Versions, WatchOptions};
use plugbay_tests::{Folder, broken_piece, next, piece, until};

const ON_DEMAND: &str = "activation = \"on-demand\"\n";
const TABLE: &str = "[host_config.t]\nschema = true\n";

/// Registers `[t]`, which has this key and no other.
fn with_key(key: &str) -> String {
    let integer = format!("properties = {{ {key} = {{ type = \"integer\" }} }}");
    format!(
        "[host_config.t]\nschema = {{ required = [\"{key}\"], additionalProperties = false, \
         {integer} }}\n"
    )
}

fn states(host: &Host) -> Vec<String> {
    let told = host.plugins().into_iter();
    told.map(|it| format!("{} {} {}", it.name, it.manifest.version, it.state)).collect()
}

fn refused(host: &Host) -> Vec<(String, &'static str)> {
    let told = host.refused().into_iter().map(|it| {
        let name = it.path.file_name().unwrap().to_string_lossy().into_owned();
        (name, it.error.code())
    });
    told.collect()
}

fn table(host: &Host, plugin: &str) -> Value {
    host.call(plugin, "host_config", json!("t")).unwrap()
}

fn started(folder: &Folder, table: Value) -> Host {
    let host = folder.host().extension("t", table).build().unwrap();
    host.start().unwrap();
    host
}

#[test]
fn who_serves_with_a_table_keeps_it_when_a_smaller_id_comes() {
    let folder = Folder::new();
    folder.write("b.so", piece("b", "1.0.0", TABLE));
    let host = started(&folder, json!({ "v": 1 }));
    folder.write("a.so", piece("a", "1.0.0", TABLE));
    host.reload_all().unwrap();
    assert_eq!(states(&host), ["b 1.0.0 active"]);
    assert_eq!(refused(&host), [("a.so".to_owned(), "PB1531")]);
    host.configure_extension("t", Some(json!({ "v": 2 }))).unwrap();
    host.configure("b", json!({ "x": 1 })).unwrap();
    assert_eq!(table(&host, "b"), json!({ "v": 2 }));
    folder.write("b.so", piece("b", "1.1.0", TABLE));
    host.reload("b").unwrap();
    assert_eq!(states(&host), ["b 1.1.0 active"]);
}

#[test]
fn a_table_goes_to_the_next_when_its_owner_ends_however_that_is() {
    let folder = Folder::new();
    for id in ["a", "b", "c"] {
        folder.write(&format!("{id}.so"), piece(id, "1.0.0", TABLE));
    }
    let host = folder.host().watch(WatchOptions::default()).build().unwrap();
    host.start().unwrap();
    assert_eq!(states(&host), ["a 1.0.0 active"]);
    let events = host.events();
    fs::remove_file(folder.plugins().join("a.so")).unwrap();
    next(&events, |it| matches!(it, Happening::Loaded { plugin, .. } if plugin.as_str() == "b"));
    assert_eq!(states(&host), ["a 1.0.0 unloaded", "b 1.0.0 active"]);
    host.disable("b").unwrap();
    assert_eq!(states(&host)[2], "c 1.0.0 active");
    // A version that registers it no more, over one that does.
    host.enable("b").unwrap_err();
    folder.put_whole("c.so", &piece("c", "1.1.0", ""));
    until(|| states(&host) == ["a 1.0.0 unloaded", "b 1.0.0 active", "c 1.1.0 active"]);
    // And one that registers it again waits for it.
    folder.put_whole("c.so", &piece("c", "1.2.0", TABLE));
    until(|| refused(&host) == [("c.so".to_owned(), "PB1531")]);
    host.unload("b").unwrap();
    until(|| states(&host)[2] == "c 1.2.0 active");
}

#[test]
fn those_that_are_disabled_or_refused_for_something_else_do_not_count() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &format!("{TABLE}[config]\nschema = false\n")));
    folder.write("b.so", broken_piece("b", "1.0.0", TABLE));
    folder.write("c.so", piece("c", "1.0.0", TABLE));
    folder.write("d.so", piece("d", "1.0.0", &format!("{TABLE}[dependencies]\nnobody = \"1\"\n")));
    folder.write("e.so", piece("e", "1.0.0", TABLE));
    folder.write("f.so", piece("f", "1.0.0", TABLE));
    let host = folder.host().disable("c").build().unwrap();
    host.start().unwrap();
    assert_eq!(states(&host), ["e 1.0.0 active"]);
    assert!(refused(&host).contains(&("f.so".to_owned(), "PB1531")), "{:?}", refused(&host));
}

/// Else the one would wait for the table, and the other one for it.
#[test]
fn one_that_another_one_needs_has_the_table_before_it() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &format!("{TABLE}[dependencies]\nb = \"1\"\n")));
    folder.write("b.so", piece("b", "1.0.0", TABLE));
    let host = started(&folder, json!({}));
    assert_eq!(states(&host), ["b 1.0.0 active"]);
    assert_eq!(refused(&host), [("a.so".to_owned(), "PB1531")]);
}

#[test]
fn a_wrong_table_for_a_plugin_on_demand_is_not_taken() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &format!("{ON_DEMAND}{}", with_key("n"))));
    let host = started(&folder, json!({ "n": 1 }));
    let wrong = Some(json!({ "n": "no number" }));
    assert_eq!(host.configure_extension("t", wrong).unwrap_err().code(), "PB1501");
    assert_eq!(host.configure_extension("t", None).unwrap_err().code(), "PB1501");
    assert_eq!(host.extensions()["t"], json!({ "n": 1 }));
    host.configure_extension("t", Some(json!({ "n": 2 }))).unwrap();
    assert_eq!(states(&host), ["a 1.0.0 on demand"]);
    assert_eq!(table(&host, "a"), json!({ "n": 2 }));
}

#[test]
fn one_on_demand_that_has_not_got_the_table_does_not_stand_against_another_value() {
    let folder = Folder::new();
    folder.write("b.so", piece("b", "1.0.0", &with_key("n")));
    let host = started(&folder, json!({ "n": 1 }));
    folder.write("a.so", piece("a", "1.0.0", &format!("{ON_DEMAND}{}", with_key("other"))));
    host.reload_all().unwrap();
    assert_eq!(states(&host), ["a 1.0.0 on demand", "b 1.0.0 active"]);
    host.configure_extension("t", Some(json!({ "n": 2 }))).unwrap();
    let error = host.call("a", "count", json!(null)).unwrap_err();
    assert!(error.to_string().contains("`b` has it"), "{error}");
    assert_eq!(table(&host, "b"), json!({ "n": 2 }));
}

#[test]
fn what_else_is_wrong_with_a_plugin_on_demand_does_not_stand_against_its_table() {
    let folder = Folder::new();
    let own = "[config.schema]\nrequired = [\"x\"]\n";
    folder.write("a.so", piece("a", "1.0.0", &format!("{ON_DEMAND}{}{own}", with_key("n"))));
    let host = started(&folder, json!({}));
    host.configure_extension("t", Some(json!({ "n": 2 }))).unwrap();
    host.configure("a", json!({ "x": 1 })).unwrap();
    assert_eq!(table(&host, "a"), json!({ "n": 2 }));
}

#[test]
fn a_new_version_and_its_new_table_are_taken_together() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &with_key("old")));
    let host = started(&folder, json!({ "old": 1 }));
    host.call("a", "count", json!(null)).unwrap();
    folder.put_whole("a.so", &piece("a", "2.0.0", &with_key("new")));
    // Neither of them can have that.
    let wrong = Some(json!({ "other": 1 }));
    assert_eq!(host.configure_extension("t", wrong).unwrap_err().code(), "PB1501");
    assert_eq!((table(&host, "a"), host.extensions()["t"].clone()), {
        (json!({ "old": 1 }), json!({ "old": 1 }))
    });
    let outcome = host.configure_extension("t", Some(json!({ "new": 1 }))).unwrap();
    let Outcome::Reloaded(told) = outcome else { panic!("{outcome:?}") };
    assert_eq!(told.to.to_string(), "2.0.0");
    assert_eq!(
        (states(&host), table(&host, "a")),
        (vec!["a 2.0.0 active".into()], json!({ "new": 1 }))
    );
    assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(2));
    assert!(host.refused().is_empty());
}

#[test]
fn a_new_version_that_was_refused_for_the_table_takes_over_with_the_new_one() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &with_key("old")));
    let watching = folder.host().watch(WatchOptions::default());
    let host = watching.extension("t", json!({ "old": 1 })).build().unwrap();
    host.start().unwrap();
    let events = host.events();
    folder.put_whole("a.so", &piece("a", "2.0.0", &with_key("new")));
    next(&events, |it| matches!(it, Happening::Kept { code, .. } if code == "PB1501"));
    host.configure_extension("t", Some(json!({ "new": 1 }))).unwrap();
    assert_eq!(
        (states(&host), table(&host, "a")),
        (vec!["a 2.0.0 active".into()], json!({ "new": 1 }))
    );
}

#[test]
fn a_new_version_that_registers_a_table_takes_over_when_that_is_there() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let (host, _) = folder.start();
    folder.put_whole("a.so", &piece("a", "2.0.0", &with_key("n")));
    assert_eq!(host.reload("a").unwrap_err().code(), "PB1501");
    host.configure_extension("t", Some(json!({ "n": 1 }))).unwrap();
    assert_eq!(
        (states(&host), table(&host, "a")),
        (vec!["a 2.0.0 active".into()], json!({ "n": 1 }))
    );
}

#[test]
fn a_file_that_does_not_come_up_with_the_new_table_leaves_all_as_it_is() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &with_key("old")));
    let host = started(&folder, json!({ "old": 1 }));
    folder.put_whole("a.so", &broken_piece("a", "2.0.0", &with_key("new")));
    let error = host.configure_extension("t", Some(json!({ "new": 1 }))).unwrap_err();
    assert!(error.code().starts_with("PB06"), "{error}");
    assert_eq!(host.extensions()["t"], json!({ "old": 1 }));
    assert_eq!(
        (states(&host), table(&host, "a")),
        (vec!["a 1.0.0 active".into()], json!({ "old": 1 }))
    );
}

#[test]
fn a_file_that_was_gone_back_from_is_not_taken_for_a_table() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &with_key("old")));
    let host = started(&folder, json!({ "old": 1 }));
    folder.put_whole("a.so", &piece("a", "2.0.0", &with_key("new")));
    host.configure_extension("t", Some(json!({ "new": 1 }))).unwrap();
    host.rollback("a").unwrap();
    assert_eq!(
        (states(&host), table(&host, "a")),
        (vec!["a 1.0.0 active".into()], json!({ "old": 1 }))
    );
    host.configure_extension("t", Some(json!({ "old": 2 }))).unwrap();
    let error = host.configure_extension("t", Some(json!({ "new": 2 }))).unwrap_err();
    assert_eq!(error.code(), "PB1501");
    assert_eq!(table(&host, "a"), json!({ "old": 2 }));
}

#[test]
fn one_line_goes_back_from_its_table_alone() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", TABLE));
    folder.write("two.so", piece("sql", "2.0.0", TABLE));
    let host = folder.host().extension("t", json!({ "v": 1 })).policy(|policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    });
    let host = host.build().unwrap();
    host.start().unwrap();
    host.configure_extension("t", Some(json!({ "v": 2 }))).unwrap();
    host.rollback("sql@1").unwrap();
    host.configure("sql", json!({ "x": 1 })).unwrap();
    assert_eq!(
        (table(&host, "sql@1"), table(&host, "sql@2")),
        (json!({ "v": 1 }), json!({ "v": 2 }))
    );
    host.configure_extension("t", Some(json!({ "v": 2 }))).unwrap();
    assert_eq!(
        (table(&host, "sql@1"), table(&host, "sql@2")),
        (json!({ "v": 2 }), json!({ "v": 2 }))
    );
}
