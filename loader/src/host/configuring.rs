//! How a plugin that serves gets another configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::Taken;
use serde_json::{Map, Value};

use super::known::Place;
use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::activate::Active;
use crate::configure::{ConfigError, Configured, config_for};
use crate::error::Explain;
use crate::events::{Cause, Happening, Reconfigured, Times};
use crate::reload::Outcome;
use crate::report::{PluginState, Refusal};
use crate::seat::{Named, Seat};
use crate::verify::verify;

/// A configuration that was left for the one before.
pub(super) struct Left {
    /// Where the one stands that is back, and what stood there.
    own: Place,
    config: Option<Value>,
    /// Where it was changed, and what stood there before.
    place: Place,
    before: Option<Value>,
}

impl Inner {
    /// Checks a configuration and lets the plugin go on with it, in all versions that are
    /// meant: as it serves, or in a new generation of the same file, which gets the state.
    /// Where anything goes wrong, nothing changes.
    pub(super) fn configure(
        &self,
        named: &Named,
        value: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let seats = self.serving_named(named);
        let asleep = self.asleep_as(named);
        let place = Place::Plugin(named.key(if seats.is_empty() { &asleep } else { &seats }));
        let before = self.known.lock().set_config(&place, value);
        // Those that are not loaded yet are to come up with it, too.
        for seat in &asleep {
            if let Err(error) = self.would_come_up_with_it(seat) {
                self.known.lock().set_config(&place, before);
                return Err(error);
            }
        }
        if seats.is_empty() {
            let outcome = self.come_up_with_it(named);
            if outcome.is_err() {
                self.known.lock().set_config(&place, before);
            }
            return outcome;
        }
        self.all_go_on_with_it(&seats, &place, before)
    }

    /// The same with a table of the host's configuration, for the plugin that registers it:
    /// always in a new generation.
    pub(super) fn configure_extension(
        &self,
        name: &str,
        value: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let place = Place::Extension(name.to_owned());
        let before = self.known.lock().set_config(&place, value);
        let serving = {
            let known = self.known.lock();
            let its = known.plugins.iter().filter(|(_, record)| {
                record.state == PluginState::Active
                    && record.about.manifest.host_config.contains_key(name)
            });
            its.map(|(seat, _)| seat.clone()).collect::<Vec<_>>()
        };
        let outcome = self.all_go_on_with_it(&serving, &place, before)?;
        // Those that do not serve may have waited for that.
        let waited = {
            let mut known = self.known.lock();
            let files = known.files.values();
            let its = files.filter(|offer| offer.manifest.host_config.contains_key(name));
            let seats: Vec<_> = its.map(|offer| self.seat_of(&offer.manifest)).collect();
            let before = known.failed.len();
            known.failed.retain(|seat, _| !seats.contains(seat));
            known.failed.len() < before
        };
        if waited {
            drop(self.settle(Vec::new(), Change::because(&Cause::Request)));
        }
        Ok(outcome)
    }

    /// Lets all that serve in these seats go on with what was written at a place, or none.
    fn all_go_on_with_it(
        &self,
        seats: &[Seat],
        place: &Place,
        before: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let mut outcome = Outcome::Unchanged;
        for (number, seat) in seats.iter().enumerate() {
            match self.go_on_with_it(seat) {
                Ok(Outcome::Unchanged) => {}
                Ok(changed) => {
                    if matches!(changed, Outcome::Reloaded(_)) {
                        let before = (place.clone(), before.clone());
                        self.known.lock().config_before.insert(seat.clone(), before);
                    }
                    outcome = changed;
                }
                Err(error) => {
                    self.known.lock().set_config(place, before);
                    // Those before it go on as they were, too.
                    for seat in seats.iter().take(number) {
                        if let Err(error) = self.go_on_with_it(seat) {
                            log::warn!("{seat} keeps its new configuration: {error}");
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(outcome)
    }

    /// The generation that was replaced for its configuration comes back, and so does that.
    /// Gives the one that was left, and the one that is back.
    pub(super) fn configured_as_before(&self, seat: &Seat) -> Option<Left> {
        let mut known = self.known.lock();
        let (place, before) = known.config_before.remove(seat)?;
        // Others may go on with what is under that key.
        let own = match &place {
            Place::Plugin(_) => Place::Plugin(seat.key()),
            Place::Extension(_) => place.clone(),
        };
        let config = known.config_at(&own).cloned();
        let is_shared = !matches!(&place, Place::Plugin(key) if *key == seat.key());
        let given = match (&own, is_shared) {
            (Place::Plugin(_), true) => before.clone().or_else(|| Some(Value::Object(Map::new()))),
            _ => before.clone(),
        };
        known.set_config(&own, given);
        Some(Left { own, config, place, before })
    }

    /// It did not come back.
    pub(super) fn configured_again(&self, seat: &Seat, Left { own, config, place, before }: Left) {
        let mut known = self.known.lock();
        known.set_config(&own, config);
        known.config_before.insert(seat.clone(), (place, before));
    }

    fn go_on_with_it(&self, seat: &Seat) -> Result<Outcome, LoadPluginError> {
        let Some(active) = self.serving(seat) else { return Ok(Outcome::Unchanged) };
        let refused = |error: ConfigError| {
            let refusal = Refusal::of(&active.about, error);
            LoadPluginError::Refused(Arc::new(refusal))
        };
        let configured = self.configured(&active.about.manifest).map_err(refused)?;
        if !configured.is_other_than(&active.config.now()) {
            return Ok(Outcome::Unchanged);
        }
        // A generation has the tables of the host's configuration that it was made with.
        let is_its_own = !configured.has_other_tables_than(&active.config.now());
        if is_its_own && let Some(taken) = self.take_live(&active, configured)? {
            return Ok(Outcome::Configured(Box::new(taken)));
        }
        let file = self.file_of(&active);
        let resolved = self.resolve_alone(file).map_err(LoadPluginError::Refused)?;
        // Where other bytes lie there by now, it is still the file that it is known by.
        let resolved = resolved.known_as(&active.about.path);
        let replaced = self.replace(resolved, &active, &Cause::Request, Times::default());
        let (reloaded, _) = replaced.map_err(LoadPluginError::Refused)?;
        Ok(Outcome::Reloaded(Box::new(reloaded)))
    }

    /// Gives it to the generation that serves; none, where that wants a reload.
    fn take_live(
        &self,
        active: &Arc<Active>,
        configured: Configured,
    ) -> Result<Option<Reconfigured>, LoadPluginError> {
        let (plugin, version) = (&active.about.manifest.id, &active.about.manifest.version);
        let slot = self.table.load().get(active.about.seat.as_str()).cloned();
        let Some(slot) = slot else { return Ok(None) };
        let (plugin, version, generation) = (plugin.clone(), version.clone(), active.generation);
        let cause = Cause::Request;
        let begin = Instant::now();
        match active.configure(&slot, configured, self.options.activation_deadline) {
            Ok(Taken::Live) => {
                let times = Times { configure: Some(begin.elapsed()), ..Times::default() };
                let told = Reconfigured { plugin, version, generation, cause, times };
                self.chronicle.tell(Happening::Configured(told.clone()));
                Ok(Some(told))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                let refusal = Refusal::of(&active.about, error);
                self.chronicle.tell(Happening::NotConfigured {
                    plugin,
                    version,
                    generation,
                    cause,
                    code: refusal.error.code().to_owned(),
                    reason: refusal.reason(),
                    help: refusal.error.hint(),
                });
                Err(LoadPluginError::Refused(Arc::new(refusal)))
            }
        }
    }

    /// Whether a generation was given what its plugin is to be configured with now.
    pub(super) fn has_what_holds(&self, active: &Active) -> bool {
        let known = self.known.lock();
        let given = config_for(&known.config, &active.about.manifest);
        active.config.now().is_of(given, &known.extensions)
    }

    fn would_come_up_with_it(&self, seat: &Seat) -> Result<(), LoadPluginError> {
        let about = self.known.lock().plugins.get(seat).map(|record| record.about.clone());
        let Some(about) = about else { return Ok(()) };
        let refused = |error| LoadPluginError::Refused(Arc::new(Refusal::of(&about, error)));
        self.configured(&about.manifest).map(drop).map_err(refused)
    }

    /// One that does not serve may have waited for that.
    fn come_up_with_it(&self, named: &Named) -> Result<Outcome, LoadPluginError> {
        let newest = {
            let known = self.known.lock();
            let of_it = known
                .files
                .values()
                .filter(|offer| named.is(&self.seat_of(&offer.manifest), &offer.manifest.version));
            of_it.max_by_key(|offer| offer.manifest.version.clone()).cloned()
        };
        // Unknown yet: it gets it when it comes.
        let Some(offer) = newest else { return Ok(Outcome::Unchanged) };
        self.configured(&offer.manifest).map_err(|error| {
            let plugin = Some((offer.manifest.id.clone(), offer.manifest.version.clone()));
            LoadPluginError::Refused(Arc::new(Refusal::new(&offer.path, plugin, error.into())))
        })?;
        let failed = self.known.lock().failed.remove(&self.seat_of(&offer.manifest)).is_some();
        if !failed {
            return Ok(Outcome::Unchanged);
        }
        self.settled(named, Vec::new(), Change::because(&Cause::Request))
    }

    /// The file that a generation came from, if it is still the same, or else its copy.
    fn file_of(&self, active: &Active) -> PathBuf {
        let path = active.about.path.clone();
        let candidate = crate::discover::discover_file(&path);
        let is_same = verify(candidate, &self.workspace, &self.options.verify)
            .is_ok_and(|verified| verified.hash() == active.about.hash);
        let copy = || {
            let mapped = active.mapped.lock();
            mapped.as_ref().and_then(|mapped| mapped.copy_path().map(Path::to_owned))
        };
        if is_same { path } else { copy().unwrap_or(path) }
    }
}
