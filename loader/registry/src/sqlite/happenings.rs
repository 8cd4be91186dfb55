//! The history, attempts, crashes, and what is held back.

use plugbay_manifest::PluginId;
use rusqlite::{Connection, Transaction, params, params_from_iter};

use super::Trouble;
use super::rows::{document, read_attempt, read_document};
use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HeldBack, HistoryQuery, Limits,
    Selector, catalog,
};

pub(super) fn append(
    transaction: &Transaction,
    events: &[Event],
    limits: &Limits,
) -> Result<(), Trouble> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO history (plugin, document) VALUES (?1, ?2)")?;
    for event in events {
        statement.execute(params![event.plugin.as_str(), document(event)?])?;
    }
    let mut statement = transaction.prepare_cached(
        "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?1",
    )?;
    statement.execute([number(limits.history)])?;
    Ok(())
}

pub(super) fn history(
    connection: &Connection,
    query: &HistoryQuery,
) -> Result<Vec<Event>, Trouble> {
    let mut statement = connection.prepare_cached(match query.plugin {
        Some(_) => "SELECT document FROM history WHERE plugin = ?1 ORDER BY number DESC",
        None => "SELECT document FROM history ORDER BY number DESC",
    })?;
    let mut rows = statement.query(params_from_iter(query.plugin.iter().map(PluginId::as_str)))?;
    let limit = query.limit.unwrap_or(usize::MAX);
    let mut events = Vec::new();
    while events.len() < limit
        && let Some(row) = rows.next()?
    {
        let event = read_document(row, 0)?;
        if query.wants(&event) {
            events.push(event);
        }
    }
    Ok(events)
}

pub(super) fn begin_attempt(
    transaction: &Transaction,
    begin: &Begin,
) -> Result<AttemptId, Trouble> {
    let mut statement = transaction
        .prepare_cached("INSERT INTO attempt (plugin, hash, document) VALUES (?1, ?2, ?3)")?;
    let (plugin, hash) = (begin.plugin.as_str(), begin.hash.to_string());
    let id = statement.insert(params![plugin, hash, document(begin)?])?;
    Ok(AttemptId(u64::try_from(id).map_err(|_| Trouble::Unreadable(format!("attempt {id}")))?))
}

pub(super) fn end_attempt(
    transaction: &Transaction,
    id: AttemptId,
    ending: Ending,
    limits: &Limits,
) -> Result<bool, Trouble> {
    let mut statement = transaction.prepare_cached(match ending {
        Ending::Harmless => "DELETE FROM attempt WHERE id = ?1 AND NOT crashed",
        Ending::Crashed => "UPDATE attempt SET crashed = TRUE WHERE id = ?1 AND NOT crashed",
    })?;
    // One that is larger was never given.
    let ended = statement.execute([i64::try_from(id.0).unwrap_or(i64::MAX)])?;
    if ending == Ending::Harmless {
        return Ok(ended > 0);
    }
    transaction.execute(
        "DELETE FROM attempt WHERE crashed AND id <= (SELECT id FROM attempt WHERE crashed \
         ORDER BY id DESC LIMIT 1 OFFSET ?1)",
        [number(limits.crashes)],
    )?;
    Ok(ended > 0)
}

pub(super) fn open_attempts(connection: &Connection) -> Result<Vec<Attempt>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT id, crashed, document FROM attempt WHERE NOT crashed ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row)?);
    }
    Ok(attempts)
}

pub(super) fn crashes(
    connection: &Connection,
    hash: &ContentHash,
) -> Result<Vec<Attempt>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT id, crashed, document FROM attempt WHERE hash = ?1 ORDER BY id DESC",
    )?;
    let mut rows = statement.query([hash.to_string()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row)?);
    }
    attempts.retain(Attempt::counts);
    Ok(attempts)
}

pub(super) fn all_crashes(connection: &Connection) -> Result<Vec<Attempt>, Trouble> {
    let mut statement =
        connection.prepare_cached("SELECT id, crashed, document FROM attempt ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row)?);
    }
    attempts.retain(Attempt::counts);
    Ok(attempts)
}

pub(super) fn hold_back(transaction: &Transaction, held: &HeldBack) -> Result<(), Trouble> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO held_back (hash, plugin, document) VALUES (?1, ?2, ?3)",
    )?;
    let (hash, plugin) = (held.hash.to_string(), held.plugin.as_str());
    statement.execute(params![hash, plugin, document(held)?])?;
    Ok(())
}

pub(super) fn held_back(connection: &Connection) -> Result<Vec<HeldBack>, Trouble> {
    Ok(catalog::latest_first(all_held_back(connection)?))
}

pub(super) fn release(
    transaction: &Transaction,
    selector: &Selector,
) -> Result<Vec<HeldBack>, Trouble> {
    let mut statement = transaction.prepare_cached("SELECT id, crashed, document FROM attempt")?;
    let mut rows = statement.query([])?;
    let mut over = Vec::new();
    while let Some(row) = rows.next()? {
        let attempt = read_attempt(row)?;
        let taken = selector.takes(&attempt.begun.hash, &attempt.begun.plugin);
        if taken && attempt.counts() {
            over.push(row.get::<_, i64>(0)?);
        }
    }
    for id in over {
        transaction.execute("DELETE FROM attempt WHERE id = ?1", [id])?;
    }
    let mut released = all_held_back(transaction)?;
    released.retain(|held| selector.takes(&held.hash, &held.plugin));
    for held in &released {
        transaction.execute("DELETE FROM held_back WHERE hash = ?1", [held.hash.to_string()])?;
    }
    Ok(released)
}

/// By hash.
fn all_held_back(connection: &Connection) -> Result<Vec<HeldBack>, Trouble> {
    let mut statement =
        connection.prepare_cached("SELECT document FROM held_back ORDER BY hash")?;
    let mut rows = statement.query([])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        held.push(read_document(row, 0)?);
    }
    Ok(held)
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
