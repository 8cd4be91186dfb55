//! `plugin.toml`, as an author writes it.

mod relations;
mod time;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;

use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use self::relations::{TomlDependency, TomlIntegration, TomlKind};
use crate::relations::is_word;
use crate::section::MAX_VERSION;
use crate::{
    Activation, BaseSchema, CacheRule, Command, ContractId, ContractVersion, Manifest, Need,
    PluginId, Provided,
};

/// What the crate says where `plugin.toml` says nothing.
#[derive(Clone, Debug, Default)]
pub struct CrateDefaults {
    /// `CARGO_PKG_VERSION`.
    pub version: String,
    /// `CARGO_PKG_DESCRIPTION`.
    pub description: String,
    /// `CARGO_PKG_AUTHORS`: names, separated by `:`.
    pub authors: String,
    /// `CARGO_PKG_LICENSE`.
    pub license: String,
}

/// A `plugin.toml` that was read, with the places of its commands and services.
#[derive(Debug)]
pub struct Source {
    manifest: Manifest,
    command_lines: BTreeMap<String, usize>,
    service_lines: Vec<usize>,
}

/// A mistake in `plugin.toml`. Displayed with line, column and the line itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    id: PluginId,
    name: Option<String>,
    version: Option<Spanned<Version>>,
    description: Option<String>,
    authors: Option<Vec<String>>,
    license: Option<String>,
    #[serde(default)]
    kinds: Vec<Spanned<TomlKind>>,
    #[serde(default)]
    capabilities: Vec<Spanned<String>>,
    #[serde(default)]
    host: VersionReq,
    #[serde(default)]
    features: Vec<Spanned<String>>,
    #[serde(default)]
    dependencies: BTreeMap<Spanned<PluginId>, TomlDependency>,
    #[serde(default)]
    conflicts: Vec<Spanned<String>>,
    #[serde(default)]
    integrates: Vec<Spanned<TomlIntegration>>,
    deprecated: Option<String>,
    #[serde(default)]
    activation: Activation,
    #[serde(default)]
    commands: BTreeMap<Spanned<String>, TomlCommand>,
    #[serde(default)]
    services: Vec<Spanned<TomlService>>,
    #[serde(default)]
    needs: Vec<Spanned<TomlNeed>>,
    config: Option<TomlConfig>,
    #[serde(default)]
    schemas: BTreeMap<Spanned<String>, TomlConfig>,
    #[serde(default)]
    host_config: BTreeMap<Spanned<String>, TomlConfig>,
    state: Option<TomlState>,
    #[serde(default)]
    permissions: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlCommand {
    summary: String,
    arguments: Option<Spanned<Value>>,
    result: Option<Spanned<Value>>,
    cache: Option<TomlCache>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: { ttl = \"60s\" }")]
struct TomlCache {
    ttl: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlService {
    id: ContractId,
    version: ContractVersion,
    #[serde(default)]
    capabilities: Vec<Spanned<String>>,
    #[serde(default)]
    precedence: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlNeed {
    id: ContractId,
    version: ContractVersion,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    many: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlConfig {
    schema: Option<Spanned<Value>>,
    #[serde(default)]
    extends: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlState {
    version: NonZeroU32,
    #[serde(default)]
    persist: bool,
}

impl Source {
    /// Reads `plugin.toml`. Every mistake comes with its line.
    pub fn parse(text: &str, defaults: &CrateDefaults) -> Result<Self, SourceError> {
        let toml: Toml = toml::from_str(text)
            .map_err(|error| SourceError(error.to_string().trim_end().into()))?;
        let version = match toml.version {
            Some(version) if version.get_ref().to_string().len() > MAX_VERSION => {
                let what = format!("a version has at most {MAX_VERSION} characters");
                return Err(mistake(text, version.span(), &what));
            }
            Some(version) => version.into_inner(),
            None if defaults.version.len() > MAX_VERSION => {
                return Err(SourceError(format!(
                    "the crate's version has more than {MAX_VERSION} characters"
                )));
            }
            None => defaults.version.parse().map_err(|_| {
                SourceError(format!("the crate's version `{}` is no semver", defaults.version))
            })?,
        };
        let mut command_lines = BTreeMap::new();
        let mut commands = BTreeMap::new();
        for (name, command) in toml.commands {
            let span = name.span();
            let name = word(text, name, "a command's name")?;
            command_lines.insert(name.clone(), line_of(text, span.start));
            let arguments =
                command.arguments.map(|schema| checked_schema(text, schema)).transpose()?;
            let result = command.result.map(|schema| checked_schema(text, schema)).transpose()?;
            let cache = command.cache.map(|cache| cache_rule(text, cache)).transpose()?;
            commands.insert(name, Command { summary: command.summary, arguments, result, cache });
        }
        let (services, service_lines) = services(text, toml.services)?;
        let needs = needs(text, toml.needs)?;
        let (config_schema, config_extends) = match toml.config {
            Some(TomlConfig { schema, extends }) => {
                let schema = schema.map(|schema| checked_schema(text, schema)).transpose()?;
                // What only extends others is checked by them.
                let only_extends = (!extends.is_empty()).then_some(Value::Bool(true));
                (schema.or(only_extends), extends)
            }
            None => (None, Vec::new()),
        };
        let (kinds, sub_types) = relations::kinds(text, toml.kinds)?;
        let manifest = Manifest {
            dependencies: relations::dependencies(text, toml.dependencies, &toml.id)?,
            conflicts: relations::conflicts(text, toml.conflicts)?,
            integrates: relations::integrates(text, toml.integrates)?,
            features: words(text, toml.features, "a feature")?,
            deprecated: toml.deprecated,
            activation: toml.activation,
            name: toml.name.unwrap_or_else(|| toml.id.to_string()),
            id: toml.id,
            version,
            description: toml.description.unwrap_or_else(|| defaults.description.clone()),
            authors: toml.authors.unwrap_or_else(|| {
                defaults.authors.split(':').filter(|a| !a.is_empty()).map(Into::into).collect()
            }),
            license: toml.license.unwrap_or_else(|| defaults.license.clone()),
            kinds,
            sub_types,
            capabilities: words(text, toml.capabilities, "a capability")?,
            host: toml.host,
            commands,
            services,
            needs,
            config_schema,
            config_extends,
            base_schemas: base_schemas(text, toml.schemas)?,
            host_config: host_config(text, toml.host_config)?,
            state_version: toml.state.as_ref().map_or(0, |state| state.version.get()),
            state_persist: toml.state.is_some_and(|state| state.persist),
            permissions: words(text, toml.permissions, "a permission")?,
        };
        Ok(Self { manifest, command_lines, service_lines })
    }

    /// The manifest, defaults filled in.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The line, from 1, where a command is declared.
    pub fn command_line(&self, name: &str) -> Option<usize> {
        self.command_lines.get(name).copied()
    }

    /// The line, from 1, where the service with this number is declared.
    pub fn service_line(&self, at: usize) -> Option<usize> {
        self.service_lines.get(at).copied()
    }
}

fn cache_rule(text: &str, TomlCache { ttl }: TomlCache) -> Result<CacheRule, SourceError> {
    let millis = time::millis(ttl.get_ref());
    millis.map(CacheRule::new).map_err(|wrong| mistake(text, ttl.span(), &wrong))
}

/// The services, and where they are declared.
fn services(
    text: &str,
    list: Vec<Spanned<TomlService>>,
) -> Result<(Vec<Provided>, Vec<usize>), SourceError> {
    let (mut services, mut lines) = (Vec::<Provided>::new(), Vec::new());
    for service in list {
        let span = service.span();
        let TomlService { id, version, capabilities, precedence } = service.into_inner();
        let same = |known: &Provided| known.id == id && known.version.major == version.major;
        if services.iter().any(same) {
            let what = format!("{id} {}.x is declared twice", version.major);
            return Err(mistake(text, span, &what));
        }
        lines.push(line_of(text, span.start));
        let capabilities = words(text, capabilities, "a capability")?;
        services.push(Provided { id, version, capabilities, precedence });
    }
    Ok((services, lines))
}

fn needs(text: &str, list: Vec<Spanned<TomlNeed>>) -> Result<Vec<Need>, SourceError> {
    let mut needs = Vec::<Need>::new();
    for need in list {
        let span = need.span();
        let TomlNeed { id, version, optional, many } = need.into_inner();
        let same = |known: &Need| known.id == id && known.version.major == version.major;
        if needs.iter().any(same) {
            let what = format!("{id} {}.x is needed twice", version.major);
            return Err(mistake(text, span, &what));
        }
        needs.push(Need::new(id, version, optional, many));
    }
    Ok(needs)
}

/// The schemas that others may extend.
fn base_schemas(
    text: &str,
    table: BTreeMap<Spanned<String>, TomlConfig>,
) -> Result<BTreeMap<String, BaseSchema>, SourceError> {
    let mut schemas = BTreeMap::new();
    for (id, TomlConfig { schema, extends }) in table {
        let span = id.span();
        let id = word(text, id, "a schema's id")?;
        let Some(schema) = schema else {
            return Err(mistake(text, span, "a base schema has a `schema`"));
        };
        schemas.insert(id, BaseSchema::new(checked_schema(text, schema)?, extends));
    }
    Ok(schemas)
}

/// The tables of the host's configuration.
fn host_config(
    text: &str,
    table: BTreeMap<Spanned<String>, TomlConfig>,
) -> Result<BTreeMap<String, BaseSchema>, SourceError> {
    let mut tables = BTreeMap::new();
    for (name, TomlConfig { schema, extends }) in table {
        let span = name.span();
        let name = name.into_inner();
        // As ids of plugins are: it stands at the top of files without quotes.
        if name.parse::<PluginId>().is_err() {
            let what = "a table of the host's configuration has 1 to 64 lower-case letters, \
                        digits, `-` and `_`, a letter first";
            return Err(mistake(text, span, what));
        }
        let Some(schema) = schema else {
            return Err(mistake(text, span, "a table of the host's configuration has a `schema`"));
        };
        tables.insert(name, BaseSchema::new(checked_schema(text, schema)?, extends));
    }
    Ok(tables)
}

fn words(
    text: &str,
    list: Vec<Spanned<String>>,
    what: &'static str,
) -> Result<Vec<String>, SourceError> {
    list.into_iter().map(|entry| word(text, entry, what)).collect()
}

/// Names that people type on command lines: no spaces, no control characters, no `:`.
fn word(text: &str, entry: Spanned<String>, what: &'static str) -> Result<String, SourceError> {
    let span = entry.span();
    let word = entry.into_inner();
    if is_word(&word) {
        return Ok(word);
    }
    Err(mistake(text, span, &format!("{what} has 1 to 64 ASCII letters, digits, `-`, `_` and `.`")))
}

/// A JSON Schema is an object or a boolean. Whether its keywords make sense is
/// for the validator that uses it.
fn checked_schema(text: &str, schema: Spanned<Value>) -> Result<Value, SourceError> {
    let span = schema.span();
    match schema.into_inner() {
        value @ (Value::Object(_) | Value::Bool(_)) => Ok(value),
        _ => Err(mistake(text, span, "a JSON Schema is a table, `true` or `false`")),
    }
}

/// The same look as the parser's own errors.
fn mistake(text: &str, span: Range<usize>, message: &str) -> SourceError {
    let line = line_of(text, span.start);
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let source = text[start..].lines().next().unwrap_or_default();
    let column = text[start..span.start].chars().count() + 1;
    let width = text[span.clone()].lines().next().unwrap_or_default().chars().count().max(1);
    let gutter = " ".repeat(line.to_string().len());
    let before = " ".repeat(column - 1);
    let marks = "^".repeat(width);
    SourceError(format!(
        "TOML parse error at line {line}, column {column}\n\
         {gutter} |\n{line} | {source}\n{gutter} | {before}{marks}\n{message}"
    ))
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].bytes().filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
