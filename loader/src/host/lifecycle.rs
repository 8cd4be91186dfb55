//! What a host does with its plugins: the stages put together.

use std::collections::BTreeSet;
use std::mem;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::MutexGuard;
use plugbay_interface::manifest::{Manifest, PluginId, Selector};
use semver::Version;

use super::settling::Change;
use super::{Inner, Known, LoadPluginError, Record, StartError};
use crate::activate::Active;
use crate::beside::strays;
use crate::call::CallError;
use crate::discover::{Candidate, discover};
use crate::error::Explain;
use crate::events::Cause;
use crate::extensions;
use crate::footprint::{InHost, in_host};
use crate::keeper::Wish;
use crate::on_thread::Changing;
use crate::parallel;
use crate::recorder::Recorder;
use crate::records;
use crate::report::{
    Loadable, Notice, Phase, PluginState, PluginStatus, Progress, Refusal, StartReport,
    full_message,
};
use crate::seat::{Named, Seat, Several};
use crate::unload::{UnloadError, Unloaded};
use crate::verify::{Verified, says_to_be, verify};

/// One thread's turn to change a host.
pub(super) struct Turn<'a> {
    // Dropped in this order.
    _turn: MutexGuard<'a, ()>,
    _in_host: InHost,
    _changing: Changing,
}

impl Inner {
    /// The turn to change something. Libraries that could not be closed before
    /// may be by now.
    pub(super) fn change(&self) -> Turn<'_> {
        let in_host = in_host();
        let turn =
            Turn { _turn: self.changing.lock(), _in_host: in_host, _changing: Changing::begins() };
        self.pinned.sweep(self.options.ending, self.options.activation_deadline);
        turn
    }

    pub(super) fn running(&self) -> Result<(), StartError> {
        if self.stopped.load(Ordering::Acquire) { Err(StartError::Stopped) } else { Ok(()) }
    }

    pub(super) fn start(&self) -> StartReport {
        self.watch();
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut refused: Vec<Arc<Refusal>> = Vec::new();
        for problem in found.problems {
            let path = problem.path().to_owned();
            refused.push(Arc::new(Refusal { path, plugin: None, error: problem.into() }));
        }
        let (verified, problems) = self.verify(found.candidates);
        refused.extend(problems);
        {
            let mut known = self.known.lock();
            known.looked = true;
            known.files.clear();
            known.not_taken.clear();
            known.failed.clear();
            known.refused = refused;
            // What was unloaded by hand is to come up again.
            known.plugins.values_mut().for_each(|record| record.ended_by_hand = false);
        }
        self.learn_files(&verified);
        self.settle(verified, Change::because(&Cause::Start));

        let mut known = self.known.lock();
        known.refused.sort_by(|a, b| a.path.cmp(&b.path));
        let mut report = StartReport { refused: known.refused.clone(), ..StartReport::default() };
        let all_that_are = |state| {
            let records = known.plugins.values().filter(move |record| record.state == state);
            records.map(|record| self.status(record)).collect()
        };
        report.active = all_that_are(PluginState::Active);
        report.on_demand = all_that_are(PluginState::OnDemand);
        if self.prober.went_without() {
            report.notices.push(Notice::Unprobed { worker: self.options.worker.clone() });
        }
        report.notices.extend(self.recorder.as_ref().and_then(Recorder::notice));
        report.notices.extend(self.strangers(&known));
        let strays = self.options.folders.iter().flat_map(|folder| strays(folder));
        report.notices.extend(strays.map(|stray| Notice::Beside {
            code: stray.code().to_owned(),
            problem: full_message(&stray),
            help: stray.hint(),
        }));
        report.notices.extend(known.advice.iter().cloned().map(Notice::Advice));
        report
    }

    /// The tables of the host's configuration that no file in the folders registers.
    fn strangers(&self, known: &Known) -> Vec<Notice> {
        let serving = known.plugins.values().map(|record| &record.about.manifest);
        let files = known.files.values().map(|offer| &*offer.manifest);
        let registered = files.chain(serving).flat_map(|it| it.host_config.keys());
        let registered: BTreeSet<String> = registered.cloned().collect();
        let strangers = known.extensions.strangers(&registered).into_iter();
        let notice = |(name, meant): (String, Option<&str>)| Notice::Extension {
            code: extensions::STRANGER.to_owned(),
            problem: extensions::stranger(&name, meant),
            name,
        };
        strangers.map(notice).collect()
    }

    pub(super) fn verify(&self, candidates: Vec<Candidate>) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
        let count = self.counter(Phase::Verify, candidates.len());
        let outcomes = parallel::map(candidates, |candidate| {
            let outcome = verify(candidate, &self.workspace, &self.options.verify);
            count();
            outcome
        });
        let mut verified = Vec::new();
        let mut refused = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(good) => verified.push(good),
                Err(error) => refused.push(Arc::new(Refusal::from(error))),
            }
        }
        (verified, refused)
    }

    /// The generation of a plugin that serves now.
    pub(super) fn serving(&self, seat: &Seat) -> Option<Arc<Active>> {
        self.table.load().get(seat.as_str())?.serving()
    }

    /// The seats of a plugin in which a version serves that is asked for.
    pub(super) fn serving_as(&self, wanted: &Selector) -> Vec<Seat> {
        let table = self.table.load();
        let its = table.seats(&wanted.id).filter(|(_, slot)| {
            slot.serving().is_some_and(|it| wanted.has(&wanted.id, &it.about.manifest.version))
        });
        its.map(|(seat, _)| seat.clone()).collect()
    }

    /// The one seat in which a version serves that is meant.
    pub(super) fn one_serving(&self, named: &Named) -> Result<Option<Seat>, Several> {
        let table = self.table.load();
        let seats = table.seats(named.id()).filter_map(|(seat, slot)| {
            Some((seat.clone(), slot.serving()?.about.manifest.version.clone()))
        });
        let mut seats = named.of(seats.collect());
        if seats.len() < 2 {
            return Ok(seats.pop());
        }
        seats.sort();
        let names = seats.iter().map(Seat::to_string).collect();
        Err(Several { plugin: named.id().clone(), names })
    }

    pub(super) fn load(&self, named: &Named) -> Result<PluginStatus, LoadPluginError> {
        let plugin = named.id().clone();
        let waits = |one: &Verified| {
            let seat = self.seat_of(one.manifest());
            named.is(&seat, &one.manifest().version) && self.serving(&seat).is_none()
        };
        let serves_already = !self.serving_as(named.selector()).is_empty();
        if serves_already && self.options.policy.is_one(&plugin) {
            return Err(LoadPluginError::AlreadyActive { plugin });
        }
        let found = self.found(named)?;
        if serves_already && !found.iter().any(waits) {
            return Err(LoadPluginError::AlreadyActive { plugin });
        }
        let mut known = self.known.lock();
        // Who asks for it does not wait for the first call.
        let seats = found.iter().map(|one| (self.seat_of(one.manifest()), one.manifest()));
        let meant = seats.filter(|(seat, manifest)| named.is(seat, &manifest.version));
        known.awake.extend(meant.map(|(seat, _)| seat));
        drop(known);
        self.load_found(named, found)
    }

    /// The good files of a plugin in the folders, in the versions that are meant, at least
    /// one.
    pub(super) fn found(&self, named: &Named) -> Result<Vec<Verified>, LoadPluginError> {
        let id = named.id();
        let (found, refused) = self.look_for(id);
        if found.is_empty() {
            return Err(match refused.into_iter().next() {
                Some(refusal) => self.told(LoadPluginError::Refused(refusal)),
                None => self.not_found(id),
            });
        }
        let is_meant = |one: &Verified| {
            let manifest = one.manifest();
            named.is(&self.seat_of(manifest), &manifest.version)
        };
        if !found.iter().any(is_meant) {
            let mut found: Vec<_> =
                found.iter().map(|one| one.manifest().version.clone()).collect();
            found.sort();
            return Err(LoadPluginError::NoVersion { wanted: named.selector().clone(), found });
        }
        Ok(found)
    }

    pub(super) fn not_found(&self, id: &PluginId) -> LoadPluginError {
        let folders = self.options.folders.clone();
        LoadPluginError::NotFound { plugin: id.clone(), folders }
    }

    /// Lets one of these files serve.
    pub(super) fn load_found(
        &self,
        named: &Named,
        mut found: Vec<Verified>,
    ) -> Result<PluginStatus, LoadPluginError> {
        let id = named.id();
        let mut seats: Vec<(Version, Seat)> = found
            .iter()
            .map(|one| (one.manifest().version.clone(), self.seat_of(one.manifest())))
            .filter(|(version, seat)| {
                let serves = self.serving(seat);
                named.is(seat, version)
                    && serves.is_none_or(|active| active.about.manifest.version != *version)
            })
            .collect();
        seats.sort();
        let mut change = Change::because(&Cause::Request);
        if !self.known.lock().looked {
            change.besides.only = Some([id.clone()].into());
            if found.iter().any(|one| asks_for_others(one.manifest())) {
                self.look_for_others(&mut found);
            }
        }
        let was_disabled = {
            let mut known = self.known.lock();
            for (_, seat) in &seats {
                if let Some(record) = known.plugins.get_mut(seat) {
                    record.ended_by_hand = false;
                }
            }
            known.disabled.remove(id)
        };
        let outcome = self.settled(named, found, change);
        let mut known = self.known.lock();
        let is_there = |seat: &Seat| {
            let record = known.plugins.get(seat);
            record.filter(|it| matches!(it.state, PluginState::Active | PluginState::OnDemand))
        };
        match seats.iter().rev().find_map(|(_, seat)| is_there(seat)) {
            Some(record) => Ok(self.status(record)),
            None => {
                if was_disabled {
                    known.disabled.insert(id.clone());
                }
                drop(known);
                Err(outcome.err().unwrap_or_else(|| self.not_found(id)))
            }
        }
    }

    /// The files in the folders that are this plugin now, which is remembered, and those
    /// that say so and are refused. A refusal is not told of yet.
    pub(super) fn look_for(&self, id: &PluginId) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut candidates = found.candidates;
        // The file that it came from counts, too: it may be broken by now.
        let last = self.paths_of(id);
        candidates.retain(|candidate| {
            says_to_be(candidate.path(), id) || last.iter().any(|path| path == candidate.path())
        });
        let paths: Vec<_> = candidates.iter().map(|one| one.path().to_owned()).collect();
        let (found, refused) = self.verify(candidates);
        {
            let mut known = self.known.lock();
            // What is not there any more, or not any more what it was.
            known.files.retain(|path, offer| offer.manifest.id != *id || paths.contains(path));
            known.files.retain(|path, _| refused.iter().all(|refusal| refusal.path != *path));
        }
        self.learn_files(&found);
        (found, refused)
    }

    /// The files that generations of a plugin came from.
    pub(super) fn paths_of(&self, id: &PluginId) -> Vec<PathBuf> {
        let known = self.known.lock();
        let of_it = known.plugins.iter().filter(|(seat, _)| seat.id() == id);
        of_it.map(|(_, record)| record.about.path.clone()).collect()
    }

    /// The other files in the folders, for a host that knows none of them.
    fn look_for_others(&self, found: &mut Vec<Verified>) {
        let mut others = discover(&self.options.folders, self.options.verify.allow_world_writable);
        others.candidates.retain(|other| found.iter().all(|one| one.path() != other.path()));
        let (others, _) = self.verify(others.candidates);
        self.learn_files(&others);
        found.extend(others);
    }

    pub(super) fn load_file(&self, candidate: Candidate) -> Result<PluginStatus, LoadPluginError> {
        let verified = verify(candidate, &self.workspace, &self.options.verify)
            .map_err(|error| self.refuse(Refusal::from(error)))?;
        let id = verified.manifest().id.clone();
        let seat = self.seat_of(verified.manifest());
        if self.serving(&seat).is_some() {
            return Err(LoadPluginError::AlreadyActive { plugin: id });
        }
        let path = verified.path().to_owned();
        let verified = [verified];
        let known_before = self.known.lock().files.contains_key(&path);
        self.learn_files(&verified);
        let mut change = Change::because(&Cause::Request);
        let hash = verified.iter().map(|one| one.hash().to_hex().to_string());
        change.besides.instead = hash.map(|hash| (seat.clone(), hash)).collect();
        {
            let mut known = self.known.lock();
            known.awake.insert(seat.clone());
            if let Some(record) = known.plugins.get_mut(&seat) {
                record.ended_by_hand = false;
            }
        }
        if !self.known.lock().looked {
            change.besides.only = Some([id.clone()].into());
        }
        let outcome = self.settled(&Named::of_seat(&seat), verified.into(), change);
        let mut known = self.known.lock();
        // It need not lie in the folders.
        if !known_before {
            known.files.remove(&path);
        }
        match (outcome, known.plugins.get(&seat)) {
            (Ok(_), Some(record)) => Ok(self.status(record)),
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(self.not_found(&id)),
        }
    }

    fn refuse(&self, refusal: Refusal) -> LoadPluginError {
        self.told(LoadPluginError::Refused(Arc::new(refusal)))
    }

    /// Tells of a refusal because of which nothing serves.
    pub(super) fn told(&self, why: LoadPluginError) -> LoadPluginError {
        let LoadPluginError::Refused(refusal) = why else { return why };
        self.chronicle.tell(refusal.happening());
        self.remember(refusal)
    }

    /// A plugin serves from this file, so what was said against it is over.
    pub(super) fn no_longer_refused(&self, path: &Path) {
        self.known.lock().refused.retain(|refusal| refusal.path != path);
    }

    pub(super) fn remember(&self, refusal: Arc<Refusal>) -> LoadPluginError {
        let mut known = self.known.lock();
        known.refused.retain(|old| old.path != refusal.path);
        known.refused.push(refusal.clone());
        LoadPluginError::Refused(refusal)
    }

    pub(super) fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        self.stopped.store(true, Ordering::Release);
        self.tell.end();
        self.unwatch();
        self.end_those_asleep(|_| true);
        let levels = self.in_order_of_ending();
        let ended_before: Vec<_> = {
            let mut known = self.known.lock();
            known.to_end.clear();
            known.to_take.clear();
            let serves = |id: &&Seat| levels.iter().flatten().any(|it| it == *id);
            known.plugins.keys().filter(|id| !serves(id)).cloned().collect()
        };
        // Those first that need others; of what does not, all at once, so that the slow
        // ones wait together.
        let levels = [ended_before].into_iter().chain(levels);
        let ended = levels.flat_map(|ids| self.end_together(&ids)).collect();
        let known = self.known.lock();
        let still_to_save =
            known.plugins.iter().filter(|(_, record)| record.leaving.iter().any(|one| one.saves));
        let ids: Vec<_> = still_to_save.map(|(id, _)| id.clone()).collect();
        self.persisted.release_all_but(&ids);
        ended
    }

    fn end_together(&self, ids: &[Seat]) -> Vec<Result<Unloaded, UnloadError>> {
        thread::scope(|scope| {
            let ends: Vec<_> = ids
                .iter()
                .map(|id| {
                    let end = || {
                        let ended = self
                            .serving(id)
                            .map(|_| self.unload(id, PluginState::Unloaded, &Cause::Request));
                        self.end_what_left(id);
                        ended
                    };
                    let thread = thread::Builder::new().name("plugbay-stop".into());
                    thread.spawn_scoped(scope, end).map_err(|_| end())
                })
                .collect();
            ends.into_iter()
                .filter_map(|ended| match ended {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(ended) => ended,
                })
                .collect()
        })
    }

    /// The last clone of the host is gone.
    pub(super) fn end_all(&self) {
        let _in_host = in_host();
        let changing = self.changing.lock();
        for unloaded in self.stop().into_iter().flatten() {
            for failure in &unloaded.failures {
                log::warn!(target: unloaded.id.as_str(), "{failure}");
            }
        }
        self.keep_what_is_marked();
        drop(changing);
        if let Some(recorder) = &self.recorder {
            recorder.end();
        }
        let _ = self.keeper.wishes.send(Wish::End);
        // It may be in the middle of something, with a way to this host: what is
        // the host's is gone when this returns, and not a moment later.
        if let Some(keeper) = self.keeper.thread.lock().take() {
            let _ = keeper.join();
        }
    }

    /// Leases borrow from a host, so at its end only forgotten ones are left, for
    /// ever. What they say must not become the address of another generation,
    /// which would count as in use then.
    fn keep_what_is_marked(&self) {
        let known = self.known.lock();
        for (id, record) in &known.plugins {
            let left = record.in_use().into_iter().chain(self.serving(id));
            left.filter(|active| records::is_used(Arc::as_ptr(active))).for_each(mem::forget);
        }
    }

    /// Why a call found nobody.
    pub(crate) fn why_not(&self, id: &str) -> CallError {
        if let Err(error) = self.running() {
            return error.into();
        }
        let Ok(named) = Named::read(id) else { return self.unknown(id) };
        // Of versions side by side, others may serve.
        let serving = self.table.load().versions(named.id());
        let id = named.id().as_str();
        let known = self.known.lock();
        let seats = known.plugins.iter();
        let seats: Vec<_> =
            seats.filter(|(seat, it)| named.is(seat, &it.about.manifest.version)).collect();
        if let Some((_, record)) = seats.last() {
            let state = match record.state {
                // The table and this record change one after the other.
                PluginState::Active => PluginState::Retiring,
                state => state,
            };
            return CallError::NotActive { plugin: named.id().clone(), state };
        }
        if !serving.is_empty() {
            let wanted = named.selector().clone();
            return CallError::NoVersion { wanted, serving };
        }
        if let Some(plugin) = known.disabled.get(named.id()) {
            return CallError::NotActive { plugin: plugin.clone(), state: PluginState::Disabled };
        }
        let refused = known.refused.iter().find_map(|refusal| {
            let (plugin, _) =
                refusal.plugin.as_ref().filter(|(plugin, _)| plugin.as_str() == id)?;
            Some((plugin, refusal))
        });
        match refused {
            Some((plugin, refusal)) => {
                CallError::Refused { plugin: plugin.clone(), refusal: refusal.clone() }
            }
            None => {
                drop(known);
                self.unknown(id)
            }
        }
    }

    fn unknown(&self, id: &str) -> CallError {
        let known = self.known.lock();
        let known: BTreeSet<_> = known.plugins.keys().map(|seat| seat.id().clone()).collect();
        CallError::UnknownPlugin { plugin: id.to_owned(), known: known.into_iter().collect() }
    }

    /// Tells the beginning at once, and each call of what it returns as one more.
    pub(super) fn counter(&self, phase: Phase, total: usize) -> impl Fn() + Sync {
        let callback = self.options.progress.clone();
        let tell = move |done| {
            if let Some(callback) = &callback {
                callback(Progress { phase, done, total });
            }
        };
        tell(0);
        let done = AtomicUsize::new(0);
        move || tell(done.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Whether a plugin cannot be decided on without the others.
fn asks_for_others(manifest: &Manifest) -> bool {
    !manifest.dependencies.is_empty() || manifest.needs.iter().any(|need| !need.optional)
}

impl Record {
    pub(super) fn new(active: &Active) -> Self {
        Self {
            about: active.about.clone(),
            state: PluginState::Active,
            ended_by_hand: false,
            generation: active.generation,
            saved: None,
            previous: None,
            leaving: Vec::new(),
        }
    }

    /// One that is loaded when it is called.
    pub(super) fn on_demand(about: Arc<Loadable>) -> Self {
        Self {
            about,
            state: PluginState::OnDemand,
            ended_by_hand: false,
            generation: 0,
            saved: None,
            previous: None,
            leaving: Vec::new(),
        }
    }

    /// Another generation serves from now on.
    pub(super) fn serves(&mut self, active: &Active) {
        self.about = active.about.clone();
        self.state = PluginState::Active;
        self.generation = active.generation;
        self.saved = None;
    }

    /// The generations that shall end.
    pub(super) fn in_use(&self) -> Vec<Arc<Active>> {
        self.leaving.iter().map(|one| one.active.clone()).collect()
    }

    /// How many generations could still serve or are in use.
    pub(super) fn alive(&self) -> usize {
        let serving = usize::from(self.state == PluginState::Active);
        let previous = usize::from(self.previous.is_some());
        serving + previous + self.leaving.len()
    }
}
