//! A new generation is watched for a while: too much trouble, and the one
//! before it takes over again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::Failure;
use crate::keeper::Wish;
use crate::seat::Seat;
use crate::secrets::Secrets;
use crossbeam_channel::Sender;

/// What goes wrong in one generation: calls that panicked, and times that it
/// said itself that it is not well.
#[derive(Debug)]
pub(crate) struct Troubles {
    plugin: Seat,
    generation: u64,
    /// How many are taken; one more, and it goes.
    allowed: u32,
    seen: AtomicU32,
    on_probation: AtomicBool,
    keeper: Sender<Wish>,
    secrets: Arc<Secrets>,
}

impl Troubles {
    pub(crate) fn new(plugin: Seat, generation: u64, allowed: u32, keeper: Sender<Wish>) -> Self {
        let (seen, on_probation) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { plugin, generation, allowed, seen, on_probation, keeper, secrets: Arc::default() }
    }

    /// One more. From any thread; does not block.
    pub(crate) fn report(&self, what: &str) {
        let what = &*self.secrets.scrub(what);
        // `SeqCst`, here and at the begin: of two that happen at once, one sees the other.
        let seen = self.seen.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if self.on_probation.load(Ordering::SeqCst) && seen == self.allowed.saturating_add(1) {
            self.tell(seen, what);
        }
    }

    /// What is told of it is told without these secrets.
    pub(crate) fn without(mut self, secrets: Arc<Secrets>) -> Self {
        self.secrets = secrets;
        self
    }

    /// What is not told of it.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What the plugin said, without the secrets of its configuration.
    pub(crate) fn scrubbed(&self, failure: Failure) -> Failure {
        self.secrets.scrubbed(failure)
    }

    /// The same of a text.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        self.secrets.scrub(text).into_owned()
    }

    /// From now on too many have consequences; those since it was constructed count.
    pub(crate) fn begin_probation(&self) {
        self.on_probation.store(true, Ordering::SeqCst);
        let seen = self.seen.load(Ordering::SeqCst);
        if seen > self.allowed {
            self.tell(seen, "it began with them");
        }
    }

    /// What it does from now on is no reason to go back.
    pub(crate) fn end_probation(&self) {
        self.on_probation.store(false, Ordering::Release);
    }

    /// How many there were.
    pub(crate) fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }

    fn tell(&self, seen: u32, last: &str) {
        let reason = format!(
            "{seen} troubles in its probation, and {} are allowed; the last: {last}",
            self.allowed
        );
        let (plugin, generation) = (self.plugin.clone(), self.generation);
        // Nobody to tell: the host has ended.
        let _ = self.keeper.send(Wish::RollBack { plugin, generation, reason });
    }
}
