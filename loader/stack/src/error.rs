use std::io;
use std::path::PathBuf;

use plugbay_config::document::{ReadError, Wrong};
use plugbay_config::shown;

/// What errors call these files.
pub(crate) const CALLED: &str = "stack file";

/// Why a file gives no stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The operating system does not let it be read.
    #[error("the stack file {} cannot be read", shown::path(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no file that could be a stack: no regular file, too large, or its name does not
    /// tell its syntax.
    #[error("{}", no_document(.0))]
    NoDocument(ReadError),
    /// Its content is wrong.
    #[error(transparent)]
    Wrong(Wrong),
    /// A file that it extends cannot be read. Shows where it is named.
    #[error("{0}")]
    Base(Wrong, #[source] Option<io::Error>),
    /// Files extend each other in a circle. Shows where the circle is closed.
    #[error("{0}")]
    Circle(Wrong),
    /// It extends more files than anybody keeps in mind. Shows the one that is too many.
    #[error("{0}")]
    TooMany(Wrong),
}

impl StackError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "PB1701",
            Self::NoDocument(_) | Self::Wrong(_) => "PB1702",
            Self::Base(..) => "PB1703",
            Self::Circle(_) => "PB1704",
            Self::TooMany(_) => "PB1705",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "name a stack file that is there".into(),
                _ => "see who may read it: ls -l".into(),
            },
            Self::NoDocument(error) => error.hint(),
            Self::Wrong(wrong)
            | Self::Base(wrong, _)
            | Self::Circle(wrong)
            | Self::TooMany(wrong) => wrong.hint(),
        }
    }
}

fn no_document(error: &ReadError) -> String {
    match error {
        ReadError::UnknownSyntax { path } => {
            format!("the name of the {CALLED} {} does not tell its syntax", shown::path(path))
        }
        ReadError::TooLarge { path, limit } => {
            format!("the {CALLED} {} has more than {limit} bytes", shown::path(path))
        }
        other => other.to_string(),
    }
}

impl From<ReadError> for StackError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unreadable { path, source } => Self::Unreadable { path, source },
            ReadError::Wrong(wrong) => Self::Wrong(wrong.called(CALLED)),
            other => Self::NoDocument(other),
        }
    }
}
