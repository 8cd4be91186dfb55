//! Plugins of every released interface load and serve in this host.

use std::fs;
use std::path::PathBuf;

use plugbay_loader::Explain;
use plugbay_tests::{Folder, reloaded, root};
use semver::Version;
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

/// None of them can be given another configuration while it serves.
#[test]
fn plugins_of_interfaces_before_1_3_are_reloaded_for_another_configuration() {
    let is_before = |version: &str| version.parse::<Version>().unwrap() < Version::new(1, 3, 0);
    for (version, libraries) in frozen().into_iter().filter(|(version, _)| is_before(version)) {
        let folder = Folder::new();
        folder.put(&libraries.join("libmisbehave.so"), "misbehave.so");
        let (host, _) = folder.start();
        host.call("misbehave", "count", json!({})).unwrap();
        let told = reloaded(host.configure("misbehave", json!({ "activate": "serve" })));
        assert_eq!((told.from_generation, told.to_generation), (1, 2), "{version}");
        assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(2));
        let failed = host.configure("misbehave", json!({ "activate": "fail" })).unwrap_err();
        assert_eq!(failed.code(), "PB0601");
        assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(3));
    }
}

/// What `misbehave` of the first interface, which has no hooks, is loaded by.
fn without_hooks() -> Option<Folder> {
    let folder = Folder::new();
    let (_, libraries) = frozen().into_iter().find(|(version, _)| version == "1.0.0")?;
    folder.put(&libraries.join("libmisbehave.so"), "misbehave.so");
    Some(folder)
}

/// How many libraries are mapped from this folder's cache.
fn mapped(folder: &Folder) -> usize {
    let cache = folder.beside("cache").to_string_lossy().into_owned();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files: Vec<_> =
        maps.lines().filter_map(|line| line.find(&cache).map(|at| &line[at..])).collect();
    files.dedup();
    files.len()
}

#[test]
fn a_library_without_hooks_is_kept_and_says_why() {
    let Some(folder) = without_hooks() else { return };
    let (host, _) = folder.start();
    let pin = host.unload("misbehave").unwrap().pinned.unwrap();
    assert!(pin.to_string().contains("kept mapped"), "{pin}");
    host.load("misbehave").unwrap();
    assert_eq!(host.plugins()[0].pinned, [(1, pin)]);
    assert_eq!(mapped(&folder), 2);
}

#[test]
fn a_library_without_hooks_is_closed_where_the_host_promises() {
    let Some(folder) = without_hooks() else { return };
    // SAFETY: the commands called here leave nothing on this thread.
    let host = unsafe { folder.host().close_on_unload() }.build().unwrap();
    host.start().unwrap();
    for _ in 0..20 {
        host.call("misbehave", "echo", json!(1)).unwrap();
        host.call("misbehave", "panic", json!({"message": "x"})).unwrap_err();
        assert_eq!(mapped(&folder), 1);
        let unloaded = host.unload("misbehave").unwrap();
        assert_eq!(unloaded.pinned, None);
        assert_eq!(mapped(&folder), 0);
        host.load("misbehave").unwrap();
    }
}

#[test]
fn a_closed_library_that_left_a_thread_local_is_still_mapped_until_the_thread_ends() {
    let Some(folder) = without_hooks() else { return };
    // SAFETY: what stays behind is a thread-local that the C library knows of,
    // so it keeps the library as long as the thread lives.
    let host = unsafe { folder.host().close_on_unload() }.build().unwrap();
    host.start().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            host.call("misbehave", "thread_local", json!({})).unwrap();
            let unloaded = host.unload("misbehave").unwrap();
            assert_eq!(unloaded.pinned, Some(plugbay_loader::Pin::StillMapped));
            assert_eq!(mapped(&folder), 1);
        });
        // The end of the scope would not wait for the thread's own end.
        thread.join().unwrap();
    });
    // The next change of the host looks again.
    host.start().unwrap();
    assert!(host.pinned().is_empty());
    assert_eq!(mapped(&folder), 1);
}
