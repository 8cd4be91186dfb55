//! Configuration files: three syntaxes, one model.
//!
//! The same content gives the same values whether it is written in TOML, YAML or
//! JSON:
//!
//! * dates and times of TOML are texts, as they were written;
//! * infinity and not-a-number are errors, as JSON has neither;
//! * whole numbers go from `i64::MIN` to `u64::MAX`; larger ones are errors, and
//!   never rounded;
//! * a key is a text, and stands once in its table;
//! * YAML is YAML 1.2 with the core schema: `no` and `on` are texts. Tags, several
//!   documents and `<<` are errors; what aliases repeat counts as if it were written
//!   out;
//! * a YAML file without anything in it is an empty table, as a TOML file is.

mod error;
mod excerpt;
mod json;
mod model;
mod place;
mod refused;
mod secretive;
mod syntax;
mod toml;
mod tree;
mod unread;
mod yaml;

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::error::{ReadError, Wrong};
pub(crate) use self::excerpt::HIDDEN;
pub use self::place::Place;
pub use self::secretive::is_secretive;
pub use self::syntax::Syntax;

use self::error::Parts;
use self::tree::{Content, Malformed, Node};
use crate::key_path::{KeyPath, Step, tokens};

/// What is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a file, in bytes: 1 MiB. Of YAML also with its aliases written out.
    pub bytes: usize,
    /// How deep tables and lists may be inside of each other: 64. More than 64 is
    /// taken as 64, so that no stack overflows.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, depth: DEEPEST }
    }
}

/// The deepest document that anything in this crate walks through.
pub(crate) const DEEPEST: usize = 64;

/// A configuration file that was read: the model's value, and the place of everything
/// in the file. `Debug` shows none of the content.
#[derive(Clone)]
pub struct Document<T> {
    file: PathBuf,
    syntax: Syntax,
    text: String,
    tree: Node,
    value: T,
    /// What nobody should see.
    secrets: Vec<Range<usize>>,
}

/// Reads a configuration file; the ending of its name says in which syntax. Blocks
/// while it reads.
///
/// # Errors
///
/// [`ReadError::Wrong`] where the content is no such model, with the place; the others
/// where there is no content to look at.
pub fn read<T: DeserializeOwned>(path: &Path, limits: Limits) -> Result<Document<T>, ReadError> {
    let syntax =
        Syntax::of(path).ok_or_else(|| ReadError::UnknownSyntax { path: path.to_owned() })?;
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    // Opening a FIFO would wait for somebody who writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ReadError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limits.bytes).unwrap_or(u64::MAX);
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    parse(&bytes, syntax, path, limits)
}

/// Reads configuration that is in memory already. `file` is the name for messages.
///
/// # Errors
///
/// [`ReadError::TooLarge`] and [`ReadError::Wrong`].
pub fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    syntax: Syntax,
    file: &Path,
    limits: Limits,
) -> Result<Document<T>, ReadError> {
    if bytes.len() > limits.bytes {
        return Err(ReadError::TooLarge { path: file.to_owned(), limit: limits.bytes });
    }
    let text = match str::from_utf8(bytes) {
        // Some editors begin a file with a mark that is no part of it.
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(error) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let at = error.valid_up_to();
            let top = KeyPath::default();
            let wrong = Malformed::new(at..at, &top, "this is not UTF-8", "save it as UTF-8");
            return Err(malformed(file, &text, syntax, wrong).into());
        }
    };
    let depth = limits.depth.min(DEEPEST);
    let tree = match syntax {
        Syntax::Toml => toml::parse(&text, depth),
        Syntax::Yaml => yaml::parse(&text, limits.bytes, depth),
        Syntax::Json => json::parse(&text, depth),
    }
    .map_err(|wrong| malformed(file, &text, syntax, wrong))?;
    let value = model::read(&tree).map_err(|refused| {
        let (mut span, path) = (refused.span(), refused.path());
        let found = tree.find(&tokens(&path.pointer()).unwrap_or_default());
        if let Some(key) = found.key_span.as_ref().filter(|_| refused.is_missing()) {
            // A table of YAML begins below its name, where something else stands.
            let same_line = place::line_around(&text, span.start).contains(&key.start);
            span = if same_line { span } else { key.clone() };
        }
        let parts = Parts {
            file: file.to_owned(),
            place: place::place_of(&text, span.start),
            excerpt: excerpt::excerpt_of_one(&text, &span, &tree),
            hidden: excerpt::hidden(&text, &span, found.key_span.as_ref()),
            message: refused.message(),
            plain_message: refused.redacted_message(),
            hint: refused.hint(),
            path,
        };
        let secret = secretive::looks_secret(&text, &span, &parts.path)
            || refused.is_misplaced()
            || refused.suggestion().is_some_and(secretive::is_secretive);
        Wrong::new(parts, secret)
    })?;
    Ok(Document { file: file.to_owned(), syntax, text, tree, value, secrets: Vec::new() })
}

fn malformed(file: &Path, text: &str, syntax: Syntax, wrong: Malformed) -> Wrong {
    let Malformed { span, path, message, hint } = wrong;
    let secret = secretive::looks_secret(text, &span, &path);
    let parts = Parts {
        file: file.to_owned(),
        place: place::place_of(text, span.start),
        excerpt: unread::excerpt_unread(text, &span, syntax),
        hidden: excerpt::hidden(text, &span, None),
        plain_message: message.clone(),
        message,
        hint,
        path,
    };
    Wrong::new(parts, secret)
}

impl<T> Document<T> {
    /// The file, as it was named.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How it is written.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// The model's value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The model's value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The whole document as JSON, with what the model leaves out.
    pub fn json(&self) -> Value {
        self.tree.value()
    }

    /// Where a value begins, by its JSON Pointer (`/plugins/sql/config/pool/0`); the
    /// key where it has one. None where there is no such value.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        let found = self.tree.find(&tokens(pointer)?);
        let span = found.key_span.unwrap_or(found.node.span.clone());
        found.exact.then(|| place::place_of(&self.text, span.start))
    }

    /// Says of a value that it is a secret, by its JSON Pointer: from now on no
    /// [`Wrong`] of this document shows a line that it is on.
    pub fn hide(&mut self, pointer: &str) {
        let Some(tokens) = tokens(pointer) else { return };
        let found = self.tree.find(&tokens);
        if found.exact {
            let span = found.node.span.clone();
            self.secrets.push(span);
        }
    }

    /// A mistake that the caller found at a value, in the look of all others. Where
    /// there is no such value, the table shows in which it should be.
    ///
    /// `message` and `hint` are shown as they are, also when the line is hidden.
    pub fn point_out(
        &self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Wrong {
        self.mark(pointer, false, message.into(), hint.into())
    }

    /// The same, with the marks under the key and not under its value.
    pub fn point_out_key(
        &self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Wrong {
        self.mark(pointer, true, message.into(), hint.into())
    }

    /// The model's value, and the document without it, for what is found out later.
    pub fn split(self) -> (T, Document<()>) {
        let Self { file, syntax, text, tree, value, secrets } = self;
        (value, Document { file, syntax, text, tree, value: (), secrets })
    }

    fn mark(&self, pointer: &str, at_key: bool, message: String, hint: String) -> Wrong {
        let tokens = tokens(pointer).unwrap_or_default();
        let found = self.tree.find(&tokens);
        // A table with a header begins where its name does, and needs no more marks.
        let is_table = matches!(found.node.content, Content::Table(_));
        let span = match &found.key_span {
            Some(key) if at_key || is_table || found.node.span.is_empty() => key.clone(),
            _ => found.node.span.clone(),
        };
        let line = place::line_around(&self.text, span.start);
        let touches = |secret: &Range<usize>| secret.start <= line.end && line.start <= secret.end;
        let secret = self.secrets.iter().any(touches);
        let mut path = found.path;
        for token in tokens.into_iter().skip(path.steps().len()) {
            path.push(Step::Key(token));
        }
        let parts = Parts {
            file: self.file.clone(),
            place: place::place_of(&self.text, span.start),
            excerpt: excerpt::excerpt_of_one(&self.text, &span, &self.tree),
            hidden: excerpt::hidden(&self.text, &span, found.key_span.as_ref()),
            plain_message: message.clone(),
            message,
            hint,
            path,
        };
        let secret = secret || secretive::looks_secret(&self.text, &span, &parts.path);
        Wrong::new(parts, secret)
    }
}

impl<T> fmt::Debug for Document<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .field("syntax", &self.syntax)
            .finish_non_exhaustive()
    }
}
