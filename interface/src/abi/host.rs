#![allow(missing_docs, non_local_definitions)] // of the items that sabi_trait makes

use abi_stable::std_types::{RBox, RNone, ROption, RResult, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::{Fault, FaultKind, Link, SavedState, Wanted};

/// What the host offers to one generation of a plugin.
///
/// All methods may be called from any thread, at any time until the plugin's
/// `deactivate` has returned; none blocks beyond what the host's logger does;
/// none panics. Results belong to the host's allocator.
#[sabi_trait]
pub trait HostSide: Send + Sync + 'static {
    /// The number of this generation, from 1.
    fn generation(&self) -> u64;
    /// The plugin's data folder, absolute; it need not exist.
    fn data_dir(&self) -> RString;
    /// The configuration that the generation is constructed with, as JSON.
    fn configuration(&self) -> RString;
    /// The state that the generation before has left; taken by the first call.
    fn take_state(&self) -> ROption<SavedState>;
    /// Whether a panic shall bring its return addresses along.
    fn wants_backtraces(&self) -> bool;
    /// The most verbose level that the host wants from this plugin: 0 none,
    /// 1 error … 5 trace. Later changes come through `Root::set_log_level`.
    fn log_level(&self) -> u8;
    /// Hands a log record to the host's logger.
    #[sabi(last_prefix_field)]
    fn log(&self, record: LogRecord<'_>);
    /// As `take_state`, and says why where the generation before could not give
    /// its state. Blocks until the calls of that generation have ended. Since 1.1.
    fn hand_over(&self) -> RResult<ROption<SavedState>, Fault> {
        RResult::ROk(self.take_state())
    }
    /// Says that this generation is not well. Does not block. Since 1.1.
    fn report_trouble(&self, what: RStr<'_>) {
        let _ = what;
    }
    /// Finds services of other plugins: the one that is asked for, the one that the
    /// host would choose, or all of them. Compares the contracts before it gives any.
    /// Since 1.2.
    fn find_services(&self, wanted: Wanted<'_>) -> RResult<RVec<Link>, Fault> {
        let _ = wanted;
        no_services()
    }
}

/// What a plugin says to itself where its host is older than services.
pub(crate) fn no_services() -> RResult<RVec<Link>, Fault> {
    RResult::RErr(Fault {
        kind: FaultKind::ERROR,
        code: "unsupported".into(),
        message: "this host is older than services (interface 1.2)".into(),
        causes: RVec::new(),
        place: RNone,
        frames: RVec::new(),
        more: "{\"blame\":\"host\"}".into(),
    })
}

/// The host's side as a plugin holds it.
pub type HostBox = HostSide_TO<RBox<()>>;

/// One log record. Borrowed for the time of the call.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// The line in the file, from 1; 0 for unknown.
    pub line: u32,
    /// The formatted message.
    pub message: RStr<'a>,
    /// The target that the plugin's code gave, usually a module path.
    pub target: RStr<'a>,
    /// The source file; empty for unknown.
    pub file: RStr<'a>,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RStr<'a>,
}
