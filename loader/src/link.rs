//! The host as one generation of a plugin sees it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use log::{Level, LevelFilter, Metadata, Record};
use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::sabi_trait::TD_Opaque;
use plugbay_interface::abi::abi_stable::std_types::{RNone, ROption, RResult, RStr, RString, RVec};
use plugbay_interface::abi::{
    Fault, FaultKind, HostBox, HostSide, HostSide_TO, Link as ServiceLink, LogRecord, SavedState,
    Wanted,
};
use plugbay_interface::manifest::PluginId;

use crate::configure::Configured;
use crate::footprint::in_library;
use crate::handover::{Handover, HandoverError};
use crate::host::Inner;
use crate::probation::Troubles;
use crate::report::Loadable;
use crate::results::Most;
use crate::secrets::Secrets;
use crate::service;

/// What a generation is told.
pub(crate) struct Link {
    pub(crate) id: PluginId,
    pub(crate) generation: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) configured: Arc<Configured>,
    /// What is not in what it logs.
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) state: StateSource,
    /// How many results of its commands are kept.
    pub(crate) results: Most,
    pub(crate) wants_backtraces: bool,
    pub(crate) log_level: LevelFilter,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) about: Arc<Loadable>,
    pub(crate) host: Weak<Inner>,
}

/// Where the state comes from that a generation begins with.
#[derive(Debug)]
pub(crate) enum StateSource {
    /// Kept by the host since the plugin last served, if there was any.
    Kept(Mutex<Option<SavedState>>),
    /// From the generation that serves.
    Over(Arc<Handover>),
}

impl StateSource {
    fn take(&self) -> Result<Option<SavedState>, HandoverError> {
        match self {
            Self::Kept(state) => Ok(state.lock().take()),
            Self::Over(handover) => handover.take(),
        }
    }
}

impl Link {
    pub(crate) fn into_box(self) -> HostBox {
        HostSide_TO::from_value(self, TD_Opaque)
    }
}

/// None of these panics: a panic in a method of this kind ends the process.
impl HostSide for Link {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn data_dir(&self) -> RString {
        self.data_dir.to_string_lossy().into_owned().into()
    }

    fn configuration(&self) -> RString {
        self.configured.text().into()
    }

    fn take_state(&self) -> ROption<SavedState> {
        // What went wrong is known to the handover, which lets nobody serve then.
        self.state.take().unwrap_or_default().into()
    }

    fn hand_over(&self) -> RResult<ROption<SavedState>, Fault> {
        match self.state.take() {
            Ok(state) => RResult::ROk(state.into()),
            Err(error) => RResult::RErr(Fault {
                kind: FaultKind::STATE,
                code: plugbay_interface::code::STATE.into(),
                message: error.to_string().into(),
                causes: RVec::new(),
                place: RNone,
                frames: RVec::new(),
                more: RString::new(),
            }),
        }
    }

    fn report_trouble(&self, what: RStr<'_>) {
        self.troubles.report(what.as_str());
    }

    fn find_services(&self, wanted: Wanted<'_>) -> RResult<RVec<ServiceLink>, Fault> {
        let _in_library = in_library();
        let Some(host) = self.host.upgrade() else { return RResult::ROk(RVec::new()) };
        service::find_for_a_plugin(&host, &self.about.manifest, wanted)
            .map_err(|fault| *fault)
            .into()
    }

    fn wants_backtraces(&self) -> bool {
        self.wants_backtraces
    }

    fn log_level(&self) -> u8 {
        self.log_level as u8
    }

    fn log(&self, record: LogRecord<'_>) {
        let Some(level) = Level::iter().nth(usize::from(record.level).wrapping_sub(1)) else {
            return;
        };
        let file = Some(record.file.as_str()).filter(|file| !file.is_empty());
        let line = Some(record.line).filter(|line| *line > 0);
        let text = self.secrets.scrub(record.message.as_str());
        let _in_library = in_library();
        // The logger is the host's own code, and may be wrong as well.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            log::logger().log(
                &Record::builder()
                    .level(level)
                    .target(self.id.as_str())
                    .module_path(Some(record.target.as_str()))
                    .file(file)
                    .line(line)
                    .args(format_args!("{text}"))
                    .build(),
            );
        }));
    }
}

/// The most verbose level that the host's logger takes from this target.
pub(crate) fn level_for(target: &str) -> LevelFilter {
    let wanted = |level: Level| {
        level <= log::max_level()
            && log::logger().enabled(&Metadata::builder().level(level).target(target).build())
    };
    Level::iter()
        .filter(|level| wanted(*level))
        .max()
        .map_or(LevelFilter::Off, |l| l.to_level_filter())
}
