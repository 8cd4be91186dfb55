//! Counts what an evaluation uses, and ends it when that is too much.
//!
//! The engine asks for its table of terms before every step (`native::Steps`),
//! and `json` looks in wherever a value is built or walked. Both call [`check`],
//! which unwinds to [`within`]. The engine has no unsafe code, so unwinding
//! through it is sound; nothing of it outlives the call.
//!
//! Two kinds of depth are bounded differently. Recursion *into* something is seen
//! by `check`, which compares the stack pointer. Recursion *out of* something, as
//! the destructor of a long linked list, cannot be interrupted, so that there has
//! to be room for it: whatever has a destructor that recurses costs heap for
//! every level, the heap is bounded, and the stack is a multiple of that bound.
//! It is a mapping of its own, of which only the pages that are touched exist.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Stack for recursion that is seen: some 100,000 nested calls of a filter.
const DEEPEST_CALLS: usize = 128 << 20;
/// Stack for all that happens between two looks. Compiling is most of it: a filter
/// of nothing but 16 KiB of `-` takes 35 MB in a release build, 170 in a debug build.
const BETWEEN_LOOKS: usize = if cfg!(debug_assertions) { 256 << 20 } else { 64 << 20 };
/// Bytes of stack for a byte of heap. Measured on the worst that were found, a
/// long path and a chain of closures: 1.1 in a release build, 4.5 in a debug build.
const STACK_FOR_HEAP: usize = if cfg!(debug_assertions) { 12 } else { 4 };
/// Looks between two looks at the clock.
const LOOKS: u32 = 256;

/// What an evaluation may use.
pub struct Limits {
    pub time: Duration,
    pub memory: usize,
}

/// Why an evaluation was ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    Time,
    Memory,
    /// Filters that call filters, too deep.
    Calls,
    /// Arrays in arrays, too deep.
    Nesting,
}

/// Runs `body` on a stack of its own until it ends or a limit is met. A panic of
/// another origin goes on as it was.
pub fn within<T>(limits: &Limits, body: impl FnOnce() -> T) -> Result<T, Stop> {
    let after = BETWEEN_LOOKS.saturating_add(limits.memory.saturating_mul(STACK_FOR_HEAP));
    let outcome = stacker::grow(DEEPEST_CALLS.saturating_add(after), || {
        METER.with(|meter| {
            meter.live.set(0);
            meter.most.set(isize::try_from(limits.memory).unwrap_or(isize::MAX));
            meter.stack_left.set(after);
            meter.end.set(Instant::now().checked_add(limits.time));
            meter.on.set(true);
        });
        let outcome = catch_unwind(AssertUnwindSafe(body));
        METER.with(|meter| meter.on.set(false));
        outcome
    });
    outcome.map_err(|payload| match payload.downcast::<Stop>() {
        Ok(stop) => *stop,
        Err(panic) => resume_unwind(panic),
    })
}

/// Ends the evaluation when a limit is met.
pub fn check() {
    METER.with(|meter| {
        if !meter.on.get() {
            return;
        }
        if meter.live.get() > meter.most.get() {
            stop(Stop::Memory);
        }
        if stacker::remaining_stack().is_some_and(|left| left < meter.stack_left.get()) {
            stop(Stop::Calls);
        }
        let looks = meter.looks.get().wrapping_add(1);
        meter.looks.set(looks);
        if looks.is_multiple_of(LOOKS) && meter.end.get().is_some_and(|end| Instant::now() >= end) {
            stop(Stop::Time);
        }
    });
}

/// Ends the evaluation when `bytes` more would be too many: for operations that
/// allocate in one piece, because an allocation that fails ends the process.
pub fn room_for(bytes: usize) {
    check();
    METER.with(|meter| {
        let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
        if meter.on.get() && meter.live.get().saturating_add(bytes) > meter.most.get() {
            stop(Stop::Memory);
        }
    });
}

/// Ends the evaluation.
pub fn stop(reason: Stop) -> ! {
    // Not `panic!`: nothing is wrong, and no hook needs to hear of it.
    resume_unwind(Box::new(reason))
}

struct Meter {
    on: Cell<bool>,
    /// Bytes allocated and not freed by this thread since the start; below zero
    /// where it freed what was there before.
    live: Cell<isize>,
    most: Cell<isize>,
    stack_left: Cell<usize>,
    end: Cell<Option<Instant>>,
    looks: Cell<u32>,
}

thread_local! {
    /// Without a destructor: one would keep the library in memory for as long as
    /// the host's thread lives.
    static METER: Meter = const {
        Meter {
            on: Cell::new(false),
            live: Cell::new(0),
            most: Cell::new(0),
            stack_left: Cell::new(0),
            end: Cell::new(None),
            looks: Cell::new(0),
        }
    };
}

/// The system's allocator, counted for each thread.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

impl Counted {
    fn count(bytes: isize) {
        METER.with(|meter| meter.live.set(meter.live.get().wrapping_add(bytes)));
    }
}

// SAFETY: every method hands its arguments on to `System` unchanged and gives
// what that gives; `count` neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size().cast_signed());
        // SAFETY: the caller's promise for `alloc` is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size().cast_signed());
        // SAFETY: the caller's promise for `alloc_zeroed` is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count(layout.size().cast_signed().wrapping_neg());
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size.cast_signed().wrapping_sub(layout.size().cast_signed()));
        // SAFETY: `pointer` came from `System` with this layout; `size` is the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_secs(60), memory: 16 << 20 };

    #[test]
    fn what_is_freed_does_not_count() {
        let done = within(&LIMITS, || {
            for _ in 0..1_000 {
                drop(std::hint::black_box(vec![0_u8; 1 << 20]));
                check();
            }
        });
        assert_eq!(done, Ok(()));
        let kept = within(&LIMITS, || {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![0_u8; 1 << 20]);
                check();
            }
        });
        assert_eq!(kept, Err::<(), _>(Stop::Memory));
        assert_eq!(within(&LIMITS, || room_for(usize::MAX)), Err(Stop::Memory));
    }

    #[test]
    fn time_and_depth_end_it() {
        let limits = Limits { time: Duration::from_millis(10), ..LIMITS };
        assert_eq!(
            within(&limits, || loop {
                check()
            }),
            Err::<(), _>(Stop::Time)
        );

        fn down(level: u64) -> u64 {
            check();
            if level == u64::MAX { 0 } else { std::hint::black_box(down(level + 1)) + 1 }
        }
        assert_eq!(within(&LIMITS, || down(0)), Err(Stop::Calls));
        // A stop is no mark that stays.
        assert_eq!(within(&LIMITS, || 7), Ok(7));
        check();
    }

    #[test]
    fn a_panic_stays_a_panic() {
        let outcome = catch_unwind(|| within(&LIMITS, || resume_unwind(Box::new("other"))));
        assert_eq!(outcome.map(|_: Result<(), _>| ()).unwrap_err().downcast_ref(), Some(&"other"));
    }
}
