//! What somebody wants of a plugin by hand, which holds until somebody wants something
//! else; also for later hosts, where there is a registry.

use plugbay_interface::manifest::{PluginId, Selector};
use semver::VersionReq;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::events::Cause;
use crate::recorder::Job;
use crate::registry::{self, EventKind, RegistryError};
use crate::report::{PluginState, PluginStatus, full_message};
use crate::seat::{Named, Seat};
use crate::unload::{UnloadError, Unloaded};

impl Inner {
    /// Lets a plugin run, in these versions only, and before all that it excludes.
    pub(super) fn enable(&self, wanted: &Named) -> Result<PluginStatus, LoadPluginError> {
        let id = wanted.id();
        let serve = self.serving_as(wanted.selector());
        if !serve.is_empty() {
            let kept = self.want(wanted.selector());
            self.settle(Vec::new(), Change::because(&Cause::Request));
            let now = self.serving_as(wanted.selector());
            let status = {
                let known = self.known.lock();
                // First what it brought, then the newest.
                let rank = |seat: &&Seat| {
                    let record = known.plugins.get(*seat);
                    let version = record.map(|it| it.about.manifest.version.clone());
                    (!serve.contains(seat), version)
                };
                let told = now.iter().chain(&serve).max_by_key(rank);
                told.and_then(|seat| known.plugins.get(seat)).map(|record| self.status(record))
            };
            return kept_or(kept, id, status.ok_or_else(|| self.not_found(id))?);
        }
        let found = match self.found(wanted) {
            Ok(found) => found,
            Err(error) => {
                // It is held back no more, also where it is not there just now.
                let kept = match &error {
                    LoadPluginError::NotFound { .. } => {
                        self.no_longer_held_back(id);
                        self.known.lock().enabled.remove(id);
                        self.keep_wish(id, None)
                    }
                    LoadPluginError::NoVersion { .. } => Ok(()),
                    _ => self.want(wanted.selector()),
                };
                return Err(match kept {
                    Ok(()) => error,
                    Err(source) => LoadPluginError::NotKept { plugin: id.clone(), source },
                });
            }
        };
        let kept = self.want(wanted.selector());
        let status = self.load_found(wanted, found)?;
        kept_or(kept, id, status)
    }

    /// Ends a plugin, and holds it back.
    pub(super) fn disable(&self, id: &str) -> Result<Unloaded, UnloadError> {
        let mut unloaded = self.end(id, PluginState::Disabled)?;
        let id = &unloaded.id;
        self.known.lock().enabled.remove(id);
        self.tell_wish(id, EventKind::Disabled);
        if let Err(error) = self.keep_wish(id, Some(registry::Wish::disabled())) {
            unloaded.failures.push(format!(
                "it is disabled until this host ends, and not for the next one: {}: {}",
                error.code(),
                full_message(&error)
            ));
        }
        self.record();
        Ok(unloaded)
    }

    /// From now on it is wanted, whatever becomes of it.
    fn want(&self, wanted: &Selector) -> Result<(), RegistryError> {
        let Selector { id, version } = wanted;
        self.no_longer_held_back(id);
        {
            let mut known = self.known.lock();
            known.enabled.insert(id.clone(), version.clone());
            // What was ended before, in whatever version, is as this says now.
            let its = known.plugins.iter_mut().filter(|(seat, _)| seat.id() == id);
            its.for_each(|(_, record)| record.ended_by_hand = false);
        }
        self.tell_wish(id, EventKind::Enabled);
        let versions = (*version != VersionReq::STAR).then(|| version.clone());
        self.keep_wish(id, Some(registry::Wish::enabled(versions)))
    }

    fn tell_wish(&self, id: &PluginId, kind: EventKind) {
        if let Some(recorder) = &self.recorder {
            recorder.tell(Job::Tell(registry::Event::new(id.clone(), None, kind, "")));
        }
    }

    /// On the disk when it returns.
    fn keep_wish(&self, id: &PluginId, wish: Option<registry::Wish>) -> Result<(), RegistryError> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        recorder.keep(id, wish)
    }
}

fn kept_or(
    kept: Result<(), RegistryError>,
    id: &PluginId,
    status: PluginStatus,
) -> Result<PluginStatus, LoadPluginError> {
    match kept {
        Ok(()) => Ok(status),
        Err(source) => Err(LoadPluginError::NotKept { plugin: id.clone(), source }),
    }
}
