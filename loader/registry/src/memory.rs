use std::collections::BTreeMap;

use parking_lot::Mutex;
use plugbay_manifest::PluginId;

use crate::catalog::Catalog;
use crate::past::{Past, Step};
use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HeldBack, HistoryQuery, Limits, Mark,
    PluginRecord, Query, RecordKey, Registry, RegistryError, Selector, Wish,
};

/// A registry that ends with its process: for hosts that keep nothing. It never fails.
#[derive(Debug)]
pub struct MemoryRegistry {
    held: Mutex<(Catalog, Past)>,
}

impl MemoryRegistry {
    /// An empty one.
    pub fn new() -> Self {
        Self::with(&Limits::default())
    }

    /// An empty one that keeps so much.
    pub fn with(limits: &Limits) -> Self {
        Self { held: Mutex::new((Catalog::default(), Past::new(limits, 1))) }
    }

    /// One that knows what another one knows now. Of attempts it knows those that count as
    /// crashes, under other numbers.
    ///
    /// # Errors
    ///
    /// Where the other one cannot be read.
    pub fn copy_of(other: &dyn Registry) -> Result<Self, RegistryError> {
        let copy = Self::new();
        copy.record(&other.query(&Query::new())?)?;
        for (id, wish) in other.wishes()? {
            copy.set_wish(&id, Some(wish))?;
        }
        let mut events = other.history(&HistoryQuery::new())?;
        events.reverse();
        copy.append(&events)?;
        other.held_back()?.iter().try_for_each(|held| copy.hold_back(held))?;
        for crash in other.all_crashes()? {
            let id = copy.begin_attempt(&crash.begun)?;
            copy.end_attempt(id, Ending::Crashed)?;
        }
        Ok(copy)
    }
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry for MemoryRegistry {
    fn record(&self, records: &[PluginRecord]) -> Result<(), RegistryError> {
        self.held.lock().0.record(records);
        Ok(())
    }

    fn mark(&self, marks: &[Mark]) -> Result<usize, RegistryError> {
        Ok(self.held.lock().0.mark(marks).answer)
    }

    fn forget(&self, keys: &[RecordKey]) -> Result<usize, RegistryError> {
        Ok(self.held.lock().0.forget(keys).answer)
    }

    fn query(&self, query: &Query) -> Result<Vec<PluginRecord>, RegistryError> {
        Ok(self.held.lock().0.query(query))
    }

    fn set_wish(&self, id: &PluginId, wish: Option<Wish>) -> Result<(), RegistryError> {
        self.held.lock().0.set_wish(id, wish);
        Ok(())
    }

    fn wishes(&self) -> Result<BTreeMap<PluginId, Wish>, RegistryError> {
        Ok(self.held.lock().0.wishes.clone())
    }

    fn append(&self, events: &[Event]) -> Result<(), RegistryError> {
        self.held.lock().1.apply(Step::Events(events.to_vec()));
        Ok(())
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, RegistryError> {
        Ok(self.held.lock().1.history(query))
    }

    fn begin_attempt(&self, begin: &Begin) -> Result<AttemptId, RegistryError> {
        let past = &mut self.held.lock().1;
        let (id, step) = past.begin(begin);
        past.apply(step);
        Ok(id)
    }

    fn begin_attempts(&self, begin: &[Begin]) -> Result<Vec<AttemptId>, RegistryError> {
        let past = &mut self.held.lock().1;
        let (ids, step) = past.begin_all(begin);
        past.apply(step);
        Ok(ids)
    }

    fn end_attempt(&self, id: AttemptId, ending: Ending) -> Result<bool, RegistryError> {
        let past = &mut self.held.lock().1;
        let open = past.is_open(id);
        if open {
            past.apply(Step::end(id, ending));
        }
        Ok(open)
    }

    fn open_attempts(&self) -> Result<Vec<Attempt>, RegistryError> {
        Ok(self.held.lock().1.open_attempts())
    }

    fn crashes(&self, hash: &ContentHash) -> Result<Vec<Attempt>, RegistryError> {
        Ok(self.held.lock().1.crashes(hash))
    }

    fn all_crashes(&self) -> Result<Vec<Attempt>, RegistryError> {
        Ok(self.held.lock().1.all_crashes())
    }

    fn hold_back(&self, held: &HeldBack) -> Result<(), RegistryError> {
        self.held.lock().0.hold_back(held);
        Ok(())
    }

    fn held_back(&self) -> Result<Vec<HeldBack>, RegistryError> {
        Ok(self.held.lock().0.held_back())
    }

    fn release(&self, selector: &Selector) -> Result<Vec<HeldBack>, RegistryError> {
        let (catalog, past) = &mut *self.held.lock();
        if let Some(step) = past.release(selector) {
            past.apply(step);
        }
        Ok(catalog.release(selector).answer)
    }
}
