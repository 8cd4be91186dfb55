#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;

/// How a plugin takes a configuration that it is given while it serves. A number and not
/// an enum, so that a value of a later interface is no undefined behaviour in an older
/// host, which reads it as [`BY_RELOAD`](Self::BY_RELOAD).
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct HowTaken(pub u8);

impl HowTaken {
    /// It goes on with the one that it had: a generation with the new one is to take over.
    pub const BY_RELOAD: Self = Self(0);
    /// It has it from now on.
    pub const LIVE: Self = Self(1);
}
