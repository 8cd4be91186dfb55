//! The plugin as a host sees it.

use std::thread;

use plugbay_loader::CallError;
use plugbay_tests::{Serving, serving};
use serde_json::{Value, json};

const PACKAGE: &str = "plugbay-plugin-kv";

fn call(host: &Serving, command: &str, arguments: Value) -> Value {
    host.call("kv", command, arguments).unwrap()
}

fn code(host: &Serving, command: &str, arguments: Value) -> String {
    match host.call("kv", command, arguments).unwrap_err() {
        CallError::Failed { failure, .. } | CallError::Arguments { failure, .. } => failure.code,
        error => panic!("{error:?}"),
    }
}

#[test]
fn what_was_set_is_found_until_it_is_deleted() {
    let host = serving(PACKAGE, json!({}));
    let value = json!({"deep": [1, null, "ä"]});
    let set = json!({"key": "a", "value": value});
    assert_eq!(call(&host, "set", set.clone()), json!({"replaced": false}));
    assert_eq!(call(&host, "set", set), json!({"replaced": true}));
    let found = json!({"value": value, "found": true});
    assert_eq!(call(&host, "get", json!({"key": "a"})), found);
    assert_eq!(call(&host, "delete", json!({"key": "a"})), json!({"deleted": true}));
    let missing = json!({"value": null, "found": false});
    assert_eq!(call(&host, "get", json!({"key": "a"})), missing);
}

#[test]
fn no_increment_of_many_threads_is_lost() {
    const THREADS: i64 = 8;
    const TIMES: i64 = 2_000;
    let host = serving(PACKAGE, json!({}));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    call(&host, "increment", json!({"key": "hits"}));
                }
            });
        }
    });
    let total = json!({"value": THREADS * TIMES, "found": true});
    assert_eq!(call(&host, "get", json!({"key": "hits"})), total);
}

#[test]
fn entries_and_their_times_go_to_the_next_generation() {
    let host = serving(PACKAGE, json!({}));
    call(&host, "set", json!({"key": "stays", "value": [1]}));
    call(&host, "set", json!({"key": "goes", "value": 2, "ttl_seconds": 3600}));
    // Over before the next generation can be asked for it.
    call(&host, "set", json!({"key": "gone", "value": 3, "ttl_seconds": 1e-9}));
    let unloaded = host.unload("kv").unwrap();
    assert!(unloaded.state_kept && unloaded.failures.is_empty(), "{unloaded:?}");

    host.load("kv").unwrap();
    assert_eq!(call(&host, "get", json!({"key": "stays"}))["value"], json!([1]));
    let keys = json!({"keys": ["goes", "stays"], "truncated": false});
    assert_eq!(call(&host, "list", json!({})), keys);
    let stats = json!({"entries": 2, "expiring": 1, "expired": 0, "max_entries": 100_000});
    assert_eq!(call(&host, "stats", json!({})), stats);
}

#[test]
fn a_full_store_and_wrong_values_are_errors_with_a_code() {
    let host = serving(PACKAGE, json!({"max_entries": 1}));
    call(&host, "set", json!({"key": "a", "value": "text"}));
    assert_eq!(code(&host, "set", json!({"key": "b", "value": 1})), "full");
    assert_eq!(code(&host, "increment", json!({"key": "a"})), "not-a-number");
    call(&host, "set", json!({"key": "a", "value": i64::MAX}));
    assert_eq!(code(&host, "increment", json!({"key": "a"})), "overflow");
    assert_eq!(code(&host, "set", json!({"key": "", "value": 1})), "arguments");
    assert_eq!(code(&host, "expire", json!({"key": "a"})), "arguments");
}
