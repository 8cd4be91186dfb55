//! The plugin as a host sees it.

use std::thread;

use plugbay_loader::CallError;
use plugbay_tests::{Folder, Serving, build, serving};
use serde_json::{Value, json};

const PACKAGE: &str = "plugbay-plugin-jq";

fn failure(host: &Serving, filter: &str) -> (String, String) {
    match host.call("jq", "filter", json!({"filter": filter, "input": null})).unwrap_err() {
        CallError::Failed { failure, .. } => (failure.code, failure.message),
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_filter_gives_its_outputs_in_order() {
    let host = serving(PACKAGE, json!({}));
    let arguments = json!({
        "filter": ".[] | select(.price < $most) | .name | ascii_upcase",
        "input": [{"name": "tea", "price": 2}, {"name": "rum", "price": 9}, {"name": "ale", "price": 3}],
        "args": {"most": 5},
    });
    assert_eq!(host.call("jq", "filter", arguments).unwrap(), json!({"outputs": ["TEA", "ALE"]}));
}

#[test]
fn a_mistake_in_a_filter_is_told_with_its_place() {
    let host = serving(PACKAGE, json!({}));
    let (code, message) = failure(&host, ".a |\n  nothing");
    assert_eq!(code, "compile");
    assert!(message.ends_with("2:3: there is no filter `nothing/0`"), "{message}");
    let checked = host.call("jq", "check", json!({"filter": "if . then"})).unwrap();
    assert_eq!(checked["ok"], json!(false));
    assert_eq!(checked["mistakes"][0]["column"], json!(10));
    let checked = host.call("jq", "check", json!({"filter": "$x + 1", "args": ["x"]})).unwrap();
    assert_eq!(checked, json!({"ok": true, "mistakes": []}));
}

#[test]
fn a_filter_without_end_does_not_end_the_host() {
    let host = serving(PACKAGE, json!({"max_outputs": 5, "max_seconds": 3, "max_memory_mib": 8}));
    for (filter, code) in [
        ("repeat(1)", "too-many-outputs"),
        ("def f: f; f", "timeout"),
        ("def f: 1 + f; f", "too-deep"),
        ("[recurse(.)]", "memory"),
        ("path(last(recurse(.a)))", "memory"),
        ("reduce range(1000000) as $i (null; [.])", "too-deep"),
        ("\"x\" * 1000000000000", "memory"),
        ("error(\"no\")", "runtime"),
    ] {
        assert_eq!(failure(&host, filter).0, code, "{filter}");
    }
    let result = host.call("jq", "filter", json!({"filter": ".", "input": 1})).unwrap();
    assert_eq!(result, json!({"outputs": [1]}));
}

#[test]
fn many_threads_filter_at_once() {
    let host = serving(PACKAGE, json!({}));
    thread::scope(|scope| {
        for thread in 0..4 {
            let host = &host;
            scope.spawn(move || {
                for number in 0..50 {
                    let input: Vec<_> = (0..number).collect();
                    let arguments = json!({
                        "filter": "(map(. * $by) | add // 0), (tostring | gsub(\",\"; \";\") | now - now)",
                        "input": input,
                        "args": {"by": thread},
                    });
                    let result = host.call("jq", "filter", arguments).unwrap();
                    let sum: Value = (thread * input.iter().sum::<i32>()).into();
                    assert_eq!(result["outputs"][0], sum);
                }
            });
        }
    });
}

#[test]
fn an_unloaded_plugin_leaves_the_memory() {
    let folder = Folder::new();
    folder.put(&build(PACKAGE), "libjq.so");
    let (host, _) = folder.start();
    let arguments =
        json!({"filter": "now | localtime | mktime | todate | test(\"20..-\")", "input": null});
    // On a thread that lives on.
    host.call("jq", "filter", arguments).unwrap();
    let unloaded = host.unload("jq").unwrap();
    assert!(unloaded.pinned.is_none(), "{:?}", unloaded.pinned);
}
