//! What a host does with its plugins: the stages put together.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use plugbay_interface::manifest::PluginId;
use serde_json::Value;

use super::{Inner, LoadPluginError, Record, StartError};
use crate::activate::{self, Active};
use crate::builder::Options;
use crate::call::CallError;
use crate::discover::{Candidate, discover};
use crate::error::Error;
use crate::link::{Link, level_for};
use crate::load;
use crate::parallel;
use crate::report::{
    Loadable, Notice, Phase, PluginState, PluginStatus, Progress, Refusal, StartReport,
};
use crate::resolve::{HostFacts, Resolved, resolve};
use crate::unload::{self, UnloadError, Unloaded};
use crate::verify::{Verified, says_to_be, verify};

impl Inner {
    pub(super) fn running(&self) -> Result<(), StartError> {
        if self.stopped.load(Ordering::Acquire) { Err(StartError::Stopped) } else { Ok(()) }
    }

    pub(super) fn start(&self) -> StartReport {
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut refused: Vec<Arc<Refusal>> = Vec::new();
        for problem in found.problems {
            let path = problem.path().to_owned();
            refused.push(Arc::new(Refusal { path, plugin: None, error: problem.into() }));
        }
        let (verified, problems) = self.verify(found.candidates);
        refused.extend(problems);
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
        let table = self.table.load_full();
        let new = plan
            .run
            .into_iter()
            .filter(|resolved| !table.contains_key(&resolved.verified().manifest().id))
            .collect();
        refused.extend(self.bring_up(new).into_iter().filter_map(Result::err));
        refused.sort_by(|a, b| a.path.cmp(&b.path));

        let mut report = StartReport { refused: refused.clone(), ..StartReport::default() };
        let table = self.table.load();
        let mut known = self.known.lock();
        known.refused = refused;
        report.active = known
            .plugins
            .iter()
            .filter(|(id, _)| table.contains_key(*id))
            .map(|(id, record)| record.status(table.get(id)))
            .collect();
        if self.prober.went_without() {
            report.notices.push(Notice::Unprobed { worker: self.options.worker.clone() });
        }
        report
    }

    fn verify(&self, candidates: Vec<Candidate>) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
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

    fn facts(&self) -> HostFacts {
        HostFacts {
            version: self.options.version.clone(),
            disabled: self.known.lock().disabled.iter().cloned().collect(),
        }
    }

    /// Probes, loads and activates, and lets all that are ready serve at once.
    fn bring_up(&self, plan: Vec<Resolved>) -> Vec<Result<PluginId, Arc<Refusal>>> {
        let count = self.counter(Phase::Load, plan.len());
        let outcomes = parallel::map(plan, |resolved| {
            let known = Arc::new(Loadable::of(resolved.verified()));
            let outcome = self
                .activate(resolved, known.clone())
                .map_err(|error| Arc::new(Refusal::of(&known, error)));
            count();
            outcome
        });
        let mut table = HashMap::clone(&self.table.load());
        let mut known = self.known.lock();
        let results = outcomes
            .into_iter()
            .map(|outcome| {
                let active = Arc::new(outcome?);
                let id = active.about.manifest.id.clone();
                let pinned = known.plugins.remove(&id).map(|old| old.pinned).unwrap_or_default();
                known.plugins.insert(
                    id.clone(),
                    Record {
                        about: active.about.clone(),
                        state: PluginState::Active,
                        generation: active.generation,
                        pinned,
                        saved: None,
                    },
                );
                table.insert(id.clone(), active);
                Ok(id)
            })
            .collect();
        self.table.store(Arc::new(table));
        results
    }

    fn activate(&self, resolved: Resolved, about: Arc<Loadable>) -> Result<Active, Error> {
        let probed = self.prober.probe(resolved.verified())?;
        let id = about.manifest.id.clone();
        let loaded = load::load(resolved, probed)?;
        let configuration = self.options.config.get(id.as_str());
        let saved = self.known.lock().plugins.get(&id).and_then(|record| record.saved.clone());
        let log_level = match self.options.log_levels.get(id.as_str()) {
            Some(level) => *level,
            None => level_for(id.as_str()),
        };
        let link = Link {
            generation: self.next_generation.fetch_add(1, Ordering::Relaxed),
            data_dir: self.options.data_dir.join(id.as_str()),
            configuration: configuration.map_or_else(|| "{}".to_owned(), Value::to_string),
            state: Mutex::new(saved),
            wants_backtraces: self.options.backtraces,
            log_level,
            id,
        };
        Ok(activate::activate(loaded, about, link, self.options.activation_deadline)?)
    }

    pub(super) fn load(&self, id: &PluginId) -> Result<PluginStatus, LoadPluginError> {
        if self.table.load().contains_key(id) {
            return Err(LoadPluginError::AlreadyActive { plugin: id.clone() });
        }
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut candidates = found.candidates;
        // The file that it came from counts, too: it may be broken by now.
        let last = self.known.lock().plugins.get(id).map(|record| record.about.path.clone());
        candidates.retain(|candidate| {
            says_to_be(candidate, id) || last.as_deref() == Some(candidate.path())
        });
        let (wanted, refused) = self.verify(candidates);
        let mut facts = self.facts();
        facts.disabled.retain(|disabled| disabled != id);
        let mut plan = resolve(wanted, &facts);
        if plan.run.is_empty() {
            return Err(match plan.held_back.pop() {
                Some(error) => self.refuse(Refusal {
                    path: error.path().to_owned(),
                    plugin: Some((error.id().clone(), error.version().clone())),
                    error: error.into(),
                }),
                None => match refused.into_iter().next() {
                    Some(refusal) => LoadPluginError::Refused(refusal),
                    None => LoadPluginError::NotFound {
                        plugin: id.clone(),
                        folders: self.options.folders.clone(),
                    },
                },
            });
        }
        self.bring_up_one(plan.run)
    }

    pub(super) fn load_file(&self, candidate: Candidate) -> Result<PluginStatus, LoadPluginError> {
        let verified =
            verify(candidate, &self.workspace, &self.options.verify).map_err(|error| {
                let path = error.path().to_owned();
                self.refuse(Refusal { path, plugin: None, error: error.into() })
            })?;
        let id = verified.manifest().id.clone();
        if self.table.load().contains_key(&id) {
            return Err(LoadPluginError::AlreadyActive { plugin: id });
        }
        let mut plan = resolve(vec![verified], &self.facts());
        match plan.held_back.pop() {
            Some(error) => Err(self.refuse(Refusal {
                path: error.path().to_owned(),
                plugin: Some((error.id().clone(), error.version().clone())),
                error: error.into(),
            })),
            None => self.bring_up_one(plan.run),
        }
    }

    fn bring_up_one(&self, plan: Vec<Resolved>) -> Result<PluginStatus, LoadPluginError> {
        let mut last = Err(LoadPluginError::Stopped(StartError::Stopped));
        for outcome in self.bring_up(plan) {
            last = match outcome {
                Ok(id) => {
                    let table = self.table.load();
                    let mut known = self.known.lock();
                    known.disabled.remove(&id);
                    known.refused.retain(|old| old.plugin.as_ref().is_none_or(|(o, _)| *o != id));
                    match known.plugins.get(&id) {
                        Some(record) => Ok(record.status(table.get(&id))),
                        None => Err(LoadPluginError::NotFound {
                            plugin: id,
                            folders: self.options.folders.clone(),
                        }),
                    }
                }
                Err(refusal) => {
                    let mut known = self.known.lock();
                    known.refused.retain(|old| old.path != refusal.path);
                    known.refused.push(refusal.clone());
                    Err(LoadPluginError::Refused(refusal))
                }
            };
        }
        last
    }

    fn refuse(&self, refusal: Refusal) -> LoadPluginError {
        let refusal = Arc::new(refusal);
        let mut known = self.known.lock();
        known.refused.retain(|old| old.path != refusal.path);
        known.refused.push(refusal.clone());
        LoadPluginError::Refused(refusal)
    }

    pub(super) fn unload(&self, id: &str, state: PluginState) -> Result<Unloaded, UnloadError> {
        let Some(active) = self.table.load().get(id).cloned() else {
            let mut known = self.known.lock();
            // What does not serve can still be held back from the next start.
            if let Some((id, record)) = known.plugins.get_key_value(id)
                && state == PluginState::Disabled
            {
                let unloaded = Unloaded {
                    id: id.clone(),
                    generation: record.generation,
                    pinned: record.pinned.last().map(|(_, pin)| pin.clone()),
                    state_kept: record.saved.is_some(),
                    failures: Vec::new(),
                };
                known.disabled.insert(unloaded.id.clone());
                if let Some(record) = known.plugins.get_mut(&unloaded.id) {
                    record.state = state;
                }
                return Ok(unloaded);
            }
            return Err(UnloadError::NotActive { plugin: id.to_owned() });
        };
        let Options { drain_limit, activation_deadline, ending, .. } = self.options;
        let (unloaded, saved) = unload::retire(&active, drain_limit, activation_deadline, ending)?;
        // Under this lock, as several may end at once.
        let mut known = self.known.lock();
        let mut table = HashMap::clone(&self.table.load());
        table.remove(id);
        self.table.store(Arc::new(table));
        if state == PluginState::Disabled {
            known.disabled.insert(unloaded.id.clone());
        }
        if let Some(record) = known.plugins.get_mut(&unloaded.id) {
            record.state = state;
            record.saved = saved;
            record.pinned.extend(unloaded.pinned.clone().map(|pin| (unloaded.generation, pin)));
        }
        Ok(unloaded)
    }

    pub(super) fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        self.stopped.store(true, Ordering::Release);
        let ids: Vec<_> = self.table.load().keys().cloned().collect();
        // All at once, so that the slow ones wait together.
        thread::scope(|scope| {
            let ends: Vec<_> = ids
                .iter()
                .map(|id| {
                    let end = || self.unload(id.as_str(), PluginState::Unloaded);
                    let thread = thread::Builder::new().name("plugbay-stop".into());
                    thread.spawn_scoped(scope, end).map_err(|_| end())
                })
                .collect();
            ends.into_iter()
                .map(|ended| match ended {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(ended) => ended,
                })
                .collect()
        })
    }

    /// Why a call found nobody.
    pub(super) fn why_not(&self, id: &str) -> CallError {
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
    fn counter(&self, phase: Phase, total: usize) -> impl Fn() + Sync {
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

impl Drop for Inner {
    fn drop(&mut self) {
        for unloaded in self.stop().into_iter().flatten() {
            for failure in &unloaded.failures {
                log::warn!(target: unloaded.id.as_str(), "{failure}");
            }
        }
    }
}

impl Record {
    pub(super) fn status(&self, active: Option<&Arc<Active>>) -> PluginStatus {
        PluginStatus {
            path: self.about.path.clone(),
            state: self.state,
            generation: self.generation,
            calls: active.map_or(0, |active| active.instance.leases()),
            pinned: self.pinned.clone(),
            hash: self.about.hash.to_hex().to_string(),
            facts: self.about.facts.clone(),
            manifest: self.about.manifest.clone(),
        }
    }
}
