//! How a plugin that serves gets another configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::manifest::PluginId;
use serde_json::Value;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::activate::Active;
use crate::configure::ConfigError;
use crate::events::{Cause, Times};
use crate::reload::Outcome;
use crate::report::Refusal;
use crate::verify::verify;

/// A configuration that was left for the one before.
pub(super) struct Left {
    config: Option<Value>,
    before: Option<Value>,
}

impl Inner {
    /// Checks a configuration and lets the plugin go on with it: a new generation of the same
    /// file, which gets the state. Where anything goes wrong, nothing changes.
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
        // What it is compared with next is not known here.
        known.configured.remove(id);
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
        let earlier = self.known.lock().configured.get(id).cloned();
        if earlier.is_some_and(|earlier| !configured.is_other_than(&earlier)) {
            return Ok(Outcome::Unchanged);
        }
        let file = self.file_of(&active);
        let resolved = self.resolve_alone(file).map_err(LoadPluginError::Refused)?;
        let replaced = self.replace(resolved, &active, &Cause::Request, Times::default());
        let (reloaded, _) = replaced.map_err(LoadPluginError::Refused)?;
        Ok(Outcome::Reloaded(Box::new(reloaded)))
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
