//! Batches as rows of JSON, for people and for what works on JSON.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_json::reader::{ReaderBuilder, infer_json_schema_from_iterator};
use arrow_json::writer::{JsonArray, JsonFormat, LineDelimited, WriterBuilder};
use arrow_schema::ArrowError;
use plugbay_interface::Error;
use plugbay_interface::serde_json::{self, Value, json};

use super::{Batch, DEEPEST};

/// The column of rows that are no objects.
const VALUE: &str = "value";

impl Batch {
    /// A batch of JSON objects, one for each row. The columns are all the names that there
    /// are, each with a type that fits all of its values: numbers become `Int64`,
    /// or `Float64` where one of them is no integer of 64 bits (integers beyond 2^53 are
    /// rounded then), texts `Utf8`, objects and lists nested types, and a column of texts
    /// and numbers `Utf8`. A name that a row lacks is null there.
    ///
    /// Where a row is no object, all rows stand in one column, `value`.
    ///
    /// # Errors
    ///
    /// `rows`, when the values of one name fit no type: lists here and texts there; and
    /// when they have more than 64 levels.
    pub fn from_rows(mut rows: Vec<Value>) -> Result<Self, Error> {
        if rows.iter().any(is_too_deep) {
            let message = format!("the rows have more than {DEEPEST} levels");
            return Err(Error::new("rows", message));
        }
        if !rows.iter().all(Value::is_object) {
            for row in &mut rows {
                *row = json!({ VALUE: row.take() });
            }
        }
        let wrong = |error: ArrowError| {
            Error::new("rows", "these rows have no columns in common").caused_by(&error)
        };
        let schema = infer_json_schema_from_iterator(rows.iter().map(Ok)).map_err(wrong)?;
        let schema = Arc::new(schema);
        if schema.fields().is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            return Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?.into());
        }
        let mut decoder = ReaderBuilder::new(schema.clone())
            .with_batch_size(rows.len())
            .with_coerce_primitive(true)
            .build_decoder()?;
        decoder.serialize(&rows).map_err(wrong)?;
        let batch = decoder.flush().map_err(wrong)?;
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)).into())
    }

    /// The rows as JSON objects. Every column is in each of them; what is null is `null`.
    /// Bytes are hexadecimal digits, times and dates text.
    ///
    /// # Errors
    ///
    /// When a column has a type that JSON cannot show; `columns`, when two have one name.
    pub fn to_rows(&self) -> Result<Vec<Value>, Error> {
        if self.num_columns() == 0 {
            return Ok(vec![json!({}); self.num_rows()]);
        }
        let json = self.written::<JsonArray>()?;
        // An array is not begun before the first row.
        if json.is_empty() { Ok(Vec::new()) } else { Ok(serde_json::from_slice(&json)?) }
    }

    /// The rows as [`to_rows`](Self::to_rows) gives them, one on each line, with their
    /// members in the order of the columns.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn to_json_lines(&self) -> Result<String, Error> {
        if self.num_columns() == 0 {
            return Ok("{}\n".repeat(self.num_rows()));
        }
        Ok(String::from_utf8(self.written::<LineDelimited>()?)?)
    }

    fn written<F: JsonFormat>(&self) -> Result<Vec<u8>, Error> {
        let schema = self.schema_ref();
        let mut seen = HashSet::new();
        if let Some(twice) = schema.fields().iter().find(|field| !seen.insert(field.name())) {
            let message = format!(
                "two columns are called `{}`, and a row has each name once: rename one, for \
                 example with AS",
                twice.name().escape_debug()
            );
            return Err(Error::new("columns", message));
        }
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(Vec::new());
        writer.write(self)?;
        writer.finish()?;
        Ok(writer.into_inner())
    }
}

fn is_too_deep(row: &Value) -> bool {
    let mut left = vec![(row, 0)];
    while let Some((value, depth)) = left.pop() {
        let parts: &mut dyn Iterator<Item = &Value> = match value {
            Value::Array(items) => &mut items.iter(),
            Value::Object(members) => &mut members.values(),
            _ => continue,
        };
        if depth == DEEPEST {
            return true;
        }
        let lists = parts.filter(|part| part.is_array() || part.is_object());
        left.extend(lists.map(|part| (part, depth + 1)));
    }
    false
}
