//! Plugins of every released interface load and serve in this host.

use std::fs;
use std::path::PathBuf;

use plugbay_tests::{Folder, root};
use serde_json::json;

/// The frozen folders for this target, by version.
fn frozen() -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(root().join("tests/frozen"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let version = path.file_name().unwrap().to_string_lossy().into_owned();
            (version, path.join(plugbay_interface::TARGET))
        })
        .filter(|(_, folder)| folder.is_dir())
        .collect();
    found.sort();
    found
}

#[test]
fn plugins_of_every_released_interface_serve() {
    let frozen = frozen();
    if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
        assert!(!frozen.is_empty());
    } else if frozen.is_empty() {
        println!("not tried: nothing was frozen for {}", plugbay_interface::TARGET);
    }
    for (version, libraries) in frozen {
        let folder = Folder::new();
        for library in ["libmisbehave.so", "libkv.so"] {
            folder.put(&libraries.join(library), library);
        }
        let host = folder.host().backtraces(true).build().unwrap();
        let report = host.start().unwrap();
        assert!(report.refused.is_empty(), "{version}: {}", report.refused[0]);
        for plugin in &report.active {
            assert_eq!(plugin.facts.interface.to_string(), version);
        }
        let call = |plugin, command, arguments| host.call(plugin, command, arguments);

        let value = json!({"text": "ä", "n": [1, null]});
        assert_eq!(call("misbehave", "echo", value.clone()).unwrap(), value);
        let error = call("misbehave", "fail", json!({})).unwrap_err();
        assert_eq!(error.failure().unwrap().causes, ["invalid digit found in string"]);
        let error = call("misbehave", "panic", json!({"message": "ouch"})).unwrap_err();
        let failure = error.failure().unwrap();
        assert!(failure.panicked && failure.message == "ouch" && !failure.backtrace.is_empty());
        let told = call("misbehave", "where_am_i", json!({})).unwrap();
        assert_eq!(told["id"], "misbehave");

        assert_eq!(call("misbehave", "count", json!({})).unwrap(), json!(1));
        assert!(host.unload("misbehave").unwrap().state_kept);
        host.load("misbehave").unwrap();
        assert_eq!(call("misbehave", "count", json!({})).unwrap(), json!(2));

        call("kv", "increment", json!({"key": "visits", "by": 41})).unwrap();
        assert_eq!(call("kv", "increment", json!({"key": "visits"})).unwrap()["value"], 42);
        assert!(host.stop().into_iter().all(|ended| ended.unwrap().failures.is_empty()));
    }
}
