//! What goes over the socket. The answers are also what `--json` prints.

use std::fmt;
use std::path::Path;

use plugbay_loader::manifest::{Facts, Manifest};
use plugbay_loader::{Explain, PluginStatus, Refusal, printable};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// What a client wants; one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// An [`Overview`].
    List,
    /// An [`Inspection`].
    Inspect { plugin: String },
    /// The command's result. The arguments are JSON in a string, so that they
    /// arrive as they were written.
    Call { plugin: String, command: String, arguments: String },
    /// A [`Changed`].
    Change { action: Action, plugin: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Enable,
    Disable,
    Load,
    Unload,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Load => "load",
            Self::Unload => "unload",
        })
    }
}

/// What the host says to it; one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    Ok(T),
    Error { exit: Exit, failure: Failure },
}

impl<T> From<Result<T, Failure>> for Answer<T> {
    fn from(outcome: Result<T, Failure>) -> Self {
        match outcome {
            Ok(value) => Self::Ok(value),
            Err(failure) => Self::Error { exit: failure.exit, failure },
        }
    }
}

impl<T> From<Answer<T>> for Result<T, Failure> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Error { exit, failure } => Err(Failure { exit, ..failure }),
        }
    }
}

/// What runs, or would run, and what not.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    /// None where nothing was asked but the folders.
    pub host: Option<HostLine>,
    pub folders: Vec<String>,
    pub plugins: Vec<PluginLine>,
    pub refused: Vec<RefusedLine>,
    pub notices: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostLine {
    pub pid: u32,
    pub version: String,
    pub socket: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PluginLine {
    pub id: String,
    pub version: String,
    /// `active`, `retiring`, `unloaded` or `disabled`; `verified` where no host
    /// was asked.
    pub state: String,
    pub generation: Option<u64>,
    pub calls: u64,
    pub pinned: Vec<PinnedLine>,
    pub path: String,
    pub hash: String,
    pub description: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinnedLine {
    pub generation: u64,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedLine {
    pub path: String,
    pub id: Option<String>,
    pub version: Option<String>,
    pub code: String,
    pub reason: String,
    pub help: String,
}

/// One plugin, or one file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inspection {
    pub path: String,
    pub size: Option<u64>,
    pub hash: Option<String>,
    pub state: Option<String>,
    pub generation: Option<u64>,
    pub calls: u64,
    pub pinned: Vec<PinnedLine>,
    /// Why it does not run, or would not.
    pub refused: Option<RefusedLine>,
    pub facts: Facts,
    pub manifest: Manifest,
}

/// What became of a plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    pub plugin: PluginLine,
    /// Whether it left state for its next generation.
    pub state_kept: bool,
    /// What it failed at while it ended.
    pub failures: Vec<String>,
}

impl From<&PluginStatus> for PluginLine {
    fn from(status: &PluginStatus) -> Self {
        Self {
            id: status.manifest.id.to_string(),
            version: status.manifest.version.to_string(),
            state: state(status),
            generation: Some(status.generation),
            calls: status.calls,
            pinned: pinned(status),
            path: printable(&status.path),
            hash: status.hash.clone(),
            description: status.manifest.description.clone(),
        }
    }
}

impl From<&Refusal> for RefusedLine {
    fn from(refusal: &Refusal) -> Self {
        let (id, version) = refusal.plugin.clone().unzip();
        Self {
            path: printable(&refusal.path),
            id: id.map(Into::into),
            version: version.map(|version| version.to_string()),
            code: refusal.error.code().into(),
            reason: refusal.reason(),
            help: refusal.error.hint(),
        }
    }
}

impl From<&PluginStatus> for Inspection {
    fn from(status: &PluginStatus) -> Self {
        Self {
            path: printable(&status.path),
            // Of what was loaded; the file may be another one by now.
            size: None,
            hash: Some(status.hash.clone()),
            state: Some(state(status)),
            generation: Some(status.generation),
            calls: status.calls,
            pinned: pinned(status),
            refused: None,
            facts: status.facts.clone(),
            manifest: status.manifest.clone(),
        }
    }
}

impl HostLine {
    pub fn here(socket: &Path) -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            socket: printable(socket),
        }
    }
}

/// The word that the loader's own JSON has for it.
fn state(status: &PluginStatus) -> String {
    match serde_json::to_value(status.state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => status.state.to_string(),
    }
}

fn pinned(status: &PluginStatus) -> Vec<PinnedLine> {
    let line = |(generation, pin): &(u64, plugbay_loader::Pin)| PinnedLine {
        generation: *generation,
        reason: pin.to_string(),
    };
    status.pinned.iter().map(line).collect()
}
