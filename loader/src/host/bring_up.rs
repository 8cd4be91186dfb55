//! How a host brings up plugins that do not serve: from files that were decided
//! on to slots that are open.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use plugbay_interface::manifest::Manifest;
use plugbay_resolve::Line;

use super::{Inner, Record};
use crate::activate::{self, Active, InTime, Taker};
use crate::configure::{self, ConfigError, Configured};
use crate::error::Error;
use crate::events::{Cause, Happening, Times};
use crate::extensions::Extensions;
use crate::keeper::Wish;
use crate::link::{Link, StateSource, level_for};
use crate::load;
use crate::on_thread::Deadline;
use crate::probation::Troubles;
use crate::reload::ReloadError;
use crate::report::{Loadable, Phase, PluginState, Refusal};
use crate::resolve::Resolved;
use crate::seat::{Seat, Table};
use crate::secrets::Secrets;
use crate::slot::Slot;

impl Inner {
    /// Probes, loads and activates, and lets all that are ready serve at once.
    pub(super) fn bring_up(
        &self,
        plan: Vec<Resolved>,
        cause: &Cause,
    ) -> Vec<Result<Seat, Arc<Refusal>>> {
        let count = self.counter(Phase::Load, plan.len());
        let outcomes = self.attempt_all(plan, count, |resolved, about| {
            let mut times = Times::default();
            self.room_for_another(&about.seat)?;
            let state = self.kept_state(about)?;
            let taker = Arc::new(InTime::default());
            let deadline = Deadline::new(self.options.activation_deadline);
            let active = self.construct(resolved, about, state, &mut times, &deadline, taker)?;
            Ok((active, times))
        });
        let mut table = None;
        let mut known = self.known.lock();
        let mut results = Vec::new();
        let mut serve = Vec::new();
        // Told when it is true: who hears of it may call at once.
        let mut happened = Vec::new();
        for outcome in outcomes {
            let (active, times) = match outcome {
                Ok(ready) => ready,
                Err(refusal) => {
                    happened.push(Err(refusal.clone()));
                    results.push(Err(refusal));
                    continue;
                }
            };
            let seat = active.about.seat.clone();
            happened.push(Ok(Happening::Loaded {
                plugin: seat.id().clone(),
                version: active.about.manifest.version.clone(),
                generation: active.generation,
                path: active.about.path.clone(),
                cause: cause.clone(),
                times,
            }));
            match known.plugins.get_mut(&seat) {
                Some(record) => record.serves(&active),
                None => drop(known.plugins.insert(seat.clone(), Record::new(&active))),
            }
            let slot = self.table.load().get(seat.as_str()).cloned().unwrap_or_else(|| {
                let slot = Arc::new(Slot::new());
                let table = table.get_or_insert_with(|| Table::clone(&self.table.load()));
                table.insert(&seat, slot.clone());
                slot
            });
            // What came from the copy of a file that is broken or not taken by now changes
            // nothing of that.
            let path = &active.about.path;
            let is_by_hand = known.by_hand.values().any(|it| it.path == *path);
            let came_from_it = match known.files.get(path) {
                Some(file) => file.hash == active.about.hash.to_hex().as_str(),
                None => is_by_hand,
            };
            let is_there = known.files.contains_key(path);
            known.refused.retain(|old| {
                let is_of_what_lies_there = is_there || matches!(old.error, Error::Verify(_));
                old.path != *path || (!came_from_it && is_of_what_lies_there)
            });
            serve.push((slot, active));
            results.push(Ok(seat));
        }
        if let Some(table) = table {
            self.table.store(Arc::new(table));
        }
        drop(known);
        // Whoever waits for them is woken: code of others, which may ask what is known.
        for (slot, active) in &serve {
            slot.open(active.clone());
        }
        self.tell.serve(serve);
        for happened in happened {
            match happened {
                Ok(loaded) => self.chronicle.tell(loaded),
                Err(refusal) => {
                    self.remember(refusal.clone());
                    self.tell_refused(&refusal);
                }
            }
        }
        results
    }

    /// Whether as many generations of a plugin as may be are in memory.
    pub(super) fn room_for_another(&self, seat: &Seat) -> Result<(), Error> {
        let most = self.options.max_generations;
        let alive = self.known.lock().plugins.get(seat).map_or(0, Record::alive);
        let alive = alive + self.pinned.of(seat.id()).len();
        if alive < most { Ok(()) } else { Err(ReloadError::Generations { alive, most }.into()) }
    }

    /// The state that a plugin begins with which does not serve.
    pub(super) fn kept_state(&self, about: &Loadable) -> Result<StateSource, Error> {
        let id = &about.seat;
        let saved = self.known.lock().plugins.get(id).and_then(|record| record.saved.clone());
        let saved = match saved {
            None if about.manifest.state_persist => match self.persisted.read(id)? {
                // A line begins with what the plugin kept before it had lines.
                None if *id.line() != Line::Whole => {
                    self.persisted.read(&Seat::new(id.id(), Line::Whole))?
                }
                kept => kept,
            },
            saved => saved,
        };
        Ok(StateSource::Kept(Mutex::new(saved)))
    }

    /// What a plugin is to be configured with now.
    pub(super) fn configured(&self, manifest: &Manifest) -> Result<Configured, ConfigError> {
        let seat = self.seat_of(manifest);
        let (given, extensions) = {
            let known = self.known.lock();
            let extensions = match manifest.host_config.is_empty() {
                true => Extensions::default(),
                false => known.configurations.tables_for(&seat).owned(known.owners()),
            };
            (known.configurations.given(&seat, manifest), extensions)
        };
        // What others say counts only for one that has something to be checked by.
        let is_checked = manifest.config_schema.is_some() || !manifest.host_config.is_empty();
        let others = if is_checked { self.with_base_schemas() } else { Vec::new() };
        let others = others.iter().map(AsRef::as_ref);
        configure::settle(manifest, given, others, &extensions, &self.options.grounds)
    }

    /// Those in the folders and those that serve whose schemas others may build on.
    pub(super) fn with_base_schemas(&self) -> Vec<Arc<Manifest>> {
        let counts = |it: &Manifest| !it.base_schemas.is_empty();
        let known = self.known.lock();
        let files = known.files.values().map(|offer| &offer.manifest);
        let is_there =
            |it: &&Record| matches!(it.state, PluginState::Active | PluginState::OnDemand);
        let serving = known.plugins.values().filter(is_there).map(|it| &it.about.manifest);
        let serving = serving.filter(|it| counts(it)).map(|it| Arc::new(it.clone()));
        files.filter(|it| counts(it)).cloned().chain(serving).collect()
    }

    /// From a file that was decided on to a generation that `taker` has taken.
    pub(super) fn construct(
        &self,
        resolved: Resolved,
        about: &Arc<Loadable>,
        state: StateSource,
        times: &mut Times,
        deadline: &Arc<Deadline>,
        taker: Arc<dyn Taker>,
    ) -> Result<Arc<Active>, Error> {
        let configured = Arc::new(self.configured(&about.manifest)?);
        let secrets = Arc::new(Secrets::of(configured.scrubber()));
        let begin = Instant::now();
        let probed = self.prober.probe(resolved.verified());
        times.probe = Some(begin.elapsed());
        let probed = probed?;
        let new_verdict = probed.new;
        let begin = Instant::now();
        let loaded = load::load(resolved, probed);
        times.load = Some(begin.elapsed());
        let id = about.manifest.id.clone();
        let log_level = match self.options.log_levels.get(id.as_str()) {
            Some(level) => *level,
            None => level_for(id.as_str()),
        };
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        let wishes = self.keeper.wishes.clone();
        let allowed = self.options.allowed_troubles;
        let link = Link {
            generation,
            data_dir: self.options.data_dir.join(about.seat.as_str()),
            configured,
            secrets: secrets.clone(),
            state,
            results: self.options.results,
            wants_backtraces: self.options.backtraces,
            log_level,
            troubles: Arc::new(
                Troubles::new(about.seat.clone(), generation, allowed, wishes)
                    .without(secrets.clone()),
            ),
            id,
            about: about.clone(),
            host: self.keeper.host.clone(),
        };
        let begin = Instant::now();
        let ending = self.options.ending;
        let outcome = activate::activate(loaded?, about.clone(), link, deadline, ending, taker);
        times.activate = Some(begin.elapsed());
        if let Some(hash) = new_verdict {
            self.prober.keep(&hash);
        }
        outcome.map_err(|failed| {
            if let Some(pinned) = failed.pinned {
                self.pinned.add(*pinned);
                self.keep(Wish::Look);
            }
            failed.error.without(&secrets).into()
        })
    }
}
