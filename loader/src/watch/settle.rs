use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Change, Changes};
use crate::platform::{self, Writers};

/// The first pause before a file is looked at again of whose writer no event will
/// tell; each further pause is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often the kernel is asked again at once after a close: it tells of a close
/// before it counts the writer as gone (`__fput` in fs/file_table.c), and mostly
/// both are done when the writer's thread has had one more turn.
const MOST_TURNS: usize = 16;

/// The first pause where those turns were not enough.
const PAUSE_AFTER_CLOSE: Duration = Duration::from_micros(200);

/// Between two looks at a file of whose writers the kernel does not tell.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What happened to a file, by how much it says that the file is whole. The later
/// ones say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// The name was made: for a new file, which is about to be written, or as one
    /// more name of a file that was there.
    Made,
    /// Something: removed, or its mode, owner or times changed.
    Touched,
    /// It came under this name with what it has.
    Placed,
    /// A writer has closed it, or it was the same for a whole interval.
    Closed,
}

/// Decides which changed files are finished, and remembers those that are not.
pub(super) struct Settling {
    changes: Changes,
    removal_grace: Duration,
    waiting: HashMap<PathBuf, Waiting>,
}

struct Waiting {
    seen: Instant,
    due: Instant,
    evidence: Evidence,
    reason: Reason,
}

enum Reason {
    /// It is not there, and may be made anew.
    Missing,
    /// Somebody has it open for writing.
    Written { pause: Duration },
    /// Nobody knows whether somebody has; it looked like this.
    Unknown { print: Fingerprint },
    /// The same, and it was just made: its maker will close it, which is told, if
    /// its folder had a watch by then.
    Begun { print: Fingerprint },
}

/// What tells two states of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a file is at this moment.
enum State {
    /// The name is not there.
    Missing,
    /// The name is there, and is a link that leads to nothing.
    Dangling,
    /// No file that has writers, or none that can be looked at: the host finds
    /// out why and says so.
    Other,
    File(Look),
}

struct Look {
    writers: Writers,
    print: Fingerprint,
    size: u64,
    /// How many hard links.
    names: u64,
}

impl State {
    fn of(path: &Path, evidence: Evidence) -> Self {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let link = path.symlink_metadata().is_ok();
                return if link { Self::Dangling } else { Self::Missing };
            }
            Err(_) => return Self::Other,
        };
        // A FIFO is not opened: its writer waits for somebody who means it.
        if !metadata.is_file() {
            return Self::Other;
        }
        let opened = platform::open_without_waiting(path)
            .and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Ok((file, metadata)) if metadata.is_file() => {
                let mut writers = platform::writers_of(&file);
                let turns = if evidence == Evidence::Closed { MOST_TURNS } else { 0 };
                for _ in 0..turns {
                    if writers != Writers::Somebody {
                        break;
                    }
                    std::thread::yield_now();
                    writers = platform::writers_of(&file);
                }
                // Only now: what was written before the answer counts.
                let metadata = file.metadata().unwrap_or(metadata);
                let print = Fingerprint::of(&metadata);
                Self::File(Look { writers, print, size: metadata.size(), names: metadata.nlink() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Other,
        }
    }
}

impl Settling {
    pub(super) fn new(changes: Changes, removal_grace: Duration) -> Self {
        Self { changes, removal_grace, waiting: HashMap::new() }
    }

    /// When something is to be looked at again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Looks at a file to which something has happened, and tells what is sure.
    pub(super) fn look(&mut self, path: PathBuf, evidence: Evidence, seen: Instant) {
        let before = self.waiting.remove(&path);
        match State::of(&path, evidence) {
            // Each event begins the grace anew: the file was there before it.
            State::Missing | State::Dangling => {
                self.wait(path, (evidence, seen), self.removal_grace, Reason::Missing);
            }
            State::Other => self.changes.tell(Change::Ready { path, seen }),
            State::File(look) => self.judge(path, (evidence, seen), look, before),
        }
    }

    /// Looks again at the files whose time has come.
    pub(super) fn look_again(&mut self) {
        let now = Instant::now();
        let due = |waiting: &Waiting| waiting.due <= now;
        let paths: Vec<_> = self.waiting.iter().filter(|(_, waiting)| due(waiting)).collect();
        let paths: Vec<_> = paths.into_iter().map(|(path, _)| path.clone()).collect();
        for path in paths {
            let Some(waiting) = self.waiting.remove(&path) else { continue };
            let (evidence, seen) = (waiting.evidence, waiting.seen);
            match (State::of(&path, Evidence::Touched), &waiting.reason) {
                (State::Missing, Reason::Missing) => {
                    self.changes.tell(Change::Gone { path, seen });
                }
                (State::Dangling, Reason::Missing) | (State::Other, _) => {
                    self.changes.tell(Change::Ready { path, seen });
                }
                (State::Missing | State::Dangling, _) => self.look(path, evidence, seen),
                (State::File(look), _) => {
                    self.judge(path, (evidence, seen), look, Some(waiting));
                }
            }
        }
    }

    /// Whether somebody writes to the file now; if so, it is told when it is done.
    pub(super) fn is_unfinished(&mut self, path: &Path, seen: Instant) -> bool {
        if self.waiting.contains_key(path) {
            return true;
        }
        let State::File(Look { writers: Writers::Somebody, .. }) =
            State::of(path, Evidence::Touched)
        else {
            return false;
        };
        let reason = Reason::Written { pause: FIRST_PAUSE };
        self.wait(path.to_owned(), (Evidence::Touched, seen), FIRST_PAUSE, reason);
        true
    }

    fn judge(
        &mut self,
        path: PathBuf,
        (evidence, seen): (Evidence, Instant),
        look: Look,
        before: Option<Waiting>,
    ) {
        let before = before.map(|waiting| (waiting.due, waiting.reason));
        match look.writers {
            // The kernel makes a file before its maker has it open. So one that is
            // empty, and that nobody has closed, is only begun.
            Writers::Nobody if look.size == 0 && evidence <= Evidence::Touched => {}
            Writers::Nobody => self.changes.tell(Change::Ready { path, seen }),
            Writers::Somebody => {
                // The close of a file with one name will be told, but not that of
                // one that is written to under a name elsewhere.
                let pause = match before {
                    Some((_, Reason::Written { pause })) => (pause * 2).min(LONGEST_PAUSE),
                    _ if evidence == Evidence::Closed => PAUSE_AFTER_CLOSE,
                    _ => FIRST_PAUSE,
                };
                let reason = Reason::Written { pause };
                self.wait(path, (evidence, seen), pause, reason);
            }
            Writers::Unknown if evidence == Evidence::Closed => {
                self.changes.tell(Change::Ready { path, seen });
            }
            Writers::Unknown => match before {
                Some((due, Reason::Unknown { print } | Reason::Begun { print }))
                    if print == look.print && due <= Instant::now() =>
                {
                    self.changes.tell(Change::Ready { path, seen });
                }
                // A short pause in its writing must not be taken for its end.
                Some((_, Reason::Begun { .. })) if evidence <= Evidence::Touched => {
                    let reason = Reason::Begun { print: look.print };
                    self.wait(path, (evidence, seen), LONGEST_PAUSE, reason);
                }
                _ if evidence == Evidence::Made && look.names == 1 => {
                    let reason = Reason::Begun { print: look.print };
                    self.wait(path, (evidence, seen), LONGEST_PAUSE, reason);
                }
                _ => {
                    let reason = Reason::Unknown { print: look.print };
                    self.wait(path, (evidence, seen), BETWEEN_LOOKS, reason);
                }
            },
        }
    }

    fn wait(
        &mut self,
        path: PathBuf,
        (evidence, seen): (Evidence, Instant),
        pause: Duration,
        reason: Reason,
    ) {
        let due = Instant::now() + pause;
        self.waiting.insert(path, Waiting { seen, due, evidence, reason });
    }
}
