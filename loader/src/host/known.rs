//! What a host knows of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::PluginId;
use plugbay_resolve::{Advice, Held, Offer, Policy};
use semver::VersionReq;

use super::configurations::Configurations;
use super::deciding::NotTaken;
use super::trying_again::Again;
use crate::activate::Active;
use crate::error::Error;
use crate::extensions::{ExtensionError, Extensions, Owner};
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
    pub(super) failed: BTreeMap<Seat, Failed>,
    /// Plugins whose last file was removed.
    pub(super) gone: BTreeSet<Seat>,
    /// Plugins that shall end, and were in use.
    pub(super) to_end: BTreeMap<Seat, Again>,
    /// What plugins are given.
    pub(super) configurations: Configurations,
    /// Who is the first to have which table of the host's configuration, by the last decision,
    /// where nobody serves with it.
    pub(super) first_of_tables: BTreeMap<String, PluginId>,
    /// Plugins that are loaded on demand, and were called or asked for.
    pub(super) awake: BTreeSet<Seat>,
    /// What the last decision advises.
    pub(super) advice: Vec<Advice>,
    /// Whether the folders were looked at as a whole.
    pub(super) looked: bool,
    /// Files that could not take over because the plugin was in use.
    pub(super) to_take: BTreeMap<Seat, (PathBuf, Again)>,
}

/// Why a plugin did not come up.
pub(super) struct Failed {
    pub(super) why: String,
    /// The table of the host's configuration that another plugin has.
    pub(super) lacks: Option<String>,
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
    /// Who has which table of the host's configuration: who serves with it keeps it; where
    /// nobody does, it is the first one of those that would run.
    pub(super) fn owners(&self) -> BTreeMap<String, Owner> {
        let first = self.first_of_tables.iter();
        let first = first.map(|(name, plugin)| (name.clone(), plugin.clone(), false));
        let serving = self.plugins.values().filter(|it| it.state == PluginState::Active);
        let serving = serving.flat_map(|record| {
            let manifest = &record.about.manifest;
            manifest.host_config.keys().map(|name| (name.clone(), manifest.id.clone(), true))
        });
        let owners = first.chain(serving);
        owners.map(|(name, plugin, serves)| (name, Owner { plugin, serves })).collect()
    }

    /// Lets those be tried again that could not have a table of the host's configuration
    /// which is nobody's any more: of each table the one plugin that is next, and none of
    /// `tried`, to which it is added. Whether there are any.
    pub(super) fn try_next_of_tables(&mut self, tried: &mut BTreeSet<PluginId>) -> bool {
        let tables = Extensions::default().owned(self.owners());
        let waits = |id: &PluginId, lacks: &str| {
            !tried.contains(id) && tables.owner_before(lacks, id).is_none()
        };
        let failed = self.failed.iter().filter_map(|(seat, failed)| {
            let lacks = failed.lacks.as_deref()?;
            waits(seat.id(), lacks).then_some(seat.id())
        });
        let not_taken = self.not_taken.values().filter_map(|it| {
            let (id, _) = it.refusal.plugin.as_ref()?;
            waits(id, table_of_another(&it.refusal)?).then_some(id)
        });
        let Some(next) = failed.chain(not_taken).min().cloned() else { return false };
        self.failed.retain(|seat, failed| *seat.id() != next || failed.lacks.is_none());
        self.not_taken.retain(|_, it| {
            let is_its = it.refusal.plugin.as_ref().is_some_and(|(id, _)| *id == next);
            !is_its || table_of_another(&it.refusal).is_none()
        });
        tried.insert(next)
    }

    /// What serves or sleeps that came from there, whatever lies there now.
    pub(super) fn seats_from<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Seat> {
        let is_there = |state| matches!(state, PluginState::Active | PluginState::OnDemand);
        let its =
            self.plugins.iter().filter(move |(_, it)| it.about.path == path && is_there(it.state));
        its.map(|(seat, _)| seat)
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

/// The table of the host's configuration because of which a plugin does not run: another one
/// has it.
pub(super) fn table_of_another(refusal: &Refusal) -> Option<&str> {
    let Error::Config(error) = &refusal.error else { return None };
    match error.extension()? {
        ExtensionError::Taken { name, .. } => Some(name),
        _ => None,
    }
}
