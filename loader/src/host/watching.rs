//! What a host does when files in its folders change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::manifest::PluginId;

use super::reloading::is_in_use;
use super::{Inner, Known, LoadPluginError, Record};
use crate::discover::discover_one;
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Times};
use crate::keeper::Wish;
use crate::reload::ReloadError;
use crate::report::{Loadable, PluginState, Refusal, full_message};
use crate::resolve::resolve;
use crate::slot::holders_of;
use crate::unload::UnloadError;
use crate::verify::{Verified, verify};
use crate::watch::{Change, Watcher};

impl Inner {
    /// Begins to watch, where that is wanted and not done yet. Before the folders
    /// are looked at, so that nothing is missed between the two.
    pub(super) fn watch(&self) {
        let Some(options) = self.options.watch.clone() else { return };
        let mut watcher = self.watcher.lock();
        if watcher.is_some() {
            return;
        }
        match Watcher::start(self.options.folders.clone(), options) {
            Ok((started, changes)) => {
                *watcher = Some(started);
                self.keep(Wish::Watch(changes));
            }
            Err(error) => self.chronicle.tell(problem(&error)),
        }
    }

    /// Ends watching, for good.
    pub(super) fn unwatch(&self) {
        let watcher = self.watcher.lock().take();
        // Its thread is waited for, without the lock.
        drop(watcher);
    }

    /// Something changed. For the keeper's thread.
    pub(crate) fn changed(&self, change: Change) {
        let _changing = self.change();
        if self.running().is_err() {
            return;
        }
        let times = Times { detect: Some(change.seen().elapsed()), ..Times::default() };
        match change {
            Change::Ready { path, .. } => self.file_ready(&path, times),
            Change::Gone { path, .. } => self.file_gone(&path, times),
            Change::Rescan { unfinished, .. } => self.folders_changed(&unfinished, times),
            Change::Problem { error, .. } => self.chronicle.tell(problem(&error)),
        }
    }

    fn file_ready(&self, path: &Path, mut times: Times) {
        let begin = Instant::now();
        let open = self.options.verify.allow_world_writable;
        let candidate = match discover_one(path, &self.options.folders, open) {
            Ok(Some(candidate)) => candidate,
            Ok(None) => return,
            Err(problem) => {
                let folder = problem.path().to_owned();
                let refusal = Refusal { path: folder, plugin: None, error: problem.into() };
                return self.turn_away(refusal, &Cause::File);
            }
        };
        let verified = verify(candidate, &self.workspace, &self.options.verify);
        times.verify = Some(begin.elapsed());
        let verified = match verified {
            Ok(verified) => verified,
            // It went again; that is told by itself.
            Err(error) if error.code() == "PB0201" => return,
            // That it is finished is told, too.
            Err(error) if error.is_unfinished() => return,
            Err(error) => return self.turn_away(Refusal::from(error), &Cause::File),
        };
        let id = verified.manifest().id.clone();
        let before = self.known.lock().files.insert(path.to_owned(), id.clone());
        if let Some(before) = before.filter(|before| *before != id) {
            self.choose(&before, Vec::new(), Times::default());
        }
        self.choose(&id, vec![verified], times);
    }

    fn file_gone(&self, path: &Path, times: Times) {
        let id = {
            let mut known = self.known.lock();
            known.refused.retain(|refusal| refusal.path != path);
            known.files.remove(path)
        };
        if let Some(id) = id {
            self.choose(&id, Vec::new(), times);
        }
    }

    fn folders_changed(&self, unfinished: &[PathBuf], times: Times) {
        let gone: Vec<_> = {
            let known = self.known.lock();
            known.files.keys().filter(|path| !path.exists()).cloned().collect()
        };
        for looked_at in self.rescan(&Cause::File, unfinished, times) {
            log::debug!("{}: {:?}", looked_at.plugin, looked_at.outcome.is_ok());
        }
        for path in gone {
            self.file_gone(&path, times);
        }
    }

    /// Lets the best of the files of one plugin serve, or ends it where none is
    /// left. `new` were verified just now.
    fn choose(&self, id: &PluginId, new: Vec<Verified>, times: Times) {
        if self.options.only.as_ref().is_some_and(|only| !only.contains(id.as_str())) {
            return;
        }
        let (others, serving_from): (Vec<_>, _) = {
            let known = self.known.lock();
            let active = known.plugins.get(id).filter(|one| one.state == PluginState::Active);
            let of_it = known.files.iter().filter(|(_, its)| *its == id).map(|(path, _)| path);
            let others = of_it.filter(|path| new.iter().all(|new| new.path() != *path));
            (others.cloned().collect(), active.map(|one| one.about.path.clone()))
        };
        let open = self.options.verify.allow_world_writable;
        let mut all = new;
        for path in others {
            let candidate = discover_one(&path, &self.options.folders, open).ok().flatten();
            let verified = candidate
                .and_then(|one| verify(one, &self.workspace, &self.options.verify).ok())
                .filter(|verified| verified.manifest().id == *id);
            match verified {
                Some(verified) => all.push(verified),
                // An older version does not take over because the newer file broke.
                None if path.exists() && serving_from.as_ref() == Some(&path) => return,
                None => drop(self.known.lock().files.remove(&path)),
            }
        }
        let any = !all.is_empty();
        let plan = resolve(all, &self.facts());
        for error in plan.held_back {
            self.turn_away(Refusal::from(error), &Cause::File);
        }
        match plan.run.into_iter().next() {
            Some(resolved) => {
                let path = resolved.verified().path().to_owned();
                if self.is_left_out(&resolved) {
                    return;
                }
                match self.take_over(resolved, &Cause::File, times) {
                    Ok(_) => self.known.lock().refused.retain(|refusal| refusal.path != path),
                    // It is told where it is known.
                    Err(LoadPluginError::Refused(refusal)) => {
                        if may_pass(&refusal) {
                            self.known.lock().to_take.insert(id.clone(), path);
                            self.keep(Wish::Look);
                        }
                    }
                    Err(error) => log::warn!("{id}: {error}"),
                }
            }
            // Held back: what serves goes on.
            None if any || self.options.keep_removed => {}
            // Also one that came from elsewhere, as the version before does after a
            // rollback: a plugin whose file is deleted is gone.
            None => self.remove(id),
        }
    }

    /// Tries again what did not take over because the plugin was in use.
    pub(super) fn take_those_in_use(&self) {
        let free = {
            let known = self.known.lock();
            let ids = known.to_take.keys().filter(|id| self.is_free(&known, id));
            ids.cloned().collect::<Vec<_>>()
        };
        let ids = free.into_iter().filter(|id| self.room_for_another(id).is_ok());
        for id in ids {
            let path = self.known.lock().to_take.remove(&id);
            if let Some(path) = path.filter(|path| path.exists()) {
                self.file_ready(&path, Times::default());
            }
        }
    }

    /// Whether nobody uses any generation of a plugin just now.
    fn is_free(&self, known: &Known, id: &PluginId) -> bool {
        let left = known.plugins.get(id).map(Record::in_use).unwrap_or_default();
        left.into_iter().chain(self.serving(id)).all(|active| holders_of(&active).is_empty())
    }

    /// The last file of a plugin is gone. One that comes is a new one, whatever was
    /// done with this.
    fn remove(&self, id: &PluginId) {
        if let Some(record) = self.known.lock().plugins.get_mut(id) {
            record.ended_by_hand = false;
        }
        if let Err(UnloadError::Busy { plugin, holders, .. }) =
            self.unload(id.as_str(), PluginState::Unloaded, &Cause::File)
        {
            let generation = self.serving(id).map_or(0, |active| active.generation);
            self.chronicle.tell(Happening::InUse { plugin, generation, holders });
            self.known.lock().to_remove.insert(id.clone());
        }
    }

    /// Ends those that were in use when their file went, once nobody uses them:
    /// each attempt lets calls wait.
    pub(super) fn remove_those_in_use(&self) {
        let free: Vec<_> = {
            let mut known = self.known.lock();
            let back: Vec<_> = known.files.values().cloned().collect();
            known.to_remove.retain(|id| !back.contains(id));
            known.to_remove.iter().filter(|id| self.is_free(&known, id)).cloned().collect()
        };
        for id in free {
            self.known.lock().to_remove.remove(&id);
            self.remove(&id);
        }
    }

    /// A file that is not taken: what serves goes on.
    fn turn_away(&self, refusal: impl Into<Arc<Refusal>>, cause: &Cause) {
        let refusal = refusal.into();
        // One write may have several events.
        let is_known = self.known.lock().refused.iter().any(|old| {
            old.path == refusal.path
                && old.error.code() == refusal.error.code()
                && old.reason() == refusal.reason()
        });
        if is_known && *cause == Cause::File {
            return;
        }
        self.tell_refusal(&refusal, cause);
        self.remember(refusal);
    }

    /// Tells of a file that is not taken, and what that changes.
    pub(super) fn tell_refusal(&self, refusal: &Refusal, cause: &Cause) {
        let serving = self.served_from(&refusal.path);
        match serving.and_then(|about| self.serving(&about.manifest.id)) {
            Some(old) => self.tell_kept(&old, refusal, cause, Times::default()),
            None => self.chronicle.tell(refusal.happening()),
        }
    }

    /// What serves that was loaded from this file.
    pub(super) fn served_from(&self, path: &Path) -> Option<Arc<Loadable>> {
        let known = self.known.lock();
        let mut active = known.plugins.iter().filter(|(_, one)| one.state == PluginState::Active);
        // After a rollback it came from no file of the folders.
        let instead = |id: &PluginId, from: &PathBuf| {
            known.files.get(path) == Some(id) && !known.files.contains_key(from)
        };
        active
            .find(|(id, one)| one.about.path == path || instead(id, &one.about.path))
            .map(|(_, record)| record.about.clone())
    }
}

/// Whether the same file may be taken later, without anybody's doing. Not where it
/// was slow, or the state could not be had: each attempt lets calls wait.
fn may_pass(refusal: &Refusal) -> bool {
    is_in_use(refusal) || matches!(refusal.error, Error::Reload(ReloadError::Generations { .. }))
}

fn problem(error: &impl Explain) -> Happening {
    Happening::Watching {
        code: error.code().to_owned(),
        problem: full_message(error),
        help: error.hint(),
    }
}
