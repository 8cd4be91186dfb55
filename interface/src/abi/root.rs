#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RResult;

use super::{Fault, HooksRef, HostBox, InstanceBox};

/// The exported symbol under which a library carries its [`LibHeader`].
pub const ROOT_SYMBOL: &str = "plugbay_root";

/// The functions that a plugin's library offers. The first one that the loader
/// calls is the first plugin code that runs on purpose.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef, prefix_fields = RootPrefix)))]
#[sabi(missing_field(option))]
pub struct Root {
    /// Constructs the plugin. Called once for each mapped copy of a library; may
    /// block; does not panic.
    pub activate: extern "C" fn(host: HostBox) -> RResult<InstanceBox, Fault>,
    /// Changes the most verbose level that the plugin's `log` macros let
    /// through: 0 none … 5 trace. From any thread, at any time; does not block.
    #[sabi(last_prefix_field)]
    pub set_log_level: extern "C" fn(level: u8),
    /// Since 1.1. Hands over what the host does in the C library's place for
    /// this library's threads. Called once, before any other function here;
    /// does not block. `false`: this library does not ask the host, so it is
    /// not known what it leaves behind.
    pub set_hooks: extern "C" fn(hooks: HooksRef, context: usize) -> bool,
    /// Since 1.1. Deletes the keys of thread-specific data that the library has
    /// made, so that no thread calls their destructors when it ends. Called
    /// when no code of the library runs any more but such destructors, any
    /// number of times; does not block.
    pub delete_keys: extern "C" fn(),
    /// Since 1.2. How much of this library others keep: 0 for wakers of futures that
    /// it has polled, 1 for buffers that it gave away without a copy; 0 of a kind that
    /// it does not know. They call its code at any time, so the library is not closed
    /// before all are 0. From any thread; does not block.
    pub kept: extern "C" fn(kind: u32) -> usize,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}

    const BASE_NAME: &'static str = "plugbay";
    const NAME: &'static str = "plugbay";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// The header that `#[plugin]` exports as [`ROOT_SYMBOL`].
///
/// # Safety
///
/// `construct` returns a `PrefixRef` that was made from a [`RootRef`].
pub const unsafe fn header(construct: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: the caller's promise is the one that is asked for here.
    unsafe { LibHeader::from_constructor::<RootRef>(construct, CheckTypeLayout::Yes) }
}

/// What the constructor function that is given to [`header`] returns.
pub const fn root_result(root: RootRef) -> RootModuleResult {
    // SAFETY: erasing the type of the prefix; `header` names it again.
    RResult::ROk(unsafe { root.0.cast() })
}
