//! What is known of plugins, kept across restarts: of the crate `plugbay_registry`, and
//! what a host makes of it.
//!
//! ```
//! use plugbay_loader::{Host, registry::MemoryRegistry};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (plugins, cache) = (folder.path().join("plugins"), folder.path().join("cache"));
//! let registry = std::sync::Arc::new(MemoryRegistry::new());
//! let host = Host::builder().plugin_dir(plugins).cache_dir(cache).registry(registry).build()?;
//! # Ok(()) }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use plugbay_interface::manifest::{PluginId, Selector as PluginSelector};
use plugbay_resolve::{Held, Policy};
use semver::VersionReq;

pub use plugbay_registry::*;

use crate::error::Explain;
use crate::report::full_message;

impl Explain for RegistryError {
    fn code(&self) -> &'static str {
        RegistryError::code(self)
    }

    fn hint(&self) -> String {
        RegistryError::hint(self)
    }
}

/// What a registry says of what shall run.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) enabled: BTreeMap<PluginId, VersionReq>,
    pub(crate) disabled: BTreeSet<PluginId>,
    pub(crate) held: BTreeMap<String, Held>,
}

impl Wanted {
    pub(crate) fn of(wishes: &BTreeMap<PluginId, Wish>, held: &[HeldBack]) -> Self {
        let mut wanted = Self::default();
        for (id, wish) in wishes {
            match wish.choice {
                Choice::Enabled => {
                    let versions = wish.versions.clone().unwrap_or(VersionReq::STAR);
                    wanted.enabled.insert(id.clone(), versions);
                }
                Choice::Disabled => drop(wanted.disabled.insert(id.clone())),
            }
        }
        for held in held {
            wanted.held.insert(held.hash.to_string(), held_of(held));
        }
        wanted
    }
}

/// Adds to a policy what a registry keeps: what was enabled and disabled by hand, which
/// goes before what the policy says of the same plugins, and what is held back. For
/// programs that decide themselves, with [`resolve`](crate::resolve()); a [`Host`] does it
/// when it is built. May block on the disk.
///
/// # Errors
///
/// When the registry cannot be read; the policy is as it was then.
///
/// [`Host`]: crate::Host
pub fn apply(registry: &dyn Registry, policy: &mut Policy) -> Result<(), RegistryError> {
    let wanted = Wanted::of(&registry.wishes()?, &registry.held_back()?);
    let Wanted { enabled, disabled, held } = wanted;
    policy.disabled.retain(|id| !enabled.contains_key(id));
    policy.disabled.extend(disabled);
    enable_in(policy, &enabled);
    policy.held.extend(held);
    Ok(())
}

/// By hand goes before what was said before.
pub(crate) fn enable_in(policy: &mut Policy, enabled: &BTreeMap<PluginId, VersionReq>) {
    policy.enabled.retain(|selector| !enabled.contains_key(&selector.id));
    let by_hand = enabled.iter();
    policy.enabled.extend(
        by_hand.map(|(id, version)| PluginSelector { id: id.clone(), version: version.clone() }),
    );
}

fn held_of(held: &HeldBack) -> Held {
    Held {
        reason: held.reason.text.clone(),
        help: format!("mend it, or let it be tried again: host-app release {}", held.plugin),
    }
}

/// Holds back, in a copy of a registry that cannot be written, what a host ended with while
/// it was activated and is not held back yet: it would be tried once more, and if it took
/// that host down, too, nobody would know. `error` says why it
/// cannot be written.
///
/// # Errors
///
/// When the copy fails.
pub fn hold_back_suspects(copy: &dyn Registry, error: &RegistryError) -> Result<(), RegistryError> {
    let held: BTreeSet<_> = copy.held_back()?.into_iter().map(|held| held.hash).collect();
    let suspects = copy.all_crashes()?.into_iter().filter(|it| !held.contains(&it.begun.hash));
    suspects
        .map(|suspect| held_unless_noted(&suspect, error))
        .try_for_each(|it| copy.hold_back(&it))
}

/// What is under suspicion, as it could not be noted that it is tried.
pub(crate) fn held_unless_noted(suspect: &Attempt, error: &RegistryError) -> HeldBack {
    let text = format!(
        "was being activated when a host ended, on {}; should that happen again it could not be \
         noted: {}: {}",
        date(suspect.begun.since),
        error.code(),
        full_message(error)
    );
    HeldBack::new(key_of(suspect), Reason::of_error("PB0318", text))
}

pub(crate) fn key_of(attempt: &Attempt) -> RecordKey {
    let Begin { plugin: id, version, hash, .. } = attempt.begun.clone();
    RecordKey { id, version, hash }
}

/// A time as people read it.
pub(crate) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d at %H:%M UTC").to_string()
}
