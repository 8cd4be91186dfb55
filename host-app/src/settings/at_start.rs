//! What a host takes from its settings when it starts, and not at a SIGHUP.

use std::collections::BTreeSet;

use plugbay_loader::{Lock, Stack};
use serde_json::{Map, Value};

use super::Settings;

/// The keys that a SIGHUP takes, besides the tables of plugins.
const TAKEN_ANY_TIME: &[&str] = &["config"];

/// What holds from the start to the end of a host.
#[derive(Debug)]
pub struct AtStart {
    /// By key of the config file.
    written: Map<String, Value>,
    /// Without what its members are configured with.
    stack: Option<Stack>,
    lock: Option<Lock>,
}

impl AtStart {
    pub fn of(settings: &Settings) -> Self {
        let mut stack = settings.stack.clone();
        for member in stack.iter_mut().flat_map(|stack| stack.members.values_mut()) {
            member.config = Default::default();
        }
        let is_fixed = |key: &str| !TAKEN_ANY_TIME.contains(&key);
        let written = settings.written.iter().filter(|(key, _)| is_fixed(key));
        let written = written.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { written, stack, lock: settings.lock.clone() }
    }

    /// What is different in another one, as a user calls it.
    pub fn differs_in(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.written.keys().chain(other.written.keys()).collect();
        let changed =
            keys.into_iter().filter(|key| self.written.get(*key) != other.written.get(*key));
        let mut changed: Vec<String> = changed.map(|key| format!("`{key}`")).collect();
        if self.stack != other.stack {
            changed.push("what the stack names".to_owned());
        }
        if self.lock != other.lock {
            changed.push("the lock".to_owned());
        }
        changed
    }
}
