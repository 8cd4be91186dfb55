//! What the plugins of a host are configured with, as it was written, and what of that a
//! rollback has undone.
//!
//! The rule: going back from a configuration undoes, for the one seat that goes back, what
//! was written since: a place that gave or gives it something reads for this seat as it did
//! for the generation that comes back. Nobody else reads anything else, and nothing is
//! written that would go before what somebody writes later: whoever configures or
//! unconfigures one of these places again is heard in all seats, also where it is the same
//! value, and all other places count as they always did. Where only this seat can read a
//! place, it is written there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use plugbay_interface::manifest::Manifest;
use plugbay_resolve::Line;
use serde_json::Value;

use crate::configure::{Configured, Given, keys_for};
use crate::extensions::Extensions;
use crate::seat::Seat;

/// Where something stands that plugins are configured with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In the configuration of plugins: `sql`, or `sql@^1`.
    Plugin(String),
    /// In a table of the host's configuration, by its name.
    Extension(String),
}

#[derive(Default)]
pub(super) struct Configurations {
    /// By id, `sql`, or for some versions of it, `sql@^1`.
    plugins: BTreeMap<String, Value>,
    /// The tables of the host's configuration that plugins may register.
    tables: Extensions,
    /// What one seat reads at a place instead of what stands there.
    undone: BTreeMap<Seat, BTreeMap<Place, Option<Value>>>,
}

/// What was there before something was written, or undone.
pub(super) struct Before {
    place: Place,
    value: Option<Value>,
    undone: BTreeMap<Seat, Option<Value>>,
}

impl Configurations {
    pub(super) fn new(plugins: BTreeMap<String, Value>, tables: Extensions) -> Self {
        Self { plugins, tables, undone: BTreeMap::new() }
    }

    /// The tables, as they were written.
    pub(super) fn tables(&self) -> &Extensions {
        &self.tables
    }

    /// Writes or takes out. From now on that is what all read there.
    pub(super) fn set(&mut self, place: Place, value: Option<Value>) -> Before {
        let mut undone = BTreeMap::new();
        for (seat, places) in &mut self.undone {
            undone.extend(places.remove(&place).map(|value| (seat.clone(), value)));
        }
        self.undone.retain(|_, places| !places.is_empty());
        let value = self.write(&place, value);
        Before { place, value, undone }
    }

    /// As if that had never been.
    pub(super) fn take_back(&mut self, Before { place, value, undone }: Before) {
        self.write(&place, value);
        for places in self.undone.values_mut() {
            places.remove(&place);
        }
        for (seat, value) in undone {
            self.undone.entry(seat).or_default().insert(place.clone(), value);
        }
        self.undone.retain(|_, places| !places.is_empty());
    }

    /// What a plugin in this seat is given in this version.
    pub(super) fn given(&self, seat: &Seat, manifest: &Manifest) -> Option<Given> {
        let read = self.read_by(seat);
        let key = keys_for(&read, manifest).into_iter().next()?;
        Some(Given { key: key.clone(), value: read.get(key)?.clone() })
    }

    /// The tables that a plugin in this seat may be given.
    pub(super) fn tables_for(&self, seat: &Seat) -> Extensions {
        let mut tables = self.tables.clone();
        for (place, value) in self.undone.get(seat).into_iter().flatten() {
            if let Place::Extension(name) = place {
                tables.set(name, value.clone());
            }
        }
        tables
    }

    /// Lets a seat read what a generation of it was configured with, which comes back. Gives
    /// what is to be [taken back](Self::take_back), the last first, where it does not.
    pub(super) fn go_back(
        &mut self,
        seat: &Seat,
        manifest: &Manifest,
        was: &Configured,
    ) -> Vec<Before> {
        let mut changes = Vec::new();
        for (name, value) in was.tables() {
            let place = Place::Extension(name.clone());
            changes.extend(self.undo(seat, place, value.cloned()));
        }
        if let Some(Given { key, value }) = was.given() {
            changes.extend(self.undo(seat, Place::Plugin(key.clone()), Some(value.clone())));
        }
        // What goes before that was not there.
        let own = was.given().map(|given| &given.key);
        let keys: Vec<_> = {
            let read = self.read_by(seat);
            let keys = keys_for(&read, manifest).into_iter();
            keys.take_while(|key| Some(*key) != own).cloned().collect()
        };
        for key in keys {
            changes.extend(self.undo(seat, Place::Plugin(key), None));
        }
        changes
    }

    fn undo(&mut self, seat: &Seat, place: Place, value: Option<Value>) -> Option<Before> {
        let read = match &place {
            Place::Plugin(key) => self.read_by(seat).get(key).cloned(),
            Place::Extension(name) => self.tables_for(seat).value(name).cloned(),
        };
        if read == value {
            return None;
        }
        let is_its_own = *seat.line() == Line::Whole || place == Place::Plugin(seat.key());
        if is_its_own {
            return Some(self.set(place, value));
        }
        let undone = self.undone.iter().filter_map(|(seat, places)| {
            places.get(&place).map(|value| (seat.clone(), value.clone()))
        });
        let before = Before {
            place: place.clone(),
            value: self.at(&place).cloned(),
            undone: undone.collect(),
        };
        self.undone.entry(seat.clone()).or_default().insert(place, value);
        Some(before)
    }

    /// The configurations of plugins, as one seat reads them.
    fn read_by(&self, seat: &Seat) -> Cow<'_, BTreeMap<String, Value>> {
        let Some(undone) = self.undone.get(seat) else { return Cow::Borrowed(&self.plugins) };
        let mut read = self.plugins.clone();
        for (place, value) in undone {
            match (place, value) {
                (Place::Plugin(key), Some(value)) => drop(read.insert(key.clone(), value.clone())),
                (Place::Plugin(key), None) => drop(read.remove(key)),
                (Place::Extension(_), _) => {}
            }
        }
        Cow::Owned(read)
    }

    fn at(&self, place: &Place) -> Option<&Value> {
        match place {
            Place::Plugin(key) => self.plugins.get(key),
            Place::Extension(name) => self.tables.value(name),
        }
    }

    /// Gives what was there.
    fn write(&mut self, place: &Place, value: Option<Value>) -> Option<Value> {
        match (place, value) {
            (Place::Plugin(key), Some(value)) => self.plugins.insert(key.clone(), value),
            (Place::Plugin(key), None) => self.plugins.remove(key),
            (Place::Extension(name), value) => self.tables.set(name, value),
        }
    }
}
