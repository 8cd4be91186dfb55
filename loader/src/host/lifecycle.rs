//! What a host does with its plugins: the stages put together.

use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::MutexGuard;
use plugbay_interface::manifest::PluginId;

use super::{Inner, LoadPluginError, Record, StartError};
use crate::activate::Active;
use crate::call::CallError;
use crate::discover::{Candidate, discover};
use crate::events::Cause;
use crate::footprint::{InHost, in_host};
use crate::keeper::Wish;
use crate::parallel;
use crate::records;
use crate::report::{
    Loadable, Notice, Phase, PluginState, PluginStatus, Progress, Refusal, StartReport,
};
use crate::resolve::{HostFacts, Resolved, resolve};
use crate::service::unmet;
use crate::unload::{UnloadError, Unloaded};
use crate::verify::{Verified, says_to_be, verify};

/// One thread's turn to change a host.
pub(super) struct Turn<'a> {
    // Dropped in this order.
    _turn: MutexGuard<'a, ()>,
    _in_host: InHost,
}

impl Inner {
    /// The turn to change something. Libraries that could not be closed before
    /// may be by now.
    pub(super) fn change(&self) -> Turn<'_> {
        let in_host = in_host();
        let turn = Turn { _turn: self.changing.lock(), _in_host: in_host };
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
        self.learn_files(&verified);
        let verified = verified
            .into_iter()
            .filter(|verified| {
                let id = verified.manifest().id.as_str();
                self.options.only.as_ref().is_none_or(|only| only.contains(id))
            })
            .collect();
        let plan = resolve(verified, &self.facts());
        for held_back in plan.held_back {
            refused.push(Arc::new(Refusal {
                path: held_back.path().to_owned(),
                plugin: Some((held_back.id().clone(), held_back.version().clone())),
                error: held_back.into(),
            }));
        }
        let new = plan
            .run
            .into_iter()
            .filter(|resolved| self.serving(&resolved.verified().manifest().id).is_none())
            .collect();
        refused.extend(self.bring_up(new, &Cause::Start).into_iter().filter_map(Result::err));
        self.bring_back(&refused);
        refused.sort_by(|a, b| a.path.cmp(&b.path));

        let mut report = StartReport { refused: refused.clone(), ..StartReport::default() };
        let mut known = self.known.lock();
        known.refused = refused;
        report.active = known
            .plugins
            .values()
            .filter(|record| record.state == PluginState::Active)
            .map(|record| self.status(record))
            .collect();
        if self.prober.went_without() {
            report.notices.push(Notice::Unprobed { worker: self.options.worker.clone() });
        }
        drop(known);
        report.notices.extend(unmet(&self.manifests()));
        report
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
                Err(error) => refused.push(Arc::new(Refusal {
                    path: error.path().to_owned(),
                    plugin: None,
                    error: error.into(),
                })),
            }
        }
        (verified, refused)
    }

    pub(super) fn facts(&self) -> HostFacts {
        HostFacts {
            version: self.options.version.clone(),
            disabled: self.known.lock().disabled.iter().cloned().collect(),
        }
    }

    /// The generation of a plugin that serves now.
    pub(super) fn serving(&self, id: &PluginId) -> Option<Arc<Active>> {
        self.table.load().get(id)?.serving()
    }

    pub(super) fn load(&self, id: &PluginId) -> Result<PluginStatus, LoadPluginError> {
        if self.serving(id).is_some() {
            return Err(LoadPluginError::AlreadyActive { plugin: id.clone() });
        }
        let mut facts = self.facts();
        facts.disabled.retain(|disabled| disabled != id);
        let resolved = self.find(id, &facts).map_err(|why| self.told(why))?;
        let outcome = self.bring_up_one(resolved, &Cause::Request);
        let Err(LoadPluginError::Refused(refusal)) = &outcome else { return outcome };
        // As at a start: the version that it was rolled back to is what runs here.
        self.bring_back(std::slice::from_ref(refusal));
        let known = self.known.lock();
        match known.plugins.get(id).filter(|record| record.state == PluginState::Active) {
            Some(record) => Ok(self.status(record)),
            None => outcome,
        }
    }

    /// The file in the folders that is to be this plugin. A refusal is not told of
    /// yet.
    pub(super) fn find(
        &self,
        id: &PluginId,
        facts: &HostFacts,
    ) -> Result<Resolved, LoadPluginError> {
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut candidates = found.candidates;
        // The file that it came from counts, too: it may be broken by now.
        let last = self.known.lock().plugins.get(id).map(|record| record.about.path.clone());
        candidates.retain(|candidate| {
            says_to_be(candidate, id) || last.as_deref() == Some(candidate.path())
        });
        let (wanted, refused) = self.verify(candidates);
        // An older version does not take over because the newer file broke.
        if self.serving(id).is_some()
            && let Some(own) = refused.iter().find(|one| last.as_ref() == Some(&one.path))
        {
            return Err(LoadPluginError::Refused(own.clone()));
        }
        let plan = resolve(wanted, facts);
        let mut held_back = plan.held_back;
        if let Some(resolved) =
            plan.run.into_iter().find(|resolved| resolved.verified().manifest().id == *id)
        {
            return Ok(resolved);
        }
        Err(match held_back.pop() {
            Some(error) => LoadPluginError::Refused(Arc::new(Refusal::from(error))),
            None => match refused.into_iter().next() {
                Some(refusal) => LoadPluginError::Refused(refusal),
                None => LoadPluginError::NotFound {
                    plugin: id.clone(),
                    folders: self.options.folders.clone(),
                },
            },
        })
    }

    pub(super) fn load_file(&self, candidate: Candidate) -> Result<PluginStatus, LoadPluginError> {
        let verified =
            verify(candidate, &self.workspace, &self.options.verify).map_err(|error| {
                let path = error.path().to_owned();
                self.refuse(Refusal { path, plugin: None, error: error.into() })
            })?;
        let id = verified.manifest().id.clone();
        if self.serving(&id).is_some() {
            return Err(LoadPluginError::AlreadyActive { plugin: id });
        }
        let mut plan = resolve(vec![verified], &self.facts());
        match (plan.held_back.pop(), plan.run.pop()) {
            (None, Some(resolved)) => self.bring_up_one(resolved, &Cause::Request),
            (Some(error), _) => Err(self.refuse(Refusal::from(error))),
            (None, None) => {
                Err(LoadPluginError::NotFound { plugin: id, folders: self.options.folders.clone() })
            }
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
    pub(super) fn no_longer_refused(&self, about: &Loadable) {
        self.known.lock().refused.retain(|refusal| {
            refusal.path != about.path
                && refusal.plugin.as_ref().is_none_or(|(id, _)| *id != about.manifest.id)
        });
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
        let ids: Vec<_> = {
            let mut known = self.known.lock();
            known.to_remove.clear();
            known.to_take.clear();
            known.plugins.keys().cloned().collect()
        };
        // All at once, so that the slow ones wait together.
        let ended = thread::scope(|scope| {
            let ends: Vec<_> = ids
                .iter()
                .map(|id| {
                    let end = || {
                        let ended = self.serving(id).map(|_| {
                            self.unload(id.as_str(), PluginState::Unloaded, &Cause::Request)
                        });
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
        });
        let known = self.known.lock();
        let still_to_save =
            known.plugins.iter().filter(|(_, record)| record.leaving.iter().any(|one| one.saves));
        let ids: Vec<_> = still_to_save.map(|(id, _)| id.clone()).collect();
        self.persisted.release_all_but(&ids);
        ended
    }

    /// The last clone of the host is gone.
    pub(super) fn end(&self) {
        let _in_host = in_host();
        let changing = self.changing.lock();
        for unloaded in self.stop().into_iter().flatten() {
            for failure in &unloaded.failures {
                log::warn!(target: unloaded.id.as_str(), "{failure}");
            }
        }
        self.keep_what_is_marked();
        drop(changing);
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
        let known = self.known.lock();
        if let Some((plugin, record)) = known.plugins.get_key_value(id) {
            let state = match record.state {
                // The table and this record change one after the other.
                PluginState::Active => PluginState::Retiring,
                state => state,
            };
            return CallError::NotActive { plugin: plugin.clone(), state };
        }
        if let Some(plugin) = known.disabled.get(id) {
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
            None => CallError::UnknownPlugin {
                plugin: id.to_owned(),
                known: known.plugins.keys().cloned().collect(),
            },
        }
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
