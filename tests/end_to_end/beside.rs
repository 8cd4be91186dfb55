//! Manifests beside libraries: `plugin.json`, compared before anything is loaded.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::{Events, Explain, Happening, Notice, PluginState, StartReport, WatchOptions};
use plugbay_tests::{Folder, piece, root, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// The codes of what is refused, and why.
fn refused(report: &StartReport) -> Vec<(String, String)> {
    let told = |refusal: &&_| -> (String, String) {
        let refusal: &plugbay_loader::Refusal = refusal;
        (refusal.error.code().to_owned(), refusal.reason())
    };
    report.refused.iter().map(|it| &**it).map(|it| told(&it)).collect()
}

fn wait_for(events: &Events, what: &str, fits: impl Fn(&Happening) -> bool) {
    let mut seen = Vec::new();
    while let Some(event) = events.next_within(PATIENCE) {
        if fits(&event.happening) {
            return;
        }
        seen.push(event);
    }
    panic!("{what} did not come, but {seen:#?}");
}

/// How many contents were loaded in a child process.
fn verdicts(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { verdicts(&path) } else { 1 }).sum()
}

#[test]
fn one_that_says_the_same_changes_nothing() {
    let folder = Folder::new();
    let more = "host = \">=0.1\"\nfeatures = [\"state\"]\n[dependencies]\nb = \"^1\"\n";
    folder.write("liba.so", piece("a", "1.0.0", more));
    folder.write("b.so", piece("b", "1.4.0", ""));
    folder.write(
        "a.plugin.json",
        r#"{"id": "a", "name": "a", "version": "1.0.0", "minHostVersion": "0.1",
            "requiredFeatures": ["state"], "dependencies": ["b@1"], "permissions": []}"#,
    );
    folder.write("plugin.json", r#"{"id": "b", "version": "1.4.0"}"#);
    let (host, report) = folder.start();
    assert_eq!(refused(&report), []);
    assert_eq!(report.notices, []);
    assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(1));
}

#[test]
fn one_that_says_something_else_refuses_its_library_before_anything_is_loaded() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    folder.write("a.plugin.json", r#"{"id": "a", "version": "2.0.0", "name": "b"}"#);
    let (host, report) = folder.start();
    let [(code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB0224");
    for word in ["a.plugin.json", "`version` is \"2.0.0\"", "\"1.0.0\" in the library", "`name`"] {
        assert!(reason.contains(word), "{word}: {reason}");
    }
    assert_eq!(report.active.len(), 1);
    assert_eq!(report.refused[0].plugin.as_ref().unwrap().0.as_str(), "a");
    // Not even a child process has loaded it: b's is the only verdict.
    assert_eq!(verdicts(&folder.beside("cache/verdicts")), 1);
    drop(host);
    folder.write("a.plugin.json", "{\"id\": \"a\",\n\"permision\": []}");
    let (_, report) = folder.start();
    let [(code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB0225");
    assert!(reason.contains("line 2") && reason.contains("`permissions`"), "{reason}");
}

#[test]
fn permissions_are_those_of_the_library_or_an_error() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", "permissions = [\"read-files\"]\n"));
    folder.write("plugin.json", r#"{"id": "a", "permissions": ["read-files", "network"]}"#);
    let (_, report) = folder.start();
    let [(code, reason)] = &refused(&report)[..] else { panic!("{report:?}") };
    assert_eq!(code, "PB0224");
    assert!(reason.contains("`permissions` is [\"read-files\", \"network\"]"), "{reason}");
    folder.write("plugin.json", r#"{"id": "a", "permissions": ["read-files"]}"#);
    assert_eq!(refused(&folder.start().1), []);
}

#[test]
fn one_of_another_id_refuses_a_library_that_is_alone_and_is_told_among_others() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("plugin.json", r#"{"id": "z"}"#);
    let (_, report) = folder.start();
    assert_eq!(refused(&report)[0].0, "PB0224");
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (_, report) = folder.start();
    assert_eq!(refused(&report), []);
    let [Notice::Beside { code, problem, .. }] = &report.notices[..] else { panic!("{report:?}") };
    assert!(code == "PB0227" && problem.contains("`z`"), "{code}: {problem}");
}

#[test]
fn a_fifo_or_a_folder_beside_a_library_keeps_nobody_waiting() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let fifo = folder.plugins().join("a.plugin.json");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(folder.plugins().join("b.plugin.json")).unwrap();
    let (_, report) = folder.start();
    let codes: Vec<_> = refused(&report).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["PB0226", "PB0226"]);
}

#[test]
fn a_library_is_looked_at_again_when_its_manifest_comes_changes_and_goes() {
    for name in ["plugin.json", "a.plugin.json"] {
        let folder = Folder::new();
        folder.write("liba.so", piece("a", "1.0.0", ""));
        folder.write("b.so", piece("b", "1.0.0", ""));
        folder.put_whole(name, br#"{"id": "a", "version": "3.0.0"}"#);
        let host = folder.host().watch(WatchOptions::default()).build().unwrap();
        let events = host.events();
        let report = host.start().unwrap();
        assert_eq!(refused(&report)[0].0, "PB0224");

        // Corrected: it comes up.
        folder.put_whole(name, br#"{"id": "a", "version": "1.0.0"}"#);
        wait_for(
            &events,
            "loaded",
            |event| matches!(event, Happening::Loaded { plugin, .. } if plugin.as_str() == "a"),
        );
        host.call("a", "count", json!(null)).unwrap();
        assert!(host.refused().is_empty(), "{:?}", host.refused());

        // Wrong again: what serves goes on, and it is told.
        folder.put_whole(name, br#"{"id": "a", "version": "3.0.0"}"#);
        wait_for(
            &events,
            "kept",
            |event| matches!(event, Happening::Kept { code, .. } if code == "PB0224"),
        );
        assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(2));

        // Gone: nothing stands against the library's next version.
        fs::remove_file(folder.plugins().join(name)).unwrap();
        until(|| host.refused().is_empty());
        folder.put_whole("liba.so", &piece("a", "1.1.0", ""));
        wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
        assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(3));
    }
}

#[test]
fn the_only_library_is_looked_at_again_when_the_manifests_own_comes() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("plugin.json", r#"{"id": "b"}"#);
    let host = folder.host().watch(WatchOptions::default()).build().unwrap();
    let events = host.events();
    assert_eq!(refused(&host.start().unwrap())[0].0, "PB0224");
    folder.put_whole("b.so", &piece("b", "1.0.0", ""));
    for id in ["b", "a"] {
        wait_for(
            &events,
            id,
            |event| matches!(event, Happening::Loaded { plugin, .. } if plugin.as_str() == id),
        );
    }
    let plugins = host.plugins();
    assert!(plugins.iter().all(|plugin| plugin.state == PluginState::Active), "{plugins:?}");
}

#[test]
fn host_app_checks_and_shows_it() {
    let folder = Folder::new();
    let program = {
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "-q", "-p", "plugbay-host-app"])
            .current_dir(root())
            .status();
        assert!(built.unwrap().success());
        plugbay_tests::worker().with_file_name("host-app")
    };
    let host_app = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(arguments)
            .env("XDG_CONFIG_HOME", folder.beside("config"))
            .env("XDG_CACHE_HOME", folder.beside("cache"))
            .env("XDG_DATA_HOME", folder.beside("data"))
            .env("PLUGBAY_PLUGIN_PATH", folder.plugins())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    folder.write("liba.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    folder.write("a.plugin.json", r#"{"id": "a"}"#);
    folder.write("plugin.json", r#"{"id": "z"}"#);
    let (code, text) = host_app(&["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("note:") && text.contains("PB0227"), "{text}");
    let (_, text) = host_app(&["inspect", "a"]);
    assert!(text.contains("a.plugin.json"), "{text}");
    folder.write("a.plugin.json", r#"{"id": "a", "version": "2.0.0"}"#);
    let (code, text) = host_app(&["check"]);
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("PB0224") && text.contains("\"2.0.0\""), "{text}");
    let (_, text) = host_app(&["inspect", "a"]);
    assert!(text.contains("would be refused PB0224"), "{text}");
}
