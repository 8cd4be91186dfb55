use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use crate::cell::Cell;
use crate::failure::Failure;
use crate::source::{distinct_columns, open_file};

/// The longest record, in bytes. A quote that is never closed makes the rest of
/// the file one field, and the file may be larger than memory.
const LONGEST_RECORD: u64 = 64 << 20;

/// A CSV file whose first record, the names of the columns, was read.
pub struct CsvFile {
    pub columns: Vec<String>,
    path: PathBuf,
    delimiter: u8,
}

/// One pass over its records.
pub struct CsvRows {
    path: PathBuf,
    reader: Reader<Bounded>,
    record: ByteRecord,
}

impl CsvFile {
    /// Reads the header. Without a `delimiter`, the one of `,`, `;`, tab and `|`
    /// that occurs most often in the first line.
    pub fn open(path: &Path, delimiter: Option<u8>) -> Result<Self, Failure> {
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => likely_delimiter(path)?,
        };
        let mut rows = CsvRows::open(path, delimiter)?;
        if !rows.next()? {
            let message = "is empty; the first line of a CSV file names its columns";
            return Err(Failure::malformed(path, message));
        }
        let names: Vec<_> = rows.record.iter().map(String::from_utf8_lossy).collect();
        let columns = distinct_columns(path, names.iter().map(AsRef::as_ref))?;
        Ok(Self { columns, path: path.to_owned(), delimiter })
    }

    /// Begins a pass over the records behind the header.
    pub fn rows(&self) -> Result<CsvRows, Failure> {
        let mut rows = CsvRows::open(&self.path, self.delimiter)?;
        rows.next()?;
        Ok(rows)
    }
}

impl CsvRows {
    fn open(path: &Path, delimiter: u8) -> Result<Self, Failure> {
        let file = Bounded { file: open_file(path)?, left: LONGEST_RECORD };
        // The header is read like a record, so that records of another length
        // than it are refused, with their line.
        let reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(file);
        Ok(Self { path: path.to_owned(), reader, record: ByteRecord::new() })
    }

    /// Goes to the next record; false behind the last.
    pub fn next(&mut self) -> Result<bool, Failure> {
        self.reader.get_mut().left = LONGEST_RECORD;
        let line = self.reader.position().line();
        self.reader.read_byte_record(&mut self.record).map_err(|error| {
            let line = error.position().map_or(line, csv::Position::line);
            match error.kind() {
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let message = format!("expected {expected_len} fields, found {len}");
                    Failure::malformed(&self.path, message)
                }
                ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Failure::malformed(&self.path, error.to_string())
                }
                ErrorKind::Io(error) => Failure::io(&self.path, error),
                _ => Failure::malformed(&self.path, error.to_string()),
            }
            .at_line(line)
        })
    }

    /// The line on which the record begins, from 1.
    pub fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The field at `column`, from 0.
    pub fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let Some(field) = self.record.get(column) else { return Ok(Cell::Null) };
        match std::str::from_utf8(field) {
            Ok(field) => Ok(Cell::of_field(field)),
            Err(_) => {
                let message = format!("field {} is not UTF-8", column + 1);
                Err(Failure::malformed(&self.path, message).at_line(self.line()))
            }
        }
    }
}

/// A file that refuses to give more than it was last allowed to.
struct Bounded {
    file: File,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let message = format!(
                "a record of more than {} MiB begins here; is a quote not closed?",
                LONGEST_RECORD >> 20
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

fn likely_delimiter(path: &Path) -> Result<u8, Failure> {
    let mut start = Vec::new();
    open_file(path)?
        .take(64 << 10)
        .read_to_end(&mut start)
        .map_err(|error| Failure::io(path, &error))?;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            byte => {
                for (delimiter, count) in &mut counts {
                    *count += usize::from(*delimiter == byte);
                }
            }
        }
    }
    let [comma, rest @ ..] = counts;
    let best = rest.into_iter().fold(comma, |best, next| if next.1 > best.1 { next } else { best });
    Ok(best.0)
}
