//! What a host knows of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::PluginId;
use plugbay_resolve::{Advice, Held, Offer, Policy};
use semver::VersionReq;
use serde_json::Value;

use super::deciding::NotTaken;
use super::trying_again::Again;
use crate::activate::Active;
use crate::extensions::Extensions;
use crate::report::{Loadable, PluginState, Refusal};
use crate::seat::Seat;
use crate::snapshot::Snapshot;

/// What is to be told of plugins, besides what their slots say.
#[derive(Default)]
pub(super) struct Known {
    pub(super) plugins: BTreeMap<Seat, Record>,
    pub(super) disabled: BTreeSet<PluginId>,
    /// What was enabled by hand, in which versions.
    pub(super) enabled: BTreeMap<PluginId, VersionReq>,
    /// Contents that took a host down too often, by hash.
    pub(super) held: BTreeMap<String, Held>,
    /// Contents that a host went down with; they are tried alone.
    pub(super) suspects: BTreeSet<String>,
    pub(super) refused: Vec<Arc<Refusal>>,
    /// The good files in the folders.
    pub(super) files: BTreeMap<PathBuf, Offer>,
    /// Files that somebody loaded by hand: of their seats no others run.
    pub(super) by_hand: BTreeMap<Seat, Offer>,
    /// Plugins that somebody loaded by name although the policy names others.
    pub(super) also: BTreeSet<PluginId>,
    /// Files that are there and are not taken: what served before them goes on.
    pub(super) not_taken: BTreeMap<PathBuf, NotTaken>,
    /// Plugins that were tried and did not come up, and why.
    pub(super) failed: BTreeMap<Seat, String>,
    /// Plugins whose last file was removed.
    pub(super) gone: BTreeSet<Seat>,
    /// Plugins that shall end, and were in use.
    pub(super) to_end: BTreeMap<Seat, Again>,
    /// What plugins are given, as it was written: by id, `sql`, or for some versions of it,
    /// `sql@^1`.
    pub(super) config: BTreeMap<String, Value>,
    /// The same, before the last change of it, and under which key.
    pub(super) config_before: BTreeMap<Seat, (Place, Option<Value>)>,
    /// The tables of the host's configuration that plugins may register.
    pub(super) extensions: Extensions,
    /// Plugins that are loaded on demand, and were called or asked for.
    pub(super) awake: BTreeSet<Seat>,
    /// What the last decision advises.
    pub(super) advice: Vec<Advice>,
    /// Whether the folders were looked at as a whole.
    pub(super) looked: bool,
    /// Files that could not take over because the plugin was in use.
    pub(super) to_take: BTreeMap<Seat, (PathBuf, Again)>,
}

/// Where something stands that plugins are configured with.
#[derive(Clone)]
pub(super) enum Place {
    /// In the configuration of plugins: `sql`, or `sql@^1`.
    Plugin(String),
    /// In a table of the host's configuration, by its name.
    Extension(String),
}

pub(super) struct Record {
    pub(super) about: Arc<Loadable>,
    pub(super) state: PluginState,
    /// Whether somebody has ended it, and its file is to wait until it changes.
    pub(super) ended_by_hand: bool,
    pub(super) generation: u64,
    pub(super) saved: Option<SavedState>,
    /// Of one that is not loaded yet: the private copy of its file.
    pub(super) copy: Option<Snapshot>,
    /// The generation that was replaced last, as long as it may come back.
    pub(super) previous: Option<Previous>,
    /// Generations that shall end and are still in use.
    pub(super) leaving: Vec<Leaving>,
}

pub(super) struct Previous {
    pub(super) active: Arc<Active>,
    /// None: as long as it is the one before.
    pub(super) until: Option<Instant>,
}

pub(super) struct Leaving {
    pub(super) active: Arc<Active>,
    pub(super) since: Instant,
    /// Whether it was told that it cannot end.
    pub(super) told: bool,
    /// Whether nothing has its state: it served when the host was stopped.
    pub(super) saves: bool,
}

impl Known {
    /// Gives what was there.
    pub(super) fn set_config(&mut self, place: &Place, config: Option<Value>) -> Option<Value> {
        match (place, config) {
            (Place::Plugin(key), Some(config)) => self.config.insert(key.clone(), config),
            (Place::Plugin(key), None) => self.config.remove(key),
            (Place::Extension(name), config) => self.extensions.set(name, config),
        }
    }

    pub(super) fn config_at(&self, place: &Place) -> Option<&Value> {
        match place {
            Place::Plugin(key) => self.config.get(key),
            Place::Extension(name) => self.extensions.value(name),
        }
    }

    /// A file is not of that seat any more. Where it was its last one, the plugin is gone;
    /// one that comes is a new one, whatever was done with this.
    pub(super) fn lost_a_file(&mut self, seat: &Seat, policy: &Policy) {
        if self.files.values().all(|offer| Seat::of(policy, &offer.manifest) != *seat) {
            self.gone.insert(seat.clone());
            self.failed.remove(seat);
            self.awake.remove(seat);
            if let Some(record) = self.plugins.get_mut(seat) {
                record.ended_by_hand = false;
            }
        }
    }
}

impl Record {
    pub(super) fn new(active: &Active) -> Self {
        Self {
            about: active.about.clone(),
            state: PluginState::Active,
            ended_by_hand: false,
            generation: active.generation,
            saved: None,
            copy: None,
            previous: None,
            leaving: Vec::new(),
        }
    }

    /// One that is loaded when it is called.
    pub(super) fn on_demand(about: Arc<Loadable>) -> Self {
        Self {
            about,
            state: PluginState::OnDemand,
            ended_by_hand: false,
            generation: 0,
            saved: None,
            copy: None,
            previous: None,
            leaving: Vec::new(),
        }
    }

    /// Another generation serves from now on.
    pub(super) fn serves(&mut self, active: &Active) {
        self.about = active.about.clone();
        self.state = PluginState::Active;
        self.generation = active.generation;
        self.saved = None;
        self.copy = None;
    }

    /// The generations that shall end.
    pub(super) fn in_use(&self) -> Vec<Arc<Active>> {
        self.leaving.iter().map(|one| one.active.clone()).collect()
    }

    /// How many generations could still serve or are in use.
    pub(super) fn alive(&self) -> usize {
        let serving = usize::from(self.state == PluginState::Active);
        let previous = usize::from(self.previous.is_some());
        serving + previous + self.leaving.len()
    }
}
