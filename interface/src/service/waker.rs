//! Wakers on their way across.
//!
//! Who polls lends a waker for the time of that call; who is polled may keep a
//! clone of it and use it from any thread. The clone is the poller's memory and
//! code, so whoever keeps it counts it for the poller's library ([`Keep`]): while any
//! is out, that library is not to be unmapped.

use std::mem::{ManuallyDrop, forget};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{RawWaker, RawWakerVTable, Waker};

use abi_stable::StableAbi;

use crate::guard::quietly;
use crate::kept::Keep;

/// What a waker begins with. Frozen: other libraries read it.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct Head {
    /// How many are kept; who clones adds one, who has consumed or dropped takes one
    /// away.
    kept: *const AtomicUsize,
    clone: unsafe extern "C" fn(*const Head) -> *const Head,
    wake: unsafe extern "C" fn(*const Head),
    wake_by_ref: unsafe extern "C" fn(*const Head),
    drop: unsafe extern "C" fn(*const Head),
}

// SAFETY: functions, and a pointer to a static atomic.
unsafe impl Send for Head {}
// SAFETY: as above.
unsafe impl Sync for Head {}

/// The poller's side: a waker that is lent.
#[repr(C)]
pub(super) struct Lent<'a> {
    head: Head,
    waker: &'a Waker,
}

impl<'a> Lent<'a> {
    pub(super) fn new(waker: &'a Waker) -> Self {
        // One that is lent is neither consumed nor dropped: `borrowed` sees to it.
        let head = Head {
            kept: Keep::wakers(),
            clone: clone_lent,
            wake: wake_lent,
            wake_by_ref: wake_lent,
            drop: keep_lent,
        };
        Self { head, waker }
    }

    /// What crosses; valid as long as this is.
    pub(super) fn head(&self) -> *const Head {
        (&raw const *self).cast()
    }
}

/// The poller's side: a clone that the other side keeps.
#[repr(C)]
struct Kept {
    head: Head,
    waker: Waker,
}

impl Kept {
    fn new(waker: Waker) -> Arc<Self> {
        let head = Head {
            kept: Keep::wakers(),
            clone: clone_kept,
            wake: wake_kept,
            wake_by_ref: wake_kept_by_ref,
            drop: drop_kept,
        };
        Arc::new(Self { head, waker })
    }
}

/// # Safety
///
/// `head` is a clone that nobody uses afterwards.
unsafe fn release(head: *const Head) {
    // SAFETY: the caller's promise.
    let kept = unsafe { Arc::from_raw(head.cast::<Kept>()) };
    quietly("a waker's destructor", || drop(kept));
}

unsafe extern "C" fn clone_lent(head: *const Head) -> *const Head {
    // SAFETY: `head` is that of a `Lent`, and lent for this time.
    let lent = unsafe { &*head.cast::<Lent<'_>>() };
    let mut kept = Waker::noop().clone();
    quietly("a waker", || kept = lent.waker.clone());
    Arc::into_raw(Kept::new(kept)).cast()
}

unsafe extern "C" fn wake_lent(head: *const Head) {
    // SAFETY: as above.
    let lent = unsafe { &*head.cast::<Lent<'_>>() };
    quietly("a waker", || lent.waker.wake_by_ref());
}

unsafe extern "C" fn keep_lent(_head: *const Head) {}

unsafe extern "C" fn clone_kept(head: *const Head) -> *const Head {
    // SAFETY: `head` is that of a `Kept` in an `Arc`, one count of which is the
    // caller's.
    unsafe { Arc::increment_strong_count(head.cast::<Kept>()) };
    head
}

unsafe extern "C" fn wake_kept_by_ref(head: *const Head) {
    // SAFETY: as above.
    let kept = unsafe { &*head.cast::<Kept>() };
    quietly("a waker", || kept.waker.wake_by_ref());
}

unsafe extern "C" fn wake_kept(head: *const Head) {
    // SAFETY: as above; the count is given up.
    unsafe {
        wake_kept_by_ref(head);
        release(head);
    }
}

unsafe extern "C" fn drop_kept(head: *const Head) {
    // SAFETY: as above; the count is given up.
    unsafe { release(head) };
}

/// The other side: a waker over what the poller has lent.
///
/// # Safety
///
/// `head` is valid while the result is used, and is what [`Lent::head`] of some
/// library gave.
pub(super) unsafe fn borrowed(head: *const Head) -> ManuallyDrop<Waker> {
    // SAFETY: the functions below do what a waker's do, by those of the head.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(head.cast(), &THERE)) })
}

/// By the functions of the poller's library, which is not to be closed before the
/// last of them has returned.
static THERE: RawWakerVTable = RawWakerVTable::new(
    // SAFETY, for each: a waker's data is a valid head, of which these are the
    // functions.
    |head| {
        let head = head.cast::<Head>();
        // SAFETY: see above. What is cloned keeps the library while it is cloned: a
        // clone, as it is counted, and one that is lent, as that library is polling.
        unsafe {
            forget(Keep::one_more((*head).kept));
            RawWaker::new(((*head).clone)(head).cast(), &THERE)
        }
    },
    |head| {
        let head = head.cast::<Head>();
        // SAFETY: see above. One that is consumed is a clone, which was counted.
        unsafe {
            let kept = Keep::forgotten((*head).kept);
            ((*head).wake)(head);
            drop(kept);
        }
    },
    |head| {
        let head = head.cast::<Head>();
        // SAFETY: see above.
        unsafe { ((*head).wake_by_ref)(head) }
    },
    |head| {
        let head = head.cast::<Head>();
        // SAFETY: see above. So is one that is dropped: `borrowed` drops none.
        unsafe {
            let kept = Keep::forgotten((*head).kept);
            ((*head).drop)(head);
            drop(kept);
        }
    },
);
