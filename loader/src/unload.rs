use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::std_types::RResult;
use plugbay_interface::abi::{InstanceBox, SavedState};
use plugbay_interface::manifest::PluginId;
use semver::Version;
use serde::Serialize;

use crate::activate::{ActivateError, Active};
use crate::close::{Closing, Pinned};
use crate::error::{Explain, Failure, shown_word};
use crate::handover::state_of;
use crate::on_thread::{Deadline, on_thread};
use crate::records::{Holder, list};
use crate::seat::Several;
use crate::slot::Drained;

/// Why the library of a retired plugin is still in memory. All but `Kept` are
/// looked at again whenever the host changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pin {
    /// It was built with an interface before 1.1, or for a platform, that has no
    /// hooks: what it leaves on threads is not known, and a library that is
    /// unmapped while a thread would still call it crashes the process.
    Kept,
    /// Threads that run or ran its code do not end, mostly threads that it
    /// started itself.
    Threads {
        /// Which.
        threads: Vec<RemainingThread>,
    },
    /// Destructors of its thread-locals do not come to an end.
    ThreadLocals,
    /// Others keep wakers of its: another plugin, whose futures it has polled.
    Wakers {
        /// How many.
        count: usize,
    },
    /// Others hold buffers, streams or record batches of its, which crossed without a copy.
    Buffers {
        /// How many.
        count: usize,
    },
    /// It handles signals.
    SignalHandlers {
        /// Their names.
        signals: Vec<String>,
    },
    /// It is marked NODELETE, so the system's loader never gives it back.
    NoDelete,
    /// It was closed, and something else keeps it mapped: a thread-local that is
    /// not the hooks' to know, a symbol that must be unique, or a use of its own.
    StillMapped,
    /// The system's loader would not close it.
    CloseFailed {
        /// What it said.
        said: String,
    },
}

/// A thread that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RemainingThread {
    /// The name that the system has for it, at most 15 bytes.
    pub name: String,
    /// The system's number.
    pub tid: i32,
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept mapped, as closing is not known to be safe"),
            Self::Threads { threads } => {
                let names = threads
                    .iter()
                    .map(|RemainingThread { name, tid }| format!("`{}` ({tid})", shown_word(name)));
                let names: Vec<_> = names.collect();
                write!(f, "its code may still run on a thread: {}", names.join(", "))
            }
            Self::ThreadLocals => {
                f.write_str("the destructors of its thread-locals did not come to an end")
            }
            Self::Wakers { count } => {
                write!(f, "{count} of its wakers are kept by others, whose futures it has polled")
            }
            Self::Buffers { count } => {
                write!(f, "{count} of its buffers, streams or record batches are held by others")
            }
            Self::SignalHandlers { signals } => {
                write!(f, "it handles signals: {}", signals.join(", "))
            }
            Self::NoDelete => f.write_str("it is marked NODELETE"),
            Self::StillMapped => f.write_str("closed, but something keeps it mapped"),
            Self::CloseFailed { said } => write!(f, "the system would not close it: {said}"),
        }
    }
}

/// What became of an unloaded plugin.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Unloaded {
    /// The plugin.
    pub id: PluginId,
    /// What it is called by: its id, or, where several of its versions run side by side,
    /// `sql@1`.
    pub name: String,
    /// The generation that ended; 0 where none ever served.
    pub generation: u64,
    /// Why its library is still in memory; none when it was looked for and is gone.
    pub pinned: Option<Pin>,
    /// Whether it left state for the next generation.
    pub state_kept: bool,
    /// What it failed at while it ended.
    pub failures: Vec<String>,
}

/// Why a plugin was not unloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnloadError {
    /// It does not serve.
    #[error("the plugin `{}` is not active", .plugin.escape_debug())]
    NotActive {
        /// The id that was given.
        plugin: String,
    },
    /// A plugin is disabled as a whole.
    #[error("a plugin is disabled in all of its versions, and `{}` names some", .plugin.escape_debug())]
    SomeVersions {
        /// What was given.
        plugin: String,
    },
    /// Several versions of it do.
    #[error(transparent)]
    Several(#[from] Several),
    /// Calls were still running at the end of the time they had. It serves on.
    #[error(
        "the plugin `{plugin}` is still in use after {limit:?}, and goes on serving: {}",
        list(.holders)
    )]
    Busy {
        /// The plugin.
        plugin: PluginId,
        /// Who uses it.
        holders: Vec<Holder>,
        /// The time that they had.
        limit: Duration,
    },
    /// So it was when the host was stopped. It takes no more calls, and ends when
    /// nobody uses it any more.
    #[error(
        "the plugin `{plugin}` is still in use {limit:?} after the host was stopped; it takes no \
         more calls, and was not ended: {}",
        list(.holders)
    )]
    Left {
        /// The plugin.
        plugin: PluginId,
        /// Who uses it.
        holders: Vec<Holder>,
        /// The time that they had.
        limit: Duration,
    },
}

impl Explain for UnloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotActive { .. } => "PB0801",
            Self::SomeVersions { .. } => "PB0804",
            Self::Several(error) => error.code(),
            Self::Busy { .. } => "PB0802",
            Self::Left { .. } => "PB0803",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NotActive { .. } => "see what is active: host-app list".into(),
            Self::SomeVersions { plugin } => {
                let id = plugin.split('@').next().unwrap_or_default();
                format!("enable those that shall run: host-app enable {id}@RANGE")
            }
            Self::Several(error) => error.hint(),
            Self::Busy { .. } => "wait for its calls to end, and try again".into(),
            Self::Left { .. } => {
                "keep the host until they have ended: its state is saved then, else it is lost"
                    .into()
            }
        }
    }
}

/// How retired libraries without hooks end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Keep,
    Close,
}

/// Ends a generation that nobody uses: takes its state, where one of at most so
/// many bytes is wanted, deactivates it, drops all that is its own, and closes
/// the library.
pub(crate) fn retire(
    mut drained: Drained,
    max_state: Option<usize>,
    deadline: Duration,
    ending: Ending,
) -> Retired {
    let instance = Active::take(&mut drained);
    let active = drained.active();
    let id = &active.about.manifest.id;
    let mut retired = Retired {
        generation: active.generation,
        version: active.about.manifest.version.clone(),
        state: None,
        saved: false,
        failures: Vec::new(),
        pinned: None,
    };
    // Both are taken out together, and by nobody else.
    let (Some(instance), Some(mapped)) = (instance, active.mapped.lock().take()) else {
        return retired;
    };
    let begun = Instant::now();
    let progress = Arc::new(Mutex::new(Progress::default()));
    let work = {
        let progress = progress.clone();
        move || end(instance, max_state, &progress)
    };
    let ended = on_thread(id, mapped.footprint(), &Deadline::new(deadline), work, || true);
    // What it does from now on comes too late.
    let Progress { state, saved, failures, deactivates } = mem::take(&mut *progress.lock());
    let failures = failures.iter().map(|said| active.troubles.without_secrets(said)).collect();
    (retired.state, retired.saved, retired.failures) = (state, saved, failures);
    match ended {
        Ok(()) => {}
        Err(ActivateError::Deadline { .. }) if deactivates => {
            let failure = format!("deactivation did not come to an end within {deadline:?}");
            retired.failures.push(failure);
        }
        Err(ActivateError::Deadline { .. }) => retired.failures.push(format!(
            "saving its state did not come to an end within {deadline:?}, so it was not \
             deactivated either"
        )),
        Err(error) => retired.failures.push(format!("it was not ended: {error}")),
    }
    let closing = Closing::by(ending, begun, deadline);
    retired.pinned = mapped.close(id, active.generation, closing).err();
    retired
}

/// What is left of a generation.
pub(crate) struct Retired {
    pub(crate) generation: u64,
    pub(crate) version: Version,
    pub(crate) state: Option<SavedState>,
    /// Whether `state` is what it gave: it gives none if there is none.
    pub(crate) saved: bool,
    pub(crate) failures: Vec<String>,
    pub(crate) pinned: Option<Box<Pinned>>,
}

/// What came of `save` and `deactivate` until now, all of it the host's own: either
/// may hang, and what the other gave is not to be lost.
#[derive(Default)]
struct Progress {
    state: Option<SavedState>,
    saved: bool,
    failures: Vec<String>,
    /// It has come to `deactivate`.
    deactivates: bool,
}

fn end(instance: InstanceBox, max_state: Option<usize>, progress: &Mutex<Progress>) {
    let given = max_state.map(|most| state_of(&instance, most));
    {
        let mut progress = progress.lock();
        match given {
            Some(Ok(state)) => (progress.state, progress.saved) = (state, true),
            Some(Err(error)) => progress.failures.push(error.to_string()),
            None => {}
        }
        progress.deactivates = true;
    }
    if let RResult::RErr(fault) = instance.deactivate() {
        let failure = format!("deactivation failed: {}", Failure::take(fault));
        progress.lock().failures.push(failure);
    }
}
