#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RStr, RString};

use super::Fault;

/// One service: an object of a plugin with the functions of its contract.
///
/// All of it belongs to the plugin's library and is valid from the time when
/// `Instance::services` gave it until `Instance::deactivate` is called. The object
/// may be used from any thread, from many at once.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct Offer {
    /// The contract's id.
    pub contract: RStr<'static>,
    /// The contract's major version, as this library was compiled with it.
    pub major: u32,
    /// The contract's minor version.
    pub minor: u32,
    /// What each of the functions takes as its first argument.
    pub object: *const (),
    /// The table of the contract's functions: a `usize`, which says how many there
    /// are, and so many function pointers, in the order of `describe`'s methods.
    /// Their arguments and results are what `describe` says, so nobody calls them
    /// before that was compared.
    pub methods: *const (),
    /// The contract as this library was compiled with it: JSON, which reads as
    /// [`Description`](crate::service::Description). Does not panic.
    pub describe: extern "C" fn() -> RString,
    /// Calls a method by its name, with a JSON object of its arguments; the result
    /// is JSON, too. Blocks until an asynchronous one is ready. Does not panic.
    pub call: extern "C" fn(
        object: *const (),
        method: RStr<'_>,
        arguments: RStr<'_>,
    ) -> RResult<RString, Fault>,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RString,
}

// SAFETY: the object is one that `Contract` wants to be `Send + Sync`, and the rest
// is constant data and functions.
unsafe impl Send for Offer {}
// SAFETY: as above.
unsafe impl Sync for Offer {}
