#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

/// What became of a service that the plugin's manifest says it needs. Borrowed for the
/// time of the call.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct ServiceChanged<'a> {
    /// The contract's id.
    pub contract: RStr<'a>,
    /// The contract's version, as the other plugin offers it; where it is gone, as it did.
    pub major: u32,
    /// As above.
    pub minor: u32,
    /// The plugin that offers it.
    pub plugin: RStr<'a>,
    /// What became of it: one of the constants here. Others are for the plugin to pass
    /// over.
    pub what: u8,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RStr<'a>,
}

impl ServiceChanged<'_> {
    /// It can be called now.
    pub const APPEARED: u8 = 1;
    /// Another generation serves now.
    pub const REPLACED: u8 = 2;
    /// It cannot be called any more.
    pub const GONE: u8 = 3;
}
