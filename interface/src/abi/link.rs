#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;
use abi_stable::std_types::{RStr, RString};

use super::Fault;

/// Which services a plugin asks its host for. Borrowed for the time of the call.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The contract's id.
    pub contract: RStr<'a>,
    /// The contract's major version.
    pub major: u32,
    /// The least minor version that will do.
    pub minor: u32,
    /// The plugin that is to offer it; empty for any.
    pub plugin: RStr<'a>,
    /// Whether all that there are are wanted, and not the one that the host would choose.
    pub many: bool,
    /// The contract as the asking library was compiled with it, as `Offer::describe`.
    pub describe: extern "C" fn() -> RString,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RStr<'a>,
}

/// A place that a plugin reaches another plugin's service through. It lives through
/// reloads of the one that serves, and may be without one at times.
///
/// The host's; given back by `Links::release`, once, before `Instance::deactivate`
/// returns.
#[repr(C)]
#[derive(StableAbi)]
pub struct Link {
    /// The host's own word, the first argument of each function.
    pub place: usize,
    /// The host's functions.
    pub links: LinksRef,
    /// The plugin that serves.
    pub plugin: RString,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RString,
}

/// What the host does for a [`Link`]. All functions may be called from any thread, and
/// none panics. A prefix type, which grows as `Root` does.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = LinksRef, prefix_fields = LinksPrefix)))]
#[sabi(missing_field(option))]
pub struct Links {
    /// Begins a call: what is given is valid until `leave` with its token, on the same
    /// thread, the last one entered first. Waits while the service is being handed
    /// over to the next generation.
    pub enter: extern "C" fn(place: usize) -> Served,
    /// Ends it.
    pub leave: extern "C" fn(place: usize, token: usize),
    /// As `enter`, for as long as wanted, and for any thread: the generation is not
    /// closed before `let_go`. Dearer.
    pub hold: extern "C" fn(place: usize) -> Served,
    /// Ends it, on any thread.
    pub let_go: extern "C" fn(place: usize, token: usize),
    /// Why there was nothing to enter just now.
    pub why: extern "C" fn(place: usize) -> Fault,
    /// Another word for the same place, to be released as well.
    pub share: extern "C" fn(place: usize) -> usize,
    /// Gives a word back.
    #[sabi(last_prefix_field)]
    pub release: extern "C" fn(place: usize),
}

/// The service of the generation that serves now.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct Served {
    /// As `Offer::object`; null where nobody serves.
    pub object: *const (),
    /// As `Offer::methods`.
    pub methods: *const (),
    /// What the end is told by.
    pub token: usize,
}
