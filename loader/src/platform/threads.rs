//! Threads of this process, as the operating system sees them.

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

use nix::libc;

/// One thread of this process. Numbers are used again, so a time tells it from a
/// later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) tid: i32,
    /// When it was known to run, in ticks since the machine started: not before it
    /// started, and before any later thread of its number did.
    running_at: u64,
}

impl Task {
    /// The calling thread. Reads no file: it is on the way of every reload.
    pub(crate) fn current() -> Self {
        Self { tid: nix::unistd::gettid().as_raw(), running_at: now_in_ticks() }
    }

    /// Whether it may still run any code in user space.
    pub(crate) fn is_alive(self) -> bool {
        // SAFETY: signal 0 is none: the system only looks whether the thread is there.
        let found = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.tid, 0) };
        if found != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
            return false;
        }
        match started_at(self.tid) {
            // A tick more, as each is rounded by itself.
            Ok(started) => started <= self.running_at.saturating_add(1),
            // Without a descriptor left, one cannot know.
            Err(error) => {
                let gone = [io::ErrorKind::NotFound, io::ErrorKind::InvalidData];
                !gone.contains(&error.kind()) && error.raw_os_error() != Some(libc::ESRCH)
            }
        }
    }

    /// The name that the system has for it: at most 15 bytes.
    pub(crate) fn name(self) -> String {
        std::fs::read(format!("/proc/self/task/{}/comm", self.tid))
            .map(|name| String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
            .unwrap_or_default()
    }
}

/// The time since the machine started, as `/proc` counts it; for ever where the
/// system does not say, so that a number is taken for the thread that had it.
fn now_in_ticks() -> u64 {
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    let (Ok(now), Some(per_second)) = (nix::time::clock_gettime(clock), per_second) else {
        return u64::MAX;
    };
    let now = std::time::Duration::from(now);
    let (Ok(per_second), Ok(ticks)) = (u128::try_from(per_second), u64::try_from(now.as_nanos()))
    else {
        return u64::MAX;
    };
    u64::try_from(u128::from(ticks) * per_second / 1_000_000_000).unwrap_or(u64::MAX)
}

/// The start of a thread; `InvalidData` for one that has ended and is still listed.
fn started_at(tid: i32) -> io::Result<u64> {
    let stat = std::fs::read(format!("/proc/self/task/{tid}/stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    // The name stands in parentheses and may contain some. From behind it on,
    // the state is field 0 and the start is field 19: proc_pid_stat(5).
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ended = matches!(fields.next(), Some("Z" | "X"));
    let started = fields.nth(18).and_then(|field| field.parse().ok());
    started.filter(|_| !ended).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `pthread_create`, for arguments that somebody else made.
///
/// # Safety
///
/// `thread` and `attributes` are what `pthread_create` wants, and `argument` is
/// what `start` wants, on whatever thread.
pub(crate) unsafe fn start_thread(
    thread: *mut (),
    attributes: *const (),
    start: unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> i32 {
    // Declared here, as the thread's first function may be unwound when the
    // thread is cancelled, which the one in `libc` does not say.
    unsafe extern "C" {
        fn pthread_create(
            thread: *mut (),
            attributes: *const (),
            start: unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
            argument: *mut c_void,
        ) -> c_int;
    }
    // SAFETY: the caller's promise.
    unsafe { pthread_create(thread, attributes, start, argument) }
}

/// Has `function` called when this thread ends, after its thread-locals were destroyed;
/// also where that has begun already. It is one function for the whole process.
pub(crate) fn call_after_thread_locals(function: unsafe extern "C" fn(*mut c_void)) {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: a place for the key.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(function)) };
        (made == 0).then_some(key)
    });
    if let Some(key) = key {
        // SAFETY: a key that is never deleted. The value is only not to be null.
        unsafe { libc::pthread_setspecific(*key, std::ptr::dangling()) };
    }
}

/// The signals whose handler lies in one of the ranges of addresses.
pub(crate) fn signals_handled_in(ranges: &[std::ops::Range<u64>]) -> Vec<String> {
    let mut found = Vec::new();
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: plain numbers and pointers, for which all zeros is a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: only asked for; `action` is a valid place. The two signals
        // that the C library keeps for itself are an error.
        if unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) } != 0 {
            continue;
        }
        let handler = action.sa_sigaction as u64;
        if ranges.iter().any(|range| range.contains(&handler)) {
            found.push(match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => signal.as_str().to_owned(),
                Err(_) => format!("signal {number}"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_alive_until_it_has_gone() {
        let thread = std::thread::Builder::new().name("a) Z 0 (b".into());
        let (sender, receiver) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = thread
            .spawn(move || {
                sender.send(Task::current()).unwrap();
                let _ = ended.recv();
            })
            .unwrap();
        let task = receiver.recv().unwrap();
        assert!(task.is_alive());
        assert_eq!(task.name(), "a) Z 0 (b");
        // Another one that got the same number.
        assert!(!Task { running_at: 1, ..task }.is_alive());
        drop(end);
        thread.join().unwrap();
        while task.is_alive() {
            std::thread::yield_now();
        }
    }
}
