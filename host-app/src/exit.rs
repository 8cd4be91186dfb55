//! How a command ends: its exit code, and what is said when it fails.

use std::error::Error;
use std::io;

use plugbay_loader::{CallError, Explain, full_message};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::terminal::harmless;

/// The exit codes, as README.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Ok,
    Failed,
    Usage,
    Refused,
    NotFound,
    NotPermitted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::NotPermitted => 5,
        }
    }

    /// What an error of the loader ends a command with.
    pub fn of(error: &(impl Explain + 'static)) -> Self {
        if denied(error) {
            return Self::NotPermitted;
        }
        match error.code() {
            // A folder, a file, a plugin, a command, one of its versions that serves, a file of
            // a plugin, one of its versions, an earlier version, the registry's folder, a stack,
            // one that it extends.
            "PB0101" | "PB0201" | "PB0701" | "PB0703" | "PB0708" | "PB0905" | "PB0910"
            | "PB1107" | "PB1601" | "PB1701" | "PB1703" => Self::NotFound,
            // Arguments that do not fit, and what should be an id.
            "PB0704" | "PB0901" => Self::Usage,
            // A new generation that did not take over, a state that it cannot begin with, and a
            // table of the configuration that is another's.
            "PB1531" | "PB1532" | "PB1101" | "PB1102" | "PB1103" | "PB1104" | "PB1105"
            | "PB1201" | "PB1202" => Self::Refused,
            code => match code.get(..4) {
                Some("PB01" | "PB02" | "PB03" | "PB04" | "PB05" | "PB06") => Self::Refused,
                _ => Self::Failed,
            },
        }
    }
}

/// What every command returns when it fails. Also what a running host answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub help: String,
    /// What the plugin said, where it was a plugin that failed: its own code,
    /// causes, place and backtrace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Value>,
    #[serde(skip, default = "failed")]
    pub exit: Exit,
}

fn failed() -> Exit {
    Exit::Failed
}

impl Failure {
    pub fn new(
        code: &'static str,
        exit: Exit,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (message, help) = (message.into(), help.into());
        Self { code: code.into(), message, help, failure: None, exit }
    }

    /// As `new`, for an operation that the system refused: its word is added,
    /// and a lack of rights decides the exit code.
    pub fn io(
        code: &'static str,
        message: impl std::fmt::Display,
        error: &io::Error,
        help: impl Into<String>,
    ) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(code, exit, format!("{message}: {error}"), help)
    }

    /// As for other errors of the loader, with what the plugin said.
    pub fn of_call(error: &CallError) -> Self {
        let exit = match error {
            CallError::Refused { refusal, .. } => Exit::of(&refusal.error),
            _ => Exit::of(error),
        };
        let failure = error.failure().and_then(|failure| serde_json::to_value(failure).ok());
        Self { failure, exit, ..Self::from_error(error) }
    }

    fn from_error(error: &(impl Explain + 'static)) -> Self {
        Self {
            code: error.code().into(),
            message: full_message(error),
            help: error.hint(),
            failure: None,
            exit: Exit::of(error),
        }
    }

    /// For people, in two lines or more.
    pub fn for_people(&self, red: &str, plain: &str) -> String {
        let message = harmless(&self.message);
        let help = harmless(&self.help);
        format!("{red}error[{}]{plain}: {}\n  help: {help}\n", self.code, message.trim_end())
    }
}

impl<E: Explain + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::from_error(&error)
    }
}

/// Whether the system's word at the end of the chain is that rights are missing.
fn denied(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plugbay_loader::{VerifyOptions, Workspace, discover_file, verify};

    use super::*;

    #[test]
    fn a_missing_file_is_not_found_and_a_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.so");
        std::fs::write(&text, "no library").unwrap();
        let workspace = Workspace::new(&folder.path().join("copies")).unwrap();
        let exit = |path: &Path| {
            let outcome = verify(discover_file(path), &workspace, &VerifyOptions::default());
            Exit::of(&outcome.unwrap_err())
        };
        assert_eq!(exit(&folder.path().join("gone.so")), Exit::NotFound);
        assert_eq!(exit(&text), Exit::Refused);
    }

    #[test]
    fn missing_rights_come_first() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = plugbay_loader::BuildError::Cache { path: "/x".into(), source };
        assert_eq!(Exit::of(&error), Exit::NotPermitted);
    }
}
