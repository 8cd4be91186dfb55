//! A value that many threads use and one takes away when nobody does.
//!
//! The count of users and whether the door is closed are one word, so that no
//! thread enters between the two. The argument, which the `unsafe` below leans on:
//!
//! 1. `enter` adds one and then looks; it has a lease only if the word was not
//!    `CLOSED` in the same atomic step. So after `CLOSED` is set, the number of
//!    leases only falls.
//! 2. `take` sets `CLOSED` and waits for the number to be 0 before it touches
//!    the value. With 1, no lease exists then and none will.
//! 3. A lease's last use of the value happens before its `Release` decrement,
//!    which happens before the `Acquire` load that saw 0; so the value is taken
//!    after all its uses, on whatever thread they were.
//! 4. `CLOSED` is set by one thread at a time, under `taking`, and stays set
//!    once the value was taken.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

const CLOSED: u64 = 1 << 63;

/// The value behind its door.
#[derive(Debug)]
pub(crate) struct Leased<T> {
    /// Leases, and `CLOSED`.
    word: AtomicU64,
    taking: Mutex<()>,
    left: Condvar,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: `&T` is handed to any thread, which asks for `T: Sync`; the value is
// taken out on another thread than it was put in, which asks for `T: Send`.
// When which happens: steps 1 to 4 above.
unsafe impl<T: Send + Sync> Sync for Leased<T> {}

/// Proof that the value stays while this is held.
#[derive(Debug)]
pub(crate) struct Lease<'a, T> {
    of: &'a Leased<T>,
    value: &'a T,
}

impl<T> Leased<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            word: AtomicU64::new(0),
            taking: Mutex::new(()),
            left: Condvar::new(),
            value: UnsafeCell::new(Some(value)),
        }
    }

    /// A lease, unless the value is going or gone. Never waits.
    pub(crate) fn enter(&self) -> Option<Lease<'_, T>> {
        if self.word.fetch_add(1, Ordering::Acquire) & CLOSED != 0 {
            self.leave();
            return None;
        }
        // SAFETY: step 1: this thread is counted and the door was open, so the
        // value is there and is not taken while the count stands.
        let value = unsafe { &*self.value.get() }.as_ref();
        if value.is_none() {
            self.leave();
        }
        value.map(|value| Lease { of: self, value })
    }

    /// How many leases there are now.
    pub(crate) fn leases(&self) -> u64 {
        self.word.load(Ordering::Relaxed) & !CLOSED
    }

    /// Closes the door, waits until all leases are back, and takes the value.
    ///
    /// Gives the number of leases and opens the door again when they are not
    /// back in time; `Err(0)` when another thread has taken the value.
    pub(crate) fn take(&self, limit: Duration) -> Result<T, u64> {
        // None: for ever.
        let end = Instant::now().checked_add(limit);
        let mut taking = self.taking.lock();
        if self.word.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED != 0 {
            return Err(0);
        }
        loop {
            let leases = self.word.load(Ordering::Acquire) & !CLOSED;
            if leases == 0 {
                break;
            }
            let timed_out = match end {
                Some(end) => self.left.wait_until(&mut taking, end).timed_out(),
                None => {
                    self.left.wait(&mut taking);
                    false
                }
            };
            if timed_out {
                let leases = self.word.load(Ordering::Acquire) & !CLOSED;
                if leases == 0 {
                    break;
                }
                self.word.fetch_and(!CLOSED, Ordering::Release);
                return Err(leases);
            }
        }
        // SAFETY: steps 2 and 3: no lease exists, and with the door closed none
        // will; step 4: no other thread is here.
        unsafe { &mut *self.value.get() }.take().ok_or(0)
    }

    fn leave(&self) {
        // A thread that was turned away counts for a moment as well, so it may
        // be the one whose leaving the taker waits for.
        if self.word.fetch_sub(1, Ordering::Release) == CLOSED | 1 {
            let _taking = self.taking.lock();
            self.left.notify_all();
        }
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        self.of.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn the_value_is_taken_only_when_no_lease_is_left() {
        for _ in 0..200 {
            let leased = Leased::new(Box::new(7));
            let taken = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Some(lease) = leased.enter() {
                            assert!(!taken.load(Ordering::SeqCst));
                            assert_eq!(**lease, 7);
                        }
                    });
                }
                scope.spawn(|| {
                    let value = leased.take(Duration::from_secs(60)).unwrap();
                    taken.store(true, Ordering::SeqCst);
                    drop(value);
                });
            });
            assert!(leased.enter().is_none());
            assert_eq!(leased.leases(), 0);
        }
    }

    #[test]
    fn a_lease_that_is_not_given_back_leaves_the_value_in_use() {
        let leased = Leased::new(1);
        let lease = leased.enter().unwrap();
        assert_eq!(leased.take(Duration::from_millis(1)), Err(1));
        assert!(leased.enter().is_some());
        drop(lease);
        assert_eq!(leased.take(Duration::ZERO), Ok(1));
        assert_eq!(leased.take(Duration::ZERO), Err(0));
    }
}
