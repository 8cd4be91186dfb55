//! Rows of a file in JSON lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use plugbay_contracts::Batch;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// As a source without another wish.
const BATCH_ROWS: usize = 8192;
/// A line longer than this is none.
const LONGEST_LINE: u64 = 64 << 20;

/// A file, batch by batch.
pub struct Rows {
    /// For messages.
    name: String,
    lines: Box<dyn BufRead>,
    line: usize,
    ended: bool,
}

impl Rows {
    /// A file, or standard input for `-`.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (name, lines): (_, Box<dyn BufRead>) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), Box::new(io::stdin().lock()))
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| unread(&name, &error))?;
            (name, Box::new(BufReader::new(file)))
        };
        Ok(Self { name, lines, line: 0, ended: false })
    }

    fn row(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            let mut line = String::new();
            let mut one = io::Read::take(&mut self.lines, LONGEST_LINE);
            let read = one.read_line(&mut line).map_err(|error| unread(&self.name, &error))?;
            self.line += 1;
            if read == 0 {
                return Ok(None);
            }
            if !line.trim().is_empty() {
                return serde_json::from_str(&line)
                    .map(Some)
                    .map_err(|error| self.malformed(&error));
            }
        }
    }

    fn malformed(&self, error: &serde_json::Error) -> Failure {
        let place = match error.column() {
            // The end of the line, where there is none.
            0 => format!("{}:{}", self.name, self.line),
            column => format!("{}:{}:{column}", self.name, self.line),
        };
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said);
        let help = "write one JSON value on each line";
        Failure::new("PB1031", Exit::Failed, format!("{place}: {said}"), help)
    }
}

impl Iterator for Rows {
    type Item = Result<Batch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut rows = Vec::new();
        while rows.len() < BATCH_ROWS {
            match self.row() {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(failure) => {
                    self.ended = true;
                    return Some(Err(failure));
                }
            }
        }
        if rows.is_empty() {
            return None;
        }
        let wrong = |error: plugbay_loader::interface::Error| {
            let (name, line, causes) = (&self.name, self.line, error.causes().join("; "));
            let message =
                format!("{name}: the rows before line {line} do not fit together: {causes}");
            Failure::new("PB1031", Exit::Failed, message, "give each name values of one kind")
        };
        Some(Batch::from_rows(rows).map_err(wrong))
    }
}

fn unread(name: &str, error: &io::Error) -> Failure {
    let what = format!("{name} cannot be read");
    Failure::io("PB1031", what, error, "name a file of JSON lines, or - for standard input")
}
