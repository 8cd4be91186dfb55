//! What a host tells its author.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::manifest::{Facts, Manifest, PluginId};
use plugbay_resolve::{Advice, Policy};
use semver::Version;
use serde::Serialize;

use crate::error::{Error, Explain, printable};
use crate::events::Happening;
use crate::records::Holder;
use crate::resolve::ResolveError;
use crate::results::ResultsStatus;
use crate::seat::Seat;
use crate::unload::Pin;
use crate::verify::{Verified, VerifyError};

/// What is known of a library that passed verification.
#[derive(Debug, Clone)]
pub(crate) struct Loadable {
    pub(crate) seat: Seat,
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) facts: Facts,
    pub(crate) hash: blake3::Hash,
}

impl Loadable {
    pub(crate) fn of(verified: &Verified, policy: &Policy) -> Self {
        Self {
            seat: Seat::of(policy, verified.manifest()),
            path: verified.path().to_owned(),
            manifest: verified.manifest().clone(),
            facts: verified.facts().clone(),
            hash: verified.hash(),
        }
    }
}

/// What a start brought.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StartReport {
    /// The plugins that serve, by id.
    pub active: Vec<PluginStatus>,
    /// Those that are ready, and are loaded when they are called for the first time.
    pub on_demand: Vec<PluginStatus>,
    /// The files and folders that do not, and why.
    pub refused: Vec<Arc<Refusal>>,
    /// What else should be known.
    pub notices: Vec<Notice>,
}

/// A file or folder that does not serve, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The file or folder.
    pub path: PathBuf,
    /// Which plugin, in which version, where it could be read.
    pub plugin: Option<(PluginId, Version)>,
    /// Why.
    pub error: Error,
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        Self { path: error.path().to_owned(), plugin: error.plugin(), error: error.into() }
    }
}

impl From<ResolveError> for Refusal {
    fn from(error: ResolveError) -> Self {
        let plugin = Some((error.id().clone(), error.version().clone()));
        Self { path: error.path().to_owned(), plugin, error: error.into() }
    }
}

impl Refusal {
    /// As an event.
    pub(crate) fn happening(&self) -> Happening {
        Happening::Refused {
            path: self.path.clone(),
            plugin: self.plugin.as_ref().map(|(id, _)| id.clone()),
            code: self.error.code().to_owned(),
            reason: self.reason(),
            help: self.error.hint(),
        }
    }

    /// For programs that judge files themselves, with [`verify`](crate::verify)
    /// and [`resolve`](crate::resolve()).
    pub fn new(
        path: impl Into<PathBuf>,
        plugin: Option<(PluginId, Version)>,
        error: Error,
    ) -> Self {
        Self { path: path.into(), plugin, error }
    }

    pub(crate) fn of(known: &Loadable, error: impl Into<Error>) -> Self {
        let Manifest { id, version, .. } = &known.manifest;
        Self {
            path: known.path.clone(),
            plugin: Some((id.clone(), version.clone())),
            error: error.into(),
        }
    }

    /// The reason without the path, which [`path`](Self::path) has.
    pub fn reason(&self) -> String {
        let whole = full_message(&self.error);
        let path = printable(&self.path);
        match whole.strip_prefix(&path) {
            Some(rest) => {
                let rest = rest.trim_start();
                // `path: reason`, or `path (id version): reason`.
                let rest =
                    rest.strip_prefix('(').and_then(|r| r.split_once("): ")).map_or(rest, |r| r.1);
                rest.trim_start_matches(": ").to_owned()
            }
            None => whole,
        }
    }
}

/// File, plugin, reason, code and what to do, in three lines at most.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.path))?;
        if let Some((id, version)) = &self.plugin {
            write!(f, " ({id} {version})")?;
        }
        write!(f, "\n  {}: {}", self.error.code(), self.reason())?;
        write!(f, "\n  help: {}", self.error.hint())
    }
}

/// An error with its sources, on one line.
pub fn full_message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        // A transparent wrapper, or a message that quotes its source.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}

/// Something that is no refusal, and that one should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// New libraries were loaded without being tried in a child process first.
    Unprobed {
        /// Where the worker program was looked for.
        worker: PathBuf,
    },
    /// Something about a plugin that runs.
    Advice(Advice),
    /// A manifest in the folders is of no library in them.
    Beside {
        /// The stable code.
        code: String,
        /// Which, and what there is not.
        problem: String,
        /// What to do.
        help: String,
    },
    /// A table of the host's own configuration that no plugin in the folders registers:
    /// nobody gets it.
    Extension {
        /// The stable code.
        code: String,
        /// Which problem.
        problem: String,
        /// The table.
        name: String,
    },
    /// The registry fails: what it keeps is not known here, or not kept from now on.
    Registry {
        /// The stable code.
        code: String,
        /// Which problem.
        problem: String,
        /// What to do.
        help: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprobed { worker } => write!(
                f,
                "libraries are loaded without being tried in a child process first: there is no \
                 worker program at {}",
                printable(worker)
            ),
            Self::Advice(advice) => advice.fmt(f),
            Self::Beside { code, problem, help } => {
                write!(f, "{code}: {problem}; help: {help}")
            }
            Self::Extension { code, problem, .. } => write!(
                f,
                "{code}: {problem}; help: correct its name, take it out, or add the plugin that \
                 registers it"
            ),
            Self::Registry { code, problem, help } => write!(
                f,
                "{code}: {problem}; the plugins run, and what they are is not kept; help: {help}"
            ),
        }
    }
}

/// Where a plugin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PluginState {
    /// It serves.
    Active,
    /// Its calls come to an end; it takes no new ones.
    Retiring,
    /// It was unloaded by hand.
    Unloaded,
    /// It was disabled by hand.
    Disabled,
    /// It is loaded when it is called for the first time.
    OnDemand,
}

impl fmt::Display for PluginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Retiring => "being unloaded",
            Self::Unloaded => "unloaded",
            Self::Disabled => "disabled",
            Self::OnDemand => "on demand",
        })
    }
}

/// What a host knows of one plugin now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PluginStatus {
    /// What it is called in this host: its id, or, where versions of it run side by side,
    /// `sql@1`.
    pub name: String,
    /// The file in the plugins folder. Written out as [`printable`](crate::printable)
    /// shows it, since a name need not be text.
    #[serde(serialize_with = "as_printable")]
    pub path: PathBuf,
    /// Where it stands.
    pub state: PluginState,
    /// The generation that serves, or the last one that did.
    pub generation: u64,
    /// Calls that are running now, and other uses, of all its generations.
    pub calls: u64,
    /// Its generations that could serve, and those that are only still in use.
    pub generations: Vec<GenerationStatus>,
    /// What is kept of the results of its commands, where it lets keep some and serves.
    pub results: Option<ResultsStatus>,
    /// Why libraries of earlier generations are still in memory: generation and reason.
    pub pinned: Vec<(u64, Pin)>,
    /// The BLAKE3 hash of the file, in hex.
    pub hash: String,
    /// How it was built.
    pub facts: Facts,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// What is known of one generation.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GenerationStatus {
    /// Which.
    pub generation: u64,
    /// Its version.
    pub version: Version,
    /// What it does.
    pub role: Role,
    /// Who uses it now.
    pub holders: Vec<Holder>,
    /// Calls of it that panicked, and times that it said that it is not well.
    pub troubles: u32,
}

/// What a generation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// It gets the calls.
    Serving,
    /// It was replaced, and may come back.
    Previous,
    /// It ends as soon as nobody uses it.
    Leaving,
}

pub(crate) fn as_printable<S: serde::Serializer>(
    path: &Path,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printable(path))
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How many are done.
    pub done: usize,
    /// Of how many.
    pub total: usize,
}

/// What a start is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Reading, checking and copying files.
    Verify,
    /// Loading and activating plugins.
    Load,
}
