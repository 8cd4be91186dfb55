//! Plugins that are loaded when they are called for the first time, and whose file is being
//! written or broken then: what was verified is what runs.

use std::fs;
use std::io::Write;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{
    CallError, Event, Events, Explain, Happening, Host, Policy, Versions, WatchOptions,
};
use plugbay_tests::{Folder, broken_piece, next, piece, until};

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

#[test]
fn what_stands_beside_its_file_takes_nothing_away_either() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    folder.write("a.plugin.json", json!({ "id": "a", "version": "9.0.0" }).to_string());
    assert_eq!(count(&host, "a").unwrap(), 1);
    assert_eq!(host.refused()[0].error.code(), "PB0224");
}

#[test]
fn a_file_that_is_right_again_is_refused_no_more_and_its_next_break_is_told() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", ON_DEMAND);
    folder.write("a.so", &library);
    let (host, events) = watched(&folder);
    for _ in 0..2 {
        folder.write("a.so", &library[..library.len() / 2]);
        next_refused(&events);
        assert_eq!(host.refused()[0].error.code(), "PB0210");
        folder.write("a.so", &library);
        until(|| host.refused().is_empty());
    }
}

#[test]
fn the_broken_file_of_a_line_that_sleeps_is_no_reason_for_another_one() {
    let folder = Folder::new();
    folder.write("a1.so", piece("a", "1.1.0", ""));
    folder.write("a2.so", piece("a", "2.0.0", ON_DEMAND));
    let lines = |policy: &mut Policy| policy.versions = Versions::Compatible;
    let host = folder.host().policy(lines).build().unwrap();
    host.start().unwrap();
    fs::write(folder.plugins().join("a2.so"), "half").unwrap();
    folder.write("a1.so", piece("a", "1.9.0", ""));
    host.reload("a@1").unwrap();
    assert_eq!(version(&host, "a@1"), "1.9.0");
    assert_eq!(host.reload("a@2").unwrap_err().code(), "PB0209");
    host.call("a@2", "count", json!({})).unwrap();
}

/// It was verified to be loaded with another one, and its only copy was dropped when that one
/// could not be.
#[test]
fn what_was_to_wake_with_one_that_is_gone_sleeps_on_as_it_was() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", ON_DEMAND);
    let path = folder.write("a.so", &library);
    let gone = folder.write("b.so", piece("b", "1.0.0", ON_DEMAND));
    let needs = format!("{ON_DEMAND}[dependencies]\na = \"*\"\nb = \"*\"\n");
    folder.write("c.so", piece("c", "1.0.0", &needs));
    let (host, _) = folder.start();
    fs::remove_file(gone).unwrap();
    assert_eq!(count(&host, "c").unwrap_err().code(), "PB0307");
    fs::write(&path, &library[..library.len() / 2]).unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
}

#[test]
fn the_same_where_its_own_file_is_not_taken() {
    let folder = Folder::new();
    let path = folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let gone = folder.write("b.so", piece("b", "1.0.0", ON_DEMAND));
    let needs = format!("{ON_DEMAND}[dependencies]\na = \"*\"\nb = \"*\"\n");
    folder.write("c.so", piece("c", "1.0.0", &needs));
    let (host, _) = folder.start();
    let lacks = format!("{ON_DEMAND}[dependencies]\nnowhere = \"*\"\n");
    fs::write(&path, piece("a", "2.0.0", &lacks)).unwrap();
    assert_eq!(host.reload("a").unwrap_err().code(), "PB0307");
    fs::remove_file(gone).unwrap();
    assert_eq!(count(&host, "c").unwrap_err().code(), "PB0307");
    assert_eq!(count(&host, "a").unwrap(), 1);
}

#[test]
fn the_same_where_another_one_does_not_take_over() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", ON_DEMAND);
    let path = folder.write("a.so", &library);
    folder.write("s.so", piece("s", "1.0.0", ""));
    let (host, _) = folder.start();
    fs::write(&path, &library[..library.len() / 2]).unwrap();
    folder.put_whole("s.so", &broken_piece("s", "2.0.0", ""));
    folder.write("d.so", piece("d", "1.0.0", "[dependencies]\na = \"*\"\n"));
    host.reload_all().unwrap();
    assert_eq!(version(&host, "s"), "1.0.0");
    count(&host, "d").unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
}

/// One that serves went on, and one that slept was gone.
#[test]
fn what_is_written_over_one_that_sleeps_and_may_not_run_takes_nothing_away() {
    let folder = Folder::new();
    let lacks = format!("{ON_DEMAND}[dependencies]\nnowhere = \"*\"\n");
    for woken in [true, false] {
        folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
        let (host, events) = watched(&folder);
        folder.put_whole("a.so", &piece("a", "2.0.0", &lacks));
        next_refused(&events);
        assert_eq!(host.refused()[0].error.code(), "PB0307");
        if woken {
            assert_eq!(count(&host, "a").unwrap(), 1);
        }
        assert_eq!(version(&host, "a"), "1.0.0");
        assert_eq!(host.refused()[0].error.code(), "PB0307");
        folder.put_whole("a.so", &piece("a", "3.0.0", ON_DEMAND));
        until(|| version(&host, "a") == "3.0.0");
        count(&host, "a").unwrap();
        assert!(host.refused().is_empty());
    }
}

/// That it was broken was forgotten, and with it that something sleeps.
#[test]
fn a_look_at_the_whole_folder_while_a_broken_file_is_written_takes_nothing_away() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", ON_DEMAND);
    let path = folder.write("a.so", &library);
    let (host, events) = watched(&folder);
    fs::write(&path, &library[..library.len() / 2]).unwrap();
    next_refused(&events);
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(&library[..library.len() / 3]).unwrap();
    let away = folder.beside("away");
    fs::rename(folder.plugins(), &away).unwrap();
    fs::write(away.join("b.so"), piece("b", "1.0.0", "")).unwrap();
    fs::rename(&away, folder.plugins()).unwrap();
    next(&events, |it| matches!(it, Happening::Loaded { .. }));
    assert_eq!(count(&host, "a").unwrap(), 1);
    drop(writer);
}
