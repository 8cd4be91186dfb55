//! The tables, and how those of earlier versions become them.
//!
//! What is kept is the `document` of each row, the same JSON as in the file backend. The
//! other columns and tables are made from it, to search by.

use rusqlite::{Connection, Transaction};

use super::Trouble;
use super::plugins::index;
use super::rows::read_document;
use crate::PluginRecord;

/// What SQLite has at the head of the file for the program whose it is: "PBAY".
pub(super) const APPLICATION: i64 = 0x5042_4159;

/// The version of the tables here: SQLite's `user_version`.
pub(super) const VERSION: u32 = 2;

/// Version 1: everything is there, and plugins can be asked for by id and hash.
const VERSION_1: &str = "
CREATE TABLE plugin (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    hash TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (id, version, hash)
);
CREATE INDEX plugin_hash ON plugin (hash);
CREATE TABLE wish (
    id TEXT PRIMARY KEY,
    document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX history_plugin ON history (plugin, number);
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin TEXT NOT NULL,
    hash TEXT NOT NULL,
    crashed INTEGER NOT NULL DEFAULT 0,
    document TEXT NOT NULL
);
CREATE INDEX attempt_hash ON attempt (hash);
CREATE TABLE held_back (
    hash TEXT PRIMARY KEY,
    plugin TEXT NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
";

/// Version 2: plugins can also be asked for by what they are and can do, without all of
/// them being read.
const VERSION_2: &str = "
ALTER TABLE plugin ADD COLUMN status TEXT NOT NULL DEFAULT '';
ALTER TABLE plugin ADD COLUMN searched TEXT NOT NULL DEFAULT '';
CREATE INDEX plugin_status ON plugin (status);
CREATE TABLE plugin_kind (
    plugin INTEGER NOT NULL REFERENCES plugin ON DELETE CASCADE,
    kind TEXT NOT NULL,
    PRIMARY KEY (plugin, kind)
) WITHOUT ROWID;
CREATE INDEX plugin_kind_kind ON plugin_kind (kind);
CREATE TABLE plugin_capability (
    plugin INTEGER NOT NULL REFERENCES plugin ON DELETE CASCADE,
    capability TEXT NOT NULL,
    PRIMARY KEY (plugin, capability)
) WITHOUT ROWID;
CREATE INDEX plugin_capability_capability ON plugin_capability (capability);
CREATE TABLE plugin_contract (
    plugin INTEGER NOT NULL REFERENCES plugin ON DELETE CASCADE,
    contract TEXT NOT NULL,
    major INTEGER NOT NULL,
    minor INTEGER NOT NULL,
    PRIMARY KEY (plugin, contract, major, minor)
) WITHOUT ROWID;
CREATE INDEX plugin_contract_contract ON plugin_contract (contract, major, minor);
";

/// The version of the tables that are there.
pub(super) fn version_of(connection: &Connection) -> rusqlite::Result<u32> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A negative one is none of ours, and not an early one.
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// Makes the tables in an empty database.
pub(super) fn create(connection: &mut Connection) -> Result<(), Trouble> {
    connection.pragma_update(None, "application_id", APPLICATION)?;
    migrate(connection, 0)
}

/// Brings the tables from an earlier version to this one, all in one transaction.
pub(super) fn migrate(connection: &mut Connection, from: u32) -> Result<(), Trouble> {
    let transaction = connection.transaction()?;
    if from < 1 {
        transaction.execute_batch(VERSION_1)?;
    }
    if from < 2 {
        transaction.execute_batch(VERSION_2)?;
        index_all(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", i64::from(VERSION))?;
    Ok(transaction.commit()?)
}

fn index_all(transaction: &Transaction) -> Result<(), Trouble> {
    let mut statement = transaction.prepare("SELECT row, document FROM plugin")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push((row.get(0)?, read_document::<PluginRecord>(row, 1)?));
    }
    records.iter().try_for_each(|(row, record)| index(transaction, *row, record))
}
