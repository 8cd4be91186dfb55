//! What `protect.rs` is built on, from the model checker: the form with fences
//! on both sides, which is what runs where `membarrier` is missing.
//!
//! A weakening takes one piece of the protocol out, to see that it is needed.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::Ordering;
use loom::sync::atomic::{self, fence};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weakening {
    None,
    /// The caller does not fence between its mark and its second look.
    NoLightBarrier,
    /// The changer does not fence between the place and the marks.
    NoHeavyBarrier,
    /// All of these stores are relaxed: of a mark that is taken back, and of a place.
    RelaxedStores,
    /// All of these loads are relaxed: of a place, and of a mark by the changer.
    RelaxedLoads,
}

thread_local! {
    // The checker runs all of a model's threads on the thread of the test.
    static WEAKENING: Cell<Weakening> = const { Cell::new(Weakening::None) };
}

pub(crate) fn weaken(weakening: Weakening) {
    WEAKENING.set(weakening);
}

#[derive(Debug)]
pub(crate) struct AtomicPtr<T>(atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        Self(atomic::AtomicPtr::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        match WEAKENING.get() {
            Weakening::RelaxedLoads => self.0.load(Ordering::Relaxed),
            _ => self.0.load(order),
        }
    }

    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        match WEAKENING.get() {
            Weakening::RelaxedStores => self.0.store(value, Ordering::Relaxed),
            _ => self.0.store(value, order),
        }
    }
}

pub(crate) fn light_barrier(_fenced: bool) {
    if WEAKENING.get() != Weakening::NoLightBarrier {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn heavy_barrier() {
    if WEAKENING.get() != Weakening::NoHeavyBarrier {
        fence(Ordering::SeqCst);
    }
}
