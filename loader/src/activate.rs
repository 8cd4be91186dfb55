use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use plugbay_interface::abi::abi_stable::std_types::RResult;
use plugbay_interface::abi::{Fault, InstanceBox};
use plugbay_interface::manifest::PluginId;

use crate::call::fault_of_the_plugin;
use crate::error::{Explain, Failure};
use crate::lease::Leased;
use crate::link::Link;
use crate::load::Loaded;
use crate::platform::Library;
use crate::report::Loadable;
use crate::snapshot::Snapshot;

/// A generation that serves.
pub(crate) struct Active {
    pub(crate) about: Arc<Loadable>,
    pub(crate) generation: u64,
    pub(crate) instance: Leased<InstanceBox>,
    pub(crate) root: plugbay_interface::abi::RootRef,
    pub(crate) mapped: parking_lot::Mutex<Option<Mapped>>,
}

/// The mapped library with the file that it is mapped from.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) library: Library,
    pub(crate) snapshot: Snapshot,
    /// Threads of the loader's own that ran its code. Before a close they must
    /// be gone: their thread-locals are the library's.
    pub(crate) threads: Vec<JoinHandle<()>>,
}

impl Mapped {
    /// Leaves both as they are for the rest of the process's life.
    pub(crate) fn keep(self) {
        // A library that goes out of scope stays mapped.
        let Self { library: _, snapshot, threads: _ } = self;
        snapshot.keep();
    }
}

/// Why a plugin did not become ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// It said no.
    #[error("activation failed: {failure}")]
    Failed {
        /// What it said.
        failure: Box<Failure>,
    },
    /// It panicked.
    #[error("activation panicked: {failure}")]
    Panicked {
        /// What the panic said.
        failure: Box<Failure>,
    },
    /// It did not come to an end.
    #[error("activation did not come to an end within {deadline:?}")]
    Deadline {
        /// The time it had.
        deadline: Duration,
    },
    /// The system gave no thread to do it on.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl Explain for ActivateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "PB0601",
            Self::Panicked { .. } => "PB0602",
            Self::Deadline { .. } => "PB0603",
            Self::Thread(_) => "PB0604",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Failed { failure } if failure.code == plugbay_interface::code::CONFIG => {
                "correct the plugin's configuration; host-app inspect shows its schema".into()
            }
            Self::Failed { .. } => {
                "the message is the plugin's own; mend it, then load it again".into()
            }
            Self::Panicked { failure } => fault_of_the_plugin(failure),
            Self::Deadline { .. } => {
                "its thread still runs and keeps it in memory; give it longer \
                 (activation_deadline), or end the host"
                    .into()
            }
            Self::Thread(_) => "raise the limit on threads (ulimit -u)".into(),
        }
    }
}

/// Constructs the plugin on a thread of its own, which waits for it at most
/// `deadline`. Where it fails, the library stays mapped: its code has run.
pub(crate) fn activate(
    loaded: Loaded,
    about: Arc<Loadable>,
    link: Link,
    deadline: Duration,
) -> Result<Active, ActivateError> {
    let Loaded { verified, library, root } = loaded;
    let generation = link.generation;
    let mut mapped = Mapped { library, snapshot: verified.into_snapshot(), threads: Vec::new() };
    let construct = root.activate();
    let outcome = on_thread(
        &about.manifest.id,
        deadline,
        move || construct(link.into_box()),
        |late| {
            if let RResult::ROk(instance) = late {
                // Nobody waits any more; end it properly and drop what it says.
                drop(instance.deactivate());
            }
        },
    );
    match outcome {
        Ok((RResult::ROk(instance), thread)) => {
            mapped.threads.push(thread);
            Ok(Active {
                about,
                generation,
                instance: Leased::new(instance),
                root,
                mapped: parking_lot::Mutex::new(Some(mapped)),
            })
        }
        Ok((RResult::RErr(fault), _)) => {
            let error = refusal(fault);
            mapped.keep();
            Err(error)
        }
        Err(error) => {
            mapped.keep();
            Err(error)
        }
    }
}

fn refusal(fault: Fault) -> ActivateError {
    let failure = Box::new(Failure::take(fault));
    match failure.panicked {
        true => ActivateError::Panicked { failure },
        false => ActivateError::Failed { failure },
    }
}

/// Runs plugin code on a thread of its own, which ends soon after its result. A
/// result that comes too late goes to `late`, on that thread.
pub(crate) fn on_thread<T: Send + 'static>(
    id: &PluginId,
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> Result<(T, JoinHandle<()>), ActivateError> {
    // No room in the channel: a result is either received or given back.
    let (sender, receiver) = bounded(0);
    let thread = thread::Builder::new()
        .name(format!("plugin {id}"))
        .spawn(move || {
            if let Err(unsent) = sender.send(work()) {
                late(unsent.into_inner());
            }
        })
        .map_err(ActivateError::Thread)?;
    match receiver.recv_timeout(deadline) {
        Ok(result) => Ok((result, thread)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(ActivateError::Deadline { deadline })
        }
    }
}
