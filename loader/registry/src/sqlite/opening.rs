//! How a database comes to be open. All of this is done with the registry's lock.

use std::fs;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, APPLICATION, VERSION};
use super::trouble::{Consequence, Trouble};
use crate::aside::set_aside;
use crate::error::io_error;
use crate::place::{Identity, Place};
use crate::{Limits, RegistryError, SetAside, SqliteRegistry, durable};

/// What SQLite has next to a database.
pub(super) const COMPANIONS: [&str; 2] = [SqliteRegistry::LOG, "-shm"];

/// A database that was looked through, and has the tables of this version.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    /// Which file it is, whatever lies at its path now.
    pub(super) identity: Identity,
}

/// What is found at a path.
enum Found {
    Nothing,
    Whole(Database),
    /// And what does not fit.
    Damaged(String),
}

/// Opens the database, and begins one where there is none, or a damaged one.
pub(super) fn open(
    place: &Place,
    limits: &Limits,
) -> Result<(Database, Option<SetAside>), RegistryError> {
    match look(place, limits)? {
        Found::Whole(database) => Ok((database, None)),
        Found::Nothing => {
            // What a log without its database says must not come into the new one.
            let has_log = !durable::is_free(&place.beside(SqliteRegistry::LOG))
                .map_err(io_error("open", place.file()))?;
            let left = "a log without its database".to_owned();
            let aside = has_log.then(|| set_aside(place, place.file(), &COMPANIONS, left));
            let aside = aside.transpose()?;
            Ok((begin(place, limits)?, aside))
        }
        Found::Damaged(what) => {
            let aside = set_aside(place, place.file(), &COMPANIONS, what)?;
            Ok((begin(place, limits)?, Some(aside)))
        }
    }
}

/// A new database, which is made under another name and is whole when it gets its own.
pub(super) fn begin(place: &Place, limits: &Limits) -> Result<Database, RegistryError> {
    let file = durable::unfinished(place)?;
    make(file.path()).map_err(|trouble| {
        match trouble.judge("write", place.file(), limits.patience) {
            Consequence::Failed(error) => error,
            Consequence::Damaged(what) => damaged_anew(place, what),
        }
    })?;
    let persisted = file
        .as_file()
        .sync_all()
        .and_then(|()| file.persist_noclobber(place.file()).map_err(|error| error.error));
    persisted.map_err(io_error("write", place.file()))?;
    durable::sync_folder(place)?;
    match look(place, limits)? {
        Found::Whole(database) => Ok(database),
        Found::Nothing => Err(damaged_anew(place, "it is gone".into())),
        Found::Damaged(what) => Err(damaged_anew(place, what)),
    }
}

fn make(path: &Path) -> Result<(), Trouble> {
    let mut connection = connect(path)?;
    schema::create(&mut connection)?;
    connection.close().map_err(|(_, error)| Trouble::from(error))
}

/// Setting it aside and beginning another one would not end.
fn damaged_anew(place: &Place, what: String) -> RegistryError {
    let source = format!("a new database is damaged at once: {what}").into();
    RegistryError::Database { operation: "write", path: place.file().to_owned(), source }
}

fn look(place: &Place, limits: &Limits) -> Result<Found, RegistryError> {
    let path = place.file();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    if metadata.len() == 0 {
        // SQLite would take it for a new one; but a new one has its tables from the start.
        return Ok(Found::Damaged("it is empty".into()));
    }
    let failed = |trouble: Trouble| match trouble.judge("open", path, limits.patience) {
        Consequence::Damaged(what) => Ok(Found::Damaged(what)),
        Consequence::Failed(error) => Err(error),
    };
    let mut connection = match connect(path) {
        Ok(connection) => connection,
        Err(error) => return failed(error.into()),
    };
    let version = match owner_of(&connection, limits) {
        Ok(Owner::Registry(version)) if version > VERSION => {
            let path = path.to_owned();
            return Err(RegistryError::Newer {
                path,
                found: version.into(),
                known: VERSION.into(),
            });
        }
        Ok(Owner::Registry(version)) => version,
        Ok(Owner::Other) => return Err(RegistryError::Foreign { path: path.to_owned() }),
        Ok(Owner::Nobody) => return Ok(Found::Damaged("it is cut off".into())),
        Err(error) => return failed_with(connection, failed, error.into()),
    };
    match prepare(&mut connection, version) {
        Ok(()) => {}
        Err(trouble) => return failed_with(connection, failed, trouble),
    }
    Ok(Found::Whole(Database { connection, identity: Identity::of(&metadata) }))
}

fn failed_with(
    connection: Connection,
    failed: impl FnOnce(Trouble) -> Result<Found, RegistryError>,
    trouble: Trouble,
) -> Result<Found, RegistryError> {
    let found = failed(trouble);
    if matches!(found, Ok(Found::Damaged(_))) {
        leave(connection);
    }
    found
}

/// Closes a damaged database as it is, without moving its log into it.
pub(super) fn leave(connection: Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// Moves what is in the log into the database, so that who writes next begins the log again.
/// It waits for nobody: where others read in it, it stays as it is.
pub(super) fn move_log(connection: &mut Connection) -> Result<(), Trouble> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without `URI`: a path is a path, also where it begins with `file:`.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Whose a database is.
enum Owner {
    /// A registry's, in this version.
    Registry(u32),
    /// Another program's.
    Other,
    /// SQLite takes what is shorter than a page for a database in which nothing is yet.
    Nobody,
}

fn owner_of(connection: &Connection, limits: &Limits) -> rusqlite::Result<Owner> {
    connection.busy_timeout(limits.patience)?;
    let number = |pragma| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0))
    };
    Ok(match number("application_id")? {
        APPLICATION => Owner::Registry(schema::version_of(connection)?),
        _ if number("page_count")? == 0 => Owner::Nobody,
        _ => Owner::Other,
    })
}

fn prepare(connection: &mut Connection, version: u32) -> Result<(), Trouble> {
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(Trouble::Unreadable(check));
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // What is committed is on the disk, and not only safe from a crash of this process.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        log::debug!("the registry's database has no write-ahead log here, but: {mode}");
    }
    if version < VERSION {
        schema::migrate(connection, version)?;
    }
    Ok(())
}
