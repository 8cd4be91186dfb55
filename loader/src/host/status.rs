//! What is known of plugins, for those who ask.

use std::sync::Arc;

use log::LevelFilter;

use super::{Host, Inner, Record};
use crate::activate::Active;
use crate::close::PinnedLibrary;
use crate::events::{Event, Events};
use crate::report::{GenerationStatus, PluginState, PluginStatus, Refusal, Role};
use crate::resolve::Plan;
use crate::seat::Named;
use crate::slot::holders_of;
use crate::verdicts::Verdicts;

impl Host {
    /// What happened to plugins in this host, the oldest first: the last 1,000
    /// events.
    pub fn history(&self) -> Vec<Event> {
        self.inner().chronicle.history()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.inner().chronicle.subscribe()
    }

    /// What was decided: which plugins run, in which order, and why the others do not.
    /// Takes as long as the decision, and blocks nobody.
    pub fn plan(&self) -> Plan {
        self.inner().current_plan()
    }

    /// What is known of every plugin that serves or has served, by id.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let known = self.inner().known.lock();
        known.plugins.values().map(|record| self.inner().status(record)).collect()
    }

    /// What is known of one plugin: of several versions, the newest that serves, or else the
    /// newest.
    pub fn status(&self, plugin: &str) -> Option<PluginStatus> {
        let named = Named::read(plugin).ok()?;
        let inner = self.inner();
        let known = inner.known.lock();
        let its = known.plugins.iter().filter(|(seat, _)| seat.id() == named.id());
        let its = its.map(|(seat, it)| (seat.clone(), it.about.manifest.version.clone()));
        let meant = named.of(its.collect());
        let records = meant.iter().filter_map(|seat| known.plugins.get(seat));
        let is_active = |it: &Record| it.state == PluginState::Active;
        let of_all = records.max_by_key(|it| (is_active(it), it.about.manifest.version.clone()))?;
        Some(inner.status(of_all))
    }

    /// The libraries of ended generations that are still in memory, and why; also
    /// those of plugins that never served. Each start, load, reload and unload
    /// tries to close them again.
    pub fn pinned(&self) -> Vec<PinnedLibrary> {
        self.inner().pinned.all()
    }

    /// What the last start, and loads since, refused.
    pub fn refused(&self) -> Vec<Arc<Refusal>> {
        self.inner().known.lock().refused.clone()
    }

    /// Changes the most verbose level taken from a plugin's log macros, for the
    /// generation that serves. Whether there is one.
    pub fn set_log_level(&self, id: &str, level: LevelFilter) -> bool {
        let found = Named::read(id).ok().and_then(|named| self.inner().slot_within(&named).ok());
        let Some(found) = found else { return false };
        let Some(lease) = found.slot.enter() else { return false };
        lease.active().root.set_log_level()(level as u8);
        true
    }

    /// What is known of files that were loaded in child processes, and the
    /// quarantine.
    pub fn verdicts(&self) -> &Verdicts {
        &self.shared.inner.verdicts
    }
}

impl Inner {
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
