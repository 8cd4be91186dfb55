//! What is to be written, and what is written already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use plugbay_interface::manifest::{Manifest, PluginId};

use super::told::without_its_words;
use crate::error::{Error, Explain};
use crate::registry::{
    AttemptId, ContentHash, Ending, Event, Health, Mark, PluginRecord, Query, Reason, RecordKey,
    Registry, RegistryError, Status, Verdict,
};
use crate::report::Refusal;
use crate::verdicts::{self, Verdicts};

/// How many events wait for a registry that fails.
const MOST_EVENTS: usize = 1000;

/// All that a host knows at one time.
pub(crate) struct Snapshot {
    pub(crate) seen: Vec<Seen>,
    pub(crate) folders: Vec<PathBuf>,
    /// Whether that is all there is in the folders.
    pub(crate) whole: bool,
}

/// One file's plugin.
pub(crate) struct Seen {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) hash: String,
    pub(crate) path: PathBuf,
    pub(crate) status: Status,
    pub(crate) refusal: Option<Arc<Refusal>>,
    /// Panics, and times that it said that it is not well.
    pub(crate) troubles: u32,
}

/// What a record says that can change.
#[derive(Clone, PartialEq)]
struct Line {
    path: PathBuf,
    status: Status,
    reason: Option<Reason>,
    troubles: u64,
}

/// What the registry has of this host, and what it has not yet.
pub(super) struct Changes {
    verdicts: Verdicts,
    written: BTreeMap<RecordKey, Line>,
    /// Whether what was there before this host is among that.
    looked_back: bool,
    now: Option<Snapshot>,
    /// Whether it has been written.
    done: bool,
    events: Vec<Event>,
    /// Attempts that are over, and open in the registry as that was busy.
    over: Vec<AttemptId>,
}

impl Changes {
    pub(super) fn new(verdicts: Verdicts) -> Self {
        Self {
            verdicts,
            written: BTreeMap::new(),
            looked_back: false,
            now: None,
            done: true,
            events: Vec::new(),
            over: Vec::new(),
        }
    }

    pub(super) fn happened(&mut self, event: Option<Event>) {
        self.events.extend(event);
    }

    pub(super) fn are_over(&mut self, attempts: Vec<AttemptId>) {
        self.over.extend(attempts);
    }

    pub(super) fn seen(&mut self, snapshot: Snapshot) {
        self.now = Some(snapshot);
        self.done = false;
    }

    /// The registry does not know any more what was written.
    pub(super) fn begin_anew(&mut self) {
        self.written.clear();
        self.over.clear();
        self.done = false;
    }

    /// Writes what has changed. Whether there was anything.
    pub(super) fn write(&mut self, registry: &dyn Registry) -> Result<bool, RegistryError> {
        let mut any = !self.events.is_empty() || !self.over.is_empty();
        if !self.over.is_empty() {
            registry.end_attempts(&self.over, Ending::Harmless)?;
            self.over.clear();
        }
        if !self.events.is_empty() {
            let written = registry.append(&self.events);
            let kept = if written.is_ok() { 0 } else { MOST_EVENTS };
            self.events.drain(..self.events.len().saturating_sub(kept));
            written?;
        }
        let Some(now) = self.now.as_ref().filter(|_| !self.done) else { return Ok(any) };
        if now.whole && !self.looked_back {
            // Of other hosts' folders, those know more.
            for record in registry.query(&Query::new())? {
                if record.path.parent().is_some_and(|it| now.folders.iter().any(|f| f == it)) {
                    self.written.entry(record.key()).or_insert_with(|| Line::of(&record));
                }
            }
            self.looked_back = true;
        }
        let mut records = Vec::new();
        let mut lines: BTreeMap<RecordKey, Line> = BTreeMap::new();
        for seen in &now.seen {
            let Ok(hash) = seen.hash.parse::<ContentHash>() else { continue };
            let Manifest { id, version, .. } = &*seen.manifest;
            let key = RecordKey { id: id.clone(), version: version.clone(), hash };
            // Of the same bytes twice, what serves counts.
            let is_there = lines.get(&key).is_some_and(|it| it.status == Status::Active);
            if is_there {
                continue;
            }
            let line = Line::seen(seen);
            if self.written.get(&key) != Some(&line) {
                records.push(self.record(seen, hash, &line));
            }
            lines.insert(key, line);
        }
        let (mut gone, mut replaced) = (Vec::new(), Vec::new());
        if now.whole {
            let there: BTreeSet<&PluginId> = lines.keys().map(|key| &key.id).collect();
            for (key, line) in self.written.iter().filter(|(key, _)| !lines.contains_key(key)) {
                // Of a plugin that was replaced the history tells; of the last one, what it was.
                if there.contains(&key.id) {
                    replaced.push(key.clone());
                } else if line.status != Status::Gone {
                    gone.push(key.clone());
                }
            }
        }
        any |= !(records.is_empty() && gone.is_empty() && replaced.is_empty());
        if !records.is_empty() {
            registry.record(&records)?;
        }
        if !gone.is_empty() {
            let marks = gone.iter().map(|key| Mark::new(key.clone(), Status::Gone));
            registry.mark(&marks.collect::<Vec<_>>())?;
        }
        if !replaced.is_empty() {
            registry.forget(&replaced)?;
        }
        for key in &replaced {
            self.written.remove(key);
        }
        for key in gone {
            if let Some(line) = self.written.get_mut(&key) {
                *line = Line { status: Status::Gone, reason: None, ..line.clone() };
            }
        }
        self.written.extend(lines);
        self.done = true;
        Ok(any)
    }

    fn record(&self, seen: &Seen, hash: ContentHash, line: &Line) -> PluginRecord {
        let mut record = PluginRecord::from_manifest(&seen.manifest, hash, seen.path.clone());
        record.status = line.status.clone();
        record.reason.clone_from(&line.reason);
        record.verdict = match self.verdicts.get(&blake3::Hash::from_bytes(*hash.as_bytes())) {
            Some(verdicts::Verdict::Survived) => Verdict::Survived,
            Some(verdicts::Verdict::Quarantined(_)) => Verdict::Quarantined,
            None => Verdict::Unknown,
        };
        if line.troubles > 0 {
            record.health = Health::troubled(line.troubles, "panics, or it said that it is unwell");
        }
        record
    }
}

impl Line {
    fn of(record: &PluginRecord) -> Self {
        Self {
            path: record.path.clone(),
            status: record.status.clone(),
            reason: record.reason.clone(),
            troubles: record.health.troubles,
        }
    }

    fn seen(seen: &Seen) -> Self {
        Self {
            path: seen.path.clone(),
            status: seen.status.clone(),
            reason: seen.refusal.as_deref().map(reason),
            troubles: seen.troubles.into(),
        }
    }
}

fn reason(refusal: &Refusal) -> Reason {
    let text = match &refusal.error {
        // Its own words may quote its configuration.
        Error::Activate(error) => without_its_words(&error.to_string()),
        _ => without_its_words(&refusal.reason()),
    };
    Reason::of_error(refusal.error.code(), text)
}
