//! The other end of [`Probe`](crate::Probe): a small process that loads
//! libraries in forked children, so that this host need not be the first.
//!
//! `plugbay-worker` is nothing but [`run`]. A host that ships as one binary can
//! be its own worker: it calls [`run`] when its arguments say so, before it
//! starts any thread, and names itself with
//! [`HostBuilder::worker`](crate::HostBuilder::worker).

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use plugbay_interface::abi::FINGERPRINT as ABI;

use crate::load::{self, LoadError};
use crate::platform::{self, Child, ChildEnd, Served};

/// The argument with which a worker is started.
pub const ARGUMENT: &str = "--plugbay-worker";

/// One request; a line of JSON on the worker's stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The path's bytes, as the operating system has them.
    path: Vec<u8>,
    deadline_ms: u64,
}

/// One answer; a line of JSON on the worker's stdout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// To a request without a path: here I am, and this is the ABI that I know.
    Hello {
        /// [`ABI`].
        abi: String,
    },
    /// The child loaded it and lived on.
    Loaded,
    /// The child was refused, and lived on.
    Refused(LoadError),
    /// The child was ended by a signal.
    Crashed { signal: String, said: String },
    /// The child was ended by the library's own code.
    Exited { code: i32, said: String },
    /// The child did not come back in time.
    Hung { said: String },
    /// The worker itself could not do it.
    Failed { said: String },
    /// Not the worker's own: it came to no answer, as it has ended or is slow.
    #[serde(skip)]
    Silenced { said: String, ended: bool },
}

impl Answer {
    /// Whether it tells of an end that others give to processes that they know nothing
    /// about, too.
    pub(crate) fn may_be_by_others(&self) -> bool {
        match self {
            Self::Crashed { signal, .. } => {
                ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"].contains(&signal.as_str())
            }
            Self::Silenced { ended, .. } => *ended,
            _ => false,
        }
    }
}

impl Request {
    pub(crate) fn new(path: &Path, deadline: Duration) -> Self {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        Self { path: path.as_os_str().as_encoded_bytes().to_vec(), deadline_ms }
    }

    /// Asks for nothing but an answer.
    pub(crate) fn hello() -> Self {
        Self { path: Vec::new(), deadline_ms: 0 }
    }
}

/// Serves requests from stdin on stdout until stdin ends.
///
/// # Errors
///
/// When stdin or stdout break.
///
/// # Safety
///
/// The process has only the calling thread, and starts no other before this
/// returns: each request is served in a forked child.
pub unsafe fn run() -> io::Result<()> {
    platform::be_a_worker()?;
    let mut stdout = io::stdout().lock();
    let mut ahead = None;
    for line in io::stdin().lock().lines() {
        let (answer, served) = match serde_json::from_str::<Request>(&line?) {
            Ok(request) if request.path.is_empty() => (Answer::Hello { abi: ABI.into() }, None),
            // SAFETY: the caller's promise.
            Ok(request) => match unsafe { serve(&request, ahead.take()) } {
                Ok(served) => (answer_of(&served.end), Some(served)),
                Err(error) => (Answer::Failed { said: error.to_string() }, None),
            },
            Err(error) => (Answer::Failed { said: format!("no request: {error}") }, None),
        };
        serde_json::to_writer(&mut stdout, &answer)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        // What follows nobody waits for: the end of this child, and the next one.
        drop(served);
        if ahead.is_none() {
            // SAFETY: the caller's promise.
            ahead = unsafe { fork_ahead() }.ok();
        }
    }
    Ok(())
}

/// # Safety
///
/// As for [`run`].
unsafe fn serve(request: &Request, ahead: Option<Child>) -> io::Result<Served> {
    let child = match ahead.filter(Child::is_waiting) {
        Some(child) => child,
        // SAFETY: the caller's promise.
        None => unsafe { fork_ahead() }?,
    };
    child.run(&request.path, Duration::from_millis(request.deadline_ms))
}

/// # Safety
///
/// As for [`run`].
unsafe fn fork_ahead() -> io::Result<Child> {
    let load = |path: &[u8]| {
        // SAFETY: this is the child process whose end is what the probe is for;
        // the library stays mapped until then.
        let outcome = unsafe { load::open_root(&platform::path_of(path), None) }.map(drop);
        serde_json::to_vec(&outcome).unwrap_or_default()
    };
    // SAFETY: the caller's promise.
    unsafe { Child::fork_ahead(load::rehearse, load) }
}

fn answer_of(end: &ChildEnd) -> Answer {
    match end {
        ChildEnd::Finished(bytes) => match serde_json::from_slice(bytes) {
            Ok(Ok(())) => Answer::Loaded,
            Ok(Err(error)) => Answer::Refused(error),
            Err(error) => Answer::Failed { said: format!("no result: {error}") },
        },
        ChildEnd::Died { status, said } => match platform::signal_name(*status) {
            Some(signal) => Answer::Crashed { signal, said: said.clone() },
            None => Answer::Exited { code: status.code().unwrap_or(-1), said: said.clone() },
        },
        ChildEnd::Hung { said } => Answer::Hung { said: said.clone() },
    }
}
