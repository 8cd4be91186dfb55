//! What is known of a plugin, for those who ask.

use super::{Inner, Record};
use crate::activate::Active;
use crate::report::{GenerationStatus, PluginStatus, Role};
use crate::slot::holders_of;

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
