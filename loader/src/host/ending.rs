//! How somebody ends a plugin by hand, and holds it back.

use plugbay_interface::manifest::{PluginId, Selector};
use semver::VersionReq;

use super::Inner;
use super::settling::Change;
use crate::events::Cause;
use crate::report::PluginState;
use crate::seat::{Named, Seat};
use crate::unload::{UnloadError, Unloaded};

impl Inner {
    /// Ends a plugin that somebody wants to end, and those that need it.
    pub(super) fn end(&self, text: &str, state: PluginState) -> Result<Unloaded, UnloadError> {
        let not_active = || UnloadError::NotActive { plugin: text.to_owned() };
        let named = Named::read(text).map_err(|_| not_active())?;
        if state == PluginState::Disabled {
            if text.contains('@') {
                return Err(UnloadError::SomeVersions { plugin: text.to_owned() });
            }
            return self.end_all_of(named.id());
        }
        let Some(seat) = self.one_there(&named)? else { return Err(not_active()) };
        if self.is_asleep(&seat) {
            return Ok(self.let_sleep(&seat));
        }
        self.wanted_to_end(&seat, state, true);
        let change = Change {
            ends: Some((std::slice::from_ref(&seat), state)),
            ..Change::because(&Cause::Request)
        };
        let mut settled = self.settle(Vec::new(), change);
        match settled.ended.remove(&seat) {
            Some(Ok(unloaded)) => Ok(unloaded),
            Some(Err(error)) => {
                // Nothing was ended, so nothing stays as it would be then.
                self.wanted_to_end(&seat, state, false);
                self.settle(Vec::new(), Change::because(&Cause::Request));
                Err(error)
            }
            // One that needs it is in use, so nothing of it has ended.
            None => {
                self.wanted_to_end(&seat, state, false);
                let busy = settled.ended.into_values().find_map(Result::err);
                Err(busy.unwrap_or_else(not_active))
            }
        }
    }

    /// Holds one back that is not loaded yet.
    fn let_sleep(&self, seat: &Seat) -> Unloaded {
        self.wanted_to_end(seat, PluginState::Unloaded, true);
        self.settle(Vec::new(), Change::because(&Cause::Request));
        let known = self.known.lock();
        let record = known.plugins.get(seat);
        Unloaded {
            id: seat.id().clone(),
            name: seat.to_string(),
            generation: record.map_or(0, |record| record.generation),
            pinned: None,
            state_kept: record.is_some_and(|record| record.saved.is_some()),
            failures: Vec::new(),
        }
    }

    /// Ends all versions of a plugin, and holds it back.
    fn end_all_of(&self, id: &PluginId) -> Result<Unloaded, UnloadError> {
        let state = PluginState::Disabled;
        let any = Selector { id: id.clone(), version: VersionReq::STAR };
        let seats = self.serving_as(&any);
        if seats.is_empty() {
            let held_back = self.hold_back(id)?;
            for (_, slot) in self.table.load().seats(id) {
                slot.close();
            }
            self.settle(Vec::new(), Change::because(&Cause::Request));
            return Ok(held_back);
        }
        for seat in &seats {
            self.wanted_to_end(seat, state, true);
        }
        let change = Change { ends: Some((&seats, state)), ..Change::because(&Cause::Request) };
        let mut settled = self.settle(Vec::new(), change);
        let mut all: Option<Unloaded> = None;
        let mut error = None;
        for seat in &seats {
            match settled.ended.remove(seat) {
                Some(Ok(unloaded)) => match &mut all {
                    Some(all) => all.failures.extend(unloaded.failures),
                    None => all = Some(unloaded),
                },
                Some(Err(busy)) => error = Some(busy),
                None => {}
            }
        }
        let error = error.or_else(|| settled.ended.into_values().find_map(Result::err));
        match (all, error) {
            (Some(all), None) => {
                // Also those of its lines that had ended before.
                let mut known = self.known.lock();
                let its = known.plugins.iter_mut().filter(|(seat, _)| seat.id() == id);
                for (_, record) in its.filter(|(_, it)| it.state == PluginState::Unloaded) {
                    record.state = state;
                }
                Ok(all)
            }
            (_, error) => {
                // Nothing stays as it would be then.
                for seat in &seats {
                    self.wanted_to_end(seat, state, false);
                }
                self.settle(Vec::new(), Change::because(&Cause::Request));
                Err(error.unwrap_or(UnloadError::NotActive { plugin: id.to_string() }))
            }
        }
    }

    fn wanted_to_end(&self, seat: &Seat, state: PluginState, wanted: bool) {
        let mut known = self.known.lock();
        if state == PluginState::Disabled {
            if wanted {
                known.disabled.insert(seat.id().clone());
            } else {
                known.disabled.remove(seat.id());
            }
        }
        if let Some(record) = known.plugins.get_mut(seat) {
            record.ended_by_hand = wanted;
        }
    }

    /// What does not serve can still be held back from the next start.
    fn hold_back(&self, id: &PluginId) -> Result<Unloaded, UnloadError> {
        let mut known = self.known.lock();
        let pinned = || self.pinned.of(id).pop().map(|(_, pin)| pin);
        let mut unloaded = Unloaded {
            id: id.clone(),
            name: id.to_string(),
            generation: 0,
            pinned: pinned(),
            state_kept: false,
            failures: Vec::new(),
        };
        let mut is_known = false;
        for (_, record) in known.plugins.iter_mut().filter(|(seat, _)| seat.id() == id) {
            is_known = true;
            record.state = PluginState::Disabled;
            unloaded.generation = unloaded.generation.max(record.generation);
            unloaded.state_kept |= record.saved.is_some();
        }
        // Refused until now: a file that is good one day is held back then.
        let mut refused = known.refused.iter().filter_map(|refusal| refusal.plugin.as_ref());
        let mut files = known.files.values().map(|offer| &offer.manifest.id);
        is_known |= files.any(|it| it == id) || refused.any(|(it, _)| it == id);
        if !is_known {
            return Err(UnloadError::NotActive { plugin: id.to_string() });
        }
        known.disabled.insert(id.clone());
        Ok(unloaded)
    }

    /// Takes a `disable` back, whatever becomes of the plugin then.
    pub(super) fn no_longer_held_back(&self, id: &PluginId) {
        let mut known = self.known.lock();
        known.disabled.remove(id);
        for (_, record) in known.plugins.iter_mut().filter(|(seat, _)| seat.id() == id) {
            if record.state == PluginState::Disabled {
                record.state = PluginState::Unloaded;
            }
        }
    }
}
