//! The return addresses of the current thread.
//!
//! Only addresses are taken here: turning them into names would map the library
//! file into the plugin's own copy of the standard library, whose cache is never
//! freed and would keep the library in memory. The host does that, while the
//! generation is mapped.

/// At most this many frames; deeper ones say little.
#[cfg(unix)]
const MOST: usize = 96;

/// Return addresses, innermost first; empty where the platform has no unwinder
/// that this crate knows.
#[cfg(unix)]
pub(crate) fn return_addresses() -> Vec<u64> {
    use std::ffi::{c_int, c_void};

    // Part of the unwinder that every unwinding Rust library links already:
    // https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html
    unsafe extern "C-unwind" {
        fn _Unwind_Backtrace(
            step: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
            argument: *mut c_void,
        ) -> c_int;
        fn _Unwind_GetIP(frame: *mut c_void) -> usize;
    }

    const GO_ON: c_int = 0;
    const STOP: c_int = 4; // _URC_NORMAL_STOP

    extern "C" fn step(frame: *mut c_void, argument: *mut c_void) -> c_int {
        // SAFETY: `argument` is the vector below, borrowed by nobody else while
        // _Unwind_Backtrace runs; `frame` is valid for the time of this call.
        let (found, address) = unsafe { (&mut *argument.cast::<Vec<u64>>(), _Unwind_GetIP(frame)) };
        found.push(address as u64);
        if found.len() == MOST { STOP } else { GO_ON }
    }

    // With its capacity given, `push` in the callback never allocates.
    let mut found: Vec<u64> = Vec::with_capacity(MOST);
    // SAFETY: the callback has the signature that the unwinder expects, and
    // `found` outlives the call.
    unsafe { _Unwind_Backtrace(step, (&raw mut found).cast()) };
    found
}

/// Return addresses; none on this platform.
#[cfg(not(unix))]
pub(crate) fn return_addresses() -> Vec<u64> {
    Vec::new()
}
