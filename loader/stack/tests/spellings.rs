//! One stack, however it is written.

mod support;

use std::collections::BTreeMap;

use plugbay_manifest::PluginId;
use plugbay_resolve::{Active, Policy};
use plugbay_stack::{Dependency, Stack};
use semver::Version;
use serde_json::{Value, json};
use support::{Files, name, stack};

const OWN: &str = r#"
name = "research"
description = "What the lab runs"
plugins = [
    { id = "mlflow", kind = "experiment_tracker" },
    { id = "lake", kind = "data_source", version = "^2", config = { pool = { size = 10 } } },
    "zenml",
]
conflicts = [["lake", "mlflow"]]

[precedence]
experiment_tracker = ["mlflow", "wandb"]
"#;

#[test]
fn it_is_the_same_stack_in_every_spelling_and_syntax() {
    let own = stack("toml", OWN);
    let components = "
name: research
description: What the lab runs
components: []
plugins:
  - {type: experiment_tracker, name: mlflow}
  - type: data_source
    name: lake
    version: ^2
    config: {pool: {size: 10}}
  - {name: zenml}
conflicts: [[mlflow, lake]]
plugin_precedence: {experiment_tracker: [mlflow, wandb]}
";
    let brackets = r#"{
        "composition_name": "research",
        "description": "What the lab runs",
        "plugins": [
            "mlflow (experiment_tracker)", "lake@^2 (data_source)", "zenml",
            {"kind": "experiment_tracker", "enabled": false}
        ],
        "extends": "values.yaml",
        "conflicts": [["lake", "mlflow"]],
        "precedence": {"experiment_tracker": ["mlflow", "wandb"]}
    }"#;
    let values = "plugins: {lake: {config: {pool: {size: 10}}}, zenml: }\n";
    let table = "
name: research
description: What the lab runs
plugins:
  mlflow: {kind: experiment_tracker, enabled: true}
  lake: {kind: data_source, version: ^2, optional: false, config: {pool: {size: 10}}}
  zenml: {dependencies: []}
conflicts: [[lake, mlflow]]
plugin_precedence: {experiment_tracker: [mlflow, wandb]}
";
    assert_eq!(stack("yaml", components), own);
    assert_eq!(stack("yml", table), own);
    let files = Files::new(&[("s.json", brackets), ("values.yaml", values)]);
    assert_eq!(files.read("s.json").unwrap(), own);
    // And what else it says makes another one.
    assert_ne!(stack("toml", &OWN.replace("^2", "^3")), own);
    assert_ne!(stack("toml", &OWN.replace("10", "11")), own);
}

#[test]
fn what_is_shown_is_the_same_stack_again() {
    let text = r#"
        profile = "machine-learning"
        components = ["Feature Store", { name = "zenml", optional = true }]
        plugins = [
            { id = "a", enabled = false, dependencies = ["b@^1", "c"], config = { x = [1, { y = 2 }] } },
            { kind = "serving_platform", optional = true },
        ]
        [kinds]
        k = { single-per = "of" }
    "#;
    for text in [text, OWN] {
        let read = stack("toml", text);
        let shown = read.shown(|_, _| Vec::new());
        assert_eq!(stack("json", &shown.to_string()), read, "{shown}");
    }
}

#[test]
fn a_stack_is_called_as_its_file_where_it_does_not_say() {
    assert_eq!(stack("toml", "plugins = ['a']").name, "s");
    assert_eq!(stack("yaml", "plugins: [a]\ncomposition_name: b").name, "b");
}

#[test]
fn a_plugin_has_the_ending_or_not_whichever_is_there() {
    let read =
        stack("yaml", "composition_name: x\nplugins: ['mlflow-plugin (experiment_tracker)']");
    let ids: Vec<_> = name("mlflow-plugin").ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["mlflow-plugin", "mlflow"]);
    assert_eq!(name("kv").ids().len(), 1);
    assert_eq!(name("Feature Store").ids().len(), 0);
    let mut policy = Policy::new(Version::new(1, 0, 0));
    read.apply(&mut policy);
    let members = policy.members.unwrap();
    assert_eq!(members.stack, "x");
    assert_eq!(members.plugins[0].ids.len(), 2);
    assert_eq!(members.plugins[0].kind.as_deref(), Some("experiment_tracker"));
}

#[test]
fn what_a_member_depends_on_runs_as_well() {
    let read = stack("yaml", "plugins: {a: {dependencies: [b, 'c@^2']}, d: {enabled: false}}");
    let dependencies = &read.members[&name("a")].dependencies;
    let of = |id: &str, range: &str| Dependency { name: name(id), version: range.parse().unwrap() };
    assert_eq!(*dependencies, [of("b", "*"), of("c", "^2")]);
    let mut policy = Policy::new(Version::new(1, 0, 0));
    read.apply(&mut policy);
    let plugins = policy.members.unwrap().plugins;
    let members: Vec<_> =
        plugins.iter().map(|it| format!("{}@{}", it.ids[0], it.version)).collect();
    assert_eq!(members, ["a@*", "b@*", "c@^2"]);
    let disabled: Vec<_> = policy.disabled.iter().map(PluginId::as_str).collect();
    assert_eq!(disabled, ["d"]);
}

#[test]
fn a_stack_goes_over_the_host_and_leaves_what_it_says_nothing_of() {
    let read = stack(
        "toml",
        "plugins = [{ id = 'a', config = { pool = { size = 10 } } }]\nconflicts = [['a', 'b', 'c']]\n\
         profile = 'machine-learning'\n[kinds]\nmonitoring = 'single'\n[precedence]\nk = ['a']",
    );
    let mut policy = Policy::new(Version::new(1, 0, 0));
    let id = |text: &str| text.parse::<PluginId>().unwrap();
    policy.disabled.insert(id("x"));
    policy.kinds.insert("own".into(), Default::default());
    policy.precedence = [("k".into(), vec![id("b")]), ("l".into(), vec![id("b")])].into();
    read.apply(&mut policy);
    assert!(policy.disabled.contains("x"));
    assert!(policy.kinds.contains_key("own") && policy.kinds.contains_key("feature_store"));
    assert_eq!(policy.kinds["monitoring"].active, Active::Single);
    assert_eq!(policy.precedence["k"], [id("a")]);
    assert_eq!(policy.precedence["l"], [id("b")]);
    let conflicts: Vec<_> =
        policy.conflicts.iter().map(|it| format!("{} {}, {}", it.one, it.other, it.by)).collect();
    assert_eq!(conflicts, ["a b, the stack s", "a c, the stack s", "b c, the stack s"]);

    let mut configurations: BTreeMap<String, Value> = [
        ("a".into(), json!({ "pool": { "size": 1, "wait": 3 }, "x": 1 })),
        ("a@^1".into(), json!({ "pool": { "size": 2 } })),
        ("b".into(), json!({ "y": 1 })),
    ]
    .into();
    read.configure(&mut configurations);
    assert_eq!(configurations["a"], json!({ "pool": { "size": 10, "wait": 3 }, "x": 1 }));
    assert_eq!(configurations["a@^1"], json!({ "pool": { "size": 10 } }));
    assert_eq!(configurations["b"], json!({ "y": 1 }));
}

#[test]
fn a_configuration_is_not_shown_by_debug_and_secrets_by_nobody() {
    let read: Stack = stack(
        "yaml",
        "plugins: {a: {config: {db: {password: hunter2}, api_token: {env: TOKEN}, pin: 4711, list: [{secret: hunter2}]}}}",
    );
    assert!(!format!("{read:?}").contains("hunter2"));
    let shown = read.shown(|_, _| Vec::new());
    let config = &shown["plugins"][0]["config"];
    assert_eq!(config["db"]["password"], "***");
    assert_eq!(config["api_token"], json!({ "env": "TOKEN" }));
    assert_eq!(config["list"][0]["secret"], "***");
    assert_eq!(config["pin"], 4711);
}
