//! What a generation offers by contract, and where those who asked for it find it.
//!
//! Who asks for a contract of a plugin says how that contract looks where it was
//! compiled, and perhaps in which versions of the plugin: a [`Want`], kept by the plugin's
//! slot under a number. Each generation compares what it offers with all of them before it
//! serves, and notes by number what fits, so that a call compares nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use plugbay_interface::abi::abi_stable::std_types::{RResult, RStr, RString};
use plugbay_interface::abi::{Fault, InstanceBox, Offer};
use plugbay_interface::manifest::takes;
use plugbay_interface::service::{Description, MethodDescription};
use semver::{Version, VersionReq};

use crate::error::{Failure, shown_word};

/// How many contracts of one plugin are found without a lock.
const QUICK: usize = 8;

/// An object with the functions of its contract. Valid as long as its generation, and
/// used under a lease on that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provided {
    pub(crate) object: *const (),
    pub(crate) methods: *const (),
}

// SAFETY: `Offer` says that the object may be used from any thread.
unsafe impl Send for Provided {}
// SAFETY: as above.
unsafe impl Sync for Provided {}

/// What one generation offers.
#[derive(Debug)]
pub(crate) struct Offers {
    all: Vec<Offered>,
    /// By the slot's numbers.
    quick: [Place; QUICK],
    more: RwLock<HashMap<usize, Provided>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) contract: String,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    provided: Provided,
    describe: extern "C" fn() -> RString,
    call: Call,
    description: OnceLock<Result<Arc<Description>, String>>,
}

type Call = extern "C" fn(*const (), RStr<'_>, RStr<'_>) -> RResult<RString, Fault>;

/// What a number leads to; null for nothing.
#[derive(Debug, Default)]
struct Place {
    object: AtomicPtr<()>,
    methods: AtomicPtr<()>,
}

/// The contracts that were asked for, by number.
#[derive(Debug, Default)]
pub(crate) struct Wants(Mutex<Vec<Arc<Want>>>);

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) contract: Description,
    /// The versions of the plugin that will do; none for all.
    pub(crate) versions: Option<VersionReq>,
}

/// Why a generation has nothing for who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It does not offer the contract, or only in another major version.
    Missing,
    /// It does, and cannot be called.
    Differs(Box<Difference>),
    /// It is no version that was asked for.
    Version,
}

/// How a contract is another one there than here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// In one sentence.
    pub summary: String,
    /// The long story: both sides' words, one a line.
    pub details: Option<String>,
}

impl Offers {
    /// Asks a plugin that was just constructed. All that is kept is the host's memory.
    pub(crate) fn of(instance: &InstanceBox) -> Result<Self, Box<Failure>> {
        let offers = match instance.services() {
            RResult::ROk(offers) => offers,
            RResult::RErr(fault) => return Err(Box::new(Failure::take(fault))),
        };
        let (quick, more) = (Default::default(), RwLock::default());
        Ok(Self { all: offers.iter().map(Offered::new).collect(), quick, more })
    }

    pub(crate) fn all(&self) -> &[Offered] {
        &self.all
    }

    /// The newest version of a contract that it offers.
    pub(crate) fn newest(&self, contract: &str) -> Option<&Offered> {
        let of_it = self.all.iter().filter(|offered| offered.contract == contract);
        of_it.max_by_key(|offered| (offered.major, offered.minor))
    }

    /// All methods that can be called by name. Runs code of the plugin: under a lease.
    pub(crate) fn methods(&self) -> Vec<String> {
        let contracts = self.all.iter().filter_map(|offered| offered.description().ok());
        let names = |contract: Arc<Description>| {
            let id = contract.id.clone();
            let name = move |method: &MethodDescription| format!("{id}:{}", method.name);
            contract.methods.iter().map(name).collect::<Vec<_>>()
        };
        contracts.flat_map(names).collect()
    }

    /// What the number leads to.
    #[inline(always)]
    pub(crate) fn get(&self, number: usize) -> Option<Provided> {
        if let Some(place) = self.quick.get(number) {
            let methods = place.methods.load(Ordering::Acquire);
            let object = place.object.load(Ordering::Relaxed);
            return (!methods.is_null()).then_some(Provided { object, methods });
        }
        self.get_slowly(number)
    }

    #[cold]
    fn get_slowly(&self, number: usize) -> Option<Provided> {
        self.more.read().get(&number).copied()
    }

    /// Looks for what was wanted, and lets the number lead to it from now on. Runs
    /// code of the plugin: under a lease, or before it serves.
    pub(crate) fn find(
        &self,
        number: usize,
        wanted: &Want,
        version: &Version,
    ) -> Result<Provided, Unfit> {
        if let Some(known) = self.get(number) {
            return Ok(known);
        }
        let provided = self.fits(wanted, version)?;
        match self.quick.get(number) {
            Some(place) => {
                place.object.store(provided.object.cast_mut(), Ordering::Relaxed);
                place.methods.store(provided.methods.cast_mut(), Ordering::Release);
            }
            None => drop(self.more.write().insert(number, provided)),
        }
        Ok(provided)
    }

    /// The method behind `CONTRACT:METHOD`, as it would stand in the trait.
    pub(crate) fn method(&self, name: &str) -> Option<Box<str>> {
        let (contract, method) = name.split_once(':')?;
        let description = self.newest(contract)?.description().ok()?;
        let found = description.methods.iter().find(|one| one.name == method)?;
        Some(shown_word(&found.to_string()).into())
    }

    /// Looks for what is wanted, in this version. Runs code of the plugin, as above.
    pub(crate) fn fits(&self, wanted: &Want, version: &Version) -> Result<Provided, Unfit> {
        let Want { contract: wanted, versions } = wanted;
        if versions.as_ref().is_some_and(|versions| !takes(versions, version)) {
            return Err(Unfit::Version);
        }
        let offered = self
            .all
            .iter()
            .find(|offered| offered.contract == wanted.id && offered.major == wanted.major)
            .ok_or(Unfit::Missing)?;
        let differs = |summary, details| Unfit::Differs(Difference { summary, details }.into());
        let unread = |reason| differs(reason, None);
        let description = offered.description().map_err(unread)?;
        description
            .serves(wanted)
            .map_err(|mismatch| differs(mismatch.to_string(), mismatch.details()))?;
        Ok(offered.provided)
    }
}

impl Offered {
    fn new(offer: &Offer) -> Self {
        Self {
            contract: offer.contract.as_str().to_owned(),
            major: offer.major,
            minor: offer.minor,
            provided: Provided { object: offer.object, methods: offer.methods },
            describe: offer.describe,
            call: offer.call,
            description: OnceLock::new(),
        }
    }

    /// The contract as the plugin was compiled with it. Runs code of the plugin, once.
    pub(crate) fn description(&self) -> Result<Arc<Description>, String> {
        let read = || {
            let text = (self.describe)();
            let read = serde_json::from_str(text.as_str());
            read.map(Arc::new).map_err(|error| format!("its description cannot be read: {error}"))
        };
        self.description.get_or_init(read).clone()
    }

    /// Calls a method by name, with JSON. Under a lease.
    pub(crate) fn call(&self, method: &str, arguments: &str) -> RResult<RString, Fault> {
        (self.call)(self.provided.object, RStr::from_str(method), RStr::from_str(arguments))
    }
}

impl Wants {
    /// The number of a contract that is asked for; that of an equal one where there is one.
    pub(crate) fn number(&self, wanted: Want) -> (usize, Arc<Want>) {
        let mut all = self.0.lock();
        if let Some(number) = all.iter().position(|known| **known == wanted) {
            return (number, all[number].clone());
        }
        let wanted = Arc::new(wanted);
        all.push(wanted.clone());
        (all.len() - 1, wanted)
    }

    /// All of them, in the order of their numbers.
    pub(crate) fn all(&self) -> Vec<Arc<Want>> {
        self.0.lock().clone()
    }
}
