//! Child processes that run one function each, and may be lost.

use std::ffi::{CString, c_int};
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

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

/// A forked child that waits for its request. It has a session, a stderr and no
/// stdin and stdout of its own, no core dumps and limits. Dropping it ends it, with
/// all that it may have started.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// Readable when it has ended.
    end: OwnedFd,
    /// Until it has its request.
    request: Option<PipeWriter>,
    result: PipeReader,
    said: File,
    token: Token,
    /// How it ended, once nothing is left of it.
    ended: Option<ExitStatus>,
}

/// What a result begins with. It is not to be found in the descriptors: what does not
/// begin with it was written by the library and not by `body`'s caller.
type Token = [u8; 8];

/// What the bytes are that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// What `body` made.
    Result,
    /// Why it was not run: nothing that it would have done.
    NotReady,
}

/// The longest request that is read in one go: a path.
const PATH_MOST: usize = 8 * 1024;

/// Makes this process one that can look after children: their ends are told to
/// it, and what they leave behind becomes its child.
pub(crate) fn be_a_worker() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // A host may ignore it, and that is inherited.
    // SAFETY: back to the default; there is no handler of this program's.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(())
}

impl Child {
    /// Forks a child ahead of its request, so that it is there when it is needed:
    /// it runs `prepare` at once and `body` on the request. At most 64 KiB of what
    /// `body` makes come back.
    ///
    /// # Safety
    ///
    /// This process has one thread: a forked child holds the locks of all the
    /// threads that it does not have.
    pub(crate) unsafe fn fork_ahead(
        prepare: impl FnOnce(),
        body: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> io::Result<Self> {
        let (mut request_reader, request) = io::pipe()?;
        let (result, mut result_writer) = io::pipe()?;
        let said = memory_file()?;
        let token = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let token: Token = token.to_ne_bytes();
        let parent = nix::unistd::getpid();
        // SAFETY: the caller's promise.
        match unsafe { nix::unistd::fork() }? {
            nix::unistd::ForkResult::Child => {
                // The request ends when nobody can write to it any more.
                drop((request, result));
                let asked = detach(parent, said.as_fd()).and_then(|()| {
                    prepare();
                    // Room for it at once, so that it is read at once.
                    let mut asked = Vec::with_capacity(PATH_MOST);
                    request_reader.read_to_end(&mut asked).map(|_| asked)
                });
                let (kind, result) = match asked {
                    Ok(asked) => {
                        // Where memory runs out all the same, this is who goes. Not
                        // everybody may say so.
                        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
                        (Kind::Result, body(&asked))
                    }
                    Err(error) => (Kind::NotReady, error.to_string().into_bytes()),
                };
                let finished = result_writer.write_all(&framed(&token, kind, &result)).is_ok();
                // SAFETY: ends this process at once; nothing of the parent's that
                // an ordinary exit would flush or run may happen twice.
                unsafe { libc::_exit(if finished { 0 } else { 1 }) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                drop((request_reader, result_writer));
                set_nonblocking(result.as_fd())?;
                let end = watch(child).inspect_err(|_| drop(end_all(child)))?;
                Ok(Self {
                    pid: child,
                    end,
                    request: Some(request),
                    result,
                    said,
                    token,
                    ended: None,
                })
            }
        }
    }

    /// Whether it still waits. Something may have ended it meanwhile.
    pub(crate) fn is_waiting(&self) -> bool {
        let mut end = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        self.ended.is_none() && poll(&mut end, PollTimeout::ZERO) == Ok(0)
    }

    /// Sends it its request, at most 64 KiB, and waits for the result, at most for
    /// `deadline`. What it may have started goes on until this value is dropped.
    pub(crate) fn run(mut self, request: &[u8], deadline: Duration) -> io::Result<Served> {
        // Where it cannot be sent, the child has ended, which is seen below.
        let _ = self.request.take().map(|mut to| to.write_all(request));
        // None: for ever.
        let until = Instant::now().checked_add(deadline);
        let mut result = Vec::new();
        // Something that the library has started may keep the other end open after
        // the child's end, or the child may close it before.
        let mut more = true;
        loop {
            let left =
                until.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut both = [
                PollFd::new(self.end.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.result.as_fd(), PollFlags::POLLIN),
            ];
            let watched = if more { &mut both[..] } else { &mut both[..1] };
            match poll(watched, timeout) {
                Ok(0) if left.is_zero() => {
                    end_all(self.pid).map(|status| self.ended = Some(status))?;
                    let said = last_words(&mut self.said)?;
                    return Ok(Served { end: ChildEnd::Hung { said }, _child: self });
                }
                Ok(0) | Err(nix::Error::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let has_ended = both[0].any().unwrap_or(false);
            if more {
                more = receive(&mut self.result, &mut result)?;
            }
            match whole(&result, &self.token) {
                Some((Kind::Result, bytes)) => {
                    let end = ChildEnd::Finished(bytes.to_vec());
                    return Ok(Served { end, _child: self });
                }
                Some((Kind::NotReady, why)) => {
                    let why = String::from_utf8_lossy(why);
                    let message = format!("the test process cannot be made ready: {why}");
                    return Err(io::Error::other(message));
                }
                None => {}
            }
            if has_ended {
                let status = end_all(self.pid)?;
                self.ended = Some(status);
                let said = last_words(&mut self.said)?;
                return Ok(Served { end: ChildEnd::Died { status, said }, _child: self });
            }
        }
    }
}

/// What became of a request. The child ends with it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) end: ChildEnd,
    _child: Child,
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = end_all(self.pid);
        }
    }
}

/// The token, the kind, the length, the bytes.
fn framed(token: &Token, kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&token[..], &[kind as u8], &length.to_ne_bytes(), bytes].concat()
}

/// What has come, if it has come whole.
fn whole<'a>(received: &'a [u8], token: &Token) -> Option<(Kind, &'a [u8])> {
    let (kind, rest) = received.strip_prefix(token)?.split_first()?;
    let kind = if *kind == Kind::Result as u8 { Kind::Result } else { Kind::NotReady };
    let (length, bytes) = rest.split_first_chunk()?;
    Some((kind, bytes.get(..u32::from_ne_bytes(*length) as usize)?))
}

/// Reads what is there; whether there may be more.
fn receive(from: &mut PipeReader, received: &mut Vec<u8>) -> io::Result<bool> {
    match from.read_to_end(received) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Ends a child with its whole session, and what has left that.
fn end_all(child: Pid) -> io::Result<ExitStatus> {
    let _ = killpg(child, Signal::SIGKILL);
    let _ = kill(child, Signal::SIGKILL);
    let status = wait_for(child)?;
    end_leftovers();
    Ok(status)
}

/// Ends processes that a library has started and that left its session: with
/// their parent gone they are this process's children.
fn end_leftovers() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    // As often as something was there: a child's end brings up its own children.
    for _ in 0..1000 {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let child = nix::unistd::Pid::from_raw(child);
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
        }
        let flags =
            if children.trim().is_empty() { WaitPidFlag::WNOHANG } else { WaitPidFlag::empty() };
        match waitpid(None, Some(flags)) {
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return,
            _ => {}
        }
    }
}

/// The end of what was written to stderr.
fn last_words(said: &mut File) -> io::Result<String> {
    let length = said.seek(io::SeekFrom::End(0))?;
    said.seek(io::SeekFrom::Start(length.saturating_sub(4096)))?;
    let mut heard = Vec::new();
    said.take(4096).read_to_end(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard).trim().to_owned())
}

/// Something that can be waited for together with other things.
fn watch(child: Pid) -> io::Result<OwnedFd> {
    // SAFETY: a system call with plain numbers; the kernel returns a new
    // descriptor or an error. The child is not reaped yet, so the pid is its.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as c_int) })
}

fn wait_for(child: Pid) -> io::Result<ExitStatus> {
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

/// What a library may take while it is loaded in a child, beyond what the
/// child has from the start: memory to write to, and the size of a file.
const MOST_MEMORY: u64 = 4 << 30;
const MOST_FILE: u64 = 64 << 20;

fn detach(parent: Pid, stderr: BorrowedFd<'_>) -> io::Result<()> {
    use nix::sys::resource::Resource;

    nix::unistd::setsid()?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::other("the worker has ended"));
    }
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, MOST_FILE)?;
    limit(Resource::RLIMIT_DATA, data_size()?.saturating_add(MOST_MEMORY))?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for (from, to) in [(null.as_fd(), 0), (null.as_fd(), 1), (stderr, 2)] {
        // SAFETY: both are open descriptors; 0, 1 and 2 are this child's alone.
        if unsafe { libc::dup2(from.as_raw_fd(), to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Not more than this. Where there is less already, it stays so: few may raise it.
fn limit(resource: nix::sys::resource::Resource, most: u64) -> io::Result<()> {
    let (_, hard) = nix::sys::resource::getrlimit(resource)?;
    let most = most.min(hard);
    Ok(nix::sys::resource::setrlimit(resource, most, most)?)
}

/// How much private memory this process has already, in bytes.
fn data_size() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes
        .and_then(|kilobytes| kilobytes.checked_mul(1024))
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmData"))
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
