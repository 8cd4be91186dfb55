//! Where the versions of a plugin take each other's place.
//!
//! A plugin has one seat, in which each version is the successor of the one before. Where
//! a policy lets several versions of it run side by side, it has one for each line of
//! versions: `sql@1` and `sql@2`. All that goes on in time (generations, states, ways back)
//! goes on in one seat.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use plugbay_interface::manifest::{InvalidPluginId, InvalidSelector, Manifest, PluginId, Selector};
use plugbay_resolve::{Line, Policy};
use semver::{Version, VersionReq};

use crate::error::Explain;
use crate::slot::Slot;

/// A plugin, or one line of its versions. Ordered and compared by its name.
#[derive(Clone)]
pub(crate) struct Seat {
    id: PluginId,
    line: Line,
    /// The id, or the id and the line.
    name: Arc<str>,
}

impl Seat {
    pub(crate) fn new(id: &PluginId, line: Line) -> Self {
        let name = match &line {
            Line::Whole => id.as_str().into(),
            Line::Of(versions) => format!("{id}@{versions}").into(),
        };
        Self { id: id.clone(), line, name }
    }

    /// The seat of a plugin in this version, in a host with this policy.
    pub(crate) fn of(policy: &Policy, manifest: &Manifest) -> Self {
        Self::new(&manifest.id, policy.line_of(&manifest.id, &manifest.version))
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.id
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// What it is called: `sql`, or `sql@1`. No other plugin can be called so.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }
}

impl Seat {
    /// What a configuration of this seat alone is kept under: an id, or an id with versions.
    pub(crate) fn key(&self) -> String {
        match &self.line {
            Line::Whole => self.id.to_string(),
            Line::Of(version) if version.parse::<Version>().is_ok() => {
                format!("{}@={version}", self.id)
            }
            Line::Of(line) => format!("{}@^{line}", self.id),
        }
    }
}

impl Borrow<str> for Seat {
    fn borrow(&self) -> &str {
        &self.name
    }
}

impl Hash for Seat {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialEq for Seat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Seat {}

impl PartialOrd for Seat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What calls go through: a slot for every seat that was ever taken. Replaced as a whole,
/// never changed.
#[derive(Clone, Default)]
pub(crate) struct Table {
    slots: HashMap<Seat, Arc<Slot>>,
    /// Those of plugins whose versions run side by side.
    lines: HashMap<PluginId, Vec<Seat>>,
}

impl Table {
    /// The slot of a seat.
    #[inline]
    pub(crate) fn get(&self, seat: &str) -> Option<&Arc<Slot>> {
        self.slots.get(seat)
    }

    pub(crate) fn entry(&self, seat: &str) -> Option<(&Seat, &Arc<Slot>)> {
        self.slots.get_key_value(seat)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Seat, &Arc<Slot>)> {
        self.slots.iter()
    }

    pub(crate) fn insert(&mut self, seat: &Seat, slot: Arc<Slot>) {
        if *seat.line() != Line::Whole {
            let lines = self.lines.entry(seat.id().clone()).or_default();
            if !lines.contains(seat) {
                lines.push(seat.clone());
            }
        }
        self.slots.insert(seat.clone(), slot);
    }

    /// The seats of a plugin.
    pub(crate) fn seats(&self, id: &PluginId) -> impl Iterator<Item = (&Seat, &Arc<Slot>)> {
        let whole = self.slots.get_key_value(id.as_str());
        let lines = self.lines.get(id).into_iter().flatten();
        whole.into_iter().chain(lines.filter_map(|seat| self.slots.get_key_value(seat.as_str())))
    }

    /// The seats of the versions that serve and are asked for, the newest first.
    pub(crate) fn find(&self, wanted: &Selector) -> Vec<(&Seat, &Arc<Slot>)> {
        let mut found: Vec<_> = self
            .seats(&wanted.id)
            .filter_map(|(seat, slot)| Some((slot.version()?, seat, slot)))
            .filter(|(version, ..)| wanted.has(&wanted.id, version))
            .collect();
        found.sort_by(|(one, ..), (two, ..)| two.cmp(one));
        found.into_iter().map(|(_, seat, slot)| (seat, slot)).collect()
    }

    /// The versions of a plugin that serve, the newest last.
    pub(crate) fn versions(&self, id: &PluginId) -> Vec<Version> {
        let mut versions: Vec<_> = self.seats(id).filter_map(|(_, slot)| slot.version()).collect();
        versions.sort();
        versions
    }
}

/// What somebody calls a plugin: its id, a seat's name, or an id with versions.
pub(crate) struct Named {
    text: String,
    selector: Selector,
}

impl Named {
    pub(crate) fn read(text: &str) -> Result<Self, InvalidName> {
        let selector = match text.contains('@') {
            true => text.parse()?,
            false => Selector { id: text.parse()?, version: VersionReq::STAR },
        };
        Ok(Self { text: text.to_owned(), selector })
    }

    pub(crate) fn of_seat(seat: &Seat) -> Self {
        let selector = Selector { id: seat.id().clone(), version: VersionReq::STAR };
        Self { text: seat.to_string(), selector }
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.selector.id
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What a configuration is kept under that is given to what is meant.
    pub(crate) fn key(&self, seats: &[Seat]) -> String {
        match seats {
            [seat] if seat.as_str() == self.text => seat.key(),
            _ => self.selector.to_string(),
        }
    }

    /// The versions that are meant, where a seat may have others.
    pub(crate) fn range_within(&self, seat: &Seat) -> Option<Box<VersionReq>> {
        let all = seat.as_str() == self.text || self.selector.version == VersionReq::STAR;
        (!all).then(|| Box::new(self.selector.version.clone()))
    }

    pub(crate) fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Of these, the seat that has this very name, or those whose version is meant.
    pub(crate) fn of(&self, seats: Vec<(Seat, Version)>) -> Vec<Seat> {
        if let Some((seat, _)) = seats.iter().find(|(seat, _)| seat.as_str() == self.text) {
            return vec![seat.clone()];
        }
        let is_meant = |(seat, version): &(Seat, Version)| self.selector.has(seat.id(), version);
        seats.into_iter().filter(is_meant).map(|(seat, _)| seat).collect()
    }

    /// Whether a version of this seat is meant.
    pub(crate) fn is(&self, seat: &Seat, version: &Version) -> bool {
        seat.as_str() == self.text || self.selector.has(seat.id(), version)
    }
}

/// A text that names no plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// It is no id.
    #[error(transparent)]
    Id(#[from] InvalidPluginId),
    /// It is no id with versions.
    #[error(transparent)]
    Selector(#[from] InvalidSelector),
}

/// Several versions of a plugin serve side by side, and it was not said which is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("several versions of the plugin `{plugin}` serve, as {}", .names.join(", "))]
#[non_exhaustive]
pub struct Several {
    /// The plugin.
    pub plugin: PluginId,
    /// What they are called, `sql@1`.
    pub names: Vec<String>,
}

impl Explain for Several {
    fn code(&self) -> &'static str {
        "PB0909"
    }

    fn hint(&self) -> String {
        let name = self.names.first().map_or_else(|| self.plugin.to_string(), Clone::clone);
        format!("say which one, for example {name}")
    }
}
