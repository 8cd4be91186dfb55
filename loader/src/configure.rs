//! What a plugin is configured with: checked by its schema before any of its code runs.

use std::collections::BTreeMap;

use plugbay_config::schema::{
    BaseId, Declared, Owner, SchemaError, Schemas, Scrubber, SecretSource, Settled, Unsettled,
};
use plugbay_interface::given::give;
use plugbay_interface::manifest::{BaseSchema, Manifest, PluginId, Selector};
use serde_json::Value;

use crate::error::Explain;
use crate::extensions::{ExtensionError, Extensions};

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
    #[error(transparent)]
    Extension(ExtensionError),
}

/// A configuration that fits, with defaults and secrets in it.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// As it was written, if it was.
    given: Option<Given>,
    fitting: Fitting,
    /// The tables of the host's configuration that the plugin registers, by name.
    extensions: BTreeMap<String, Extension>,
}

/// What stands there for a plugin.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Under which key: its id, or its id with versions.
    pub(crate) key: String,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
enum Fitting {
    /// The plugin has no schema: as it was given.
    Plain,
    Settled(Box<Settled>),
}

#[derive(Clone, Debug)]
struct Extension {
    /// As it was written, if it was.
    given: Option<Value>,
    settled: Settled,
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
            Problem::Extension(error) => error.unsettled(),
            Problem::Schema(_) => None,
        }
    }

    /// What is wrong with a table of the host's configuration that the plugin registers.
    pub fn extension(&self) -> Option<&ExtensionError> {
        match &self.0 {
            Problem::Extension(error) => Some(error),
            _ => None,
        }
    }

    /// What is wrong with the schema.
    pub fn schema(&self) -> Option<&SchemaError> {
        match &self.0 {
            Problem::Schema(error) => Some(error),
            _ => None,
        }
    }
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match &self.0 {
            Problem::Schema(error) => error.code(),
            Problem::Unsettled(unsettled) => unsettled.code(),
            Problem::Extension(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match &self.0 {
            Problem::Schema(error) => error.hint(),
            Problem::Unsettled(unsettled) => match &unsettled.origin().owner {
                Owner::Plugin(id) => {
                    format!("{}, in [config.{id}] of the host's configuration", unsettled.hint())
                }
                _ => unsettled.hint(),
            },
            Problem::Extension(error) => error.hint(),
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
    configs.get(keys_for(configs, manifest).into_iter().next()?)
}

/// The keys that say something of a plugin in this version, of which the first one counts.
pub(crate) fn keys_for<'a>(
    configs: &'a BTreeMap<String, Value>,
    manifest: &Manifest,
) -> Vec<&'a String> {
    let id = manifest.id.as_str();
    let its = configs.range(format!("{id}@")..).map(|(key, _)| key);
    let its = its.take_while(|key| key.starts_with(id));
    let is_meant = |key: &&String| {
        let selector = key.parse::<Selector>();
        selector.is_ok_and(|it| it.has(&manifest.id, &manifest.version))
    };
    let rank = |key: &&String| match key.as_bytes().get(id.len() + 1) {
        Some(b'=') => 0,
        Some(b'^') => 1,
        _ => 2,
    };
    let mut keys: Vec<_> = its.filter(is_meant).collect();
    keys.sort_by_key(rank);
    keys.extend(configs.get_key_value(id).map(|(key, _)| key));
    keys
}

/// Whether a plugin could be configured with this, as a host does it, for programs that
/// judge files themselves. `others` are the plugins whose base schemas it may build on; who
/// has which table of the host's configuration is what the `extensions` were
/// [decided](Extensions::as_decided) to be. Reads secrets from the environment and from files.
///
/// # Errors
///
/// All that is wrong with the configuration, or the first thing that is wrong with the schema.
pub fn check_config<'a>(
    manifest: &'a Manifest,
    given: Option<&Value>,
    others: impl Iterator<Item = &'a Manifest>,
    extensions: &Extensions,
    secrets: &SecretSource,
) -> Result<(), ConfigError> {
    let grounds = Grounds { components: BTreeMap::new(), secrets: secrets.clone() };
    let key = manifest.id.to_string();
    let given = given.map(|value| Given { key, value: value.clone() });
    settle(manifest, given, others, extensions, &grounds).map(drop)
}

/// Whether a table of the host's configuration is what the plugin that registers it takes,
/// as [`check_config`].
///
/// # Errors
///
/// All that is wrong with the table, or the first thing that is wrong with the schema.
pub fn check_extension<'a>(
    manifest: &'a Manifest,
    name: &str,
    given: &Value,
    others: impl Iterator<Item = &'a Manifest>,
    secrets: &SecretSource,
) -> Result<(), ConfigError> {
    let grounds = Grounds { components: BTreeMap::new(), secrets: secrets.clone() };
    settle_table(manifest, name, Some(given), others, &grounds)
}

/// The same of one table alone, whether it is there or not.
pub(crate) fn settle_table<'a>(
    manifest: &'a Manifest,
    name: &str,
    given: Option<&Value>,
    others: impl Iterator<Item = &'a Manifest>,
    grounds: &Grounds,
) -> Result<(), ConfigError> {
    let Some(declared) = manifest.host_config.get(name) else { return Ok(()) };
    let schemas = bases(manifest, others, grounds).map_err(wrong_schema)?;
    extension(manifest, name, declared, given, &schemas, grounds).map(drop)
}

/// Checks what a plugin is given by its schema, and fills in what is left out; and so the
/// tables of the host's configuration that it registers and has. `others` are the plugins
/// whose base schemas it may build on. Reads secrets from the environment and from files.
pub(crate) fn settle<'a>(
    manifest: &'a Manifest,
    given: Option<Given>,
    others: impl Iterator<Item = &'a Manifest>,
    extensions: &Extensions,
    grounds: &Grounds,
) -> Result<Configured, ConfigError> {
    let by_rule = |error| ConfigError(Problem::Extension(error));
    extensions.may_register(manifest).map_err(by_rule)?;
    if manifest.config_schema.is_none() && manifest.host_config.is_empty() {
        return Ok(Configured { given, fitting: Fitting::Plain, extensions: BTreeMap::new() });
    }
    let schemas = bases(manifest, others, grounds).map_err(wrong_schema)?;
    let fitting = own(manifest, given.as_ref(), &schemas, grounds)?;
    let mut tables = BTreeMap::new();
    for (name, declared) in &manifest.host_config {
        let given = extensions.value(name);
        let settled = extension(manifest, name, declared, given, &schemas, grounds)?;
        tables.insert(name.clone(), Extension { given: given.cloned(), settled });
    }
    Ok(Configured { given, fitting, extensions: tables })
}

/// Checks the same without the tables.
pub(crate) fn settle_own<'a>(
    manifest: &'a Manifest,
    given: Option<Given>,
    others: impl Iterator<Item = &'a Manifest>,
    grounds: &Grounds,
) -> Result<(), ConfigError> {
    if manifest.config_schema.is_none() {
        return Ok(());
    }
    let schemas = bases(manifest, others, grounds).map_err(wrong_schema)?;
    own(manifest, given.as_ref(), &schemas, grounds).map(drop)
}

fn own(
    manifest: &Manifest,
    given: Option<&Given>,
    schemas: &Schemas,
    grounds: &Grounds,
) -> Result<Fitting, ConfigError> {
    let Some(schema) = &manifest.config_schema else { return Ok(Fitting::Plain) };
    let declared = Declared::new(schema.clone()).extending(manifest.config_extends.iter().cloned());
    let value = given.map_or_else(nothing, |given| given.value.clone());
    let settled = settled(manifest, &declared, &value, schemas, grounds)?;
    let unsettled = |problems| ConfigError(Problem::Unsettled(problems));
    Ok(Fitting::Settled(Box::new(settled.map_err(unsettled)?)))
}

/// What is given where nothing is.
fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

fn extension(
    manifest: &Manifest,
    name: &str,
    declared: &BaseSchema,
    given: Option<&Value>,
    schemas: &Schemas,
    grounds: &Grounds,
) -> Result<Settled, ConfigError> {
    let given = given.cloned().unwrap_or_else(nothing);
    let declared =
        Declared::new(declared.schema.clone()).extending(declared.extends.iter().cloned());
    let settled = settled(manifest, &declared, &given, schemas, grounds)?;
    settled.map_err(|problems| {
        ConfigError(Problem::Extension(ExtensionError::Unsettled { name: name.into(), problems }))
    })
}

/// By one schema of a plugin's. The outer error is the schema's.
fn settled(
    manifest: &Manifest,
    declared: &Declared,
    given: &Value,
    schemas: &Schemas,
    grounds: &Grounds,
) -> Result<Result<Settled, Box<Unsettled>>, ConfigError> {
    let owner = Owner::Plugin(manifest.id.clone());
    let schema = schemas.compile(owner, declared).map_err(wrong_schema)?;
    let settled = match schema.settle(given, &grounds.secrets) {
        Ok(settled) => settled,
        Err(unsettled) => return Ok(Err(Box::new(unsettled))),
    };
    for warning in settled.warnings() {
        log::warn!(target: manifest.id.as_str(), "{}: {warning}; {}", warning.code(), warning.hint());
    }
    Ok(Ok(settled))
}

fn wrong_schema(error: SchemaError) -> ConfigError {
    ConfigError(Problem::Schema(Box::new(error)))
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
        let own = match &self.fitting {
            Fitting::Plain => self.value().to_string(),
            Fitting::Settled(settled) => settled.expose().as_str().to_owned(),
        };
        if self.extensions.is_empty() {
            return own;
        }
        let tables: Vec<_> =
            self.extensions.iter().map(|(name, table)| (name, table.settled.expose())).collect();
        give(&own, tables.iter().map(|(name, table)| (name.as_str(), table.as_str())))
    }

    /// What stood there for the plugin, and under which key.
    pub(crate) fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// What stood in the tables that the plugin registers.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&String, Option<&Value>)> {
        self.extensions.iter().map(|(name, table)| (name, table.given.as_ref()))
    }

    fn value(&self) -> Value {
        self.given.as_ref().map_or_else(nothing, |given| given.value.clone())
    }

    /// Whether it was made of what a plugin is given now.
    pub(crate) fn is_of(&self, given: Option<&Value>, extensions: &Extensions) -> bool {
        let own = self.value() == given.cloned().unwrap_or_else(nothing);
        let mut tables = self.extensions.iter();
        own && tables.all(|(name, table)| table.given.as_ref() == extensions.value(name))
    }

    /// Whether a plugin that has this one would notice another one.
    pub(crate) fn is_other_than(&self, earlier: &Self) -> bool {
        let own = match (&self.fitting, &earlier.fitting) {
            (Fitting::Settled(new), Fitting::Settled(old)) => !new.changes_since(old).is_empty(),
            (Fitting::Plain, Fitting::Plain) => self.value() != earlier.value(),
            _ => true,
        };
        own || self.has_other_tables_than(earlier)
    }

    /// The same of the tables of the host's configuration alone.
    pub(crate) fn has_other_tables_than(&self, earlier: &Self) -> bool {
        let same = |(name, table): (&String, &Extension)| {
            let before = earlier.extensions.get(name);
            before.is_some_and(|before| table.settled.changes_since(&before.settled).is_empty())
        };
        self.extensions.len() != earlier.extensions.len() || !self.extensions.iter().all(same)
    }

    /// Takes its secrets out of texts.
    pub(crate) fn scrubber(&self) -> Option<Scrubber> {
        let mut scrubber = match &self.fitting {
            Fitting::Plain => Scrubber::default(),
            Fitting::Settled(settled) => settled.scrubber(),
        };
        for table in self.extensions.values() {
            scrubber = scrubber.and(&table.settled.scrubber());
        }
        Some(scrubber).filter(|it| !it.is_empty())
    }
}
