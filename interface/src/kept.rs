//! What others keep of this library's, so that it is not closed under them.
//!
//! Some things cross without a copy and stay their maker's memory and code: wakers,
//! [buffers](crate::crossing::Buffer), record batches. Each that is out holds a
//! [`Keep`], and the host closes no library while any of its own is held.
//!
//! A keep is dropped by the code of whoever holds it, *after* the maker's function has
//! freed the rest: behind the subtraction nobody runs the maker's code any more. If
//! that function counted itself, its last instructions would lie behind it, and the
//! library could be unmapped while a thread is still in them.

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi_stable::StableAbi;

/// What is kept of a library: the numbers cross in `Root::kept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kept {
    /// Wakers of futures that it has polled.
    Wakers = 0,
    /// Memory that it has given away without a copy.
    Buffers = 1,
}

static WAKERS: AtomicUsize = AtomicUsize::new(0);
static BUFFERS: AtomicUsize = AtomicUsize::new(0);

/// How many of that kind are out; none of a kind that this interface does not know.
pub(crate) extern "C" fn kept(kind: u32) -> usize {
    let count = match kind {
        kind if kind == Kept::Wakers as u32 => &WAKERS,
        kind if kind == Kept::Buffers as u32 => &BUFFERS,
        _ => return 0,
    };
    // What the others did before they let go has happened.
    count.load(Ordering::Acquire)
}

/// Keeps the library that made it in memory, until it is dropped; crosses as one
/// pointer. For types that cross without a copy: made with
/// [`Keep::buffer`] where the value is made, sent with it, and dropped by the side
/// that received it, after everything else of the value.
///
/// A clone keeps as well. Takes no lock and allocates nothing; usable from any thread.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct Keep(*const AtomicUsize);

// SAFETY: it points to a static of a library, and is the reason why that is there.
unsafe impl Send for Keep {}
// SAFETY: as above; the number is atomic.
unsafe impl Sync for Keep {}

impl Keep {
    /// Keeps the library that calls this, for memory that it gives away.
    pub fn buffer() -> Self {
        // SAFETY: a static of this library's.
        unsafe { Self::one_more(&raw const BUFFERS) }
    }

    /// # Safety
    ///
    /// The count is a static of a library that is mapped now, or null.
    pub(crate) unsafe fn one_more(count: *const AtomicUsize) -> Self {
        let keep = Self(count);
        if let Some(count) = keep.count() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        keep
    }

    /// The same, of another library; none of this one, which need not keep itself for what
    /// is its own, and could not be closed if it did.
    pub fn unless_own(self) -> Option<Self> {
        if ptr::eq(self.0, &raw const BUFFERS) { None } else { Some(self) }
    }

    /// For what is this library's own.
    pub(crate) fn nothing() -> Self {
        Self(ptr::null())
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.0.is_null()
    }

    /// The count for wakers, whose keeps have no place of their own.
    pub(crate) fn wakers() -> *const AtomicUsize {
        &raw const WAKERS
    }

    /// One that was forgotten.
    ///
    /// # Safety
    ///
    /// It was, and is nobody else's.
    pub(crate) unsafe fn forgotten(count: *const AtomicUsize) -> Self {
        Self(count)
    }

    fn count(&self) -> Option<&AtomicUsize> {
        // SAFETY: a static of a library that is mapped as long as the count is not 0,
        // of which this is one (`one_more` begins while it is mapped); or null.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Keep {
    fn clone(&self) -> Self {
        // SAFETY: this one keeps it mapped, or is of no library.
        unsafe { Self::one_more(self.0) }
    }
}

impl Drop for Keep {
    #[inline]
    fn drop(&mut self) {
        // The library may be gone from here on.
        if let Some(count) = self.count() {
            count.fetch_sub(1, Ordering::Release);
        }
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}
