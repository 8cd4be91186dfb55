//! How a host ends generations: by hand, because they were replaced, or later,
//! when they were still in use then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugbay_interface::manifest::PluginId;

use super::{Inner, Leaving, Previous, Record};
use crate::activate::Active;
use crate::events::{Cause, Happening, Times};
use crate::keeper::{self, Wish};
use crate::records::Holder;
use crate::report::PluginState;
use crate::seat::Seat;
use crate::slot::{Drained, Slot, drain};
use crate::unload::{self, Retired, UnloadError, Unloaded};

/// How long a replaced generation's last calls are waited for at once, before
/// they are left to the keeper.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How often the keeper looks at what could not be ended.
const AGAIN: Duration = Duration::from_millis(500);

impl Inner {
    /// Ends a plugin whose calls end in this time, and keeps its state.
    pub(super) fn unload(
        &self,
        seat: &Seat,
        state: PluginState,
        cause: &Cause,
        limit: Duration,
    ) -> Result<Unloaded, UnloadError> {
        let slot = self.table.load().get(seat.as_str()).cloned();
        let Some((slot, active)) = slot.and_then(|slot| slot.shut().map(|active| (slot, active)))
        else {
            return Err(UnloadError::NotActive { plugin: seat.to_string() });
        };
        let id = seat.id().clone();
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
            name: seat.to_string(),
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
        known.to_end.remove(seat);
        if let Some(record) = known.plugins.get_mut(seat) {
            record.state = state;
            record.ended_by_hand = *cause == Cause::Request;
            record.saved.clone_from(&retired.state);
        }
        drop(known);
        let (generation, state_kept) = (retired.generation, retired.state.is_some());
        let cause = cause.clone();
        let plugin = id.clone();
        let unloaded_now = Happening::Unloaded { plugin, generation, cause, state_kept };
        self.chronicle.tell_of(&active.about.manifest.version, unloaded_now);
        self.tell_retired(&id, retired, times);
        self.end_what_left(seat);
        Ok(unloaded)
    }

    /// The host is stopped, and somebody still uses this one: no call comes to it
    /// any more, and it is ended when nobody does.
    fn end_later(&self, slot: &Slot, id: &Seat, holders: &[Holder]) {
        let Some(active) = slot.close() else { return };
        let (generation, version) = (active.generation, active.about.manifest.version.clone());
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            record.state = PluginState::Retiring;
            let since = Instant::now();
            // That it is in use is told here.
            record.leaving.push(Leaving { active, since, told: true, saves: true });
        }
        let (plugin, holders) = (id.id().clone(), holders.to_vec());
        self.chronicle.tell_of(&version, Happening::InUse { plugin, generation, holders });
        self.keep(Wish::Look);
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

    /// The generation before the one that serves is not to come back.
    pub(super) fn forget_the_one_before(&self, id: &Seat) {
        let previous = {
            let mut known = self.known.lock();
            known.plugins.get_mut(id).and_then(|record| record.previous.take())
        };
        let Some(previous) = previous else { return };
        if let Some(active) = self.serving(id) {
            active.troubles.end_probation();
        }
        self.leave(previous.active);
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
            let unloaded = Happening::Unloaded { plugin, generation, cause, state_kept };
            self.chronicle.tell_of(&active.about.manifest.version, unloaded);
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
        let in_use = Happening::InUse { plugin, generation: active.generation, holders };
        self.chronicle.tell_of(&active.about.manifest.version, in_use);
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
        let in_use = Self::next_attempt(&known);
        let pinned = self.pinned.worth_another_look().then(|| Instant::now() + AGAIN);
        known.plugins.values().filter_map(next).chain(pinned).chain(in_use).min()
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
}

fn is_it(leaving: &Leaving, active: &Arc<Active>) -> bool {
    Arc::ptr_eq(&leaving.active, active)
}
