//! The host's way to its registry.
//!
//! What was seen and what happened is handed to a thread of its own, which writes it in
//! that order: who changes a host does not wait for the disk. What must be there before
//! something goes on, wishes and attempts, is written by who needs it ([`Recorder::ask`]).
//!
//! A registry that fails stops nothing. It is told once, in the log and as an event, and
//! again when it fails after it has worked.

mod by_hand;
mod changes;
mod told;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use parking_lot::Mutex;
use plugbay_interface::manifest::PluginId;

pub(crate) use changes::{Seen, Snapshot};

use self::by_hand::ByHand;
use self::changes::Changes;
use crate::events::{Chronicle, Event, Happening};
use crate::registry::{
    self, AttemptId, HeldBack, HostProcess, Registry, RegistryError, Selector, Wish,
};
use crate::report::{Notice, full_message};
use crate::verdicts::Verdicts;

/// How long a host that is stopped waits for what is still to be written.
const FAREWELL: Duration = Duration::from_secs(5);

/// After how long it is tried again to write what could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// A host's registry, and the thread that writes to it.
pub(crate) struct Recorder {
    registry: Arc<dyn Registry>,
    jobs: Sender<Job>,
    trouble: Arc<Trouble>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Who begins attempts; none where that is not known.
    pub(crate) process: Option<HostProcess>,
}

/// What the thread is asked for.
pub(crate) enum Job {
    /// Something happened to plugins.
    Happened(Box<Event>),
    /// Something else for the history.
    Tell(registry::Event),
    /// What there is now.
    Seen(Snapshot),
    /// Attempts are over.
    Over(Vec<AttemptId>),
    /// The registry was begun anew.
    Anew,
    /// Say when all before is written.
    Flush(Sender<()>),
    /// Write what there is, and end.
    End,
}

/// Whether the registry fails, and who is told.
struct Trouble {
    chronicle: Arc<Chronicle>,
    /// As the last start tells it; none as long as it works.
    now: Mutex<Option<Notice>>,
    anew: AtomicBool,
    /// Whether another process had it locked the last time.
    busy: AtomicBool,
    /// What is written once more where the registry was begun anew.
    by_hand: Mutex<ByHand>,
}

impl Recorder {
    /// Starts the thread. What happens in the host is recorded from now on.
    pub(crate) fn start(
        registry: Arc<dyn Registry>,
        chronicle: &Arc<Chronicle>,
        verdicts: Verdicts,
    ) -> Self {
        let (jobs, waiting) = unbounded();
        let trouble = Arc::new(Trouble {
            chronicle: chronicle.clone(),
            now: Mutex::default(),
            anew: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            by_hand: Mutex::default(),
        });
        let process = trouble.checked(HostProcess::current());
        let writer = {
            let (registry, trouble) = (registry.clone(), trouble.clone());
            let changes = Changes::new(verdicts);
            move || write(&*registry, &waiting, changes, &trouble)
        };
        let thread = thread::Builder::new().name("plugbay-recorder".into()).spawn(writer);
        let thread = thread
            .inspect_err(|error| {
                log::warn!("no thread could be started, so nothing is recorded: {error}");
            })
            .ok();
        if thread.is_some() {
            chronicle.record(jobs.clone());
        }
        Self { registry, jobs, trouble, thread: Mutex::new(thread), process }
    }

    /// Does something with the registry on this thread. Once more, where the registry was
    /// just begun anew: what it knew is written again then, too.
    pub(crate) fn ask<T>(
        &self,
        wish: impl Fn(&dyn Registry) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let outcome = match wish(&*self.registry) {
            Err(error) if error.is_begun_anew() => {
                self.trouble.begun_anew(&error);
                self.tell(Job::Anew);
                wish(&*self.registry)
            }
            outcome => outcome,
        };
        self.trouble.saw(&outcome);
        if let Err(error) = &outcome {
            self.trouble.failed(error);
        }
        outcome
    }

    /// The same, for what nobody is to wait for: while another process has the registry
    /// locked, each would wait for as long as the registry is patient. None where it is.
    /// Where it fails, that is told.
    pub(crate) fn ask_if_free<T>(
        &self,
        wish: impl Fn(&dyn Registry) -> Result<T, RegistryError>,
    ) -> Result<Option<T>, RegistryError> {
        if self.trouble.busy.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.ask(wish).map(Some)
    }

    /// Tells that something could not be written, where that is new.
    pub(crate) fn failed(&self, error: &RegistryError) {
        self.trouble.failed(error);
    }

    /// What was found in the registry.
    pub(crate) fn found(&self, wishes: BTreeMap<PluginId, Wish>, held: Vec<HeldBack>) {
        *self.trouble.by_hand.lock() = ByHand { wishes, held };
    }

    /// Keeps a wish; it is on the disk when this returns.
    pub(crate) fn keep(&self, id: &PluginId, wish: Option<Wish>) -> Result<(), RegistryError> {
        // Held, so that an earlier wish is not written again over this one.
        let mut by_hand = self.trouble.by_hand.lock();
        match &wish {
            Some(wish) => drop(by_hand.wishes.insert(id.clone(), wish.clone())),
            None => drop(by_hand.wishes.remove(id)),
        }
        self.ask(|registry| registry.set_wish(id, wish.clone()))
    }

    /// Holds bytes back no more.
    pub(crate) fn release(&self, which: &Selector) -> Result<Vec<HeldBack>, RegistryError> {
        let mut by_hand = self.trouble.by_hand.lock();
        let released = self.ask(|registry| registry.release(which))?;
        by_hand.held.retain(|held| released.iter().all(|it| it.hash != held.hash));
        Ok(released)
    }

    pub(crate) fn tell(&self, job: Job) {
        // Without the thread there is nobody to write it.
        let _ = self.jobs.send(job);
    }

    /// Waits until all that was told is written, for a while. Whether it is.
    pub(crate) fn flush(&self) -> bool {
        let (done, waiting) = bounded(1);
        self.tell(Job::Flush(done));
        waiting.recv_timeout(FAREWELL).is_ok()
    }

    /// Writes what there is, and ends the thread. One that does not come to an end, as the
    /// disk does not answer, is left to itself.
    pub(crate) fn end(&self) {
        let answers = self.flush();
        self.tell(Job::End);
        if let Some(thread) = self.thread.lock().take().filter(|_| answers) {
            let _ = thread.join();
        }
    }

    /// What a start tells of it.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.trouble.now.lock().clone()
    }
}

impl Trouble {
    fn failed(&self, error: &RegistryError) {
        let problem = full_message(error);
        let notice = Notice::Registry {
            code: error.code().to_owned(),
            problem: problem.clone(),
            help: error.hint(),
        };
        if self.now.lock().replace(notice).is_none() {
            self.say(error, problem, error.hint());
        }
    }

    /// It works, and does not know what it knew. Each host is told so once.
    fn begun_anew(&self, error: &RegistryError) {
        self.anew.store(true, Ordering::Release);
        self.say(
            error,
            full_message(error),
            "nothing: what this host knows is recorded anew".into(),
        );
    }

    fn say(&self, error: &RegistryError, problem: String, help: String) {
        log::warn!("{}: {problem}", error.code());
        let code = error.code().to_owned();
        self.chronicle.tell(Happening::Registry { code, problem, help });
    }

    fn saw<T>(&self, outcome: &Result<T, RegistryError>) {
        let is_busy = matches!(outcome, Err(RegistryError::Busy { .. }));
        self.busy.store(is_busy, Ordering::Release);
    }

    fn checked<T>(&self, outcome: Result<T, RegistryError>) -> Option<T> {
        outcome.inspect_err(|error| self.failed(error)).ok()
    }
}

/// Takes all that waits, and writes it at once.
fn write(registry: &dyn Registry, jobs: &Receiver<Job>, mut changes: Changes, trouble: &Trouble) {
    let mut is_unwritten = false;
    loop {
        let first = match is_unwritten {
            true => jobs.recv_timeout(AGAIN),
            false => jobs.recv().map_err(RecvTimeoutError::from),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let (mut flushed, mut ends) = (Vec::new(), false);
        for job in first.into_iter().chain(jobs.try_iter()) {
            match job {
                Job::Happened(event) => changes.happened(told::event(&event)),
                Job::Tell(event) => changes.happened(Some(event)),
                Job::Seen(snapshot) => changes.seen(snapshot),
                Job::Over(attempts) => changes.are_over(attempts),
                Job::Anew => {}
                Job::Flush(done) => flushed.push(done),
                Job::End => ends = true,
            }
        }
        // The program's logger runs here, and may panic: that is not to be the end of it.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let written = write_all(registry, &mut changes, trouble);
            is_unwritten = written.is_err();
            if !matches!(written, Ok(false)) {
                trouble.saw(&written);
            }
            match written {
                Ok(true) => *trouble.now.lock() = None,
                Ok(false) => {}
                Err(error) => trouble.failed(&error),
            }
        }));
        // Nobody need wait any more.
        for done in &flushed {
            let _ = done.send(());
        }
        if ends {
            return;
        }
    }
}

/// Where the registry was begun anew, all that it knew is written once more.
fn write_all(
    registry: &dyn Registry,
    changes: &mut Changes,
    trouble: &Trouble,
) -> Result<bool, RegistryError> {
    let mut write = || {
        if trouble.anew.swap(false, Ordering::AcqRel) {
            changes.begin_anew();
            trouble.by_hand.lock().write(registry).inspect_err(|_| {
                trouble.anew.store(true, Ordering::Release);
            })?;
        }
        changes.write(registry)
    };
    match write() {
        Err(error) if error.is_begun_anew() => {
            trouble.begun_anew(&error);
            write()
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::time::Instant;

    use plugbay_resolve::Policy;

    use super::*;
    use crate::registry::{Begin, ContentHash, Doing, Ending, Limits, RecordKey, SqliteRegistry};

    /// With little patience.
    fn registry(path: &Path) -> SqliteRegistry {
        let mut limits = Limits::default();
        limits.patience = Duration::from_millis(50);
        SqliteRegistry::open_with(path, limits).unwrap().registry
    }

    #[test]
    fn while_another_process_holds_the_registry_nobody_waits_and_no_attempt_stays_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        let chronicle = Arc::new(Chronicle::new(&Policy::new(semver::Version::new(1, 0, 0))));
        let verdicts = Verdicts::in_cache(folder.path());
        let recorder = Recorder::start(Arc::new(registry(&path)), &chronicle, verdicts);
        let key = RecordKey {
            id: "sql".parse().unwrap(),
            version: semver::Version::new(1, 0, 0),
            hash: ContentHash::from_bytes([7; 32]),
        };
        let process = HostProcess::current().unwrap();
        let begin = [Begin::new(key, Doing::Activating, process)];
        let ids = recorder.ask_if_free(|it| it.begin_attempts(&begin)).unwrap().unwrap();
        let other = File::open(folder.path().join("registry.db.lock")).unwrap();
        other.lock().unwrap();
        let ended = recorder.ask_if_free(|it| it.end_attempts(&ids, Ending::Harmless));
        assert!(matches!(ended, Err(RegistryError::Busy { .. })), "{ended:?}");
        assert!(recorder.ask_if_free(|_| -> Result<(), _> { unreachable!() }).unwrap().is_none());
        recorder.tell(Job::Over(ids));
        assert!(recorder.flush());
        other.unlock().unwrap();
        // It tries again by itself, and then attempts are noted again.
        let end = Instant::now() + Duration::from_secs(30);
        let mut open = None;
        while open.is_none() && Instant::now() < end {
            thread::yield_now();
            open = recorder.ask_if_free(|it| it.open_attempts()).ok().flatten();
        }
        assert!(open.is_some_and(|open| open.is_empty()));
        recorder.end();
    }
}
