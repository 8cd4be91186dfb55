//! What goes over the socket. The answers are also what `--json` prints.

use std::fmt;
use std::path::Path;

use plugbay_loader::manifest::{Facts, Manifest};
use plugbay_loader::{
    ContractStatus, Explain, GenerationStatus, PinnedLibrary, PluginStatus, Refusal, ResultsStatus,
    Role, manifest_beside, printable,
};
use serde::{Deserialize, Serialize};

use crate::event_line::Told;
use crate::exit::{Exit, Failure};

/// What a client wants; one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// An [`Overview`].
    List,
    /// [`Contracts`].
    Services,
    /// A [`PlanView`](super::PlanView).
    Plan,
    /// An [`Inspection`].
    Inspect { plugin: String },
    /// The command's result. The arguments are JSON in a string, so that they
    /// arrive as they were written.
    Call { plugin: String, command: String, arguments: String },
    /// A [`Changed`].
    Change { action: Action, plugin: String },
    /// What the registry has with these words: a list of its records.
    Search { words: String },
    /// Lets be tried again what took a host down: one plugin or file, or all. A list of
    /// what was held back.
    Release { which: Option<String> },
    /// [`Reloads`], of one plugin or of all.
    Reload { plugin: Option<String> },
    /// A [`Told`].
    Rollback { plugin: String },
    /// A [`Told`].
    Save { plugin: String },
    /// What happened, the oldest first: a list of [`Told`]. To follow, further such
    /// lines come until one side goes.
    History { plugin: Option<String>, follow: bool },
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
    /// All libraries of ended generations that are still in memory, also of
    /// plugins that never served.
    #[serde(default)]
    pub pinned: Vec<PinnedLine>,
    pub notices: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostLine {
    pub pid: u32,
    pub version: String,
    pub socket: String,
    /// Whether it reloads by itself when a file changes.
    #[serde(default)]
    pub watches: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PluginLine {
    pub id: String,
    /// What it is called in its host: its id, or `sql@1` where versions of it run side by
    /// side.
    pub name: String,
    pub version: String,
    /// `active`, `on_demand`, `retiring`, `unloaded` or `disabled`; `verified` where no host
    /// was asked.
    pub state: String,
    pub generation: Option<u64>,
    pub calls: u64,
    /// Those that serve, may come back, or are still in use.
    #[serde(default)]
    pub generations: Vec<GenerationLine>,
    /// What is kept of the results of its commands; none where nothing is.
    #[serde(default)]
    pub results: Option<ResultsStatus>,
    pub pinned: Vec<PinnedLine>,
    pub path: String,
    pub hash: String,
    pub description: String,
    #[serde(default)]
    pub kinds: Vec<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenerationLine {
    pub generation: u64,
    pub version: String,
    /// `serving`, `previous` or `leaving`.
    pub role: String,
    /// Who uses it: thread, command and for how long.
    pub holders: Vec<String>,
    pub troubles: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinnedLine {
    pub id: String,
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
    /// Where the file could be read.
    #[serde(default)]
    pub kinds: Vec<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// Who offers which contract, and who calls it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Contracts {
    /// None where nothing was asked but the folders.
    pub host: Option<HostLine>,
    pub contracts: Vec<ContractStatus>,
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
    #[serde(default)]
    pub generations: Vec<GenerationLine>,
    /// What is kept of the results of its commands; none where nothing is.
    #[serde(default)]
    pub results: Option<ResultsStatus>,
    pub pinned: Vec<PinnedLine>,
    /// Why it does not run, or would not.
    pub refused: Option<RefusedLine>,
    /// The manifest beside the library that was compared with the one in it.
    #[serde(default)]
    pub beside: Option<String>,
    pub facts: Facts,
    pub manifest: Manifest,
}

/// What became of plugins that were looked at again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloads {
    pub plugins: Vec<Told>,
    /// The worst of them.
    pub exit: Exit,
}

/// What became of a plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    pub plugin: PluginLine,
    /// Whether it left state for its next generation.
    pub state_kept: bool,
    /// What it failed at while it ended.
    pub failures: Vec<String>,
    /// Whether later hosts find that it is enabled or disabled.
    #[serde(default)]
    pub kept: bool,
}

impl From<&PluginStatus> for PluginLine {
    fn from(status: &PluginStatus) -> Self {
        Self {
            id: status.manifest.id.to_string(),
            name: status.name.clone(),
            version: status.manifest.version.to_string(),
            state: state_word(status),
            generation: Some(status.generation),
            calls: status.calls,
            generations: status.generations.iter().map(GenerationLine::from).collect(),
            results: status.results,
            pinned: pinned(status),
            path: printable(&status.path),
            hash: status.hash.clone(),
            description: status.manifest.description.clone(),
            kinds: status.manifest.kinds.clone(),
            capabilities: status.manifest.capabilities.clone(),
        }
    }
}

impl PluginLine {
    /// One that never served, and shall not.
    pub fn held_back(of: Inspection) -> Self {
        Self {
            id: of.manifest.id.to_string(),
            name: of.manifest.id.to_string(),
            version: of.manifest.version.to_string(),
            state: plugbay_loader::PluginState::Disabled.to_string(),
            generation: None,
            calls: 0,
            generations: Vec::new(),
            results: None,
            pinned: Vec::new(),
            path: of.path,
            hash: of.hash.unwrap_or_default(),
            description: of.manifest.description,
            kinds: of.manifest.kinds,
            capabilities: of.manifest.capabilities,
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
            kinds: Vec::new(),
            capabilities: Vec::new(),
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
            state: Some(state_word(status)),
            generation: Some(status.generation),
            calls: status.calls,
            generations: status.generations.iter().map(GenerationLine::from).collect(),
            results: status.results,
            pinned: pinned(status),
            refused: None,
            beside: manifest_beside(&status.path, &status.manifest.id).map(|path| printable(&path)),
            facts: status.facts.clone(),
            manifest: status.manifest.clone(),
        }
    }
}

impl From<&GenerationStatus> for GenerationLine {
    fn from(status: &GenerationStatus) -> Self {
        let role = match status.role {
            Role::Serving => "serving",
            Role::Previous => "previous",
            Role::Leaving => "leaving",
            // Of a newer loader than this was written for.
            _ => "other",
        };
        Self {
            generation: status.generation,
            version: status.version.to_string(),
            role: role.into(),
            holders: status.holders.iter().map(ToString::to_string).collect(),
            troubles: status.troubles,
        }
    }
}

impl From<&PinnedLibrary> for PinnedLine {
    fn from(library: &PinnedLibrary) -> Self {
        Self {
            id: library.id.to_string(),
            generation: library.generation,
            reason: library.pin.to_string(),
        }
    }
}

impl RefusedLine {
    /// With what its file says of itself.
    pub fn told_by(mut self, manifest: Option<&Manifest>) -> Self {
        if let Some(manifest) = manifest {
            self.kinds.clone_from(&manifest.kinds);
            self.capabilities.clone_from(&manifest.capabilities);
        }
        self
    }
}

impl HostLine {
    pub fn here(socket: &Path, watches: bool) -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            socket: printable(socket),
            watches,
        }
    }
}

/// The word that the loader's own JSON has for it.
pub(super) fn state_word(status: &PluginStatus) -> String {
    match serde_json::to_value(status.state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => status.state.to_string(),
    }
}

fn pinned(status: &PluginStatus) -> Vec<PinnedLine> {
    let line = |(generation, pin): &(u64, plugbay_loader::Pin)| PinnedLine {
        id: status.manifest.id.to_string(),
        generation: *generation,
        reason: pin.to_string(),
    };
    status.pinned.iter().map(line).collect()
}
