//! What a host does when files in its folders change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::manifest::PluginId;

use super::{Inner, LoadPluginError};
use crate::discover::discover_one;
use crate::error::Explain;
use crate::events::{Cause, Happening, Times};
use crate::keeper::Wish;
use crate::report::{Loadable, PluginState, Refusal, full_message};
use crate::resolve::resolve;
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
        let others: Vec<_> = {
            let known = self.known.lock();
            let of_it = known.files.iter().filter(|(_, its)| *its == id).map(|(path, _)| path);
            of_it.filter(|path| new.iter().all(|new| new.path() != *path)).cloned().collect()
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
                let unloaded = self.known.lock().plugins.get(id).is_some_and(|record| {
                    record.state != PluginState::Active
                        && record.about.hash == resolved.verified().hash()
                });
                // Somebody unloaded it, and its bytes are the same.
                if unloaded {
                    return;
                }
                match self.take_over(resolved, &Cause::File, times) {
                    Ok(_) => self.known.lock().refused.retain(|refusal| refusal.path != path),
                    // It is told where it is known.
                    Err(LoadPluginError::Refused(_)) => {}
                    Err(error) => log::warn!("{id}: {error}"),
                }
            }
            // Held back: what serves goes on.
            None if any || self.options.keep_removed => {}
            None => self.remove(id),
        }
    }

    /// The last file of a plugin is gone.
    fn remove(&self, id: &PluginId) {
        if let Err(UnloadError::Busy { plugin, holders, .. }) =
            self.unload(id.as_str(), PluginState::Unloaded, &Cause::File)
        {
            let generation = self.serving(id).map_or(0, |active| active.generation);
            self.chronicle.tell(Happening::InUse { plugin, generation, holders });
            self.known.lock().to_remove.insert(id.clone());
            self.keep(Wish::Look);
        }
    }

    /// Tries again to end those that were in use when their file went.
    pub(super) fn remove_those_in_use(&self) {
        let ids = std::mem::take(&mut self.known.lock().to_remove);
        for id in ids {
            let back = self.known.lock().files.values().any(|its| *its == id);
            if !back {
                self.remove(&id);
            }
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
        let mut active =
            known.plugins.values().filter(|record| record.state == PluginState::Active);
        active.find(|record| record.about.path == path).map(|record| record.about.clone())
    }
}

fn problem(error: &impl Explain) -> Happening {
    Happening::Watching {
        code: error.code().to_owned(),
        problem: full_message(error),
        help: error.hint(),
    }
}
