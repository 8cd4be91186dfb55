//! How a host brings up single plugins that somebody asks for: their files, and those that
//! they need.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use plugbay_interface::manifest::{Manifest, PluginId};
use semver::Version;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::discover::discover;
use crate::events::Cause;
use crate::report::{PluginState, PluginStatus, Refusal};
use crate::seat::{Named, Seat};
use crate::verify::{Verified, says_to_be};

impl Inner {
    pub(super) fn load(&self, named: &Named) -> Result<PluginStatus, LoadPluginError> {
        let plugin = named.id().clone();
        let waits = |one: &Verified| {
            let seat = self.seat_of(one.manifest());
            named.is(&seat, &one.manifest().version) && self.serving(&seat).is_none()
        };
        let serves_already = !self.serving_as(named.selector()).is_empty();
        if serves_already && self.options.policy.is_one(&plugin) {
            return Err(LoadPluginError::AlreadyActive { plugin });
        }
        let found = self.found(named)?;
        if serves_already && !found.iter().any(waits) {
            return Err(LoadPluginError::AlreadyActive { plugin });
        }
        if found.iter().any(|one| self.lies_in_a_folder(one.path())) {
            self.no_longer_by_hand(named);
        }
        let mut known = self.known.lock();
        // Who says so by its name means it, whatever the others are.
        if let Some(only) = &self.options.policy.only
            && !only.contains(&plugin)
        {
            known.also.insert(plugin);
        }
        // Who asks for it does not wait for the first call.
        let seats = found.iter().map(|one| (self.seat_of(one.manifest()), one.manifest()));
        let meant = seats.filter(|(seat, manifest)| named.is(seat, &manifest.version));
        known.awake.extend(meant.map(|(seat, _)| seat));
        drop(known);
        self.load_found(named, found)
    }

    /// The good files of a plugin in the folders, in the versions that are meant, at least
    /// one.
    pub(super) fn found(&self, named: &Named) -> Result<Vec<Verified>, LoadPluginError> {
        let id = named.id();
        let (found, refused) = self.look_for(id);
        if found.is_empty() {
            return match refused.into_iter().next() {
                Some(refusal) => Err(self.told(LoadPluginError::Refused(refusal))),
                None => {
                    let by_hand = self.found_by_hand(named);
                    if by_hand.is_empty() { Err(self.not_found(id)) } else { Ok(by_hand) }
                }
            };
        }
        let is_meant = |one: &Verified| {
            let manifest = one.manifest();
            named.is(&self.seat_of(manifest), &manifest.version)
        };
        if !found.iter().any(is_meant) {
            let mut found: Vec<_> =
                found.iter().map(|one| one.manifest().version.clone()).collect();
            found.sort();
            return Err(LoadPluginError::NoVersion { wanted: named.selector().clone(), found });
        }
        Ok(found)
    }

    pub(super) fn not_found(&self, id: &PluginId) -> LoadPluginError {
        let folders = self.options.folders.clone();
        LoadPluginError::NotFound { plugin: id.clone(), folders }
    }

    /// Lets one of these files serve.
    pub(super) fn load_found(
        &self,
        named: &Named,
        mut found: Vec<Verified>,
    ) -> Result<PluginStatus, LoadPluginError> {
        let id = named.id();
        let mut seats: Vec<(Version, Seat)> = found
            .iter()
            .map(|one| (one.manifest().version.clone(), self.seat_of(one.manifest())))
            .filter(|(version, seat)| {
                let serves = self.serving(seat);
                named.is(seat, version)
                    && serves.is_none_or(|active| active.about.manifest.version != *version)
            })
            .collect();
        seats.sort();
        let served: Vec<Seat> = seats
            .iter()
            .map(|(_, seat)| seat)
            .filter(|it| self.serving(it).is_some())
            .cloned()
            .collect();
        let mut change = Change::because(&Cause::Request);
        if !self.known.lock().looked {
            change.besides.only = Some([id.clone()].into());
        }
        if found.iter().any(|one| asks_for_others(one.manifest())) {
            self.look_for_others(&mut found);
        }
        let was_disabled = {
            let mut known = self.known.lock();
            for (_, seat) in &seats {
                if let Some(record) = known.plugins.get_mut(seat) {
                    record.ended_by_hand = false;
                }
            }
            known.disabled.remove(id)
        };
        let outcome = self.settled(named, found, change);
        let outside = self.outside(id);
        let mut known = self.known.lock();
        let is_there = |version: &Version, seat: &Seat| {
            let record = known.plugins.get(seat);
            record.filter(|it| {
                let is_there = matches!(it.state, PluginState::Active | PluginState::OnDemand);
                // What served all along is not what was loaded; the version before may come
                // back in the place of one that is held back.
                is_there && (it.about.manifest.version == *version || !served.contains(seat))
            })
        };
        match seats.iter().rev().find_map(|(version, seat)| is_there(version, seat)) {
            Some(record) => Ok(self.status(record)),
            None => {
                if was_disabled {
                    known.disabled.insert(id.clone());
                }
                drop(known);
                Err(outside.or(outcome.err()).unwrap_or_else(|| self.not_found(id)))
            }
        }
    }

    /// That a plugin is there and no part of the stack that this host runs.
    fn outside(&self, id: &PluginId) -> Option<LoadPluginError> {
        self.options.policy.members.as_ref()?;
        let error = self.current_plan().outside().into_iter().find(|error| error.id() == id)?;
        Some(LoadPluginError::Refused(Arc::new(Refusal::from(error))))
    }

    /// The files in the folders that are this plugin now, which is remembered, and those
    /// that say so and are refused. A refusal is not told of yet.
    pub(super) fn look_for(&self, id: &PluginId) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
        let (found, refused, paths) = self.look_at_files_of(id);
        {
            let mut known = self.known.lock();
            // What is not there any more, or not any more what it was.
            known.files.retain(|path, offer| offer.manifest.id != *id || paths.contains(path));
            known.files.retain(|path, _| refused.iter().all(|refusal| refusal.path != *path));
        }
        for broken in refused.iter().filter(|refusal| self.is_slept_from(&refusal.path)) {
            self.turn_away(broken.clone(), &Cause::File);
        }
        self.learn_files(&found);
        (found, refused)
    }

    /// The same, which remembers nothing. Gives the paths of all of them, too.
    pub(super) fn look_at_files_of(
        &self,
        id: &PluginId,
    ) -> (Vec<Verified>, Vec<Arc<Refusal>>, Vec<PathBuf>) {
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut candidates = found.candidates;
        // The file that it came from counts, too: it may be broken by now.
        let last = self.paths_of(id);
        candidates.retain(|candidate| {
            says_to_be(candidate.path(), id) || last.iter().any(|path| path == candidate.path())
        });
        let paths: Vec<_> = candidates.iter().map(|one| one.path().to_owned()).collect();
        let (found, refused) = self.verify(candidates);
        (found, refused, paths)
    }

    /// The files that generations of a plugin came from.
    pub(super) fn paths_of(&self, id: &PluginId) -> Vec<PathBuf> {
        let known = self.known.lock();
        let of_it = known.plugins.iter().filter(|(seat, _)| seat.id() == id);
        of_it.map(|(_, record)| record.about.path.clone()).collect()
    }

    /// The other files in the folders, as far as they are not known.
    fn look_for_others(&self, found: &mut Vec<Verified>) {
        let mut others = discover(&self.options.folders, self.options.verify.allow_world_writable);
        others.candidates.retain(|other| found.iter().all(|one| one.path() != other.path()));
        let known: BTreeSet<_> = self.known.lock().files.keys().cloned().collect();
        others.candidates.retain(|other| !known.contains(other.path()));
        let (others, _) = self.verify(others.candidates);
        self.learn_files(&others);
        found.extend(others);
    }
}

/// Whether a plugin cannot be decided on without the others.
fn asks_for_others(manifest: &Manifest) -> bool {
    !manifest.dependencies.is_empty() || manifest.needs.iter().any(|need| !need.optional)
}
