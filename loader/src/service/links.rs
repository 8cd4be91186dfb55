//! What one plugin calls another one's service through.
//!
//! A plugin holds a word for each, which is a counted pointer to a [`Place`] here. Like
//! a program's handle it goes by the other plugin's slot, so it lives through reloads
//! of that.

use std::ptr;
use std::sync::{Arc, Weak};

use plugbay_interface::abi::abi_stable::prefix_type::WithMetadata;
use plugbay_interface::abi::abi_stable::staticref;
use plugbay_interface::abi::abi_stable::std_types::{RNone, RString, RVec};
use plugbay_interface::abi::{Fault, FaultKind, Link, Links, LinksRef, Served, Wanted};
use plugbay_interface::manifest::{Manifest, PluginId, Provided, takes};
use plugbay_interface::service::Description;
use semver::VersionReq;

use super::error::ServiceError;
use super::query::{ProviderStatus, Wish};
use crate::activate::Active;
use crate::error::Explain;
use crate::host::{Found, Inner};
use crate::offers::{Provided as Table, Want};
use crate::seat::{Named, Seat};
use crate::slot::{CountedLease, Lease, Slot};

/// A service of a plugin, for another plugin.
struct Place {
    id: Seat,
    /// The plugin that holds the word.
    asking: Arc<PluginId>,
    slot: Arc<Slot>,
    number: usize,
    wanted: Arc<Want>,
    host: Weak<Inner>,
}

struct Functions;

impl Functions {
    staticref!(const VALUE: WithMetadata<Links> =
        WithMetadata::new(Links { enter, leave, hold, let_go, why, share, release }));
}

const LINKS: LinksRef = LinksRef(Functions::VALUE.as_prefix());

/// What `asking` wants: the plugin that it names, the best one, or all there are.
pub(crate) fn find(
    host: &Arc<Inner>,
    asking: &Manifest,
    wanted: Wanted<'_>,
) -> Result<RVec<Link>, Box<Fault>> {
    let text = (wanted.describe)();
    let description: Description = serde_json::from_str(&text)
        .map_err(|error| fault("crossing", format!("the contract cannot be read: {error}")))?;
    let need = asking
        .needs
        .iter()
        .find(|need| need.id.as_str() == description.id && need.version.major == description.major);
    let Some(need) = need else {
        let Description { id, major, minor, .. } = &description;
        return Err(fault(
            "undeclared",
            format!(
                "{} calls {id} {major}.{minor} and does not say so: write [[needs]] with id = \
                 \"{id}\" and version = \"{major}.{minor}\" into its plugin.toml",
                asking.id
            ),
        ));
    };
    if wanted.many && !need.many {
        let contract = &description.id;
        return Err(fault(
            "undeclared",
            format!(
                "{} calls all that offer {contract}, and does not say so: write many = true into \
                 that [[needs]] of its plugin.toml, or ask for the best one",
                asking.id
            ),
        ));
    }
    let wish = Wish {
        contract: description.id.clone(),
        major: description.major,
        minor: need.version.minor.max(wanted.minor),
        capabilities: Vec::new(),
    };
    let of = Arc::new(asking.id.clone());
    if !wanted.plugin.is_empty() {
        let name = in_range(asking, wanted.plugin.as_str());
        let named = Named::read(&name).map_err(|_| fault_of(host.why_not(&name).into()))?;
        let place = Place::new(host, &of, &named, None, description, Some(&wish));
        return place.map(|place| [place.into_link()].into_iter().collect()).map_err(fault_of);
    }
    // A plugin that offers what it calls means the others.
    let mut providers = wish.providers(&host.manifests());
    providers.retain(|one| one.plugin != asking.id && fits(asking, one));
    let (fit, unfit): (Vec<_>, Vec<_>) =
        providers.into_iter().partition(|one| wish.unfit(&one.provided).is_none());
    let mut links = RVec::new();
    let mut instead: Vec<String> = unfit.iter().map(|one| wish.but(one)).collect();
    for provider in fit {
        let ProviderStatus { plugin, plugin_version, .. } = provider;
        let named = Named::of_seat(&host.seat(&plugin, &plugin_version));
        let versions = range_of(asking, plugin.as_str()).cloned();
        match Place::new(host, &of, &named, versions, description.clone(), None) {
            Ok(place) => links.push(place.into_link()),
            Err(error) => instead.push(error.to_string()),
        }
        if !links.is_empty() && !wanted.many {
            break;
        }
    }
    if links.is_empty() && !wanted.many {
        return Err(fault_of(ServiceError::Nobody { wanted: wish.to_string(), instead }));
    }
    Ok(links)
}

/// Whether a version of a plugin is one that `asking` depends on, where it says so.
fn fits(asking: &Manifest, provider: &ProviderStatus) -> bool {
    let mut ranges = asking.dependencies.iter().filter(|it| it.id == provider.plugin);
    ranges.all(|dependency| takes(&dependency.version, &provider.plugin_version))
}

/// The plugin that is asked for, in the versions that `asking` depends on.
fn in_range(asking: &Manifest, plugin: &str) -> String {
    match range_of(asking, plugin) {
        Some(versions) => format!("{plugin}@{versions}"),
        None => plugin.to_owned(),
    }
}

/// The versions of a plugin that `asking` depends on; none where it is all the same.
fn range_of<'a>(asking: &'a Manifest, plugin: &str) -> Option<&'a VersionReq> {
    let dependency = asking.dependencies.iter().find(|it| it.id.as_str() == plugin)?;
    Some(&dependency.version).filter(|versions| **versions != VersionReq::STAR)
}

impl Place {
    fn new(
        host: &Arc<Inner>,
        asking: &Arc<PluginId>,
        named: &Named,
        versions: Option<VersionReq>,
        contract: Description,
        wish: Option<&Wish>,
    ) -> Result<Self, ServiceError> {
        let Found { seat: id, slot, range } = host.slot_within(named)?;
        let versions = versions.or(range.map(|range| *range));
        let Some(lease) = slot.enter() else { return Err(host.why_not(id.as_str()).into()) };
        let active = lease.active();
        if let Some(wish) = wish {
            let of_it = |one: &&Provided| {
                one.id.as_str() == wish.contract && one.version.major == wish.major
            };
            let older = active.about.manifest.services.iter().find(of_it);
            if let Some(why) = older.and_then(|provided| wish.unfit(provided)) {
                let instead = vec![format!("{id} {why}")];
                return Err(ServiceError::Nobody { wanted: wish.to_string(), instead });
            }
        }
        let (number, wanted) = active.want(slot.wants(), Want { contract, versions })?;
        drop(lease);
        let asking = asking.clone();
        Ok(Self { id, asking, slot, number, wanted, host: Arc::downgrade(host) })
    }

    fn into_link(self) -> Link {
        let plugin = self.id.to_string().into();
        let place = Arc::into_raw(Arc::new(self)).expose_provenance();
        Link { place, links: LINKS, plugin, more: RString::new() }
    }

    /// The functions of the generation that serves; none where it has none any more.
    fn table(&self, active: &Active) -> Option<Table> {
        match active.offers.get(self.number) {
            Some(table) => Some(table),
            None => active.provides(self.number, &self.wanted).ok(),
        }
    }
}

const NOBODY: Served = Served { object: ptr::null(), methods: ptr::null(), token: 0 };

/// The place behind a plugin's word.
///
/// # Safety
///
/// The word is one that `into_link` or `share` gave, and was not released.
unsafe fn at<'a>(place: usize) -> &'a Place {
    // SAFETY: the caller's promise: one count of the pointer is the word's.
    unsafe { &*ptr::with_exposed_provenance::<Place>(place) }
}

extern "C" fn enter(place: usize) -> Served {
    // SAFETY: the plugin's promise (`Link`).
    let place = unsafe { at(place) };
    let Some(lease) = place.slot.enter() else { return NOBODY };
    match place.table(lease.active()) {
        Some(Table { object, methods }) => Served { object, methods, token: lease.into_token() },
        None => NOBODY,
    }
}

extern "C" fn leave(_place: usize, token: usize) {
    // SAFETY: the plugin's promise (`Links::enter`): a token that `enter` gave on this
    // thread, once.
    unsafe { Lease::give_back(token) };
}

extern "C" fn hold(place: usize) -> Served {
    // SAFETY: as in `enter`.
    let place = unsafe { at(place) };
    let Some(lease) = place.slot.hold_for(Some(place.asking.clone())) else { return NOBODY };
    match place.table(lease.active()) {
        Some(Table { object, methods }) => {
            let token = Box::into_raw(Box::new(lease)).expose_provenance();
            Served { object, methods, token }
        }
        None => NOBODY,
    }
}

extern "C" fn let_go(_place: usize, token: usize) {
    // SAFETY: the plugin's promise (`Links::hold`): a token that `hold` gave, once.
    drop(unsafe { Box::from_raw(ptr::with_exposed_provenance_mut::<CountedLease>(token)) });
}

extern "C" fn why(place: usize) -> Fault {
    // SAFETY: as in `enter`.
    *reason(unsafe { at(place) })
}

fn reason(place: &Place) -> Box<Fault> {
    let Some(host) = place.host.upgrade() else {
        return fault("gone", "the host has ended".to_owned());
    };
    let Some(lease) = place.slot.enter() else {
        return fault_of(host.why_not(place.id.as_str()).into());
    };
    match lease.active().provides(place.number, &place.wanted) {
        Err(unfit) => fault_of(ServiceError::unfit(lease.active(), &place.wanted, unfit)),
        // It has come back meanwhile.
        Ok(_) => fault("gone", format!("the plugin {} was not there for a moment", place.id)),
    }
}

extern "C" fn share(place: usize) -> usize {
    // SAFETY: as in `at`: the count is the new word's.
    unsafe { Arc::increment_strong_count(ptr::with_exposed_provenance::<Place>(place)) };
    place
}

extern "C" fn release(place: usize) {
    // SAFETY: as in `at`: the count was the word's, which is used no more.
    drop(unsafe { Arc::from_raw(ptr::with_exposed_provenance::<Place>(place)) });
}

fn fault_of(error: ServiceError) -> Box<Fault> {
    fault(error.code(), error.to_string())
}

fn fault(code: &str, message: String) -> Box<Fault> {
    Box::new(Fault {
        kind: FaultKind::ERROR,
        code: code.into(),
        message: message.into(),
        causes: RVec::new(),
        place: RNone,
        frames: RVec::new(),
        more: "{\"blame\":\"host\"}".into(),
    })
}
