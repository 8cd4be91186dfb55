//! Records of plugins, and what is made of them to search by.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

use super::Trouble;
use super::rows::{document, read_document};
use crate::{Mark, PluginRecord, Query, RecordKey, rank};

pub(super) fn record(transaction: &Transaction, records: &[PluginRecord]) -> Result<(), Trouble> {
    for record in records {
        match find(transaction, &record.key())? {
            Some((row, earlier)) => {
                let record = record.clone().after(&earlier);
                if record != earlier {
                    update(transaction, row, &record)?;
                }
            }
            None => insert(transaction, record)?,
        }
    }
    Ok(())
}

pub(super) fn mark(transaction: &Transaction, marks: &[Mark]) -> Result<usize, Trouble> {
    let mut known = 0;
    for mark in marks {
        if let Some((row, mut record)) = find(transaction, &mark.key)? {
            record.apply(mark);
            update(transaction, row, &record)?;
            known += 1;
        }
    }
    Ok(known)
}

pub(super) fn forget(transaction: &Transaction, keys: &[RecordKey]) -> Result<usize, Trouble> {
    let mut removed = 0;
    let mut statement = transaction
        .prepare_cached("DELETE FROM plugin WHERE id = ?1 AND version = ?2 AND hash = ?3")?;
    for key in keys {
        let (id, version, hash) = columns(key);
        removed += statement.execute(params![id, version, hash])?;
    }
    Ok(removed)
}

pub(super) fn query(connection: &Connection, query: &Query) -> Result<Vec<PluginRecord>, Trouble> {
    let mut filter = Filter::default();
    if let Some(id) = &query.id {
        filter.and("id = ?", [text(id.as_str())]);
    }
    if let Some(hash) = &query.hash {
        filter.and("hash = ?", [text(&hash.to_string())]);
    }
    for kind in &query.kinds {
        filter.and("row IN (SELECT plugin FROM plugin_kind WHERE kind = ?)", [text(kind)]);
    }
    for capability in &query.capabilities {
        filter.and(
            "row IN (SELECT plugin FROM plugin_capability WHERE capability = ?)",
            [text(capability)],
        );
    }
    for (contract, version) in &query.contracts {
        filter.and(
            "row IN (SELECT plugin FROM plugin_contract \
             WHERE contract = ? AND major = ? AND minor >= ?)",
            [
                text(contract.as_str()),
                Value::Integer(version.major.into()),
                Value::Integer(version.minor.into()),
            ],
        );
    }
    if !query.statuses.is_empty() {
        let marks = vec!["?"; query.statuses.len()].join(", ");
        let statuses = query.statuses.iter().map(|status| text(status.as_str()));
        filter.and(&format!("status IN ({marks})"), statuses);
    }
    for word in query.words() {
        filter.and("instr(searched, ?) > 0", [Value::Text(word)]);
    }
    let sql = format!("SELECT document FROM plugin WHERE TRUE{}", filter.conditions);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(filter.values))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read_document(row, 0)?);
    }
    // What SQLite does not compare, or was not asked for.
    records.retain(|record| query.wants_version_of(record) && query.wants_sub_types_of(record));
    Ok(rank::arranged(records, query))
}

/// Makes anew what a record is found by.
pub(super) fn index(
    transaction: &Transaction,
    row: i64,
    record: &PluginRecord,
) -> Result<(), Trouble> {
    let mut statement = transaction
        .prepare_cached("UPDATE plugin SET status = ?2, searched = ?3 WHERE row = ?1")?;
    statement.execute(params![row, record.status.as_str(), rank::searched(record)])?;
    for table in ["plugin_kind", "plugin_capability", "plugin_contract"] {
        let delete = format!("DELETE FROM {table} WHERE plugin = ?");
        transaction.prepare_cached(&delete)?.execute([row])?;
    }
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO plugin_kind VALUES (?, ?)")?;
    for kind in &record.kinds {
        statement.execute(params![row, kind])?;
    }
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO plugin_capability VALUES (?, ?)")?;
    for capability in &record.capabilities {
        statement.execute(params![row, capability])?;
    }
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO plugin_contract VALUES (?, ?, ?, ?)")?;
    for offered in &record.contracts {
        let version = offered.version;
        statement.execute(params![row, offered.id.as_str(), version.major, version.minor])?;
    }
    Ok(())
}

fn find(
    transaction: &Transaction,
    key: &RecordKey,
) -> Result<Option<(i64, PluginRecord)>, Trouble> {
    let mut statement = transaction.prepare_cached(
        "SELECT row, document FROM plugin WHERE id = ?1 AND version = ?2 AND hash = ?3",
    )?;
    let (id, version, hash) = columns(key);
    let found = statement
        .query_row(params![id, version, hash], |row| Ok((row.get(0)?, read_document(row, 1))));
    found.optional()?.map(|(row, record)| Ok((row, record?))).transpose()
}

fn insert(transaction: &Transaction, record: &PluginRecord) -> Result<(), Trouble> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO plugin (id, version, hash, document) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let (id, version, hash) = columns(&record.key());
    let row = statement.insert(params![id, version, hash, document(record)?])?;
    index(transaction, row, record)
}

fn update(transaction: &Transaction, row: i64, record: &PluginRecord) -> Result<(), Trouble> {
    let mut statement =
        transaction.prepare_cached("UPDATE plugin SET document = ?2 WHERE row = ?1")?;
    statement.execute(params![row, document(record)?])?;
    index(transaction, row, record)
}

fn columns(key: &RecordKey) -> (String, String, String) {
    (key.id.to_string(), key.version.to_string(), key.hash.to_string())
}

/// Conditions that must all hold, and what their marks stand for.
#[derive(Default)]
struct Filter {
    conditions: String,
    values: Vec<Value>,
}

impl Filter {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.extend(values);
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
