//! The functions that a library's hooks call.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::transmute;
use std::sync::Arc;

use plugbay_interface::abi::abi_stable::prefix_type::WithMetadata;
use plugbay_interface::abi::abi_stable::staticref;
use plugbay_interface::abi::{Hooks, HooksRef};

use super::{Footprint, Local, watch};
use crate::platform;

struct Table;

impl Table {
    staticref!(const VALUE: WithMetadata<Hooks> = WithMetadata::new(Hooks {
        keep_local,
        start_thread,
        watch_thread,
        file_mapped,
        is_own_thread,
    }));
}

pub(super) fn table() -> HooksRef {
    HooksRef(Table::VALUE.as_prefix())
}

/// The footprint of the library that calls.
fn footprint(context: usize) -> Arc<Footprint> {
    let footprint = context as *const Footprint;
    // SAFETY: the word is the pointer that `Footprint::install` has made of an
    // `Arc` and given to the library, whose count stands while it is mapped. The
    // library hands it back unchanged.
    unsafe {
        Arc::increment_strong_count(footprint);
        Arc::from_raw(footprint)
    }
}

extern "C" fn keep_local(context: usize, destructor: *const (), object: *mut ()) -> bool {
    if destructor.is_null() {
        return true;
    }
    // SAFETY: the argument of `__cxa_thread_atexit_impl`, which is a function of
    // this type: https://itanium-cxx-abi.github.io/cxx-abi/abi.html#dso-dtor
    let destructor = unsafe { transmute::<*const (), unsafe extern "C" fn(*mut ())>(destructor) };
    let footprint = footprint(context);
    let Some(tid) = watch::leaves_locals_on(&footprint) else { return false };
    footprint.keep(tid, Local { destructor, object });
    true
}

extern "C" fn watch_thread(_context: usize) {
    watch::watch_this_thread();
}

extern "C" fn file_mapped(context: usize, descriptor: i32, address: *const ()) {
    let footprint = footprint(context);
    if footprint.file.is_some() && platform::identity_of(descriptor) == footprint.file {
        footprint.state.lock().mappings.insert(address as u64);
    }
}

thread_local! {
    /// The footprint of the library that has started this thread; 0 for none. The
    /// address stands for it: it is not given up while the thread runs.
    static STARTED_BY: Cell<usize> = const { Cell::new(0) };
}

extern "C" fn is_own_thread(context: usize) -> bool {
    STARTED_BY.get() == context
}

/// What a thread of the library begins with.
type Start = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

struct Beginning {
    footprint: Arc<Footprint>,
    start: Start,
    argument: *mut c_void,
}

extern "C" fn start_thread(
    context: usize,
    thread: *mut (),
    attributes: *const (),
    start: *const (),
    argument: *mut (),
) -> i32 {
    const EINVAL: i32 = nix::libc::EINVAL;
    if start.is_null() {
        return EINVAL;
    }
    // SAFETY: the argument of `pthread_create`, which is a function of this type.
    let start = unsafe { transmute::<*const (), Start>(start) };
    let footprint = footprint(context);
    footprint.starting();
    let beginning =
        Box::new(Beginning { footprint: footprint.clone(), start, argument: argument.cast() });
    let beginning = Box::into_raw(beginning);
    // SAFETY: the first two are what the library's caller gave for this
    // purpose, and `begin` takes the box.
    let outcome = unsafe { platform::start_thread(thread, attributes, begin, beginning.cast()) };
    if outcome != 0 {
        // SAFETY: no thread was made, so the box is still this function's.
        drop(unsafe { Box::from_raw(beginning) });
        footprint.not_started();
    }
    outcome
}

/// The first function of the library's threads.
unsafe extern "C-unwind" fn begin(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start_thread` has made the box for this thread alone.
    let beginning = unsafe { Box::from_raw(argument.cast::<Beginning>()) };
    let Beginning { footprint, start, argument } = *beginning;
    footprint.started();
    STARTED_BY.set(Arc::as_ptr(&footprint) as usize);
    // Nothing that wants to be dropped is held from here on: a thread that is
    // cancelled or ends itself (`pthread_exit`) unwinds through this function.
    drop(footprint);
    // SAFETY: what the library's caller of `pthread_create` asked for.
    unsafe { start(argument) }
}
