use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use plugbay_interface::prelude::*;

use crate::csv_file::{CsvFile, CsvRows};
use crate::failure::Failure;
use crate::json_file::{JsonFile, JsonRows};

/// What every SQLite file begins with.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// SQLite takes 2,000 columns; some are for the hidden ones.
const MOST_COLUMNS: usize = 1_990;

/// A file that was looked at and can be queried.
pub enum Source {
    Csv(CsvFile),
    Json(JsonFile),
    Sqlite(PathBuf),
}

/// One pass over the rows of a CSV or JSON lines file.
pub enum Rows {
    Csv(CsvRows),
    Json(JsonRows),
}

impl Source {
    /// Looks at the file: its first bytes say whether it is a SQLite file, its
    /// extension which other it is.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = open_file(path)?;
        let mut start = Vec::new();
        file.take(SQLITE_MAGIC.len() as u64)
            .read_to_end(&mut start)
            .map_err(|error| Failure::io(path, &error))?;
        if start == SQLITE_MAGIC {
            return Ok(Source::Sqlite(path.to_owned()));
        }
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str().unwrap_or_default() {
            "csv" => Ok(Source::Csv(CsvFile::open(path, None)?)),
            "tsv" | "tab" => Ok(Source::Csv(CsvFile::open(path, Some(b'\t'))?)),
            "jsonl" | "ndjson" => Ok(Source::Json(JsonFile::open(path)?)),
            // SQLite's own convention: an empty file is an empty database.
            "sqlite" | "sqlite3" | "db" | "db3" if start.is_empty() => {
                Ok(Source::Sqlite(path.to_owned()))
            }
            "sqlite" | "sqlite3" | "db" | "db3" => {
                Err(Failure::malformed(path, "is no SQLite 3 file").into())
            }
            _ => Err(Failure::new(
                "unknown-format",
                path,
                "expected a file that ends in .csv, .tsv, .tab, .jsonl or .ndjson, or a SQLite file",
            )
            .into()),
        }
    }

    /// The name of the format, as `tables` reports it.
    pub fn format(&self) -> &'static str {
        match self {
            Source::Csv(_) => "csv",
            Source::Json(_) => "json-lines",
            Source::Sqlite(_) => "sqlite",
        }
    }

    /// The columns of the one table that a text file is; none for a SQLite file.
    pub fn columns(&self) -> &[String] {
        match self {
            Source::Csv(file) => &file.columns,
            Source::Json(file) => &file.columns,
            Source::Sqlite(_) => &[],
        }
    }

    /// Begins a pass over the rows.
    pub fn rows(&self) -> Result<Option<Rows>, Failure> {
        Ok(match self {
            Source::Csv(file) => Some(Rows::Csv(file.rows()?)),
            Source::Json(file) => Some(Rows::Json(file.rows()?)),
            Source::Sqlite(_) => None,
        })
    }
}

/// Opens a regular file; a pipe would block and a device never end.
pub fn open_file(path: &Path) -> Result<File, Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io(path, &error))?;
    if !metadata.is_file() {
        return Err(Failure::new("read", path, "is no regular file"));
    }
    File::open(path).map_err(|error| Failure::io(path, &error))
}

/// Makes names that SQLite can tell apart, which compares them without regard to
/// case: an empty one becomes `column3`, a repeated one `name_2`.
pub fn distinct_columns<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, Failure> {
    let mut taken = HashSet::new();
    let mut columns = Vec::new();
    for (at, name) in names.enumerate() {
        if at == MOST_COLUMNS {
            let message = format!("has more than {MOST_COLUMNS} columns");
            return Err(Failure::malformed(path, message));
        }
        // A NUL would end the name inside SQLite.
        let name = name.trim().replace('\0', "");
        let name = if name.is_empty() { format!("column{}", at + 1) } else { name };
        let mut candidate = name.clone();
        let mut number = 1_usize;
        while !taken.insert(candidate.to_ascii_lowercase()) {
            number += 1;
            candidate = format!("{name}_{number}");
        }
        columns.push(candidate);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_sqlite_would_confuse_get_names_of_their_own() {
        let names = ["id", "ID", " name ", "", "id", "id_2"];
        let columns = distinct_columns(Path::new("x.csv"), names.into_iter()).unwrap();
        assert_eq!(columns, ["id", "ID_2", "name", "column4", "id_3", "id_2_2"]);
        let many = std::iter::repeat_n("c", 2_000);
        assert!(distinct_columns(Path::new("x.csv"), many).is_err());
    }

    #[test]
    fn what_cannot_be_a_source_is_told_by_its_path() {
        for (path, code) in
            [("/nowhere.csv", "not-found"), ("/", "read"), ("Cargo.toml", "unknown-format")]
        {
            let error = Source::open(Path::new(path)).err().unwrap();
            assert_eq!(error.code(), code);
            assert!(error.to_string().starts_with(path), "{error}");
        }
    }
}
