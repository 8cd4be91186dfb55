//! States on disk: what a save has acknowledged is there, whatever happens then.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugbay_loader::{Explain, Happening, Host, HostBuilder};
use plugbay_tests::{Folder, Turncoat, build, reloaded, turned, until, with_embedded, worker};
use serde_json::{Value, json};

const ID: &str = Turncoat::ID;
const SHORT: Duration = Duration::from_millis(300);

/// The fixture, asking for its state to be kept.
fn library() -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    with_embedded(&library, |embedded| embedded.manifest.state_persist = true)
}

fn serving(words: &str, change: impl FnOnce(HostBuilder) -> HostBuilder) -> Turncoat {
    Turncoat::of(library(), words, change)
}

fn kept(folder: &Folder) -> PathBuf {
    folder.beside("data/.state").join(ID)
}

/// What a host finds that is started anew.
fn found_by_the_next_host(folder: &Folder) -> Value {
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    host.call(ID, "get", json!({})).unwrap()
}

#[test]
fn a_save_is_on_the_disk_when_it_returns() {
    let bed = serving("1 ok ok ok", |host| host);
    assert!(!kept(&bed.folder).exists());
    for _ in 0..3 {
        bed.count();
        let bytes = bed.save(ID).unwrap();
        let content = fs::read(kept(&bed.folder)).unwrap();
        let (header, state) =
            content.split_at(content.iter().position(|byte| *byte == b'\n').unwrap() + 1);
        let header: Value = serde_json::from_slice(header).unwrap();
        let state: Value = serde_json::from_slice(state).unwrap();
        assert_eq!((&header["bytes"], &state["count"]), (&json!(bytes), &bed.ask("get")));
    }
    // Nothing was left beside it.
    assert_eq!(fs::read_dir(bed.folder.beside("data/.state")).unwrap().count(), 1);
}

#[test]
fn each_reload_and_the_end_keep_it_too() {
    let bed = serving("1 ok ok ok", |host| host);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    assert!(fs::read_to_string(kept(&bed.folder)).unwrap().contains(r#""count":1"#));
    bed.count();
    let folder = bed.end();
    assert_eq!(found_by_the_next_host(&folder), json!(2));
}

#[test]
fn who_does_not_ask_is_not_kept() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    assert_eq!(bed.save(ID).unwrap_err().code(), "PB1205");
    assert_eq!(bed.save("nobody").unwrap_err().code(), "PB1204");
    let folder = bed.end();
    assert!(!kept(&folder).exists());
}

/// The last good state was once removed when the next one could not be saved.
#[test]
fn a_state_that_cannot_be_saved_leaves_the_one_before() {
    for word in ["error", "panic", "huge", "hang"] {
        let bed = serving("1 ok ok ok", |host| {
            host.max_state(10_000).activation_deadline(SHORT).drain_limit(SHORT)
        });
        bed.count();
        bed.replace("1.1.0", &format!("2 {word} ok ok"));
        bed.count();
        let error = bed.save(ID).unwrap_err();
        assert!(error.code().starts_with("PB110"), "{error}");
        bed.let_go();
        until(|| bed.plugins()[0].calls == 0);
        fs::remove_file(bed.data().join("release")).unwrap();
        let before = fs::read(kept(&bed.folder)).unwrap();
        let unloaded = bed.unload(ID).unwrap();
        assert!(!unloaded.state_kept && !unloaded.failures.is_empty(), "{unloaded:?}");
        assert_eq!(fs::read(kept(&bed.folder)).unwrap(), before, "{word}");
        bed.let_go();
        bed.put("1.2.0", "3 ok ok ok");
        bed.load(ID).unwrap();
        assert_eq!(bed.count(), 2);
    }
}

#[test]
fn a_damaged_file_refuses_the_plugin_and_is_left_alone() {
    let bed = serving("1 ok ok ok", |host| host);
    bed.count();
    let folder = bed.end();
    let good = fs::read(kept(&folder)).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let other = String::from_utf8(good.clone()).unwrap().replacen(ID, "turncoaT", 1);
    let half = &good[..good.len() / 2];
    let short = &good[..good.len() - 1];
    for damaged in [b"".as_slice(), b"\n", b"{}\n{}", half, short, &flipped, other.as_bytes()] {
        fs::write(kept(&folder), damaged).unwrap();
        let (host, report) = folder.start();
        assert_eq!(report.refused[0].error.code(), "PB1202");
        assert_eq!(host.call(ID, "get", json!({})).unwrap_err().code(), "PB1202");
        drop(host);
        assert_eq!(fs::read(kept(&folder)).unwrap(), damaged);
    }
    fs::write(kept(&folder), good).unwrap();
    assert_eq!(found_by_the_next_host(&folder), json!(1));
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    let folder = Folder::new();
    let disk = folder.beside("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return println!("not tried: this user cannot mount");
    }
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _mounted = Mounted(disk.clone());
    let file = disk.join(".state").join(ID);
    folder.write("turncoat.so", turned(&library(), "1.0.0", "1 ok ok ok"));
    let host = folder.host().data_dir(&disk).build().unwrap();
    host.start().unwrap();
    host.call(ID, "count", json!({})).unwrap();
    host.save(ID).unwrap();
    let before = fs::read(&file).unwrap();
    // What is left of it.
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    host.call(ID, "count", json!({})).unwrap();
    assert_eq!(host.save(ID).unwrap_err().code(), "PB1203");
    assert_eq!(fs::read(&file).unwrap(), before);
    drop(filler);
    // A reload goes on, and says so.
    folder.write("turncoat.so", turned(&library(), "1.1.0", "2 ok ok ok"));
    let note = reloaded(host.reload(ID)).note.unwrap();
    assert!(note.contains("cannot be kept"), "{note}");
    assert_eq!(host.call(ID, "count", json!({})).unwrap(), json!(3));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(disk.join(".state")).unwrap().count(), 1);
    // And so does an unload, which keeps the state in memory.
    let unloaded = host.unload(ID).unwrap();
    assert!(unloaded.state_kept && unloaded.failures[0].contains("cannot be kept"), "{unloaded:?}");
    fs::remove_file(disk.join("filler")).unwrap();
    host.load(ID).unwrap();
    assert_eq!(host.call(ID, "count", json!({})).unwrap(), json!(4));
    host.save(ID).unwrap();
    assert_ne!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_host_that_is_killed_has_lost_nothing_that_was_saved() {
    killed("a_host_that_is_killed_has_lost_nothing_that_was_saved", 30);
}

#[test]
#[ignore = "takes a minute: scripts/test --long"]
fn a_host_that_is_killed_often_has_lost_nothing_that_was_saved() {
    killed("a_host_that_is_killed_often_has_lost_nothing_that_was_saved", 500);
}

fn killed(test: &str, rounds: u32) {
    const WHERE: &str = "PLUGBAY_TEST_KILLED";
    if let Some(folder) = std::env::var_os(WHERE) {
        return count_and_save_for_ever(Path::new(&folder));
    }
    let folder = Folder::new();
    // Large, so that writing it takes a while.
    folder.write("turncoat.so", turned(&library(), "1.0.0", "1 huge ok ok"));
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--include-ignored"])
            .env(WHERE, folder.plugins().parent().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let random = RandomState::new().hash_one(round);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.filter_map(|line| line.strip_prefix("saved ")?.parse::<u64>().ok());
        let begin = lines.next().expect("a beginning");
        assert!(begin >= acknowledged, "{begin} of {acknowledged}");
        // Some saves, and a part of one.
        acknowledged = lines.by_ref().nth((random % 20) as usize).unwrap();
        let end = std::time::Instant::now() + Duration::from_micros(random >> 32 & 0xfff);
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it could still say before that counts as well.
        acknowledged = lines.last().unwrap_or(acknowledged);
    }
    assert!(found_by_the_next_host(&folder).as_u64().unwrap() >= acknowledged);
    // What it was writing then is gone, too.
    assert_eq!(fs::read_dir(folder.beside("data/.state")).unwrap().count(), 1);
}

fn count_and_save_for_ever(folder: &Path) {
    let host = Host::builder()
        .plugin_dir(folder.join("plugins"))
        .cache_dir(folder.join("cache"))
        .data_dir(folder.join("data"))
        .worker(worker())
        .build()
        .unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    let mut saved = host.call(ID, "get", json!({})).unwrap();
    loop {
        // One write, so that a line is whole or not there.
        let line = format!("saved {saved}\n");
        if std::io::stdout()
            .write_all(line.as_bytes())
            .and_then(|()| std::io::stdout().flush())
            .is_err()
        {
            return;
        }
        saved = host.call(ID, "count", json!({})).unwrap();
        host.save(ID).unwrap();
    }
}

#[test]
fn what_was_rolled_back_keeps_the_state_on_disk() {
    let bed = serving("1 ok ok ok", |host| host);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    bed.count();
    bed.rollback(ID).unwrap();
    let folder = bed.end();
    let (host, _) = folder.start();
    assert_eq!(host.call(ID, "get", json!({})).unwrap(), json!(2));
    assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("1"));
    let causes = host.history().into_iter().map(|event| event.happening);
    assert_eq!(causes.filter(|one| matches!(one, Happening::Loaded { .. })).count(), 1);
}

/// The second host would have overwritten what the first one had counted.
#[test]
fn two_hosts_do_not_have_one_state_at_the_same_time() {
    let bed = serving("1 ok ok ok", |host| host);
    bed.count();
    let (second, report) = bed.folder.start();
    assert_eq!(report.refused[0].error.code(), "PB1206");
    let said = report.refused[0].to_string();
    assert!(said.contains("in use by another host of this process: "), "{said}");
    assert!(said.contains("HostBuilder::name"), "{said}");
    assert_eq!(second.call(ID, "count", json!({})).unwrap_err().code(), "PB1206");
    // The first one goes on, through a reload and to its end.
    bed.replace("1.1.0", "2 ok ok ok");
    bed.count();
    bed.stop();
    second.load(ID).unwrap();
    assert_eq!(second.call(ID, "count", json!({})).unwrap(), json!(3));
    drop(bed.end());
}

#[test]
fn a_state_that_another_process_has_is_refused_with_its_number() {
    const TEST: &str = "a_state_that_another_process_has_is_refused_with_its_number";
    const WHERE: &str = "PLUGBAY_TEST_OTHER_PROCESS";
    if let Some(folder) = std::env::var_os(WHERE) {
        return count_and_save_for_ever(Path::new(&folder));
    }
    let folder = Folder::new();
    folder.write("turncoat.so", turned(&library(), "1.0.0", "1 ok ok ok"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(WHERE, folder.plugins().parent().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.starts_with("saved ")).unwrap();
    let (_host, report) = folder.start();
    let said = report.refused[0].to_string();
    assert!(
        said.contains(&format!(
            "PB1206: the kept state is in use by another host (process {})",
            child.id()
        )),
        "{said}"
    );
    // The lock ends with the process.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(folder.start().1.refused.is_empty());
}

/// Two programs shared one plugin's state by default.
#[test]
fn programs_have_states_of_their_own_and_begin_with_what_lay_there_before() {
    const TEST: &str = "programs_have_states_of_their_own_and_begin_with_what_lay_there_before";
    const WHERE: &str = "PLUGBAY_TEST_DEFAULT_FOLDERS";
    if let Some(folder) = std::env::var_os(WHERE) {
        return with_default_folders(Path::new(&folder));
    }
    let folder = Folder::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(WHERE, folder.beside(""))
        .env("XDG_DATA_HOME", folder.beside("share"))
        .env("XDG_CACHE_HOME", folder.beside("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn with_default_folders(folder: &Path) {
    let plugins = folder.join("plugins");
    fs::write(plugins.join("turncoat.so"), turned(&library(), "1.0.0", "1 ok ok ok")).unwrap();
    let count = |builder: HostBuilder| {
        let host = builder.plugin_dir(&plugins).worker(worker()).build().unwrap();
        let report = host.start().unwrap();
        assert!(report.refused.is_empty(), "{}", report.refused[0]);
        host.call(ID, "count", json!({})).unwrap()
    };
    let base = folder.join("share/plugbay");
    // As hosts without a name have left it.
    assert_eq!(count(Host::builder().data_dir(base.join("data"))), json!(1));
    let before = fs::read(base.join("data/.state").join(ID)).unwrap();
    for (name, expected) in [("one", 2), ("other", 2), ("one", 3), ("one", 4), ("other", 3)] {
        assert_eq!(count(Host::builder().name(name)), json!(expected), "{name}");
    }
    assert!(base.join("hosts/one/.state").join(ID).is_file());
    assert_eq!(fs::read(base.join("data/.state").join(ID)).unwrap(), before);
    // The first one that it keeps is not all that it has from there.
    let late = with_embedded(&fs::read(plugins.join("turncoat.so")).unwrap(), |embedded| {
        embedded.manifest.id = "turncoal".parse().unwrap();
    });
    let path = plugins.join("late.so");
    fs::write(&path, &late).unwrap();
    let call = |builder: HostBuilder, id: &str| {
        let host = builder.plugin_dir(&plugins).worker(worker()).build().unwrap();
        host.start().unwrap();
        host.call(id, "count", json!({})).unwrap()
    };
    assert_eq!(call(Host::builder().data_dir(base.join("data")), "turncoal"), json!(1));
    assert_eq!(call(Host::builder().name("third").only(ID), ID), json!(2));
    assert_eq!(call(Host::builder().name("third"), "turncoal"), json!(2));
    fs::remove_file(path).unwrap();
    // Without a name it is the program's file's.
    count(Host::builder());
    let program = std::env::current_exe().unwrap();
    assert!(base.join("hosts").join(program.file_name().unwrap()).is_dir());
}

/// It was of the version that was left, which the one that serves cannot read.
#[test]
fn after_a_rollback_the_disk_has_what_the_one_that_serves_can_read() {
    let bed = serving("1 ok ok ok", |host| host);
    bed.count();
    let heir = fs::read(build("plugbay-fixture-heir")).unwrap();
    let heir = with_embedded(&heir, |embedded| embedded.manifest.state_persist = true);
    bed.put_bytes(&turned(&heir, "2.0.0", "2 ok ok ok"));
    reloaded(bed.reload(ID));
    bed.count();
    bed.save(ID).unwrap();
    let told = bed.rollback(ID).unwrap();
    assert!(told.note.unwrap().starts_with("with the state that it had"));
    assert_eq!((bed.number().as_str(), bed.ask("get")), ("1", json!(1)));
    // As a host that is killed now leaves it.
    let left = Folder::new();
    fs::create_dir_all(left.beside("data/.state")).unwrap();
    fs::copy(kept(&bed.folder), kept(&left)).unwrap();
    left.write("turncoat.so", turned(&library(), "1.0.0", "1 ok ok ok"));
    assert_eq!(found_by_the_next_host(&left), json!(1));
}

/// A process that is being started has all that is open, until it runs its program.
#[test]
fn a_state_is_free_when_its_host_has_ended_whatever_is_started_meanwhile() {
    let bed = serving("1 ok ok ok", |host| host);
    let folder = bed.end();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let end = std::time::Instant::now() + Duration::from_secs(3);
        while std::time::Instant::now() < end {
            let (host, report) = folder.start();
            let refused: Vec<_> = report.refused.iter().map(ToString::to_string).collect();
            if !refused.is_empty() {
                over.store(true, Ordering::Relaxed);
            }
            assert!(refused.is_empty(), "{refused:?}");
            drop(host);
        }
        over.store(true, Ordering::Relaxed);
    });
}
