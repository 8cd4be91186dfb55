//! Tells when a file in the plugins folders is finished: a library, or a manifest beside
//! one.
//!
//! The kernel's events say that something happened to a name, and a file that is
//! still being written has events, too. So an event is only the reason for a look:
//! a file is told as ready once nobody has it open for writing, which the kernel
//! knows ([`platform::writers_of`]). Nothing waits for a time of silence.
//! docs/watching.md has what each kind of writer does.
//!
//! * [`events`]: the loop that takes events and looks.
//! * [`territory`]: which folders are watched for that, and what a name in one of
//!   them means; [`way`]: how the kernel gets to a file.
//! * [`settle`]: whether a file is finished, and the memory of those that are not.
//! * [`poll`]: the same without events.

mod events;
mod poll;
mod settle;
mod territory;
#[cfg(test)]
mod tests;
mod way;

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use self::events::{Ended, Events, Message};
use self::poll::Poll;
use crate::error::{Explain, printable};
use crate::platform;

/// How often the folders are looked at when events can be had no more.
const FALLBACK_INTERVAL: Duration = Duration::from_secs(1);
/// A hundred years: no clock overflows.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How the plugins folders are watched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WatchOptions {
    /// Look at the folders at this interval instead of waiting for events. For file
    /// systems whose changes come from other machines, such as NFS: the kernel has
    /// no events for those. A file is taken when it was the same for one interval.
    /// None by default.
    pub poll: Option<Duration>,
    /// How long a file must be away before it counts as removed: many programs
    /// replace a file by removing it and making it anew. It is the one wait that is
    /// there by intention, and delays nothing but removals. 250 ms by default.
    pub removal_grace: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { poll: None, removal_grace: Duration::from_millis(250) }
    }
}

/// What a [`Watcher`] tells, and when the event arrived that led to it, the last one
/// where there were several.
#[derive(Debug)]
pub(crate) enum Change {
    /// A library is complete, or a manifest beside one. It may be new, changed, or the same as before: only
    /// its bytes tell. A link is named by its own path, and may lead nowhere.
    Ready { path: PathBuf, seen: Instant },
    /// A library, or a manifest beside one, that may have been there is not there.
    Gone { path: PathBuf, seen: Instant },
    /// Anything may have happened: look at all folders. `unfinished` are known to be
    /// incomplete; each is told as ready later.
    Rescan { unfinished: Vec<PathBuf>, seen: Instant },
    /// Something stands in the way of watching. Told once.
    Problem { error: WatchError, seen: Instant },
}

impl Change {
    /// When the last event arrived that led to it.
    pub(crate) fn seen(&self) -> Instant {
        match self {
            Self::Ready { seen, .. }
            | Self::Gone { seen, .. }
            | Self::Rescan { seen, .. }
            | Self::Problem { seen, .. } => *seen,
        }
    }
}

/// Why folders are not watched, or not by events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WatchError {
    /// No inotify instance can be had.
    #[error("the kernel gives this process no way to wait for events of files")]
    Instances { source: io::Error },
    /// The limit on watched folders is reached.
    #[error("the kernel watches no more folders for this user, so not {}", printable(.path))]
    Watches { path: PathBuf },
    /// This one folder cannot be watched or listed.
    #[error("the folder {} cannot be watched", printable(.path))]
    Folder { path: PathBuf, source: io::Error },
    /// The events cannot be read.
    #[error("events of the plugins folders cannot be read")]
    Events { source: io::Error },
    /// There is no thread to watch on.
    #[error("no thread can be started to watch the plugins folders")]
    Thread { source: io::Error },
}

impl Explain for WatchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Instances { .. } => "PB1301",
            Self::Watches { .. } => "PB1302",
            Self::Folder { .. } => "PB1303",
            Self::Events { .. } => "PB1304",
            Self::Thread { .. } => "PB1305",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Instances { .. } => "raise the limit with: sysctl \
                 fs.inotify.max_user_instances=1024, or that on open files with: ulimit -n; or \
                 look at the folders at an interval (WatchOptions::poll)"
                .into(),
            Self::Watches { .. } => "raise the limit with: sysctl \
                 fs.inotify.max_user_watches=524288, or look at the folders at an interval \
                 (WatchOptions::poll)"
                .into(),
            Self::Folder { .. } => "give this user the right to read and enter the folder".into(),
            Self::Events { .. } => "look at the folders at an interval (WatchOptions::poll)".into(),
            Self::Thread { .. } => "raise the limit on processes with: ulimit -u".into(),
        }
    }
}

/// Watches the plugins folders from a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch. When this returns, every later change is told. What is in
    /// the folders by then is not: start the watcher first, then look at them.
    ///
    /// A folder that is not there is waited for. `folders` are as discover takes
    /// them, and paths are told as discover would find them.
    ///
    /// # Errors
    ///
    /// When there can be no events; polling is possible then.
    pub(crate) fn start(
        folders: Vec<PathBuf>,
        options: WatchOptions,
    ) -> Result<(Self, Receiver<Change>), WatchError> {
        let (messages, inbox) = unbounded();
        let (changes, told) = unbounded();
        let (started, outcome) = bounded(1);
        let sender = messages.clone();
        let body = move || watch(folders, &options, sender, &inbox, Changes(changes), &started);
        let thread = thread::Builder::new()
            .name("plugbay-watch".into())
            .spawn(body)
            .map_err(|source| WatchError::Thread { source })?;
        // Made before the outcome is known: dropping it ends the thread.
        let watcher = Self { messages, thread: Some(thread) };
        let ended = || WatchError::Thread { source: io::Error::other("the thread has ended") };
        outcome.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok((watcher, told))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where changes are told. Whether anybody listens does not matter: the end of
/// watching is the drop of the [`Watcher`].
#[derive(Debug, Clone)]
struct Changes(Sender<Change>);

impl Changes {
    fn tell(&self, change: Change) {
        let _ = self.0.send(change);
    }
}

/// A folder as it was named, by which all in it is told, and from the root on, by
/// which the kernel's events are understood.
#[derive(Debug, Clone)]
struct Folder {
    named: PathBuf,
    absolute: PathBuf,
}

impl Folder {
    fn new(named: PathBuf) -> Self {
        let absolute = std::path::absolute(&named).unwrap_or_else(|_| named.clone());
        Self { named, absolute }
    }

    /// The libraries in it and the manifests beside them, as discover would name them,
    /// without its rules.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in self.absolute.read_dir()? {
            let name = entry?.file_name();
            if crate::discover::is_watched_name(Path::new(&name)) {
                paths.push(self.named.join(name));
            }
        }
        Ok(paths)
    }
}

fn watch(
    folders: Vec<PathBuf>,
    options: &WatchOptions,
    messages: Sender<Message>,
    inbox: &Receiver<Message>,
    changes: Changes,
    started: &Sender<Result<(), WatchError>>,
) {
    // Signals are the host's; and see writers_of. notify's thread is started from
    // this one and has the same mask.
    if let Err(source) = platform::block_signals() {
        let _ = started.send(Err(WatchError::Thread { source }));
        return;
    }
    let folders: Vec<_> = folders.into_iter().map(Folder::new).collect();
    let grace = options.removal_grace.min(FOR_EVER);
    if let Some(interval) = options.poll.map(|interval| interval.min(FOR_EVER)) {
        let mut poll = Poll::new(folders, interval, changes, grace);
        let _ = started.send(Ok(()));
        return poll.run(inbox);
    }
    let error = match Events::new(folders.clone(), changes.clone(), grace, messages) {
        Ok(mut events) => {
            let _ = started.send(Ok(()));
            match events.run(inbox) {
                Ended::Asked => return,
                Ended::OutOfWatches(error) => error,
            }
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    poll_instead(error, folders, changes, grace, inbox);
}

/// Goes on without events.
fn poll_instead(
    error: WatchError,
    folders: Vec<Folder>,
    changes: Changes,
    grace: Duration,
    inbox: &Receiver<Message>,
) {
    let mut poll = Poll::new(folders, FALLBACK_INTERVAL, changes.clone(), grace);
    let seen = Instant::now();
    changes.tell(Change::Problem { error, seen });
    changes.tell(Change::Rescan { unfinished: poll.unfinished(), seen });
    poll.run(inbox);
}
