//! Who took a host down, as far as that can be known.
//!
//! Before code of plugins runs in this process (their library is mapped, they are
//! activated), that is noted in the registry, for all plugins of a level with one wait for
//! the disk. When they are up, or have failed, it is noted that they came back. So what is
//! open although its process is gone was being activated when its host died.
//!
//! That need not be its fault: somebody may have killed the host (`kill -9`, the kernel
//! for want of memory), another plugin of the same level may have crashed, or a thread of
//! one that had been up for long. How a process died nobody can tell who comes after it.
//! So:
//!
//! 1. What was open when the machine itself went down counts for nothing.
//! 2. What was open else counts as one crash of these bytes. With one crash they are under
//!    suspicion: they are activated again, but alone, before the others of their level, so
//!    that the next crash has one name.
//! 3. If they come back from that, well or with an error, their crashes are forgotten:
//!    whoever was killed by somebody else is cleared by the next start.
//! 4. If they do not, that is the second crash, and they were alone: they are held back
//!    from then on, for all hosts of this registry, until `release`. Other bytes, a mended
//!    plugin, have no crashes.
//!
//! What cannot be noted (the disk is full) is done all the same, but for what is under
//! suspicion: if that took this host down, too, nobody would know, and it would take down
//! one after the other.
//!
//! So an innocent plugin is held back only where its host is killed twice in a row in the
//! moment in which it is activated, and `release` is the cure. And a host that crashes is
//! started three times: twice in vain.
//!
//! What a plugin does later, in calls and on its own threads, is not noted: to do it so
//! that it outlives the process would be a write to shared memory in each call, by code
//! that must not be wrong about it; and whom of all that run then to blame would be a
//! guess.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plugbay_interface::manifest::PluginId;

use super::Inner;
use crate::activate::ActivateError;
use crate::error::Error;
use crate::parallel;
use crate::recorder::{Job, Recorder};
use crate::registry::{
    Attempt, AttemptId, Begin, ContentHash, Doing, Ending, Event, EventKind, HeldBack, HostProcess,
    Reason, RecordKey, Registry, RegistryError, Selector, Wanted, Wish, date, key_of,
};
use crate::report::{Loadable, Refusal};
use crate::resolve::Resolved;

/// How many crashes are one too many.
const TOO_MANY: usize = 2;

/// What the registry knew when the host was built.
#[derive(Default)]
pub(super) struct Recalled {
    wishes: BTreeMap<PluginId, Wish>,
    held: Vec<HeldBack>,
    /// The contents that are tried alone.
    suspects: BTreeSet<String>,
    /// Why what was judged could not be written; it is judged again at the next start.
    unwritten: Option<RegistryError>,
}

/// What is written as far as it can be: what holds is known without that.
struct BestEffort<'a> {
    registry: &'a dyn Registry,
    failed: Option<RegistryError>,
}

impl BestEffort<'_> {
    /// None where it could not be done, or nothing before it could.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&dyn Registry) -> Result<T, RegistryError>,
    ) -> Result<Option<T>, RegistryError> {
        if self.failed.is_some() {
            return Ok(None);
        }
        match work(self.registry) {
            Ok(done) => Ok(Some(done)),
            // Then all is read again.
            Err(error) if error.is_begun_anew() => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Ok(None)
            }
        }
    }
}

/// Attempts that are open; they are ended when this goes.
struct Open<'a> {
    recorder: &'a Recorder,
    ids: Vec<AttemptId>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let ended = self.recorder.ask_if_free(|it| it.end_attempts(&self.ids, Ending::Harmless));
        if !matches!(ended, Ok(Some(_))) {
            // Else the next host would take them for crashes.
            self.recorder.tell(Job::Over(std::mem::take(&mut self.ids)));
        }
    }
}

/// Judges what hosts that are gone have left open, and reads what holds from now on.
pub(super) fn recall(registry: &dyn Registry) -> Result<Recalled, RegistryError> {
    let wishes = registry.wishes()?;
    let mut held = registry.held_back()?;
    let are_held: BTreeSet<_> = held.iter().map(|held| held.hash).collect();
    let mut best = BestEffort { registry, failed: None };
    let mut events = Vec::new();
    let mut alone = BTreeSet::new();
    for together in left_open(&mut best)? {
        for attempt in &together {
            // Of several hosts that come after it, one tells.
            let ended = best.write(|it| it.end_attempt(attempt.id, Ending::Crashed))?;
            if ended == Some(true) {
                events.push(event(attempt, EventKind::Crashed, crashed(&together)));
            }
        }
        if let [attempt] = together.as_slice() {
            alone.insert(attempt.begun.hash);
        }
    }
    let mut crashes: BTreeMap<ContentHash, Vec<Attempt>> = BTreeMap::new();
    for attempt in registry.all_crashes()? {
        crashes.entry(attempt.begun.hash).or_default().push(attempt);
    }
    let mut suspects = BTreeSet::new();
    for (hash, crashes) in crashes.into_iter().filter(|(hash, _)| !are_held.contains(hash)) {
        let Some(last) = crashes.last() else { continue };
        if crashes.len() >= TOO_MANY && alone.contains(&hash) {
            let text = format!(
                "took its host down {} times while it was activated, the last time on {}",
                crashes.len(),
                date(last.begun.since)
            );
            events.push(event(last, EventKind::Quarantined, text.clone()));
            let reason = Reason::of_error("PB0318", text);
            let new = HeldBack::new(key_of(last), reason);
            best.write(|it| it.hold_back(&new))?;
            held.push(new);
        } else {
            suspects.insert(hash.to_string());
        }
    }
    if !events.is_empty() {
        best.write(|it| it.append(&events))?;
    }
    Ok(Recalled { wishes, held, suspects, unwritten: best.failed })
}

/// The attempts of hosts that are gone, those of each together.
fn left_open(best: &mut BestEffort<'_>) -> Result<Vec<Vec<Attempt>>, RegistryError> {
    let dead = best.registry.open_attempts_of_dead()?;
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let boot = HostProcess::current()?.boot;
    let (of_now, of_before): (Vec<_>, Vec<_>) =
        dead.into_iter().partition(|attempt| attempt.begun.process.boot == boot);
    let of_before: Vec<_> = of_before.iter().map(|attempt| attempt.id).collect();
    best.write(|it| it.end_attempts(&of_before, Ending::Harmless))?;
    let mut by_host: BTreeMap<(u32, u64), Vec<Attempt>> = BTreeMap::new();
    for attempt in of_now {
        let process = &attempt.begun.process;
        by_host.entry((process.pid, process.started)).or_default().push(attempt);
    }
    Ok(by_host.into_values().collect())
}

fn crashed(together: &[Attempt]) -> String {
    match together.len() {
        1 => "the host ended while it was activated, and nothing else".into(),
        all => format!("the host ended while it was activated, with {} others", all - 1),
    }
}

fn event(attempt: &Attempt, kind: EventKind, text: String) -> Event {
    let Begin { plugin, version, .. } = &attempt.begun;
    Event::new(plugin.clone(), Some(version.clone()), kind, text)
}

impl Inner {
    /// Reads what the registry knows, before anything is loaded.
    pub(super) fn recall(&self) -> Result<(), RegistryError> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let Recalled { wishes, held, suspects, unwritten } = recorder.ask(recall)?;
        unwritten.iter().for_each(|error| recorder.failed(error));
        let wanted = Wanted::of(&wishes, &held);
        recorder.found(wishes, held);
        let mut known = self.known.lock();
        known.disabled.retain(|id| !wanted.enabled.contains_key(id));
        known.disabled.extend(wanted.disabled);
        known.enabled = wanted.enabled;
        known.held = wanted.held;
        known.suspects = suspects;
        Ok(())
    }

    /// Does `work` with all of a level, noted as attempts; what is under suspicion first,
    /// and alone. `over` is called after each.
    pub(super) fn attempt_all<T: Send>(
        &self,
        level: Vec<Resolved>,
        over: impl Fn() + Sync,
        work: impl Fn(Resolved, &Arc<Loadable>) -> Result<T, Error> + Sync,
    ) -> Vec<Result<T, Arc<Refusal>>> {
        let level = level.into_iter().map(|resolved| {
            let about = Loadable::of(resolved.verified(), &self.options.policy);
            (resolved, Arc::new(about))
        });
        let (alone, together): (Vec<_>, Vec<_>) =
            level.partition(|(_, about)| self.recorder.is_some() && self.is_suspect(about));
        let ended = |about: &Arc<Loadable>, outcome: Result<T, Error>| {
            over();
            outcome.map_err(|error| Arc::new(Refusal::of(about, error)))
        };
        let mut outcomes = Vec::new();
        for (resolved, about) in alone {
            outcomes.push(ended(&about, self.attempt(&about, || work(resolved, &about))));
        }
        let open = self.begin(together.iter().map(|(_, about)| &**about)).ok();
        outcomes.extend(parallel::map(together, |(resolved, about)| {
            ended(&about, work(resolved, &about))
        }));
        drop(open);
        outcomes
    }

    /// Does `work` with one plugin, noted as an attempt.
    pub(super) fn attempt<T>(
        &self,
        about: &Loadable,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is_suspect = self.is_suspect(about);
        let open = match self.begin([about]) {
            Ok(open) => open,
            // Who has it busy gives it back.
            Err(error) if is_suspect && !matches!(error, RegistryError::Busy { .. }) => {
                return Err(ActivateError::Unnoted(error).into());
            }
            Err(_) => None,
        };
        if is_suspect {
            let id = &about.manifest.id;
            log::warn!("a host ended while `{id}` was activated: it is tried alone now");
        }
        let outcome = work();
        drop(open);
        if is_suspect {
            self.clear(about);
        }
        outcome
    }

    fn is_suspect(&self, about: &Loadable) -> bool {
        self.known.lock().suspects.contains(about.hash.to_hex().as_str())
    }

    /// It came back, so nothing is held against it any more.
    fn clear(&self, about: &Loadable) {
        self.known.lock().suspects.remove(about.hash.to_hex().as_str());
        if let Some(recorder) = &self.recorder {
            let hash = ContentHash::from_bytes(*about.hash.as_bytes());
            let _ = recorder.release(&Selector::Hash(hash));
        }
    }

    /// Notes that these are tried. None where attempts are not noted, as nobody can tell one
    /// host from the next, or where another process has the registry busy for long.
    fn begin<'a>(
        &self,
        all: impl IntoIterator<Item = &'a Loadable>,
    ) -> Result<Option<Open<'_>>, RegistryError> {
        let Some(recorder) = &self.recorder else { return Ok(None) };
        let Some(process) = &recorder.process else { return Ok(None) };
        let begin =
            |about: &Loadable| Begin::new(record_key(about), Doing::Activating, process.clone());
        let begun: Vec<_> = all.into_iter().map(begin).collect();
        if begun.is_empty() {
            return Ok(None);
        }
        let ids = recorder.ask_if_free(|registry| registry.begin_attempts(&begun))?;
        Ok(ids.map(|ids| Open { recorder, ids }))
    }

    /// Holds bytes back no more that took a host down, and lets run what can.
    pub(super) fn release(&self, which: &Selector) -> Result<Vec<HeldBack>, RegistryError> {
        let Some(recorder) = &self.recorder else { return Ok(Vec::new()) };
        let released = recorder.release(which)?;
        for held in &released {
            let (id, version) = (held.plugin.clone(), Some(held.version.clone()));
            recorder.tell(Job::Tell(Event::new(id, version, EventKind::Released, "")));
        }
        {
            let mut known = self.known.lock();
            for held in &released {
                known.held.remove(&held.hash.to_string());
            }
        }
        Ok(released)
    }
}

pub(super) fn record_key(about: &Loadable) -> RecordKey {
    RecordKey {
        id: about.manifest.id.clone(),
        version: about.manifest.version.clone(),
        hash: ContentHash::from_bytes(*about.hash.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::registry::{HistoryQuery, Limits, MemoryRegistry, SqliteRegistry};

    /// A process that is gone.
    fn dead() -> HostProcess {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = HostProcess::of(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        process
    }

    fn hash(number: u8) -> ContentHash {
        ContentHash::from_bytes([number; 32])
    }

    fn begun(number: u8, process: &HostProcess) -> Begin {
        let (id, version) = (format!("p{number}").parse().unwrap(), "1.0.0".parse().unwrap());
        let key = RecordKey { id, version, hash: hash(number) };
        Begin::new(key, Doing::Activating, process.clone())
    }

    /// A host dies while these are activated. Who is under suspicion then, and who held back.
    fn after(registry: &MemoryRegistry, numbers: &[u8]) -> (Vec<String>, Vec<String>) {
        let process = dead();
        let all: Vec<_> = numbers.iter().map(|number| begun(*number, &process)).collect();
        registry.begin_attempts(&all).unwrap();
        let recalled = recall(registry).unwrap();
        let suspects = (1..9).filter(|it| recalled.suspects.contains(&hash(*it).to_string()));
        let held = recalled.held.iter().map(|it| it.plugin.to_string()).collect();
        (suspects.map(|it| format!("p{it}")).collect(), held)
    }

    #[test]
    fn one_crash_is_a_suspicion_and_the_second_one_alone_is_held_back() {
        let registry = MemoryRegistry::new();
        assert_eq!(after(&registry, &[1, 2, 3]).0, ["p1", "p2", "p3"]);
        // Nobody is held back for what happened while others were activated, too.
        let (suspects, held) = after(&registry, &[1, 2]);
        assert_eq!((suspects.len(), held.len()), (3, 0));
        let (suspects, held) = after(&registry, &[2]);
        assert_eq!((suspects, held), (vec!["p1".into(), "p3".into()], vec!["p2".into()]));
        let text = &registry.held_back().unwrap()[0].reason.text;
        assert!(text.starts_with("took its host down 3 times while it was activated"), "{text}");
        // And so it stays, without being told again.
        assert_eq!(after(&registry, &[]).1, ["p2"]);
        let told = registry.history(&HistoryQuery::new()).unwrap();
        let held = told.iter().filter(|event| event.kind == EventKind::Quarantined);
        assert_eq!(held.count(), 1);
    }

    #[test]
    fn one_crash_alone_is_no_more_than_a_suspicion() {
        assert_eq!(after(&MemoryRegistry::new(), &[4]), (vec!["p4".into()], vec![]));
    }

    #[test]
    fn what_took_its_host_down_is_held_back_also_where_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        let mut limits = Limits::default();
        limits.patience = Duration::from_millis(50);
        let registry = SqliteRegistry::open_with(&path, limits).unwrap().registry;
        registry.begin_attempt(&begun(1, &dead())).unwrap();
        assert!(recall(&registry).unwrap().held.is_empty());
        registry.begin_attempt(&begun(1, &dead())).unwrap();
        // One crash, and one time that the machine went down.
        let of_before = HostProcess { boot: "the boot before".into(), ..dead() };
        registry.begin_attempt(&begun(2, &of_before)).unwrap();
        registry.begin_attempt(&begun(2, &dead())).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let recalled = recall(&registry).unwrap();
        let held: Vec<_> = recalled.held.iter().map(|it| it.plugin.as_str()).collect();
        assert_eq!(held, ["p1"]);
        assert_eq!(recalled.unwritten.unwrap().code(), "PB1606");
        other.execute_batch("ROLLBACK").unwrap();
        let recalled = recall(&registry).unwrap();
        assert!(recalled.unwritten.is_none());
        assert_eq!(recalled.held, registry.held_back().unwrap());
    }

    #[test]
    fn what_was_open_when_the_machine_went_down_counts_for_nothing() {
        let registry = MemoryRegistry::new();
        let process = HostProcess { boot: "the boot before".into(), ..dead() };
        for _ in 0..3 {
            registry.begin_attempt(&begun(1, &process)).unwrap();
            let recalled = recall(&registry).unwrap();
            assert!(recalled.suspects.is_empty() && recalled.held.is_empty());
        }
        assert_eq!(registry.all_crashes().unwrap(), []);
    }

    #[test]
    fn what_a_host_that_lives_has_begun_is_left_alone() {
        let registry = MemoryRegistry::new();
        let own = HostProcess::current().unwrap();
        let id = registry.begin_attempt(&begun(1, &own)).unwrap();
        assert!(recall(&registry).unwrap().suspects.is_empty());
        assert_eq!(registry.open_attempts().unwrap()[0].id, id);
    }
}
