//! How a host ends generations: by hand, because they were replaced, or later,
//! when they were still in use then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::{PluginId, Selector};
use semver::VersionReq;

use super::settling::Change;
use super::{Inner, Leaving, Previous, Record};
use crate::activate::{Active, Taker};
use crate::events::{Cause, Happening, Times};
use crate::handover::{Handover, HandoverError};
use crate::keeper::{self, Wish};
use crate::on_thread::{Deadline, on_thread};
use crate::persist::SaveError;
use crate::records::Holder;
use crate::report::{GenerationStatus, PluginState, PluginStatus, Role};
use crate::seat::{Named, Seat};
use crate::slot::{Drained, Slot, drain, holders_of};
use crate::unload::{self, Retired, UnloadError, Unloaded};

/// How long a replaced generation's last calls are waited for at once, before
/// they are left to the keeper.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How often the keeper looks at what could not be ended.
const AGAIN: Duration = Duration::from_millis(500);

impl Inner {
    /// Ends a plugin, and keeps its state.
    pub(super) fn unload(
        &self,
        seat: &Seat,
        state: PluginState,
        cause: &Cause,
    ) -> Result<Unloaded, UnloadError> {
        let slot = self.table.load().get(seat.as_str()).cloned();
        let Some((slot, active)) = slot.and_then(|slot| slot.shut().map(|active| (slot, active)))
        else {
            return Err(UnloadError::NotActive { plugin: seat.to_string() });
        };
        let id = seat.id().clone();
        let limit = self.options.drain_limit;
        let begin = Instant::now();
        let drained = match drain(active, limit) {
            Ok(drained) => drained,
            Err(holders) if self.running().is_err() => {
                self.end_later(&slot, seat, &holders);
                return Err(UnloadError::Left { plugin: id, holders, limit });
            }
            Err(holders) => {
                slot.reopen();
                return Err(UnloadError::Busy { plugin: id, holders, limit });
            }
        };
        let mut times = Times { drain: Some(begin.elapsed()), ..Times::default() };
        slot.close();
        self.tell.gone(seat);
        let active = drained.active_arc();
        let mut retired = self.retire(drained, true, &mut times);
        // What was kept before stays where there is nothing newer.
        if retired.saved {
            retired.failures.extend(self.persist(&active, retired.state.as_ref()));
        }
        let unloaded = Unloaded {
            id: id.clone(),
            generation: retired.generation,
            pinned: retired.pinned.as_ref().map(|pinned| pinned.pin().clone()),
            state_kept: retired.state.is_some(),
            failures: retired.failures.clone(),
        };
        // Under this lock, as several may end at once.
        let mut known = self.known.lock();
        if state == PluginState::Disabled {
            known.disabled.insert(id.clone());
        }
        known.awake.remove(seat);
        if let Some(record) = known.plugins.get_mut(seat) {
            record.state = state;
            record.ended_by_hand = *cause == Cause::Request;
            record.saved.clone_from(&retired.state);
        }
        drop(known);
        let (generation, state_kept) = (retired.generation, retired.state.is_some());
        let cause = cause.clone();
        let plugin = id.clone();
        self.chronicle.tell(Happening::Unloaded { plugin, generation, cause, state_kept });
        self.tell_retired(&id, retired, times);
        self.end_what_left(seat);
        Ok(unloaded)
    }

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
        let Some(seat) = self.one_serving(&named)? else {
            return self.let_sleep(&named).ok_or_else(not_active);
        };
        self.wanted_to_end(&seat, state, true);
        let change = Change { ends: Some((seat.id(), state)), ..Change::because(&Cause::Request) };
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
    fn let_sleep(&self, named: &Named) -> Option<Unloaded> {
        let seat = self.asleep_as(named).pop()?;
        self.wanted_to_end(&seat, PluginState::Unloaded, true);
        self.settle(Vec::new(), Change::because(&Cause::Request));
        let known = self.known.lock();
        Some(Unloaded {
            id: seat.id().clone(),
            generation: known.plugins.get(&seat).map_or(0, |record| record.generation),
            pinned: None,
            state_kept: known.plugins.get(&seat).is_some_and(|record| record.saved.is_some()),
            failures: Vec::new(),
        })
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
        let change = Change { ends: Some((id, state)), ..Change::because(&Cause::Request) };
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
            (Some(all), None) => Ok(all),
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

    /// The host is stopped, and somebody still uses this one: no call comes to it
    /// any more, and it is ended when nobody does.
    fn end_later(&self, slot: &Slot, id: &Seat, holders: &[Holder]) {
        let Some(active) = slot.close() else { return };
        let generation = active.generation;
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            record.state = PluginState::Retiring;
            let since = Instant::now();
            // That it is in use is told here.
            record.leaving.push(Leaving { active, since, told: true, saves: true });
        }
        let (plugin, holders) = (id.id().clone(), holders.to_vec());
        self.chronicle.tell(Happening::InUse { plugin, generation, holders });
        self.keep(Wish::Look);
    }

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

    /// What does not serve can still be held back from the next start.
    fn hold_back(&self, id: &PluginId) -> Result<Unloaded, UnloadError> {
        let mut known = self.known.lock();
        let pinned = || self.pinned.of(id).pop().map(|(_, pin)| pin);
        let mut unloaded = Unloaded {
            id: id.clone(),
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

    /// A generation was replaced: it waits for its probation to end, if it may
    /// come back. Gives those that are to be left now.
    pub(super) fn replaced(
        &self,
        id: &Seat,
        old: &Arc<Active>,
        new: &Active,
        may_come_back: bool,
    ) -> Vec<Arc<Active>> {
        let probation = self.options.probation;
        let waits = may_come_back && !probation.is_zero();
        let mut over = Vec::new();
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            record.serves(new);
            over.extend(record.previous.take().map(|older| older.active));
            if waits {
                let until = Instant::now().checked_add(probation);
                record.previous = Some(Previous { active: old.clone(), until });
            }
        }
        if waits {
            new.troubles.begin_probation();
            self.keep(Wish::Look);
        } else {
            over.push(old.clone());
        }
        over
    }

    /// A way back was not taken: the generation waits on for its probation's time.
    pub(super) fn wait_again(&self, id: &Seat, active: Arc<Active>) {
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            let until = Instant::now().checked_add(self.options.probation);
            record.previous = Some(Previous { active, until });
        }
        self.keep(Wish::Look);
    }

    /// Ends a generation that serves no more, at once where nobody uses it, else
    /// as soon as nobody does.
    pub(super) fn leave(&self, active: Arc<Active>) {
        active.troubles.end_probation();
        let id = &active.about.seat;
        // It is listed until it has ended.
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            let since = Instant::now();
            record.leaving.push(Leaving {
                active: active.clone(),
                since,
                told: false,
                saves: false,
            });
        }
        if let Err(_holders) = self.try_to_end(&active, AT_ONCE.min(self.options.drain_limit)) {
            self.keep(Wish::Look);
        }
    }

    /// Ends one of those that leave, if nobody uses it in this time.
    fn try_to_end(&self, active: &Arc<Active>, limit: Duration) -> Result<(), Vec<Holder>> {
        let id = &active.about.seat;
        let begin = Instant::now();
        let drained = drain(active.clone(), limit)?;
        let mut times = Times { drain: Some(begin.elapsed()), ..Times::default() };
        let saves =
            self.known.lock().plugins.get(id).is_some_and(|record| {
                record.leaving.iter().any(|one| one.saves && is_it(one, active))
            });
        let mut retired = self.retire(drained, saves, &mut times);
        if retired.saved {
            retired.failures.extend(self.persist(active, retired.state.as_ref()));
        }
        if saves {
            // The last one that this host keeps of it.
            self.persisted.release(id);
        }
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            let mut gone = record.leaving.extract_if(.., |one| is_it(one, active));
            times.drain = gone
                .next()
                .map(|one| one.since.elapsed().saturating_sub(times.unload.unwrap_or_default()));
            drop(gone);
            if saves {
                record.state = PluginState::Unloaded;
                record.saved.clone_from(&retired.state);
            }
        }
        if saves {
            let (plugin, generation, cause) = (id.id().clone(), active.generation, Cause::Request);
            let state_kept = retired.state.is_some();
            self.chronicle.tell(Happening::Unloaded { plugin, generation, cause, state_kept });
        }
        self.tell_retired(id.id(), retired, times);
        Ok(())
    }

    fn retire(&self, drained: Drained, save: bool, times: &mut Times) -> Retired {
        let begin = Instant::now();
        let options = &self.options;
        let retired = unload::retire(
            drained,
            save.then_some(options.max_state),
            options.activation_deadline,
            options.ending,
        );
        times.unload = Some(begin.elapsed());
        retired
    }

    fn tell_retired(&self, id: &PluginId, retired: Retired, times: Times) {
        let Retired { generation, version, pinned, failures, .. } = retired;
        let pin = pinned.as_ref().map(|pinned| pinned.pin().clone());
        if let Some(pinned) = pinned {
            self.pinned.add(*pinned);
            // Looks again, now and then.
            self.keep(Wish::Look);
        }
        let plugin = id.clone();
        self.chronicle.tell(Happening::Retired {
            plugin,
            version,
            generation,
            times,
            pinned: pin,
            failures,
        });
    }

    /// What an unloaded plugin has left of earlier generations.
    pub(super) fn end_what_left(&self, id: &Seat) {
        let (previous, leaving) = {
            let mut known = self.known.lock();
            let Some(record) = known.plugins.get_mut(id) else { return };
            (record.previous.take(), record.in_use())
        };
        for active in previous.into_iter().map(|previous| previous.active) {
            self.leave(active);
        }
        for active in leaving {
            self.try_again(&active);
        }
    }

    fn try_again(&self, active: &Arc<Active>) {
        let Err(holders) = self.try_to_end(active, Duration::ZERO) else { return };
        let plugin = active.about.manifest.id.clone();
        let mut known = self.known.lock();
        let leaving = known.plugins.get_mut(&active.about.seat).map(|record| &mut record.leaving);
        let late = leaving.into_iter().flatten().find(|one| {
            Arc::ptr_eq(&one.active, active)
                && !one.told
                && one.since.elapsed() >= self.options.drain_limit
        });
        let Some(late) = late else { return };
        late.told = true;
        drop(known);
        let generation = active.generation;
        self.chronicle.tell(Happening::InUse { plugin, generation, holders });
    }

    /// Ends what is over, and says when there is something to do again. For the
    /// keeper's thread.
    pub(crate) fn sweep(&self) -> Option<Instant> {
        let _changing = self.change();
        let now = Instant::now();
        let (mut over, mut leaving) = (Vec::new(), Vec::new());
        {
            let mut known = self.known.lock();
            for record in known.plugins.values_mut() {
                let is_over = |until: Instant| until <= now;
                if record.previous.as_ref().is_some_and(|it| it.until.is_some_and(is_over))
                    && let Some(previous) = record.previous.take()
                {
                    over.push((record.about.seat.clone(), previous.active));
                }
                leaving.extend(record.in_use());
            }
        }
        for (id, previous) in over {
            if let Some(active) = self.serving(&id) {
                active.troubles.end_probation();
            }
            self.leave(previous);
        }
        for active in leaving {
            self.try_again(&active);
        }
        // Nothing is to begin in a host that was stopped.
        if self.running().is_ok() {
            self.end_those_in_use();
            self.take_those_in_use();
        }
        let known = self.known.lock();
        let next = |record: &Record| {
            let until = record.previous.as_ref().and_then(|previous| previous.until);
            let again = (!record.leaving.is_empty()).then(|| Instant::now() + AGAIN);
            until.into_iter().chain(again).min()
        };
        let waits = !known.to_end.is_empty() || !known.to_take.is_empty();
        let in_use = waits.then(|| Instant::now() + AGAIN);
        let pinned = self.pinned.worth_another_look().then(|| Instant::now() + AGAIN);
        known.plugins.values().filter_map(next).chain(pinned).chain(in_use).min()
    }

    /// What is known of a plugin.
    pub(super) fn status(&self, record: &Record) -> PluginStatus {
        let generations = self.generations(record);
        let calls = generations.iter().map(|one| one.holders.len() as u64).sum();
        PluginStatus {
            name: record.about.seat.to_string(),
            path: record.about.path.clone(),
            state: record.state,
            generation: record.generation,
            calls,
            generations,
            results: self
                .serving(&record.about.seat)
                .and_then(|active| Some(active.results.as_ref()?.status())),
            pinned: self.pinned.of(&record.about.manifest.id),
            hash: record.about.hash.to_hex().to_string(),
            facts: record.about.facts.clone(),
            manifest: record.about.manifest.clone(),
        }
    }

    /// Asks the keeper for something, and starts it where it does not run.
    pub(super) fn keep(&self, wish: Wish) {
        self.start_keeper();
        let _ = self.keeper.wishes.send(wish);
    }

    pub(super) fn start_keeper(&self) {
        if let Some(wishes) = self.keeper.waiting.lock().take() {
            match keeper::start(self.keeper.host.clone(), wishes) {
                Ok(thread) => *self.keeper.thread.lock() = Some(thread),
                Err(error) => log::warn!(
                    "no thread could be started, so replaced plugins stay in memory: {error}"
                ),
            }
        }
    }

    /// Who uses which generation of a plugin.
    fn generations(&self, record: &Record) -> Vec<GenerationStatus> {
        let status = |active: &Active, role| GenerationStatus {
            generation: active.generation,
            version: active.about.manifest.version.clone(),
            role,
            holders: holders_of(active),
            troubles: active.troubles.seen(),
        };
        let serving = self.serving(&record.about.seat);
        let previous = record.previous.as_ref().map(|previous| &previous.active);
        serving
            .iter()
            .map(|active| status(active, Role::Serving))
            .chain(previous.map(|active| status(active, Role::Previous)))
            .chain(record.leaving.iter().map(|left| status(&left.active, Role::Leaving)))
            .collect()
    }
}

fn is_it(leaving: &Leaving, active: &Arc<Active>) -> bool {
    Arc::ptr_eq(&leaving.active, active)
}
