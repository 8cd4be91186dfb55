//! Whether anybody may be writing to a file: what only the kernel knows, and
//! tells to those who ask for a read lease.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::signal::SigSet;

/// Who has a file open for writing, or mapped so, anywhere on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Nobody, at the moment of the question.
    Nobody,
    /// Somebody.
    Somebody,
    /// The kernel does not tell: the file system has no leases, or the file
    /// belongs to another user.
    Unknown,
}

// Of the kernel's include/uapi/asm-generic/fcntl.h, the same on all machines that
// Rust knows under Linux; the libc crate has them for few.
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;
const F_OWNER_TID: c_int = 0;

/// `struct f_owner_ex` of the same header.
#[repr(C)]
struct Owner {
    kind: c_int,
    pid: libc::pid_t,
}

/// Who writes to a regular file that was opened for reading only. Does not wait.
///
/// The kernel gives a read lease only where nobody has the file open for writing
/// (fcntl(2), `F_SETLEASE`). It is given back at once: whoever opens the file for
/// writing in between, some microseconds, waits that long, or is told to try
/// again if it opened with `O_NONBLOCK`.
///
/// A lease that somebody wants to break is told with a signal, and the usual one,
/// SIGIO, ends a process that does not expect it. So the signal goes to this
/// thread, and is one that does nothing unless the program handles it; a thread
/// that asks often has all signals blocked ([`block_signals`]).
pub(crate) fn writers_of(file: &File) -> Writers {
    let fd = file.as_raw_fd();
    let owner = Owner { kind: F_OWNER_TID, pid: nix::unistd::gettid().as_raw() };
    // SAFETY: `fd` is open for as long as `file` is borrowed; `owner` is a valid
    // `f_owner_ex`, which is read during the call.
    let owned = unsafe { libc::fcntl(fd, F_SETOWN_EX, &raw const owner) };
    // SAFETY: as above, with a plain number.
    let signal = unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) };
    if owned < 0 || signal < 0 {
        return Writers::Unknown;
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } < 0 {
        return match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Writers::Somebody,
            _ => Writers::Unknown,
        };
    }
    // By name and not by closing: a child that was forked meanwhile has the
    // descriptor, too, and would keep the lease.
    // SAFETY: as above.
    unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    Writers::Nobody
}

/// Keeps all signals from this thread and from those that it starts.
pub(crate) fn block_signals() -> io::Result<()> {
    SigSet::all().thread_block().map_err(io::Error::from)
}
