//! The ends of threads that ran code of plugins.
//!
//! This is the one place with state of the whole process, as a thread belongs to
//! no host: for each thread, the footprints that have objects on it, and the list
//! of threads that are ending. Neither knows of hosts or plugins.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::{Footprint, wait};
use crate::platform::{self, Task};
use crate::unload::Pin;

/// Threads that have begun to end and may not be gone.
static ENDING: Mutex<Vec<Ending>> = Mutex::new(Vec::new());

#[derive(Debug, Clone, Copy)]
struct Ending {
    task: Task,
    /// How many functions of hosts it is in, one inside of the other.
    in_host: u32,
}

/// What is known of one thread. Without a destructor, so that it can be used
/// in the middle of the thread's end.
struct Watch {
    tid: Cell<i32>,
    /// Its end will be seen.
    watched: Cell<bool>,
    /// It stands in `ENDING`.
    ending: Cell<bool>,
    /// Its objects were destroyed; what comes now comes too late.
    ended: Cell<bool>,
    /// How many calls of the host by a library it is in.
    in_library: Cell<u32>,
    footprints: RefCell<ManuallyDrop<Vec<Weak<Footprint>>>>,
}

thread_local! {
    static WATCH: Watch = const {
        Watch {
            tid: Cell::new(0),
            watched: Cell::new(false),
            ending: Cell::new(false),
            in_library: Cell::new(0),
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
        end_this_thread();
    }
}

fn end_this_thread() {
    // Before any of the library's code runs here for the last time.
    let this = Task::current();
    let mut ending = ENDING.lock();
    ending.retain(|one| one.task.is_alive());
    ending.push(Ending { task: this, in_host: 0 });
    drop(ending);
    WATCH.with(|watch| {
        watch.ending.set(true);
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

/// The end of a thread that came to a library only when it was ending, from the
/// destructor of a key: nobody runs the destructors of thread-locals then, and what
/// lies in them goes with the thread.
unsafe extern "C" fn end_this_thread_late(_: *mut c_void) {
    if !WATCH.with(|watch| watch.ended.get()) {
        end_this_thread();
    }
}

/// Makes sure that this thread's end is seen. To be called before a thread may
/// hold the value of a key of a library, which the library's hooks do; by hand
/// only where code of a library runs that has no hooks yet.
pub(crate) fn watch_this_thread() {
    WATCH.with(|watch| {
        if !watch.watched.replace(true) {
            // Fails at the thread's end, when it has been seen already.
            let _ = END.try_with(|_| ());
            platform::call_after_thread_locals(end_this_thread_late);
        }
    });
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

/// Says, as long as it is kept, that the calling thread is in a function of a
/// host, which may wait for others: a thread that ends may do so from the
/// destructor of a thread-local of the program's own.
pub(crate) struct InHost {
    task: Option<Task>,
}

/// To be kept from before the first lock until after the last one.
pub(crate) fn in_host() -> InHost {
    // One that a library's destructor has called goes back into it.
    let counts = WATCH.with(|watch| watch.ending.get() && watch.in_library.get() == 0);
    let task = counts.then(Task::current);
    if let Some(task) = task {
        change(task, |in_host| in_host.saturating_add(1));
    }
    InHost { task }
}

impl Drop for InHost {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            change(task, |in_host| in_host.saturating_sub(1));
        }
    }
}

/// For the calling thread, whose entry is the last one with its number.
fn change(task: Task, how: impl FnOnce(u32) -> u32) {
    let mut ending = ENDING.lock();
    if let Some(one) = ending.iter_mut().rfind(|one| one.task.tid == task.tid) {
        one.in_host = how(one.in_host);
    }
}

/// Says, as long as it is kept, that a library has called the host on this thread.
pub(crate) struct InLibrary(());

pub(crate) fn in_library() -> InLibrary {
    WATCH.with(|watch| watch.in_library.set(watch.in_library.get().saturating_add(1)));
    InLibrary(())
}

impl Drop for InLibrary {
    fn drop(&mut self) {
        WATCH.with(|watch| watch.in_library.set(watch.in_library.get().saturating_sub(1)));
    }
}

/// Waits until the threads that are ending now are gone, or are in a function of
/// a host: such a thread may be waiting for this one.
pub(super) fn wait_for_ending_threads(until: Instant) -> Result<(), Pin> {
    let mut waited_for: Vec<Task> = ENDING.lock().iter().map(|one| one.task).collect();
    wait(until, || {
        let in_host: Vec<Task> = {
            let ending = ENDING.lock();
            ending.iter().filter(|one| one.in_host > 0).map(|one| one.task).collect()
        };
        waited_for.retain(|task| !in_host.contains(task) && task.is_alive());
        waited_for.clone()
    })
}
