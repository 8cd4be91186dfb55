//! A configuration that a plugin takes while it serves.
//!
//! It is given on a thread of its own, under a lease, beside calls. *Taken* or *given up*
//! is decided under one lock, as at a reload. A plugin that takes it when it was given up
//! is given back what it had, on the same thread, so that it does not go on with something
//! else than its host knows of.

use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::std_types::{RResult, RStr};
use plugbay_interface::abi::{Fault, HowTaken, InstanceBox};
use plugbay_interface::{Blame, Taken, code};

use crate::activate::{ActivateError, Active};
use crate::call::fault_of_the_plugin;
use crate::configure::Configured;
use crate::error::{Explain, Failure};
use crate::on_thread::{Deadline, on_thread};
use crate::slot::Slot;

/// Why a plugin that serves did not take another configuration. It goes on with the one
/// that it had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// It said no.
    #[error("it does not take its new configuration: {failure}")]
    Failed {
        /// What it said.
        failure: Box<Failure>,
        /// Whose fault that is.
        blame: Blame,
    },
    /// It panicked.
    #[error("it panicked over its new configuration: {failure}")]
    Panicked {
        /// What the panic said.
        failure: Box<Failure>,
    },
    /// It did not come to an end.
    #[error("it did not take its new configuration within {deadline:?}")]
    Deadline {
        /// The time it had.
        deadline: Duration,
    },
    /// It has not come to an end with one that was given up.
    #[error("it is still busy with a configuration that came before")]
    Busy,
    /// The system gave no thread to do it on.
    #[error("no thread could be started: {0}")]
    Thread(#[source] io::Error),
}

impl ConfigureError {
    /// Whose fault it is: who has to change something so that it does not come again.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Failed { blame, .. } => *blame,
            Self::Panicked { .. } | Self::Deadline { .. } | Self::Busy => Blame::Plugin,
            Self::Thread(_) => Blame::Host,
        }
    }

    /// What the plugin said, where it said something.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } | Self::Panicked { failure } => Some(failure),
            _ => None,
        }
    }
}

impl Explain for ConfigureError {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "PB1521",
            Self::Panicked { .. } => "PB1522",
            Self::Deadline { .. } => "PB1523",
            Self::Busy => "PB1524",
            Self::Thread(_) => "PB0604",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Failed { blame: Blame::Host | Blame::Caller, .. } => {
                "correct the plugin's configuration; host-app inspect shows its schema".into()
            }
            Self::Failed { failure, .. } if failure.code == code::CONFIG => {
                "correct the plugin's configuration; host-app inspect shows its schema".into()
            }
            Self::Failed { .. } => {
                "the message is the plugin's own; to construct it anew with this configuration, \
                 unload it, configure it and load it"
                    .into()
            }
            Self::Panicked { failure } => fault_of_the_plugin(failure),
            Self::Deadline { .. } => {
                "it goes on with the configuration that it had; give it longer \
                 (activation_deadline), or ask its authors what it waits for"
                    .into()
            }
            Self::Busy => {
                "try again when that has ended: host-app inspect shows the thread; or load \
                 another file of the plugin"
                    .into()
            }
            Self::Thread(_) => "raise the limit on threads (ulimit -u)".into(),
        }
    }
}

/// What a generation is configured with.
#[derive(Debug)]
pub(crate) struct Held {
    now: Mutex<Arc<Configured>>,
    /// Whether it is being given another one.
    busy: Arc<AtomicBool>,
}

impl Held {
    pub(crate) fn new(configured: Arc<Configured>) -> Self {
        Self { now: Mutex::new(configured), busy: Arc::default() }
    }

    pub(crate) fn now(&self) -> Arc<Configured> {
        self.now.lock().clone()
    }

    /// What it has is written like this now; not where it has another one since `seen`.
    pub(crate) fn is_written_as(&self, configured: Configured, seen: &Arc<Configured>) {
        let mut now = self.now.lock();
        if Arc::ptr_eq(&now, seen) {
            *now = Arc::new(configured);
        }
    }

    fn begin(&self) -> Result<Busy, ConfigureError> {
        match self.busy.swap(true, Ordering::AcqRel) {
            true => Err(ConfigureError::Busy),
            false => Ok(Busy(self.busy.clone())),
        }
    }
}

/// One attempt at a time; over when this goes.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Whether an attempt is over: taken or refused by the plugin, or given up by the host,
/// whichever is first.
#[derive(Default)]
struct Over(AtomicBool);

impl Over {
    /// Whether it is by this.
    fn decide(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Active {
    /// Gives the generation that serves in `slot`, this one, another configuration.
    /// Blocks up to `limit`.
    pub(crate) fn configure(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        configured: Configured,
        limit: Duration,
    ) -> Result<Taken, ConfigureError> {
        let Some(footprint) = self.footprint() else { return Ok(Taken::ByReload) };
        let busy = self.config.begin()?;
        // Before it can say anything of them.
        if let Some(scrubber) = configured.scrubber() {
            self.troubles.secrets().learn(&scrubber);
        }
        let over = Arc::new(Over::default());
        let work = {
            let (slot, active, over) = (slot.clone(), self.clone(), over.clone());
            move || {
                let _busy = busy;
                // Taken here, so that who waits for its end is told of this thread.
                let lease = slot.enter().filter(|lease| ptr::eq(lease.active(), &*active));
                let Some(lease) = lease else { return Ok(Taken::ByReload) };
                let Some(instance) = lease.instance() else { return Ok(Taken::ByReload) };
                lease.note_configured();
                let outcome = active.give(instance, Arc::new(configured), &over);
                lease.clear_note();
                outcome
            }
        };
        let deadline = Deadline::new(limit);
        let id = &self.about.manifest.id;
        match on_thread(id, &footprint, &deadline, work, || over.decide()) {
            Ok(outcome) => outcome,
            Err(ActivateError::Thread(error)) => Err(ConfigureError::Thread(error)),
            Err(_) => Err(ConfigureError::Deadline { deadline: limit }),
        }
    }

    /// On the thread of that, under a lease.
    fn give(
        &self,
        instance: &InstanceBox,
        configured: Arc<Configured>,
        over: &Over,
    ) -> Result<Taken, ConfigureError> {
        let outcome = match instance.configure(RStr::from_str(&configured.text())) {
            RResult::ROk(HowTaken::LIVE) => Ok(Taken::Live),
            RResult::ROk(_) => Ok(Taken::ByReload),
            RResult::RErr(fault) => Err(self.refused(fault)),
        };
        let in_time = over.decide();
        match &outcome {
            Ok(Taken::Live) if in_time => *self.config.now.lock() = configured,
            Ok(Taken::Live) => self.take_back(instance, configured),
            // Who asked has been told of the deadline alone.
            Err(error) if !in_time => {
                log::warn!(target: self.about.manifest.id.as_str(), "{error}")
            }
            _ => {}
        }
        // Whatever it said: who waits for this is not given what was before it.
        self.forget_results();
        outcome
    }

    /// It was given up, and taken then.
    fn take_back(&self, instance: &InstanceBox, taken: Arc<Configured>) {
        let id = self.about.manifest.id.as_str();
        let before = self.config.now().text();
        let why = match instance.configure(RStr::from_str(&before)) {
            RResult::ROk(HowTaken::LIVE) => {
                log::warn!(target: id, "took a configuration that was given up, and the one before again");
                return;
            }
            RResult::ROk(_) => "that takes a reload".to_owned(),
            RResult::RErr(fault) => self.refused(fault).to_string(),
        };
        // What it has, whatever it was to have: the next change is one from this.
        *self.config.now.lock() = taken;
        log::error!(
            target: id,
            "took a configuration that was given up, and does not go back to the one before: {why}"
        );
    }

    /// Copies what it said, without secrets.
    fn refused(&self, fault: Fault) -> ConfigureError {
        let blame = plugbay_interface::Error::from(&fault).blame();
        let failure = Box::new(self.troubles.scrubbed(Failure::take(fault)));
        if failure.panicked {
            self.troubles.report(&format!("`configure` panicked: {failure}"));
            return ConfigureError::Panicked { failure };
        }
        ConfigureError::Failed { failure, blame }
    }
}
