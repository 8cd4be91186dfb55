//! A plugin's code on a thread of its own, which may not come back.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use plugbay_interface::manifest::PluginId;

use crate::activate::ActivateError;
use crate::footprint::Footprint;

thread_local! {
    /// How often a host is being changed on this thread, or waits for it meanwhile.
    static CHANGING: Cell<u32> = const { Cell::new(0) };
}

/// While this is held, nothing that only a change of the host could bring may be waited
/// for on this thread.
#[derive(Debug)]
pub(crate) struct Changing {
    _on_this_thread: PhantomData<*const ()>,
}

impl Changing {
    pub(crate) fn begins() -> Self {
        CHANGING.with(|count| count.set(count.get() + 1));
        Self { _on_this_thread: PhantomData }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGING.with(|count| count.set(count.get() - 1));
    }
}

/// Whether a host is being changed that waits for this thread, so that this thread must
/// not wait for another change.
pub(crate) fn waits_for_a_host() -> bool {
    // At the end of a thread it is not known any more, and nobody waits for its calls.
    CHANGING.try_with(|count| count.get() > 0).unwrap_or(false)
}

/// How long somebody waits for such a thread. What happens on it may bring the
/// end forward.
#[derive(Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    wait: Mutex<Wait>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wait {
    /// None: for ever, or not begun.
    until: Option<Instant>,
    /// There is nothing to wait for any more.
    done: bool,
}

impl Deadline {
    /// So long from the start of the thread.
    pub(crate) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self { limit, wait: Mutex::default(), changed: Condvar::new() })
    }

    /// The whole time, where it was not brought forward.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Not longer than until then.
    pub(crate) fn bring_forward(&self, to: Instant) {
        let mut wait = self.wait.lock();
        wait.until = Some(wait.until.map_or(to, |until| until.min(to)));
        self.changed.notify_all();
    }

    fn begin(&self) {
        // More than a clock can say is for ever.
        if let Some(until) = Instant::now().checked_add(self.limit) {
            self.bring_forward(until);
        }
    }

    /// Whether it was done in time.
    fn wait(&self) -> bool {
        let mut wait = self.wait.lock();
        while !wait.done {
            match wait.until {
                Some(until) if Instant::now() >= until => return false,
                Some(until) => drop(self.changed.wait_until(&mut wait, until)),
                None => self.changed.wait(&mut wait),
            }
        }
        true
    }

    fn wait_for_ever(&self) {
        let mut wait = self.wait.lock();
        while !wait.done {
            self.changed.wait(&mut wait);
        }
    }
}

/// Says that it is done, also where the work panicked.
struct Done(Arc<Deadline>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.wait.lock().done = true;
        self.0.changed.notify_all();
    }
}

/// Runs plugin code on a thread of its own, which ends soon after its result.
/// When the time is over, `give_up` says whether the result is not waited for
/// any more. The library is not closed before the thread is gone, as its
/// thread-locals are the library's.
pub(crate) fn on_thread<T: Send + 'static>(
    id: &PluginId,
    footprint: &Arc<Footprint>,
    deadline: &Arc<Deadline>,
    work: impl FnOnce() -> T + Send + 'static,
    give_up: impl FnOnce() -> bool,
) -> Result<T, ActivateError> {
    let result = Arc::new(Mutex::new(None));
    deadline.begin();
    footprint.starting();
    let (there, place, done) = (footprint.clone(), result.clone(), Done(deadline.clone()));
    let thread = thread::Builder::new().name(format!("plugin {id}")).spawn(move || {
        there.started();
        drop(there);
        // Dropped when the result is there, or will never be.
        let _done = done;
        let _changing = Changing::begins();
        let outcome = work();
        *place.lock() = Some(outcome);
    });
    if let Err(error) = thread {
        footprint.not_started();
        return Err(ActivateError::Thread(error));
    }
    if !deadline.wait() {
        if give_up() {
            return Err(ActivateError::Deadline { deadline: deadline.limit });
        }
        deadline.wait_for_ever();
    }
    let outcome = result.lock().take();
    outcome.ok_or(ActivateError::Deadline { deadline: deadline.limit })
}
