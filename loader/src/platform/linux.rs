use std::ffi::{CString, c_int, c_void};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use libloading::os::unix as dl;
use nix::libc;

/// The extension of a library's file name.
pub(crate) const LIBRARY_EXTENSION: &str = "so";

/// Opens a file for reading without waiting: not for the writer of a FIFO, not
/// for a device. The caller looks at what was opened.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// What a file is that is not a regular one.
pub(crate) fn kind_of(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no regular file"
    }
}

/// The permission bits, if every user of the machine may write.
pub(crate) fn writable_by_everyone(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.mode() & 0o7777;
    (mode & 0o002 != 0).then_some(mode)
}

/// Whether only a file's owner may replace it in this folder.
pub(crate) fn is_sticky(metadata: &Metadata) -> bool {
    metadata.mode() & 0o1000 != 0
}

/// Makes a folder, and those above it, that only this user may enter.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether a symbolic link leads in a circle.
pub(crate) fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// The bytes of a file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Bytes(memmap2::Mmap);

impl Bytes {
    /// Maps a whole file.
    ///
    /// # Safety
    ///
    /// Nobody changes the file or cuts it off while the value lives.
    pub(crate) unsafe fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { memmap2::MmapOptions::new().populate().map(file) }.map(Self)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A library that is mapped into this process. It stays mapped when this value
/// is dropped; only [`close`](Library::close) gives it back.
#[derive(Debug)]
pub(crate) struct Library {
    /// Not dropped by itself: that would close it.
    handle: ManuallyDrop<dl::Library>,
}

impl Library {
    /// Maps a library and runs its constructors. Blocks for as long as they do.
    ///
    /// # Safety
    ///
    /// Constructors are arbitrary code: the file was verified, and survived the
    /// same in a child process wherever one could be had. Nobody writes to the
    /// file: it lies in a private folder.
    pub(crate) unsafe fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: the caller's promise.
        unsafe { dl::Library::open(Some(path), dl::RTLD_NOW | dl::RTLD_LOCAL) }
            .map(|handle| Self { handle: ManuallyDrop::new(handle) })
            .map_err(|error| innermost(&error))
    }

    /// The address of an exported symbol.
    pub(crate) fn address_of(&self, symbol: &str) -> Option<*const c_void> {
        // SAFETY: the symbol is only asked for its address, and any type that
        // is a pointer holds that.
        let symbol = unsafe { self.handle.get::<*const c_void>(symbol.as_bytes()) }.ok()?;
        Some(symbol.into_raw().cast_const())
    }

    /// Gives the library back. Whether it is unmapped then is to be looked at.
    ///
    /// # Safety
    ///
    /// No code or data of it is used from now on by any thread.
    pub(crate) unsafe fn close(self) -> Result<(), String> {
        ManuallyDrop::into_inner(self.handle).close().map_err(|error| innermost(&error))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

/// Whether any part of the file at `path` is mapped into this process.
pub(crate) fn is_mapped(path: &Path) -> io::Result<bool> {
    let maps = std::fs::read("/proc/self/maps")?;
    let wanted = path.as_os_str().as_encoded_bytes();
    Ok(maps.split(|byte| *byte == b'\n').any(|line| {
        let file = line.strip_suffix(b" (deleted)").unwrap_or(line);
        file.strip_suffix(wanted).is_some_and(|before| before.ends_with(b" "))
    }))
}

/// Takes the lock on a file without waiting; `false` when another process has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Keeps signals of the terminal from a process that is to be started.
pub(crate) fn in_a_group_of_its_own(command: &mut std::process::Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// How a child process ended that ran one function.
#[derive(Debug)]
pub(crate) enum ChildEnd {
    /// It wrote its result and was done.
    Finished(Vec<u8>),
    /// It ended before that.
    Died { status: ExitStatus, said: String },
    /// It did not end in time and was killed.
    Hung { said: String },
}

/// Runs `body` in a forked child, with a session, a stderr and no stdin and
/// stdout of its own and without core dumps, and returns the bytes that it makes:
/// at least one, and no more than a pipe holds (64 KiB), since nobody reads
/// before the child has ended.
///
/// # Safety
///
/// This process has one thread: a forked child holds the locks of all the
/// threads that it does not have.
pub(crate) unsafe fn run_in_child(
    deadline: Duration,
    body: impl FnOnce() -> Vec<u8>,
) -> io::Result<ChildEnd> {
    let (mut result, mut result_writer) = io::pipe()?;
    let mut said = memory_file()?;
    // SAFETY: the caller's promise.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => {
            let _ = detach_child(said.as_fd());
            let bytes = body();
            let sent = result_writer.write_all(&bytes).is_ok();
            // SAFETY: ends this process at once; nothing of the parent's that
            // an ordinary exit would flush or run may happen twice.
            unsafe { libc::_exit(if sent { 0 } else { 1 }) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            drop(result_writer);
            let watched = watch_child(child, deadline);
            // The whole session: what the library may have started, too.
            let _ = nix::sys::signal::killpg(child, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            let status = wait_for(child)?;
            let in_time = watched?;
            said.rewind()?;
            let mut heard = Vec::new();
            said.take(4096).read_to_end(&mut heard)?;
            let said = String::from_utf8_lossy(&heard).trim().to_owned();
            if !in_time {
                return Ok(ChildEnd::Hung { said });
            }
            if status.code() != Some(0) {
                return Ok(ChildEnd::Died { status, said });
            }
            let mut bytes = Vec::new();
            set_nonblocking(result.as_fd())?;
            match result.read_to_end(&mut bytes) {
                Ok(_) => {}
                // Something that the library started still holds the other end.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if bytes.is_empty() {
                return Ok(ChildEnd::Died { status, said });
            }
            Ok(ChildEnd::Finished(bytes))
        }
    }
}

/// Waits until the child has ended, at most for `deadline`; says whether it has.
fn watch_child(child: nix::unistd::Pid, deadline: Duration) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    // SAFETY: a system call with plain numbers; the kernel returns a new
    // descriptor or an error. The child is not reaped yet, so the pid is its.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else owns it.
    let child = unsafe { OwnedFd::from_raw_fd(number as c_int) };
    let end = Instant::now() + deadline;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(child.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait_for(child: nix::unistd::Pid) -> io::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for an int, for the time of the call.
        let done = unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) };
        if done >= 0 {
            return Ok(ExitStatus::from_raw(status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn detach_child(stderr: BorrowedFd<'_>) -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};

    nix::unistd::setsid()?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for (from, to) in [(null.as_fd(), 0), (null.as_fd(), 1), (stderr, 2)] {
        // SAFETY: both are open descriptors; 0, 1 and 2 are this child's alone.
        if unsafe { libc::dup2(from.as_raw_fd(), to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn memory_file() -> io::Result<File> {
    let name = CString::from(c"plugbay-probe");
    let fd =
        nix::sys::memfd::memfd_create(name.as_c_str(), nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    Ok(File::from(fd))
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A signal as people know it.
pub(crate) fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    })
}
