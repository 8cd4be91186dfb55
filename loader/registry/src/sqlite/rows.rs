//! Documents in and out of rows.

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Trouble;
use crate::Attempt;

/// What a column holds as JSON.
pub(super) fn read_document<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Trouble> {
    let text = row.get_ref(column)?.as_str();
    let text = text.map_err(|error| Trouble::Unreadable(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| Trouble::Unreadable(error.to_string()))
}

/// What a column is to hold.
pub(super) fn document(value: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| Trouble::Sqlite(error_of_writing(error)))
}

fn error_of_writing(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// An attempt, of whose columns two say what its document does not: `id, crashed, document`.
pub(super) fn read_attempt(row: &Row) -> Result<Attempt, Trouble> {
    let mut fields: Map<String, Value> = read_document(row, 2)?;
    fields.insert("id".into(), row.get::<_, i64>(0)?.into());
    fields.insert("crashed".into(), row.get::<_, bool>(1)?.into());
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| Trouble::Unreadable(error.to_string()))
}
