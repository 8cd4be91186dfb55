//! How a plugin that serves gets another configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::Taken;
use plugbay_interface::manifest::{Manifest, Selector};
use serde_json::Value;

use super::configurations::{Before, Place};
use super::settling::Change;
use super::{Inner, Known, LoadPluginError};
use crate::activate::Active;
use crate::configure::{self, ConfigError, Configured};
use crate::discover::discover_file;
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Reconfigured, Times};
use crate::extensions::Extensions;
use crate::reload::{LookedAt, Outcome};
use crate::report::{PluginState, Refusal};
use crate::seat::{Named, Seat};
use crate::verify::{Verified, verify};

impl Inner {
    /// Checks a configuration and lets the plugin go on with it, in all versions that are
    /// meant: as it serves, in a new generation of the same file, which gets the state, or,
    /// where what serves cannot have it and what lies in the folders can, with that. Where
    /// anything goes wrong, nothing changes.
    pub(super) fn configure(
        &self,
        named: &Named,
        value: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let mut serving = self.serving_named(named);
        serving.sort();
        let asleep = self.asleep_as(named);
        let place = Place::Plugin(named.key(if serving.is_empty() { &asleep } else { &serving }));
        self.write(&place, value, &serving, &asleep, || self.come_up_with_it(named, &place))
    }

    /// The same with a table of the host's configuration, for the plugin that registers it:
    /// never as it serves. Where nobody has it yet, it waits for who will.
    pub(super) fn configure_extension(
        &self,
        name: &str,
        value: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let its = |state| {
            let known = self.known.lock();
            let tables = Extensions::default().owned(known.owners());
            let its = known.plugins.iter().filter(|(seat, record)| {
                record.state == state
                    && record.about.manifest.host_config.contains_key(name)
                    && tables.owner_before(name, seat.id()).is_none()
            });
            its.map(|(seat, _)| seat.clone()).collect::<Vec<_>>()
        };
        let (serving, asleep) = (its(PluginState::Active), its(PluginState::OnDemand));
        let place = Place::Extension(name.to_owned());
        self.write(&place, value, &serving, &asleep, || Ok(Outcome::Unchanged))
    }

    /// Lets those that serve go on with what is written, or, where nobody does, others come
    /// up with it.
    fn write(
        &self,
        place: &Place,
        value: Option<Value>,
        serving: &[Seat],
        asleep: &[Seat],
        come_up: impl FnOnce() -> Result<Outcome, LoadPluginError>,
    ) -> Result<Outcome, LoadPluginError> {
        let before = self.known.lock().configurations.set(place.clone(), value);
        let mut gone_on = Vec::new();
        // Those that are not loaded yet are to come up with it, too.
        let outcome = asleep.iter().try_for_each(|seat| self.would_come_up_with_it(seat, place));
        let outcome = outcome.and_then(|()| match serving {
            [] => come_up(),
            serving => self.all_go_on_with_it(serving, &mut gone_on),
        });
        match outcome {
            Ok(outcome) => Ok(self.those_that_waited_for_it(place, outcome)),
            Err(error) => {
                self.go_on_as_before(before, &gone_on);
                Err(error)
            }
        }
    }

    /// Lets all that serve in these seats go on with what is written now, or none; those
    /// that did before one did not are added to `gone_on`.
    fn all_go_on_with_it(
        &self,
        seats: &[Seat],
        gone_on: &mut Vec<Seat>,
    ) -> Result<Outcome, LoadPluginError> {
        // Before any of them does.
        let mut ways = Vec::new();
        for seat in seats {
            let Some(active) = self.serving(seat) else { continue };
            let files = match self.configured(&active.about.manifest) {
                Ok(_) => None,
                Err(error) => match self.files_that_can_have_it(seat, &active) {
                    Some(files) => Some((files, refused(&active, error))),
                    None => return Err(refused(&active, error)),
                },
            };
            ways.push((seat, files));
        }
        let mut outcome = Outcome::Unchanged;
        for (seat, files) in ways {
            let gone = match files {
                Some((files, error)) => self.take_with_it(seat, files, error)?,
                None => self.go_on_with_it(seat)?,
            };
            if !matches!(gone, Outcome::Unchanged) {
                gone_on.push(seat.clone());
                outcome = gone;
            }
        }
        Ok(outcome)
    }

    /// What was written is taken back, and those that have gone on with it go on without.
    fn go_on_as_before(&self, before: Before, gone_on: &[Seat]) {
        self.known.lock().configurations.take_back(before);
        for seat in gone_on {
            match self.go_on_with_it(seat) {
                // What nobody wants is no way back.
                Ok(Outcome::Reloaded(_)) => self.forget_the_one_before(seat),
                Ok(_) => {}
                Err(error) => log::warn!("{seat} keeps its new configuration: {error}"),
            }
        }
    }

    fn go_on_with_it(&self, seat: &Seat) -> Result<Outcome, LoadPluginError> {
        let Some(active) = self.serving(seat) else { return Ok(Outcome::Unchanged) };
        let configured = self.configured(&active.about.manifest);
        let configured = configured.map_err(|error| refused(&active, error))?;
        let now = active.config.now();
        if !configured.is_other_than(&now) {
            active.config.is_written_as(configured, &now);
            return Ok(Outcome::Unchanged);
        }
        // A generation has the tables of the host's configuration that it was made with.
        let is_its_own = !configured.has_other_tables_than(&now);
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

    /// Lets those go on that would come by other secrets now than they have, with what they
    /// were given.
    pub(super) fn fetch_secrets(&self) -> Vec<LookedAt> {
        let serving = self.all_serving().into_iter();
        // Who was given something else than is written waits for more than secrets.
        let its = serving.filter(|(_, active)| self.has_what_holds(active));
        let gone_on = its.map(|(seat, _)| LookedAt::new(&seat, self.go_on_with_it(&seat)));
        gone_on.filter(|it| !matches!(it.outcome, Ok(Outcome::Unchanged))).collect()
    }

    /// The good files of a plugin in the folders, where the newest one of this seat is
    /// another one than serves, has not failed, and can have what is written now.
    fn files_that_can_have_it(&self, seat: &Seat, active: &Active) -> Option<Vec<Verified>> {
        let (found, ..) = self.look_at_files_of(seat.id());
        let its = found.iter().filter(|one| self.seat_of(one.manifest()) == *seat);
        let newest = its.max_by_key(|one| one.manifest().version.clone())?;
        let hash = newest.hash();
        let is_known_as_bad = {
            let known = self.known.lock();
            known.not_taken.get(newest.path()).is_some_and(|it| {
                it.hash == hash.to_hex().as_str() && !matches!(it.refusal.error, Error::Config(_))
            })
        };
        let is_other = hash != active.about.hash && !is_known_as_bad;
        (is_other && self.configured(newest.manifest()).is_ok()).then_some(found)
    }

    /// Lets what lies in the folders take over with what is written now: what serves cannot
    /// have that, with this error.
    fn take_with_it(
        &self,
        seat: &Seat,
        files: Vec<Verified>,
        error: LoadPluginError,
    ) -> Result<Outcome, LoadPluginError> {
        self.learn_files(&files);
        let change = Change::because(&Cause::Request);
        let outcome = self.settled(&Named::of_seat(seat), files, change)?;
        let has_it = self.serving(seat).is_some_and(|active| self.has_what_holds(&active));
        if has_it { Ok(outcome) } else { Err(error) }
    }

    /// Files that may not have taken over, or come up, for want of that are tried again.
    fn those_that_waited_for_it(&self, place: &Place, outcome: Outcome) -> Outcome {
        let selector = match place {
            Place::Plugin(key) => key.parse::<Selector>().ok(),
            Place::Extension(_) => None,
        };
        let is_meant = |manifest: &Manifest| match place {
            Place::Plugin(_) => {
                selector.as_ref().is_some_and(|it| it.has(&manifest.id, &manifest.version))
            }
            Place::Extension(name) => manifest.host_config.contains_key(name),
        };
        let (seats, waited) = {
            let mut known = self.known.lock();
            let Known { files, failed, not_taken, .. } = &mut *known;
            let its = files.values().filter(|offer| is_meant(&offer.manifest));
            let seats: BTreeSet<_> = its.map(|offer| self.seat_of(&offer.manifest)).collect();
            let before = failed.len() + not_taken.len();
            failed.retain(|seat, _| !seats.contains(seat));
            not_taken.retain(|path, it| {
                let is_its = files.get(path).is_some_and(|offer| is_meant(&offer.manifest));
                !is_its || !matches!(it.refusal.error, Error::Config(_))
            });
            (seats, failed.len() + not_taken.len() < before)
        };
        if !waited {
            return outcome;
        }
        let settled = self.settle(Vec::new(), Change::because(&Cause::Request));
        let its = settled.looked_at.into_iter().filter(|(seat, _)| seats.contains(seat));
        let mut changed = its.filter_map(|(_, outcome)| outcome.ok());
        match (outcome, changed.find(|outcome| !matches!(outcome, Outcome::Unchanged))) {
            (Outcome::Unchanged, Some(changed)) => changed,
            (outcome, _) => outcome,
        }
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
        let about = &active.about;
        let known = self.known.lock();
        let given = known.configurations.given(&about.seat, &about.manifest);
        let tables = known.configurations.tables_for(&about.seat);
        active.config.now().is_of(given.as_ref().map(|given| &given.value), &tables)
    }

    fn would_come_up_with_it(&self, seat: &Seat, place: &Place) -> Result<(), LoadPluginError> {
        let about = self.known.lock().plugins.get(seat).map(|record| record.about.clone());
        let Some(about) = about else { return Ok(()) };
        let refused = |error| LoadPluginError::Refused(Arc::new(Refusal::of(&about, error)));
        self.can_have(&about.manifest, place).map_err(refused)
    }

    /// Whether a plugin can have what is written at a place, whatever else it lacks: that may
    /// be written next.
    fn can_have(&self, manifest: &Manifest, place: &Place) -> Result<(), ConfigError> {
        let seat = self.seat_of(manifest);
        let others = self.with_base_schemas();
        let others = others.iter().map(AsRef::as_ref);
        let grounds = &self.options.grounds;
        match place {
            Place::Plugin(_) => {
                let given = self.known.lock().configurations.given(&seat, manifest);
                configure::settle_own(manifest, given, others, grounds)
            }
            Place::Extension(name) => {
                let tables = self.known.lock().configurations.tables_for(&seat);
                configure::settle_table(manifest, name, tables.value(name), others, grounds)
            }
        }
    }

    /// One that does not serve may have waited for that.
    fn come_up_with_it(&self, named: &Named, place: &Place) -> Result<Outcome, LoadPluginError> {
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
        self.can_have(&offer.manifest, place).map_err(|error| {
            let plugin = Some((offer.manifest.id.clone(), offer.manifest.version.clone()));
            LoadPluginError::Refused(Arc::new(Refusal::new(&offer.path, plugin, error.into())))
        })?;
        // What else it lacks it waits for.
        if self.configured(&offer.manifest).is_err() {
            return Ok(Outcome::Unchanged);
        }
        let failed = self.known.lock().failed.remove(&self.seat_of(&offer.manifest)).is_some();
        if !failed {
            return Ok(Outcome::Unchanged);
        }
        self.settled(named, Vec::new(), Change::because(&Cause::Request))
    }

    /// The file that a generation came from, if it is still the same, or else its copy.
    fn file_of(&self, active: &Active) -> PathBuf {
        let path = active.about.path.clone();
        let candidate = discover_file(&path);
        let is_same = verify(candidate, &self.workspace, &self.options.verify)
            .is_ok_and(|verified| verified.hash() == active.about.hash);
        let copy = || {
            let mapped = active.mapped.lock();
            mapped.as_ref().and_then(|mapped| mapped.copy_path().map(Path::to_owned))
        };
        if is_same { path } else { copy().unwrap_or(path) }
    }
}

/// That a plugin cannot have what is written now.
fn refused(active: &Active, error: ConfigError) -> LoadPluginError {
    LoadPluginError::Refused(Arc::new(Refusal::of(&active.about, error)))
}
