//! A barrier that other threads pass without doing anything for it.

use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};

use nix::libc;

// linux/membarrier.h
const QUERY: i32 = 0;
const PRIVATE_EXPEDITED: i32 = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

fn membarrier(command: i32) -> i64 {
    // SAFETY: a system call with plain numbers, which touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
}

/// Whether the system has `membarrier(2)`, for the life of this process.
/// `PLUGBAY_NO_MEMBARRIER` in the environment says no, to try the other way.
pub(crate) fn has_membarrier() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        let offered = membarrier(QUERY);
        std::env::var_os("PLUGBAY_NO_MEMBARRIER").is_none()
            && offered > 0
            && offered & i64::from(PRIVATE_EXPEDITED) != 0
            && membarrier(REGISTER_PRIVATE_EXPEDITED) == 0
    })
}

/// Orders all that this process's threads did before it with all that this
/// thread does after it. Says whether it could.
pub(crate) fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    // Without `membarrier` every mark has a fence of its own.
    !has_membarrier() || membarrier(PRIVATE_EXPEDITED) == 0
}

/// The system's number of the calling thread.
pub(crate) fn thread_id() -> u64 {
    // SAFETY: a system call without arguments.
    let number = unsafe { libc::gettid() };
    u64::try_from(number).unwrap_or(0)
}

/// The system's name of the calling thread, which is that of its program where it was
/// given none; of the first thread `main`. At most 15 bytes, and zeros behind them.
pub(crate) fn thread_name() -> [u8; 16] {
    if nix::unistd::gettid() == nix::unistd::getpid() {
        return *b"main\0\0\0\0\0\0\0\0\0\0\0\0";
    }
    let mut name = [0_u8; 16];
    // SAFETY: a place for 16 bytes, for the time of the call.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}
