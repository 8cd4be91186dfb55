use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use plugbay_interface::prelude::*;

/// What is wrong with a file, and where in it.
#[derive(Clone, Debug)]
pub struct Failure {
    code: &'static str,
    path: PathBuf,
    line: Option<u64>,
    column: Option<usize>,
    message: String,
}

impl Failure {
    /// The file cannot be opened or read.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { "not-found" } else { "read" };
        Self::new(code, path, error.to_string())
    }

    /// The file is there, and its content is not what it should be.
    pub fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self::new("malformed", path, message)
    }

    /// Any other failure.
    pub fn new(code: &'static str, path: &Path, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { code, path, line: None, column: None, message }
    }

    /// Adds the line, from 1.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// Adds the column, in bytes from 1.
    #[must_use]
    pub fn at_column(mut self, column: usize) -> Self {
        self.column = Some(column);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        for number in [self.line, self.column.map(|column| column as u64)].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl From<Failure> for Error {
    #[track_caller]
    fn from(failure: Failure) -> Self {
        Error::new(failure.code, failure.to_string())
    }
}
