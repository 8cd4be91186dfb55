mod earlier;
mod journal;
mod snapshot;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use parking_lot::Mutex;
use plugbay_manifest::PluginId;
use serde::Deserialize;
use serde_json::Value;

use self::journal::Journal;
use self::snapshot::{EarlierPast, Loaded, Snapshot};
use crate::aside::set_aside;
use crate::catalog::{Catalog, Changed};
use crate::durable::sweep;
use crate::lock::LockFile;
use crate::past::{Past, Step};
use crate::place::Place;
use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HeldBack, HistoryQuery, Limits, Mark,
    Opened, PluginRecord, Query, RecordKey, Registry, RegistryError, Selector, SetAside, Wish,
};

/// The version of the files that is written here.
const VERSION: u64 = 2;

/// A registry in files that people can read: for some hundreds of plugins, and some hosts.
///
/// `registry.json` has the plugins, wishes and what is held back; it is written whole for
/// each change. Next to it, `registry.json.journal` has the history and the attempts, to
/// which lines are added, and `registry.json.lock` keeps hosts from changing both at
/// once. All are for this user alone (0600).
///
/// Hosts that have it open see each other's changes, and what an editor changes in
/// `registry.json`. What a later version added to it is kept.
#[derive(Debug)]
pub struct FileRegistry {
    place: Place,
    lock: LockFile,
    limits: Limits,
    known: Mutex<Known>,
}

/// What was read; nothing, where it is to be read anew.
#[derive(Debug, Default)]
struct Known {
    snapshot: Option<Snapshot>,
    journal: Option<Journal>,
    /// When the registry was begun that was opened.
    begun: Option<Timestamp>,
}

/// What is found in a file.
enum Content<T> {
    Missing,
    Whole(T),
    /// And what does not fit.
    Damaged(String),
}

impl FileRegistry {
    /// How the name of the journal goes on after that of the registry's file. Who copies a
    /// registry copies both.
    pub const JOURNAL: &str = ".journal";

    /// Opens the registry whose main file is at this path, and begins one where there is
    /// none. The folder must be there.
    ///
    /// # Errors
    ///
    /// As of every method, and where the path is none of a file, or the files were written
    /// by a later version. A damaged file is no error: it is set aside.
    pub fn open(path: &Path) -> Result<Opened<Self>, RegistryError> {
        Self::open_with(path, Limits::default())
    }

    /// As [`open`](Self::open), keeping so much.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_with(path: &Path, limits: Limits) -> Result<Opened<Self>, RegistryError> {
        let place = Place::at(path)?;
        let lock = LockFile::of(&place, limits.patience);
        let registry = Self { place, lock, limits, known: Mutex::default() };
        let mut set_aside = Vec::new();
        {
            let _locked = registry.lock.alone("open")?;
            sweep(&registry.place);
            let known = &mut *registry.known.lock();
            registry.read(known, &mut set_aside)?;
            known.begun = known.snapshot.as_ref().and_then(|snapshot| snapshot.begun);
        }
        Ok(Opened { registry, set_aside })
    }

    /// Reads what is not known, and writes what is not there. Both files are read before
    /// anything is written: what a later version wrote is left alone as a whole.
    fn read(&self, known: &mut Known, aside: &mut Vec<SetAside>) -> Result<(), RegistryError> {
        let place = &self.place;
        let snapshot = match known.snapshot.take() {
            Some(snapshot) => Content::Whole(Loaded { snapshot, earlier: None }),
            None => Snapshot::read(place)?,
        };
        let journal = match known.journal.take() {
            Some(journal) => Content::Whole(journal),
            None => Journal::read(place, &self.limits)?,
        };
        let (snapshot, earlier) = match snapshot {
            Content::Whole(Loaded { snapshot, earlier }) => (Some(snapshot), earlier),
            Content::Missing => (None, None),
            Content::Damaged(what) => {
                aside.push(set_aside(place, place.file(), &[], what)?);
                (None, None)
            }
        };
        let is_earlier = earlier.is_some();
        let begin = |earlier: Option<EarlierPast>| {
            let past = match earlier {
                Some(earlier) => earlier.into_past(&self.limits),
                None => Past::new(&self.limits, 1),
            };
            Journal::write(place, past, Vec::new(), &self.limits)
        };
        known.journal = Some(match journal {
            Content::Whole(journal) => journal,
            Content::Missing => begin(earlier)?,
            Content::Damaged(what) => {
                aside.push(set_aside(place, &Journal::path(place), &[], what)?);
                begin(earlier)?
            }
        });
        // After the journal: until then, the earlier file has all of it.
        known.snapshot = Some(match snapshot {
            Some(snapshot) if is_earlier => snapshot.again(place)?,
            Some(snapshot) => snapshot,
            None => Snapshot::begin(place)?,
        });
        Ok(())
    }

    /// Does something with what is in the files now, and with nobody else there.
    fn with<T>(
        &self,
        operation: &'static str,
        action: impl FnOnce(&mut Known) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let known = &mut *self.known.lock();
        let _locked = self.lock.alone(operation)?;
        let answer = self.catch_up(known).and_then(|()| action(known));
        if answer.is_err() {
            // It may say what the files do not.
            (known.snapshot, known.journal) = (None, None);
        }
        answer
    }

    /// Reads what others have changed.
    fn catch_up(&self, known: &mut Known) -> Result<(), RegistryError> {
        let file = self.place.file();
        let current = known.snapshot.as_ref().map(|snapshot| snapshot.is_current(file));
        if !current.transpose()?.unwrap_or(false) {
            known.snapshot = None;
        }
        // What is damaged is found once more when it is read from the beginning.
        let current = known.journal.as_mut().map(Journal::catch_up).transpose()?;
        if !matches!(current, Some(Ok(true))) {
            known.journal = None;
        }
        if known.snapshot.is_some() && known.journal.is_some() {
            return Ok(());
        }
        let mut set_aside = Vec::new();
        self.read(known, &mut set_aside)?;
        let begun = known.snapshot.as_ref().and_then(|snapshot| snapshot.begun);
        let replaced = std::mem::replace(&mut known.begun, begun) != begun;
        match set_aside.pop() {
            Some(SetAside { from: path, to, what }) => {
                Err(RegistryError::Damaged { path, what, set_aside: to })
            }
            None if replaced => Err(RegistryError::Replaced { path: file.to_owned() }),
            None => Ok(()),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Catalog) -> T) -> Result<T, RegistryError> {
        self.with("read", |known| {
            Ok(look(known.snapshot.as_ref().map_or(&Catalog::default(), |it| &it.catalog)))
        })
    }

    fn look_back<T>(&self, look: impl FnOnce(&Past) -> T) -> Result<T, RegistryError> {
        let nothing = Past::new(&self.limits, 1);
        self.with("read", |known| {
            Ok(look(known.journal.as_ref().map_or(&nothing, |journal| journal.past())))
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Changed<T>,
    ) -> Result<T, RegistryError> {
        self.with("write", |known| self.change_known(known, change))
    }

    fn change_known<T>(
        &self,
        known: &mut Known,
        change: impl FnOnce(&mut Catalog) -> Changed<T>,
    ) -> Result<T, RegistryError> {
        let mut snapshot = match known.snapshot.take() {
            Some(snapshot) => snapshot,
            None => Snapshot::begin(&self.place)?,
        };
        let Changed { answer, changed } = change(&mut snapshot.catalog);
        known.snapshot = Some(if changed { snapshot.again(&self.place)? } else { snapshot });
        Ok(answer)
    }

    /// Asks what there is, and adds the step that the answer comes with, if any.
    fn step<T>(
        &self,
        wait: bool,
        next: impl FnOnce(&Past) -> (T, Option<Step>),
    ) -> Result<T, RegistryError> {
        self.with("write", |known| self.step_known(known, wait, next))
    }

    fn step_known<T>(
        &self,
        known: &mut Known,
        wait: bool,
        next: impl FnOnce(&Past) -> (T, Option<Step>),
    ) -> Result<T, RegistryError> {
        let (place, limits) = (&self.place, &self.limits);
        let journal = match &mut known.journal {
            Some(journal) => journal,
            none => none.insert(Journal::write(place, Past::new(limits, 1), Vec::new(), limits)?),
        };
        let (answer, step) = next(journal.past());
        if let Some(step) = step {
            journal.append(place, step, wait)?;
        }
        Ok(answer)
    }
}

impl Registry for FileRegistry {
    fn record(&self, records: &[PluginRecord]) -> Result<(), RegistryError> {
        self.change(|catalog| catalog.record(records))
    }

    fn mark(&self, marks: &[Mark]) -> Result<usize, RegistryError> {
        self.change(|catalog| catalog.mark(marks))
    }

    fn forget(&self, keys: &[RecordKey]) -> Result<usize, RegistryError> {
        self.change(|catalog| catalog.forget(keys))
    }

    fn query(&self, query: &Query) -> Result<Vec<PluginRecord>, RegistryError> {
        self.look(|catalog| catalog.query(query))
    }

    fn set_wish(&self, id: &PluginId, wish: Option<Wish>) -> Result<(), RegistryError> {
        self.change(|catalog| catalog.set_wish(id, wish))
    }

    fn wishes(&self) -> Result<BTreeMap<PluginId, Wish>, RegistryError> {
        self.look(|catalog| catalog.wishes.clone())
    }

    fn append(&self, events: &[Event]) -> Result<(), RegistryError> {
        let step = (!events.is_empty()).then(|| Step::Events(events.to_vec()));
        self.step(true, |_| ((), step))
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, RegistryError> {
        self.look_back(|past| past.history(query))
    }

    fn begin_attempt(&self, begin: &Begin) -> Result<AttemptId, RegistryError> {
        self.step(true, |past| {
            let (id, step) = past.begin(begin);
            (id, Some(step))
        })
    }

    fn begin_attempts(&self, begin: &[Begin]) -> Result<Vec<AttemptId>, RegistryError> {
        self.step(true, |past| {
            let (ids, step) = past.begin_all(begin);
            (ids, (!begin.is_empty()).then_some(step))
        })
    }

    fn end_attempt(&self, id: AttemptId, ending: Ending) -> Result<bool, RegistryError> {
        // A crash is seldom, and is to count; that a call came back is noted all the time.
        self.step(ending == Ending::Crashed, |past| {
            let open = past.is_open(id);
            (open, open.then(|| Step::end(id, ending)))
        })
    }

    fn end_attempts(&self, ids: &[AttemptId], ending: Ending) -> Result<usize, RegistryError> {
        match ending {
            Ending::Harmless => self.step(false, |past| {
                let open: Vec<_> = ids.iter().copied().filter(|id| past.is_open(*id)).collect();
                (open.len(), (!open.is_empty()).then_some(Step::Over(open)))
            }),
            Ending::Crashed => {
                let ended = ids.iter().map(|id| self.end_attempt(*id, ending).map(usize::from));
                ended.sum()
            }
        }
    }

    fn open_attempts(&self) -> Result<Vec<Attempt>, RegistryError> {
        self.look_back(Past::open_attempts)
    }

    fn crashes(&self, hash: &ContentHash) -> Result<Vec<Attempt>, RegistryError> {
        self.look_back(|past| past.crashes(hash))
    }

    fn all_crashes(&self) -> Result<Vec<Attempt>, RegistryError> {
        self.look_back(Past::all_crashes)
    }

    fn hold_back(&self, held: &HeldBack) -> Result<(), RegistryError> {
        self.change(|catalog| catalog.hold_back(held))
    }

    fn held_back(&self) -> Result<Vec<HeldBack>, RegistryError> {
        self.look(Catalog::held_back)
    }

    fn release(&self, selector: &Selector) -> Result<Vec<HeldBack>, RegistryError> {
        self.with("write", |known| {
            // In this order: what is not counted any more and still held back can be
            // released once more.
            self.step_known(known, true, |past| ((), past.release(selector)))?;
            self.change_known(known, |catalog| catalog.release(selector))
        })
    }
}

/// The version that a text says it has: the first thing to look at, as nothing else is
/// known of a later one. Where it has none, what does not fit.
fn version_of(path: &Path, text: &[u8]) -> Result<Result<u64, String>, RegistryError> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: Value,
    }
    let version = match serde_json::from_slice(text) {
        Ok(Versioned { version }) => version,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match version.as_u64() {
        Some(found) if found > VERSION => {
            Err(RegistryError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        Some(version @ 1..=VERSION) => Ok(Ok(version)),
        _ => Ok(Err("it has no version".into())),
    }
}
