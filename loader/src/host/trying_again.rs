//! What could not be done because a plugin was in use, and when it is tried again: that it
//! ends, or that another file takes over from it.
//!
//! Each attempt lets calls wait until those that run have ended, so it is made seldom and is
//! short at first. Whoever has used the plugin since before the last attempt would only make
//! the next one fail, so it is not made as long as he is there. Of others that cannot be said:
//! calls that are short and many leave no moment without any, and end as soon as no new ones
//! are let in. Of calls by contract nobody knows how long they run: while there are any, an
//! attempt gives as much time as short ones need, and no more.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::settling::Change;
use super::{Inner, Known, Record};
use crate::events::{Cause, Times};
use crate::records::Holder;
use crate::seat::Seat;
use crate::slot::holders_of;

/// Between the first two attempts.
const SOON: Duration = Duration::from_millis(50);
/// The longest time between two attempts, where those are shorter than a part of it.
const SELDOM: Duration = Duration::from_secs(5);
/// The part of the time in which calls wait for attempts.
const PART: u32 = 20;
/// The shortest time that an attempt gives to the calls that run.
const SHORTEST: Duration = Duration::from_millis(20);
/// The longest, while one is there of whom it is not known how long he has been.
const SHORT: Duration = Duration::from_millis(100);
/// How often it is looked whether nobody uses it.
const LOOK: Duration = Duration::from_millis(500);

/// An attempt that failed as the plugin was in use, and the next one.
#[derive(Debug, Clone)]
pub(super) struct Again {
    /// When the last one was over.
    last: Instant,
    pause: Duration,
    /// Whether the next one is being made.
    begun: bool,
}

impl Again {
    pub(super) fn after_the_first() -> Self {
        Self { last: Instant::now(), pause: SOON, begun: false }
    }

    /// One more has failed. An attempt gives calls at most this time.
    pub(super) fn after_another(&mut self, most: Duration) {
        self.last = Instant::now();
        let longest = most.saturating_mul(PART).max(SELDOM);
        self.pause = self.pause.saturating_mul(2).min(longest);
        self.begun = false;
    }

    /// How long the next attempt waits for calls, where it may wait for `most`.
    pub(super) fn limit(&self, most: Duration) -> Duration {
        (self.pause / PART).max(SHORTEST).min(most)
    }

    /// Whether it is time for the next one, while these use the plugin.
    fn is_due(&self, holders: &[Holder]) -> bool {
        let since = self.last.elapsed();
        let was_there = |holder: &Holder| holder.held_for.is_some_and(|time| time >= since);
        holders.is_empty() || (since >= self.pause && !holders.iter().any(was_there))
    }

    /// How long an attempt may wait for calls, where these use the plugin.
    fn most_for(holders: &[Holder], most: Duration) -> Duration {
        let all_known = holders.iter().all(|holder| holder.held_for.is_some());
        if all_known { most } else { most.min(SHORT) }
    }

    /// When to look again.
    fn look(&self, now: Instant) -> Instant {
        let look = now + LOOK;
        let next = self.last.checked_add(self.pause).filter(|next| *next > now);
        next.map_or(look, |next| next.min(look))
    }
}

impl Inner {
    /// Tries again what did not take over because the plugin was in use.
    pub(super) fn take_those_in_use(&self) {
        let due: Vec<(Seat, PathBuf)> = {
            let known = self.known.lock();
            let due = known
                .to_take
                .iter()
                .filter(|(seat, (_, again))| again.is_due(&self.holders_of_all(&known, seat)));
            due.map(|(seat, (path, _))| (seat.clone(), path.clone())).collect()
        };
        for (seat, path) in due {
            if self.room_for_another(&seat).is_err() {
                continue;
            }
            if let Some((_, again)) = self.known.lock().to_take.get_mut(&seat) {
                again.begun = true;
            }
            if path.exists() {
                self.file_ready(&path, Times::default());
            }
            let mut known = self.known.lock();
            if known.to_take.get(&seat).is_some_and(|(_, again)| again.begun) {
                known.to_take.remove(&seat);
            }
        }
    }

    /// Another file did not take over: it is to be tried again.
    pub(super) fn take_later(&self, seat: Seat, path: PathBuf) {
        let mut known = self.known.lock();
        let most = self.options.handover_limits().drain;
        let most = Again::most_for(&self.holders_of_all(&known, &seat), most);
        match known.to_take.get_mut(&seat) {
            Some((of, again)) if *of == path => again.after_another(most),
            _ => drop(known.to_take.insert(seat, (path, Again::after_the_first()))),
        }
    }

    /// Whether a file that did not take over is being tried once more.
    pub(super) fn is_tried_again(&self, seat: &Seat) -> bool {
        self.known.lock().to_take.get(seat).is_some_and(|(_, again)| again.begun)
    }

    /// How long calls have to end before another file takes over.
    pub(super) fn time_to_take_over(&self, seat: &Seat) -> Duration {
        let most = self.options.handover_limits().drain;
        let known = self.known.lock();
        let begun = known.to_take.get(seat).map(|(_, again)| again).filter(|again| again.begun);
        let holders = self.holders_of_all(&known, seat);
        begun.map_or(most, |again| again.limit(Again::most_for(&holders, most)))
    }

    /// Whether a plugin was to end already and is to be left alone for now.
    pub(super) fn ends_later(&self, seat: &Seat) -> bool {
        let known = self.known.lock();
        known
            .to_end
            .get(seat)
            .is_some_and(|again| !again.begun && !again.is_due(&self.holders_of_all(&known, seat)))
    }

    /// How long calls have to end before a plugin ends that nobody ends by hand.
    pub(super) fn time_to_end(&self, seat: &Seat) -> Duration {
        let most = self.options.drain_limit;
        let known = self.known.lock();
        let holders = self.holders_of_all(&known, seat);
        let again = known.to_end.get(seat);
        again.map_or(most, |again| again.limit(Again::most_for(&holders, most)))
    }

    /// A plugin was in use when it was to end. Whether that is new.
    pub(super) fn end_it_again(&self, seat: &Seat) -> bool {
        let mut known = self.known.lock();
        let most = Again::most_for(&self.holders_of_all(&known, seat), self.options.drain_limit);
        match known.to_end.get_mut(seat) {
            Some(again) => {
                again.after_another(most);
                false
            }
            None => {
                known.to_end.insert(seat.clone(), Again::after_the_first());
                true
            }
        }
    }

    /// Ends those that shall end and were in use.
    pub(super) fn end_those_in_use(&self) {
        let is_due = {
            let mut known = self.known.lock();
            let due = known
                .to_end
                .iter()
                .filter(|(seat, again)| again.is_due(&self.holders_of_all(&known, seat)));
            let due: Vec<Seat> = due.map(|(seat, _)| seat.clone()).collect();
            for seat in &due {
                if let Some(again) = known.to_end.get_mut(seat) {
                    again.begun = true;
                }
            }
            !due.is_empty()
        };
        if is_due {
            self.settle(Vec::new(), Change::because(&Cause::File));
            // They are to end no more, or others that need them were in use.
            self.known.lock().to_end.retain(|_, again| !again.begun);
        }
    }

    /// When to look again at what is to be tried.
    pub(super) fn next_attempt(known: &Known) -> Option<Instant> {
        let now = Instant::now();
        let all = known.to_end.values().chain(known.to_take.values().map(|(_, again)| again));
        all.map(|again| again.look(now)).min()
    }

    /// Who uses any generation of a plugin just now.
    fn holders_of_all(&self, known: &Known, seat: &Seat) -> Vec<Holder> {
        let left = known.plugins.get(seat).map(Record::in_use).unwrap_or_default();
        left.into_iter().chain(self.serving(seat)).flat_map(|active| holders_of(&active)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(10);

    /// As it would be so long after the last attempt.
    fn later(again: &Again, time: Duration) -> Again {
        Again { last: again.last.checked_sub(time).unwrap(), ..again.clone() }
    }

    fn held(held_for: Option<Duration>) -> Vec<Holder> {
        vec![Holder { thread: "t".into(), tid: 1, plugin: None, command: None, held_for }]
    }

    #[test]
    fn it_is_tried_when_nobody_is_there_and_not_while_one_is_who_was() {
        let again = Again::after_the_first();
        assert!(again.is_due(&[]));
        assert!(!again.is_due(&held(None)));
        let again = later(&again, Duration::from_secs(3600));
        // One that came since, one of whom that is not known, and one who was there.
        assert!(again.is_due(&held(Some(Duration::from_secs(3)))));
        assert!(again.is_due(&held(None)));
        assert!(!again.is_due(&held(Some(Duration::from_secs(3700)))));
    }

    #[test]
    fn an_attempt_is_short_while_one_is_there_of_whom_it_is_not_known_since_when() {
        let (since, unknown) = (held(Some(Duration::from_secs(3))), held(None));
        assert_eq!(Again::most_for(&since, MOST), MOST);
        let all = [since, unknown].concat();
        assert_eq!(Again::most_for(&all, MOST), SHORT);
        let mut again = Again::after_the_first();
        for _ in 0..40 {
            again.after_another(Again::most_for(&all, MOST));
        }
        assert_eq!((again.pause, again.limit(SHORT)), (SELDOM, SHORT));
    }

    #[test]
    fn attempts_become_rare_and_let_calls_wait_a_small_part_of_the_time() {
        let mut again = Again::after_the_first();
        assert_eq!((again.pause, again.limit(MOST)), (SOON, SHORTEST));
        let (mut waited, mut all) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..40 {
            waited += again.limit(MOST);
            all += again.pause;
            assert!(!later(&again, again.pause / 2).is_due(&held(None)));
            again.after_another(MOST);
        }
        assert_eq!((again.pause, again.limit(MOST)), (MOST * PART, MOST));
        assert!(waited.as_secs_f64() < 0.06 * all.as_secs_f64(), "{waited:?} of {all:?}");
        let short = Duration::from_millis(5);
        again.after_another(short);
        assert_eq!((again.pause, again.limit(short)), (SELDOM, short));
    }
}
