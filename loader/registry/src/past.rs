//! What the memory and the file backend hold of what happened: the history, attempts
//! and crashes. Pure: nothing here blocks, except that it is asked which processes
//! there are.
//!
//! It changes by [`Step`]s and by nothing else; the file backend writes them down.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HistoryQuery, Limits, Selector,
};

/// The history, attempts and crashes.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    events: VecDeque<Event>,
    attempts: BTreeMap<AttemptId, Attempt>,
    next_attempt: u64,
    history: usize,
    crashes: usize,
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// These happened.
    Events(Vec<Event>),
    /// These were begun.
    Begun(Vec<Attempt>),
    /// These are over, and do not count.
    Over(Vec<AttemptId>),
    /// This was a crash.
    Crashed(AttemptId),
}

impl Step {
    /// How an attempt ends that is open.
    pub(crate) fn end(id: AttemptId, ending: Ending) -> Self {
        match ending {
            Ending::Harmless => Self::Over(vec![id]),
            Ending::Crashed => Self::Crashed(id),
        }
    }
}

impl Past {
    pub(crate) fn new(limits: &Limits, next_attempt: u64) -> Self {
        Self {
            events: VecDeque::new(),
            attempts: BTreeMap::new(),
            next_attempt: next_attempt.max(1),
            history: limits.history,
            crashes: limits.crashes,
        }
    }

    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Events(events) => {
                self.events.extend(events);
                let over = self.events.len().saturating_sub(self.history);
                self.events.drain(..over);
            }
            Step::Begun(attempts) => {
                for attempt in attempts {
                    self.next_attempt = self.next_attempt.max(attempt.id.0.saturating_add(1));
                    self.attempts.insert(attempt.id, attempt);
                }
            }
            Step::Over(ids) => ids.iter().for_each(|id| drop(self.attempts.remove(id))),
            Step::Crashed(id) => {
                if let Some(attempt) = self.attempts.get_mut(&id) {
                    attempt.crashed = true;
                }
                self.forget_the_oldest_crashes();
            }
        }
    }

    fn forget_the_oldest_crashes(&mut self) {
        let crashed: Vec<_> =
            self.attempts.values().filter(|it| it.crashed).map(|it| it.id).collect();
        let over = crashed.len().saturating_sub(self.crashes);
        crashed.iter().take(over).for_each(|id| drop(self.attempts.remove(id)));
    }

    /// How an attempt is begun.
    pub(crate) fn begin(&self, begin: &Begin) -> (AttemptId, Step) {
        let id = AttemptId(self.next_attempt);
        (id, Step::Begun(vec![Attempt::new(id, begin.clone())]))
    }

    /// How several are begun at once.
    pub(crate) fn begin_all(&self, begin: &[Begin]) -> (Vec<AttemptId>, Step) {
        let ids: Vec<_> = (self.next_attempt..).map(AttemptId).take(begin.len()).collect();
        let attempts = ids.iter().zip(begin).map(|(id, begin)| Attempt::new(*id, begin.clone()));
        let step = Step::Begun(attempts.collect());
        (ids, step)
    }

    /// The number of the next attempt.
    pub(crate) fn next_attempt(&self) -> u64 {
        self.next_attempt
    }

    pub(crate) fn is_open(&self, id: AttemptId) -> bool {
        self.attempts.get(&id).is_some_and(|attempt| !attempt.crashed)
    }

    pub(crate) fn open_attempts(&self) -> Vec<Attempt> {
        self.attempts.values().filter(|attempt| !attempt.crashed).cloned().collect()
    }

    pub(crate) fn crashes(&self, hash: &ContentHash) -> Vec<Attempt> {
        let of_these_bytes = self.attempts.values().rev().filter(|it| it.begun.hash == *hash);
        of_these_bytes.filter(|it| it.counts()).cloned().collect()
    }

    pub(crate) fn all_crashes(&self) -> Vec<Attempt> {
        self.attempts.values().filter(|it| it.counts()).cloned().collect()
    }

    /// How crashes are forgotten; nothing, where there are none.
    pub(crate) fn release(&self, selector: &Selector) -> Option<Step> {
        let attempts = self.attempts.values();
        let taken = attempts.filter(|it| selector.takes(&it.begun.hash, &it.begun.plugin));
        let ids: Vec<_> = taken.filter(|it| it.counts()).map(|it| it.id).collect();
        (!ids.is_empty()).then_some(Step::Over(ids))
    }

    pub(crate) fn history(&self, query: &HistoryQuery) -> Vec<Event> {
        let wanted = self.events.iter().rev().filter(|event| query.wants(event));
        wanted.take(query.limit.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// How many steps would make it anew, about.
    pub(crate) fn size(&self) -> usize {
        self.events.len() + self.attempts.len()
    }

    /// The steps that make it anew.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> {
        let events = self.events.iter().map(|event| Step::Events(vec![event.clone()]));
        let attempts = self.attempts.values().map(|it| Step::Begun(vec![it.clone()]));
        events.chain(attempts)
    }
}
