//! What each thread that calls plugins keeps: its marks, and who it is.
//!
//! The list of all of them is the loader's one global. It holds nothing of any
//! host: marks are compared with a generation's address and never followed.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::manifest::PluginId;

use crate::activate::Active;
use crate::footprint::watch_this_thread;
use crate::platform;
use crate::protect::Mark;

/// How many leases of a thread need no more than a free mark.
const DEPTH: usize = 8;

/// In this order they are looked through, and a record that is added comes last.
static RECORDS: Mutex<Vec<Arc<Record>>> = Mutex::new(Vec::new());

/// What is noted in place of a command while a plugin is told of services. Known by its
/// address, as those are.
pub(crate) static TOLD: String = String::new();
/// The same while it is given a configuration.
pub(crate) static CONFIGURED: String = String::new();

/// What a thread has before it has one of its own: its first mark is taken.
static NONE: Record = Record {
    entries: {
        let mut entries = [const { Entry::free() }; DEPTH];
        entries[0] = Entry::taken();
        entries
    },
    fenced: false,
    who: Who { name: [0; 16], tid: 0 },
    ended: AtomicBool::new(false),
};

thread_local! {
    /// The way to the record without a destructor, so that it costs one load.
    static CURRENT: Cell<&'static Record> = const { Cell::new(&NONE) };
    static OWNED: Owned = Owned::new();
}

/// One thread's marks. Alone on its cache lines: others read it only when a
/// generation goes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Record {
    entries: [Entry; DEPTH],
    /// Whether marks need a fence, as this system has no `membarrier`.
    pub(crate) fenced: bool,
    who: Who,
    /// Whether its thread takes no more marks here: the record may go when those
    /// that it has are free.
    ended: AtomicBool,
}

/// A thread, as it was when it first used a plugin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    /// With a zero at its end.
    name: [u8; 16],
    pub(crate) tid: u64,
}

impl Who {
    /// Asks the system.
    fn is_here() -> Self {
        Self { name: platform::thread_name(), tid: platform::thread_id() }
    }

    pub(crate) fn holder(&self, command: Option<String>, held_for: Option<Duration>) -> Holder {
        let name = self.name.split(|byte| *byte == 0).next().unwrap_or_default();
        let thread = String::from_utf8_lossy(name).into_owned();
        Holder { thread, tid: self.tid, plugin: None, command, held_for }
    }
}

/// A mark, with what it is for where that is known: only to be shown.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) mark: Mark<Active>,
    /// The name of the command: a key of the manifest that the mark's generation has,
    /// or one of [`TOLD`] and [`CONFIGURED`].
    command: AtomicPtr<String>,
    /// When the call began, in nanoseconds of [`clock`]; 0 for not known.
    began: AtomicU64,
}

/// Who keeps a generation alive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Holder {
    /// The name that the system has for it: at most 15 bytes.
    pub thread: String,
    /// The system's number of the thread.
    pub tid: u64,
    /// The plugin that keeps it, where one does; the thread is then the one on which it
    /// began to.
    pub plugin: Option<PluginId>,
    /// The command that it runs, where it is a call of one; `service_changed` while the
    /// plugin is told of services, `configure` while it takes a configuration.
    pub command: Option<String>,
    /// For how long, where that is known; to a few milliseconds.
    pub held_for: Option<Duration>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(plugin) = &self.plugin {
            write!(f, "the plugin {plugin}, since a call on ")?;
        }
        match &self.command {
            Some(command) => write!(f, "`{command}` on thread {} ({})", self.thread, self.tid)?,
            None => write!(f, "thread {} ({})", self.thread, self.tid)?,
        }
        match self.held_for {
            Some(time) => write!(f, ", for {time:.1?}"),
            None => Ok(()),
        }
    }
}

/// On one line.
pub(crate) fn list(holders: &[Holder]) -> String {
    holders.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

struct Owned(Arc<Record>);

impl Owned {
    fn new() -> Self {
        let record = Arc::new(Record::new(Who::is_here(), Entry::free()));
        RECORDS.lock().push(record.clone());
        Self(record)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        CURRENT.set(&NONE);
        self.0.ended.store(true, Ordering::Relaxed);
        sweep(&mut RECORDS.lock());
    }
}

/// Removes what nobody will use again. A lease that outlives its thread's locals, or
/// that was forgotten, keeps its record.
fn sweep(records: &mut Vec<Arc<Record>>) {
    records.retain(|record| !record.ended.load(Ordering::Relaxed) || !record.is_free());
}

/// This thread's record; one whose first mark is taken where it has none yet, or
/// its marks need a fence.
#[inline(always)]
pub(crate) fn known() -> &'static Record {
    CURRENT.get()
}

/// This thread's record; none while the thread ends.
pub(crate) fn current() -> Option<&'static Record> {
    let known = known();
    if ptr::eq(known, &raw const NONE) { first() } else { Some(known) }
}

#[cold]
fn first() -> Option<&'static Record> {
    // Before any of the plugin's code runs here, and so that it is gone after the marks.
    watch_this_thread();
    let record = OWNED.try_with(|owned| Arc::as_ptr(&owned.0)).ok()?;
    // SAFETY: `OWNED` holds it, and resets `CURRENT` when it is dropped. What is
    // handed out does not leave the thread (`Lease` is not `Send`), and a lease
    // that outlives `OWNED` keeps the record in the list by its mark.
    let record = unsafe { &*record };
    // Marks with a fence are not for those that ask without.
    if !record.fenced {
        CURRENT.set(record);
    }
    Some(record)
}

/// A mark on `generation` that comes after all others of this thread in the order
/// in which they are looked through. The caller knows that the generation is not
/// ended before this returns.
pub(crate) fn mark_last(generation: *const Active) -> &'static Entry {
    let record = Record::new(this_thread(), Entry::taken());
    record.ended.store(true, Ordering::Relaxed);
    let record = Arc::new(record);
    let kept = Arc::as_ptr(&record);
    {
        let mut records = RECORDS.lock();
        sweep(&mut records);
        records.push(record);
    }
    // SAFETY: it is in the list as long as its mark is taken, and the lease that the
    // mark is for does not touch it after giving it back.
    let [entry, ..] = unsafe { &(*kept).entries };
    entry.mark.set(generation);
    entry
}

impl Record {
    fn new(who: Who, first: Entry) -> Self {
        let mut entries = [const { Entry::free() }; DEPTH];
        entries[0] = first;
        let fenced = !platform::has_membarrier();
        Self { entries, fenced, who, ended: AtomicBool::new(false) }
    }

    /// The mark of calls that are in no other.
    #[inline(always)]
    pub(crate) fn first_entry(&self) -> &Entry {
        let [first, ..] = &self.entries;
        first
    }

    /// A mark that is free.
    pub(crate) fn free_entry(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.mark.is_free())
    }

    /// By any thread.
    fn is_free(&self) -> bool {
        self.entries.iter().all(|entry| entry.mark.says(ptr::null()))
    }

    fn uses(&self, generation: *const Active) -> bool {
        self.entries.iter().any(|entry| entry.mark.says(generation))
    }
}

impl Entry {
    const fn free() -> Self {
        Self::saying(ptr::null_mut())
    }

    /// One that says what nobody asks for.
    const fn taken() -> Self {
        Self::saying(ptr::dangling_mut())
    }

    const fn saying(what: *mut Active) -> Self {
        Self {
            mark: Mark(AtomicPtr::new(what)),
            command: AtomicPtr::new(ptr::null_mut()),
            began: AtomicU64::new(0),
        }
    }

    /// Says what the lease is for.
    pub(crate) fn note(&self, command: &String) {
        self.command.store(ptr::from_ref(command).cast_mut(), Ordering::Relaxed);
        self.began.store(clock(), Ordering::Relaxed);
    }

    pub(crate) fn clear_note(&self) {
        self.command.store(ptr::null_mut(), Ordering::Relaxed);
        self.began.store(0, Ordering::Relaxed);
    }
}

/// The threads whose marks say this generation.
pub(crate) fn users_of(generation: &Active) -> Vec<Holder> {
    let mut holders = Vec::new();
    for record in RECORDS.lock().iter() {
        for entry in record.entries.iter().filter(|entry| entry.mark.says(generation)) {
            // Another thread's notes, so perhaps those of a moment ago.
            let noted = entry.command.load(Ordering::Relaxed).cast_const();
            let commands = &generation.about.manifest.commands;
            let mut known = commands.keys();
            let command = if ptr::eq(noted, &raw const TOLD) {
                Some("service_changed".to_owned())
            } else if ptr::eq(noted, &raw const CONFIGURED) {
                Some("configure".to_owned())
            } else {
                known.find(|command| ptr::eq(*command, noted)).cloned()
            };
            let began = entry.began.load(Ordering::Relaxed);
            let held_for = (began > 0).then(|| Duration::from_nanos(clock().saturating_sub(began)));
            holders.push(record.who.holder(command, held_for));
        }
    }
    holders
}

/// Whether any thread's mark says this generation.
pub(crate) fn is_used(generation: *const Active) -> bool {
    RECORDS.lock().iter().any(|record| record.uses(generation))
}

/// Whether one of the calling thread does.
pub(crate) fn is_used_here(generation: *const Active) -> bool {
    let tid = this_thread().tid;
    RECORDS.lock().iter().any(|record| record.who.tid == tid && record.uses(generation))
}

/// The calling thread. (The standard library knows none any more at its very end, and
/// panics.)
pub(crate) fn this_thread() -> Who {
    current().map_or_else(Who::is_here, |record| record.who)
}

/// Nanoseconds since the first call of this, from 1.
fn clock() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let nanos = BEGIN.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
}
