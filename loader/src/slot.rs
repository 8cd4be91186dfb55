//! The stable place that calls of one plugin go through.
//!
//! It points to the generation that serves now, and calls reach that by
//! `protect.rs` without a lock. Only when the place points nowhere, because the
//! plugin's state is being handed over or because it does not serve, a call
//! looks at the gate.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use plugbay_interface::abi::InstanceBox;

use crate::activate::Active;
use crate::platform;
use crate::records::{self, Entry, Holder};
use crate::sync::Ordering;

#[derive(Debug)]
pub(crate) struct Slot {
    /// What the gate's `serving` points to while the door is open, else null.
    place: AtomicPtr<Active>,
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Debug)]
struct Gate {
    door: Door,
    /// Who serves, or will again if what the door is shut for comes to nothing.
    serving: Option<Arc<Active>>,
    /// Calls that wait for the door, now and since it was shut.
    waiting: u64,
    waited: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Calls wait.
    Shut,
    /// Calls are turned away.
    Closed,
}

/// Proof that a generation stays as it is while this is held, on the thread
/// that took it. Two words, so that it stays in registers.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    active: &'a Active,
    hold: Hold,
}

/// A mark of this thread, or a count. Not an enum: that would take four words.
#[derive(Debug)]
struct Hold {
    /// An [`Entry`], or a [`Counted`] in a box of this hold's own, which the lowest
    /// bit says. (A pointer, which keeps the lease on its thread.)
    tagged: *const u8,
}

#[repr(align(2))]
struct Counted {
    number: u64,
    /// The list that the number is in must not go before the lease.
    active: Arc<Active>,
}

/// A lease that may be kept, and go to other threads.
#[derive(Debug)]
pub(crate) struct CountedLease {
    active: Arc<Active>,
    number: u64,
}

/// Proof that nobody uses a generation, and that nobody will.
#[derive(Debug)]
pub(crate) struct Drained(Arc<Active>);

impl Slot {
    /// A place where nobody serves.
    pub(crate) fn new() -> Self {
        Self {
            place: AtomicPtr::new(ptr::null_mut()),
            gate: Mutex::new(Gate { door: Door::Closed, serving: None, waiting: 0, waited: 0 }),
            opened: Condvar::new(),
        }
    }

    /// A lease on the generation that serves. Waits while a state is handed
    /// over; none where the plugin does not serve.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Option<Lease<'_>> {
        // What nearly every call does, in a line without a branch that is taken.
        if let Some(record) = records::known()
            && let Some(entry) = record.first_entry()
            && let Some(active) = entry.mark.protect_at_once(&self.place, false)
        {
            // SAFETY: as in `enter_nested`.
            return Some(Lease { active: unsafe { active.as_ref() }, hold: Hold::marked(entry) });
        }
        self.enter_nested()
    }

    /// The first call of a thread, and calls inside of calls.
    #[cold]
    fn enter_nested(&self) -> Option<Lease<'_>> {
        if let Some(record) = records::current()
            && let Some(entry) = record.free_entry()
        {
            let active = entry.mark.protect(&self.place, record.fenced);
            // SAFETY: marked, so by the argument in `protect.rs` it is not ended
            // while the mark stands, which the lease takes back. It is kept in
            // memory by the `Arc` of whoever is to end it.
            if let Some(active) = unsafe { active.as_ref() } {
                return Some(Lease { active, hold: Hold::marked(entry) });
            }
        }
        self.enter_slowly()
    }

    #[cold]
    fn enter_slowly(&self) -> Option<Lease<'_>> {
        let mut gate = self.gate.lock();
        loop {
            if gate.door == Door::Closed {
                return None;
            }
            let kept = gate.serving.clone()?;
            // A call of the plugin that calls the plugin: who waits for the first
            // would wait for ever. (A lease that has gone to another thread may let
            // in one that is not inside: nobody is waiting for it alone.)
            let marked =
                || records::current().is_some_and(|record| record.uses(Arc::as_ptr(&kept)));
            let number = if gate.door == Door::Open || marked() {
                Some(kept.count_in())
            } else {
                kept.count_in_beside()
            };
            let Some(number) = number else {
                gate.waiting += 1;
                gate.waited += 1;
                self.opened.wait(&mut gate);
                gate.waiting -= 1;
                continue;
            };
            // Counted under the gate's lock: whoever ends this generation moves
            // the door first, and looks at the count after that. (Inside of a
            // mark on it, the count is raised before the mark is taken back; beside
            // a count, which another thread may take back, in one step with the look.)
            // SAFETY: kept in memory by the `Arc` beside it, and counted, so that
            // `drain` gives it into nobody's hands before the lease is back.
            let active = unsafe { &*Arc::as_ptr(&kept) };
            return Some(Lease { active, hold: Hold::counted(number, kept) });
        }
    }

    /// As [`enter`](Self::enter), with a lease that may be kept.
    pub(crate) fn hold(&self) -> Option<CountedLease> {
        let lease = self.enter()?;
        let gate = self.gate.lock();
        // The one that serves now may be another than the one of the lease.
        let active =
            gate.serving.clone().filter(|active| ptr::eq(&raw const **active, lease.active));
        drop(gate);
        match active {
            // Counted while the lease stands.
            Some(active) => Some(CountedLease { number: active.count_in(), active }),
            None => {
                drop(lease);
                self.hold()
            }
        }
    }

    /// Who serves, or will again.
    pub(crate) fn serving(&self) -> Option<Arc<Active>> {
        self.gate.lock().serving.clone()
    }

    /// Lets a generation serve from now on, and calls that wait go on with it.
    /// Gives the one that served before: it may still be in use.
    pub(crate) fn open(&self, active: Arc<Active>) -> Option<Arc<Active>> {
        let mut gate = self.gate.lock();
        self.place.store(Arc::as_ptr(&active).cast_mut(), Ordering::SeqCst);
        gate.door = Door::Open;
        self.opened.notify_all();
        gate.serving.replace(active)
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
            self.opened.notify_all();
        }
    }

    /// Turns calls away from now on, those that wait, too.
    pub(crate) fn close(&self) -> Option<Arc<Active>> {
        let mut gate = self.gate.lock();
        self.place.store(ptr::null_mut(), Ordering::SeqCst);
        gate.door = Door::Closed;
        self.opened.notify_all();
        gate.serving.take()
    }

    /// How many calls have waited since the last [`shut`](Self::shut).
    pub(crate) fn waited(&self) -> u64 {
        self.gate.lock().waited
    }
}

/// Waits until nobody uses a generation that no place points to any more. Gives
/// back who still does at the end of the time.
pub(crate) fn drain(active: Arc<Active>, limit: Duration) -> Result<Drained, Vec<Holder>> {
    drain_unless(active, limit, || false)
}

/// As [`drain`], and gives up early when it is told to.
pub(crate) fn drain_unless(
    active: Arc<Active>,
    limit: Duration,
    over: impl Fn() -> bool,
) -> Result<Drained, Vec<Holder>> {
    // None: for ever.
    let end = Instant::now().checked_add(limit);
    let mut pause = Duration::from_micros(20);
    let mut looks = 0_u32;
    // Without it the marks prove nothing, so then it counts as in use.
    let ordered = platform::heavy_barrier();
    loop {
        // Marks first, then the count: a call inside of another is counted
        // before the outer one takes its mark back.
        if ordered && !records::is_used(&raw const *active) && active.counted() == 0 {
            return Ok(Drained(active));
        }
        if over() || end.is_some_and(|end| Instant::now() >= end) {
            let mut holders = records::users_of(&active);
            holders.extend(active.counted_holders());
            return Err(holders);
        }
        // Whoever leaves does so with a plain store, which wakes nobody.
        looks += 1;
        if looks < 50 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }
}

/// Who uses a generation now.
pub(crate) fn holders_of(active: &Active) -> Vec<Holder> {
    let mut holders = records::users_of(active);
    holders.extend(active.counted_holders());
    holders
}

impl Drained {
    pub(crate) fn active(&self) -> &Active {
        &self.0
    }

    pub(crate) fn active_arc(&self) -> Arc<Active> {
        self.0.clone()
    }

    /// Uses it once more, alone as long as its slot is shut.
    pub(crate) fn into_lease(self) -> CountedLease {
        CountedLease { number: self.0.count_in(), active: self.0 }
    }
}

impl<'a> Lease<'a> {
    #[inline(always)]
    pub(crate) fn active(&self) -> &'a Active {
        self.active
    }

    /// The plugin's value.
    #[inline(always)]
    pub(crate) fn instance(&self) -> Option<&InstanceBox> {
        // SAFETY: borrowed from this lease.
        unsafe { self.active.instance() }
    }

    /// Says what it is for.
    pub(crate) fn note(&self, command: &str) {
        if let Some(entry) = self.hold.entry()
            && let Some((command, _)) = self.active.about.manifest.commands.get_key_value(command)
        {
            entry.note(command);
        }
    }

    /// Takes a note back.
    pub(crate) fn clear_note(&self) {
        if let Some(entry) = self.hold.entry() {
            entry.clear_note();
        }
    }
}

impl Drop for Lease<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        match self.hold.entry() {
            Some(entry) => entry.mark.release(),
            None => count_out(self.hold.tagged),
        }
    }
}

impl Hold {
    const COUNTED: usize = 1;

    #[inline(always)]
    fn marked(entry: &'static Entry) -> Self {
        Self { tagged: ptr::from_ref(entry).cast() }
    }

    fn counted(number: u64, active: Arc<Active>) -> Self {
        let counted = Box::into_raw(Box::new(Counted { number, active }));
        Self { tagged: counted.cast_const().cast::<u8>().map_addr(|it| it | Self::COUNTED) }
    }

    #[inline(always)]
    fn entry(&self) -> Option<&'static Entry> {
        let marked = self.tagged.addr() & Self::COUNTED == 0;
        // SAFETY: without the bit it was made from a reference that lives as long
        // as this thread, in `marked`; an `Entry` is aligned to 8, so it has no bit.
        marked.then(|| unsafe { &*self.tagged.cast::<Entry>() })
    }
}

/// For a hold that is no mark; once.
#[cold]
fn count_out(tagged: *const u8) {
    let counted = tagged.map_addr(|it| it & !Hold::COUNTED).cast::<Counted>();
    // SAFETY: with the bit it was made from a box in `counted`; this is called
    // by the lease's drop alone.
    let counted = unsafe { Box::from_raw(counted.cast_mut()) };
    counted.active.count_out(counted.number);
}

impl CountedLease {
    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// The plugin's value.
    pub(crate) fn instance(&self) -> Option<&InstanceBox> {
        // SAFETY: borrowed from this lease.
        unsafe { self.active.instance() }
    }
}

impl Drop for CountedLease {
    fn drop(&mut self) {
        self.active.count_out(self.number);
    }
}
