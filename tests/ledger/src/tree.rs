//! The ledger of this tree.

use std::collections::BTreeMap;

use abi_stable::StableAbi;
use abi_stable::std_types::RString;
use plugbay_interface::abi::RootRef;

use crate::ledger::{Entry, Ledger};
use crate::{layouts, manifest};

/// What crosses, as the interface has it that this program is linked with.
pub fn ledger() -> Ledger {
    #[allow(unused_mut)] // contracts came later
    let mut from = vec![RootRef::LAYOUT];
    #[cfg(feature = "contracts")]
    from.extend(plugbay_interface::export::contract_layouts());
    let mut entries = layouts::entries(&from);
    entries.extend(manifest::entries());
    #[cfg(feature = "contracts")]
    entries.extend(crate::contracts::entries());
    entries.extend(pinned());
    let order = if cfg!(target_endian = "little") { "little" } else { "big" };
    Ledger {
        interface: plugbay_interface::VERSION.parse().expect("cargo has read it"),
        machine: format!("{}-bit, {order}-endian", usize::BITS),
        entries,
    }
}

/// The crate that all of it stands on.
fn pinned() -> BTreeMap<String, Entry> {
    let version = RString::LAYOUT.package_version().version.to_string();
    let entry = Entry::names([("abi_stable".to_owned(), version)]);
    BTreeMap::from([("the crates in the layouts".to_owned(), entry)])
}
