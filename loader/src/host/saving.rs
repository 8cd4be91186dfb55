//! States that are kept on disk.

use std::sync::Arc;

use plugbay_interface::abi::SavedState;

use super::Inner;
use crate::activate::{Active, Taker};
use crate::handover::{Handover, HandoverError};
use crate::on_thread::{Deadline, on_thread};
use crate::persist::SaveError;
use crate::seat::Seat;

impl Inner {
    /// Keeps a state on disk, for plugins that ask for that. Says why it could not.
    pub(super) fn persist(&self, active: &Active, state: Option<&SavedState>) -> Option<String> {
        let manifest = &active.about.manifest;
        if !manifest.state_persist {
            return None;
        }
        let error = self.persisted.write(&active.about.seat, state).err()?;
        let message = crate::full_message(&error);
        log::error!("{}: {message}", manifest.id);
        Some(message)
    }

    /// Saves the state of a plugin that serves, and keeps it on disk.
    pub(super) fn save(&self, seat: &Seat) -> Result<usize, SaveError> {
        let id = seat.id();
        let not_active = || SaveError::NotActive { plugin: id.clone() };
        let slot = self.table.load().get(seat.as_str()).cloned().ok_or_else(not_active)?;
        let serving = slot.serving().ok_or_else(not_active)?;
        if !serving.about.manifest.state_persist {
            return Err(SaveError::NotAsked { plugin: id.clone() });
        }
        let options = &self.options;
        let limits = options.handover_limits();
        let deadline = options.activation_deadline.saturating_add(limits.drain.min(limits.pause));
        let deadline = Deadline::new(deadline);
        let handover = Arc::new(Handover::new(slot, true, limits, deadline.clone(), false));
        let footprint = serving.footprint().ok_or_else(not_active)?;
        let work = {
            let handover = handover.clone();
            // Calls go on as soon as the state is the host's.
            move || {
                let saved = handover.take();
                handover.give_up();
                saved
            }
        };
        let saved = on_thread(id, &footprint, &deadline, work, || handover.give_up())
            .map_err(|_| HandoverError::GivenUp)
            .and_then(|saved| saved)
            .map_err(|error| SaveError::State { plugin: id.clone(), error })?;
        self.persisted.write(seat, saved.as_ref())?;
        Ok(saved.map_or(0, |saved| saved.bytes.len()))
    }
}
