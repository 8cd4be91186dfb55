//! What is held back by its content: for how long, and for whom.

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use plugbay_loader::{Cause, Explain, Happening, Host, Verdict, Verdicts, WatchOptions};
use plugbay_tests::{Folder, Turncoat, build, misdeed, next, reloaded};
use serde_json::json;

const ID: &str = Turncoat::ID;

/// From now on the disk takes nothing into one of the cache's folders.
fn refuse(folder: &Folder, name: &str) {
    let path = folder.beside("cache").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::write(path, "in the way").unwrap();
}

/// The file that was left came back with the next look at the folder.
#[test]
fn a_rollback_holds_although_the_disk_does_not_take_it() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.watch(WatchOptions::default()));
    let events = bed.events();
    let path = bed.put("1.1.0", "2 ok ok ok");
    next(&events, |happening| matches!(happening, Happening::Reloaded(_)));
    refuse(&bed.folder, "hosts");
    let told = bed.rollback(ID).unwrap();
    let note = told.note.unwrap();
    assert!(note.contains("version 1.1.0 is held back until this host ends"), "{note}");
    let event = next(&events, |happening| matches!(happening, Happening::Reloaded(_))).happening;
    let Happening::Reloaded(event) = event else { unreachable!() };
    assert_eq!((event.cause, event.note), (Cause::Rollback, Some(note)));
    // The watcher finds the same bytes, and so does who asks.
    let aside = bed.folder.beside("again");
    fs::copy(&path, &aside).unwrap();
    fs::rename(aside, &path).unwrap();
    let told = next(&events, |happening| !matches!(happening, Happening::Retired { .. }));
    let Happening::Kept { code, reason, help, .. } = told.happening else { panic!("{told:?}") };
    assert_eq!(code, "PB0402");
    assert!(reason.contains("this holds until the host ends"), "{reason}");
    assert!(!help.contains("quarantine clear"), "{help}");
    assert_eq!((bed.refused(), bed.number().as_str()), ("PB0402", "1"));
    // It can be lifted.
    let entry = bed.verdicts().quarantined().unwrap().remove(0);
    assert!(!entry.kept && entry.id == ID, "{entry:?}");
    assert!(bed.verdicts().release(&entry).unwrap());
    fs::remove_file(bed.folder.beside("cache/hosts")).unwrap();
    assert!(bed.verdicts().quarantined().unwrap().is_empty());
    reloaded(bed.reload(ID));
    assert_eq!(bed.number(), "2");
}

/// It was tried again at each look.
#[test]
fn a_crash_is_not_tried_again_although_the_disk_does_not_take_that() {
    let folder = Folder::new();
    let library = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    folder.write("misbehave.so", misdeed(&library, "crash"));
    let host = folder.host().build().unwrap();
    refuse(&folder, "verdicts");
    let codes: Vec<_> =
        (0..3).map(|_| host.load("misbehave").unwrap_err().code().to_owned()).collect();
    assert_eq!(codes, ["PB0401", "PB0402", "PB0402"]);
    let said = host.refused()[0].to_string();
    assert!(said.contains("SIGSEGV") && said.contains("this holds until the host ends"), "{said}");
}

/// It was theirs once, too.
#[test]
fn a_rollback_is_not_that_of_another_program() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.name("one"));
    bed.replace("1.1.0", "2 ok ok ok");
    bed.rollback(ID).unwrap();
    let number = |host: &Host| host.call(ID, "number", json!({})).unwrap();
    let host = |name: &str| bed.folder.host().name(name).build().unwrap();
    let other = host("other");
    assert!(other.start().unwrap().refused.is_empty());
    assert_eq!(number(&other), json!("2"));
    assert!(other.verdicts().quarantined().unwrap().is_empty());
    // And what it has kept for its own way back is no way back for this one.
    assert_eq!(other.rollback(ID).unwrap_err().code(), "PB1107");
    // A host that is started anew goes by what it decided before.
    let again = host("one");
    assert_eq!(again.start().unwrap().refused[0].error.code(), "PB0402");
    assert_eq!(number(&again), json!("1"));
    let all = Verdicts::in_cache(&bed.folder.beside("cache")).quarantined().unwrap();
    let hosts: Vec<_> = all.iter().map(|entry| entry.host.as_deref()).collect();
    assert_eq!(hosts, [Some("one")]);
    assert!(again.verdicts().release(&all[0]).unwrap());
    reloaded(again.reload(ID));
    assert_eq!(number(&again), json!("2"));
}

/// That is about the bytes.
#[test]
fn a_crash_is_every_programs() {
    let folder = Folder::new();
    let library = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    folder.write("misbehave.so", misdeed(&library, "crash"));
    for (name, code) in [("one", "PB0401"), ("other", "PB0402"), ("one", "PB0402")] {
        let report = folder.host().name(name).build().unwrap().start().unwrap();
        assert_eq!(report.refused[0].error.code(), code);
    }
}

#[test]
fn a_name_is_one_for_a_folder() {
    for name in ["", "..", "a/b", "-"] {
        assert_eq!(Host::builder().name(name).build().unwrap_err().code(), "PB0908");
    }
}

/// The folder grew by a file for each content, for ever.
#[test]
fn verdicts_are_kept_up_to_a_number_and_those_that_count_stay() {
    let folder = Folder::new();
    folder.put(&build("plugbay-fixture-misbehave"), "misbehave.so");
    let library = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    let crashing = misdeed(&library, "crash");
    let crash = folder.beside("crash.so");
    fs::write(&crash, &crashing).unwrap();
    let host = folder.host().build().unwrap();
    assert_eq!(host.load_file(&crash).unwrap_err().code(), "PB0401");
    let survived = host.verdicts().dir().join("survived");
    fs::create_dir_all(&survived).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    for number in 0..10_100_u32 {
        let name = format!("{}.json", blake3::hash(&number.to_le_bytes()).to_hex());
        let mut file = fs::File::create(survived.join(name)).unwrap();
        file.write_all(br#"{"verdict":"survived"}"#).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    // Another host, as this one has looked.
    drop(host);
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    let left = fs::read_dir(&survived).unwrap().count();
    assert_eq!(left, 9_000);
    assert_eq!(host.verdicts().get(&blake3::hash(&library)), Some(Verdict::Survived));
    assert_eq!(
        host.verdicts().quarantined().unwrap()[0].hash,
        blake3::hash(&crashing).to_hex().as_str()
    );
}
