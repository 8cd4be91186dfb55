//! The leases of a generation that are no marks: they may be kept, and given back on
//! another thread than the one that took them.
//!
//! They lie in parts, so that threads which take and give back at the same time seldom
//! want the same lock. All that one thread takes is in one part.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use plugbay_interface::manifest::PluginId;

use crate::platform;
use crate::records::{Holder, Who, this_thread};

const PARTS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct CountedLeases([Part; PARTS]);

/// Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(Mutex<Leases>);

#[derive(Debug, Default)]
struct Leases {
    places: Vec<Option<One>>,
    /// Places that are free.
    free: Vec<usize>,
    /// How many there ever were.
    ever: u64,
}

#[derive(Debug, Clone)]
struct One {
    by: Who,
    /// The plugin that it was taken for, if it was.
    plugin: Option<Arc<PluginId>>,
    since: Duration,
}

/// Where a lease is counted.
#[derive(Debug)]
pub(crate) struct Place {
    part: usize,
    at: usize,
}

/// How many leases are counted now, and how many ever were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) held: usize,
    ever: u64,
}

impl CountedLeases {
    /// One more, of the calling thread, for itself or for a plugin.
    pub(crate) fn add(&self, plugin: Option<Arc<PluginId>>) -> Place {
        let by = this_thread();
        let (part, leases) = self.of(by);
        Place { part, at: leases.lock().add(by, plugin) }
    }

    /// As `add`, where the calling thread has taken one that is not given back. In one
    /// step: another thread may give it back, and then nobody would be counted for a
    /// moment in which the generation may be ended.
    pub(crate) fn add_beside(&self) -> Option<Place> {
        let by = this_thread();
        let (part, leases) = self.of(by);
        let mut leases = leases.lock();
        let beside = leases.places.iter().flatten().any(|other| other.by.tid == by.tid);
        beside.then(|| Place { part, at: leases.add(by, None) })
    }

    /// Gives one back, on any thread.
    pub(crate) fn remove(&self, place: &Place) {
        let Some(Part(leases)) = self.0.get(place.part) else { return };
        let mut leases = leases.lock();
        if leases.places.get_mut(place.at).and_then(Option::take).is_some() {
            leases.free.push(place.at);
        }
    }

    /// Twice the same, and nothing held: then nothing was counted in between, be it for
    /// a moment. For that is so of each part: its `ever` only grows.
    pub(crate) fn counts(&self) -> Counts {
        self.0.iter().fold(Counts { held: 0, ever: 0 }, |counts, Part(leases)| {
            let leases = leases.lock();
            Counts {
                held: counts.held + leases.places.len() - leases.free.len(),
                ever: counts.ever + leases.ever,
            }
        })
    }

    /// Who holds them, the longest first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let mut all = Vec::new();
        for Part(leases) in &self.0 {
            all.extend(leases.lock().places.iter().flatten().cloned());
        }
        all.sort_by_key(|one| one.since);
        let now = platform::rough_time();
        let holder = |one: One| Holder {
            plugin: one.plugin.map(Arc::unwrap_or_clone),
            ..one.by.holder(None, Some(now.saturating_sub(one.since)))
        };
        all.into_iter().map(holder).collect()
    }

    fn of(&self, who: Who) -> (usize, &Mutex<Leases>) {
        let part = usize::try_from(who.tid).unwrap_or(0) % PARTS;
        (part, &self.0[part].0)
    }
}

impl Leases {
    fn add(&mut self, by: Who, plugin: Option<Arc<PluginId>>) -> usize {
        let one = One { by, plugin, since: platform::rough_time() };
        self.ever += 1;
        if let Some(at) = self.free.pop()
            && let Some(place) = self.places.get_mut(at)
        {
            *place = Some(one);
            return at;
        }
        self.places.push(Some(one));
        self.places.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn each_is_counted_until_it_is_given_back_wherever_that_is() {
        let leases = CountedLeases::default();
        assert!(leases.add_beside().is_none());
        let first = leases.add(None);
        let beside = leases.add_beside().unwrap();
        let counts = leases.counts();
        assert_eq!(counts.held, 2);
        thread::scope(|scope| {
            // Not beside one of its own.
            scope.spawn(|| assert!(leases.add_beside().is_none()));
            scope.spawn(|| leases.remove(&first));
        });
        assert_eq!(leases.counts().held, 1);
        let lab = Arc::new("lab".parse::<PluginId>().unwrap());
        let again = leases.add(Some(lab.clone()));
        // As many as before, and others.
        assert_ne!(leases.counts(), counts);
        let holders = leases.holders();
        let of = |plugin| holders.iter().find(|holder| holder.plugin == plugin).unwrap();
        let (holder, other) = (of(None), of(Some((*lab).clone())));
        assert_eq!(holders.len(), 2);
        assert!(
            other.to_string().starts_with("the plugin lab, since a call on thread "),
            "{other}"
        );
        assert_eq!(holder.tid, this_thread().tid);
        assert!(holder.held_for.unwrap() < Duration::from_secs(60));
        leases.remove(&beside);
        leases.remove(&again);
        assert_eq!(leases.counts().held, 0);
        assert!(leases.holders().is_empty());
    }
}
