//! Rows of SQLite, whose cells have a type each, as columns of Arrow, which have one for
//! all cells.

use std::sync::Arc;

use plugbay_contracts::Batch;
use plugbay_contracts::arrow_array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use plugbay_contracts::arrow_schema::{DataType, Field, Schema, SchemaRef};
use plugbay_interface::prelude::*;
use rusqlite::Row;
use rusqlite::types::{Value as SqlValue, ValueRef};

/// A batch with so many bytes of texts and blobs is full, however few rows it has: a
/// column of a batch has offsets of 32 bits, and nobody wants to wait for 2 GiB.
pub const MOST_BYTES: usize = 16 << 20;

/// The columns of one query, with the rows that are in no batch yet.
pub struct Columns {
    names: Vec<String>,
    cells: Vec<Vec<SqlValue>>,
    rows: usize,
    bytes: usize,
    /// Decided by the first batch.
    schema: Option<SchemaRef>,
    batches: usize,
    /// Rows in the batches so far.
    before: usize,
}

impl Columns {
    pub fn new(names: Vec<String>) -> Self {
        let cells = vec![Vec::new(); names.len()];
        Self { names, cells, rows: 0, bytes: 0, schema: None, batches: 0, before: 0 }
    }

    pub fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        for (at, column) in self.cells.iter_mut().enumerate() {
            let cell = row.get_ref(at)?;
            self.bytes += match cell {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                _ => 8,
            };
            column.push(match cell {
                ValueRef::Null => SqlValue::Null,
                ValueRef::Integer(integer) => SqlValue::Integer(integer),
                ValueRef::Real(real) => SqlValue::Real(real),
                ValueRef::Text(bytes) => {
                    SqlValue::Text(String::from_utf8_lossy(bytes).into_owned())
                }
                ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_owned()),
            });
        }
        self.rows += 1;
        Ok(())
    }

    /// Those that wait for a batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Of those rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many have been taken.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// The rows that wait, as a batch. The first one decides what each column is; see
    /// [`type_of`].
    pub fn take_batch(&mut self) -> Result<Batch, Error> {
        let decided = || {
            let columns = self.names.iter().zip(&self.cells);
            let fields = columns.map(|(name, cells)| Field::new(name, type_of(cells), true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let schema = self.schema.get_or_insert_with(decided).clone();
        let mut arrays = Vec::with_capacity(self.cells.len());
        for (field, cells) in schema.fields().iter().zip(&mut self.cells) {
            let array = array(field.data_type(), std::mem::take(cells));
            arrays.push(array.map_err(|(row, found)| misfit(field, self.before + row, found))?);
        }
        self.before += std::mem::take(&mut self.rows);
        self.bytes = 0;
        self.batches += 1;
        Ok(RecordBatch::try_new(schema, arrays)?.into())
    }
}

/// What all of these cells are: integers; numbers; blobs; and text in all other cases,
/// also where there is nothing but NULL.
fn type_of(cells: &[SqlValue]) -> DataType {
    let (mut integers, mut reals, mut texts, mut blobs) = (false, false, false, false);
    for cell in cells {
        match cell {
            SqlValue::Null => {}
            SqlValue::Integer(_) => integers = true,
            SqlValue::Real(_) => reals = true,
            SqlValue::Text(_) => texts = true,
            SqlValue::Blob(_) => blobs = true,
        }
    }
    match (integers, reals, texts, blobs) {
        (true, false, false, false) => DataType::Int64,
        (_, true, false, false) => DataType::Float64,
        (false, false, false, true) => DataType::Binary,
        _ => DataType::Utf8,
    }
}

/// The row that does not fit, and what is there.
type Misfit = (usize, &'static str);

fn array(of: &DataType, cells: Vec<SqlValue>) -> Result<ArrayRef, Misfit> {
    Ok(match of {
        DataType::Int64 => Arc::new(Int64Array::from(each(cells, |cell| match cell {
            SqlValue::Integer(integer) => Ok(integer),
            other => Err(word(&other)),
        })?)),
        DataType::Float64 => Arc::new(Float64Array::from(each(cells, |cell| match cell {
            SqlValue::Real(real) => Ok(real),
            SqlValue::Integer(integer) => exactly(integer).ok_or("an integer beyond 2^53"),
            other => Err(word(&other)),
        })?)),
        DataType::Binary => {
            let blobs = each(cells, |cell| match cell {
                SqlValue::Blob(bytes) => Ok(bytes),
                SqlValue::Text(text) => Ok(text.into_bytes()),
                other => Err(word(&other)),
            })?;
            Arc::new(BinaryArray::from_iter(blobs))
        }
        _ => {
            let texts = each(cells, |cell| match cell {
                SqlValue::Text(text) => Ok(text),
                SqlValue::Integer(integer) => Ok(integer.to_string()),
                // As SQLite writes it: 1.0 and not 1.
                SqlValue::Real(real) => Ok(format!("{real:?}")),
                other => Err(word(&other)),
            })?;
            Arc::new(StringArray::from_iter(texts))
        }
    })
}

fn each<T>(
    cells: Vec<SqlValue>,
    value: impl Fn(SqlValue) -> Result<T, &'static str>,
) -> Result<Vec<Option<T>>, Misfit> {
    let one = |(row, cell)| match cell {
        SqlValue::Null => Ok(None),
        cell => value(cell).map(Some).map_err(|found| (row, found)),
    };
    cells.into_iter().enumerate().map(one).collect()
}

/// The same number, if there is one.
fn exactly(integer: i64) -> Option<f64> {
    const LARGEST: i64 = 1 << 53;
    #[expect(clippy::cast_precision_loss)] // none up to there
    (-LARGEST..=LARGEST).contains(&integer).then_some(integer as f64)
}

fn word(cell: &SqlValue) -> &'static str {
    match cell {
        SqlValue::Null => "NULL",
        SqlValue::Integer(_) => "an integer",
        SqlValue::Real(_) => "a real number",
        SqlValue::Text(_) => "text",
        SqlValue::Blob(_) => "a blob",
    }
}

fn misfit(field: &Field, row: usize, found: &str) -> Error {
    let name = field.name();
    let (rows, to) = match field.data_type() {
        DataType::Int64 => ("integers", "TEXT"),
        DataType::Float64 => ("numbers", "TEXT"),
        DataType::Binary => ("blobs", "BLOB"),
        _ => ("texts", "TEXT"),
    };
    let message = format!(
        "the column `{}` has {found} in row {}, and {rows} before; make it one type with \
         CAST({name} AS {to})",
        name.escape_debug(),
        row + 1,
    );
    Error::new("column-type", message)
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
