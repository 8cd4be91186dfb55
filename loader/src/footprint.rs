//! What a generation leaves on threads, and how it is taken back, so that its
//! library can be closed.
//!
//! A library may be unmapped when no thread will ever run its code again. After
//! its last call and its deactivation, these may:
//!
//! a. threads that it started;
//! b. threads of the loader's own that run its constructor or its end;
//! c. threads that ran its code once and hold objects of it with destructors
//!    (thread-locals), which the C library would call when they end;
//! d. threads that hold values of its keys (`pthread_key_create`; the standard
//!    library keeps the handle of `thread::current()` so), whose destructors the
//!    C library calls after those of (c);
//! e. a signal handler.
//!
//! What the library asks the C library for comes here instead (`hooks.rs`), and
//! [`Footprint::clear`] waits until none of (a) to (d) is left. Why then there is
//! none:
//!
//! 1. *Threads.* A thread of (a) is counted in `starting` before it is made and
//!    moves to `tasks` as the first thing that it does; those of (b) do the same.
//!    A task leaves the list only when the system no longer has it. So with both
//!    empty, no such thread runs; and new ones come only from the library's code,
//!    which then runs on no thread but those of (c) and (d) that are ending.
//! 2. *Destructors.* They lie in `locals`, by thread, and one thread's are run
//!    one after the other, the last one first, by whoever has marked the list as
//!    running: the thread itself at its end, or `clear`. An end of a thread
//!    (`watch.rs`) does not go on before its list is empty and nobody runs it, so
//!    an object is there while its destructor runs, whoever runs it; and what is
//!    taken from the list under the lock is taken once. `clear` runs them only
//!    when no call is running and none will come, so nobody else uses the
//!    objects; a thread sees what another one has written to them, as the lock
//!    lies between.
//! 3. *Late ones.* A thread whose end has gone past its list is refused: the
//!    library then asks the C library itself, which keeps the library mapped for
//!    as long as that destructor is outstanding. The close is then reported as
//!    not done, and tried again. (The end of a thread that came to a library only
//!    in the destructor of a key is seen by a key of the loader's own.)
//! 4. *Keys.* A thread that puts a value into a key is watched from then on. Its
//!    end writes its name into the list of the ending ones, and only after that
//!    the C library looks for values: thread-locals come before keys
//!    (`__call_tls_dtors` before `__nptl_deallocate_tsd`). `clear` deletes the
//!    keys first and reads the list then. A thread that is not in it reads the
//!    keys later than that, and finds them deleted; one that is in it may be in
//!    the middle of a destructor, and is waited for until it is gone, or
//!    until the list says that it is in a function of a host (5).
//! 5. *Threads that wait for this one.* A host may be stopped, or dropped, by the
//!    end of a thread: from a destructor of a thread-local or key of the program's
//!    own, or at the end of the process. That thread is in the list and waits, for
//!    `clear` or for its turn behind it, so it is not to be waited for. It
//!    says so in the list before it waits (`InHost`) and takes it back after. It came
//!    there from the program's code and not from the library's: where a library has
//!    called the host on a thread (`InLibrary`: its log lines reach the program's
//!    logger), nothing is said, and the thread is waited for and named. So it is in
//!    no destructor of the library; and when it goes on, it first takes the lock
//!    of the list that `clear` read after deleting the keys, so that it finds them
//!    deleted. What lies in `locals` of it is run by `clear` as for any other (2).
//! 6. What ran last may have left something new, so `clear` begins again until
//!    it finds nothing.

mod hooks;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use plugbay_interface::abi::RootRef;
use plugbay_interface::manifest::PluginId;

use crate::on_thread::{Deadline, on_thread};
use crate::platform::{self, Task};
use crate::unload::{Pin, RemainingThread};

pub(crate) use watch::{InHost, in_host, in_library, watch_this_thread};

/// How long a thread that has nothing more to do may take to be gone.
const SOON: Duration = Duration::from_millis(500);

/// What one generation has left on threads and may still run there.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    state: Mutex<State>,
    /// A list was run, or a thread has begun.
    changed: Condvar,
    /// The file that the library is mapped from, as the system knows it.
    file: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct State {
    /// Objects with destructors, by the thread that they lie on.
    locals: HashMap<i32, Locals>,
    /// Threads that are being made.
    starting: usize,
    /// Threads that run, or have run and may not be gone.
    tasks: Vec<Task>,
    /// From how many on `tasks` is looked through for those that are gone.
    look_at: usize,
    /// Where the library has mapped its own file once more, to read in it.
    mappings: HashSet<u64>,
}

/// The objects on one thread.
#[derive(Debug, Default)]
struct Locals {
    /// The last one is destroyed first.
    waiting: Vec<Local>,
    /// Somebody calls one of the destructors right now.
    running: bool,
}

/// An object that the library wants destroyed.
#[derive(Debug)]
struct Local {
    destructor: unsafe extern "C" fn(*mut ()),
    object: *mut (),
}

// SAFETY: the library hands its objects over to be destroyed where and when this
// file says: point 2 at its top.
unsafe impl Send for Local {}

impl Footprint {
    /// That of a library which was mapped from this file.
    pub(crate) fn new(file: &Path) -> Arc<Self> {
        let file = File::open(file).ok();
        let file = file.and_then(|file| platform::identity_of(file.as_raw_fd()));
        Arc::new(Self { file, ..Self::default() })
    }

    /// Hands the hooks to a library. `false`: it has none, so it is not known
    /// what it leaves, and it is not to be closed.
    ///
    /// A library that has taken them keeps this footprint alive, until
    /// [`release`](Self::release).
    pub(crate) fn install(self: &Arc<Self>, root: RootRef) -> bool {
        let Some(set_hooks) = root.set_hooks() else { return false };
        let context = Arc::into_raw(self.clone());
        let taken = set_hooks(hooks::table(), context as usize);
        if !taken {
            self.release();
        }
        taken
    }

    /// Lets go of what the library held.
    ///
    /// Only after [`install`](Self::install) gave `true`, once, when the library
    /// is unmapped.
    pub(crate) fn release(self: &Arc<Self>) {
        // SAFETY: `install` has made this count, and the library that could use
        // it is not there any more or did not take it.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
    }

    /// Counts a thread that is about to be made.
    pub(crate) fn starting(&self) {
        self.state.lock().starting += 1;
    }

    /// A thread that was counted was not made.
    pub(crate) fn not_started(&self) {
        self.state.lock().starting -= 1;
        self.changed.notify_all();
    }

    /// The calling thread was counted and is there.
    pub(crate) fn started(&self) {
        let task = Task::current();
        let mut state = self.state.lock();
        // So that a plugin that starts threads for ever costs no memory for
        // ever: half of those that are looked at were gone, or are many.
        if state.tasks.len() >= state.look_at {
            state.tasks.retain(|task| task.is_alive());
            state.look_at = state.tasks.len() * 2 + 16;
        }
        state.tasks.push(task);
        state.starting -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the library has nothing on any thread, and destroys what is
    /// left there. On success its code is not run any more.
    ///
    /// The generation is ended: no call is running and none will come.
    /// Threads have until `threads_until`, destructors `deadline`.
    pub(crate) fn clear(
        self: &Arc<Self>,
        id: &PluginId,
        root: RootRef,
        mut threads_until: Instant,
        deadline: Duration,
    ) -> Result<(), Pin> {
        loop {
            self.wait_for_threads(threads_until)?;
            if self.has_locals() {
                let footprint = self.clone();
                // They are the plugin's code, which may not come back.
                on_thread(id, self, &Deadline::new(deadline), move || footprint.run_all(), || true)
                    .map_err(|_| Pin::ThreadLocals)?;
                // That thread has done its work and goes in a moment.
                threads_until = threads_until.max(Instant::now() + SOON);
                continue;
            }
            if let Some(delete_keys) = root.delete_keys() {
                delete_keys();
            }
            watch::wait_for_ending_threads(threads_until)?;
            if self.is_clear() {
                return Ok(());
            }
        }
    }

    /// Waits until the threads that the library started, and those that ran its
    /// beginning and its end, are gone.
    pub(crate) fn wait_for_threads(&self, until: Instant) -> Result<(), Pin> {
        wait(until, || {
            let mut state = self.state.lock();
            // It is there in a moment: until then it runs this file's code.
            while state.starting > 0 {
                self.changed.wait(&mut state);
            }
            state.tasks.retain(|task| task.is_alive());
            state.tasks.clone()
        })
    }

    /// What the library has mapped of its own file at this address, by itself.
    pub(crate) fn has_mapped(&self, address: u64) -> bool {
        self.state.lock().mappings.contains(&address)
    }

    fn has_locals(&self) -> bool {
        !self.state.lock().locals.is_empty()
    }

    fn is_clear(&self) -> bool {
        let state = self.state.lock();
        state.locals.is_empty() && state.starting == 0 && state.tasks.is_empty()
    }

    /// Keeps an object of the thread with this number until it is destroyed.
    fn keep(&self, tid: i32, local: Local) {
        self.state.lock().locals.entry(tid).or_default().waiting.push(local);
    }

    /// Destroys the objects on all other threads than this one, whose own are
    /// destroyed at its end, as always. Not earlier: a destructor of another
    /// thread's may still want to use them.
    fn run_all(&self) {
        let this = nix::unistd::gettid().as_raw();
        loop {
            let next = self.state.lock().locals.keys().find(|tid| **tid != this).copied();
            let Some(tid) = next else { return };
            self.run_locals(tid);
        }
    }

    /// Destroys the objects on one thread, the last one first, and waits for
    /// whoever is at it. Nothing is left then.
    fn run_locals(&self, tid: i32) {
        let mut state = self.state.lock();
        while let Some(locals) = state.locals.get_mut(&tid) {
            if locals.running {
                self.changed.wait(&mut state);
                continue;
            }
            let Some(local) = locals.waiting.pop() else {
                state.locals.remove(&tid);
                break;
            };
            locals.running = true;
            MutexGuard::unlocked(&mut state, || {
                // SAFETY: what the library asked for. The object is there, as its
                // thread waits in this function before it ends, and nobody else
                // uses it: point 2 at the top.
                unsafe { (local.destructor)(local.object) }
            });
            // It may have given new objects to the same thread.
            if let Some(locals) = state.locals.get_mut(&tid) {
                locals.running = false;
            }
            self.changed.notify_all();
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Waits until `remaining` finds no thread any more.
///
/// The system tells nobody when a thread that is not joined has gone, so this
/// looks again and again: at once, since most are gone already, and then less
/// and less often.
fn wait(until: Instant, mut remaining: impl FnMut() -> Vec<Task>) -> Result<(), Pin> {
    const LONGEST: Duration = Duration::from_millis(5);
    let mut pause = Duration::from_micros(20);
    loop {
        let tasks = remaining();
        if tasks.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            let threads =
                tasks.iter().map(|task| RemainingThread { name: task.name(), tid: task.tid });
            return Err(Pin::Threads { threads: threads.collect() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}
