//! The ends of threads that ran code of plugins.
//!
//! This is the one place with state of the whole process, as a thread belongs to
//! no host: for each thread, the footprints that have objects on it, and the list
//! of threads that are ending. Neither knows of hosts or plugins.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::{Footprint, wait};
use crate::platform::Task;
use crate::unload::Pin;

/// Threads that have begun to end and may not be gone.
static ENDING: Mutex<Vec<Task>> = Mutex::new(Vec::new());

/// What is known of one thread. Without a destructor, so that it can be used
/// in the middle of the thread's end.
struct Watch {
    tid: Cell<i32>,
    /// Its objects were destroyed; what comes now comes too late.
    ended: Cell<bool>,
    footprints: RefCell<ManuallyDrop<Vec<Weak<Footprint>>>>,
}

thread_local! {
    static WATCH: Watch = const {
        Watch {
            tid: Cell::new(0),
            ended: Cell::new(false),
            footprints: RefCell::new(ManuallyDrop::new(Vec::new())),
        }
    };
    /// Its destructor is what runs at the thread's end.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        // Before any of the library's code runs here for the last time.
        let this = Task::current();
        let mut ending = ENDING.lock();
        ending.retain(|task| task.is_alive());
        ending.push(this);
        drop(ending);
        WATCH.with(|watch| {
            loop {
                // The borrow ends with this line: a destructor may add to the list.
                let next = watch.footprints.borrow_mut().pop();
                let Some(footprint) = next else { break };
                if let Some(footprint) = footprint.upgrade() {
                    footprint.run_locals(this.tid);
                }
            }
            watch.ended.set(true);
            drop(ManuallyDrop::into_inner(watch.footprints.take()));
        });
    }
}

/// Makes sure that this thread's end is seen. To be called before a thread may
/// hold the value of a key of a library, which the library's hooks do; by hand
/// only where code of a library runs that has no hooks yet.
pub(crate) fn watch_this_thread() {
    // Fails at the thread's end, when it has been seen already.
    let _ = END.try_with(|_| ());
}

/// Notes that the calling thread has objects of this footprint, and gives its
/// number; none when it is too late for that.
pub(super) fn leaves_locals_on(footprint: &Arc<Footprint>) -> Option<i32> {
    WATCH.with(|watch| {
        if watch.ended.get() {
            return None;
        }
        watch_this_thread();
        if watch.tid.get() == 0 {
            watch.tid.set(nix::unistd::gettid().as_raw());
        }
        let mut footprints = watch.footprints.borrow_mut();
        let wanted = Arc::as_ptr(footprint);
        if !footprints.iter().any(|known| known.as_ptr() == wanted) {
            // Those of generations that are gone; or a thread that lives on
            // would remember each of them.
            footprints.retain(|known| known.strong_count() > 0);
            footprints.push(Arc::downgrade(footprint));
        }
        Some(watch.tid.get())
    })
}

/// Waits until the threads that are ending now, other than this one, are gone.
pub(super) fn wait_for_ending_threads(until: Instant) -> Result<(), Pin> {
    let this = nix::unistd::gettid().as_raw();
    let mut ending = ENDING.lock().clone();
    wait(until, || {
        ending.retain(|task| task.tid != this && task.is_alive());
        ending.clone()
    })
}
