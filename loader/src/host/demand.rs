//! Plugins that are loaded when they are called for the first time
//! (`activation = "on-demand"`). Until then their slot is asleep: what their manifest says
//! of them is known, and no code of theirs is in memory. The first call wakes them, on the
//! keeper's thread, and waits, as do all that come meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::manifest::Activation;
use plugbay_resolve::Offer;

use super::settling::{Change, Fresh};
use super::{Inner, Known, Record};
use crate::events::Cause;
use crate::report::{Loadable, PluginState, PluginStatus};
use crate::resolve::{Plan, offer};
use crate::seat::{Named, Seat, Table};
use crate::slot::{Sleeper, Slot};

impl Inner {
    /// The files of a plan that are not loaded yet: those that are on demand, and that
    /// nobody needs or uses who is loaded.
    pub(super) fn asleep(&self, plan: &Plan) -> BTreeSet<usize> {
        let is_on_demand =
            |file: usize| plan.offers()[file].manifest.activation == Activation::OnDemand;
        let run = &plan.decision().run;
        if !run.iter().any(|chosen| is_on_demand(chosen.offer)) {
            return BTreeSet::new();
        }
        let others: BTreeMap<usize, Vec<usize>> = run
            .iter()
            .map(|chosen| (chosen.offer, [&chosen.needs[..], &chosen.uses[..]].concat()))
            .collect();
        let awake = self.known.lock().awake.clone();
        let is_awake = |file: usize| {
            let seat = self.seat_of(&plan.offers()[file].manifest);
            !is_on_demand(file) || awake.contains(&seat) || self.serving(&seat).is_some()
        };
        let mut asleep: BTreeSet<usize> = others.keys().copied().collect();
        let mut open: Vec<usize> = asleep.iter().copied().filter(|file| is_awake(*file)).collect();
        while let Some(file) = open.pop() {
            if asleep.remove(&file) {
                open.extend(others.get(&file).into_iter().flatten());
            }
        }
        asleep
    }

    /// Makes sure that the first call of each loads it, and gives those that are new or
    /// other bytes; none where a file is not there any more as it was decided on.
    pub(super) fn put_to_sleep(
        &self,
        plan: &Plan,
        asleep: &BTreeSet<usize>,
        fresh: &mut Fresh,
    ) -> Option<Vec<PluginStatus>> {
        let offers = asleep.iter().map(|file| &plan.offers()[*file]);
        let new: Vec<&Offer> = {
            let known = self.known.lock();
            offers.filter(|offer| !self.sleeps(&known, offer)).collect()
        };
        if new.is_empty() {
            return Some(Vec::new());
        }
        let (mut about, mut copies) = (Vec::new(), Vec::new());
        for offer in new {
            let resolved = self.admitted(plan, offer, fresh)?;
            about.push(Arc::new(Loadable::of(resolved.verified(), &self.options.policy)));
            copies.push(resolved.into_verified().into_snapshot());
        }
        self.start_keeper();
        let mut known = self.known.lock();
        let mut table = Table::clone(&self.table.load());
        let mut slots = Vec::new();
        for (about, copy) in about.iter().zip(copies) {
            let record = known
                .plugins
                .entry(about.seat.clone())
                .or_insert_with(|| Record::on_demand(about.clone()));
            record.about = about.clone();
            record.state = PluginState::OnDemand;
            record.copy = Some(copy);
            let slot = table.get(about.seat.as_str()).cloned().unwrap_or_else(|| {
                let slot = Arc::new(Slot::new());
                table.insert(&about.seat, slot.clone());
                slot
            });
            slots.push((slot, about));
        }
        let paths: BTreeSet<&Path> = about.iter().map(|about| about.path.as_path()).collect();
        known.refused.retain(|old| !paths.contains(old.path.as_path()));
        self.table.store(Arc::new(table));
        for (slot, about) in &slots {
            let (version, ask) =
                (about.manifest.version.clone(), self.asked.of(about.seat.clone()));
            slot.put_to_sleep(Sleeper { version, ask });
        }
        let records = about.iter().filter_map(|about| known.plugins.get(&about.seat));
        Some(records.map(|record| self.status(record)).collect())
    }

    /// The copy that was made of what sleeps is good enough for waking it, if the file is
    /// still the same, or none just now. Gives where it is.
    pub(super) fn set_copy_aside(&self, offer: &Offer) -> Option<PathBuf> {
        let mut known = self.known.lock();
        let record = known.plugins.get_mut(&self.seat_of(&offer.manifest));
        let copy = record.and_then(|record| record.copy.take())?;
        let path = copy.path().to_owned();
        copy.set_aside();
        Some(path)
    }

    /// What was verified to be loaded, and sleeps on since another one could not be, is its
    /// copy again.
    pub(super) fn keep_copies_of_sleepers(&self, fresh: &mut Fresh) {
        let mut known = self.known.lock();
        let sleep = fresh.extract_if(|_, verified| self.sleeps(&known, &offer(verified)));
        for (_, verified) in sleep.collect::<Vec<_>>() {
            let seat = self.seat_of(verified.manifest());
            if let Some(record) = known.plugins.get_mut(&seat).filter(|it| it.copy.is_none()) {
                record.copy = Some(verified.into_snapshot());
            }
        }
    }

    /// What can be had neither from its file nor from its copy does not sleep on.
    pub(super) fn sleeps_no_more_as(&self, offer: &Offer) {
        let known = self.known.lock();
        let sleeps = self.sleeps(&known, offer);
        drop(known);
        if sleeps {
            self.sleeps_no_more(&self.seat_of(&offer.manifest), PluginState::Unloaded);
        }
    }

    /// Whether a plugin sleeps that was verified from this file.
    pub(super) fn is_slept_from(&self, path: &Path) -> bool {
        Self::sleepers_from(&self.known.lock(), path).next().is_some()
    }

    /// Whether one that is meant does.
    pub(super) fn sleeps_from(&self, path: &Path, named: &Named) -> bool {
        let known = self.known.lock();
        Self::sleepers_from(&known, path).any(|it| named.is(&it.seat, &it.manifest.version))
    }

    fn sleepers_from<'a>(
        known: &'a Known,
        path: &'a Path,
    ) -> impl Iterator<Item = &'a Arc<Loadable>> {
        let asleep = known.plugins.values().filter(|it| it.state == PluginState::OnDemand);
        asleep.map(|record| &record.about).filter(move |about| about.path == path)
    }

    fn sleeps(&self, known: &Known, offer: &Offer) -> bool {
        let record = known.plugins.get(&self.seat_of(&offer.manifest));
        record.is_some_and(|record| {
            record.state == PluginState::OnDemand
                && record.about.path == offer.path
                && record.about.hash.to_hex().as_str() == offer.hash
        })
    }

    /// Loads what calls wait for. For the keeper's thread.
    pub(crate) fn wake_those_asked_for(&self) {
        let _changing = self.change();
        let seats = self.asked.take();
        if seats.is_empty() {
            return;
        }
        // Also where a callback of the program panics: calls wait for an answer.
        let _answer = defer(|| {
            for seat in &seats {
                if self.serving(seat).is_none() {
                    self.not_woken(seat);
                }
            }
        });
        if self.running().is_ok() {
            self.known.lock().awake.extend(seats.iter().cloned());
            self.settle(Vec::new(), Change::because(&Cause::Demand));
        }
    }

    /// Calls that wait for it are turned away: for good, or, where its file may be another one
    /// soon, those alone.
    fn not_woken(&self, seat: &Seat) {
        let is_awake = self.known.lock().awake.contains(seat);
        if is_awake || !self.is_asleep(seat) {
            return self.sleeps_no_more(seat, PluginState::Unloaded);
        }
        if let Some(slot) = self.table.load().get(seat.as_str()) {
            slot.sleep_on();
        }
    }

    /// A file is none just now: those that calls have asked for and that need it stay
    /// asleep, until the next call. Whether there are any.
    pub(super) fn sleep_on(&self, plan: &Plan, missing: &Offer) -> bool {
        let run = &plan.decision().run;
        let is_it = |file: usize| plan.offers()[file].path == missing.path;
        let mut open: Vec<usize> =
            run.iter().map(|chosen| chosen.offer).filter(|file| is_it(*file)).collect();
        let mut of_it = BTreeSet::new();
        while let Some(file) = open.pop() {
            if of_it.insert(file) {
                let others =
                    run.iter().filter(|it| it.needs.contains(&file) || it.uses.contains(&file));
                open.extend(others.map(|chosen| chosen.offer));
            }
        }
        let seats = of_it.iter().map(|file| self.seat_of(&plan.offers()[*file].manifest));
        let seats: Vec<_> = seats.filter(|seat| self.is_asleep(seat)).collect();
        let mut known = self.known.lock();
        let asked_for = seats.iter().filter(|seat| known.awake.remove(*seat)).count();
        asked_for > 0
    }

    /// Whether a plugin is ready, and not loaded yet.
    pub(super) fn is_asleep(&self, seat: &Seat) -> bool {
        let known = self.known.lock();
        known.plugins.get(seat).is_some_and(|it| it.state == PluginState::OnDemand)
    }

    /// Those of a plugin that are meant and are not loaded yet.
    pub(super) fn asleep_as(&self, named: &Named) -> Vec<Seat> {
        let known = self.known.lock();
        let asleep = known.plugins.values().filter(|it| it.state == PluginState::OnDemand);
        let its = asleep.filter(|record| record.about.seat.id() == named.id());
        let its = its.map(|it| (it.about.seat.clone(), it.about.manifest.version.clone()));
        named.of(its.collect())
    }

    /// What slept and shall not run any more.
    pub(super) fn end_those_asleep(&self, is_out: impl Fn(&Seat) -> bool) {
        let known = self.known.lock();
        let asleep = known.plugins.iter().filter(|(_, it)| it.state == PluginState::OnDemand);
        let state = |seat: &Seat| match known.disabled.contains(seat.id()) {
            true => PluginState::Disabled,
            false => PluginState::Unloaded,
        };
        let out = asleep.map(|(seat, _)| seat).filter(|seat| is_out(seat));
        let out: Vec<_> = out.map(|seat| (seat.clone(), state(seat))).collect();
        drop(known);
        for (seat, state) in &out {
            self.sleeps_no_more(seat, *state);
        }
    }

    /// Calls that wait for it are turned away.
    pub(super) fn sleeps_no_more(&self, seat: &Seat, state: PluginState) {
        let mut known = self.known.lock();
        known.awake.remove(seat);
        match known.plugins.get_mut(seat) {
            // Of one that never served, why it does not is known by its file.
            Some(record)
                if record.generation == 0
                    && !record.ended_by_hand
                    && state != PluginState::Disabled =>
            {
                known.plugins.remove(seat);
            }
            Some(record) => {
                record.state = state;
                record.copy = None;
            }
            None => {}
        }
        drop(known);
        if let Some(slot) = self.table.load().get(seat.as_str())
            && slot.serving().is_none()
        {
            slot.close();
        }
    }
}

/// Does it at the end of the scope, however that is left.
fn defer(work: impl FnMut()) -> impl Drop {
    struct AtTheEnd<F: FnMut()>(F);
    impl<F: FnMut()> Drop for AtTheEnd<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    AtTheEnd(work)
}
