//! What may stand in a manifest beside a library.

use std::fmt;

use plugbay_interface::manifest::{PluginId, Selector};
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// The file, whole. What is left out says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Written {
    pub(super) id: PluginId,
    pub(super) name: Option<String>,
    pub(super) version: Option<Version>,
    pub(super) min_host_version: Option<HostVersion>,
    pub(super) required_features: Option<Vec<String>>,
    pub(super) dependencies: Option<Dependencies>,
    pub(super) permissions: Option<Vec<String>>,
}

/// Whose it is, whatever else stands in it.
#[derive(Debug, Deserialize)]
pub(super) struct Claimed {
    pub(super) id: PluginId,
}

/// A version of one, two or three numbers: `1.2` is `1.2.0`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct HostVersion(pub(super) Version);

impl TryFrom<String> for HostVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let missing = match text.bytes().filter(|byte| *byte == b'.').count() {
            0 => ".0.0",
            1 => ".0",
            _ => "",
        };
        match Version::parse(&format!("{text}{missing}")) {
            Ok(version) => Ok(Self(version)),
            Err(_) => Err("this is no version: write \"1\", \"1.2\" or \"1.2.3\"".into()),
        }
    }
}

/// Other plugins: a list of ids, `id@range` and tables with `id` and `version`, or a table of ids
/// with ranges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependencies(pub(super) Vec<Needed>);

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) id: PluginId,
    /// None where only the id is named: in which versions is not said.
    pub(super) range: Option<VersionReq>,
}

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrTable)
    }
}

struct ListOrTable;

impl<'de> Visitor<'de> for ListOrTable {
    type Value = Dependencies;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ids, [\"sql\", \"kv@^1\"], or a table, {\"kv\": \"^1\"}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Dependencies, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = list.next_element()? {
            add(&mut all, item)?;
        }
        Ok(Dependencies(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Dependencies, A::Error> {
        let mut all = Vec::new();
        while let Some((id, range)) = table.next_entry::<PluginId, VersionReq>()? {
            add(&mut all, Needed { id, range: Some(range) })?;
        }
        Ok(Dependencies(all))
    }
}

impl<'de> Deserialize<'de> for Needed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = Needed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, \"kv@^1\", or a table, {\"id\": \"kv\", \"version\": \"^1\"}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Needed, E> {
        let selector: Selector = text.parse().map_err(E::custom)?;
        let range = text.contains('@').then_some(selector.version);
        Ok(Needed { id: selector.id, range })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Needed, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[serde(alias = "name")]
            id: PluginId,
            #[serde(alias = "range")]
            version: Option<VersionReq>,
        }
        let Table { id, version } = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Needed { id, range: version })
    }
}

fn add<E: de::Error>(all: &mut Vec<Needed>, needed: Needed) -> Result<(), E> {
    if all.iter().any(|other| other.id == needed.id) {
        return Err(E::custom(format!("`{}` is named twice", needed.id)));
    }
    all.push(needed);
    Ok(())
}
