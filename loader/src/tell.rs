//! Tells plugins what became of the services that they need: which appeared, which were
//! replaced, which are gone.
//!
//! Whoever lets a generation serve or ends it says so here, right after that is true. It
//! is noted for each plugin that needs what has changed, under one lock, so all hear of
//! all changes in one order. Nobody waits for their hearing: that is for threads of
//! its own (`tellers.rs`), which there are only as long as there is something to tell.

mod hearing;
mod tellers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::activate::Active;
use crate::report::Loadable;
use crate::seat::Seat;
use crate::slot::Slot;

pub(crate) use hearing::Hearing;
use tellers::{Task, Tellers};

/// Who serves in a host, as far as the others have been told.
#[derive(Debug, Default)]
pub(crate) struct Tell {
    told: Mutex<Told>,
    tellers: Arc<Tellers>,
}

#[derive(Debug, Default)]
struct Told {
    there: BTreeMap<Seat, Serving>,
    ended: bool,
}

/// A generation that serves.
#[derive(Debug)]
struct Serving {
    about: Arc<Loadable>,
    generation: u64,
    slot: Arc<Slot>,
    hearing: Arc<Hearing>,
}

impl Tell {
    /// These serve now, and have come together. In the place of the generations that
    /// served before, if any did.
    pub(crate) fn serve(&self, now: impl IntoIterator<Item = (Arc<Slot>, Arc<Active>)>) {
        let mut told = self.told.lock();
        if told.ended {
            return;
        }
        let mut changed = BTreeSet::new();
        for (slot, active) in now {
            let id = active.about.seat.clone();
            let (about, hearing) = (active.about.clone(), active.hearing.clone());
            let serving = Serving { about, generation: active.generation, slot, hearing };
            told.there.insert(id.clone(), serving);
            changed.insert(id);
        }
        let tasks = told.learn(&changed);
        drop(told);
        self.tellers.take(tasks);
    }

    /// This one serves no more.
    pub(crate) fn gone(&self, id: &Seat) {
        let mut told = self.told.lock();
        if told.there.remove(id).is_none() {
            return;
        }
        let tasks = told.learn(&BTreeSet::from([id.clone()]));
        drop(told);
        self.tellers.take(tasks);
    }

    /// The host ends: nobody is told anything any more. Who is being told something
    /// just now is not interrupted.
    pub(crate) fn end(&self) {
        let mut told = self.told.lock();
        told.ended = true;
        told.there.values().for_each(|serving| serving.hearing.forget());
        told.there.clear();
    }
}

impl Told {
    /// Notes for all what has changed. Gives those that are to be told by somebody new.
    fn learn(&self, changed: &BTreeSet<Seat>) -> Vec<Task> {
        let mut tasks = Vec::new();
        let listens = |serving: &Serving| !serving.about.manifest.needs.is_empty();
        let listeners = self.there.iter().filter(|(_, serving)| listens(serving));
        for (id, Serving { about, slot, hearing, .. }) in listeners {
            // Who is new here, or has come back, is told of all.
            let of = (!changed.contains(id)).then_some(changed);
            if hearing.learn(&about.manifest, &self.there, of) {
                tasks.push(Task { slot: slot.clone(), hearing: hearing.clone() });
            }
        }
        tasks
    }
}
