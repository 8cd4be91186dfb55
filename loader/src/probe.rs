//! Loading a library for the first time is done by somebody else.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::Explain;
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
    #[error("{}; it is quarantined now", .0.reason)]
    Quarantined(QuarantineEntry),
    /// It did so before.
    #[error("it is quarantined: {}", .0.reason)]
    StillQuarantined(QuarantineEntry),
    /// The child process was refused by the system or the ABI, like this one
    /// would be.
    #[error(transparent)]
    Load(LoadError),
    /// There is no worker, and the host wants one.
    #[error("it was never loaded before, and there is no worker program to try it in: {}", .worker.display())]
    NoWorker {
        /// Where it was looked for.
        worker: PathBuf,
    },
    /// The worker itself failed.
    #[error("the worker program could not try it: {said}")]
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
            Self::Quarantined(entry) | Self::StillQuarantined(entry) => format!(
                "mend the plugin (a changed file is tried anew), or let this one try again with: \
                 host-app quarantine clear {}",
                &entry.hash[..12.min(entry.hash.len())]
            ),
            Self::Load(error) => error.hint(),
            Self::NoWorker { .. } => "put plugbay-worker beside the host's program".into(),
            Self::Worker { .. } => "see that the worker program starts: host-app doctor".into(),
        }
    }
}

/// That a library may be mapped into this process. Made only here.
#[derive(Debug)]
pub(crate) struct Probed(());

/// Asks the verdicts first and worker processes then.
#[derive(Debug)]
pub(crate) struct Prober {
    mode: Probe,
    worker: Option<PathBuf>,
    deadline: Duration,
    verdicts: Verdicts,
    /// Workers that wait for the next request.
    idle: Mutex<Vec<Worker>>,
}

impl Prober {
    pub(crate) fn new(
        mode: Probe,
        worker: PathBuf,
        deadline: Duration,
        verdicts: Verdicts,
    ) -> Self {
        let worker = Some(worker).filter(|path| path.is_file());
        Self { mode, worker, deadline, verdicts, idle: Mutex::default() }
    }

    /// Whether new libraries are loaded without being tried.
    pub(crate) fn goes_without(&self) -> bool {
        self.mode == Probe::IfPossible && self.worker.is_none()
    }

    /// Blocks at most for the deadline, besides file I/O and starting a process.
    pub(crate) fn probe(&self, verified: &Verified) -> Result<Probed, ProbeError> {
        let hash = verified.hash();
        // A quarantine holds even where nothing is tried.
        match self.verdicts.get(&hash) {
            Some(Verdict::Survived) => return Ok(Probed(())),
            Some(Verdict::Quarantined(entry)) => return Err(ProbeError::StillQuarantined(entry)),
            None => {}
        }
        let program = match (&self.worker, self.mode) {
            (_, Probe::Never) | (None, Probe::IfPossible) => return Ok(Probed(())),
            (None, Probe::Required) => {
                return Err(ProbeError::NoWorker { worker: default_worker() });
            }
            (Some(program), _) => program,
        };
        let reason = match self.ask(program, verified.copy_path())? {
            Answer::Loaded => {
                if let Err(error) = self.verdicts.survived(&hash) {
                    log::warn!("a verdict cannot be kept, so it costs again: {error}");
                }
                return Ok(Probed(()));
            }
            Answer::Refused(error) => return Err(ProbeError::Load(error)),
            Answer::Failed { said } => return Err(ProbeError::Worker { said }),
            Answer::Crashed { signal, said } => {
                with_words(format!("loading it ended the test process with {signal}"), &said)
            }
            Answer::Exited { code, said } => {
                with_words(format!("loading it made the test process exit with code {code}"), &said)
            }
            Answer::Hung { said } => with_words(
                format!("loading it did not come to an end within {:?}", self.deadline),
                &said,
            ),
        };
        let id = verified.manifest().id.as_str();
        match self.verdicts.quarantine(&hash, id, verified.path(), reason.clone()) {
            Ok(entry) => Err(ProbeError::Quarantined(entry)),
            Err(error) => Err(ProbeError::Worker {
                said: format!("{reason}; and that cannot be kept: {error}"),
            }),
        }
    }

    fn ask(&self, program: &Path, library: &Path) -> Result<Answer, ProbeError> {
        let failed = |error: io::Error| ProbeError::Worker {
            said: format!("{}: {error}", program.display()),
        };
        let request = Request::new(library, self.deadline);
        let idle = self.idle.lock().pop();
        if let Some(mut worker) = idle
            && let Ok(answer) = worker.ask(&request)
        {
            self.idle.lock().push(worker);
            return Ok(answer);
        }
        // None was there, or somebody has ended it since it answered last.
        let mut worker = Worker::start(program).map_err(failed)?;
        let answer = worker.ask(&request).map_err(failed)?;
        self.idle.lock().push(worker);
        Ok(answer)
    }
}

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
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(worker::ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A Ctrl-C at the terminal is for the host, which ends its workers.
        platform::in_a_group_of_its_own(&mut command);
        let mut child = command.spawn()?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| io::Error::other("it has no stdout"))?;
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let requests = self.requests.as_mut().ok_or_else(|| io::Error::other("it has no stdin"))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        requests.write_all(line.as_bytes())?;
        line.clear();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
