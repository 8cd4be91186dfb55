//! What `plugin.toml` says of other plugins.

use std::collections::BTreeMap;

use semver::VersionReq;
use serde::Deserialize;
use toml::Spanned;

use super::{SourceError, mistake, word};
use crate::relations::is_word;
use crate::{Conflict, Dependency, Integration, PluginId};

/// `"renderer"`, or `{ id = "data_source", source = "postgres" }`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a kind is a name, or { id = \"NAME\", ATTRIBUTE = \"VALUE\" }")]
pub(super) enum TomlKind {
    Plain(String),
    Of(BTreeMap<String, String>),
}

/// `"^2"`, or `{ version = "^2", optional = true }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "versions are a text, \"^2\", or { version = \"^2\", optional = true }"
)]
pub(super) enum TomlDependency {
    Range(VersionReq),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    version: VersionReq,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TomlIntegration {
    plugin: Option<PluginId>,
    kind: Option<Spanned<String>>,
}

type Kinds = (Vec<String>, BTreeMap<String, BTreeMap<String, String>>);

pub(super) fn kinds(text: &str, list: Vec<Spanned<TomlKind>>) -> Result<Kinds, SourceError> {
    let (mut names, mut sub_types) = (Vec::<String>::new(), BTreeMap::new());
    for kind in list {
        let span = kind.span();
        let wrong = |what: &str| mistake(text, span.clone(), what);
        let (name, attributes) = match kind.into_inner() {
            TomlKind::Plain(name) => (name, BTreeMap::new()),
            TomlKind::Of(mut attributes) => match attributes.remove("id") {
                Some(name) => (name, attributes),
                None => {
                    return Err(wrong("a kind with attributes has its name as `id = \"NAME\"`"));
                }
            },
        };
        let words = attributes.iter().flat_map(|(attribute, value)| [attribute, value]);
        if words.chain([&name]).any(|word| !is_word(word)) {
            return Err(wrong(
                "a kind has 1 to 64 ASCII letters, digits, `-`, `_` and `.`, as do its attributes",
            ));
        }
        if names.contains(&name) {
            return Err(wrong(&format!("the kind {name} is named twice")));
        }
        if !attributes.is_empty() {
            sub_types.insert(name.clone(), attributes);
        }
        names.push(name);
    }
    Ok((names, sub_types))
}

pub(super) fn dependencies(
    text: &str,
    table: BTreeMap<Spanned<PluginId>, TomlDependency>,
    own: &PluginId,
) -> Result<Vec<Dependency>, SourceError> {
    let mut dependencies = Vec::new();
    for (id, dependency) in table {
        if id.get_ref() == own {
            return Err(mistake(text, id.span(), "a plugin that depends on itself never runs"));
        }
        let (version, optional) = match dependency {
            TomlDependency::Range(version) => (version, false),
            TomlDependency::Table(Table { version, optional }) => (version, optional),
        };
        dependencies.push(Dependency::new(id.into_inner(), version, optional));
    }
    Ok(dependencies)
}

pub(super) fn conflicts(
    text: &str,
    list: Vec<Spanned<String>>,
) -> Result<Vec<Conflict>, SourceError> {
    let parse = |entry: Spanned<String>| {
        let conflict = entry.get_ref().parse::<Conflict>();
        conflict.map_err(|error| mistake(text, entry.span(), &error.to_string()))
    };
    list.into_iter().map(parse).collect()
}

pub(super) fn integrates(
    text: &str,
    list: Vec<Spanned<TomlIntegration>>,
) -> Result<Vec<Integration>, SourceError> {
    let mut integrates = Vec::new();
    for entry in list {
        let span = entry.span();
        let TomlIntegration { plugin, kind } = entry.into_inner();
        let kind = kind.map(|kind| word(text, kind, "a kind")).transpose()?;
        if plugin.is_none() && kind.is_none() {
            return Err(mistake(text, span, "what it works with: a plugin, a kind, or both"));
        }
        integrates.push(Integration::new(plugin, kind));
    }
    Ok(integrates)
}
