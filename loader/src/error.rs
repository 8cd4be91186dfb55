use std::fmt;
use std::path::Path;

pub(crate) use plugbay_config::shown::word as shown_word;
use plugbay_config::shown::{self, moves_the_cursor};
use plugbay_interface::abi::abi_stable::std_types::{RNone, RSome};
use plugbay_interface::abi::{Fault, FaultKind};
use serde::Serialize;

use crate::{
    ActivateError, ConfigError, ConfigureError, DiscoverError, LoadError, PersistError, ProbeError,
    ReloadError, ResolveError, VerifyError, backtrace,
};

/// What every error of this crate can say besides its message.
pub trait Explain: std::error::Error {
    /// The stable code, for example `PB0206`; `docs/errors.md` lists them all.
    fn code(&self) -> &'static str;

    /// What to do about it, in a sentence.
    fn hint(&self) -> String;
}

/// Why a file in a plugins folder does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder could not be read.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The file is not a plugin that this host can load.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Another file, or the host's version, stands against it.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What it is configured with does not fit its schema.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It did not survive being loaded in a child process.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The library could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The plugin did not become ready.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// It serves, and does not take another configuration.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// It was ready, and could not take over from the generation that serves.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// The state that was kept for it cannot be read.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        self.explain().code()
    }

    fn hint(&self) -> String {
        self.explain().hint()
    }
}

impl Error {
    fn explain(&self) -> &dyn Explain {
        match self {
            Self::Discover(error) => error,
            Self::Verify(error) => error,
            Self::Resolve(error) => error,
            Self::Config(error) => error,
            Self::Probe(error) => error,
            Self::Load(error) => error,
            Self::Activate(error) => error,
            Self::Configure(error) => error,
            Self::Reload(error) => error,
            Self::Persist(error) => error,
        }
    }
}

/// What a plugin said when it failed, copied out of its library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The plugin's own code.
    pub code: String,
    /// The message.
    pub message: String,
    /// What led to it, the nearest cause first.
    pub causes: Vec<String>,
    /// `file:line:column` in the plugin's source.
    pub place: Option<String>,
    /// Whether it was a panic.
    pub panicked: bool,
    /// The panicking thread's frames, innermost first, where the host asked for
    /// them (`RUST_BACKTRACE`).
    pub backtrace: Vec<String>,
}

impl Failure {
    /// Copies a fault and drops it. The library it came from must be mapped, as
    /// its addresses are looked up here.
    pub(crate) fn take(fault: Fault) -> Self {
        let place = match &fault.place {
            RSome(place) => Some(format!("{}:{}:{}", place.file, place.line, place.column)),
            RNone => None,
        };
        Self {
            code: fault.code.to_string(),
            message: fault.message.to_string(),
            causes: fault.causes.iter().map(ToString::to_string).collect(),
            place,
            panicked: fault.kind == FaultKind::PANIC,
            backtrace: backtrace::symbolize(&fault.frames),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_text(&self.message))?;
        for cause in &self.causes {
            write!(f, ": {}", shown_text(cause))?;
        }
        if let Some(place) = self.place.as_ref().filter(|_| self.panicked) {
            write!(f, " (at {})", shown_word(place))?;
        }
        for frame in &self.backtrace {
            write!(f, "\n    {}", shown_word(frame))?;
        }
        Ok(())
    }
}

/// A path as it can be shown: one line, control characters and invalid UTF-8 escaped.
pub fn printable(path: &Path) -> String {
    shown::path(path)
}

/// A path as an argument for a shell; none where it cannot be typed.
pub(crate) fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.chars().any(moves_the_cursor))?;
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Foreign text that may have several lines: those after the first are
/// indented, so that none looks like one of ours.
pub(crate) fn shown_text(text: &str) -> String {
    text.trim_end().split('\n').map(shown_word).collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn hostile_names_are_shown_on_one_line() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(OsStr::from_bytes(b"/a b/new\nline\x1b[31m\xff.so"));
        assert_eq!(printable(path), "/a b/new\\nline\\u{1b}[31m\\xff.so");
        assert_eq!(quoted(path), None);
    }

    #[test]
    fn a_hint_is_safe_to_paste() {
        assert_eq!(quoted(Path::new("a'; rm x; 'b")).unwrap(), r"'a'\''; rm x; '\''b'");
    }

    #[test]
    fn foreign_lines_do_not_look_like_ours() {
        let text = "no\x1b[2J\u{202e}\n  help: run this\r\n";
        assert_eq!(shown_text(text), "no\\u{1b}[2J\\u{202e}\n      help: run this");
    }
}
