use std::time::Duration;

use plugbay_interface::prelude::*;

/// What a call may cost.
#[data]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The most rows of an answer.
    pub max_rows: usize,
    /// The longest time of a call.
    pub max_seconds: f64,
}

impl Config {
    /// Refuses what the schema refuses, for hosts that do not check it.
    pub fn checked(self) -> Result<Self, Error> {
        if self.max_rows == 0 {
            return Err(Error::new("config", "`max_rows` is at least 1"));
        }
        if !(self.max_seconds > 0.0 && self.max_seconds <= 86_400.0) {
            return Err(Error::new("config", "`max_seconds` is more than 0 and at most 86400"));
        }
        Ok(self)
    }

    /// `max_seconds` as the type that clocks count in.
    pub fn longest(&self) -> Duration {
        Duration::try_from_secs_f64(self.max_seconds).unwrap_or(Duration::from_secs(30))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { max_rows: 10_000, max_seconds: 30.0 }
    }
}
