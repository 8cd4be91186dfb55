//! The boundary between a host and a plugin's library.
//!
//! Everything that crosses is here. The types are `repr(C)` with a layout that
//! the loader compares before it uses any of them, and they grow by the rules
//! of `docs/ABI.md`: new fields and methods at the end, never a change.
//!
//! Ownership: whatever arrives in an `RString`, `RVec` or a trait object belongs
//! to the library that made it and is freed by that library's code. The host
//! copies what it keeps and drops the original before the library is closed.
//!
//! Panics: none crosses. Each side wraps its own entry points.

mod changed;
mod fault;
mod frames;
mod hooks;
mod host;
mod how_taken;
mod instance;
mod link;
mod offer;
mod root;

pub use crate::kept::Kept;
pub use abi_stable;
pub use changed::ServiceChanged;
pub use fault::{Fault, FaultBox, FaultKind, Place};
pub use hooks::{Hooks, HooksRef};
pub use host::{HostBox, HostSide, HostSide_TO, LogRecord};
pub use how_taken::HowTaken;
pub use instance::{Instance, Instance_TO, InstanceBox, SavedState};
pub use link::{Link, Links, LinksRef, Served, Wanted};
pub use offer::Offer;
pub use root::{ROOT_SYMBOL, Root, RootRef, header, root_result};

pub(crate) use frames::return_addresses;
#[cfg(test)]
pub(crate) use host::no_services;

/// Two builds of this crate with the same fingerprint have the same types here, laid
/// out the same: it stands for their source, the version of this crate, the target and
/// the compiler. Hexadecimal digits.
pub const FINGERPRINT: &str = env!("PLUGBAY_ABI");
