use std::fmt;
use std::panic::Location;

use crate::abi::FaultKind;

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
}

/// An error of a plugin: code, message, chain of causes and the place where it
/// was made. It crosses to the host as data.
///
/// `?` turns any `std::error::Error` into one and keeps its causes; therefore
/// this type is not a `std::error::Error` itself (as in `anyhow`).
pub struct Error {
    kind: FaultKind,
    code: String,
    message: String,
    causes: Vec<String>,
    place: &'static Location<'static>,
}

impl Error {
    /// An error with a stable `code` for programs and a `message` for people.
    #[track_caller]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::ERROR,
            code: code.into(),
            message: message.into(),
            causes: Vec::new(),
            place: Location::caller(),
        }
    }

    /// An error with the code [`code::FAILED`].
    #[track_caller]
    pub fn message(message: impl Into<String>) -> Self {
        Self::new(code::FAILED, message)
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Marks an error of the interface's own. Not by the code, which plugins are
    /// free to use as well.
    pub(crate) fn of_kind(mut self, kind: FaultKind, code: &str) -> Self {
        self.kind = kind;
        self.with_code(code)
    }

    pub(crate) fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Puts `message` in front; what was the message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, cause);
        self
    }

    /// Appends `cause` and all that caused it.
    #[must_use]
    pub fn caused_by(mut self, cause: &dyn std::error::Error) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// The stable code, for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What led to this error, the nearest cause first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Where in the plugin's source it was made.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
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
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] at {}", self.message, self.code, self.place)?;
        for cause in &self.causes {
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
    fn question_mark_keeps_causes_and_place() {
        let port = || -> Result<u16, Error> { Ok("x".parse::<u16>().map_err(Outer)?) };
        let error = port().unwrap_err().context("starting").with_code("port");
        assert_eq!(error.to_string(), "starting");
        assert_eq!(error.causes(), ["the port cannot be read", "invalid digit found in string"]);
        assert_eq!(error.code(), "port");
        assert_eq!(error.place().file(), file!());
    }
}
