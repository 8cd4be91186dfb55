//! Plugins that are loaded when they are called for the first time, and whose file is being
//! written or broken then: what was verified is what runs.

use std::fs;
use std::io::Write;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{CallError, Event, Events, Explain, Happening, Host, WatchOptions};
use plugbay_tests::{Folder, next, piece, until};

const ON_DEMAND: &str = "activation = \"on-demand\"\n";

fn count(host: &Host, plugin: &str) -> Result<Value, CallError> {
    host.call(plugin, "count", json!({}))
}

fn version(host: &Host, plugin: &str) -> String {
    host.status(plugin).map(|it| it.manifest.version.to_string()).unwrap_or_default()
}

fn watched(folder: &Folder) -> (Host, Events) {
    let host = folder.host().watch(WatchOptions::default()).build().unwrap();
    host.start().unwrap();
    let events = host.events();
    (host, events)
}

fn next_refused(events: &Events) -> Event {
    next(events, |it| matches!(it, Happening::Refused { .. } | Happening::Kept { .. }))
}

#[test]
fn a_call_while_its_file_is_copied_over_is_answered_by_the_version_that_was_there() {
    let folder = Folder::new();
    let (old, new) = (piece("a", "1.0.0", ON_DEMAND), piece("a", "2.0.0", ON_DEMAND));
    let path = folder.write("a.so", &old);
    let (host, events) = watched(&folder);
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(&new[..new.len() / 2]).unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
    assert_eq!(version(&host, "a"), "1.0.0");
    assert!(host.refused().is_empty());
    writer.write_all(&new[new.len() / 2..]).unwrap();
    drop(writer);
    next(&events, |it| matches!(it, Happening::Reloaded(_)));
    assert_eq!(version(&host, "a"), "2.0.0");
    count(&host, "a").unwrap();
}

#[test]
fn the_same_where_nobody_watches_until_it_is_looked_at_again() {
    let folder = Folder::new();
    let (old, new) = (piece("a", "1.0.0", ON_DEMAND), piece("a", "2.0.0", ON_DEMAND));
    let path = folder.write("a.so", &old);
    let (host, _) = folder.start();
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(&new[..new.len() / 2]).unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
    assert_eq!(host.refused()[0].error.code(), "PB0223");
    drop(writer);
    assert_eq!(host.reload("a").unwrap_err().code(), "PB0210");
    assert_eq!(version(&host, "a"), "1.0.0");
    fs::write(&path, &new).unwrap();
    host.reload("a").unwrap();
    assert_eq!(version(&host, "a"), "2.0.0");
    assert!(host.refused().is_empty());
}

#[test]
fn a_file_that_is_cut_off_and_left_so_takes_nothing_away() {
    let folder = Folder::new();
    let (old, new) = (piece("a", "2.0.0", ON_DEMAND), piece("a", "3.0.0", ON_DEMAND));
    folder.write("a.so", &old);
    // Which is not to come up in its place.
    folder.write("older.so", piece("a", "1.0.0", ON_DEMAND));
    let needs = format!("{ON_DEMAND}[dependencies]\na = \"*\"\n");
    folder.write("b.so", piece("b", "1.0.0", &needs));
    let (host, events) = watched(&folder);
    folder.put_whole("a.so", &new[..new.len() / 2]);
    let refused = next_refused(&events);
    assert!(matches!(&refused.happening, Happening::Refused { code, .. } if code == "PB0210"));
    assert_eq!((version(&host, "a"), version(&host, "b")), ("2.0.0".into(), "1.0.0".into()));
    // Nor does a look at all folders take it away.
    host.reload_all().unwrap();
    assert_eq!(host.reload("a").unwrap_err().code(), "PB0210");
    assert_eq!(count(&host, "b").unwrap(), 1);
    assert_eq!(count(&host, "a").unwrap(), 1);
    host.reload_all().unwrap();
    assert_eq!(version(&host, "a"), "2.0.0");
    assert!(host.refused().iter().any(|it| it.error.code() == "PB0210"));
    folder.put_whole("a.so", &new);
    next(&events, |it| matches!(it, Happening::Reloaded(_)));
    assert_eq!(version(&host, "a"), "3.0.0");
    assert!(host.refused().iter().all(|it| it.error.code() != "PB0210"));
}

#[test]
fn what_slept_is_gone_with_its_broken_file() {
    let folder = Folder::new();
    let old = piece("a", "1.0.0", ON_DEMAND);
    let path = folder.write("a.so", &old);
    let (host, events) = watched(&folder);
    folder.put_whole("a.so", &old[..old.len() / 2]);
    next_refused(&events);
    fs::remove_file(path).unwrap();
    until(|| host.status("a").is_none());
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0701");
}
