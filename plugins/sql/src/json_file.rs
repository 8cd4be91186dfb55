use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::serde::Deserializer;
use plugbay_interface::serde::de::{DeserializeSeed, MapAccess, Visitor};
use plugbay_interface::serde_json::{self, value::RawValue};

use crate::cell::Cell;
use crate::failure::Failure;
use crate::source::{distinct_columns, open_file};

/// How many lines are read to find the columns. What first appears behind them
/// is reached through the hidden column `_json`.
const SAMPLED_LINES: usize = 1_000;
/// The longest line, in bytes: a file without line breaks may be larger than memory.
const LONGEST_LINE: u64 = 64 << 20;

/// A JSON lines file whose first lines were looked at.
pub struct JsonFile {
    pub columns: Vec<String>,
    /// Which column a member is.
    members: Arc<HashMap<String, usize>>,
    path: PathBuf,
}

/// One pass over its lines.
pub struct JsonRows {
    lines: Lines,
    members: Arc<HashMap<String, usize>>,
    /// The JSON text of each column in the current line; empty where the member is missing.
    cells: Vec<String>,
}

impl JsonFile {
    /// Finds the columns: the members of the first lines, in the order in which
    /// they appear.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let mut lines = Lines::open(path)?;
        let mut names = Vec::new();
        let mut known = HashSet::new();
        for _ in 0..SAMPLED_LINES {
            if !lines.next()? {
                break;
            }
            lines.read_object(|name, _| {
                if !known.contains(name) {
                    known.insert(name.to_owned());
                    names.push(name.to_owned());
                }
            })?;
        }
        let columns = distinct_columns(path, names.iter().map(String::as_str))?;
        let members = names.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        Ok(Self { columns, members: Arc::new(members), path: path.to_owned() })
    }

    /// Begins a pass over the lines.
    pub fn rows(&self) -> Result<JsonRows, Failure> {
        Ok(JsonRows {
            lines: Lines::open(&self.path)?,
            members: self.members.clone(),
            cells: vec![String::new(); self.columns.len()],
        })
    }
}

impl JsonRows {
    /// Goes to the next line that is not blank; false behind the last.
    pub fn next(&mut self) -> Result<bool, Failure> {
        if !self.lines.next()? {
            return Ok(false);
        }
        let Self { lines, members, cells } = self;
        cells.iter_mut().for_each(String::clear);
        lines.read_object(|name, json| {
            if let Some(cell) = members.get(name).and_then(|column| cells.get_mut(*column)) {
                cell.clear();
                cell.push_str(json);
            }
        })?;
        Ok(true)
    }

    /// The number of the line, from 1.
    pub fn line(&self) -> u64 {
        self.lines.number
    }

    /// The whole line.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.lines.line).unwrap_or_default().trim()
    }

    /// The member that is `column`, from 0.
    pub fn cell(&self, column: usize) -> Cell<'_> {
        Cell::of_json(self.cells.get(column).map_or("", String::as_str))
    }
}

/// A file's lines, one in memory at a time.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = BufReader::with_capacity(64 << 10, open_file(path)?);
        Ok(Self { path: path.to_owned(), file, line: Vec::new(), number: 0 })
    }

    fn next(&mut self) -> Result<bool, Failure> {
        loop {
            self.line.clear();
            let read = (&mut self.file)
                .take(LONGEST_LINE + 1)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| Failure::io(&self.path, &error).at_line(self.number + 1))?;
            if read == 0 {
                return Ok(false);
            }
            self.number += 1;
            if read as u64 > LONGEST_LINE {
                let message = format!("a line has more than {} MiB", LONGEST_LINE >> 20);
                return Err(Failure::malformed(&self.path, message).at_line(self.number));
            }
            // Editors on Windows put a byte order mark before the first line.
            if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
                self.line.drain(..3);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Hands every member of the line's object to `found`, value as JSON text.
    fn read_object(&self, found: impl FnMut(&str, &str)) -> Result<(), Failure> {
        let mut deserializer = serde_json::Deserializer::from_slice(&self.line);
        Members(found).deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(
            |error| {
                let text = error.to_string();
                let message = text.split(" at line ").next().unwrap_or_default();
                Failure::malformed(&self.path, message)
                    .at_line(self.number)
                    .at_column(error.column().max(1))
            },
        )
    }
}

/// Reads an object and keeps nothing of it.
struct Members<F>(F);

impl<'de, F: FnMut(&str, &str)> DeserializeSeed<'de> for Members<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object on each line")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let json: &'de RawValue = map.next_value()?;
            (self.0)(&name, json.get());
        }
        Ok(())
    }
}
