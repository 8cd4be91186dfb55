//! Panics stop here, on the plugin's side of the boundary.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::{RNone, RResult, RSome, RString, RVec};

use crate::Error;
use crate::abi::{Fault, FaultKind, Place, return_addresses};

static WANTS_BACKTRACES: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How many guards this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What the panic hook saw last. `ManuallyDrop`, because a thread-local with
    /// a destructor keeps the library in memory as long as the thread lives; at
    /// most one record a thread is lost by that.
    static LAST: Cell<ManuallyDrop<Option<Box<Fault>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
}

/// Runs `body`; an error or a panic comes out as a [`Fault`].
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Error>) -> RResult<T, Fault> {
    DEPTH.set(DEPTH.get() + 1);
    // A panic that the plugin caught itself is not this call's.
    drop(ManuallyDrop::into_inner(LAST.replace(ManuallyDrop::new(None))));
    // The value that `body` works on is kept after a panic: `Plugin` says so.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    match outcome {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(fault_of(&error)),
        Err(payload) => {
            let seen = ManuallyDrop::into_inner(LAST.replace(ManuallyDrop::new(None)));
            let fault = seen.map_or_else(|| panic_fault(text_of(&*payload)), |fault| *fault);
            drop_quietly(payload);
            RResult::RErr(fault)
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
    if DEPTH.get() > 0 {
        let old = LAST.replace(ManuallyDrop::new(Some(Box::new(fault))));
        drop(ManuallyDrop::into_inner(old));
    } else {
        // A thread of the plugin's own: nobody waits for this panic but the log.
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        log::error!("thread '{name}' panicked{place}: {}", fault.message);
    }
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic whose payload is no text"
    }
}

/// A payload's own destructor may panic, too.
fn drop_quietly(payload: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn panic_fault(message: &str) -> Fault {
    Fault {
        kind: FaultKind::PANIC,
        code: "panic".into(),
        message: message.into(),
        causes: RVec::new(),
        place: RNone,
        frames: RVec::new(),
        more: RString::new(),
    }
}

fn fault_of(error: &Error) -> Fault {
    Fault {
        kind: error.kind(),
        code: error.code().into(),
        message: error.to_string().into(),
        causes: error.causes().iter().map(|cause| cause.as_str().into()).collect(),
        place: RSome(Place {
            file: error.place().file().into(),
            line: error.place().line(),
            column: error.place().column(),
        }),
        frames: RVec::new(),
        more: RString::new(),
    }
}
