//! Results of commands whose manifest says that they may be given again (`cache`).
//!
//! Each generation has its own, so none outlives a reload. They are found by the command
//! and its arguments, written so that neither spaces nor the order of members make a
//! difference (`canonical.rs`); the arguments themselves are the key, not a hash of them.
//!
//! Whatever is to be dropped, a call may be running that began before and will keep what
//! it computed then. So all are dropped together, by one more in a count, and a call keeps
//! its result only under the count that it began with.

mod canonical;
mod kept;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::manifest::Manifest;
use serde::{Deserialize, Serialize};

use canonical::canonical;
use kept::{Kept, Question};

/// How much of one plugin is kept. Nothing, where one of them is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// The results of one generation.
#[derive(Debug)]
pub(crate) struct Results {
    /// How long those of each command hold, and the number that it goes by.
    rules: BTreeMap<String, (usize, Duration)>,
    most: Most,
    kept: Mutex<Kept>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What is known of the results that are kept of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultsStatus {
    /// Calls that were given a result which was kept, since the generation began.
    pub hits: u64,
    /// Calls that found none and ran, of commands whose results are kept.
    pub misses: u64,
    /// How many are kept.
    pub entries: usize,
    /// In so many bytes.
    pub bytes: usize,
}

/// What there is for a call.
pub(crate) enum Look {
    /// JSON.
    There(Arc<str>),
    /// Nothing; what comes of it is to be kept.
    Missing(Ticket),
    /// Nothing, and nothing will be.
    NotKept,
}

/// Where to keep what a call gives.
pub(crate) struct Ticket {
    question: Question,
    ttl: Duration,
    epoch: u64,
}

impl Results {
    /// None for a plugin that lets keep none, or where none are to be kept.
    pub(crate) fn of(manifest: &Manifest, most: Most) -> Option<Box<Self>> {
        let ruled = manifest.commands.iter().filter_map(|(name, it)| Some((name, it.cache?)));
        let ruled = ruled.enumerate();
        let rules: BTreeMap<_, _> =
            ruled.map(|(number, (name, rule))| (name.clone(), (number, rule.ttl()))).collect();
        if rules.is_empty() || most.entries == 0 || most.bytes == 0 {
            return None;
        }
        let (hits, misses) = Default::default();
        Some(Box::new(Self { rules, most, kept: Mutex::default(), hits, misses }))
    }

    /// What is kept of a command for these arguments.
    pub(crate) fn look(&self, command: &str, arguments: &str) -> Look {
        let Some(&(command, ttl)) = self.rules.get(command) else { return Look::NotKept };
        let fits = arguments.len() <= self.most.bytes;
        let Some(arguments) = fits.then(|| canonical(arguments)).flatten() else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return Look::NotKept;
        };
        let question = Question { command, arguments };
        let mut kept = self.kept.lock();
        kept.drop_what_ended(Instant::now());
        if let Some(answer) = kept.find(&question) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Look::There(answer);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        Look::Missing(Ticket { question, ttl, epoch: kept.epoch() })
    }

    /// Keeps what a call gave.
    pub(crate) fn keep(&self, Ticket { question, ttl, epoch }: Ticket, answer: &str) {
        let now = Instant::now();
        let Some(end) = now.checked_add(ttl) else { return };
        let mut kept = self.kept.lock();
        if kept.epoch() == epoch {
            kept.drop_what_ended(now);
            kept.keep(question, answer.into(), end, self.most);
        }
    }

    /// Drops all, also what calls that run now will give.
    pub(crate) fn forget(&self) {
        let dropped = self.kept.lock().forget();
        // Where nobody waits for it.
        drop(dropped);
    }

    pub(crate) fn status(&self) -> ResultsStatus {
        let mut kept = self.kept.lock();
        kept.drop_what_ended(Instant::now());
        ResultsStatus {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: kept.len(),
            bytes: kept.bytes(),
        }
    }
}
