use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Place;
use crate::key_path::KeyPath;
use crate::shown;

/// Why a configuration file gives no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system does not let it be read.
    #[error("the config file {} cannot be read", shown::path(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder, FIFO, socket or device. It was not opened.
    #[error("{} is no regular file", shown::path(.path))]
    NotAFile {
        /// What was given as a file.
        path: PathBuf,
    },
    /// Its name does not say how it is written.
    #[error("the name of the config file {} does not tell its syntax", shown::path(.path))]
    UnknownSyntax {
        /// The file.
        path: PathBuf,
    },
    /// More than the limit. What is beyond was not read.
    #[error("the config file {} has more than {limit} bytes", shown::path(.path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes it may have.
        limit: usize,
    },
    /// Its content is wrong.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

impl ReadError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::NotAFile { .. } => "PB1002",
            Self::UnknownSyntax { .. } | Self::TooLarge { .. } => "PB1003",
            Self::Wrong(wrong) => wrong.code(),
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "name one that is there".into(),
                _ => "see who may read it: ls -l".into(),
            },
            Self::NotAFile { .. } => "name a file".into(),
            Self::UnknownSyntax { .. } => "let its name end in .toml, .yaml, .yml or .json".into(),
            Self::TooLarge { .. } => {
                "see whether it is the right file: ls -l; data belongs into files of its own".into()
            }
            Self::Wrong(wrong) => wrong.hint(),
        }
    }
}

/// A mistake in a configuration file: where it is, and what. `Display` shows the
/// line with marks under the place, and of the values on it only the one that is
/// marked. Of a file that could not be read it shows the line's first key alone.
pub struct Wrong {
    /// What kind of file it is, in words.
    called: &'static str,
    parts: Box<Parts>,
}

#[derive(Clone)]
pub(super) struct Parts {
    pub(super) file: PathBuf,
    pub(super) place: Place,
    pub(super) path: KeyPath,
    pub(super) excerpt: String,
    /// The excerpt without the line's content.
    pub(super) hidden: String,
    pub(super) message: String,
    /// The message without anything of a value.
    pub(super) plain_message: String,
    pub(super) hint: String,
}

impl Wrong {
    /// `secret` is whether the line may have something on it that nobody should see.
    pub(super) fn new(parts: Parts, secret: bool) -> Self {
        let wrong = Self { called: "config file", parts: Box::new(parts) };
        if secret { wrong.redacted() } else { wrong }
    }

    /// The same of another kind of file than a config file: a `stack file`.
    #[must_use]
    pub fn called(self, called: &'static str) -> Self {
        Self { called, ..self }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.parts.file
    }

    /// Line and column.
    pub fn place(&self) -> Place {
        self.parts.place
    }

    /// The key that it is about; the document itself where the syntax is wrong.
    pub fn path(&self) -> &KeyPath {
        &self.parts.path
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// The same without the content of the line, and without what the model says of
    /// the value: for a value that is a secret. The place and the key stay.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        self.parts.excerpt.clone_from(&self.parts.hidden);
        self.parts.message.clone_from(&self.parts.plain_message);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        "PB1003"
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        self.parts.hint.clone()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { file, place, path, excerpt, message, .. } = &*self.parts;
        write!(f, "the {} {} is wrong at {place}", self.called, shown::path(file))?;
        if !path.is_top() {
            write!(f, ", `{path}`")?;
        }
        write!(f, "\n{excerpt}\n{message}")
    }
}

/// Of what is redacted the rest is in none of the parts that are shown.
impl fmt::Debug for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrong")
            .field("file", &self.parts.file)
            .field("place", &self.parts.place)
            .field("path", &self.parts.path)
            .field("message", &self.parts.message)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Wrong {}
