use std::ops::Deref;
use std::time::{Duration, Instant};

use plugbay_interface::prelude::*;

const LONGEST_KEY: usize = 1024;
/// The most keys of one list.
pub const MOST_KEYS: usize = 100_000;
/// A hundred years: longer than any process, shorter than what `Instant` can add.
const LONGEST_TIME_TO_LIVE: f64 = 3_155_760_000.0;

#[data]
#[serde(deny_unknown_fields)]
pub struct Set {
    pub key: Name,
    pub value: Value,
    pub ttl_seconds: Option<f64>,
}

#[data]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub key: Name,
}

#[data]
#[serde(deny_unknown_fields)]
pub struct Increment {
    pub key: Name,
    #[serde(default = "one")]
    pub by: i64,
}

#[data]
#[serde(deny_unknown_fields)]
pub struct Expire {
    pub key: Name,
    // Without `default` and with a function of its own, a missing member is an
    // error and null is not: leaving it out must not make a key stay for good.
    #[serde(deserialize_with = "required")]
    pub ttl_seconds: Option<f64>,
}

#[data]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    pub prefix: String,
    #[serde(default = "thousand")]
    pub limit: usize,
    pub after: Option<String>,
}

/// A key as it was given.
#[data]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The key, if it may be stored.
    pub fn checked(self) -> Result<String, Error> {
        checked_key(self.0)
    }
}

/// A key, if it may be stored.
pub fn checked_key(key: String) -> Result<String, Error> {
    match key.len() {
        1..=LONGEST_KEY => Ok(key),
        bytes => {
            let message = format!("a key has 1 to {LONGEST_KEY} bytes, this one has {bytes}");
            Err(Error::new("arguments", message))
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// When something that stays for `seconds` disappears; never, for `None`.
pub fn time_to_live(seconds: Option<f64>, now: Instant) -> Result<Option<Instant>, Error> {
    let Some(seconds) = seconds else { return Ok(None) };
    expiry(seconds, now).map(Some).ok_or_else(|| wrong_time("ttl_seconds", seconds))
}

/// When something that stays for `time` disappears.
pub fn expiry_after(time: Duration, now: Instant) -> Result<Instant, Error> {
    let seconds = time.as_secs_f64();
    expiry(seconds, now).ok_or_else(|| wrong_time("expires", seconds))
}

fn expiry(seconds: f64, now: Instant) -> Option<Instant> {
    if !(seconds > 0.0 && seconds <= LONGEST_TIME_TO_LIVE) {
        return None;
    }
    now.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

fn wrong_time(name: &str, seconds: f64) -> Error {
    let message = format!(
        "`{name}` is more than 0 and at most {LONGEST_TIME_TO_LIVE} seconds, not {seconds}"
    );
    Error::new("arguments", message)
}

fn one() -> i64 {
    1
}

fn thousand() -> usize {
    1000
}

fn required<'de, D>(deserializer: D) -> Result<Option<f64>, D::Error>
where
    D: plugbay_interface::serde::Deserializer<'de>,
{
    plugbay_interface::serde::Deserialize::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugbay_interface::serde_json;

    #[test]
    fn times_that_make_no_sense_are_refused() {
        let now = Instant::now();
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 3_155_760_001.0] {
            assert_eq!(time_to_live(Some(bad), now).unwrap_err().code(), "arguments", "{bad}");
        }
        assert!(time_to_live(Some(3_155_760_000.0), now).unwrap().is_some());
        assert!(time_to_live(None, now).unwrap().is_none());
    }

    #[test]
    fn expire_asks_for_a_time_or_for_null() {
        let read = |json| serde_json::from_value::<Expire>(json).map(|it| it.ttl_seconds);
        assert_eq!(read(json!({"key": "k", "ttl_seconds": null})).unwrap(), None);
        assert_eq!(read(json!({"key": "k", "ttl_seconds": 2})).unwrap(), Some(2.0));
        assert!(read(json!({"key": "k"})).unwrap_err().to_string().contains("ttl_seconds"));
    }
}
