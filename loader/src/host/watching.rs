//! What a host does when files in its folders change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::Inner;
use super::settling::Change;
use crate::beside::{is_manifest_name, libraries_of, strays as strays_in};
use crate::discover::discover_one;
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Times};
use crate::keeper::Wish;
use crate::report::{Loadable, PluginState, Refusal, full_message};
use crate::seat::Seat;
use crate::verify::verify;
use crate::watch::{self, Watcher};

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
    pub(crate) fn changed(&self, change: watch::Change) {
        let _changing = self.change();
        if self.running().is_err() {
            return;
        }
        let times = Times { detect: Some(change.seen().elapsed()), ..Times::default() };
        match change {
            watch::Change::Ready { path, .. } | watch::Change::Gone { path, .. }
                if is_manifest_name(&path) =>
            {
                self.manifest_changed(&path, times);
            }
            watch::Change::Ready { path, .. } => {
                self.file_ready(&path, times);
                self.look_at_those_beside(&path, times);
            }
            watch::Change::Gone { path, .. } => {
                self.file_gone(&path, times);
                self.look_at_those_beside(&path, times);
            }
            watch::Change::Rescan { unfinished, .. } => self.folders_changed(&unfinished, times),
            watch::Change::Problem { error, .. } => self.chronicle.tell(problem(&error)),
        }
    }

    pub(super) fn file_ready(&self, path: &Path, mut times: Times) {
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
            Err(error) => {
                self.turn_away(Refusal::from(error), &Cause::File);
                // What serves from it goes on, and what sleeps from it sleeps on.
                self.known.lock().files.remove(path);
                drop(self.settle(Vec::new(), Change::because(&Cause::File)));
                return;
            }
        };
        let verified = [verified];
        self.learn_files(&verified);
        self.settle(verified.into(), Change { times, ..Change::because(&Cause::File) });
    }

    /// A manifest beside libraries came, changed or went: those that it was of and those
    /// that it is of are looked at again.
    fn manifest_changed(&self, manifest: &Path, times: Times) {
        let mut libraries = libraries_of(manifest);
        libraries.extend(self.refused_beside(manifest.parent()));
        libraries.sort();
        libraries.dedup();
        for library in libraries {
            self.file_ready(&library, times);
        }
        let folder = manifest.parent();
        let strays = folder.filter(|folder| self.options.folders.iter().any(|it| it == folder));
        let strays = strays.map(strays_in).unwrap_or_default();
        for stray in strays.iter().filter(|stray| stray.path() == manifest) {
            self.chronicle.tell(problem(stray));
        }
    }

    /// Whether a `plugin.json` is a library's depends on which others are in the folder.
    fn look_at_those_beside(&self, library: &Path, times: Times) {
        for other in self.refused_beside(library.parent()) {
            if other != library {
                self.file_ready(&other, times);
            }
        }
    }

    /// The libraries in a folder that do not fit a manifest beside them.
    fn refused_beside(&self, folder: Option<&Path>) -> Vec<PathBuf> {
        let known = self.known.lock();
        let refused = known.refused.iter().filter(|refusal| {
            let of_it = matches!(&refusal.error, Error::Verify(error) if error.beside().is_some());
            of_it && refusal.path.parent() == folder
        });
        refused.map(|refusal| refusal.path.clone()).collect()
    }

    fn file_gone(&self, path: &Path, times: Times) {
        {
            let mut known = self.known.lock();
            known.refused.retain(|refusal| refusal.path != path);
            known.not_taken.remove(path);
            // What is broken is no file of a plugin any more, but it may serve, or sleep, from
            // there.
            let id = match known.files.get(path) {
                Some(offer) => Some(self.seat_of(&offer.manifest)),
                None => known.seats_from(path).next().cloned(),
            };
            let Some(seat) = id else { return };
            known.files.remove(path);
            known.by_hand.retain(|_, it| it.path != path);
            known.lost_a_file(&seat, &self.options.policy);
        }
        self.settle(Vec::new(), Change { times, ..Change::because(&Cause::File) });
    }

    fn folders_changed(&self, unfinished: &[PathBuf], times: Times) {
        {
            let mut known = self.known.lock();
            let files = known.files.iter().map(|(path, it)| (path, self.seat_of(&it.manifest)));
            // What is broken is no file of a plugin any more, but it may serve from there.
            let serve = known.plugins.iter().map(|(seat, it)| (&it.about.path, seat.clone()));
            let ours = |path: &Path| {
                let folder = path.parent();
                self.options.folders.iter().any(|ours| folder == Some(ours.as_path()))
            };
            let serve = serve.filter(|(path, _)| ours(path));
            let all = files.chain(serve).filter(|(path, _)| !path.exists());
            let gone: Vec<_> = all.map(|(path, seat)| (path.clone(), seat)).collect();
            for (path, seat) in gone {
                known.refused.retain(|refusal| refusal.path != path);
                known.files.remove(&path);
                known.by_hand.retain(|_, it| it.path != path);
                known.lost_a_file(&seat, &self.options.policy);
            }
        }
        for looked_at in self.rescan(&Cause::File, unfinished, times) {
            log::debug!("{}: {:?}", looked_at.plugin, looked_at.outcome.is_ok());
        }
    }

    /// A file that is not taken: what serves goes on.
    pub(super) fn turn_away(&self, refusal: impl Into<Arc<Refusal>>, cause: &Cause) {
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
        // Who hears of it may ask at once.
        self.remember(refusal.clone());
        self.tell_refusal(&refusal, cause);
    }

    /// Tells of a file that is not taken, and what that changes.
    pub(super) fn tell_refusal(&self, refusal: &Refusal, cause: &Cause) {
        let serving = self.served_from(&refusal.path);
        match serving.and_then(|about| self.serving(&about.seat)) {
            Some(old) => self.tell_kept(&old, refusal, cause, Times::default()),
            None => self.tell_refused(refusal),
        }
    }

    /// The same, where nothing serves because of it.
    pub(super) fn tell_refused(&self, refusal: &Refusal) {
        match &refusal.plugin {
            Some((_, version)) => self.chronicle.tell_of(version, refusal.happening()),
            None => self.chronicle.tell(refusal.happening()),
        }
    }

    /// What serves that was loaded from this file.
    pub(super) fn served_from(&self, path: &Path) -> Option<Arc<Loadable>> {
        let known = self.known.lock();
        let mut active = known.plugins.iter().filter(|(_, one)| one.state == PluginState::Active);
        // After a rollback it came from no file of the folders.
        let instead = |seat: &Seat, from: &PathBuf| {
            let file = known.files.get(path);
            let is_it = file.is_some_and(|offer| self.seat_of(&offer.manifest) == *seat);
            is_it && !known.files.contains_key(from)
        };
        active
            .find(|(id, one)| one.about.path == path || instead(id, &one.about.path))
            .map(|(_, record)| record.about.clone())
    }
}

fn problem(error: &impl Explain) -> Happening {
    Happening::Watching {
        code: error.code().to_owned(),
        problem: full_message(error),
        help: error.hint(),
    }
}
