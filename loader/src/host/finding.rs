//! Who serves, and why nobody does.

use std::collections::BTreeSet;
use std::sync::Arc;

use plugbay_interface::manifest::{PluginId, Selector, takes};
use plugbay_resolve::Reason;
use semver::VersionReq;

use super::Inner;
use crate::activate::Active;
use crate::call::CallError;
use crate::error::Error;
use crate::on_thread::waits_for_a_host;
use crate::report::{PluginState, Refusal};
use crate::seat::{Named, Seat, Several};
use crate::slot::Slot;

/// A slot in which a version serves, or will, that is meant.
pub(crate) struct Found {
    pub(crate) seat: Seat,
    pub(crate) slot: Arc<Slot>,
    /// The versions that are meant, where the slot may have others.
    pub(crate) range: Option<Box<VersionReq>>,
}

impl Inner {
    /// The generation of a plugin that serves now.
    pub(super) fn serving(&self, seat: &Seat) -> Option<Arc<Active>> {
        self.table.load().get(seat.as_str())?.serving()
    }

    /// The seats of a plugin in which a version serves that is asked for.
    pub(super) fn serving_as(&self, wanted: &Selector) -> Vec<Seat> {
        let table = self.table.load();
        let its = table.seats(&wanted.id).filter(|(_, slot)| {
            slot.serving().is_some_and(|it| wanted.has(&wanted.id, &it.about.manifest.version))
        });
        its.map(|(seat, _)| seat.clone()).collect()
    }

    /// The one seat in which a version serves that is meant.
    pub(super) fn one_serving(&self, named: &Named) -> Result<Option<Seat>, Several> {
        let table = self.table.load();
        let seats = table.seats(named.id()).filter_map(|(seat, slot)| {
            Some((seat.clone(), slot.serving()?.about.manifest.version.clone()))
        });
        one_of(named, named.of(seats.collect()))
    }

    /// The same, of those that are loaded on demand, too.
    pub(super) fn one_there(&self, named: &Named) -> Result<Option<Seat>, Several> {
        let table = self.table.load();
        let seats = table.seats(named.id());
        let seats = seats.filter_map(|(seat, slot)| Some((seat.clone(), slot.version()?)));
        one_of(named, named.of(seats.collect()))
    }

    /// The seats in which a version serves that is meant.
    pub(super) fn serving_named(&self, named: &Named) -> Vec<Seat> {
        let table = self.table.load();
        let seats = table.seats(named.id()).filter_map(|(seat, slot)| {
            Some((seat.clone(), slot.serving()?.about.manifest.version.clone()))
        });
        named.of(seats.collect())
    }

    /// A plugin that has served: of several versions, the newest one that serves.
    pub(crate) fn slot_of(&self, named: &Named) -> Option<(Seat, Arc<Slot>)> {
        let table = self.table.load();
        let found = table.entry(named.text());
        let found = found.or_else(|| table.find(named.selector()).into_iter().next());
        // In the one seat of a plugin another version may come that is asked for.
        let found = found.or_else(|| table.entry(named.id().as_str()));
        found.map(|(seat, slot)| (seat.clone(), slot.clone()))
    }

    /// The same, where that is a version which is meant.
    pub(crate) fn slot_within(&self, named: &Named) -> Result<Found, CallError> {
        let Some((seat, slot)) = self.slot_of(named) else {
            return Err(self.why_not(named.text()));
        };
        let range = named.range_within(&seat);
        match (&range, slot.version()) {
            (Some(range), Some(version)) if !takes(range, &version) => {
                let serving = self.table.load().versions(named.id());
                Err(CallError::NoVersion { wanted: named.selector().clone(), serving })
            }
            _ => Ok(Found { seat, slot, range }),
        }
    }

    /// Why a call found nobody.
    pub(crate) fn why_not(&self, id: &str) -> CallError {
        if let Err(error) = self.running() {
            return error.into();
        }
        let Ok(named) = Named::read(id) else {
            return match id.split_once('@') {
                Some((plugin, _)) if plugin.parse::<PluginId>().is_ok() => {
                    CallError::Range { name: id.to_owned() }
                }
                _ => self.unknown(id),
            };
        };
        // Of versions side by side, others may serve.
        let serving = self.table.load().versions(named.id());
        let known = self.known.lock();
        let seats = known.plugins.iter().filter(|(seat, _)| seat.id() == named.id());
        let seats = seats.map(|(seat, it)| (seat.clone(), it.about.manifest.version.clone()));
        let meant = named.of(seats.collect());
        let meant = meant.iter().filter_map(|seat| Some((seat, known.plugins.get(seat)?)));
        let newest = meant.max_by_key(|(_, record)| &record.about.manifest.version);
        if let Some((seat, record)) = newest {
            let is_why = |refusal: &&Arc<Refusal>| match record.state {
                // To be loaded when it is called, but its file is none just now.
                PluginState::OnDemand => true,
                // Nobody has unloaded it: other versions were enabled.
                PluginState::Unloaded => matches!(
                    &refusal.error,
                    Error::Resolve(error) if matches!(error.reason(), Some(Reason::NotEnabled { .. }))
                ),
                _ => false,
            };
            let refused = known.refused.iter().find(|it| it.path == record.about.path);
            if let Some(refusal) = refused.filter(is_why) {
                let (plugin, refusal) = (named.id().clone(), refusal.clone());
                return CallError::Refused { plugin, refusal };
            }
            let state = match record.state {
                // The table and this record change one after the other.
                PluginState::Active => PluginState::Retiring,
                // It was not there yet when it was looked for.
                PluginState::OnDemand if !waits_for_a_host() => PluginState::Unloaded,
                state => state,
            };
            let (plugin, name) = (named.id().clone(), seat.to_string());
            return CallError::NotActive { plugin, name, state };
        }
        if known.disabled.contains(named.id()) {
            let (plugin, name) = (named.id().clone(), named.id().to_string());
            return CallError::NotActive { plugin, name, state: PluginState::Disabled };
        }
        let refused = known.refused.iter().find(|refusal| {
            let mut plugin = refusal.plugin.iter();
            plugin.any(|(id, version)| named.is(&self.seat(id, version), version))
        });
        if let Some(refusal) = refused {
            let (plugin, refusal) = (named.id().clone(), refusal.clone());
            return CallError::Refused { plugin, refusal };
        }
        if !serving.is_empty() {
            return CallError::NoVersion { wanted: named.selector().clone(), serving };
        }
        drop(known);
        self.unknown(id)
    }

    fn unknown(&self, id: &str) -> CallError {
        let known = self.known.lock();
        let known: BTreeSet<_> = known.plugins.keys().map(|seat| seat.id().clone()).collect();
        CallError::UnknownPlugin { plugin: id.to_owned(), known: known.into_iter().collect() }
    }
}

/// None, or one; of several it is to be said which.
fn one_of(named: &Named, mut seats: Vec<Seat>) -> Result<Option<Seat>, Several> {
    if seats.len() < 2 {
        return Ok(seats.pop());
    }
    seats.sort();
    let names = seats.iter().map(Seat::to_string).collect();
    Err(Several { plugin: named.id().clone(), names })
}
