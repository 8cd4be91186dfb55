//! How a thread says "I use this", at the cost of a plain store.
//!
//! A *place* is an atomic pointer to what serves now. A *mark* is a word that one
//! thread writes and everyone reads: what the thread uses. The rules:
//!
//! * caller, [`Mark::protect`]: read the place, write what it said into the mark
//!   (`Release`), *light barrier*, read the place again; when it says another thing, begin
//!   again with that;
//! * caller, [`Mark::release`]: write null into the mark (`Release`);
//! * changer: write the place (another pointer, or null), *heavy barrier*, then
//!   read all marks (`Acquire`) until none says the old pointer. After that
//!   nobody uses what it points to, and nobody will.
//!
//! Why that is enough. Let P be the old pointer.
//!
//! 1. The heavy barrier (`membarrier(2)`, private expedited) makes every running
//!    thread of the process pass a full barrier between two of its instructions;
//!    a thread that does not run passes one when it is scheduled. So for each
//!    caller there is a point X in its program, ordered with the changer's
//!    barrier: all before X is visible to what the changer does after the
//!    barrier, and all after X sees what the changer did before it.
//! 2. If the caller's write of P into its mark is before X, the changer reads P
//!    from the mark, unless it was released, and waits.
//! 3. If it is after X, so is the second read of the place, because the light
//!    barrier keeps the compiler from moving the read before the write. That
//!    read sees the new value, so the caller does not come to use P. (It may
//!    leave P in its mark for a moment; then the changer waits for nothing, a
//!    moment long.)
//! 4. The caller's last use of P's target is before its release, which is a
//!    `Release` store, as is every later store into the mark; the changer reads
//!    one of them with `Acquire` before it ends the target. So the end comes
//!    after all uses. (A relaxed store behind the release would hide it: it is
//!    not part of its release sequence.)
//! 5. An address may come back: P is ended, and the next generation lies at P.
//!    A caller that had read P before, and finds P again at its second read, has
//!    marked P when P was (again) what the place says: 2 and 3 hold for the new
//!    target, and the old one is never touched.
//!
//! A thread that has P marked may mark it once more when the place says another
//! thing already (a call inside of a call, [`Mark::set`]). The changer looks through
//! the marks in one order, and the second mark must come behind the first one in it.
//! For if the changer finds the first one taken back, it has read that release or a
//! later store, the second mark was written before it, and is looked at next.
//!
//! Where `membarrier` is missing, both barriers are sequentially consistent
//! fences, and 1 to 3 are the classic argument for those. The model in
//! `tests/models` checks that form exhaustively for two callers and two changes;
//! with either fence taken out it finds the use after the end.

use std::ptr::NonNull;

use crate::sync::{AtomicPtr, Ordering, light_barrier};

/// One word of one thread: what it uses. (The word can be reached so that a mark
/// can be a constant.)
#[derive(Debug)]
pub(crate) struct Mark<T>(pub(crate) AtomicPtr<T>);

impl<T> Mark<T> {
    /// Whether it says nothing. Its own thread's answer is exact.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// What the place points to, marked; null when it points to nothing. By the
    /// mark's own thread, on a mark that is free.
    #[inline(always)]
    pub(crate) fn protect(&self, place: &AtomicPtr<T>, fenced: bool) -> *mut T {
        let mut seen = place.load(Ordering::Acquire);
        while !seen.is_null() {
            let now = self.mark(seen, place, fenced);
            if now == seen {
                return seen;
            }
            seen = now;
        }
        self.release();
        seen
    }

    /// As [`protect`](Self::protect), for when the place says the same twice and
    /// something at all, as it nearly always does.
    #[inline(always)]
    pub(crate) fn protect_at_once(&self, place: &AtomicPtr<T>, fenced: bool) -> Option<NonNull<T>> {
        let seen = NonNull::new(place.load(Ordering::Acquire))?;
        if self.mark(seen.as_ptr(), place, fenced) == seen.as_ptr() {
            return Some(seen);
        }
        self.release();
        None
    }

    /// Marks what is known not to be ended while this runs: the caller has another
    /// mark on it that is looked at before this one, or keeps its place from changing.
    pub(crate) fn set(&self, what: *const T) {
        self.0.store(what.cast_mut(), Ordering::Release);
    }

    /// Writes the mark, and reads the place again.
    #[inline(always)]
    fn mark(&self, seen: *mut T, place: &AtomicPtr<T>, fenced: bool) -> *mut T {
        // `Release` for the call before this one: the changer may find this in
        // place of the null that said that it was over (point 4).
        self.0.store(seen, Ordering::Release);
        light_barrier(fenced);
        place.load(Ordering::Acquire)
    }

    /// Takes the mark back. By its own thread.
    #[inline(always)]
    pub(crate) fn release(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// Whether the mark says `what`. By any thread; the changer asks after its
    /// barrier.
    pub(crate) fn says(&self, what: *const T) -> bool {
        std::ptr::eq(self.0.load(Ordering::Acquire), what)
    }
}
