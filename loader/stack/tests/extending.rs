//! Stacks that extend others.

mod support;

use std::collections::BTreeMap;

use serde_json::json;
use support::{Files, name};

#[test]
fn the_nearer_file_wins_by_member_and_by_key_and_conflicts_add_up() {
    let files = Files::new(&[
        (
            "near.toml",
            r#"
            extends = "bases/far.yaml"
            plugins = [
                "sql@^3",
                { id = "lake", config = { pool = { size = 10 }, mode = "safe" } },
                { id = "old", enabled = false },
            ]
            conflicts = [["sql", "lake"]]
            [precedence]
            source = ["lake", "sql"]
            "#,
        ),
        (
            "bases/far.yaml",
            "
name: far
description: far away
plugins:
  - {name: sql, version: ^2, type: source, optional: true}
  - {name: lake, version: ^4, config: {pool: {size: 5, wait: 3}, hosts: [a]}}
  - old
  - kv
conflicts: [[kv, lake]]
precedence: {source: [sql], sink: [kv]}
kinds: {source: single}
",
        ),
    ]);
    let stack = files.read("near.toml").unwrap();
    assert_eq!((stack.name.as_str(), &stack.description), ("near", &None));
    let sql = &stack.members[&name("sql")];
    assert_eq!(sql.version.to_string(), "^3");
    assert_eq!((sql.kind.as_deref(), sql.optional), (Some("source"), true));
    assert_eq!(
        json!(stack.members[&name("lake")].config.0),
        json!({ "pool": { "size": 10, "wait": 3 }, "hosts": ["a"], "mode": "safe" })
    );
    assert_eq!(stack.members[&name("lake")].version.to_string(), "^4");
    assert!(!stack.members[&name("old")].enabled && stack.members[&name("kv")].enabled);
    let conflicts: Vec<_> =
        stack.conflicts.iter().map(|it| format!("{} {}: {}", it.one, it.other, it.stack)).collect();
    assert_eq!(conflicts, ["kv lake: far", "lake sql: near"]);
    assert_eq!(stack.precedence["source"], [name("lake"), name("sql")]);
    assert_eq!(stack.precedence["sink"], [name("kv")]);
    assert!(stack.kinds.contains_key("source"));
    let read: Vec<_> = stack.files().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(read, ["far.yaml", "near.toml"]);
}

#[test]
fn of_several_the_later_one_wins_and_one_that_all_extend_counts_once() {
    let files = Files::new(&[
        ("top.yaml", "extends: [one.yaml, two.yaml]\n"),
        ("one.yaml", "extends: root.yaml\nplugins: ['a@1', 'b@1', 'c@1']\n"),
        ("two.yaml", "extends: root.yaml\nplugins: ['b@2']\n"),
        ("root.yaml", "plugins: ['a@0', 'b@0', 'c@0', 'd@0']\n"),
    ]);
    let stack = files.read("top.yaml").unwrap();
    let versions: Vec<_> = stack.members.values().map(|it| it.version.to_string()).collect();
    assert_eq!(versions, ["^1", "^2", "^1", "^0"]);
    assert_eq!(stack.files().count(), 4);
}

#[test]
fn what_anybody_calls_a_plugin_is_more_than_a_component() {
    let files = Files::new(&[
        ("near.yaml", "extends: far.yaml\ncomponents: [a, c]\nplugins: [b]\n"),
        ("far.yaml", "components: [b, c]\nplugins: [a]\n"),
    ]);
    let stack = files.read("near.yaml").unwrap();
    let components: Vec<_> = stack.members.values().map(|it| it.component).collect();
    assert_eq!(components, [false, false, true]);
}

/// What a file overrides must not come back because the other one spells the plugin longer.
#[test]
fn a_plugin_in_two_spellings_is_one_member_and_the_nearer_file_wins() {
    let near = "extends: far.yaml\nplugins: [{name: NEAR, version: ^2, config: {pool: 99}}]\n";
    let far = "plugins: [{name: FAR, version: ^1, kind: k, config: {pool: 1, wait: 3}}]\n";
    for (near_name, far_name) in
        [("snow", "snow-plugin"), ("snow_plugin", "snow"), ("snow-plugin", "snow_plugin")]
    {
        let (near, far) = (near.replace("NEAR", near_name), far.replace("FAR", far_name));
        let stack = Files::new(&[("near.yaml", &near), ("far.yaml", &far)]).read("near.yaml");
        let stack = stack.unwrap();
        let (called, member) = stack.members.iter().next().unwrap();
        assert_eq!((stack.members.len(), called), (1, &name("snow")), "{near_name} {far_name}");
        assert_eq!((member.version.to_string(), member.kind.as_deref()), ("^2".into(), Some("k")));
        assert_eq!(json!(member.config.0), json!({ "pool": 99, "wait": 3 }));
        let mut configurations = BTreeMap::new();
        stack.configure(&mut configurations);
        assert_eq!(configurations, [("snow".into(), json!({ "pool": 99, "wait": 3 }))].into());
    }
}

#[test]
fn a_plugin_that_a_base_spells_otherwise_is_switched_off() {
    let files = Files::new(&[
        ("near.yaml", "extends: mid.yaml\nplugins: {snow-plugin: {enabled: false}}\n"),
        ("mid.yaml", "extends: far.yaml\nplugins: [kv, snow]\n"),
        ("far.yaml", "components: [snow-plugin, Feature Store]\n"),
    ]);
    let stack = files.read("near.yaml").unwrap();
    let members: Vec<_> =
        stack.members.iter().map(|(name, it)| (name.as_str(), it.enabled, it.component)).collect();
    let expected = [("Feature Store", true, true), ("kv", true, false), ("snow", false, false)];
    assert_eq!(members, expected);
}

#[test]
fn names_that_may_mean_different_plugins_only_stay_apart() {
    let files = Files::new(&[
        ("near.yaml", "extends: far.yaml\nplugins: [snow, plugin, rain-plugin]\n"),
        ("far.yaml", "plugins: [snow-plugins, snowplugin, plugin-snow]\n"),
    ]);
    assert_eq!(files.read("near.yaml").unwrap().members.len(), 6);
}

#[test]
fn a_circle_is_shown_where_it_is_closed() {
    let files = Files::new(&[
        ("a.toml", "plugins = ['x']\nextends = 'b.yaml'\n"),
        ("b.yaml", "extends: [c.json]\n"),
        ("c.json", r#"{"extends": ["./b.yaml"]}"#),
        ("self.toml", "extends = 'self.toml'\n"),
    ]);
    assert_eq!(
        files.told("a.toml"),
        "PB1704: the stack file c.json is wrong at line 1, column 14, `extends[0]`\n  |\n\
         1 | {\"extends\": [\"./b.yaml\"]}\n  |              ^^^^^^^^^^\n\
         stacks extend each other in a circle: b.yaml → c.json → ./b.yaml\n\
         help: let one of them extend none of the others"
    );
    assert!(files.told("self.toml").contains("self.toml → self.toml"));
}

#[test]
fn a_base_that_is_not_there_is_shown_where_it_is_named() {
    let files = Files::new(&[("a.yaml", "plugins: [x]\nextends: [gone.yaml]\n")]);
    let told = files.told("a.yaml");
    assert!(
        told.starts_with("PB1703: the stack file a.yaml is wrong at line 2, column 11"),
        "{told}"
    );
    assert!(told.contains("gone.yaml, which cannot be read"), "{told}");
    assert!(files.told("none.yaml").starts_with("PB1701: the stack file none.yaml cannot be read"));
}

#[test]
fn a_mistake_in_a_base_names_the_base() {
    let files = Files::new(&[("a.yaml", "extends: b.yaml\n"), ("b.yaml", "plugin: [x]\n")]);
    assert!(files.told("a.yaml").starts_with("PB1702: the stack file b.yaml is wrong at line 1"));
}

#[test]
fn more_files_than_anybody_reads_are_refused() {
    let texts: Vec<_> = (0..80)
        .map(|at| (format!("{at}.yaml"), format!("plugins: [x]\nextends: {}.yaml\n", at + 1)))
        .collect();
    let files: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let told = Files::new(&files).told("0.yaml");
    assert!(told.starts_with("PB1705: the stack file 63.yaml"), "{told}");
}
