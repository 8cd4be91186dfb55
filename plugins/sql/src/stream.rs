//! Rows batch by batch. SQLite's rows borrow the statement, and that the connection, so
//! each query has a thread that has all three; it waits while nobody asks for more.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plugbay_contracts::{Batch, Query};
use plugbay_interface::prelude::*;
use rusqlite::{InterruptHandle, params_from_iter};

use crate::batches::{Columns, MOST_BYTES};
use crate::database::Database;
use crate::query::{no_rows, parameter};

/// Where the query does not say.
const BATCH_ROWS: u32 = 8192;

/// What the thread tells.
enum Told {
    /// First of all: the query can be ended from here on.
    Began(InterruptHandle),
    Batch(Batch),
    Failed(Error),
}

/// The batches of one query.
struct Batches {
    /// The first one was asked for when the query began, so that what is wrong with the
    /// query is told by it.
    first: Option<Batch>,
    /// None when it has ended.
    reading: Option<Reading>,
}

struct Reading {
    /// None while it ends.
    told: Option<Receiver<Told>>,
    interrupt: Option<InterruptHandle>,
    thread: Option<JoinHandle<()>>,
}

/// Runs one statement.
pub fn run(
    tables: BTreeMap<String, String>,
    query: Query,
    longest: Duration,
) -> Result<Stream<Batch>, Error> {
    // One batch is read while the one before is worked on.
    let (tell, told) = sync_channel(1);
    let read = move || {
        if let Err(error) = read(&tables, query, longest, &tell) {
            // Nobody may be there any more.
            let _ = tell.send(Told::Failed(error));
        }
    };
    let thread = thread::Builder::new().name("sql-query".into()).spawn(read)?;
    let mut reading = Reading { told: Some(told), interrupt: None, thread: Some(thread) };
    let first = reading.next()?;
    Ok(Stream::new(Batches { first, reading: Some(reading) }))
}

fn read(
    tables: &BTreeMap<String, String>,
    query: Query,
    longest: Duration,
    tell: &SyncSender<Told>,
) -> Result<(), Error> {
    let database = Database::open(tables, longest)?;
    // Whether somebody is there who wants more.
    let send = |told| database.pause(|| tell.send(told).is_ok());
    if !send(Told::Began(database.connection.get_interrupt_handle())) {
        return Ok(());
    }
    let explain = |error: rusqlite::Error| database.explain(&error);
    let mut statement = database.connection.prepare(&query.text).map_err(explain)?;
    if statement.column_count() == 0 {
        return Err(no_rows());
    }
    let rows_of_a_batch = query.batch_rows.unwrap_or(BATCH_ROWS).max(1) as usize;
    let mut left = query.limit.unwrap_or(u64::MAX);
    let mut columns = Columns::new(statement.column_names().map(str::to_owned).collect());
    let parameters = params_from_iter(query.parameters.into_iter().map(parameter));
    let mut rows = statement.query(parameters).map_err(explain)?;
    loop {
        let row = if left == 0 { None } else { rows.next().map_err(explain)? };
        let Some(row) = row else { break };
        columns.add(row).map_err(explain)?;
        left -= 1;
        let full = columns.rows() >= rows_of_a_batch || columns.bytes() >= MOST_BYTES;
        if full && !send(Told::Batch(columns.take_batch()?)) {
            return Ok(());
        }
    }
    // The columns of a result without rows are told, too.
    if columns.rows() > 0 || columns.batches() == 0 {
        send(Told::Batch(columns.take_batch()?));
    }
    Ok(())
}

impl Reading {
    fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            match self.told.as_ref().and_then(|told| told.recv().ok()) {
                Some(Told::Began(interrupt)) => self.interrupt = Some(interrupt),
                Some(Told::Batch(batch)) => return Ok(Some(batch)),
                Some(Told::Failed(error)) => return Err(error),
                // It has said all, or has panicked.
                None => return self.end().map(|()| None),
            }
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        // Wakes it where it waits for somebody to take a batch, and where it reads.
        self.told = None;
        if let Some(interrupt) = &self.interrupt {
            interrupt.interrupt();
        }
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended.map_err(|_| Error::message("the thread of the query panicked"))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // What it failed at is nobody's business any more.
        let _ = self.end();
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let next = self.reading.as_mut()?.next();
        if !matches!(next, Ok(Some(_))) {
            self.reading = None;
        }
        next.transpose()
    }
}
