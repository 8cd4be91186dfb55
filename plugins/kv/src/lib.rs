//! A key-value store as a plugin: the one that has state to hand on.
//!
//! All entries are behind one `Mutex`. Every command holds it for one or two
//! steps in a tree, well below a microsecond, while reading and writing the JSON
//! around it, which is most of a call, happens outside. Sharded locks would make
//! `list`, `stats` and `save`, which look at everything, either wrong or slower
//! than they are now.

mod answers;
mod arguments;
mod service;
mod state;
mod store;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use plugbay_contracts as contracts;
use plugbay_interface::prelude::*;

use crate::answers::{Counted, Deleted, Found, Got, Listed, Replaced, Stats};
use crate::arguments::{Expire, Increment, Key, List, MOST_KEYS, Set, time_to_live};
use crate::state::State;
use crate::store::Store;

/// The plugin.
pub struct KeyValue {
    store: Mutex<Store>,
}

/// How large it may grow.
#[data]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A new key beyond this many is refused.
    pub max_entries: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_entries: 100_000 }
    }
}

#[plugin]
impl Plugin for KeyValue {
    type Config = Config;
    type State = State;

    fn activate(_context: Context, config: Config, state: Option<State>) -> Result<Self, Error> {
        if config.max_entries == 0 {
            return Err(Error::new("config", "`max_entries` is at least 1"));
        }
        let mut store = Store::new(config.max_entries);
        if let Some(state) = state {
            state.restore(&mut store, Instant::now());
        }
        Ok(Self { store: Mutex::new(store) })
    }

    fn commands(&self) -> Commands<Self> {
        commands()
            .on("set", Self::set)
            .on("get", Self::get)
            .on("delete", Self::delete)
            .on("increment", Self::increment)
            .on("expire", Self::expire)
            .on("list", Self::list)
            .on("stats", Self::stats)
    }

    fn services(&self) -> Services<Self> {
        services().offer::<dyn contracts::KeyValue>()
    }

    fn save(&self) -> Result<Option<State>, Error> {
        let now = Instant::now();
        let store = self.current(now)?;
        Ok(Some(State::of(&store, now)))
    }
}

impl KeyValue {
    fn set(&self, Set { key, value, ttl_seconds }: Set) -> Result<Replaced, Error> {
        let now = Instant::now();
        let expires = time_to_live(ttl_seconds, now)?;
        // Dropped when the lock is open again: a large value takes its time.
        let before = self.current(now)?.set(key.checked()?, value, expires)?;
        Ok(Replaced { replaced: before.is_some() })
    }

    fn get(&self, Key { key }: Key) -> Result<Got, Error> {
        let value = self.value(&key)?;
        Ok(Got { found: value.is_some(), value: value.unwrap_or_default() })
    }

    fn delete(&self, Key { key }: Key) -> Result<Deleted, Error> {
        let value = self.current(Instant::now())?.delete(&key);
        Ok(Deleted { deleted: value.is_some() })
    }

    fn increment(&self, Increment { key, by }: Increment) -> Result<Counted, Error> {
        let value = self.current(Instant::now())?.increment(key.checked()?, by)?;
        Ok(Counted { value })
    }

    fn expire(&self, Expire { key, ttl_seconds }: Expire) -> Result<Found, Error> {
        let now = Instant::now();
        let expires = time_to_live(ttl_seconds, now)?;
        Ok(Found { found: self.current(now)?.expire(&key, expires) })
    }

    fn list(&self, List { prefix, limit, after }: List) -> Result<Listed, Error> {
        let store = self.current(Instant::now())?;
        let (keys, truncated) = store.list(&prefix, after.as_deref(), limit.min(MOST_KEYS));
        Ok(Listed { keys, truncated })
    }

    fn stats(&self, _: ()) -> Result<Stats, Error> {
        let store = self.current(Instant::now())?;
        Ok(Stats {
            entries: store.len(),
            expiring: store.expiring(),
            expired: store.expired(),
            max_entries: store.max_entries(),
        })
    }

    /// The value of a key.
    fn value(&self, key: &str) -> Result<Option<Value>, Error> {
        // Shared while the lock is held, copied when it is open again.
        let value = self.current(Instant::now())?.get(key).cloned();
        Ok(value.map(Arc::unwrap_or_clone))
    }

    /// The store without what has expired by `now`: whoever takes the lock
    /// clears up first, so that expiry needs neither a thread nor a timer.
    fn current(&self, now: Instant) -> Result<MutexGuard<'_, Store>, Error> {
        let mut store = self.store.lock().map_err(|_| {
            Error::new(
                "poisoned",
                "an earlier call ended in the middle of a change; reload the kv plugin",
            )
        })?;
        store.remove_expired(now);
        Ok(store)
    }
}
