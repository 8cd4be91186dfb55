//! Rows on standard output: a table for people on a terminal, else JSON lines.

use plugbay_contracts::Batch;
use plugbay_loader::interface::Error;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::table::{self, plain};
use crate::terminal::{Output, Tone, one_line};

pub struct Printer<'a> {
    output: &'a Output,
    rows: usize,
}

impl<'a> Printer<'a> {
    pub fn new(output: &'a Output) -> Self {
        Self { output, rows: 0 }
    }

    pub fn print(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.rows += batch.num_rows();
        let unshown = |error: Error| {
            let help = "leave the column out, rename it, or make it text";
            Failure::new("PB1032", Exit::Failed, format!("a row cannot be shown: {error}"), help)
        };
        if self.output.json || !self.output.terminal {
            return self.output.text(&batch.to_json_lines().map_err(unshown)?);
        }
        let rows = batch.to_rows().map_err(unshown)?;
        if batch.num_columns() == 0 {
            return Ok(());
        }
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let shown: Vec<_> = names.iter().map(|name| one_line(name)).collect();
        let header: Vec<_> = shown.iter().map(String::as_str).collect();
        let mut table = table::table(self.output, &header);
        for row in &rows {
            table.add_row(names.iter().map(|name| plain(&cell(&row[name]))));
        }
        self.output.text(&table::lines(&table))
    }

    /// How many there were, for people.
    pub fn end(&self) -> Result<(), Failure> {
        if self.output.json || !self.output.terminal {
            return Ok(());
        }
        let rows =
            if self.rows == 1 { "1 row.".to_owned() } else { format!("{} rows.", self.rows) };
        self.output.text(&format!("{}\n", self.output.paint(Tone::Faint, &rows)))
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}
