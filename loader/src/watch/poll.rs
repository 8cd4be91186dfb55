use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::events::Message;
use super::settle::{Evidence, Fingerprint, Settling};
use super::{Change, Changes, Folder, WatchError};

/// Looks at the folders again and again, where the kernel has no events.
pub(super) struct Poll {
    folders: Vec<Folder>,
    interval: Duration,
    changes: Changes,
    settling: Settling,
    known: BTreeMap<PathBuf, Known>,
    /// Folders that could not be listed, which was told.
    unreadable: Vec<PathBuf>,
}

struct Known {
    print: Option<Fingerprint>,
    /// When it was first seen like this; none once it was told.
    news: Option<Instant>,
}

impl Poll {
    /// Takes what is there now for known.
    pub(super) fn new(
        folders: Vec<Folder>,
        interval: Duration,
        changes: Changes,
        removal_grace: Duration,
    ) -> Self {
        let settling = Settling::new(changes.clone(), removal_grace);
        let known = BTreeMap::new();
        let mut poll = Self { folders, interval, changes, settling, known, unreadable: Vec::new() };
        for path in poll.list() {
            let print = fingerprint(&path);
            poll.known.insert(path, Known { print, news: None });
        }
        poll.unfinished();
        poll
    }

    /// Those that are being written now; each is told when it is done.
    pub(super) fn unfinished(&mut self) -> Vec<PathBuf> {
        let seen = Instant::now();
        let settling = &mut self.settling;
        let paths = self.known.keys();
        paths.filter(|path| settling.is_unfinished(path, seen)).cloned().collect()
    }

    /// Looks until it is told to stop.
    pub(super) fn run(&mut self, inbox: &Receiver<Message>) {
        let mut next = Instant::now() + self.interval;
        loop {
            let due = self.settling.next_due().map_or(next, |due| due.min(next));
            match inbox.recv_deadline(due) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                // Left over from the time when there were events.
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            self.settling.look_again();
            if next <= Instant::now() {
                self.look_around();
                // Not from the last look's begin: a slow one must not fill all time.
                next = Instant::now() + self.interval;
            }
        }
    }

    fn look_around(&mut self) {
        let seen = Instant::now();
        let paths = self.list();
        let missing: Vec<_> =
            self.known.keys().filter(|known| !paths.contains(known)).cloned().collect();
        for path in missing {
            self.known.remove(&path);
            self.settling.look(path, Evidence::Touched, seen);
        }
        for path in paths {
            let print = fingerprint(&path);
            match self.known.get_mut(&path) {
                Some(known) if known.print == print => {
                    if let Some(seen) = known.news.take() {
                        self.settling.look(path, Evidence::Closed, seen);
                    }
                }
                _ => {
                    self.known.insert(path, Known { print, news: Some(seen) });
                }
            }
        }
    }

    /// The libraries in the folders, and the manifests beside them. Of a folder that is there and cannot be listed,
    /// those that are known: a network that fails has removed nothing.
    fn list(&mut self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut seen = Vec::new();
        for folder in &self.folders {
            let identity = folder.absolute.canonicalize().unwrap_or(folder.absolute.clone());
            if seen.contains(&identity) {
                continue;
            }
            seen.push(identity);
            match folder.files() {
                Ok(mut found) => {
                    self.unreadable.retain(|path| *path != folder.named);
                    paths.append(&mut found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let in_it = |path: &&PathBuf| path.parent() == Some(&folder.named);
                    paths.extend(self.known.keys().filter(in_it).cloned());
                    if !self.unreadable.contains(&folder.named) {
                        let path = folder.named.clone();
                        self.unreadable.push(path.clone());
                        let error = WatchError::Folder { path, source };
                        self.changes.tell(Change::Problem { error, seen: Instant::now() });
                    }
                }
            }
        }
        paths
    }
}

/// None where a link leads nowhere.
fn fingerprint(path: &Path) -> Option<Fingerprint> {
    path.metadata().ok().map(|metadata| Fingerprint::of(&metadata))
}
