use std::time::Duration;

use plugbay_interface::prelude::*;

use crate::meter::Limits;

/// What a filter may cost.
#[data]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The most outputs.
    pub max_outputs: usize,
    /// The longest time.
    pub max_seconds: f64,
    /// The most memory for values, in MiB.
    pub max_memory_mib: usize,
}

impl Config {
    /// Refuses what the schema refuses, for hosts that do not check it.
    pub fn checked(self) -> Result<Self, Error> {
        let wrong = if self.max_outputs == 0 {
            "`max_outputs` is at least 1"
        } else if !(self.max_seconds > 0.0 && self.max_seconds <= 86_400.0) {
            "`max_seconds` is more than 0 and at most 86400"
        } else if !(8..=4096).contains(&self.max_memory_mib) {
            "`max_memory_mib` is 8 to 4096"
        } else {
            return Ok(self);
        };
        Err(Error::new("config", wrong))
    }

    pub fn limits(&self) -> Limits {
        Limits {
            time: Duration::try_from_secs_f64(self.max_seconds).unwrap_or(Duration::from_secs(10)),
            memory: self.max_memory_mib << 20,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { max_outputs: 10_000, max_seconds: 10.0, max_memory_mib: 128 }
    }
}
