//! What happens to folders, removals, overflows, and polling.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use notify::event::{Event, EventKind, Flag};

use super::super::events::Message;
use super::super::{Changes, Folder, WatchError, poll_instead};
use super::{Change, WatchOptions, Watched, Watcher, library};
use crate::Explain;

#[test]
fn a_folder_that_is_made_later_is_watched_from_then_on() {
    let watched = Watched::with(WatchOptions::default(), "one/two/plugins");
    let plugin = watched.plugin("a.so");
    fs::create_dir_all(&watched.plugins).unwrap();
    watched.rescan();
    fs::write(&plugin, library(1)).unwrap();
    assert_eq!(watched.ready(&plugin), library(1));
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_watched() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    for seed in 1..=3 {
        fs::write(&plugin, library(seed)).unwrap();
        assert_eq!(watched.ready(&plugin), library(seed));
        // As a shell that stands in it: the kernel keeps the folder and says less.
        let _kept = File::open(&watched.plugins).unwrap();
        fs::remove_dir_all(&watched.plugins).unwrap();
        watched.gone(&plugin);
        fs::create_dir(&watched.plugins).unwrap();
        watched.rescan();
    }
}

#[test]
fn a_folder_that_is_removed_for_good_is_told() {
    let watched = Watched::new();
    fs::remove_dir_all(&watched.plugins).unwrap();
    watched.rescan();
}

#[test]
fn a_folder_that_is_exchanged_is_rescanned_at_once() {
    let watched = Watched::new();
    let (new, old) = (watched.outside.join("new"), watched.outside.join("old"));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("a.so"), library(1)).unwrap();
    fs::rename(&watched.plugins, &old).unwrap();
    fs::rename(&new, &watched.plugins).unwrap();
    watched.rescan();
    // The old one is nobody's any more; the new one is watched.
    fs::write(old.join("b.so"), library(2)).unwrap();
    fs::write(watched.plugin("c.so"), library(3)).unwrap();
    match watched.next() {
        Change::Ready { path, .. } => assert_eq!(path, watched.plugin("c.so")),
        Change::Rescan { .. } => assert_eq!(watched.ready(&watched.plugin("c.so")), library(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_above_that_is_renamed_away_and_back() {
    let watched = Watched::with(WatchOptions::default(), "one/two/plugins");
    let one = watched.plugins.parent().unwrap().parent().unwrap().to_owned();
    fs::create_dir_all(&watched.plugins).unwrap();
    watched.rescan();
    let away = watched.outside.join("away");
    fs::rename(&one, &away).unwrap();
    watched.rescan();
    fs::rename(&away, &one).unwrap();
    watched.rescan();
    let plugin = watched.plugin("a.so");
    fs::write(&plugin, library(1)).unwrap();
    assert_eq!(watched.ready(&plugin), library(1));
}

#[test]
fn a_plugins_folder_that_is_a_link_is_followed_when_it_leads_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    let plugins = dir.path().join("plugins");
    symlink(&one, &plugins).unwrap();
    let (_watcher, changes) =
        Watcher::start(vec![plugins.clone()], WatchOptions::default()).unwrap();
    let next = || changes.recv_timeout(super::PATIENCE).unwrap();
    fs::write(one.join("a.so"), "a").unwrap();
    assert!(matches!(next(), Change::Ready { path, .. } if path == plugins.join("a.so")));
    let aside = dir.path().join("aside");
    symlink(&two, &aside).unwrap();
    fs::rename(&aside, &plugins).unwrap();
    // A file that is closed at once may be told twice.
    let mut change = next();
    while let Change::Ready { path, .. } = &change {
        assert_eq!(*path, plugins.join("a.so"));
        change = next();
    }
    assert!(matches!(change, Change::Rescan { .. }));
    fs::write(two.join("b.so"), "b").unwrap();
    assert!(matches!(next(), Change::Ready { path, .. } if path == plugins.join("b.so")));
}

#[test]
fn a_removal_is_told_after_the_grace() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    fs::write(&plugin, library(1)).unwrap();
    watched.ready(&plugin);
    let begin = Instant::now();
    fs::remove_file(&plugin).unwrap();
    let seen = watched.gone(&plugin);
    assert!(begin.elapsed() >= WatchOptions::default().removal_grace);
    assert!(seen >= begin);
}

#[test]
fn a_renamed_library_is_gone_and_ready() {
    let watched = Watched::new();
    let (old, new) = (watched.plugin("a.so"), watched.plugin("b.so"));
    fs::write(&old, library(1)).unwrap();
    watched.ready(&old);
    fs::rename(&old, &new).unwrap();
    assert_eq!(watched.ready(&new), library(1));
    watched.gone(&old);
}

#[test]
fn a_file_made_anew_within_the_grace_is_not_gone() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    fs::write(&plugin, library(0)).unwrap();
    // Made before: that takes longer than the grace on a busy machine.
    let versions: Vec<_> = (1..=20).map(library).collect();
    for version in &versions {
        fs::remove_file(&plugin).unwrap();
        fs::write(&plugin, version).unwrap();
    }
    let told = watched.told_after_grace(&plugin);
    assert_eq!(told.gone, 0);
    assert_eq!(told.ready.last(), versions.last());
}

#[test]
fn an_overflow_of_events_leads_to_a_rescan_that_names_the_unfinished() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    fs::write(watched.plugin("b.so"), library(2)).unwrap();
    let mut file = File::create(&plugin).unwrap();
    file.write_all(&library(1)).unwrap();
    // As notify tells of IN_Q_OVERFLOW.
    let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    watched.watcher.messages.send(Message::Event(Instant::now(), Ok(event))).unwrap();
    assert_eq!(watched.rescan(), std::slice::from_ref(&plugin));
    drop(file);
    assert_eq!(watched.ready(&plugin), library(1));
}

#[test]
fn when_no_more_watches_are_to_be_had_the_folders_are_polled() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().to_owned();
    let (messages, inbox) = crossbeam_channel::unbounded();
    let (changes, told) = crossbeam_channel::unbounded();
    let folders = vec![Folder::new(plugins.clone())];
    let body = move || {
        let error = WatchError::Watches { path: dir.path().to_owned() };
        poll_instead(error, folders, Changes(changes), Duration::ZERO, &inbox);
    };
    let thread = std::thread::spawn(body);
    let next = || told.recv_timeout(super::PATIENCE).unwrap();
    match next() {
        Change::Problem { error, .. } => {
            let hint = error.hint();
            assert!(hint.contains("fs.inotify.max_user_watches"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(), Change::Rescan { .. }));
    fs::write(plugins.join("a.so"), "a").unwrap();
    assert!(matches!(next(), Change::Ready { path, .. } if path == plugins.join("a.so")));
    messages.send(Message::Stop).unwrap();
    thread.join().unwrap();
}

fn polling() -> WatchOptions {
    WatchOptions { poll: Some(Duration::from_millis(20)), ..WatchOptions::default() }
}

#[test]
fn polling_tells_of_new_changed_and_removed_files() {
    let watched = Watched::with(polling(), "plugins");
    let plugin = watched.plugin("a.so");
    fs::write(&plugin, library(1)).unwrap();
    assert_eq!(watched.ready(&plugin), library(1));
    fs::write(&plugin, library(2)).unwrap();
    assert_eq!(watched.ready(&plugin), library(2));
    fs::remove_file(&plugin).unwrap();
    watched.gone(&plugin);
    fs::remove_dir_all(&watched.plugins).unwrap();
    fs::create_dir(&watched.plugins).unwrap();
    fs::write(&plugin, library(3)).unwrap();
    assert_eq!(watched.ready(&plugin), library(3));
}

#[test]
fn polling_waits_for_a_slow_writer() {
    let mut watched = Watched::with(polling(), "plugins");
    let plugin = watched.plugin("a.so");
    let mut file = File::create(&plugin).unwrap();
    file.write_all(b"half").unwrap();
    let told = watched.told_during(&plugin, || {});
    assert!(told.ready.is_empty());
    file.write_all(b" and half").unwrap();
    drop(file);
    assert_eq!(watched.ready(&plugin), b"half and half");
}

#[test]
fn dropping_the_watcher_ends_its_thread() {
    let Watched { watcher, changes, .. } = Watched::new();
    drop(watcher);
    // The thread had the only other end.
    assert!(changes.recv_timeout(super::PATIENCE).is_err_and(|error| error.is_disconnected()));
}

#[test]
fn the_same_folder_named_twice_tells_once() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let again = dir.path().join("again");
    symlink(&plugins, &again).unwrap();
    let folders = vec![plugins.clone(), again];
    let (_watcher, changes) = Watcher::start(folders, WatchOptions::default()).unwrap();
    let last = plugins.join("b.so");
    for name in ["a.so", "b.so"] {
        fs::write(plugins.join(name), name).unwrap();
    }
    loop {
        match changes.recv_timeout(super::PATIENCE).unwrap() {
            Change::Ready { path, .. } if path == last => break,
            Change::Ready { path, .. } => assert_eq!(path, plugins.join("a.so")),
            other => panic!("{other:?}"),
        }
    }
}
