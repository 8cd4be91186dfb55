// Of the items that sabi_trait makes.
#![allow(missing_docs, non_local_definitions, clippy::unnecessary_cast)]

use abi_stable::std_types::{RBox, ROption, RResult, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::{Fault, HowTaken, Offer, ServiceChanged};

/// One activated plugin.
///
/// `call` may be called from many threads at once, `services` from any thread at
/// any time until `deactivate` begins. `service_changed` is called from any thread,
/// beside `call`s, one call after the other. `save_state` is called while neither of
/// them is in flight, nor `configure`; `deactivate` at most once, when none is and none
/// will come. No method panics. Results belong to the plugin's allocator.
#[sabi_trait]
pub trait Instance: Send + Sync + 'static {
    /// Runs a command; arguments and result are JSON.
    fn call(&self, command: RStr<'_>, arguments: RStr<'_>) -> RResult<RString, Fault>;
    /// Gives the state for the next generation.
    fn save_state(&self) -> RResult<ROption<SavedState>, Fault>;
    /// Ends the plugin and drops all that is its own.
    #[sabi(last_prefix_field)]
    fn deactivate(self) -> RResult<(), Fault>;
    /// What the plugin offers to be called by contract. The same at every call;
    /// valid until `deactivate` is called. Since 1.2.
    fn services(&self) -> RResult<RVec<Offer>, Fault> {
        RResult::ROk(RVec::new())
    }
    /// Tells what became of a service that the manifest says is needed. Called once
    /// for each change, in the order in which they happened, while the generation
    /// serves. May block: then the next change is told later. Since 1.2.
    fn service_changed(&self, change: ServiceChanged<'_>) -> RResult<(), Fault> {
        let _ = change;
        RResult::ROk(())
    }
    /// Gives another configuration, as JSON, and says how it is taken. Called on a thread
    /// that does nothing else, while the generation serves, beside `call`s and
    /// `service_changed`, one call after the other. May block. Whatever it says but that it
    /// is taken live, the plugin goes on with the one that it had. Since 1.3.
    fn configure(&self, configuration: RStr<'_>) -> RResult<HowTaken, Fault> {
        let _ = configuration;
        RResult::ROk(HowTaken::BY_RELOAD)
    }
}

/// An activated plugin as the host holds it. Dropping it without `deactivate`
/// forgets the plugin's value: its destructors do not run.
pub type InstanceBox = Instance_TO<RBox<()>>;

/// A plugin's state between two generations.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq, Eq)]
pub struct SavedState {
    /// `state.version` of the plugin that wrote it.
    pub version: u32,
    /// The state, in the plugin's own form (JSON today).
    pub bytes: RVec<u8>,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RString,
}
