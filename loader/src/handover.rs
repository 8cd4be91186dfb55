//! How the state comes from the generation that serves to the one that is to
//! take over.
//!
//! The new generation asks for it while it is constructed. Only then the slot is
//! shut: calls that come wait, those that run end, the old generation saves,
//! and the bytes are copied into the host's memory. When the new one is ready,
//! the slot opens with it; whatever fails on the way, it opens with the old one,
//! which has lost nothing. All of it runs on the thread that constructs, so that
//! no thread needs to be woken while calls wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::std_types::{RNone, RResult, RSome, RVec};
use plugbay_interface::abi::{InstanceBox, SavedState};

use crate::activate::{ActivateError, Active, Taker};
use crate::error::{Explain, Failure};
use crate::offers::Unfit;
use crate::on_thread::Deadline;
use crate::records::{Holder, list};
use crate::reload::ReloadError;
use crate::service::ServiceError;
use crate::slot::{Slot, drain_unless};

/// Why the state did not come over. The old generation serves on, with it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// Calls were still running at the end of the time they had.
    #[error("calls were still running after {limit:?}: {}", list(.holders))]
    Busy {
        /// Who.
        holders: Vec<Holder>,
        /// The time that they had.
        limit: Duration,
    },
    /// The old generation could not save.
    #[error("saving its state failed: {failure}")]
    Save {
        /// What it said.
        failure: Box<Failure>,
    },
    /// More bytes than are taken.
    #[error("the state has {found} bytes, and at most {most} are taken")]
    Large {
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// It took too long, and the old generation serves again.
    #[error("saving it did not come to an end in time")]
    GivenUp,
}

impl Explain for HandoverError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "PB1101",
            Self::Save { .. } => "PB1102",
            Self::Large { .. } => "PB1103",
            Self::GivenUp => "PB1104",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Busy { .. } => {
                "reload it when those calls have ended, or give them longer (drain_limit; in a \
                 reload not longer than pause_limit)"
                    .into()
            }
            Self::Save { .. } => "a fault in the old version: to go without its state, unload it \
                                  and load the new one"
                .into(),
            Self::Large { .. } => "allow more (max_state), or let the plugin save less".into(),
            Self::GivenUp => "give it longer (pause_limit); while its thread is still saving, the \
                              old version can be neither replaced nor unloaded"
                .into(),
        }
    }
}

/// What a handover took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) drain: Duration,
    pub(crate) save: Duration,
    /// How long calls had to wait at most.
    pub(crate) pause: Duration,
    pub(crate) bytes: usize,
    /// Calls that had to wait.
    pub(crate) waited: u64,
}

/// How much it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long running calls may take to end.
    pub(crate) drain: Duration,
    /// How long calls may have to wait, for all of it.
    pub(crate) pause: Duration,
    /// The largest state, in bytes.
    pub(crate) max_state: usize,
}

/// One change of a slot from the generation that serves to another.
#[derive(Debug)]
pub(crate) struct Handover {
    slot: Arc<Slot>,
    /// Whether the old generation has a state.
    stateful: bool,
    limits: Limits,
    /// That of the thread which it goes on on.
    deadline: Arc<Deadline>,
    /// Whether a copy of the state is wanted, for the disk.
    copies: bool,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    stage: Stage,
    taken: bool,
    /// The state is the host's, or there is none.
    saved: bool,
    shut_at: Option<Instant>,
    measured: Measured,
    copy: Option<SavedState>,
    /// The state came over, and the new generation was not ready in time.
    late: bool,
    failure: Option<HandoverError>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Serving,
    Shut,
    /// The slot is open again, with the one or the other.
    Settled,
}

impl Handover {
    pub(crate) fn new(
        slot: Arc<Slot>,
        stateful: bool,
        limits: Limits,
        deadline: Arc<Deadline>,
        copies: bool,
    ) -> Self {
        Self { slot, stateful, limits, deadline, copies, progress: Mutex::default() }
    }

    /// The old generation's state, for the new one. From the thread that
    /// constructs it; blocks until the running calls have ended.
    pub(crate) fn take(&self) -> Result<Option<SavedState>, HandoverError> {
        if !self.stateful {
            return Ok(None);
        }
        let saved = self.shut().and_then(|old| self.save(old));
        if let Err(error) = &saved {
            self.progress.lock().failure.get_or_insert_with(|| error.clone());
            self.give_up();
        }
        saved
    }

    fn shut(&self) -> Result<Arc<Active>, HandoverError> {
        let mut progress = self.progress.lock();
        if progress.stage != Stage::Serving {
            return Err(HandoverError::GivenUp);
        }
        let old = self.slot.shut().ok_or(HandoverError::GivenUp)?;
        progress.stage = Stage::Shut;
        progress.shut_at = Some(Instant::now());
        Ok(old)
    }

    fn save(&self, old: Arc<Active>) -> Result<Option<SavedState>, HandoverError> {
        let begin = Instant::now();
        // Who keeps it is named, so the drain ends by itself and is not given up.
        let limit = self.limits.drain.min(self.limits.pause);
        let drained = drain_unless(old, limit, || self.is_settled())
            .map_err(|holders| HandoverError::Busy { holders, limit })?;
        let drained_at = Instant::now();
        if let Some(until) = begin.checked_add(self.limits.pause) {
            self.deadline.bring_forward(until);
        }
        // A lease, because a save that hangs is given up by others, and the old
        // generation then serves on with this thread inside of it. Before the look
        // below: who ends the old generation after it was given up finds the lease.
        let lease = drained.into_lease();
        // Calls may have come again.
        if self.is_settled() {
            return Err(HandoverError::GivenUp);
        }
        let saved = match lease.instance() {
            Some(instance) => state_of(instance, self.limits.max_state)
                .map_err(|error| error.without_secrets_of(lease.active()))?,
            None => None,
        };
        drop(lease);
        let mut progress = self.progress.lock();
        progress.saved = true;
        progress.measured.drain = drained_at - begin;
        progress.measured.save = drained_at.elapsed();
        progress.measured.bytes = saved.as_ref().map_or(0, |saved| saved.bytes.len());
        if self.copies {
            progress.copy.clone_from(&saved);
        }
        Ok(saved)
    }

    fn is_settled(&self) -> bool {
        self.progress.lock().stage == Stage::Settled
    }

    /// The state that was handed over, where a copy was wanted.
    pub(crate) fn take_copy(&self) -> Option<SavedState> {
        self.progress.lock().copy.take()
    }

    fn reckon(&self, progress: &mut Progress) {
        progress.measured.pause = progress.shut_at.map_or(Duration::ZERO, |at| at.elapsed());
        if progress.shut_at.is_some() {
            progress.measured.waited = self.slot.waited();
        }
    }

    pub(crate) fn measured(&self) -> Measured {
        self.progress.lock().measured
    }

    /// Why it failed, where that is not the new generation's doing.
    pub(crate) fn failure(&self) -> Option<ReloadError> {
        let progress = self.progress.lock();
        if let Some(error) = &progress.failure {
            return Some(ReloadError::Handover(error.clone()));
        }
        let Measured { drain, save, .. } = progress.measured;
        progress.late.then_some(ReloadError::Late { limit: self.limits.pause, drain, save })
    }
}

impl Taker for Handover {
    /// Who was served goes on being served.
    fn check(&self, new: &Active) -> Result<(), ActivateError> {
        let old = self.slot.serving();
        for (number, wanted) in self.slot.wants().all().iter().enumerate() {
            let had = old.as_ref().is_some_and(|old| old.offers.get(number).is_some());
            match new.provides(number, wanted) {
                // Who asked for others is turned away until one of those serves.
                Err(Unfit::Version) => {}
                Err(unfit) if had => {
                    let error = ServiceError::unfit(new, wanted, unfit);
                    return Err(ActivateError::Contract(Box::new(error)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets the new generation serve.
    fn take(&self, new: &Arc<Active>) -> bool {
        let mut progress = self.progress.lock();
        if progress.stage == Stage::Settled {
            return false;
        }
        progress.stage = Stage::Settled;
        progress.taken = true;
        drop(self.slot.open(new.clone()));
        self.reckon(&mut progress);
        true
    }

    /// Lets the old generation serve on.
    fn give_up(&self) -> bool {
        let mut progress = self.progress.lock();
        if progress.stage == Stage::Shut {
            self.slot.reopen();
            self.reckon(&mut progress);
            if !progress.saved {
                progress.failure.get_or_insert(HandoverError::GivenUp);
            }
            progress.late = progress.measured.pause >= self.limits.pause;
        }
        progress.stage = Stage::Settled;
        !progress.taken
    }
}

/// Whatever happens to who made it, calls do not wait for ever.
impl Drop for Handover {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl HandoverError {
    fn without_secrets_of(self, active: &Active) -> Self {
        match self {
            Self::Save { failure } => {
                Self::Save { failure: Box::new(active.troubles.scrubbed(*failure)) }
            }
            other => other,
        }
    }
}

/// Asks a plugin for its state, and copies it. No call of it is running.
pub(crate) fn state_of(
    instance: &InstanceBox,
    most: usize,
) -> Result<Option<SavedState>, HandoverError> {
    match instance.save_state() {
        RResult::ROk(RSome(theirs)) if theirs.bytes.len() > most => {
            Err(HandoverError::Large { found: theirs.bytes.len(), most })
        }
        RResult::ROk(RSome(theirs)) => Ok(Some(own(&theirs))),
        RResult::ROk(RNone) => Ok(None),
        RResult::RErr(fault) => {
            Err(HandoverError::Save { failure: Box::new(Failure::take(fault)) })
        }
    }
}

/// A copy in the host's memory.
fn own(theirs: &SavedState) -> SavedState {
    SavedState {
        version: theirs.version,
        bytes: RVec::from(theirs.bytes.as_slice().to_vec()),
        more: theirs.more.as_str().into(),
    }
}
