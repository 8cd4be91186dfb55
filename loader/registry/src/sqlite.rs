mod happenings;
mod opening;
mod plugins;
mod rows;
mod schema;
mod trouble;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;

use parking_lot::Mutex;
use plugbay_manifest::PluginId;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use self::opening::Database;
use self::trouble::{Consequence, Trouble};
use crate::aside::set_aside;
use crate::durable::sweep;
use crate::error::io_error;
use crate::lock::{LockFile, Locked};
use crate::place::{Identity, Place};
use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HeldBack, HistoryQuery, Limits, Mark,
    Opened, PluginRecord, Query, RecordKey, Registry, RegistryError, Selector, SetAside, Wish,
    room,
};

/// A registry in an SQLite database: for thousands of plugins, and any number of hosts.
///
/// It has a write-ahead log, and each change is on the disk before it is acknowledged.
/// Next to the database are SQLite's own files (`-wal`, `-shm`), and `.lock`, which keeps
/// one host from setting a database aside that others write to. All are for this user
/// alone (0600). What a later version added to a record is kept.
#[derive(Debug)]
pub struct SqliteRegistry {
    place: Place,
    lock: LockFile,
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    /// None, where it is to be opened anew.
    database: Option<Database>,
    /// Which file the registry was in that was opened.
    known: Identity,
}

impl SqliteRegistry {
    /// How the name of the write-ahead log goes on after that of the database. Who copies a
    /// registry copies both.
    pub const LOG: &str = "-wal";

    /// Opens the database at this path, looks through it, and begins one where there is
    /// none. The folder must be there.
    ///
    /// # Errors
    ///
    /// As of every method, and where the path is none of a file, or the database is of a
    /// later version, or not a registry. A damaged one is no error: it is set aside.
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
        let (database, aside) = {
            let _locked = lock.alone("open")?;
            sweep(&place);
            opening::open(&place, &limits)?
        };
        let held = Held { known: database.identity, database: Some(database) };
        let registry = Self { place, lock, limits, held: Mutex::new(held) };
        Ok(Opened { registry, set_aside: aside.into_iter().collect() })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        self.with("read", |connection| read(connection))
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&Transaction) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        self.write_with(true, write)
    }

    /// For what is written all the time: so many bytes leave the room for the ends of attempts.
    fn write_in_room<T>(
        &self,
        bytes: usize,
        write: impl FnOnce(&Transaction) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        if let Err(full) = self.keep_room(bytes) {
            // That another database lies there now goes before that.
            return match self.with("write", |_| Ok(())) {
                Ok(()) | Err(RegistryError::Busy { .. }) => Err(full),
                Err(error) => Err(error),
            };
        }
        self.write(write)
    }

    /// Where another one has taken the room after all, there may be some in the log when what
    /// it says is in the database.
    fn write_the_end<T>(
        &self,
        ending: Ending,
        write: impl Fn(&Transaction) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        // A crash is seldom, and is to count; that a call came back is noted all the time.
        let wait = ending == Ending::Crashed;
        match self.write_with(wait, &write) {
            Err(full @ RegistryError::Full { .. }) => {
                let moved = self.with("write", opening::move_log);
                moved.map_err(|error| if error.is_begun_anew() { error } else { full })?;
                self.write_with(wait, write)
            }
            outcome => outcome,
        }
    }

    /// With `wait`, what was written is on the disk when this returns; without, it is safe
    /// from the end of the process alone, until something is waited for.
    fn write_with<T>(
        &self,
        wait: bool,
        write: impl FnOnce(&Transaction) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        self.with("write", |connection| {
            connection.pragma_update(None, "synchronous", if wait { "FULL" } else { "NORMAL" })?;
            // One that reads first and writes then could find that another came between.
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let answer = write(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        })
    }

    /// Does something with the database that lies at the path now.
    fn with<T>(
        &self,
        operation: &'static str,
        action: impl FnOnce(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        let held = &mut *self.held.lock();
        let (locked, mut database) = self.current(held, operation)?;
        let trouble = match action(&mut database.connection) {
            Ok(answer) => {
                held.database = Some(database);
                return Ok(answer);
            }
            Err(trouble) => trouble,
        };
        match trouble.judge(operation, self.place.file(), self.limits.patience) {
            Consequence::Failed(error) => {
                held.database = Some(database);
                Err(error)
            }
            Consequence::Damaged(what) => {
                drop(locked);
                let damaged = database.identity;
                opening::leave(database.connection);
                Err(self.replace(held, operation, damaged, what))
            }
        }
    }

    /// The database that lies at the path, which nobody sets aside until the lock is dropped.
    fn current(
        &self,
        held: &mut Held,
        operation: &'static str,
    ) -> Result<(Locked, Database), RegistryError> {
        loop {
            let locked = self.lock.with_others(operation)?;
            let there = self.identity(operation)?;
            if let Some(database) = held.database.take_if(|held| Some(held.identity) == there) {
                return Ok((locked, database));
            }
            drop(locked);
            // Another host has set it aside, or somebody moved it. It is closed after the
            // one that lies there now was opened, so that the two do not look the same.
            let _alone = self.lock.alone(operation)?;
            let (database, aside) = opening::open(&self.place, &self.limits)?;
            let found = database.identity;
            held.database = Some(database);
            let replaced = std::mem::replace(&mut held.known, found) != found;
            if let Some(SetAside { from: path, to, what }) = aside {
                return Err(RegistryError::Damaged { path, what, set_aside: to });
            }
            if replaced {
                return Err(RegistryError::Replaced { path: self.place.file().to_owned() });
            }
        }
    }

    /// Sets a damaged database aside, unless another host did, and begins a new one.
    fn replace(
        &self,
        held: &mut Held,
        operation: &'static str,
        damaged: Identity,
        what: String,
    ) -> RegistryError {
        let mut replaced = || -> Result<_, RegistryError> {
            let _alone = self.lock.alone(operation)?;
            let there = self.identity(operation)?;
            if there != Some(damaged) {
                // Another host was first.
                held.known = there.unwrap_or(damaged);
                return Ok(None);
            }
            let path = self.place.file();
            let aside = set_aside(&self.place, path, &opening::COMPANIONS, what.clone())?;
            let database = opening::begin(&self.place, &self.limits)?;
            held.known = database.identity;
            held.database = Some(database);
            Ok(Some(aside.to))
        };
        let path = self.place.file().to_owned();
        match replaced() {
            Ok(Some(to)) => RegistryError::Damaged { path, what, set_aside: to },
            Ok(None) => RegistryError::Replaced { path },
            Err(error) => error,
        }
    }

    /// In the log, which is there since the database was read, and on which SQLite has no
    /// locks that would go when it is closed here.
    fn keep_room(&self, bytes: usize) -> Result<(), RegistryError> {
        let log = self.place.beside(Self::LOG);
        match OpenOptions::new().write(true).open(&log) {
            Ok(file) => room::keep(&log, &file, bytes),
            // If it matters, what is written next tells it.
            Err(_) => Ok(()),
        }
    }

    fn identity(&self, operation: &'static str) -> Result<Option<Identity>, RegistryError> {
        Identity::at(self.place.file()).map_err(io_error(operation, self.place.file()))
    }
}

impl Registry for SqliteRegistry {
    fn record(&self, records: &[PluginRecord]) -> Result<(), RegistryError> {
        self.write_in_room(room::of(records.len()), |transaction| {
            plugins::record(transaction, records)
        })
    }

    fn mark(&self, marks: &[Mark]) -> Result<usize, RegistryError> {
        self.write_in_room(room::of(marks.len()), |transaction| plugins::mark(transaction, marks))
    }

    fn forget(&self, keys: &[RecordKey]) -> Result<usize, RegistryError> {
        self.write_in_room(room::of(keys.len()), |transaction| plugins::forget(transaction, keys))
    }

    fn query(&self, query: &Query) -> Result<Vec<PluginRecord>, RegistryError> {
        self.read(|connection| plugins::query(connection, query))
    }

    fn set_wish(&self, id: &PluginId, wish: Option<Wish>) -> Result<(), RegistryError> {
        self.write(|transaction| {
            match &wish {
                Some(wish) => transaction.execute(
                    "INSERT OR REPLACE INTO wish (id, document) VALUES (?1, ?2)",
                    params![id.as_str(), rows::document(wish)?],
                )?,
                None => transaction.execute("DELETE FROM wish WHERE id = ?1", [id.as_str()])?,
            };
            Ok(())
        })
    }

    fn wishes(&self) -> Result<BTreeMap<PluginId, Wish>, RegistryError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, document FROM wish")?;
            let mut rows = statement.query([])?;
            let mut wishes = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let id = PluginId::try_from(row.get::<_, String>(0)?)
                    .map_err(|error| Trouble::Unreadable(error.to_string()))?;
                wishes.insert(id, rows::read_document(row, 1)?);
            }
            Ok(wishes)
        })
    }

    fn append(&self, events: &[Event]) -> Result<(), RegistryError> {
        self.write_in_room(room::of_events(events), |transaction| {
            happenings::append(transaction, events, &self.limits)
        })
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, RegistryError> {
        self.read(|connection| happenings::history(connection, query))
    }

    fn begin_attempt(&self, begin: &Begin) -> Result<AttemptId, RegistryError> {
        self.write_in_room(room::of(1), |transaction| happenings::begin_attempt(transaction, begin))
    }

    fn begin_attempts(&self, begin: &[Begin]) -> Result<Vec<AttemptId>, RegistryError> {
        self.write_in_room(room::of(begin.len()), |transaction| {
            begin.iter().map(|begin| happenings::begin_attempt(transaction, begin)).collect()
        })
    }

    fn end_attempt(&self, id: AttemptId, ending: Ending) -> Result<bool, RegistryError> {
        self.write_the_end(ending, |transaction| {
            happenings::end_attempt(transaction, id, ending, &self.limits)
        })
    }

    fn end_attempts(&self, ids: &[AttemptId], ending: Ending) -> Result<usize, RegistryError> {
        self.write_the_end(ending, |transaction| {
            let ended = ids.iter().map(|id| {
                happenings::end_attempt(transaction, *id, ending, &self.limits).map(usize::from)
            });
            ended.sum()
        })
    }

    fn open_attempts(&self) -> Result<Vec<Attempt>, RegistryError> {
        self.read(happenings::open_attempts)
    }

    fn crashes(&self, hash: &ContentHash) -> Result<Vec<Attempt>, RegistryError> {
        self.read(|connection| happenings::crashes(connection, hash))
    }

    fn all_crashes(&self) -> Result<Vec<Attempt>, RegistryError> {
        self.read(happenings::all_crashes)
    }

    fn hold_back(&self, held: &HeldBack) -> Result<(), RegistryError> {
        self.write(|transaction| happenings::hold_back(transaction, held))
    }

    fn held_back(&self) -> Result<Vec<HeldBack>, RegistryError> {
        self.read(happenings::held_back)
    }

    fn release(&self, selector: &Selector) -> Result<Vec<HeldBack>, RegistryError> {
        self.write(|transaction| happenings::release(transaction, selector))
    }
}
