use std::collections::BTreeMap;

use plugbay_interface::prelude::*;
use rusqlite::params_from_iter;
use rusqlite::types::{Value as SqlValue, ValueRef};

use crate::config::Config;
use crate::database::Database;

/// The most bytes of texts and blobs in an answer.
const LARGEST_ANSWER: usize = 256 << 20;

/// What `query` takes.
#[data]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub sql: String,
    #[serde(default)]
    pub tables: BTreeMap<String, String>,
    #[serde(default)]
    pub params: Vec<Value>,
    pub limit: Option<usize>,
}

/// What `query` gives.
#[data]
#[derive(Debug)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    pub truncated: bool,
}

/// Runs one statement.
pub fn run(query: Query, config: &Config) -> Result<Answer, Error> {
    let limit = query.limit.unwrap_or(config.max_rows).min(config.max_rows);
    let database = Database::open(&query.tables, config.longest())?;
    let explain = |error: rusqlite::Error| database.explain(&error);

    let mut statement = database.connection.prepare(&query.sql).map_err(explain)?;
    let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
    if columns.is_empty() {
        return Err(no_rows());
    }
    let mut answer = Answer { columns, rows: Vec::new(), truncated: false };
    let mut bytes = 0_usize;
    let parameters = params_from_iter(query.params.into_iter().map(parameter));
    let mut rows = statement.query(parameters).map_err(explain)?;
    while let Some(row) = rows.next().map_err(explain)? {
        if answer.rows.len() == limit {
            answer.truncated = true;
            break;
        }
        let mut cells = Vec::with_capacity(answer.columns.len());
        for column in 0..answer.columns.len() {
            let cell = row.get_ref(column).map_err(explain)?;
            bytes += length(cell);
            cells.push(json(cell));
        }
        if bytes > LARGEST_ANSWER {
            let message = format!(
                "the answer has more than {} MiB; ask for fewer columns or rows",
                LARGEST_ANSWER >> 20
            );
            return Err(Error::new("too-large", message));
        }
        answer.rows.push(cells);
    }
    Ok(answer)
}

/// For a statement that is none to ask with.
pub fn no_rows() -> Error {
    Error::new("sql", "the statement gives no rows; write a SELECT")
}

pub fn parameter(value: Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Bool(truth) => SqlValue::Integer(truth.into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => SqlValue::Integer(integer),
            (None, Some(real)) => SqlValue::Real(real),
            (None, None) => SqlValue::Null,
        },
        Value::String(text) => SqlValue::Text(text),
        nested @ (Value::Array(_) | Value::Object(_)) => SqlValue::Text(nested.to_string()),
    }
}

fn length(cell: ValueRef<'_>) -> usize {
    match cell {
        ValueRef::Text(bytes) => bytes.len(),
        // Two hexadecimal digits a byte.
        ValueRef::Blob(bytes) => bytes.len().saturating_mul(2),
        _ => 8,
    }
}

fn json(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => integer.into(),
        // Infinite ones become null: JSON has no way to write them.
        ValueRef::Real(real) => real.into(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        ValueRef::Blob(bytes) => {
            let mut digits = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                for half in [byte >> 4, byte & 15] {
                    digits.extend(char::from_digit(half.into(), 16));
                }
            }
            json!({ "blob": digits })
        }
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
