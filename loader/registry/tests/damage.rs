//! What becomes of files that are not what was written: they are kept under another name,
//! and the host goes on with a new registry.

#![cfg(feature = "sqlite")]

mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use plugbay_registry::{
    Ending, Event, EventKind, HistoryQuery, HostProcess, Query, Registry, RegistryError,
};
use proptest::prelude::*;
use support::{Backend, Home, begin, plugin};

fn event(number: usize) -> Event {
    Event::new("a".parse().unwrap(), None, EventKind::Loaded, number.to_string())
}

/// Something in every file.
fn fill(registry: &dyn Registry) {
    let records: Vec<_> =
        (0..40).map(|number| plugin(&format!("a{number}"), "1.0.0", number)).collect();
    registry.record(&records).unwrap();
    (0..40).for_each(|number| registry.append(&[event(number)]).unwrap());
    registry.begin_attempt(&begin("a", 1, &HostProcess::current().unwrap())).unwrap();
}

fn filled(backend: Backend) -> Home {
    let home = Home::of(backend);
    fill(&*home.open());
    home
}

/// Opens what is damaged: what was kept is all that there was, and the new one works.
fn open_damaged(home: &Home, damaged: &Path) -> PathBuf {
    let before = fs::read(damaged).unwrap();
    let (registry, aside) = home.try_open().unwrap();
    let [aside] = aside.as_slice() else { panic!("{aside:?}") };
    assert_eq!(aside.from, damaged);
    assert!(!aside.what.is_empty());
    assert_eq!(fs::read(&aside.to).unwrap(), before);
    registry.record(&[plugin("new", "1.0.0", 1)]).unwrap();
    drop(registry);
    assert!(!home.open().query(&Query::new()).unwrap().is_empty());
    aside.to.clone()
}

#[test]
fn whatever_is_no_registry_is_set_aside_and_a_new_one_begun() {
    for backend in Backend::DURABLE {
        let whole = {
            let home = filled(backend);
            fs::read(home.file()).unwrap()
        };
        let cases: [(&str, Vec<u8>); 7] = [
            ("nothing", Vec::new()),
            ("zeroes", vec![0; whole.len()]),
            ("a text", b"Dear diary,\n".repeat(500)),
            ("half", whole[..whole.len() / 2].to_vec()),
            ("a byte", vec![b'{']),
            ("other bytes", (0..whole.len()).map(|it| (it * 7919 % 251) as u8).collect()),
            ("zeroes at the end", [&whole[..whole.len() / 2], &vec![0; whole.len() / 2]].concat()),
        ];
        for (name, bytes) in cases {
            let home = filled(backend);
            fs::write(home.file(), bytes).unwrap();
            let to = open_damaged(&home, &home.file());
            let expected = format!("{}.broken-1", backend.file_name());
            assert_eq!(to.file_name().unwrap().to_str(), Some(&*expected), "{backend:?} {name}");
            assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let found = home.open().query(&Query::new()).unwrap();
            assert_eq!(found.len(), 1, "{backend:?} {name}");
        }
    }
}

#[test]
fn what_was_set_aside_earlier_is_not_overwritten() {
    for backend in Backend::DURABLE {
        let home = filled(backend);
        let to: Vec<_> = (0..3_u8)
            .map(|number| {
                fs::write(home.file(), [b'x', number]).unwrap();
                open_damaged(&home, &home.file())
            })
            .collect();
        for (number, path) in to.iter().enumerate() {
            assert_eq!(fs::read(path).unwrap(), [b'x', number as u8]);
        }
        // Nor is anything else that has the name.
        fs::create_dir(home.folder.path().join(format!("{}.broken-4", backend.file_name())))
            .unwrap();
        fs::write(home.file(), "x").unwrap();
        assert!(open_damaged(&home, &home.file()).to_str().unwrap().ends_with(".broken-5"));
    }
}

#[test]
fn a_damaged_journal_leaves_the_plugins() {
    let texts: [&[u8]; 5] = [
        b"",
        b"\n",
        b"{\"version\":2,\"next",
        b"{\"version\":2,\"next_attempt\":1}\n{\"events\":[7]}\n",
        &[0; 900],
    ];
    for text in texts {
        let home = filled(Backend::File);
        let journal = home.folder.path().join("registry.json.journal");
        fs::write(&journal, text).unwrap();
        open_damaged(&home, &journal);
        let registry = home.open();
        assert_eq!(registry.query(&Query::new()).unwrap().len(), 41);
        assert_eq!(registry.history(&HistoryQuery::new()).unwrap(), []);
    }
}

#[test]
fn what_was_being_written_to_the_journal_is_cut_off() {
    let home = filled(Backend::File);
    let journal = home.folder.path().join("registry.json.journal");
    let whole = fs::read(&journal).unwrap();
    for torn in [&b"{"[..], b"{\"events\":[", &[0; 100], b"\xff\xff"] {
        fs::write(&journal, [&whole, torn].concat()).unwrap();
        let registry = home.open();
        assert_eq!(registry.history(&HistoryQuery::new()).unwrap().len(), 40);
        registry.append(&[event(40)]).unwrap();
        drop(registry);
        let last = home.open().history(&HistoryQuery::new().limit(1)).unwrap();
        assert_eq!(last[0].text, "40");
    }
}

/// Zeroes from here on, written into the file that others have open.
fn overwrite(path: &Path, from: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0; (length - from) as usize], from).unwrap();
}

#[test]
fn damage_that_is_met_later_is_told_once() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let (registry, other) = (home.open(), home.open());
        fill(&*registry);
        if backend == Backend::Sqlite {
            // So that what is damaged is in the database, and not in its log alone.
            let database = rusqlite::Connection::open(home.file()).unwrap();
            database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        overwrite(&home.file(), if backend == Backend::Sqlite { 4096 } else { 1 });
        let error = registry.query(&Query::new()).unwrap_err();
        let RegistryError::Damaged { set_aside: to, .. } = &error else { panic!("{error:?}") };
        assert_eq!(to, &home.folder.path().join(format!("{}.broken-1", backend.file_name())));
        assert_eq!((error.code(), error.hint().contains("broken-1")), ("PB1609", true));
        // The host records what it knows once more, and the other host sees it.
        assert_eq!(registry.query(&Query::new()).unwrap(), []);
        registry.record(&[plugin("again", "1.0.0", 1)]).unwrap();
        let error = other.query(&Query::new()).unwrap_err();
        assert!(matches!(error, RegistryError::Replaced { .. }), "{error:?}");
        assert_eq!(other.query(&Query::new()).unwrap().len(), 1);
        other.record(&[plugin("other", "1.0.0", 1)]).unwrap();
        assert_eq!(registry.query(&Query::new()).unwrap().len(), 2);
        drop((registry, other));
        assert_eq!(home.open().query(&Query::new()).unwrap().len(), 2);
    }
}

#[test]
fn a_row_that_is_not_what_was_written_is_damage() {
    let home = filled(Backend::Sqlite);
    let registry = home.open();
    let database = rusqlite::Connection::open(home.file()).unwrap();
    database.execute("UPDATE plugin SET document = '{' WHERE id = 'a7'", []).unwrap();
    let error = registry.query(&Query::new()).unwrap_err();
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_log_without_its_database_does_not_come_into_the_new_one() {
    let home = Home::of(Backend::Sqlite);
    let registry = home.open();
    fill(&*registry);
    fs::remove_file(home.file()).unwrap();
    // As if the host had been killed: its connection does not take the log with it.
    std::mem::forget(registry);
    let (registry, aside) = home.try_open().unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(registry.query(&Query::new()).unwrap(), []);
    assert!(home.files().contains(&"registry.db.broken-1-wal".to_owned()), "{:?}", home.files());
    registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
    assert_eq!(home.again(registry).query(&Query::new()).unwrap().len(), 1);
}

#[test]
fn a_registry_that_somebody_removes_is_begun_anew() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let registry = home.open();
        registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
        for name in home.files() {
            fs::remove_file(home.folder.path().join(name)).unwrap();
        }
        let error = registry.record(&[plugin("b", "1.0.0", 1)]).unwrap_err();
        assert_eq!((error.code(), error.is_begun_anew()), ("PB1610", true));
        assert_eq!(registry.query(&Query::new()).unwrap(), []);
        registry.record(&[plugin("b", "1.0.0", 1)]).unwrap();
        let id = registry.begin_attempt(&begin("b", 1, &HostProcess::current().unwrap())).unwrap();
        assert!(registry.end_attempt(id, Ending::Harmless).unwrap());
        assert_eq!(home.again(registry).query(&Query::new()).unwrap().len(), 1);
    }
}

#[test]
fn what_a_killed_host_was_writing_is_removed() {
    for backend in Backend::DURABLE {
        let home = filled(backend);
        let left = home.folder.path().join(format!(".{}.unfinished-a1b2", backend.file_name()));
        fs::write(&left, "half").unwrap();
        let foreign = home.folder.path().join(".other.unfinished-a1b2");
        fs::write(&foreign, "half").unwrap();
        assert_eq!(home.open().query(&Query::new()).unwrap().len(), 40);
        assert!(!left.exists() && foreign.exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever a file is damaged: it opens, as a whole or as a new one, and works.
    #[test]
    fn damage_anywhere_never_keeps_a_host_from_starting(
        backend in prop::sample::select(Backend::DURABLE.to_vec()),
        journal in any::<bool>(),
        place in 0.0..1.0_f64,
        damage in prop::collection::vec(any::<u8>(), 1..200),
        cut in any::<bool>(),
    ) {
        let home = Home::of_short_life(backend);
        fill(&*home.open());
        let path = match backend == Backend::File && journal {
            true => home.folder.path().join("registry.json.journal"),
            false => home.file(),
        };
        let mut bytes = fs::read(&path).unwrap();
        let at = ((bytes.len() as f64) * place) as usize;
        match cut {
            true => bytes.truncate(at),
            false => bytes.splice(at..(at + damage.len()).min(bytes.len()), damage).for_each(drop),
        }
        fs::write(&path, &bytes).unwrap();
        let registry = match home.try_open() {
            Ok((registry, _)) => registry,
            // The version, or whose it is, is what was hit: that is refused, not overwritten.
            Err(RegistryError::Newer { .. } | RegistryError::Foreign { .. }) => {
                prop_assert_eq!(fs::read(&path).unwrap(), bytes);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
        };
        for _ in 0..2 {
            // Met at opening, or with the first or the second use; then no more.
            let _ = registry.query(&Query::new());
            let _ = registry.history(&HistoryQuery::new());
        }
        registry.query(&Query::new()).unwrap();
        registry.record(&[plugin("new", "1.0.0", 1)]).unwrap();
        registry.append(&[event(0)]).unwrap();
        let (found, past) = (Query::new().id("new".parse().unwrap()), HistoryQuery::new().limit(1));
        prop_assert_eq!(registry.query(&found).unwrap().len(), 1);
        prop_assert_eq!(&registry.history(&past).unwrap()[0].text, "0");
    }
}
