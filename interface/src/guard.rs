//! Panics stop here, on the plugin's side of the boundary.
//!
//! A panic is two events: the panic hook sees its place and its frames, then
//! `catch_unwind` gets its payload. Between them is a note in a thread-local, which
//! only a panic touches: the call of a service costs about as much as a call of a
//! function pointer, and a library's thread-locals are behind a function call.
//!
//! So the hook cannot know whether the thread is inside a guard, and need not: it
//! always leaves a note. A guard takes the last note that is about the payload that
//! it has caught. Others are of panics that the plugin caught itself, be it while
//! this one unwound; some of them lie there until later ones push them out. And the hook writes to the log, too, where nobody may be waiting
//! for the panic: on a thread that the library has started itself, as the host
//! knows, and outside of the guards. Those of services count only in a library that has
//! started a thread: in others there is none to tell.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::{RNone, RResult, RSome, RString, RVec};

use crate::abi::{Fault, FaultBox, FaultKind, Place, return_addresses};
use crate::error::code;
use crate::{Error, hooks, logging};

static WANTS_BACKTRACES: AtomicBool = AtomicBool::new(false);

/// How many notes a thread keeps: panics that are on their way at once are few.
const NOTES: usize = 8;

/// What the panic hook saw.
struct Note {
    fault: Fault,
    payload: TypeId,
}

thread_local! {
    /// How many of the guards that count this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The last panics, in their order. `ManuallyDrop`, because a thread-local with a
    /// destructor keeps the library in memory as long as the thread lives; what lies
    /// here then is lost.
    static LAST: Cell<ManuallyDrop<Vec<Note>>> =
        const { Cell::new(ManuallyDrop::new(Vec::new())) };
}

/// Runs `body`; an error or a panic comes out as a [`Fault`].
///
/// The guard of what is called seldom: it counts, so that a host that does not
/// know the library's threads (interface 1.1) gets no panic twice.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Error>) -> RResult<T, Fault> {
    DEPTH.set(DEPTH.get() + 1);
    // The value that `body` works on is kept after a panic: `Plugin` says so.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    match outcome {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(error.to_fault()),
        Err(payload) => RResult::RErr(caught(payload)),
    }
}

/// The guard of services: as [`guard`], and where there is no panic nothing but
/// `catch_unwind`, in a library that has no threads.
#[inline(always)]
pub(crate) fn light<T>(body: impl FnOnce() -> Result<T, Error>) -> RResult<T, FaultBox> {
    // One of its threads may call this, and waits for the panic then. Where the host
    // does not know them, any thread may be one.
    let counts = hooks::has_threads();
    if counts {
        DEPTH.set(DEPTH.get() + 1);
    }
    let outcome = catch_unwind(AssertUnwindSafe(body));
    if counts {
        DEPTH.set(DEPTH.get() - 1);
    }
    match outcome {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(failed(&error)),
        Err(payload) => RResult::RErr(panicked(payload)),
    }
}

#[cold]
#[inline(never)]
fn failed(error: &Error) -> FaultBox {
    FaultBox::new(error.to_fault())
}

#[cold]
#[inline(never)]
fn panicked(payload: Box<dyn Any + Send>) -> FaultBox {
    let fault = caught(payload);
    logging::report_trouble(&format!("a call by contract panicked: {}", fault.message));
    FaultBox::new(fault)
}

/// The fault for a payload that was caught.
fn caught(payload: Box<dyn Any + Send>) -> Fault {
    let text = text_of(&*payload);
    let mut notes = ManuallyDrop::into_inner(LAST.take());
    // None for a panic that was carried here from another thread (`resume_unwind`).
    let about_this = notes.iter().rposition(|note| {
        note.payload == (*payload).type_id() && note.fault.message.as_str() == text
    });
    // Later ones were caught while this one unwound.
    let note = about_this.and_then(|at| notes.drain(at..).next());
    let fault = note.map_or_else(|| panic_fault(text), |note| note.fault);
    if notes.is_empty() {
        // Not even its memory stays.
        notes = Vec::new();
    }
    LAST.set(ManuallyDrop::new(notes));
    drop_quietly(payload);
    fault
}

/// Runs what nobody hears an error of; a panic is told to the log.
pub(crate) fn quietly(what: &str, body: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        let fault = caught(payload);
        let told = catch_unwind(AssertUnwindSafe(|| {
            log::error!("a panic in {what}: {}", fault.message);
        }));
        if let Err(second) = told {
            std::mem::forget(second);
        }
    }
}

/// Replaces the standard panic hook of this library: it would print to the
/// host's stderr and, with `RUST_BACKTRACE`, map the library's file for good.
pub(crate) fn install_panic_hook(wants_backtraces: bool) {
    static ONCE: Once = Once::new();
    WANTS_BACKTRACES.store(wants_backtraces, Ordering::Relaxed);
    ONCE.call_once(|| set_hook(Box::new(on_panic)));
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let mut fault = panic_fault(text_of(info.payload()));
    if let Some(place) = info.location() {
        fault.place =
            RSome(Place { file: place.file().into(), line: place.line(), column: place.column() });
    }
    if WANTS_BACKTRACES.load(Ordering::Relaxed) {
        fault.frames = return_addresses().into();
    }
    // Where the host does not know, once too often is better than never.
    let alone = DEPTH.get() == 0 && hooks::is_own_thread().unwrap_or(true);
    if alone {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        log::error!("thread '{name}' panicked{place}: {}", fault.message);
    }
    let mut notes = ManuallyDrop::into_inner(LAST.take());
    if notes.len() == NOTES {
        notes.remove(0);
    }
    notes.push(Note { fault, payload: info.payload().type_id() });
    LAST.set(ManuallyDrop::new(notes));
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic whose payload is no text"
    }
}

/// A payload's own destructor may panic, too.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn panic_fault(message: &str) -> Fault {
    Fault {
        kind: FaultKind::PANIC,
        code: code::PANIC.into(),
        message: message.into(),
        causes: RVec::new(),
        place: RNone,
        frames: RVec::new(),
        more: RString::new(),
    }
}
