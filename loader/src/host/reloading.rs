//! How a host lets another generation of a plugin take over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::PluginId;

use super::{Inner, LoadPluginError, Record};
use crate::activate::{ActivateError, Active};
use crate::discover::{discover, discover_file};
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Reloaded, Times};
use crate::handover::{Handover, HandoverError, Measured};
use crate::link::StateSource;
use crate::naming;
use crate::on_thread::Deadline;
use crate::platform;
use crate::probe::ProbeError;
use crate::reload::{LookedAt, Outcome, ReloadError, RollbackError};
use crate::report::{Loadable, PluginState, Refusal, full_message};
use crate::resolve::{Resolved, resolve};
use crate::verify::{Verified, verify};

impl Inner {
    /// Looks for the file of a plugin, and lets it take over.
    pub(super) fn reload_from_folders(
        &self,
        id: &PluginId,
        cause: &Cause,
    ) -> Result<Outcome, LoadPluginError> {
        let mut times = Times::default();
        let begin = Instant::now();
        let found = self.find(id, &self.facts());
        times.verify = Some(begin.elapsed());
        let resolved = match (found, self.serving(id)) {
            (Ok(resolved), _) => resolved,
            (Err(LoadPluginError::Refused(refusal)), Some(old)) => {
                self.tell_kept(&old, &refusal, cause, times);
                return Err(self.remember(refusal));
            }
            (Err(why), _) => return Err(self.told(why)),
        };
        self.take_over(resolved, cause, times)
    }

    /// Reloads what has changed in the folders and loads what is new.
    /// `unfinished` are left alone.
    pub(super) fn rescan(
        &self,
        cause: &Cause,
        unfinished: &[PathBuf],
        times: Times,
    ) -> Vec<LookedAt> {
        let mut found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        found.candidates.retain(|one| unfinished.iter().all(|path| path != one.path()));
        let begin = Instant::now();
        let (verified, mut refused) = self.verify(found.candidates);
        self.learn_files(&verified);
        let verify = begin.elapsed() / u32::try_from(verified.len().max(1)).unwrap_or(1);
        let plan = resolve(verified, &self.facts());
        refused.extend(plan.held_back.into_iter().map(|error| Arc::new(Refusal::from(error))));
        refused.extend(found.problems.into_iter().map(|problem| {
            let path = problem.path().to_owned();
            Arc::new(Refusal { path, plugin: None, error: problem.into() })
        }));
        let mut looked_at = self.turn_away_all(refused, cause);
        for resolved in plan.run {
            let plugin = resolved.verified().manifest().id.clone();
            // An older version does not take over because the newer file broke.
            let broke = looked_at.iter().any(|kept| kept.plugin == plugin);
            if broke || self.is_left_out(&resolved) {
                continue;
            }
            let times = Times { verify: Some(verify), ..times };
            let outcome = self.take_over(resolved, cause, times);
            looked_at.push(LookedAt { plugin, outcome });
        }
        looked_at.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        looked_at
    }

    /// Whether it is not to come up by itself: the host is for others only, or
    /// somebody unloaded it, and its bytes are the same.
    pub(super) fn is_left_out(&self, resolved: &Resolved) -> bool {
        let verified = resolved.verified();
        let id = &verified.manifest().id;
        let only_others =
            self.options.only.as_ref().is_some_and(|only| !only.contains(id.as_str()));
        let unloaded = |record: &Record| {
            let ended = record.state != PluginState::Active && record.ended_by_hand;
            ended && record.about.hash == verified.hash()
        };
        only_others || self.known.lock().plugins.get(id).is_some_and(unloaded)
    }

    /// Remembers what is refused now, and tells what is new of it. Gives the
    /// plugins that serve on although their file is refused.
    fn turn_away_all(&self, refused: Vec<Arc<Refusal>>, cause: &Cause) -> Vec<LookedAt> {
        let before = std::mem::replace(&mut self.known.lock().refused, refused.clone());
        let mut looked_at = Vec::new();
        for refusal in refused {
            if let Some(about) = self.served_from(&refusal.path) {
                let plugin = about.manifest.id.clone();
                let outcome = Err(LoadPluginError::Refused(refusal.clone()));
                looked_at.push(LookedAt { plugin, outcome });
            }
            let is_known = before
                .iter()
                .any(|old| old.path == refusal.path && old.error.code() == refusal.error.code());
            if !is_known {
                self.tell_refusal(&refusal, cause);
            }
        }
        looked_at
    }

    /// Remembers which files are which plugin.
    pub(super) fn learn_files(&self, verified: &[Verified]) {
        let mut known = self.known.lock();
        for one in verified {
            known.files.insert(one.path().to_owned(), one.manifest().id.clone());
        }
    }

    /// Lets a verified file serve: for the first time, or in place of the
    /// generation that does.
    pub(super) fn take_over(
        &self,
        resolved: Resolved,
        cause: &Cause,
        times: Times,
    ) -> Result<Outcome, LoadPluginError> {
        let id = resolved.verified().manifest().id.clone();
        let Some(old) = self.serving(&id) else {
            let status = self.bring_up_one(resolved, cause)?;
            return Ok(Outcome::Loaded(Box::new(status)));
        };
        if old.about.hash == resolved.verified().hash() {
            self.no_longer_refused(&Loadable::of(resolved.verified()));
            return Ok(Outcome::Unchanged);
        }
        self.replace(resolved, &old, cause, times)
            .map(|(reloaded, _)| Outcome::Reloaded(Box::new(reloaded)))
            .map_err(|refusal| self.remember(refusal))
    }

    /// Constructs the new generation while the old one serves, hands the state
    /// over, and lets the new one serve. Whatever fails, the old one serves on.
    fn replace(
        &self,
        resolved: Resolved,
        old: &Arc<Active>,
        cause: &Cause,
        mut times: Times,
    ) -> Result<(Reloaded, Arc<Active>), Arc<Refusal>> {
        let about = Arc::new(Loadable::of(resolved.verified()));
        match self.try_replace(resolved, &about, old, &mut times) {
            Ok((active, measured, saved)) => {
                let stateful = is_stateful(old);
                // After a way back: it came from the file that is kept, which a
                // host that is started anew needs again, and the one that it
                // left is not to come back.
                let may_come_back = !matches!(cause, Cause::Rollback | Cause::Trouble(_));
                // What is on disk from before is not replaced by nothing.
                let mut notes = Vec::new();
                if stateful {
                    notes.extend(self.persist(&active, saved.as_ref()));
                }
                if !may_come_back {
                    notes.extend(self.not_again(old, cause));
                }
                let reloaded = Reloaded {
                    plugin: about.manifest.id.clone(),
                    from: old.about.manifest.version.clone(),
                    to: about.manifest.version.clone(),
                    from_generation: old.generation,
                    to_generation: active.generation,
                    path: about.path.clone(),
                    cause: cause.clone(),
                    times,
                    calls_waited: measured.waited,
                    state_bytes: stateful.then_some(measured.bytes as u64),
                    note: joined(notes),
                };
                if may_come_back {
                    self.keep_file(old);
                }
                let over = self.replaced(&about.manifest.id, old, &active, may_come_back);
                self.tell_that_serves(&active);
                self.no_longer_refused(&about);
                self.chronicle.tell(Happening::Reloaded(reloaded.clone()));
                over.into_iter().for_each(|over| self.leave(over));
                Ok((reloaded, active))
            }
            Err(error) => {
                let refusal = Arc::new(Refusal::of(&about, error));
                self.tell_kept(old, &refusal, cause, times);
                Err(refusal)
            }
        }
    }

    pub(super) fn tell_kept(&self, old: &Active, refusal: &Refusal, cause: &Cause, times: Times) {
        self.chronicle.tell(Happening::Kept {
            plugin: old.about.manifest.id.clone(),
            version: old.about.manifest.version.clone(),
            generation: old.generation,
            path: refusal.path.clone(),
            cause: cause.clone(),
            code: refusal.error.code().to_owned(),
            reason: refusal.reason(),
            help: refusal.error.hint(),
            times,
        });
    }

    fn try_replace(
        &self,
        resolved: Resolved,
        about: &Arc<Loadable>,
        old: &Arc<Active>,
        times: &mut Times,
    ) -> Result<(Arc<Active>, Measured, Option<SavedState>), Error> {
        let id = &about.manifest.id;
        self.room_for_another(id)?;
        let Some(slot) = self.table.load().get(id).cloned() else {
            return Err(ActivateError::Unwanted.into());
        };
        // The calls that run have their own time, and are to be named if they
        // take longer; the activation is not to be blamed for them.
        let limits = self.options.handover_limits();
        let mut deadline = self.options.activation_deadline;
        if is_stateful(old) {
            deadline = deadline.saturating_add(limits.drain.min(limits.pause));
        }
        let deadline = Deadline::new(deadline);
        let (stateful, copies) = (is_stateful(old), about.manifest.state_persist);
        let handover = Handover::new(slot, stateful, limits, deadline.clone(), copies);
        let handover = Arc::new(handover);
        // What a version without state has left on disk is its successor's.
        let state = match stateful {
            true => StateSource::Over(handover.clone()),
            false => self.kept_state(about)?,
        };
        let outcome = self.construct(resolved, about, state, times, &deadline, handover.clone());
        let measured = handover.measured();
        if stateful && !measured.pause.is_zero() {
            times.pause = Some(measured.pause);
            times.drain = Some(measured.drain);
            times.save = Some(measured.save);
        }
        match (outcome, handover.failure()) {
            (Ok(active), _) => Ok((active, measured, handover.take_copy())),
            (Err(_), Some(failure)) => Err(failure.into()),
            (Err(error), None) => Err(error),
        }
    }

    /// Tells the others that another generation of a plugin serves, and it what there
    /// is. When that is known of it: who is told may look at once.
    fn tell_that_serves(&self, active: &Arc<Active>) {
        let slot = self.table.load().get(&active.about.manifest.id).cloned();
        self.tell.serve(slot.map(|slot| (slot, active.clone())));
    }

    /// Goes back to the generation before.
    pub(super) fn roll_back(&self, id: &PluginId, cause: Cause) -> Result<Reloaded, RollbackError> {
        let Some(current) = self.serving(id) else {
            return Err(RollbackError::NotActive { plugin: id.clone() });
        };
        let idle = {
            let mut known = self.known.lock();
            let record = known.plugins.get_mut(id);
            record.and_then(|record| record.previous.take()).map(|previous| previous.active)
        };
        // Where it could not be kept, what waits has a copy as long as it waits.
        let its_copy = idle.as_ref().and_then(|idle| {
            idle.mapped.lock().as_ref().and_then(|mapped| mapped.copy_path().map(Path::to_owned))
        });
        let kept = self.kept_file(id).filter(|path| hash_in(path) != Some(current.about.hash));
        let file = kept.or(its_copy);
        match (&idle, file) {
            // Nothing to hand over: the one that waits can go on at once.
            (Some(idle), _) if !is_stateful(&current) => {
                Ok(self.swap_back(&current, idle, &cause, None))
            }
            (idle, Some(file)) => match (self.load_earlier(file, &current, &cause), idle) {
                (Ok(reloaded), idle) => {
                    // The new generation has the state; the one that waits has not.
                    if let Some(idle) = idle {
                        self.leave(idle.clone());
                    }
                    Ok(reloaded)
                }
                // Who asks can ask again when the calls have ended; nothing is lost then.
                (Err(refusal), Some(idle)) if cause == Cause::Rollback && is_in_use(&refusal) => {
                    self.wait_again(id, idle.clone());
                    Err(RollbackError::Refused(refusal))
                }
                (Err(refusal), Some(idle)) => {
                    let note = format!("with the state that it had, as {}", refusal.reason());
                    Ok(self.swap_back(&current, idle, &cause, Some(note)))
                }
                (Err(refusal), None) => Err(RollbackError::Refused(refusal)),
            },
            (Some(idle), None) => Ok(self.swap_back(&current, idle, &cause, None)),
            (None, None) => Err(RollbackError::NothingBefore { plugin: id.clone() }),
        }
    }

    /// It is known what a generation does that was left for the one before: only
    /// other bytes are worth a try. What should be known of that.
    fn not_again(&self, left: &Active, cause: &Cause) -> Option<String> {
        let why = match cause {
            Cause::Trouble(why) => why,
            _ => "somebody went back to the version before",
        };
        let Loadable { manifest, hash, path, .. } = &*left.about;
        let reason = format!("it was rolled back: {why}");
        let entry = self.verdicts.went_back_from(hash, manifest.id.as_str(), path, reason);
        (!entry.kept).then(|| {
            format!(
                "version {} is held back until this host ends, and not for the next one: that \
                 cannot be kept on disk",
                manifest.version
            )
        })
    }

    /// The one that waits serves again, and the other one ends.
    fn swap_back(
        &self,
        current: &Arc<Active>,
        idle: &Arc<Active>,
        cause: &Cause,
        note: Option<String>,
    ) -> Reloaded {
        let begin = Instant::now();
        let id = &idle.about.manifest.id;
        if let Some(slot) = self.table.load().get(id) {
            slot.open(idle.clone());
        }
        let times = Times { activate: Some(begin.elapsed()), ..Times::default() };
        // On disk may be a state that only the one that was left can read.
        let persists = is_stateful(idle) && idle.about.manifest.state_persist;
        let unsaved = persists.then(|| self.save(id).err()).flatten();
        let unsaved = unsaved.map(|error| full_message(&error));
        let note = note.into_iter().chain(unsaved).chain(self.not_again(current, cause));
        let reloaded = Reloaded {
            plugin: id.clone(),
            from: current.about.manifest.version.clone(),
            to: idle.about.manifest.version.clone(),
            from_generation: current.generation,
            to_generation: idle.generation,
            path: idle.about.path.clone(),
            cause: cause.clone(),
            times,
            calls_waited: 0,
            state_bytes: None,
            note: joined(note.collect()),
        };
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            record.serves(idle);
        }
        self.tell_that_serves(idle);
        idle.troubles.end_probation();
        self.no_longer_refused(&idle.about);
        self.chronicle.tell(Happening::Reloaded(reloaded.clone()));
        self.leave(current.clone());
        reloaded
    }

    /// Loads the kept file of the version before, which gets the state of the
    /// one that serves.
    fn load_earlier(
        &self,
        file: PathBuf,
        current: &Arc<Active>,
        cause: &Cause,
    ) -> Result<Reloaded, Arc<Refusal>> {
        let begin = Instant::now();
        let resolved = self.resolve_alone(file)?;
        let times = Times { verify: Some(begin.elapsed()), ..Times::default() };
        let (reloaded, _) = self.replace(resolved, current, cause, times)?;
        Ok(reloaded)
    }

    fn resolve_alone(&self, file: PathBuf) -> Result<Resolved, Arc<Refusal>> {
        let verified = verify(discover_file(&file), &self.workspace, &self.options.verify)
            .map_err(|error| Arc::new(Refusal::from(error)))?;
        let mut plan = resolve(vec![verified], &self.facts());
        match (plan.run.pop(), plan.held_back.pop()) {
            (Some(resolved), _) => Ok(resolved),
            (None, Some(error)) => Err(Arc::new(Refusal::from(error))),
            // One went in, so one comes out, here or there.
            (None, None) => {
                let error = ActivateError::Unwanted.into();
                Err(Arc::new(Refusal { path: file, plugin: None, error }))
            }
        }
    }

    /// A new generation was in too much trouble. For the keeper's thread.
    pub(crate) fn roll_back_in_trouble(&self, id: &PluginId, generation: u64, reason: String) {
        let _changing = self.changing.lock();
        let serves = self.serving(id).is_some_and(|active| active.generation == generation);
        if !serves || self.running().is_err() {
            return;
        }
        if let Err(error) = self.roll_back(id, Cause::Trouble(reason.clone())) {
            log::warn!("{id} is in trouble ({reason}), and there is no way back: {error}");
        }
    }

    /// Brings up the versions before of plugins that do not serve and whose file was
    /// rolled back.
    pub(super) fn bring_back(&self, refused: &[Arc<Refusal>]) {
        // Not one that crashed: what lies there is not what served before it.
        let rolled_back = refused.iter().filter(|refusal| match &refusal.error {
            Error::Probe(ProbeError::StillQuarantined(entry)) => entry.host.is_some(),
            _ => false,
        });
        let ids: Vec<_> = rolled_back
            .filter_map(|refusal| refusal.plugin.as_ref().map(|(id, _)| id.clone()))
            .filter(|id| self.serving(id).is_none())
            .collect();
        for id in ids {
            if let Some(file) = self.kept_file(&id)
                && let Ok(resolved) = self.resolve_alone(file)
            {
                // Its own refusal is known already; this one's is told in the history.
                let _ = self.bring_up(vec![resolved], &Cause::Rollback);
            }
        }
    }

    /// Keeps the file of a generation that was replaced, for the way back.
    fn keep_file(&self, old: &Active) {
        let copy =
            old.mapped.lock().as_ref().and_then(|mapped| mapped.copy_path().map(Path::to_owned));
        let Some(copy) = copy else { return };
        let folder = self.earlier(&old.about.manifest.id);
        let name = format!("{}.{}", old.about.hash.to_hex(), platform::LIBRARY_EXTENSION);
        let kept = platform::make_private_dir(&folder).and_then(|()| {
            let file = folder.join(name);
            match fs::hard_link(&copy, &file) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            // Only now, so that there is one at any time.
            for entry in folder.read_dir()?.flatten().filter(|entry| entry.path() != file) {
                fs::remove_file(entry.path())?;
            }
            Ok(())
        });
        if let Err(error) = kept {
            log::warn!("the version before cannot be kept in {}: {error}", folder.display());
        }
    }

    fn kept_file(&self, id: &PluginId) -> Option<PathBuf> {
        let mut entries = self.earlier(id).read_dir().ok()?.flatten();
        entries.next().map(|entry| entry.path())
    }

    fn earlier(&self, id: &PluginId) -> PathBuf {
        let own = naming::hosts_in(&self.options.cache_dir).join(&self.options.name);
        own.join("earlier").join(id.as_str())
    }
}

/// Whether it failed because calls did not end in time.
pub(super) fn is_in_use(refusal: &Refusal) -> bool {
    matches!(refusal.error, Error::Reload(ReloadError::Handover(HandoverError::Busy { .. })))
}

/// In one line.
fn joined(notes: Vec<String>) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Whether a generation has a state to hand over.
fn is_stateful(active: &Active) -> bool {
    active.about.manifest.state_version > 0
}

/// The content that a kept file is named after.
fn hash_in(path: &Path) -> Option<blake3::Hash> {
    blake3::Hash::from_hex(path.file_stem()?.to_str()?).ok()
}
