//! What a plugin is configured with: checked by its schema before any of its code runs.

use std::collections::BTreeMap;

use plugbay_config::schema::{
    BaseId, Declared, Owner, SchemaError, Schemas, Scrubber, SecretSource, Settled, Unsettled,
};
use plugbay_interface::manifest::{Manifest, PluginId, Selector};
use serde_json::Value;

use crate::error::Explain;

/// Why a plugin does not get its configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(Problem);

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Schema(Box<SchemaError>),
    #[error(transparent)]
    Unsettled(Box<Unsettled>),
}

/// A configuration that fits, with defaults and secrets in it.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// As it was written.
    given: Value,
    fitting: Fitting,
}

#[derive(Clone, Debug)]
enum Fitting {
    /// The plugin has no schema: as it was given.
    Plain,
    Settled(Box<Settled>),
}

/// What schemas may build on besides themselves.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    /// The host's own base schemas.
    pub(crate) components: BTreeMap<BaseId, Declared>,
    pub(crate) secrets: SecretSource,
}

impl ConfigError {
    /// What is wrong with the configuration; none where the schema is what is wrong.
    pub fn unsettled(&self) -> Option<&Unsettled> {
        match &self.0 {
            Problem::Unsettled(unsettled) => Some(unsettled),
            Problem::Schema(_) => None,
        }
    }

    /// What is wrong with the schema.
    pub fn schema(&self) -> Option<&SchemaError> {
        match &self.0 {
            Problem::Schema(error) => Some(error),
            Problem::Unsettled(_) => None,
        }
    }
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match &self.0 {
            Problem::Schema(error) => error.code(),
            Problem::Unsettled(unsettled) => unsettled.code(),
        }
    }

    fn hint(&self) -> String {
        match &self.0 {
            Problem::Schema(error) => error.hint(),
            Problem::Unsettled(unsettled) => unsettled.hint(),
        }
    }
}

/// What a plugin is given in this version, of configurations by plugin: what is said of
/// one version, `sql@=1.2.3`, goes before what is said of a line, `sql@^1`, that before other
/// ranges (of several the first in the order of their text), and that before what is said
/// of all, `sql`.
pub fn config_for<'a>(
    configs: &'a BTreeMap<String, Value>,
    manifest: &Manifest,
) -> Option<&'a Value> {
    let id = manifest.id.as_str();
    let its = configs.range(format!("{id}@")..).take_while(|(key, _)| key.starts_with(id));
    let is_meant = |key: &str| {
        let selector = key.parse::<Selector>();
        selector.is_ok_and(|it| it.has(&manifest.id, &manifest.version))
    };
    let rank = |key: &str| match key.as_bytes().get(id.len() + 1) {
        Some(b'=') => 0,
        Some(b'^') => 1,
        _ => 2,
    };
    let of_versions = its.filter(|(key, _)| is_meant(key)).min_by_key(|(key, _)| rank(key));
    of_versions.map(|(_, value)| value).or_else(|| configs.get(id))
}

/// Whether a plugin could be configured with this, as a host does it, for programs that
/// judge files themselves. `others` are the plugins whose base schemas it may build on.
/// Reads secrets from the environment and from files.
///
/// # Errors
///
/// All that is wrong with the configuration, or the first thing that is wrong with the schema.
pub fn check_config<'a>(
    manifest: &'a Manifest,
    given: Option<&Value>,
    others: impl Iterator<Item = &'a Manifest>,
    secrets: &SecretSource,
) -> Result<(), ConfigError> {
    let grounds = Grounds { components: BTreeMap::new(), secrets: secrets.clone() };
    settle(manifest, given, others, &grounds).map(drop)
}

/// Checks what a plugin is given by its schema, and fills in what is left out. `others`
/// are the plugins whose base schemas it may build on. Reads secrets from the environment
/// and from files.
pub(crate) fn settle<'a>(
    manifest: &'a Manifest,
    given: Option<&Value>,
    others: impl Iterator<Item = &'a Manifest>,
    grounds: &Grounds,
) -> Result<Configured, ConfigError> {
    let given = given.cloned().unwrap_or_else(nothing);
    let Some(schema) = &manifest.config_schema else {
        return Ok(Configured { given, fitting: Fitting::Plain });
    };
    let wrong = |error: SchemaError| ConfigError(Problem::Schema(Box::new(error)));
    let schemas = bases(manifest, others, grounds).map_err(wrong)?;
    let declared = Declared::new(schema.clone()).extending(manifest.config_extends.iter().cloned());
    let owner = Owner::Plugin(manifest.id.clone());
    let schema = schemas.compile(owner, &declared).map_err(wrong)?;
    let settled = schema
        .settle(&given, &grounds.secrets)
        .map_err(|error| ConfigError(Problem::Unsettled(Box::new(error))))?;
    for warning in settled.warnings() {
        log::warn!(target: manifest.id.as_str(), "{}: {warning}; {}", warning.code(), warning.hint());
    }
    Ok(Configured { given, fitting: Fitting::Settled(Box::new(settled)) })
}

/// What is given where nothing is.
fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// The base schemas of the host and of plugins, of each plugin the newest version's.
fn bases<'a>(
    own: &'a Manifest,
    others: impl Iterator<Item = &'a Manifest>,
    grounds: &Grounds,
) -> Result<Schemas, SchemaError> {
    let mut schemas = Schemas::new();
    for (id, declared) in &grounds.components {
        schemas.add(id.clone(), Owner::Component("the host".into()), declared)?;
    }
    let mut newest: BTreeMap<&PluginId, &Manifest> = BTreeMap::new();
    for manifest in others.filter(|manifest| !manifest.base_schemas.is_empty()) {
        let known = newest.entry(&manifest.id).or_insert(manifest);
        if known.version < manifest.version {
            *known = manifest;
        }
    }
    if !own.base_schemas.is_empty() {
        newest.insert(&own.id, own);
    }
    for manifest in newest.values() {
        for (id, base) in &manifest.base_schemas {
            // A wrong one is told to who builds on it: it is not there.
            let Ok(id) = id.parse() else { continue };
            let declared = Declared::new(base.schema.clone()).extending(base.extends.clone());
            schemas.add(id, Owner::Plugin(manifest.id.clone()), &declared)?;
        }
    }
    Ok(schemas)
}

impl Configured {
    /// As the plugin gets it, secrets in it.
    pub(crate) fn text(&self) -> String {
        match &self.fitting {
            Fitting::Plain => self.given.to_string(),
            Fitting::Settled(settled) => settled.expose().as_str().to_owned(),
        }
    }

    /// Whether it was made of what a plugin is given now.
    pub(crate) fn is_of(&self, given: Option<&Value>) -> bool {
        given.map_or_else(|| self.given == nothing(), |given| self.given == *given)
    }

    /// Whether a plugin that has this one would notice another one.
    pub(crate) fn is_other_than(&self, earlier: &Self) -> bool {
        match (&self.fitting, &earlier.fitting) {
            (Fitting::Settled(new), Fitting::Settled(old)) => !new.changes_since(old).is_empty(),
            (Fitting::Plain, Fitting::Plain) => self.given != earlier.given,
            _ => true,
        }
    }

    /// Takes its secrets out of texts.
    pub(crate) fn scrubber(&self) -> Option<Scrubber> {
        match &self.fitting {
            Fitting::Plain => None,
            Fitting::Settled(settled) => Some(settled.scrubber()).filter(|it| !it.is_empty()),
        }
    }
}
