//! `loader/src/protect.rs` in every order that the memory model allows, for two
//! callers and a changer: nothing is used after its end, and what is used is
//! seen whole; also when a caller marks it once more from inside of a call. The same
//! with a piece taken out is found to be wrong.

mod sync;

#[path = "../../loader/src/protect.rs"]
mod protect;

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::protect::Mark;
use crate::sync::{AtomicPtr, Ordering, Weakening, heavy_barrier, weaken};

const CALLERS: usize = 2;
const ENDED: u32 = 0;

/// A generation. The checker knows who may see it: an access that is not ordered
/// after the one before is an error, whatever the value.
struct Target(UnsafeCell<u32>);

struct Model {
    place: AtomicPtr<Target>,
    marks: [Mark<Target>; CALLERS],
    targets: [Target; 2],
}

// SAFETY: a place and marks are shared as they are in the loader, and each access
// to a target is checked.
unsafe impl Sync for Model {}
// SAFETY: it points only to itself.
unsafe impl Send for Model {}

impl Model {
    /// The first target serves, and the second has not begun.
    fn new() -> Arc<Self> {
        let model = Arc::new(Self {
            place: AtomicPtr::new(std::ptr::null_mut()),
            marks: std::array::from_fn(|_| Mark(AtomicPtr::new(std::ptr::null_mut()))),
            targets: [Target(UnsafeCell::new(1)), Target(UnsafeCell::new(ENDED))],
        });
        model.place.store(model.target(0), Ordering::SeqCst);
        model
    }

    fn target(&self, which: usize) -> *mut Target {
        std::ptr::from_ref(&self.targets[which]).cast_mut()
    }

    /// One call.
    fn call(&self, caller: usize) {
        let mark = &self.marks[caller];
        assert!(mark.is_free());
        // The one as the first call of a thread does, the other one as the rest.
        let at_once = if caller == 0 { None } else { mark.protect_at_once(&self.place, true) };
        let target = at_once.map_or_else(|| mark.protect(&self.place, true), NonNull::as_ptr);
        // SAFETY: a part of the model, which the thread keeps.
        if let Some(target) = unsafe { target.as_ref() } {
            // SAFETY: only read; what the checker knows is the test.
            target.0.with(|value| assert_ne!(unsafe { *value }, ENDED, "used after its end"));
            mark.release();
        }
        assert!(mark.is_free());
    }

    /// A call, a call from inside of it, the end of the outer one, and the end of the
    /// inner one. It has two of the marks, which the changer looks through in order.
    fn call_inside(&self, outer: usize, inner: usize) {
        let (outer, inner) = (&self.marks[outer], &self.marks[inner]);
        let target = outer.protect(&self.place, true);
        // SAFETY: as above.
        if let Some(target) = unsafe { target.as_ref() } {
            inner.set(target);
            outer.release();
            // SAFETY: as above.
            target.0.with(|value| assert_ne!(unsafe { *value }, ENDED, "used after its end"));
            inner.release();
        }
    }

    /// Constructs a target, before anybody can know of it.
    fn begin(&self, which: usize, value: u32) {
        // SAFETY: as above, and the checker sees whether it is alone.
        self.targets[which].0.with_mut(|cell| unsafe { *cell = value });
    }

    /// Lets the place say something else, and waits for those who use `old`.
    fn change(&self, to: *mut Target, old: usize) {
        self.place.store(to, Ordering::SeqCst);
        heavy_barrier();
        let old = self.target(old);
        while self.marks.iter().any(|mark| mark.says(old)) {
            thread::yield_now();
        }
    }

    /// Touches a target that nobody uses, as its end does.
    fn end(&self, which: usize) {
        // SAFETY: as above.
        self.targets[which].0.with_mut(|cell| unsafe { *cell = ENDED });
    }
}

/// Runs the model with two callers, each of which calls so many times.
fn check(weakening: Weakening, calls: [usize; CALLERS], changer: fn(&Model)) {
    let mut builder = loom::model::Builder::new();
    // Every order with at most so many switches that no thread asked for: the
    // weakened forms need fewer.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        weaken(weakening);
        let model = Model::new();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let model = model.clone();
                thread::spawn(move || (0..calls[caller]).for_each(|_| model.call(caller)))
            })
            .collect();
        changer(&model);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// Runs the model with one caller that has all marks.
fn check_inside(weakening: Weakening, outer: usize, inner: usize) {
    loom::model(move || {
        weaken(weakening);
        let model = Model::new();
        let caller = {
            let model = model.clone();
            thread::spawn(move || model.call_inside(outer, inner))
        };
        two_changes(&model);
        caller.join().unwrap();
    });
}

/// Two changes, the second one back to the address of the first target.
fn two_changes(model: &Model) {
    model.begin(1, 2);
    model.change(model.target(1), 0);
    model.end(0);
    model.begin(0, 3);
    model.change(model.target(0), 1);
    model.end(1);
}

/// The state is taken while the place says nothing, and the same one goes on.
fn a_pause(model: &Model) {
    model.change(std::ptr::null_mut(), 0);
    model.end(0);
    model.begin(0, 2);
    model.place.store(model.target(0), Ordering::SeqCst);
}

/// The door is shut, opened with the same one as the state did not come, and
/// another one takes over after that.
fn a_pause_and_a_change(model: &Model) {
    model.change(std::ptr::null_mut(), 0);
    model.place.store(model.target(0), Ordering::SeqCst);
    model.begin(1, 2);
    model.change(model.target(1), 0);
    model.end(0);
}

#[test]
fn nothing_is_used_after_its_end_through_two_changes() {
    check(Weakening::None, [1, 1], two_changes);
}

/// A mark that was written relaxed, over the release of the call before, once hid
/// that release from the changer.
#[test]
fn a_caller_that_calls_again_is_waited_for_again() {
    check(Weakening::None, [2, 0], two_changes);
}

#[test]
fn nobody_uses_what_is_paused() {
    check(Weakening::None, [1, 1], a_pause);
}

#[test]
fn a_pause_that_comes_to_nothing_leaves_no_gap() {
    check(Weakening::None, [1, 1], a_pause_and_a_change);
}

#[test]
fn a_call_inside_of_a_call_is_seen_when_the_outer_one_ends() {
    check_inside(Weakening::None, 0, 1);
}

#[test]
#[should_panic]
fn a_second_mark_that_is_looked_at_first_is_missed() {
    check_inside(Weakening::None, 1, 0);
}

#[test]
#[should_panic]
fn with_relaxed_stores_a_second_mark_is_missed() {
    check_inside(Weakening::RelaxedStores, 0, 1);
}

#[test]
#[should_panic]
fn without_the_callers_fence_it_is_wrong() {
    check(Weakening::NoLightBarrier, [1, 1], two_changes);
}

#[test]
#[should_panic]
fn without_the_changers_fence_it_is_wrong() {
    check(Weakening::NoHeavyBarrier, [1, 1], two_changes);
}

#[test]
#[should_panic]
fn with_relaxed_stores_it_is_wrong() {
    check(Weakening::RelaxedStores, [1, 1], two_changes);
}

#[test]
#[should_panic]
fn with_relaxed_loads_it_is_wrong() {
    check(Weakening::RelaxedLoads, [1, 1], two_changes);
}
