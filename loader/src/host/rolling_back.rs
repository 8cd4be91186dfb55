//! How a host goes back to the generation of a plugin that was replaced last, and keeps the
//! way there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::Inner;
use super::deciding::NotTaken;
use super::reloading::{is_in_use, is_stateful, joined};
use super::settling::Change;
use crate::activate::Active;
use crate::discover::discover_file;
use crate::error::Error;
use crate::events::{Cause, Happening, Reloaded, Times};
use crate::naming;
use crate::platform;
use crate::probe::ProbeError;
use crate::reload::RollbackError;
use crate::report::{Loadable, Refusal, full_message};
use crate::seat::Seat;
use crate::verdicts::QuarantineEntry;
use crate::verify::verify;

impl Inner {
    /// Goes back to the generation before.
    pub(super) fn roll_back(&self, id: &Seat, cause: Cause) -> Result<Reloaded, RollbackError> {
        let Some(current) = self.serving(id) else {
            return Err(RollbackError::NotActive { plugin: id.id().clone() });
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
        // The same bytes, with another configuration.
        let same = idle.as_ref().is_some_and(|idle| idle.about.hash == current.about.hash);
        let mut undone = match &idle {
            Some(idle) if same => {
                let was = idle.config.now();
                let mut known = self.known.lock();
                known.configurations.go_back(id, &idle.about.manifest, &was)
            }
            _ => Vec::new(),
        };
        let kept = self.kept_file(id).filter(|path| hash_in(path) != Some(current.about.hash));
        let file = if same { its_copy } else { kept.or(its_copy) };
        match (&idle, file) {
            // Nothing to hand over: the one that waits can go on at once. But one that has
            // not heard of a configuration since is constructed anew, with that.
            (Some(idle), _) if !is_stateful(&current) && self.has_what_holds(idle) => {
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
                    // And so with the configuration that it has.
                    let mut known = self.known.lock();
                    while let Some(before) = undone.pop() {
                        known.configurations.take_back(before);
                    }
                    drop(known);
                    Err(RollbackError::Refused(refusal))
                }
                (Err(refusal), Some(idle)) => {
                    let what = if is_stateful(&current) { "state" } else { "configuration" };
                    let note = format!("with the {what} that it had, as {}", refusal.reason());
                    Ok(self.swap_back(&current, idle, &cause, Some(note)))
                }
                (Err(refusal), None) => Err(RollbackError::Refused(refusal)),
            },
            (Some(idle), None) => Ok(self.swap_back(&current, idle, &cause, None)),
            (None, None) => Err(RollbackError::NothingBefore { plugin: id.id().clone() }),
        }
    }

    /// It is known what a generation does that was left for the one before: only
    /// other bytes are worth a try. What should be known of that.
    pub(super) fn not_again(
        &self,
        left: &Active,
        before: &Active,
        cause: &Cause,
    ) -> Option<String> {
        if left.about.hash == before.about.hash {
            // They differ in their configuration alone, and that is as it was.
            return Some("with the configuration that it had".to_owned());
        }
        let why = match cause {
            Cause::Trouble(why) => why,
            _ => "somebody went back to the version before",
        };
        let Loadable { manifest, hash, path, .. } = &*left.about;
        let reason = format!("it was rolled back: {why}");
        let entry = self.verdicts.went_back_from(hash, manifest.id.as_str(), path, reason);
        self.leave_file(left, entry.clone());
        (!entry.kept).then(|| {
            format!(
                "version {} is held back until this host ends, and not for the next one: that \
                 cannot be kept on disk",
                manifest.version
            )
        })
    }

    /// The files of a generation that was left are not decided on again.
    fn leave_file(&self, left: &Active, entry: QuarantineEntry) {
        let hash = left.about.hash.to_hex().to_string();
        let error = ProbeError::StillQuarantined(Box::new(entry));
        let refusal = Arc::new(Refusal::of(&left.about, error));
        self.remember(refusal.clone());
        let mut known = self.known.lock();
        let its = known.files.iter().filter(|(_, offer)| offer.hash == hash);
        let paths: Vec<_> = its.map(|(path, _)| path.clone()).collect();
        for path in paths {
            let not_taken = NotTaken { hash: hash.clone(), refusal: refusal.clone() };
            known.not_taken.insert(path, not_taken);
        }
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
        let id = &idle.about.seat;
        if let Some(slot) = self.table.load().get(id.as_str()) {
            slot.open(idle.clone());
        }
        let times = Times { activate: Some(begin.elapsed()), ..Times::default() };
        // On disk may be a state that only the one that was left can read.
        let persists = is_stateful(idle) && idle.about.manifest.state_persist;
        let unsaved = persists.then(|| self.save(id).err()).flatten();
        let unsaved = unsaved.map(|error| full_message(&error));
        let note = note.into_iter().chain(unsaved).chain(self.not_again(current, idle, cause));
        let reloaded = Reloaded {
            plugin: id.id().clone(),
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
        self.no_longer_refused(&idle.about.path);
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

    /// A new generation was in too much trouble. For the keeper's thread.
    pub(crate) fn roll_back_in_trouble(&self, id: &Seat, generation: u64, reason: String) {
        let _changing = self.change();
        let serves = self.serving(id).is_some_and(|active| active.generation == generation);
        if !serves || self.running().is_err() {
            return;
        }
        match self.roll_back(id, Cause::Trouble(reason.clone())) {
            // Others may need the version that was left.
            Ok(_) => drop(self.settle(Vec::new(), Change::because(&Cause::Trouble(reason)))),
            Err(error) => {
                log::warn!("{id} is in trouble ({reason}), and there is no way back: {error}");
            }
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
            .filter_map(|refusal| self.seat_of_refusal(refusal))
            .filter(|id| self.serving(id).is_none())
            .collect();
        for id in ids {
            let Some(file) = self.kept_file(&id) else { continue };
            let kept = verify(discover_file(&file), &self.workspace, &self.options.verify);
            if kept.is_ok_and(|kept| self.would_run(&kept))
                && let Ok(resolved) = self.resolve_alone(file)
            {
                // Its own refusal is known already; this one's is told in the history.
                let _ = self.bring_up(vec![resolved], &Cause::Rollback);
            }
        }
    }

    /// Keeps the file of a generation that was replaced, for the way back.
    pub(super) fn keep_file(&self, old: &Active) {
        let copy =
            old.mapped.lock().as_ref().and_then(|mapped| mapped.copy_path().map(Path::to_owned));
        let Some(copy) = copy else { return };
        let folder = self.earlier(&old.about.seat);
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

    fn kept_file(&self, id: &Seat) -> Option<PathBuf> {
        let mut entries = self.earlier(id).read_dir().ok()?.flatten();
        entries.next().map(|entry| entry.path())
    }

    fn earlier(&self, id: &Seat) -> PathBuf {
        let own = naming::hosts_in(&self.options.cache_dir).join(&self.options.name);
        own.join("earlier").join(id.as_str())
    }
}

/// The content that a kept file is named after.
fn hash_in(path: &Path) -> Option<blake3::Hash> {
    blake3::Hash::from_hex(path.file_stem()?.to_str()?).ok()
}
