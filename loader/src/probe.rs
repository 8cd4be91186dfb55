//! Loading a library for the first time is done by somebody else.

use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use plugbay_interface::abi::FINGERPRINT;

use crate::error::{Explain, printable, shown_word};
use crate::load::LoadError;
use crate::platform;
use crate::verdicts::{QuarantineEntry, Verdict, Verdicts};
use crate::verify::Verified;
use crate::worker::{self, Answer, Request};

/// Whether libraries that were never loaded before are first loaded in a child
/// process. Verdicts are kept by content hash, so it costs once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Probe {
    /// Where the worker program is found; else load without, and say so.
    #[default]
    IfPossible,
    /// Always; without a worker nothing new is loaded.
    Required,
    /// Never: a library whose constructor crashes takes this process along.
    Never,
}

/// Why a library is not loaded into this process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Loading it ended the child process.
    #[error("{}; it is quarantined now", shown_word(&.0.reason))]
    Quarantined(Box<QuarantineEntry>),
    /// It did so before.
    #[error("it is quarantined: {}", shown_word(&.0.reason))]
    StillQuarantined(Box<QuarantineEntry>),
    /// The child process was refused by the system or the ABI, like this one
    /// would be.
    #[error(transparent)]
    Load(LoadError),
    /// There is no worker, and the host wants one.
    #[error("it was never loaded before, and there is no worker program to try it in: {}", printable(.worker))]
    NoWorker {
        /// Where it was looked for.
        worker: PathBuf,
    },
    /// The worker itself failed.
    #[error("the worker program could not try it: {}", shown_word(.said))]
    Worker {
        /// What went wrong.
        said: String,
    },
}

impl Explain for ProbeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Quarantined(_) => "PB0401",
            Self::StillQuarantined(_) => "PB0402",
            Self::Load(error) => error.code(),
            Self::NoWorker { .. } => "PB0403",
            Self::Worker { .. } => "PB0404",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Quarantined(entry) | Self::StillQuarantined(entry) if !entry.kept => {
                "mend the plugin (a changed file is tried anew), and make room in the cache \
                 folder or see who may write to it"
                    .into()
            }
            Self::Quarantined(entry) | Self::StillQuarantined(entry) => format!(
                "mend the plugin (a changed file is tried anew), or let this one try again with: \
                 host-app quarantine clear {}",
                entry.hash.get(..12).unwrap_or("ID")
            ),
            Self::Load(error) => error.hint(),
            Self::NoWorker { .. } => "put plugbay-worker beside the host's program".into(),
            Self::Worker { .. } => {
                "see that the worker program starts, and is of the same build as \
                                    the host: host-app doctor"
                    .into()
            }
        }
    }
}

/// That a library may be mapped into this process. Made only here.
#[derive(Debug)]
pub(crate) struct Probed {
    /// Who has compared the layout of its types with this host's, where somebody has.
    pub(crate) compared: Option<Compared>,
    /// The verdict, where it is new: see [`Prober::keep`].
    pub(crate) new: Option<blake3::Hash>,
}

/// That a file of this content was loaded by a worker, whose types are laid out as this
/// host's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared(());

impl Probed {
    const UNTRIED: Self = Self { compared: None, new: None };
    const KNOWN: Self = Self { compared: Some(Compared(())), new: None };
}

/// Asks the verdicts first and worker processes then.
#[derive(Debug)]
pub(crate) struct Prober {
    mode: Probe,
    worker: PathBuf,
    deadline: Duration,
    verdicts: Verdicts,
    /// Workers that wait for the next request.
    idle: Mutex<Vec<Worker>>,
    /// Whether a library was let through that nobody had tried.
    untried: AtomicBool,
}

impl Prober {
    pub(crate) fn new(
        mode: Probe,
        worker: PathBuf,
        deadline: Duration,
        verdicts: Verdicts,
    ) -> Self {
        let (idle, untried) = (Mutex::default(), AtomicBool::new(false));
        Self { mode, worker, deadline, verdicts, idle, untried }
    }

    /// Whether libraries were let through untried, because there is no worker.
    pub(crate) fn went_without(&self) -> bool {
        self.untried.load(Ordering::Relaxed)
    }

    /// Blocks at most for the deadline and [`GRACE`], besides file I/O and
    /// starting a process; longer only where somebody ends that.
    pub(crate) fn probe(&self, verified: &Verified) -> Result<Probed, ProbeError> {
        let hash = verified.hash();
        // A quarantine holds even where nothing is tried.
        match self.verdicts.get(&hash) {
            Some(Verdict::Survived) => return Ok(Probed::KNOWN),
            Some(Verdict::Quarantined(entry)) => {
                return Err(ProbeError::StillQuarantined(Box::new(entry)));
            }
            None => {}
        }
        let program = match self.mode {
            Probe::Never => return Ok(Probed::UNTRIED),
            _ if self.worker.is_file() => &self.worker,
            Probe::Required => return Err(ProbeError::NoWorker { worker: self.worker.clone() }),
            Probe::IfPossible => {
                self.untried.store(true, Ordering::Relaxed);
                return Ok(Probed::UNTRIED);
            }
        };
        let mut answer = self.ask(program, verified.copy_path())?;
        // That may be another one's doing, who ends a process to get memory or because
        // the host is to end. A library that does it itself does it again.
        if answer.may_be_by_others() {
            answer = self.ask(program, verified.copy_path())?;
        }
        let reason = match answer {
            Answer::Loaded => {
                return Ok(Probed { compared: Some(Compared(())), new: Some(hash) });
            }
            Answer::Refused(error) => return Err(ProbeError::Load(error)),
            Answer::Failed { said } => return Err(ProbeError::Worker { said }),
            Answer::Hello { .. } => {
                return Err(ProbeError::Worker { said: "an odd answer".into() });
            }
            Answer::Crashed { signal, said } => {
                with_words(format!("loading it ended the test process with {signal}"), &said)
            }
            Answer::Exited { code, said } => {
                with_words(format!("loading it made the test process exit with code {code}"), &said)
            }
            Answer::Silenced { said, .. } => {
                format!(
                    "loading it ended or stopped the process that watches the test process: {said}"
                )
            }
            Answer::Hung { said } => with_words(
                format!("loading it did not come to an end within {:?}", self.deadline),
                &said,
            ),
        };
        let id = verified.manifest().id.as_str();
        let entry = self.verdicts.crashed_with(&hash, id, verified.path(), reason);
        Err(ProbeError::Quarantined(Box::new(entry)))
    }

    /// Writes down that a library may be loaded: later, when nobody waits for it.
    pub(crate) fn keep(&self, hash: &blake3::Hash) {
        if let Err(error) = self.verdicts.survived(hash) {
            log::warn!("a verdict cannot be kept, so it costs again: {error}");
        }
    }

    fn ask(&self, program: &Path, library: &Path) -> Result<Answer, ProbeError> {
        let failed = |error: io::Error| ProbeError::Worker {
            said: format!("{}: {error}", program.display()),
        };
        let request = Request::new(library, self.deadline);
        let limit = self.deadline.saturating_add(GRACE);
        // One of the process that this one was forked from is still that one's, which would
        // take what is for this one, and the other way round.
        let idle = self.idle.lock().pop().filter(Worker::is_of_this_process);
        if let Some(mut worker) = idle
            && let Ok(answer) = worker.ask(&request, limit)
        {
            self.idle.lock().push(worker);
            return Ok(answer);
        }
        // None was there, or somebody has ended it since it answered last, or
        // the library has: a new worker tells.
        let mut worker = Worker::start(program).map_err(failed)?;
        worker.greet().map_err(failed)?;
        match worker.ask(&request, limit) {
            Ok(answer) => {
                self.idle.lock().push(worker);
                Ok(answer)
            }
            // It had answered a moment ago, so it is the library's doing.
            Err(error) => {
                let ended = error.kind() != io::ErrorKind::TimedOut;
                Ok(Answer::Silenced { said: error.to_string(), ended })
            }
        }
    }
}

/// How much longer than the deadline an answer may take on a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// The worker program's place where the host names none: beside the host's own.
pub(crate) fn default_worker() -> PathBuf {
    let name = format!("plugbay-worker{}", std::env::consts::EXE_SUFFIX);
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

fn with_words(reason: String, said: &str) -> String {
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    match last {
        Some(line) => {
            let short: String = line.trim().chars().take(200).filter(|c| !c.is_control()).collect();
            format!("{reason} (it said: {short})")
        }
        None => reason,
    }
}

/// A running worker process; ended by the end of its stdin.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// The number of the process whose child it is.
    parent: u32,
    /// Its stdin and stdout. A socket and not two pipes: it has time limits,
    /// and writing to a process that has ended raises no signal.
    line: BufReader<UnixStream>,
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .arg(worker::ARGUMENT)
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs));
        // A Ctrl-C at the terminal is for the host, which ends its workers.
        platform::in_a_group_of_its_own(&mut command);
        let (child, parent) = (command.spawn()?, std::process::id());
        Ok(Self { child, parent, line: BufReader::new(ours) })
    }

    fn is_of_this_process(&self) -> bool {
        self.parent == std::process::id()
    }

    /// Sees that it is a worker and runs.
    fn greet(&mut self) -> io::Result<()> {
        match self.ask(&Request::hello(), GRACE)? {
            Answer::Hello { abi } if abi == FINGERPRINT => Ok(()),
            Answer::Hello { .. } => Err(io::Error::other("it is of another build than this host")),
            other => Err(io::Error::other(format!("an odd answer: {other:?}"))),
        }
    }

    fn ask(&mut self, request: &Request, limit: Duration) -> io::Result<Answer> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        platform::send_all(self.line.get_ref(), line.as_bytes())?;
        self.line.get_ref().set_read_timeout(Some(limit))?;
        line.clear();
        match self.line.read_line(&mut line) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended")),
            Ok(_) => Ok(serde_json::from_str(&line)?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.is_of_this_process() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
