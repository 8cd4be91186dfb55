use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, EventKindMask, INotifyWatcher, Watcher as _};
use parking_lot::Mutex;

use super::settle::{Evidence, Settling};
use super::territory::{Map, Meaning, Territory, Upheaval};
use super::{Change, Changes, Folder, WatchError};

/// What the loop is told.
#[derive(Debug)]
pub(super) enum Message {
    /// By notify's thread: what it does not deal with itself, and when it came.
    Event(Instant, notify::Result<Event>),
    /// By notify's thread: a file is to be looked at again.
    Waits,
    /// By the end of the [`Watcher`](super::Watcher).
    Stop,
}

/// Why the loop has ended.
pub(super) enum Ended {
    Asked,
    /// Changes may be missed from now on.
    OutOfWatches(WatchError),
}

/// The most messages that are taken together; a flood must not keep what waits
/// from its time.
const MOST_AT_ONCE: usize = 4096;

pub(super) struct Events {
    territory: Territory,
    settling: Arc<Mutex<Settling>>,
    changes: Changes,
    removal_grace: Duration,
    /// When a folder that went away counts as removed, and when it went.
    folder_lost: Option<(Instant, Instant)>,
    failed_before: bool,
}

/// The events that came together, one entry for each path.
#[derive(Default)]
struct Batch {
    order: Vec<PathBuf>,
    paths: HashMap<PathBuf, Happened>,
    overflow: Option<Instant>,
    failure: Option<(Instant, notify::Error)>,
    stop: bool,
}

#[derive(Clone, Copy)]
struct Happened {
    seen: Instant,
    evidence: Evidence,
    /// The name may belong to something else than before.
    renamed: bool,
}

impl Events {
    /// Watches the folders; the events go into `messages`.
    pub(super) fn new(
        folders: Vec<Folder>,
        changes: Changes,
        removal_grace: Duration,
        messages: Sender<Message>,
    ) -> Result<Self, WatchError> {
        let map = Map::default();
        let settling = Settling::new(changes.clone(), removal_grace);
        let settling = Arc::new(Mutex::new(settling));
        let arrival = Arrival { map: map.clone(), settling: settling.clone(), messages };
        let handler = move |event| arrival.take(Instant::now(), event);
        // Left to the kernel not to tell: opens, of which each look is one, and
        // writes, of which a linker makes thousands.
        let kinds = EventKindMask::CREATE
            | EventKindMask::REMOVE
            | EventKindMask::MODIFY_NAME
            | EventKindMask::MODIFY_META
            | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(kinds);
        let notify = INotifyWatcher::new(handler, config)
            .map_err(|error| WatchError::Instances { source: as_io(error) })?;
        let mut events = Self {
            territory: Territory::new(folders, notify, map),
            settling,
            changes,
            removal_grace,
            folder_lost: None,
            failed_before: false,
        };
        let upheaval = events.territory.renew_all()?;
        let seen = Instant::now();
        events.tell_unwatchable(upheaval, seen);
        // Those that are being written right now are told when they are done.
        events.unfinished(seen);
        Ok(events)
    }

    /// Takes events until it is told to stop.
    pub(super) fn run(&mut self, inbox: &Receiver<Message>) -> Ended {
        loop {
            let lost = self.folder_lost.map(|(due, _)| due);
            // Not in the match: the lock would be held while this thread waits.
            let due = self.settling.lock().next_due();
            let first = match due.into_iter().chain(lost).min() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inbox.recv_deadline(due),
            };
            let mut batch = Batch::default();
            match first {
                Ok(first) => batch.add(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ended::Asked,
            }
            for message in inbox.try_iter().take(MOST_AT_ONCE) {
                batch.add(message);
            }
            if batch.stop {
                return Ended::Asked;
            }
            if let Err(error) = self.take(batch) {
                return Ended::OutOfWatches(error);
            }
            self.settling.lock().look_again();
            if let Some((due, seen)) = self.folder_lost
                && due <= Instant::now()
            {
                self.rescan(seen);
            }
        }
    }

    fn take(&mut self, mut batch: Batch) -> Result<(), WatchError> {
        if let Some((seen, error)) = batch.failure.take()
            && !std::mem::replace(&mut self.failed_before, true)
        {
            let error = WatchError::Events { source: as_io(error) };
            self.changes.tell(Change::Problem { error, seen });
        }
        if let Some(seen) = batch.overflow {
            let upheaval = self.territory.renew_all()?;
            self.tell_unwatchable(upheaval, seen);
            self.rescan(seen);
        }
        let mut moved = Vec::new();
        let mut upheaved = None;
        let mut folder_touched = false;
        for (path, happened) in batch.in_order() {
            if self.territory.is_on_the_way(&path) {
                upheaved = Some(happened.seen);
                if happened.renamed {
                    moved.push(path.clone());
                } else {
                    // Its mode or owner decides whether it is taken at all.
                    folder_touched |= self.territory.is_a_folder(&path);
                }
            }
            for file in self.territory.files_at(&path) {
                self.territory.follow(&file)?;
                self.settling.lock().look(file, happened.evidence, happened.seen);
            }
        }
        if let Some(seen) = upheaved {
            let upheaval = self.territory.renew(&moved)?;
            let Upheaval { appeared, lost, .. } = upheaval;
            self.tell_unwatchable(upheaval, seen);
            if appeared || folder_touched {
                self.rescan(seen);
            } else if lost {
                self.folder_lost.get_or_insert((Instant::now() + self.removal_grace, seen));
            }
        }
        Ok(())
    }

    fn rescan(&mut self, seen: Instant) {
        self.folder_lost = None;
        let unfinished = self.unfinished(seen);
        self.changes.tell(Change::Rescan { unfinished, seen });
    }

    fn unfinished(&mut self, seen: Instant) -> Vec<PathBuf> {
        let mut files = self.territory.files();
        files.retain(|file| self.settling.lock().is_unfinished(file, seen));
        files
    }

    fn tell_unwatchable(&self, upheaval: Upheaval, seen: Instant) {
        for error in upheaval.unwatchable {
            self.changes.tell(Change::Problem { error, seen });
        }
    }
}

/// What notify's thread does with an event. Plain libraries, which are nearly all, it
/// looks at itself: waking another thread takes longer than a look. The loop gets
/// what may change the watches, which this thread cannot do while it is here, and
/// what waits for a time.
struct Arrival {
    map: Map,
    settling: Arc<Mutex<Settling>>,
    messages: Sender<Message>,
}

impl Arrival {
    fn take(&self, seen: Instant, event: notify::Result<Event>) {
        // No path: the queue has overflowed.
        let mut for_the_loop = event.as_ref().map_or(true, |event| event.paths.is_empty());
        if let Ok(event) = &event
            && let Some((evidence, _)) = meaning_of(event.kind)
        {
            for path in &event.paths {
                match self.map.meaning_of(path) {
                    Meaning::File(file) => self.look(file, evidence, seen),
                    Meaning::Way => for_the_loop = true,
                    Meaning::Nothing => {}
                }
            }
        }
        if for_the_loop {
            let _ = self.messages.send(Message::Event(seen, event));
        }
    }

    fn look(&self, library: PathBuf, evidence: Evidence, seen: Instant) {
        let waits = {
            let mut settling = self.settling.lock();
            let before = settling.next_due();
            settling.look(library, evidence, seen);
            let after = settling.next_due();
            after.is_some() && (before.is_none() || after < before)
        };
        if waits {
            let _ = self.messages.send(Message::Waits);
        }
    }
}

impl Batch {
    fn add(&mut self, message: Message) {
        let (seen, event) = match message {
            Message::Stop => return self.stop = true,
            Message::Waits => return,
            Message::Event(seen, Err(error)) => return self.failure = Some((seen, error)),
            Message::Event(seen, Ok(event)) => (seen, event),
        };
        if event.need_rescan() {
            self.overflow = Some(seen);
        }
        let Some((evidence, renamed)) = meaning_of(event.kind) else { return };
        for path in event.paths {
            let new = Happened { seen, evidence, renamed };
            match self.paths.get_mut(&path) {
                // What was known of the file before says nothing of another.
                Some(happened) if renamed => *happened = new,
                Some(happened) => {
                    happened.seen = seen;
                    happened.evidence = happened.evidence.max(evidence);
                }
                None => {
                    self.order.push(path.clone());
                    self.paths.insert(path, new);
                }
            }
        }
    }

    fn in_order(self) -> impl Iterator<Item = (PathBuf, Happened)> {
        let Self { order, mut paths, .. } = self;
        order.into_iter().filter_map(move |path| paths.remove_entry(&path))
    }
}

/// What a kind of event says of a file, and whether the name may belong to something
/// else than before.
fn meaning_of(kind: EventKind) -> Option<(Evidence, bool)> {
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => (Evidence::Closed, false),
        EventKind::Modify(ModifyKind::Metadata(_)) => (Evidence::Touched, false),
        EventKind::Create(_) => (Evidence::Made, true),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => (Evidence::Placed, true),
        // Told once more with both names.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => (Evidence::Touched, true),
        _ => return None,
    })
}

fn as_io(error: notify::Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(error) => error,
        _ => io::Error::other(error),
    }
}
