use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plugbay_interface::manifest::{Manifest, PluginId};
use semver::{Version, VersionReq};

use crate::error::{Explain, printable, quoted};
use crate::verify::Verified;

/// What plugins may require of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The host program's version, which manifests name as `host`.
    pub version: Version,
    /// Plugins that shall not run.
    pub disabled: Vec<PluginId>,
}

/// A verified plugin that shall run.
#[derive(Debug)]
pub struct Resolved {
    verified: Verified,
}

impl Resolved {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    pub(crate) fn into_verified(self) -> Verified {
        self.verified
    }
}

/// What runs, and why the rest does not.
#[derive(Debug, Default)]
pub struct Plan {
    /// At most one for each id, sorted by id.
    pub run: Vec<Resolved>,
    /// The others, each with the shortest true reason, sorted by id and path.
    pub held_back: Vec<ResolveError>,
}

/// Why a good plugin does not run.
#[derive(Debug, thiserror::Error)]
#[error("{} ({id} {version}): {reason}", printable(.path))]
pub struct ResolveError {
    path: PathBuf,
    id: PluginId,
    version: Version,
    reason: Box<Reason>,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("needs a host {needs}, this host is {host}")]
    Host { needs: VersionReq, host: Version },
    #[error("{newer} is newer, in {}", printable(.other))]
    Older { newer: Version, other: PathBuf },
    #[error("the same bytes as {}", printable(.other))]
    SameBytes { other: PathBuf },
    #[error("has the same id and version as {}, but other bytes", printable(.other))]
    Ambiguous { other: PathBuf },
    #[error("is disabled")]
    Disabled,
}

impl ResolveError {
    /// The file in the plugins folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which plugin it is.
    pub fn id(&self) -> &PluginId {
        &self.id
    }

    /// In which version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    fn new(verified: &Verified, reason: Reason) -> Self {
        let Manifest { id, version, .. } = verified.manifest();
        Self {
            path: verified.path().to_owned(),
            id: id.clone(),
            version: version.clone(),
            reason: Box::new(reason),
        }
    }
}

impl Explain for ResolveError {
    fn code(&self) -> &'static str {
        match *self.reason {
            Reason::Host { .. } => "PB0301",
            Reason::Older { .. } => "PB0302",
            Reason::SameBytes { .. } => "PB0303",
            Reason::Ambiguous { .. } => "PB0304",
            Reason::Disabled => "PB0305",
        }
    }

    fn hint(&self) -> String {
        match &*self.reason {
            Reason::Host { needs, .. } => {
                format!("use a host {needs}, or another version of {}", self.id)
            }
            Reason::Older { .. } | Reason::SameBytes { .. } => {
                let path = quoted(&self.path).unwrap_or_else(|| "FILE".into());
                format!("remove it: rm {path}")
            }
            Reason::Ambiguous { .. } => {
                "keep the one that you mean; give a changed plugin a new version".into()
            }
            Reason::Disabled => format!("let it run with: host-app enable {}", self.id),
        }
    }
}

/// Decides which of the verified plugins run: those that this host's version
/// fits, of several versions the newest, of several files of one version the
/// one in the folder named first (in one folder: by file name).
///
/// Pure: the same input gives the same plan, in whatever order it comes.
pub fn resolve(mut found: Vec<Verified>, host: &HostFacts) -> Plan {
    found.sort_by(|a, b| {
        let (one, two) = (a.manifest(), b.manifest());
        one.id
            .cmp(&two.id)
            .then_with(|| two.version.cmp(&one.version))
            .then_with(|| a.rank().cmp(&b.rank()))
            .then_with(|| a.path().cmp(b.path()))
    });
    let mut run: BTreeMap<PluginId, Verified> = BTreeMap::new();
    let mut plan = Plan::default();
    for verified in found {
        let Manifest { id, version, host: needs, .. } = verified.manifest();
        let reason = if host.disabled.contains(id) {
            Reason::Disabled
        } else if !fits(needs, &host.version) {
            Reason::Host { needs: needs.clone(), host: host.version.clone() }
        } else if let Some(chosen) = run.get(id) {
            let other = chosen.path().to_owned();
            if chosen.hash() == verified.hash() {
                Reason::SameBytes { other }
            } else if chosen.manifest().version == *version {
                Reason::Ambiguous { other }
            } else {
                Reason::Older { newer: chosen.manifest().version.clone(), other }
            }
        } else {
            run.insert(id.clone(), verified);
            continue;
        };
        plan.held_back.push(ResolveError::new(&verified, reason));
    }
    plan.run = run.into_values().map(|verified| Resolved { verified }).collect();
    plan
}

/// A pre-release of a host counts as that host: `2.0.0-rc.1` runs what needs `^2`
/// or `>=1`, which semver's own rule for dependencies would refuse.
fn fits(needs: &VersionReq, host: &Version) -> bool {
    needs.matches(host) || {
        let release = Version { pre: semver::Prerelease::EMPTY, ..host.clone() };
        needs.matches(&release)
    }
}
