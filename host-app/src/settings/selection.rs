//! Which plugins run, as the config file says it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use plugbay_loader::manifest::Selector;
use plugbay_loader::{KindRule, Lock, Plan, PluginId, Policy, Profile, Versions, printable};

use crate::exit::{Exit, Failure};

/// The keys at the top of the config file that decide which plugins run.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) enabled: Vec<Selector>,
    pub(super) disabled: Vec<PluginId>,
    pub(super) profile: Option<Profile>,
    pub(super) kinds: BTreeMap<String, KindRule>,
    pub(super) only_known_kinds: bool,
    pub(super) precedence: BTreeMap<String, Vec<PluginId>>,
    pub(super) features: Vec<String>,
    pub(super) versions: Versions,
    pub(super) versions_of: BTreeMap<PluginId, Versions>,
}

impl Selection {
    /// Writes it into a policy.
    pub(super) fn apply(&self, policy: &mut Policy) {
        policy.enabled.clone_from(&self.enabled);
        policy.disabled = self.disabled.iter().cloned().collect();
        policy.kinds = self.profile.map(|profile| profile.kinds()).unwrap_or_default();
        policy.kinds.extend(self.kinds.clone());
        policy.only_known_kinds = self.only_known_kinds;
        policy.precedence.clone_from(&self.precedence);
        policy.versions = self.versions;
        policy.versions_of.clone_from(&self.versions_of);
        policy.features.extend(self.features.iter().cloned());
    }
}

/// Reads a lock; none where there is no such file.
pub(super) fn read_lock(path: &Path) -> Result<Option<Lock>, Failure> {
    // A pipe or a device would not come to an end.
    let is_no_file = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_no_file {
        let message = format!("the lock {} is no file", printable(path));
        let help = "name another with --lock";
        return Err(Failure::new("PB1034", Exit::Failed, message, help));
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("the lock {} cannot be read", printable(path));
            let help = "see who may read it: ls -l; or name another with --lock";
            return Err(Failure::io("PB1034", message, &error, help));
        }
    };
    Lock::parse(&text).map(Some).map_err(|error| {
        let message = format!("the lock {} is wrong\n{error}", printable(path));
        let help = "take it from where it is kept, or remove it and write it anew: host-app lock";
        Failure::new("PB1034", Exit::Failed, message, help)
    })
}

/// Whether everything is there that a lock names.
pub(super) fn all_there(lock: &Lock, path: &Path, plan: &Plan) -> Result<(), Failure> {
    let is_there = |entry: &plugbay_loader::LockEntry| {
        plan.offers().iter().any(|offer| {
            let manifest = &offer.manifest;
            manifest.id == entry.id
                && manifest.version == entry.version
                && offer.hash == entry.blake3
        })
    };
    let missing: Vec<_> = lock
        .entries()
        .iter()
        .filter(|entry| !is_there(entry))
        .map(|entry| format!("{} {}", entry.id, entry.version))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the lock {} names what is in no folder, with these bytes: {}",
        printable(path),
        missing.join(", ")
    );
    let help = "put it back, or bring the lock up to date: host-app lock";
    Err(Failure::new("PB1036", Exit::Refused, message, help))
}
