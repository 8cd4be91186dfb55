use std::fmt;
use std::panic::Location;

use crate::abi::{FaultKind, Place};

/// The codes that the interface itself gives; a plugin is free to use others.
pub mod code {
    /// The plugin gave no code of its own.
    pub const FAILED: &str = "failed";
    /// The arguments do not fit the command.
    pub const ARGUMENTS: &str = "arguments";
    /// The configuration does not fit the plugin.
    pub const CONFIG: &str = "config";
    /// The saved state does not fit the plugin.
    pub const STATE: &str = "state";
    /// The result cannot be written as JSON.
    pub const RESULT: &str = "result";
    /// There is no such command.
    pub const UNKNOWN_COMMAND: &str = "unknown-command";
    /// What is asked for does not exist.
    pub const NOT_FOUND: &str = "not-found";
    /// The plugin is older than the method that was called, or does without it.
    pub const UNSUPPORTED: &str = "unsupported";
    /// What crossed cannot be read as the type that it should be.
    pub const CROSSING: &str = "crossing";
    /// The plugin panicked.
    pub const PANIC: &str = "panic";
}

/// Whose fault an error is: who has to change something so that it does not
/// come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// Whoever called: the arguments, or the moment.
    Caller,
    /// The plugin that was called. What nobody said otherwise of, and every panic.
    Plugin,
    /// The host: its configuration, or what it did not give.
    Host,
}

impl Blame {
    /// In lower case, as in messages and in the faults that cross.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Plugin => "plugin",
            Self::Host => "host",
        }
    }

    pub(crate) fn of_kind(kind: FaultKind) -> Self {
        match kind {
            FaultKind::UNKNOWN_COMMAND | FaultKind::ARGUMENTS => Self::Caller,
            FaultKind::CONFIG => Self::Host,
            _ => Self::Plugin,
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Caller, Self::Plugin, Self::Host].into_iter().find(|blame| blame.as_str() == word)
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An error of a plugin: code, message, chain of causes, whose fault it is, and
/// the place where it was made. It crosses as data, and is an `Error` again on the
/// side that called.
///
/// `?` turns any `std::error::Error` into one and keeps its causes; therefore
/// this type is not a `std::error::Error` itself (as in `anyhow`). `?` also turns
/// it into a `Box<dyn std::error::Error>`; [`into_std`](Self::into_std) is for
/// whatever else wants a `std::error::Error`.
pub struct Error {
    // A word on its own, so that the result of a call that went well stays small.
    inner: Box<Inner>,
}

pub(crate) struct Inner {
    pub(crate) kind: FaultKind,
    pub(crate) blame: Option<Blame>,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) place: &'static Location<'static>,
    /// Where it was made, if that was in another library.
    pub(crate) origin: Option<Place>,
    pub(crate) panicked: bool,
    pub(crate) frames: Vec<u64>,
}

impl Error {
    /// An error with a stable `code` for programs and a `message` for people.
    #[track_caller]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind: FaultKind::ERROR,
                blame: None,
                code: code.into(),
                message: message.into(),
                causes: Vec::new(),
                place: Location::caller(),
                origin: None,
                panicked: false,
                frames: Vec::new(),
            }),
        }
    }

    /// An error with the code [`code::FAILED`].
    #[track_caller]
    pub fn message(message: impl Into<String>) -> Self {
        Self::new(code::FAILED, message)
    }

    /// What the default body of a newer method says, where the plugin that is
    /// called is older: the code [`code::UNSUPPORTED`], and the caller's to handle.
    #[track_caller]
    pub fn unsupported() -> Self {
        Self::new(code::UNSUPPORTED, "the plugin does not support this").with_blame(Blame::Caller)
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.inner.code = code.into();
        self
    }

    /// Says whose fault it is. Unless said, it is the plugin's.
    #[must_use]
    pub fn with_blame(mut self, blame: Blame) -> Self {
        self.inner.blame = Some(blame);
        self
    }

    /// Marks an error of the interface's own. Not by the code, which plugins are
    /// free to use as well.
    pub(crate) fn of_kind(mut self, kind: FaultKind, code: &str) -> Self {
        self.inner.kind = kind;
        self.with_code(code)
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self { inner: Box::new(inner) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Puts `message` in front; what was the message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.inner.message, message.into());
        self.inner.causes.insert(0, cause);
        self
    }

    /// Appends `cause` and all that caused it.
    #[must_use]
    pub fn caused_by(mut self, cause: &dyn std::error::Error) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            self.inner.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// The stable code, for programs.
    pub fn code(&self) -> &str {
        &self.inner.code
    }

    /// What led to this error, the nearest cause first.
    pub fn causes(&self) -> &[String] {
        &self.inner.causes
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        self.inner.blame.unwrap_or_else(|| Blame::of_kind(self.inner.kind))
    }

    /// Whether the plugin that was called panicked.
    pub fn is_panic(&self) -> bool {
        self.inner.panicked
    }

    /// Where in this library's source it was made; for one that came from a
    /// plugin that was called, where the call was.
    pub fn place(&self) -> &'static Location<'static> {
        self.inner.place
    }

    /// Where it was made, `file:line:column`, in the source of the plugin that was
    /// called; `None` for an error of this library's own.
    pub fn origin(&self) -> Option<String> {
        let Place { file, line, column } = self.inner.origin.as_ref()?;
        Some(format!("{file}:{line}:{column}"))
    }

    /// Return addresses of a plugin's panic, innermost first, where the host asked
    /// for them. They mean something as long as that plugin is mapped.
    pub fn frames(&self) -> &[u64] {
        &self.inner.frames
    }

    /// The same as a `std::error::Error`: its sources are the causes.
    pub fn into_std(self) -> impl std::error::Error + Send + Sync + 'static {
        Chain::new(self)
    }
}

/// An [`Error`] or one of its causes, as a `std::error::Error`.
struct Chain {
    message: String,
    debug: String,
    source: Option<Box<Chain>>,
}

impl Chain {
    fn new(error: Error) -> Self {
        let debug = format!("{error:?}");
        let Inner { message, causes, .. } = *error.inner;
        let source = causes.into_iter().rev().fold(None, |source, message| {
            Some(Box::new(Self { debug: message.clone(), message, source }))
        });
        Self { message, debug, source }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl std::error::Error for Chain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Chain::new(error))
    }
}

impl From<Error> for Box<dyn std::error::Error> {
    fn from(error: Error) -> Self {
        Box::new(Chain::new(error))
    }
}

impl<E: std::error::Error> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        let made = Self::new(code::FAILED, error.to_string());
        match error.source() {
            Some(cause) => made.caused_by(cause),
            None => made,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, code, causes, place, origin, .. } = &*self.inner;
        match origin {
            None => write!(f, "{message} [{code}] at {place}")?,
            Some(Place { file, line, column }) => {
                write!(f, "{message} [{code}] at {file}:{line}:{column}, called at {place}")?;
            }
        }
        for cause in causes {
            write!(f, "\ncaused by: {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the port cannot be read")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn question_mark_makes_a_std_error_of_it_with_its_causes() {
        let fails = || -> Result<(), Box<dyn std::error::Error>> {
            Err(Error::message("inner").context("outer"))?
        };
        let error = fails().unwrap_err();
        assert_eq!(error.to_string(), "outer");
        assert_eq!(error.source().unwrap().to_string(), "inner");
        assert!(error.source().unwrap().source().is_none());
    }

    #[test]
    fn question_mark_keeps_causes_and_place() {
        let port = || -> Result<u16, Error> { Ok("x".parse::<u16>().map_err(Outer)?) };
        let error = port().unwrap_err().context("starting").with_code("port");
        assert_eq!(error.to_string(), "starting");
        assert_eq!(error.causes(), ["the port cannot be read", "invalid digit found in string"]);
        assert_eq!(error.code(), "port");
        assert_eq!(error.place().file(), file!());
    }
}
