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
