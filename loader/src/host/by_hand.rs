//! Files that somebody loaded by hand. They need not lie in the folders, and go before the
//! other files of their plugin until somebody wants one of those.

use std::path::Path;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::discover::{Candidate, discover_file};
use crate::events::Cause;
use crate::report::{PluginStatus, Refusal};
use crate::resolve::offer;
use crate::seat::Named;
use crate::verify::{Verified, verify};

impl Inner {
    pub(super) fn load_file(&self, candidate: Candidate) -> Result<PluginStatus, LoadPluginError> {
        let verified = verify(candidate, &self.workspace, &self.options.verify)
            .map_err(|error| self.refuse(Refusal::from(error)))?;
        let seat = self.seat_of(verified.manifest());
        let plugin = seat.id().clone();
        if self.serving(&seat).is_some() {
            return Err(LoadPluginError::AlreadyActive { plugin });
        }
        let mut change = Change::because(&Cause::Request);
        let mut was_ended = false;
        let (was_awake, before) = {
            let mut known = self.known.lock();
            let was_awake = !known.awake.insert(seat.clone());
            if let Some(record) = known.plugins.get_mut(&seat) {
                was_ended = std::mem::take(&mut record.ended_by_hand);
            }
            if !known.looked {
                change.besides.only = Some([plugin].into());
            }
            (was_awake, known.by_hand.insert(seat.clone(), offer(&verified)))
        };
        let verified = [verified];
        self.learn_files(&verified);
        let outcome = self.settled(&Named::of_seat(&seat), verified.into(), change);
        let mut known = self.known.lock();
        match outcome {
            Ok(_) => {
                let record = known.plugins.get(&seat);
                let status = record.map(|record| self.status(record));
                drop(known);
                status.ok_or_else(|| self.not_found(seat.id()))
            }
            Err(error) => {
                match before {
                    Some(before) => known.by_hand.insert(seat.clone(), before),
                    None => known.by_hand.remove(&seat),
                };
                // What was there before is not to blame for this file.
                known.failed.remove(&seat);
                if !was_awake {
                    known.awake.remove(&seat);
                }
                if let Some(record) = known.plugins.get_mut(&seat) {
                    record.ended_by_hand = was_ended;
                }
                drop(known);
                self.settle(Vec::new(), Change::because(&Cause::Request));
                Err(error)
            }
        }
    }

    /// The files that were loaded by hand, of a plugin that has none in the folders.
    pub(super) fn found_by_hand(&self, named: &Named) -> Vec<Verified> {
        let paths: Vec<_> = {
            let known = self.known.lock();
            let its = known.by_hand.values().filter(|it| it.manifest.id == *named.id());
            its.map(|offer| offer.path.clone()).collect()
        };
        let found = paths.iter().filter_map(|path| {
            verify(discover_file(path), &self.workspace, &self.options.verify).ok()
        });
        let found: Vec<_> = found.filter(|one| one.manifest().id == *named.id()).collect();
        self.learn_files(&found);
        found
    }

    /// Somebody wants one of the files in the folders.
    pub(super) fn no_longer_by_hand(&self, named: &Named) {
        let mut known = self.known.lock();
        known.by_hand.retain(|seat, offer| !named.is(seat, &offer.manifest.version));
    }

    /// Whether a file is one that a look at the folders finds.
    pub(super) fn lies_in_a_folder(&self, path: &Path) -> bool {
        let folder = path.parent();
        self.options.folders.iter().any(|ours| folder == Some(ours.as_path()))
    }
}
