use std::time::{Duration, Instant};

use plugbay_contracts::{self as contracts, Keys};
use plugbay_interface::prelude::*;

use crate::KeyValue;
use crate::arguments::{MOST_KEYS, checked_key, expiry_after};

#[service]
impl contracts::KeyValue for KeyValue {
    fn get(&self, key: &str) -> Result<Option<Value>, Error> {
        self.value(key)
    }

    fn set(&self, key: &str, value: Value, expires: Option<Duration>) -> Result<bool, Error> {
        let now = Instant::now();
        let expires = expires.map(|expires| expiry_after(expires, now)).transpose()?;
        let key = checked_key(key.to_owned())?;
        // Dropped when the lock is open again, as in the command.
        let before = self.current(now)?.set(key, value, expires)?;
        Ok(before.is_some())
    }

    fn delete(&self, key: &str) -> Result<bool, Error> {
        let value = self.current(Instant::now())?.delete(key);
        Ok(value.is_some())
    }

    fn increment(&self, key: &str, by: i64) -> Result<i64, Error> {
        self.current(Instant::now())?.increment(checked_key(key.to_owned())?, by)
    }

    fn keys(&self, prefix: &str, after: Option<String>, limit: u32) -> Result<Keys, Error> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MOST_KEYS);
        let store = self.current(Instant::now())?;
        let (keys, truncated) = store.list(prefix, after.as_deref(), limit);
        Ok(Keys { keys, truncated })
    }
}
