use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::prelude::*;

/// The entries, and the order in which they expire. Knows no clock: callers say
/// what time it is through [`remove_expired`](Store::remove_expired).
///
/// Sorted, so that listing by prefix looks at the keys that it lists.
pub struct Store {
    entries: BTreeMap<Arc<str>, Entry>,
    /// Exactly the entries with an `expires`, the next one first.
    expiries: BTreeSet<(Instant, Arc<str>)>,
    max_entries: usize,
    expired: u64,
}

/// A value and when it goes.
pub struct Entry {
    pub value: Arc<Value>,
    pub expires: Option<Instant>,
}

impl Store {
    pub fn new(max_entries: usize) -> Self {
        Self { entries: BTreeMap::new(), expiries: BTreeSet::new(), max_entries, expired: 0 }
    }

    /// Removes what expires at `now` or before. An entry costs this once in its
    /// life, whoever calls.
    pub fn remove_expired(&mut self, now: Instant) {
        while let Some((expires, _)) = self.expiries.first()
            && *expires <= now
            && let Some((_, key)) = self.expiries.pop_first()
        {
            self.entries.remove(&key);
            self.expired += 1;
        }
    }

    /// Stores `value`; gives what it replaced.
    pub fn set(
        &mut self,
        key: String,
        value: Value,
        expires: Option<Instant>,
    ) -> Result<Option<Arc<Value>>, Error> {
        if !self.entries.contains_key(key.as_str()) {
            self.check_room()?;
        }
        Ok(self.put(key.into(), Entry { value: value.into(), expires }).map(|before| before.value))
    }

    /// Stores an entry whether there is room or not: what a generation before
    /// held must not get lost because a limit was lowered.
    pub fn put(&mut self, key: Arc<str>, entry: Entry) -> Option<Entry> {
        let expires = entry.expires;
        let before = self.entries.insert(key.clone(), entry);
        self.reschedule(key, before.as_ref().and_then(|entry| entry.expires), expires);
        before
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Value>> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub fn delete(&mut self, key: &str) -> Option<Arc<Value>> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.reschedule(key, entry.expires, None);
        Some(entry.value)
    }

    /// Adds `by` to the integer under `key`, which keeps its time to live.
    pub fn increment(&mut self, key: String, by: i64) -> Result<i64, Error> {
        let Some(entry) = self.entries.get_mut(key.as_str()) else {
            self.check_room()?;
            self.put(key.into(), Entry { value: Value::from(by).into(), expires: None });
            return Ok(by);
        };
        let Some(before) = entry.value.as_i64() else {
            let what = kind_of(&entry.value);
            let message = format!("`{key}` holds {what}, and only an integer can be incremented");
            return Err(Error::new("not-a-number", message));
        };
        let after = before.checked_add(by).ok_or_else(|| {
            let message =
                format!("{before} + {by} does not fit into 64 bits; `{key}` is unchanged");
            Error::new("overflow", message)
        })?;
        entry.value = Value::from(after).into();
        Ok(after)
    }

    /// Sets when `key` goes; false when it is not there.
    pub fn expire(&mut self, key: &str, expires: Option<Instant>) -> bool {
        let Some((key, _)) = self.entries.get_key_value(key) else { return false };
        let key = key.clone();
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let before = std::mem::replace(&mut entry.expires, expires);
        self.reschedule(key, before, expires);
        true
    }

    /// At most `limit` keys that begin with `prefix` and stand behind `after`,
    /// and whether there are more.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut keys = self
            .entries
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix));
        let page = keys.by_ref().take(limit).map(|key| key.to_string()).collect();
        (page, keys.next().is_some())
    }

    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries have a time to live.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// How many entries have gone by expiry.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    pub fn max_entries(&self) -> usize {
        self.max_entries
    }

    fn check_room(&self) -> Result<(), Error> {
        if self.entries.len() < self.max_entries {
            return Ok(());
        }
        let message = format!(
            "the store holds {} entries and `max_entries` is {}: delete keys, give them a time to \
             live, or raise the limit",
            self.entries.len(),
            self.max_entries
        );
        Err(Error::new("full", message))
    }

    fn reschedule(&mut self, key: Arc<str>, before: Option<Instant>, after: Option<Instant>) {
        if let Some(before) = before {
            self.expiries.remove(&(before, key.clone()));
        }
        if let Some(after) = after {
            self.expiries.insert((after, key));
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_u64() => "an integer of more than 63 bits",
        Value::Number(_) => "a number with a fraction",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
