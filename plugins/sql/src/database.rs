//! The connection that a call works on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plugbay_interface::prelude::*;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::source::Source;
use crate::virtual_table::{self, Shared, quoted};

/// The longest string or blob, in bytes; `zeroblob(1e9)` is short to write.
const LONGEST_VALUE: i32 = 64 << 20;
/// Steps of SQLite's machine between two looks at the clock: about a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;
/// Those that FTS5 and the table-valued functions use and that change nothing.
const READING_PRAGMAS: &[&str] = &[
    "data_version",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// A connection with all sources in place that can do nothing but read them.
pub struct Database {
    pub connection: Connection,
    shared: Arc<Shared>,
    refused: Arc<Mutex<Option<String>>>,
    longest: Duration,
    /// When the time is over.
    end: Arc<Mutex<Instant>>,
}

impl Database {
    /// Opens the sources, then takes away the right to do more.
    pub fn open(tables: &BTreeMap<String, String>, longest: Duration) -> Result<Self, Error> {
        let mut connection = Connection::open_in_memory().map_err(|error| internal(&error))?;
        let shared = attach(&connection, tables)?;
        let refused = Arc::new(Mutex::new(None));
        let end = Arc::new(Mutex::new(Instant::now() + longest));
        restrict(&mut connection, refused.clone(), end.clone())
            .map_err(|error| internal(&error))?;
        Ok(Self { connection, shared, refused, longest, end })
    }

    /// Runs what is not the database's work, and takes no time of it.
    pub fn pause<T>(&self, body: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let outcome = body();
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) += begin.elapsed();
        outcome
    }

    /// What an error of SQLite means to the caller.
    pub fn explain(&self, error: &rusqlite::Error) -> Error {
        if let Some(failure) = self.shared.take_failure() {
            return failure.into();
        }
        if let Some(what) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let message = format!("a query only reads the tables it is given: {what} is refused");
            return Error::new("read-only", message);
        }
        match error {
            rusqlite::Error::MultipleStatement => {
                Error::new("sql", "one statement at a time: there is another behind the first")
            }
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                Error::new("sql", format!("{msg}{}", place(sql, *offset)))
            }
            rusqlite::Error::InvalidParameterCount(given, expected) => Error::new(
                "arguments",
                format!("the statement has {expected} parameters, `params` has {given}"),
            ),
            rusqlite::Error::NulError(_) => Error::new("sql", "the statement contains a NUL"),
            rusqlite::Error::SqliteFailure(ffi::Error { code, .. }, message) => {
                let text = message.clone().unwrap_or_else(|| error.to_string());
                match code {
                    ErrorCode::OperationInterrupted => self.timeout(),
                    ErrorCode::TooBig => Error::new(
                        "too-large",
                        format!("a value has more than {} MiB", LONGEST_VALUE >> 20),
                    ),
                    ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
                        Error::new("malformed", text)
                    }
                    _ => Error::new("sql", text),
                }
            }
            other => Error::new("sql", other.to_string()),
        }
    }
    /// SQLite cannot index a virtual table by itself, and reads the inner one of
    /// a join again for every row of the outer one.
    fn timeout(&self) -> Error {
        let seconds = self.longest.as_secs_f64();
        let mut message = format!("the query took longer than {seconds} s, which is `max_seconds`");
        let texts = |source: &&Source| !matches!(source, Source::Sqlite(_));
        if self.shared.sources.iter().filter(texts).count() > 1 {
            message += "; a join of two text files is fast when one of them is read through \
                        WITH name AS MATERIALIZED (SELECT … FROM file)";
        }
        Error::new("timeout", message)
    }
}

fn attach(
    connection: &Connection,
    tables: &BTreeMap<String, String>,
) -> Result<Arc<Shared>, Error> {
    let mut shared = Shared::default();
    let mut statements = Vec::new();
    for (name, path) in tables {
        check_name(name)?;
        let source = Source::open(Path::new(path))?;
        let statement = match &source {
            Source::Sqlite(path) => {
                format!("ATTACH {} AS {}", literal(&read_only_uri(path)), quoted(name))
            }
            Source::Csv(_) | Source::Json(_) => format!(
                "CREATE VIRTUAL TABLE main.{} USING {}({})",
                quoted(name),
                virtual_table::MODULE,
                shared.sources.len()
            ),
        };
        statements.push((name, path, statement));
        shared.sources.push(source);
    }
    let shared = Arc::new(shared);
    virtual_table::register(connection, shared.clone()).map_err(|error| internal(&error))?;
    for (name, path, statement) in statements {
        // ATTACH opens the file and does not read it; the schema does.
        let probe = format!("SELECT 1 FROM {}.sqlite_schema LIMIT 1", quoted(name));
        let attached = connection.execute_batch(&statement).and_then(|()| {
            if statement.starts_with("ATTACH") { connection.execute_batch(&probe) } else { Ok(()) }
        });
        attached.map_err(|error| {
            let message = format!("{path}: cannot become the table `{name}`");
            Error::new("source", message).caused_by(&error)
        })?;
    }
    Ok(shared)
}

fn check_name(name: &str) -> Result<(), Error> {
    let reserved = ["main", "temp"].iter().any(|word| name.eq_ignore_ascii_case(word));
    let internal = name.to_ascii_lowercase().starts_with("sqlite_");
    if name.is_empty() || name.contains('\0') || reserved || internal {
        let message = format!(
            "`{}` cannot name a table: SQLite keeps `main`, `temp` and `sqlite_…` for itself",
            name.escape_debug()
        );
        return Err(Error::new("arguments", message));
    }
    Ok(())
}

fn restrict(
    connection: &mut Connection,
    refused: Arc<Mutex<Option<String>>>,
    end: Arc<Mutex<Instant>>,
) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
    // A file may be made to harm who opens it: its views and triggers get no
    // function with side effects, and its shadow tables no writer.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let is_over = move || Instant::now() >= *end.lock().unwrap_or_else(PoisonError::into_inner);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_over))?;
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let what = match context.action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
                return Authorization::Allow;
            }
            AuthAction::Function { function_name } if function_name != "load_extension" => {
                return Authorization::Allow;
            }
            AuthAction::Pragma { pragma_name, .. }
                if READING_PRAGMAS.iter().any(|name| name.eq_ignore_ascii_case(pragma_name)) =>
            {
                return Authorization::Allow;
            }
            AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
            other => verb(&other).into(),
        };
        *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        Authorization::Deny
    }))
}

fn verb(action: &AuthAction<'_>) -> &'static str {
    match action {
        AuthAction::Insert { .. } => "INSERT",
        AuthAction::Update { .. } => "UPDATE",
        AuthAction::Delete { .. } => "DELETE",
        AuthAction::Attach { .. } => "ATTACH",
        AuthAction::Detach { .. } => "DETACH",
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction",
        AuthAction::Function { .. } => "load_extension",
        AuthAction::Analyze { .. } | AuthAction::Reindex { .. } => "maintenance",
        _ => "a change of the schema",
    }
}

/// `mode=ro` is a promise of SQLite not to write; the path is escaped so that
/// none of its characters is taken for a parameter of the URI.
fn read_only_uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = if cfg!(windows) { path.replace('\\', "/") } else { path.into_owned() };
    let mut uri =
        String::from(if cfg!(windows) && path.contains(':') { "file:/" } else { "file:" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri + "?mode=ro"
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Where in the statement, as people count; nothing where SQLite does not say.
fn place(sql: &str, offset: i32) -> String {
    let Some(before) = usize::try_from(offset).ok().and_then(|end| sql.get(..end)) else {
        return String::new();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    format!(", at line {line}, column {column}")
}

#[track_caller]
fn internal(error: &rusqlite::Error) -> Error {
    Error::message("SQLite cannot be set up").caused_by(error)
}
