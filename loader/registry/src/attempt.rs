use std::fmt;

use jiff::Timestamp;
use plugbay_manifest::PluginId;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::record::{Later, Reason, now};
use crate::{ContentHash, Doing, HostProcess, RecordKey};

/// Which attempt. A number is not given twice by one registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId(pub(crate) u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a host is about to do with a plugin that may take it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// With which plugin.
    pub plugin: PluginId,
    /// In which version.
    pub version: Version,
    /// From which file.
    pub hash: ContentHash,
    /// What.
    pub doing: Doing,
    /// By whom.
    pub process: HostProcess,
    /// Since when.
    pub since: Timestamp,
}

/// Something that was begun. It is open until it is ended; when its process is gone
/// before that, the plugin took its host down, or somebody else killed the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Which.
    pub id: AttemptId,
    /// What was begun.
    #[serde(flatten)]
    pub begun: Begin,
    /// Whether it was ended as a crash, and is kept to be counted.
    #[serde(default)]
    pub crashed: bool,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It came back, well or with an error, or the host was killed by somebody else:
    /// nothing is held against the plugin.
    Harmless,
    /// The plugin took its host down.
    Crashed,
}

/// Bytes that no host of this registry is to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeldBack {
    /// Which bytes.
    pub hash: ContentHash,
    /// Whose they are.
    pub plugin: PluginId,
    /// In which version.
    pub version: Version,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// What is to be released.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// Everything.
    All,
    /// These bytes.
    Hash(ContentHash),
    /// Every version of this plugin.
    Plugin(PluginId),
}

impl Begin {
    /// What this begins now.
    pub fn new(key: RecordKey, doing: Doing, process: HostProcess) -> Self {
        let RecordKey { id: plugin, version, hash } = key;
        Self { plugin, version, hash, doing, process, since: now() }
    }
}

impl Attempt {
    pub(crate) fn new(id: AttemptId, begun: Begin) -> Self {
        Self { id, begun, crashed: false, later: Later::new() }
    }

    /// Whether it is still open though nobody is there any more to end it.
    pub fn is_open_of_dead(&self) -> bool {
        !self.crashed && self.begun.process.is_gone()
    }

    /// Whether it counts as a crash, noted as one or not yet. What was open when the machine
    /// went down does not.
    pub(crate) fn counts(&self) -> bool {
        self.crashed || self.begun.process.is_gone_since_the_boot()
    }
}

impl HeldBack {
    /// Bytes that are held back from now on.
    pub fn new(key: RecordKey, reason: Reason) -> Self {
        let RecordKey { id: plugin, version, hash } = key;
        Self { hash, plugin, version, reason, since: now(), later: Later::new() }
    }
}

impl Selector {
    pub(crate) fn takes(&self, hash: &ContentHash, plugin: &PluginId) -> bool {
        match self {
            Self::All => true,
            Self::Hash(wanted) => wanted == hash,
            Self::Plugin(wanted) => wanted == plugin,
        }
    }
}
