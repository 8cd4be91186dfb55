//! The threads on which plugins are told.
//!
//! A plugin may take as long as it likes over what it is told, so none is told on a
//! thread that another one waits for. Nor is there a thread for each: one takes the
//! next that waits, starts another thread where there are more, and only then runs
//! code of the plugin. So whoever waits is waited for by nobody's code but has a
//! thread on its way, and as many threads are there at a time as plugins are slow. They
//! end when nobody waits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::std_types::RResult;

use super::Hearing;
use crate::error::Failure;
use crate::slot::{Lease, Slot};

#[derive(Debug, Default)]
pub(super) struct Tellers(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    tasks: VecDeque<Task>,
    /// Whether a thread is on its way that has not taken anything yet.
    starting: bool,
}

/// A generation that has something to hear.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) slot: Arc<Slot>,
    pub(super) hearing: Arc<Hearing>,
}

impl Tellers {
    /// Has these told. Does not wait for it.
    pub(super) fn take(self: &Arc<Self>, tasks: Vec<Task>) {
        let more = {
            let mut ready = self.0.lock();
            ready.tasks.extend(tasks);
            ready.wants_a_thread()
        };
        if more {
            self.start();
        }
    }

    fn start(self: &Arc<Self>) {
        let tellers = self.clone();
        let thread = thread::Builder::new().name("plugbay-tell".into());
        if let Err(error) = thread.spawn(move || tellers.work()) {
            // They wait for a thread that has done its work, or for the next change.
            self.0.lock().starting = false;
            let told =
                || log::error!("plugins are told later of what they need: no thread: {error}");
            let _ = catch_unwind(AssertUnwindSafe(told));
        }
    }

    fn work(self: &Arc<Self>) {
        let mut begins = true;
        loop {
            let (task, more) = {
                let mut ready = self.0.lock();
                if std::mem::take(&mut begins) {
                    ready.starting = false;
                }
                let Some(task) = ready.tasks.pop_front() else { return };
                (task, ready.wants_a_thread())
            };
            if more {
                self.start();
            }
            task.tell();
        }
    }
}

impl Ready {
    fn wants_a_thread(&mut self) -> bool {
        let wants = !self.starting && !self.tasks.is_empty();
        self.starting |= wants;
        wants
    }
}

impl Task {
    /// Tells all that there is to tell, as long as the generation serves.
    fn tell(&self) {
        loop {
            // First, so that nothing is taken out that cannot be told. Anew for each,
            // so that whoever waits for the generation gets it in between.
            let lease = self.slot.enter();
            let Some(lease) = lease.filter(|lease| self.is_of(lease)) else {
                if self.hearing.does_not_serve() {
                    continue;
                }
                return;
            };
            let Some(news) = self.hearing.next() else { return };
            lease.note_told();
            let outcome = lease.instance().map(|to| to.service_changed(news.as_changed()));
            lease.clear_note();
            if let Some(RResult::RErr(fault)) = outcome {
                // The program's logger may panic.
                let _ = catch_unwind(AssertUnwindSafe(|| complain(&lease, Failure::take(fault))));
            }
        }
    }

    /// Whether the lease is on the generation that is to hear this. Another one hears
    /// for itself.
    fn is_of(&self, lease: &Lease<'_>) -> bool {
        Arc::ptr_eq(&lease.active().hearing, &self.hearing)
    }
}

fn complain(lease: &Lease<'_>, failure: Failure) {
    let active = lease.active();
    let failure = active.troubles.scrubbed(failure);
    let how = if failure.panicked { "panicked" } else { "failed" };
    let what = format!("`service_changed` {how}: {failure}");
    if failure.panicked {
        active.troubles.report(&what);
    }
    log::error!(target: active.about.manifest.id.as_str(), "{what}");
}
