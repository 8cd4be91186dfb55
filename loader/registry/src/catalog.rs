//! What the memory and the file backend hold of plugins. Pure: nothing here blocks.

use std::collections::BTreeMap;

use plugbay_manifest::PluginId;

use crate::{ContentHash, HeldBack, Mark, PluginRecord, Query, RecordKey, Selector, Wish, rank};

/// Records, wishes, and what is held back.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Catalog {
    pub(crate) records: BTreeMap<RecordKey, PluginRecord>,
    pub(crate) wishes: BTreeMap<PluginId, Wish>,
    pub(crate) held_back: BTreeMap<ContentHash, HeldBack>,
}

/// What a change returns, and whether anything is other than before.
pub(crate) struct Changed<T> {
    pub(crate) answer: T,
    pub(crate) changed: bool,
}

impl Catalog {
    pub(crate) fn record(&mut self, records: &[PluginRecord]) -> Changed<()> {
        let mut changed = false;
        for record in records {
            let key = record.key();
            let earlier = self.records.get(&key);
            let record = match earlier {
                Some(earlier) => record.clone().after(earlier),
                None => record.clone(),
            };
            changed |= earlier != Some(&record);
            self.records.insert(key, record);
        }
        Changed { answer: (), changed }
    }

    pub(crate) fn mark(&mut self, marks: &[Mark]) -> Changed<usize> {
        let mut known = 0;
        for mark in marks {
            if let Some(record) = self.records.get_mut(&mark.key) {
                record.apply(mark);
                known += 1;
            }
        }
        Changed { answer: known, changed: known > 0 }
    }

    pub(crate) fn forget(&mut self, keys: &[RecordKey]) -> Changed<usize> {
        let removed = keys.iter().filter(|key| self.records.remove(key).is_some()).count();
        Changed { answer: removed, changed: removed > 0 }
    }

    pub(crate) fn query(&self, query: &Query) -> Vec<PluginRecord> {
        let wanted = self.records.values().filter(|record| query.wants(record)).cloned();
        rank::arranged(wanted.collect(), query)
    }

    pub(crate) fn set_wish(&mut self, id: &PluginId, wish: Option<Wish>) -> Changed<()> {
        let earlier = match wish.clone() {
            Some(wish) => self.wishes.insert(id.clone(), wish),
            None => self.wishes.remove(id),
        };
        Changed { answer: (), changed: earlier != wish }
    }

    pub(crate) fn hold_back(&mut self, held: &HeldBack) -> Changed<()> {
        let earlier = self.held_back.insert(held.hash, held.clone());
        Changed { answer: (), changed: earlier.as_ref() != Some(held) }
    }

    pub(crate) fn held_back(&self) -> Vec<HeldBack> {
        latest_first(self.held_back.values().cloned().collect())
    }

    pub(crate) fn release(&mut self, selector: &Selector) -> Changed<Vec<HeldBack>> {
        let released: Vec<_> = self
            .held_back
            .extract_if(.., |hash, held| selector.takes(hash, &held.plugin))
            .map(|(_, held)| held)
            .collect();
        Changed { changed: !released.is_empty(), answer: released }
    }
}

/// What is held back, in the order in which it is told.
pub(crate) fn latest_first(mut held: Vec<HeldBack>) -> Vec<HeldBack> {
    held.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.hash.cmp(&b.hash)));
    held
}
