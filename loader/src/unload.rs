use std::fmt;
use std::thread::JoinHandle;
use std::time::Duration;

use plugbay_interface::abi::abi_stable::std_types::{RNone, RResult, RSome, RVec};
use plugbay_interface::abi::{Fault, InstanceBox, SavedState};
use plugbay_interface::manifest::PluginId;
use serde::Serialize;

use crate::activate::{Active, Mapped, on_thread};
use crate::error::{Explain, Failure};
use crate::platform;

/// Why the library of a retired plugin is still in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pin {
    /// The host keeps retired libraries mapped. That is the default, because a
    /// Rust library that is unmapped while a thread lives that ran its code can
    /// crash the process when that thread ends.
    Kept,
    /// It was closed, and something of its own keeps it: a thread-local with a
    /// destructor, or a NODELETE mark.
    StillMapped,
    /// The system's loader would not close it.
    CloseFailed {
        /// What it said.
        said: String,
    },
    /// Its code still runs on a thread that does not come back.
    StillRunning,
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept mapped, as closing is not known to be safe"),
            Self::StillMapped => {
                f.write_str("closed, but a thread-local or a NODELETE mark keeps it mapped")
            }
            Self::CloseFailed { said } => write!(f, "the system would not close it: {said}"),
            Self::StillRunning => f.write_str("its code still runs on a thread"),
        }
    }
}

/// What became of an unloaded plugin.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Unloaded {
    /// The plugin.
    pub id: PluginId,
    /// The generation that ended.
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
    /// Calls were still running at the end of the time they had. It serves on.
    #[error(
        "the plugin `{plugin}` still has {calls} calls running after {limit:?}; it goes on serving"
    )]
    Busy {
        /// The plugin.
        plugin: PluginId,
        /// Calls that are still running.
        calls: u64,
        /// The time that they had.
        limit: Duration,
    },
}

impl Explain for UnloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotActive { .. } => "PB0801",
            Self::Busy { .. } => "PB0802",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NotActive { .. } => "see what is active: host-app list".into(),
            Self::Busy { .. } => "wait for its calls to end, and try again".into(),
        }
    }
}

/// How retired libraries end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Keep,
    Close,
}

/// Ends a generation: waits for its calls, takes its state, deactivates it,
/// drops all that is its own, and closes the library where that is wanted.
pub(crate) fn retire(
    active: &Active,
    drain_limit: Duration,
    deadline: Duration,
    ending: Ending,
) -> Result<(Unloaded, Option<SavedState>), UnloadError> {
    let id = active.about.manifest.id.clone();
    let instance = active.instance.take(drain_limit).map_err(|calls| match calls {
        0 => UnloadError::NotActive { plugin: id.to_string() },
        calls => UnloadError::Busy { plugin: id.clone(), calls, limit: drain_limit },
    })?;
    let mut failures = Vec::new();
    let ended = on_thread(&id, deadline, move || end(instance), drop);
    let state = match &ended {
        Ok((Ended { state, failures: said }, _)) => {
            failures.clone_from(said);
            state.clone()
        }
        Err(_) => {
            failures.push(format!("deactivation did not come to an end within {deadline:?}"));
            None
        }
    };
    let pinned = match active.mapped.lock().take() {
        Some(mapped) if ended.is_err() => {
            mapped.keep();
            Some(Pin::StillRunning)
        }
        Some(mapped) => match ending {
            Ending::Keep => {
                mapped.keep();
                Some(Pin::Kept)
            }
            Ending::Close => {
                let threads = ended.into_iter().map(|(_, thread)| thread);
                close(mapped, threads.collect())
            }
        },
        None => None,
    };
    let unloaded = Unloaded {
        id,
        generation: active.generation,
        pinned,
        state_kept: state.is_some(),
        failures,
    };
    Ok((unloaded, state))
}

/// What came of `save` and `deactivate`, all of it the host's own.
struct Ended {
    state: Option<SavedState>,
    failures: Vec<String>,
}

fn end(instance: InstanceBox) -> Ended {
    let mut failures = Vec::new();
    let mut failed = |what: &str, fault: Fault| {
        failures.push(format!("{what}: {}", Failure::take(fault)));
    };
    let state = match instance.save_state() {
        RResult::ROk(RSome(theirs)) => Some(SavedState {
            version: theirs.version,
            bytes: RVec::from(theirs.bytes.as_slice().to_vec()),
            more: theirs.more.as_str().into(),
        }),
        RResult::ROk(RNone) => None,
        RResult::RErr(fault) => {
            failed("saving its state failed", fault);
            None
        }
    };
    if let RResult::RErr(fault) = instance.deactivate() {
        failed("deactivation failed", fault);
    }
    Ended { state, failures }
}

fn close(mapped: Mapped, mut threads: Vec<JoinHandle<()>>) -> Option<Pin> {
    let Mapped { library, snapshot, threads: earlier } = mapped;
    threads.extend(earlier);
    for thread in threads {
        // Until it is gone for the system, too, its thread-locals are run down.
        // A panic there has no one left to be told.
        let _ = thread.join();
    }
    // SAFETY: the instance was ended and dropped, its errors were copied out,
    // the loader's own threads that ran its code are gone (just above),
    // and the host's author has promised the rest (HostBuilder::close_on_unload).
    if let Err(said) = unsafe { library.close() } {
        snapshot.keep();
        return Some(Pin::CloseFailed { said });
    }
    match platform::is_mapped(snapshot.path()) {
        Ok(false) => None,
        // What cannot be looked at is not called gone.
        Ok(true) | Err(_) => {
            snapshot.keep();
            Some(Pin::StillMapped)
        }
    }
}
