use std::path::PathBuf;
use std::sync::Arc;

use plugbay_manifest::{Manifest, PluginId};
use semver::Version;

/// A file that could run: all that a decision depends on.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The file.
    pub path: PathBuf,
    /// Of two files with one id and version, the one with the smaller number is taken:
    /// the place of its folder among the host's.
    pub rank: usize,
    /// The hash of its content, in hex.
    pub hash: String,
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
}

/// A file that cannot run, of which it is known what it is. It is only told of: in
/// the reason of one that needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which plugin.
    pub id: PluginId,
    /// In which version.
    pub version: Version,
    /// Why, in one line.
    pub reason: String,
}

/// A plugin in one version, as decisions name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Which plugin.
    pub id: PluginId,
    /// In which version.
    pub version: Version,
}

impl Offer {
    /// Its id and version.
    pub fn name(&self) -> Name {
        Name { id: self.manifest.id.clone(), version: self.manifest.version.clone() }
    }

    /// How long its name is, in bytes, at least.
    pub(crate) fn length_of_name(&self) -> usize {
        self.manifest.id.as_str().len() + length_of(&self.manifest.version)
    }
}

/// How long a version is, in bytes, at least: of some parts as long as its author likes.
pub(crate) fn length_of(version: &Version) -> usize {
    version.pre.len() + version.build.len()
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.version)
    }
}
