//! How a plugin that serves gets another configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::Taken;
use plugbay_interface::manifest::PluginId;
use serde_json::Value;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::activate::Active;
use crate::configure::{ConfigError, Configured};
use crate::error::Explain;
use crate::events::{Cause, Happening, Reconfigured, Times};
use crate::reload::Outcome;
use crate::report::Refusal;
use crate::verify::verify;

/// A configuration that was left for the one before.
pub(super) struct Left {
    config: Option<Value>,
    before: Option<Value>,
}

impl Inner {
    /// Checks a configuration and lets the plugin go on with it: as it serves, or in a new
    /// generation of the same file, which gets the state. Where anything goes wrong, nothing
    /// changes.
    pub(super) fn configure(
        &self,
        id: &PluginId,
        value: Value,
    ) -> Result<Outcome, LoadPluginError> {
        let before = self.known.lock().config.insert(id.clone(), value);
        let outcome = self.go_on_with_it(id);
        let mut known = self.known.lock();
        match &outcome {
            Err(_) => known.set_config(id, before),
            Ok(Outcome::Reloaded(_)) => drop(known.config_before.insert(id.clone(), before)),
            Ok(_) => {}
        }
        outcome
    }

    /// The generation that was replaced for its configuration comes back, and so does that.
    /// Gives the one that was left, and the one that is back.
    pub(super) fn configured_as_before(&self, id: &PluginId) -> Option<Left> {
        let mut known = self.known.lock();
        let before = known.config_before.remove(id)?;
        let left = Left { config: known.config.get(id).cloned(), before: before.clone() };
        known.set_config(id, before);
        Some(left)
    }

    /// It did not come back.
    pub(super) fn configured_again(&self, id: &PluginId, Left { config, before }: Left) {
        let mut known = self.known.lock();
        known.set_config(id, config);
        known.config_before.insert(id.clone(), before);
    }

    fn go_on_with_it(&self, id: &PluginId) -> Result<Outcome, LoadPluginError> {
        let Some(active) = self.serving(id) else { return self.come_up_with_it(id) };
        let refused = |error: ConfigError| {
            let refusal = Refusal::of(&active.about, error);
            LoadPluginError::Refused(Arc::new(refusal))
        };
        let configured = self.configured(&active.about.manifest).map_err(refused)?;
        if !configured.is_other_than(&active.config.now()) {
            return Ok(Outcome::Unchanged);
        }
        if let Some(taken) = self.take_live(&active, configured)? {
            return Ok(Outcome::Configured(Box::new(taken)));
        }
        let file = self.file_of(&active);
        let resolved = self.resolve_alone(file).map_err(LoadPluginError::Refused)?;
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
        let Some(slot) = self.table.load().get(plugin).cloned() else { return Ok(None) };
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
        active.config.now().is_of(known.config.get(&active.about.manifest.id))
    }

    /// One that does not serve may have waited for that.
    fn come_up_with_it(&self, id: &PluginId) -> Result<Outcome, LoadPluginError> {
        let newest = {
            let known = self.known.lock();
            let of_it = known.files.values().filter(|offer| offer.manifest.id == *id);
            of_it.max_by_key(|offer| offer.manifest.version.clone()).cloned()
        };
        // Unknown yet: it gets it when it comes.
        let Some(offer) = newest else { return Ok(Outcome::Unchanged) };
        self.configured(&offer.manifest).map_err(|error| {
            let plugin = Some((id.clone(), offer.manifest.version.clone()));
            LoadPluginError::Refused(Arc::new(Refusal::new(&offer.path, plugin, error.into())))
        })?;
        let failed = self.known.lock().failed.remove(id).is_some();
        if !failed {
            return Ok(Outcome::Unchanged);
        }
        self.settled(id, Vec::new(), Change::because(&Cause::Request))
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
