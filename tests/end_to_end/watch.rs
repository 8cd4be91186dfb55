//! A host that watches its folder, with real plugins and real files.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::{Event, Events, Explain, Happening, Host, HostBuilder, WatchOptions};
use plugbay_tests::{Folder, build, until, with_embedded};

const PATIENCE: Duration = Duration::from_secs(30);

/// kv in another version: other bytes, the same code.
fn kv(version: &str) -> Vec<u8> {
    with_embedded(&fs::read(build("plugbay-plugin-kv")).unwrap(), |embedded| {
        embedded.manifest.version = version.parse().unwrap();
        embedded.manifest.description.clear();
    })
}

/// The first event that fits; all before it are shown when none comes.
fn wait_for(events: &Events, what: &str, fits: impl Fn(&Happening) -> bool) -> Event {
    let mut seen = Vec::new();
    while let Some(event) = events.next_within(PATIENCE) {
        if fits(&event.happening) {
            return event;
        }
        seen.push(event);
    }
    panic!("{what} did not come, but {seen:#?}");
}

/// A host that watches, and what it tells from its start on.
fn watched(host: HostBuilder) -> (Host, Events) {
    let host = host.watch(WatchOptions::default()).build().unwrap();
    let events = host.events();
    host.start().unwrap();
    (host, events)
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn a_file_is_loaded_reloaded_and_unloaded_as_it_comes_changes_and_goes() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host());

    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    host.call("kv", "increment", json!({"key": "n"})).unwrap();

    folder.put_whole("libkv.so", &kv("1.1.0"));
    let event = wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    let Happening::Reloaded(reloaded) = event.happening else { unreachable!() };
    assert_eq!(
        (reloaded.from.to_string(), reloaded.to.to_string()),
        ("1.0.0".into(), "1.1.0".into())
    );
    assert!(reloaded.times.detect.is_some() && reloaded.times.pause.is_some());
    let now = host.call("kv", "increment", json!({"key": "n"})).unwrap();
    assert_eq!(now["value"], json!(2), "{now}");

    // Written in place, and cut off on the way: the one that serves goes on.
    let next = kv("1.2.0");
    fs::write(folder.plugins().join("libkv.so"), &next[..next.len() / 2]).unwrap();
    let event = wait_for(&events, "kept", |event| matches!(event, Happening::Kept { .. }));
    let Happening::Kept { code, version, .. } = event.happening else { unreachable!() };
    assert_eq!((code.as_str(), version.to_string()), ("PB0210", "1.1.0".into()));
    fs::write(folder.plugins().join("libkv.so"), &next).unwrap();
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    let now = host.call("kv", "increment", json!({"key": "n"})).unwrap();
    assert_eq!(now["value"], json!(3), "{now}");

    remove(&folder.plugins().join("libkv.so"));
    wait_for(&events, "unloaded", |event| matches!(event, Happening::Unloaded { .. }));
    // It comes back with the state that it had.
    folder.put_whole("other.so", &kv("1.3.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    let now = host.call("kv", "increment", json!({"key": "n"})).unwrap();
    assert_eq!(now["value"], json!(4), "{now}");
}

#[test]
fn of_two_files_of_one_plugin_the_newer_serves_and_the_older_takes_over() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host());
    let version = || host.plugins()[0].manifest.version.to_string();

    folder.put_whole("a.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    folder.put_whole("b.so", &kv("2.0.0"));
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    assert_eq!(version(), "2.0.0");
    // An older one changes nothing, and is told.
    folder.put_whole("c.so", &kv("0.9.0"));
    wait_for(
        &events,
        "refused",
        |event| matches!(event, Happening::Refused { code, path, .. } if code == "PB0302" && path.ends_with("c.so")),
    );
    assert_eq!(version(), "2.0.0");
    remove(&folder.plugins().join("b.so"));
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    assert_eq!(version(), "1.0.0");
}

/// Its bytes are those that were there before: it is the drop that counts.
#[test]
fn what_is_removed_and_put_back_serves_again() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host());
    let loaded = |what: &Happening| matches!(what, Happening::Loaded { .. });
    let unloaded = |what: &Happening| matches!(what, Happening::Unloaded { .. });
    let count = |to: u64| {
        let now = host.call("kv", "increment", json!({"key": "n"})).unwrap();
        assert_eq!(now["value"], json!(to), "{now}");
    };
    let path = folder.plugins().join("libkv.so");
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded", loaded);
    count(1);
    remove(&path);
    wait_for(&events, "unloaded", unloaded);
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded again", loaded);
    count(2);
    // The same with the whole folder.
    let away = folder.beside("away");
    fs::rename(folder.plugins(), &away).unwrap();
    wait_for(&events, "unloaded with its folder", unloaded);
    fs::rename(&away, folder.plugins()).unwrap();
    wait_for(&events, "loaded with its folder", loaded);
    count(3);
    // And after an unload by hand, for which a file that is left alone waits.
    host.unload("kv").unwrap();
    wait_for(&events, "unloaded by hand", unloaded);
    host.reload_all().unwrap();
    assert!(host.call("kv", "get", json!({"key": "n"})).is_err());
    // Whoever goes later is told later.
    let later = folder.plugins().join("answer.so");
    folder.put_whole("answer.so", &fs::read(build("plugbay-fixture-answer")).unwrap());
    wait_for(&events, "another one loaded", loaded);
    remove(&path);
    remove(&later);
    wait_for(&events, "another one unloaded", unloaded);
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded after all", loaded);
    count(4);
}

#[test]
fn a_host_may_look_at_intervals_and_keep_what_is_removed() {
    let folder = Folder::new();
    let mut options = WatchOptions::default();
    options.poll = Some(Duration::from_millis(50));
    let host = folder.host().watch(options).keep_removed(true).build().unwrap();
    let events = host.events();
    host.start().unwrap();
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    remove(&folder.plugins().join("libkv.so"));
    // What comes after it is seen after it.
    folder.put_whole("libkv.so", &kv("1.1.0"));
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    host.call("kv", "increment", json!({"key": "n"})).unwrap();
}

#[test]
fn a_folder_that_is_made_later_is_watched() {
    let folder = Folder::new();
    let later = folder.beside("later/still/plugins");
    let (_host, events) = watched(folder.host().plugin_dir(&later));
    fs::create_dir_all(&later).unwrap();
    fs::write(later.join("libkv.so"), kv("1.0.0")).unwrap();
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
}

#[test]
fn a_disabled_plugin_stays_so_whatever_happens_to_its_file() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host());
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    host.disable("kv").unwrap();
    folder.put_whole("libkv.so", &kv("1.1.0"));
    wait_for(
        &events,
        "refused",
        |event| matches!(event, Happening::Refused { code, .. } if code == "PB0305"),
    );
    assert_eq!(host.reload("kv").unwrap_err().code(), "PB0305");
    host.enable("kv").unwrap();
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "1.1.0");
}

#[test]
fn an_older_version_does_not_take_over_because_the_newer_file_broke() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host());
    folder.put_whole("one.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    folder.put_whole("two.so", &kv("2.0.0"));
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    folder.put_whole("two.so", b"broken");
    wait_for(&events, "kept", |event| matches!(event, Happening::Kept { .. }));
    // What is seen after them is seen after they had no effect.
    folder.put_whole("one.so", &kv("1.0.0"));
    folder.put_whole("text.so", b"text");
    wait_for(
        &events,
        "refused",
        |event| matches!(event, Happening::Refused { path, .. } if path.ends_with("text.so")),
    );
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "2.0.0");
}

#[test]
fn a_file_whose_plugin_is_in_use_goes_and_comes_when_nobody_uses_it() {
    let folder = Folder::new();
    let (host, events) = watched(folder.host().drain_limit(Duration::from_millis(200)));
    folder.put_whole("libkv.so", &kv("1.0.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
    let handle = host.plugin("kv").unwrap();
    let lease = handle.hold().unwrap();
    folder.put_whole("libkv.so", &kv("1.1.0"));
    wait_for(
        &events,
        "kept",
        |event| matches!(event, Happening::Kept { code, .. } if code == "PB1101"),
    );
    drop(lease);
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    let lease = handle.hold().unwrap();
    remove(&folder.plugins().join("libkv.so"));
    wait_for(&events, "in use", |event| matches!(event, Happening::InUse { .. }));
    // It serves as long as that lasts, and nobody waits.
    for _ in 0..1000 {
        host.call("kv", "increment", json!({"key": "n"})).unwrap();
    }
    drop(lease);
    wait_for(&events, "unloaded", |event| matches!(event, Happening::Unloaded { .. }));
}

/// Short leases on four threads, so many that no moment is without any.
fn under_short_leases(host: &Host, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let handle = host.plugin("kv").unwrap();
    let short = || {
        while !over.load(Ordering::Relaxed)
            && let Ok(lease) = handle.enter()
        {
            // What is done under it.
            thread::sleep(Duration::from_millis(5));
            drop(lease);
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(short);
        }
        let all = |host: &Host| host.plugins()[0].generations[0].holders.len() > 3;
        until(|| all(host));
        work();
        over.store(true, Ordering::Relaxed);
    });
}

/// It was looked for a moment in which nobody used it, and there was none.
#[test]
fn what_was_in_use_once_ends_under_short_calls() {
    let folder = Folder::new();
    folder.put_whole("libkv.so", &kv("1.0.0"));
    let (host, events) = watched(folder.host().drain_limit(Duration::from_millis(100)));
    let long = host.plugin("kv").unwrap().hold().unwrap();
    remove(&folder.plugins().join("libkv.so"));
    wait_for(&events, "in use", |event| matches!(event, Happening::InUse { .. }));
    under_short_leases(&host, || {
        drop(long);
        let next = wait_for(&events, "unloaded", |_| true);
        assert!(matches!(next.happening, Happening::Unloaded { .. }), "{next:?}");
    });
}

#[test]
fn what_did_not_take_over_once_takes_over_under_short_calls() {
    let folder = Folder::new();
    folder.put_whole("libkv.so", &kv("1.0.0"));
    let (host, events) = watched(folder.host().drain_limit(Duration::from_millis(100)));
    let long = host.plugin("kv").unwrap().hold().unwrap();
    folder.put_whole("libkv.so", &kv("1.1.0"));
    wait_for(&events, "kept", |event| matches!(event, Happening::Kept { .. }));
    under_short_leases(&host, || {
        drop(long);
        let next = wait_for(&events, "reloaded", |_| true);
        assert!(matches!(next.happening, Happening::Reloaded(_)), "{next:?}");
    });
}

#[test]
fn half_of_a_version_over_another_is_not_taken() {
    use std::io::{Seek, Write};
    let folder = Folder::new();
    let path = folder.write("libkv.so", kv("1.0.0"));
    let (host, events) = watched(folder.host());
    // In place and without truncating, as rsync --inplace does.
    let next = kv("1.1.0");
    let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(&next[..next.len() / 2]).unwrap();
    assert_eq!(host.reload("kv").unwrap_err().code(), "PB0223");
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "1.0.0");
    writer.seek(std::io::SeekFrom::Start(next.len() as u64 / 2)).unwrap();
    writer.write_all(&next[next.len() / 2..]).unwrap();
    drop(writer);
    wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "1.1.0");
}

/// The clock has no such time, and the watching ended without a word.
#[test]
fn a_file_that_is_gone_may_be_waited_for_for_ever() {
    for poll in [None, Some(Duration::from_millis(10))] {
        let folder = Folder::new();
        folder.put_whole("libkv.so", &kv("1.0.0"));
        let mut options = WatchOptions::default();
        (options.poll, options.removal_grace) = (poll, Duration::MAX);
        let host = folder.host().watch(options).build().unwrap();
        let events = host.events();
        host.start().unwrap();
        remove(&folder.plugins().join("libkv.so"));
        // What comes later is seen later.
        let answer = fs::read(build("plugbay-fixture-answer")).unwrap();
        folder.put_whole("answer.so", &answer);
        wait_for(
            &events,
            "loaded",
            |event| matches!(event, Happening::Loaded { plugin, .. } if plugin.as_str() != "kv"),
        );
        folder.put_whole("libkv.so", &kv("1.1.0"));
        wait_for(&events, "reloaded", |event| matches!(event, Happening::Reloaded(_)));
    }
}

/// It was the end of the host's own thread, and of all watching.
#[test]
fn a_callback_of_the_program_may_panic() {
    static PANICS: AtomicBool = AtomicBool::new(false);
    let folder = Folder::new();
    let (_host, events) = watched(folder.host().on_progress(|_| {
        assert!(!PANICS.swap(false, Ordering::Relaxed), "on request");
    }));
    PANICS.store(true, Ordering::Relaxed);
    folder.put_whole("libkv.so", &kv("1.0.0"));
    until(|| !PANICS.load(Ordering::Relaxed));
    folder.put_whole("libkv.so", &kv("1.1.0"));
    wait_for(&events, "loaded", |event| matches!(event, Happening::Loaded { .. }));
}
