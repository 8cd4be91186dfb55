//! Who serves, and why nobody does.

use std::collections::BTreeSet;
use std::sync::Arc;

use plugbay_interface::manifest::Selector;

use super::Inner;
use crate::activate::Active;
use crate::call::CallError;
use crate::report::PluginState;
use crate::seat::{Named, Seat, Several};

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
        let mut seats = named.of(seats.collect());
        if seats.len() < 2 {
            return Ok(seats.pop());
        }
        seats.sort();
        let names = seats.iter().map(Seat::to_string).collect();
        Err(Several { plugin: named.id().clone(), names })
    }

    /// Why a call found nobody.
    pub(crate) fn why_not(&self, id: &str) -> CallError {
        if let Err(error) = self.running() {
            return error.into();
        }
        let Ok(named) = Named::read(id) else { return self.unknown(id) };
        // Of versions side by side, others may serve.
        let serving = self.table.load().versions(named.id());
        let id = named.id().as_str();
        let known = self.known.lock();
        let seats = known.plugins.iter();
        let seats: Vec<_> =
            seats.filter(|(seat, it)| named.is(seat, &it.about.manifest.version)).collect();
        if let Some((_, record)) = seats.last() {
            let state = match record.state {
                // The table and this record change one after the other.
                PluginState::Active => PluginState::Retiring,
                state => state,
            };
            return CallError::NotActive { plugin: named.id().clone(), state };
        }
        if !serving.is_empty() {
            let wanted = named.selector().clone();
            return CallError::NoVersion { wanted, serving };
        }
        if let Some(plugin) = known.disabled.get(named.id()) {
            return CallError::NotActive { plugin: plugin.clone(), state: PluginState::Disabled };
        }
        let refused = known.refused.iter().find_map(|refusal| {
            let (plugin, _) =
                refusal.plugin.as_ref().filter(|(plugin, _)| plugin.as_str() == id)?;
            Some((plugin, refusal))
        });
        match refused {
            Some((plugin, refusal)) => {
                CallError::Refused { plugin: plugin.clone(), refusal: refusal.clone() }
            }
            None => {
                drop(known);
                self.unknown(id)
            }
        }
    }

    fn unknown(&self, id: &str) -> CallError {
        let known = self.known.lock();
        let known: BTreeSet<_> = known.plugins.keys().map(|seat| seat.id().clone()).collect();
        CallError::UnknownPlugin { plugin: id.to_owned(), known: known.into_iter().collect() }
    }
}
