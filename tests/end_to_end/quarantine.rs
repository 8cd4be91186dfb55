//! What is held back by its content: for how long, and for whom.

use std::fs;

use plugbay_loader::{Cause, Explain, Happening, WatchOptions};
use plugbay_tests::{Folder, Turncoat, build, misdeed, next, reloaded};

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
    refuse(&bed.folder, "verdicts");
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
    fs::remove_file(bed.folder.beside("cache/verdicts")).unwrap();
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
