use std::path::PathBuf;
use std::time::Duration;

/// A registry that was opened, and what had to be set aside for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<R> {
    /// The registry.
    pub registry: R,
    /// What was damaged, and is kept under another name. Where this is not empty, the
    /// registry does not know (all of) what it knew, and its user is to be told.
    pub set_aside: Vec<SetAside>,
}

/// A damaged file that lies under another name now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Where it lay.
    pub from: PathBuf,
    /// Where it lies. No earlier file was overwritten.
    pub to: PathBuf,
    /// What does not fit.
    pub what: String,
}

/// How much is kept, and for how long one waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many events the history has.
    pub history: usize,
    /// How many crashes are remembered, of all plugins together.
    pub crashes: usize,
    /// For how long to wait for other processes that have the registry locked.
    pub patience: Duration,
}

impl Default for Limits {
    /// 10,000 events, 1,000 crashes, 10 seconds.
    fn default() -> Self {
        Self { history: 10_000, crashes: 1_000, patience: Duration::from_secs(10) }
    }
}

impl Limits {
    /// Keeps so many events.
    pub fn history(mut self, events: usize) -> Self {
        self.history = events;
        self
    }

    /// Remembers so many crashes.
    pub fn crashes(mut self, crashes: usize) -> Self {
        self.crashes = crashes;
        self
    }

    /// Waits for so long.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}
