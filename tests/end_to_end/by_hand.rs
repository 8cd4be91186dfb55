//! Files that somebody loads by hand, also from outside of the folders.

use std::fs;

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::{Explain, Host, PluginState};
use plugbay_tests::{Folder, broken_piece, piece};

fn active(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    let active = plugins.iter().filter(|one| one.state == PluginState::Active);
    active.map(|one| format!("{} {}", one.name, one.manifest.version)).collect()
}

#[test]
fn a_file_from_outside_stays_whatever_else_changes() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "2.0.0", ""));
    let outside = folder.beside("mine.so");
    fs::write(&outside, piece("a", "1.0.0", "")).unwrap();
    let host = folder.host().build().unwrap();
    host.load_file(&outside).unwrap();
    assert_eq!(active(&host), ["a 1.0.0"]);
    // Neither a newer one in the folder, nor another plugin.
    folder.write("b.so", piece("b", "1.0.0", ""));
    host.start().unwrap();
    host.reload_all().unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    host.unload("b").unwrap();
    assert_eq!(active(&host), ["a 1.0.0"]);
    let plan = host.plan();
    let why: Vec<_> = plan.held_back().iter().map(ToString::to_string).collect();
    assert!(why.iter().any(|it| it.contains("another file of it is loaded by hand")), "{why:?}");
    // Until one of those is asked for.
    host.reload("a").unwrap();
    assert_eq!(active(&host), ["a 2.0.0"]);
    host.load("b").unwrap();
    assert_eq!(active(&host), ["a 2.0.0", "b 1.0.0"]);
}

#[test]
fn one_from_outside_is_disabled_and_enabled_unloaded_and_loaded() {
    let folder = Folder::new();
    let outside = folder.beside("mine.so");
    fs::write(&outside, piece("a", "1.0.0", "")).unwrap();
    let host = folder.host().build().unwrap();
    host.start().unwrap();
    host.load_file(&outside).unwrap();
    host.call("a", "count", json!({})).unwrap();
    host.disable("a").unwrap();
    assert!(active(&host).is_empty());
    host.enable("a").unwrap();
    assert_eq!(active(&host), ["a 1.0.0"]);
    host.unload("a").unwrap();
    host.load("a").unwrap();
    assert_eq!(host.call("a", "count", json!({})).unwrap(), 2);
    // Its new bytes.
    fs::rename(&outside, folder.beside("old.so")).unwrap();
    fs::write(&outside, piece("a", "1.1.0", "")).unwrap();
    host.reload("a").unwrap();
    assert_eq!(active(&host), ["a 1.1.0"]);
    // What is not there any more is found no more.
    host.unload("a").unwrap();
    fs::remove_file(&outside).unwrap();
    assert_eq!(host.load("a").unwrap_err().code(), "PB0905");
}

#[test]
fn what_is_put_beside_it_later_is_found() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", "[dependencies]\nb = \"1\"\n"));
    let (host, _) = folder.start();
    assert!(active(&host).is_empty());
    folder.write("b.so", piece("b", "1.0.0", ""));
    host.load("a").unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
}

#[test]
fn one_that_is_named_is_loaded_though_the_host_was_built_with_others() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let host = folder.host().only("a").build().unwrap();
    host.start().unwrap();
    assert_eq!(active(&host), ["a 1.0.0"]);
    host.load("b").unwrap();
    host.reload_all().unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
}

#[test]
fn a_file_from_outside_that_fails_takes_nothing_away() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", "activation = \"on-demand\"\n"));
    let (host, _) = folder.start();
    let outside = folder.beside("mine.so");
    fs::write(&outside, broken_piece("a", "3.0.0", "")).unwrap();
    assert_eq!(host.load_file(&outside).unwrap_err().code(), "PB0601");
    assert_eq!(host.call("a", "count", json!({})).unwrap(), 1);
}

#[test]
fn a_file_that_becomes_another_line_leaves_what_is_needed() {
    let folder = Folder::new();
    folder.write("user.so", piece("user", "1.0.0", "[dependencies]\nsql = \"^1\"\n"));
    let lines = |policy: &mut plugbay_loader::Policy| {
        policy.versions = plugbay_loader::Versions::Compatible;
    };
    let host = folder.host().policy(lines).build().unwrap();
    host.start().unwrap();
    let outside = folder.beside("mine.so");
    fs::write(&outside, piece("sql", "1.4.0", "")).unwrap();
    host.load_file(&outside).unwrap();
    host.reload_all().unwrap();
    fs::rename(&outside, folder.beside("old.so")).unwrap();
    fs::write(&outside, piece("sql", "2.0.0", "")).unwrap();
    host.load_file(&outside).unwrap();
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0", "user@1 1.0.0"]);
}
