//! Which plugin is called by a contract, where there are several.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use plugbay_interface::manifest::{ContractId, Manifest, PluginId, Provided};
use plugbay_interface::service::Contract;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::service::{Service, ServiceError};

/// The plugins that offer a contract and serve, and what is wanted of them; from
/// [`Host::services`].
#[must_use = "nothing is looked for before `best`, `all` or `wait`"]
pub struct Services<C: Contract + ?Sized> {
    host: Host,
    wish: Wish,
    contract: PhantomData<fn() -> Box<C>>,
}

/// What is wanted of a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) contract: String,
    pub(crate) major: u32,
    /// At least.
    pub(crate) minor: u32,
    pub(crate) capabilities: Vec<String>,
}

/// A contract that plugins offer, in one major version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContractStatus {
    /// The contract.
    pub id: String,
    /// Its major version.
    pub major: u32,
    /// The plugins that offer it and serve: the one that [`Services::best`] gives first.
    pub providers: Vec<ProviderStatus>,
    /// The plugins that declare in their manifest that they call it.
    pub consumers: Vec<PluginId>,
}

/// A plugin that offers a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderStatus {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub plugin_version: Version,
    /// What its manifest says of the service.
    #[serde(flatten)]
    pub provided: Provided,
}

impl<C: Contract + ?Sized> Services<C> {
    pub(crate) fn new(host: Host) -> Self {
        let (contract, major) = (C::ID.to_owned(), C::MAJOR);
        let wish = Wish { contract, major, minor: 0, capabilities: Vec::new() };
        Self { host, wish, contract: PhantomData }
    }

    /// Only those with this minor version of the contract or a later one. Without this,
    /// an older one will do, and its missing methods do what the trait says.
    pub fn since(mut self, minor: u32) -> Self {
        self.wish.minor = minor;
        self
    }

    /// Only those whose manifest says that they have this capability; and so on.
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.wish.capabilities.push(capability.into());
        self
    }

    /// The one that goes before the others: by the precedence in its manifest, the
    /// largest first, then by id.
    ///
    /// # Errors
    ///
    /// When there is none: what there is instead, and why it does not do.
    pub fn best(&self) -> Result<Service<C>, ServiceError> {
        let mut instead = Vec::new();
        for provider in self.offered() {
            match self.wish.unfit(&provider.provided) {
                None => match self.service_of(&provider) {
                    Ok(service) => return Ok(service),
                    Err(error) => instead.push(error.to_string()),
                },
                Some(_) => instead.push(self.wish.but(&provider)),
            }
        }
        Err(ServiceError::Nobody { wanted: self.wish.to_string(), instead })
    }

    /// All of them, in that order.
    pub fn all(&self) -> Vec<Service<C>> {
        let fit = self.offered().into_iter().filter(|one| self.wish.unfit(&one.provided).is_none());
        fit.filter_map(|one| self.service_of(&one).ok()).collect()
    }

    /// As [`best`](Self::best), and waits until there is one, at most for `limit`.
    ///
    /// # Errors
    ///
    /// When there was none in that time.
    pub fn wait(&self, limit: Duration) -> Result<Service<C>, ServiceError> {
        // First, so that nothing happens unseen after the look.
        let events = self.host.events();
        let end = Instant::now().checked_add(limit);
        loop {
            let left = end.map_or(limit, |end| end.saturating_duration_since(Instant::now()));
            match self.best() {
                Err(error) if left.is_zero() => return Err(error),
                Err(_) => drop(events.next_within(left)),
                found => return found,
            }
        }
    }

    /// That of this version's line: others may serve beside it.
    fn service_of(&self, provider: &ProviderStatus) -> Result<Service<C>, ServiceError> {
        let seat = self.host.inner().seat(&provider.plugin, &provider.plugin_version);
        self.host.service(seat.as_str())
    }

    fn offered(&self) -> Vec<ProviderStatus> {
        self.wish.providers(&self.host.inner().manifests())
    }
}

impl Wish {
    /// Those of the contract, whatever their version: of the wanted one first.
    pub(crate) fn providers(&self, manifests: &[Manifest]) -> Vec<ProviderStatus> {
        let mut of_it = contracts_of(manifests);
        of_it.retain(|contract| contract.id == self.contract);
        of_it.sort_by_key(|contract| contract.major != self.major);
        of_it.into_iter().flat_map(|contract| contract.providers).collect()
    }

    /// Why a service does not do; none where it does.
    pub(crate) fn unfit(&self, provided: &Provided) -> Option<String> {
        let Provided { version, capabilities, .. } = provided;
        if version.major != self.major || version.minor < self.minor {
            return Some(format!("offers {version}"));
        }
        let missing = self.capabilities.iter().find(|wanted| !capabilities.contains(wanted))?;
        Some(format!("is not capable of `{}`", missing.escape_debug()))
    }

    /// The same, of whom.
    pub(crate) fn but(&self, provider: &ProviderStatus) -> String {
        let why = self.unfit(&provider.provided).unwrap_or_default();
        format!("{} {why}", provider.plugin)
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.contract, self.major, self.minor)?;
        let mut capabilities = self.capabilities.iter();
        capabilities.try_for_each(|one| write!(f, ", capable of `{}`", one.escape_debug()))
    }
}

/// All contracts that plugins with these manifests offer or call: by id and major
/// version.
pub fn contracts_of<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<ContractStatus> {
    let mut all = BTreeMap::<(String, u32), ContractStatus>::new();
    let mut entry = |id: &ContractId, major: u32, what: Role<'_>| {
        let known = all.entry((id.to_string(), major)).or_insert_with(|| ContractStatus {
            id: id.to_string(),
            major,
            providers: Vec::new(),
            consumers: Vec::new(),
        });
        match what {
            Role::Provides(Manifest { id, version, .. }, provided) => {
                known.providers.push(ProviderStatus {
                    plugin: id.clone(),
                    plugin_version: version.clone(),
                    provided: provided.clone(),
                });
            }
            Role::Calls(manifest) => known.consumers.push(manifest.id.clone()),
        }
    };
    for manifest in manifests {
        for provided in &manifest.services {
            entry(&provided.id, provided.version.major, Role::Provides(manifest, provided));
        }
        for need in &manifest.needs {
            entry(&need.id, need.version.major, Role::Calls(manifest));
        }
    }
    let mut all: Vec<ContractStatus> = all.into_values().collect();
    for contract in &mut all {
        contract.providers.sort_by(|a, b| a.rank().cmp(&b.rank()));
        contract.consumers.sort();
    }
    all
}

enum Role<'a> {
    Provides(&'a Manifest, &'a Provided),
    Calls(&'a Manifest),
}

impl ProviderStatus {
    /// The smallest goes first.
    fn rank(&self) -> impl Ord + '_ {
        (Reverse(self.provided.precedence), &self.plugin, Reverse(&self.plugin_version))
    }
}
