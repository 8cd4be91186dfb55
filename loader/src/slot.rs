//! The stable place that calls of one plugin go through.
//!
//! It points to the generation that serves now, and calls reach that by
//! `protect.rs` without a lock. Only when the place points nowhere, because the
//! plugin's state is being handed over or because it does not serve, a call
//! looks at the gate.

mod drain;
mod lease;

use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::task::{Poll, Waker};

use parking_lot::{Condvar, Mutex, MutexGuard};
use plugbay_interface::manifest::PluginId;
use semver::Version;

pub(crate) use drain::{drain, drain_unless, holders_of};

use crate::activate::Active;
use crate::counted::Place;
use crate::keeper::Ask;
use crate::offers::Wants;
use crate::on_thread::waits_for_a_host;
use crate::records::{self, Entry};
use crate::sync::Ordering;

#[derive(Debug)]
pub(crate) struct Slot {
    /// What the gate's `serving` points to while the door is open, else null.
    place: AtomicPtr<Active>,
    gate: Mutex<Gate>,
    opened: Condvar,
    wants: Wants,
}

#[derive(Debug)]
struct Gate {
    door: Door,
    /// Who serves, or will again if what the door is shut for comes to nothing.
    serving: Option<Arc<Active>>,
    /// Calls that wait for the door, now and since it was shut.
    waiting: u64,
    waited: u64,
    /// Of futures that wait for the door.
    wakers: Vec<Waker>,
    /// What is loaded when the first call comes.
    sleeper: Option<Sleeper>,
    /// How often those were turned away that waited for it.
    turned_away: u64,
}

/// What serves when it is first asked for, and whom a call asks to load it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) version: Version,
    pub(crate) ask: Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Calls wait.
    Shut,
    /// Calls are turned away.
    Closed,
    /// Nothing is loaded yet: the first call asks for that, and waits.
    Asleep,
    /// It was asked for; calls wait.
    Waking,
}

/// Proof that a generation stays as it is while this is held, on the thread
/// that took it. Two words, so that it stays in registers.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    active: &'a Active,
    entry: &'static Entry,
    on_this_thread: PhantomData<*const ()>,
}

/// A lease that may be kept, and go to other threads.
#[derive(Debug)]
pub(crate) struct CountedLease {
    active: Arc<Active>,
    place: Place,
}

/// Proof that nobody uses a generation, and that nobody will.
#[derive(Debug)]
pub(crate) struct Drained(Arc<Active>);

impl Slot {
    /// A place where nobody serves.
    pub(crate) fn new() -> Self {
        Self {
            place: AtomicPtr::new(ptr::null_mut()),
            gate: Mutex::new(Gate {
                door: Door::Closed,
                serving: None,
                waiting: 0,
                waited: 0,
                wakers: Vec::new(),
                sleeper: None,
                turned_away: 0,
            }),
            opened: Condvar::new(),
            wants: Wants::default(),
        }
    }

    /// The contracts that were asked for here.
    pub(crate) fn wants(&self) -> &Wants {
        &self.wants
    }

    /// A lease on the generation that serves. Waits while a state is handed
    /// over; none where the plugin does not serve.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Option<Lease<'_>> {
        // What nearly every call does, in a line without a branch that is taken.
        let entry = records::known().first_entry();
        if entry.mark.is_free()
            && let Some(active) = entry.mark.protect_at_once(&self.place, false)
        {
            // SAFETY: as in `enter_nested`.
            return Some(Lease::new(unsafe { active.as_ref() }, entry));
        }
        self.enter_nested()
    }

    /// The first call of a thread, and calls inside of calls.
    #[cold]
    fn enter_nested(&self) -> Option<Lease<'_>> {
        self.enter_open().or_else(|| self.enter_slowly())
    }

    /// Where the place points to somebody, and a mark is free.
    fn enter_open(&self) -> Option<Lease<'_>> {
        let record = records::current()?;
        let entry = record.free_entry()?;
        let active = entry.mark.protect(&self.place, record.fenced);
        // SAFETY: marked, so by the argument in `protect.rs` it is not ended
        // while the mark stands, which the lease takes back. It is kept in
        // memory by the `Arc` of whoever is to end it.
        let active = unsafe { active.as_ref() }?;
        Some(Lease::new(active, entry))
    }

    /// Where the place points nowhere, or no mark is free.
    #[cold]
    fn enter_slowly(&self) -> Option<Lease<'_>> {
        let mut gate = self.gate.lock();
        let turned_away = gate.turned_away;
        loop {
            match gate.door {
                Door::Closed => return None,
                _ if gate.turned_away != turned_away => return None,
                Door::Asleep | Door::Waking if waits_for_a_host() => return None,
                Door::Asleep => gate.ask_for_it(),
                Door::Waking | Door::Open | Door::Shut => {}
            }
            if let Some(kept) = &gate.serving
                && let Some(entry) = mark_under(kept, gate.door)
            {
                // SAFETY: marked before the gate is unlocked, and kept in memory by
                // whoever is to end it, as above.
                let active = unsafe { &*Arc::as_ptr(kept) };
                return Some(Lease::new(active, entry));
            }
            gate.waiting += 1;
            gate.waited += 1;
            self.opened.wait(&mut gate);
            gate.waiting -= 1;
        }
    }

    /// As [`enter`](Self::enter), with a lease that may be kept.
    pub(crate) fn hold(&self) -> Option<CountedLease> {
        self.hold_for(None)
    }

    /// As [`hold`](Self::hold), for a plugin.
    pub(crate) fn hold_for(&self, plugin: Option<Arc<PluginId>>) -> Option<CountedLease> {
        let lease = self.enter()?;
        // Counted while the lease stands. As long there is an `Arc`, too: that of
        // whoever is to end it.
        lease.active().kept().map(|active| CountedLease::new(active, plugin))
    }

    /// As [`hold`](Self::hold), for threads that must not wait.
    pub(crate) async fn hold_async(&self) -> Option<CountedLease> {
        let mut since = None;
        poll_fn(|context| self.poll_hold(context.waker(), &mut since)).await
    }

    /// Where `hold` would wait, wakes. No thread waits, so none is let in for what it has
    /// taken already. `since` is from the poll before.
    fn poll_hold(&self, waker: &Waker, since: &mut Option<u64>) -> Poll<Option<CountedLease>> {
        let counted = |active| CountedLease::new(active, None);
        if let Some(lease) = self.enter_open() {
            return Poll::Ready(lease.active().kept().map(counted));
        }
        let mut gate = self.gate.lock();
        let turned_away = gate.turned_away;
        match gate.door {
            Door::Closed => Poll::Ready(None),
            _ if *since.get_or_insert(turned_away) != turned_away => Poll::Ready(None),
            // Whoever ends it changes the place first, which takes the gate's lock.
            Door::Open => Poll::Ready(gate.serving.clone().map(counted)),
            Door::Asleep | Door::Waking if waits_for_a_host() => Poll::Ready(None),
            Door::Shut | Door::Asleep | Door::Waking => {
                if gate.door == Door::Asleep {
                    gate.ask_for_it();
                }
                if !gate.wakers.iter().any(|other| other.will_wake(waker)) {
                    gate.wakers.push(waker.clone());
                    gate.waited += 1;
                }
                Poll::Pending
            }
        }
    }

    /// Who serves, or will again.
    pub(crate) fn serving(&self) -> Option<Arc<Active>> {
        self.gate.lock().serving.clone()
    }

    /// The version that serves, will again, or will when it is asked for.
    pub(crate) fn version(&self) -> Option<Version> {
        let gate = self.gate.lock();
        match (&gate.serving, &gate.sleeper) {
            (Some(active), _) => Some(active.about.manifest.version.clone()),
            (None, sleeper) => sleeper.as_ref().map(|sleeper| sleeper.version.clone()),
        }
    }

    /// From now on the first call asks for what is to serve, where nothing serves.
    pub(crate) fn put_to_sleep(&self, sleeper: Sleeper) {
        let mut gate = self.gate.lock();
        if gate.serving.is_none() {
            gate.sleeper = Some(sleeper);
            if gate.door != Door::Waking {
                gate.door = Door::Asleep;
            }
        }
    }

    /// Turns away the calls that wait for what sleeps; the next one asks for it again.
    pub(crate) fn sleep_on(&self) {
        let mut gate = self.gate.lock();
        if gate.door == Door::Waking {
            gate.door = Door::Asleep;
            gate.turned_away += 1;
            self.wake(gate);
        }
    }

    /// Lets a generation serve from now on, and calls that wait go on with it.
    /// Gives the one that served before: it may still be in use. One that comes back begins
    /// without the results that it had, and none are kept of the one that goes.
    pub(crate) fn open(&self, active: Arc<Active>) -> Option<Arc<Active>> {
        active.forget_results();
        let mut gate = self.gate.lock();
        self.place.store(Arc::as_ptr(&active).cast_mut(), Ordering::SeqCst);
        gate.door = Door::Open;
        gate.sleeper = None;
        let before = gate.serving.replace(active);
        self.wake(gate);
        if let Some(before) = &before {
            before.forget_results();
        }
        before
    }

    /// Lets new calls wait, and gives the generation that served.
    pub(crate) fn shut(&self) -> Option<Arc<Active>> {
        let mut gate = self.gate.lock();
        if gate.door != Door::Open {
            return None;
        }
        gate.door = Door::Shut;
        gate.waited = 0;
        self.place.store(ptr::null_mut(), Ordering::SeqCst);
        gate.serving.clone()
    }

    /// Takes a [`shut`](Self::shut) back.
    pub(crate) fn reopen(&self) {
        let mut gate = self.gate.lock();
        if gate.door == Door::Shut
            && let Some(serving) = &gate.serving
        {
            self.place.store(Arc::as_ptr(serving).cast_mut(), Ordering::SeqCst);
            gate.door = Door::Open;
            self.wake(gate);
        }
    }

    /// Turns calls away from now on, those that wait, too.
    pub(crate) fn close(&self) -> Option<Arc<Active>> {
        let mut gate = self.gate.lock();
        self.place.store(ptr::null_mut(), Ordering::SeqCst);
        gate.door = Door::Closed;
        gate.sleeper = None;
        let before = gate.serving.take();
        self.wake(gate);
        if let Some(before) = &before {
            before.forget_results();
        }
        before
    }

    /// Those who wait for the door. Wakers are code of others, which may come here again.
    fn wake(&self, mut gate: MutexGuard<'_, Gate>) {
        self.opened.notify_all();
        let wakers = mem::take(&mut gate.wakers);
        drop(gate);
        for waker in wakers {
            // One that panics is not to keep the others asleep, or its plugin in between.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                log::error!("a waker panicked that waited for a plugin");
                mem::forget(payload);
            }
        }
    }

    /// How many calls have waited since the last [`shut`](Self::shut).
    pub(crate) fn waited(&self) -> u64 {
        self.gate.lock().waited
    }
}

impl Gate {
    /// Once, however many calls come.
    fn ask_for_it(&mut self) {
        if let Some(sleeper) = &self.sleeper {
            self.door = Door::Waking;
            sleeper.ask.for_it();
        }
    }
}

/// Marks a generation for a call that comes while its gate is locked; none for one
/// that has to wait.
fn mark_under(kept: &Arc<Active>, door: Door) -> Option<&'static Entry> {
    let generation = Arc::as_ptr(kept);
    // Whoever ends it changes the place first, which takes the gate's lock.
    if door == Door::Open
        // A call of the plugin that calls the plugin: who waits for the first would
        // wait for ever. The new mark comes behind the one that is there.
        || records::is_used_here(generation)
    {
        return Some(records::mark_last(generation));
    }
    // The same inside of a lease that may go to other threads and be given back
    // there: counted until it is marked. (It may let in a call that is not inside of
    // one that goes on: nobody is waiting for that one alone.)
    let place = kept.counted.add_beside()?;
    let entry = records::mark_last(generation);
    kept.counted.remove(&place);
    Some(entry)
}
