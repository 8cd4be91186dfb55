use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Activation, Conflict, Dependency, Integration, Need, Provided};

/// The name that a plugin goes by, in every version: 1 to 64 characters, a
/// lower-case ASCII letter first, then lower-case letters, digits, `-` and `_`.
///
/// An id is safe as a file name and as a log target on every platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginId(String);

impl PluginId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no [`PluginId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no plugin id: use 1 to 64 lower-case letters, digits, `-` and `_`, a letter first",
    .0.escape_debug()
)]
pub struct InvalidPluginId(pub String);

impl TryFrom<String> for PluginId {
    type Error = InvalidPluginId;

    fn try_from(text: String) -> Result<Self, InvalidPluginId> {
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let goes_on_well =
            bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if starts_well && goes_on_well && text.len() <= Self::MAX_LEN {
            Ok(Self(text))
        } else {
            Err(InvalidPluginId(text))
        }
    }
}

impl FromStr for PluginId {
    type Err = InvalidPluginId;

    fn from_str(text: &str) -> Result<Self, InvalidPluginId> {
        Self::try_from(text.to_owned())
    }
}

impl From<PluginId> for String {
    fn from(id: PluginId) -> String {
        id.0
    }
}

impl Borrow<str> for PluginId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The manifest as a library carries it: every default filled in.
///
/// Reading is lenient, so that an older host reads what a newer interface wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Which plugin this is, in every version.
    pub id: PluginId,
    /// The name for people; the id where `plugin.toml` gives none.
    pub name: String,
    /// The plugin's version; the crate's where `plugin.toml` gives none.
    pub version: Version,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Who wrote it.
    #[serde(default)]
    pub authors: Vec<String>,
    /// An SPDX expression.
    #[serde(default)]
    pub license: String,
    /// What kinds of plugin this is, for example `renderer`.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What of a kind it is, by kind, as names and values: `data_source` → `source` →
    /// `postgres`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sub_types: BTreeMap<String, BTreeMap<String, String>>,
    /// What it can do, for example `tables`; free words to search by.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Which versions of the host program it runs in; `*` where not given.
    #[serde(default)]
    pub host: VersionReq,
    /// What it requires a host to have, for example `storage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The plugins that it uses, sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// What it does not run beside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// What it was made to work with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrates: Vec<Integration>,
    /// Why this version is not to be used any more, and what instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// When it is loaded.
    #[serde(default, skip_serializing_if = "Activation::is_default")]
    pub activation: Activation,
    /// The commands that it answers, by name.
    #[serde(default)]
    pub commands: BTreeMap<String, Command>,
    /// The services that it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Provided>,
    /// The contracts that it calls others by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// JSON Schema of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// The ids of the base schemas that this schema extends, of the host or of plugins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_extends: Vec<String>,
    /// Base schemas that others may extend, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base_schemas: BTreeMap<String, BaseSchema>,
    /// Tables that it adds to the host's own configuration, by name: what may stand in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_config: BTreeMap<String, BaseSchema>,
    /// The version of the state that it saves, from 1; raise it when `State`
    /// changes. 0 where it has none.
    #[serde(default)]
    pub state_version: u32,
    /// Whether its state is also kept on disk, for when the host is killed.
    #[serde(default)]
    pub state_persist: bool,
    /// What it asks to be allowed to do, for example `read-files`.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// One command: JSON in, JSON out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Command {
    /// What it does, in one line.
    #[serde(default)]
    pub summary: String,
    /// JSON Schema of its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// JSON Schema of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// How long the host may give a result again; none: it runs at each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRule>,
}

/// How a host may keep the results of a command. Only for commands whose result is a
/// matter of their arguments, the plugin's version and its configuration, for as long as
/// is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CacheRule {
    /// For how long from the moment in which it came, in milliseconds.
    pub ttl_ms: u64,
}

impl CacheRule {
    /// For so many milliseconds.
    pub(crate) fn new(ttl_ms: u64) -> Self {
        Self { ttl_ms }
    }

    /// For how long a result may be given again, from the moment in which it came.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

/// A schema that others may extend, or that of a table of the host's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BaseSchema {
    /// The JSON Schema.
    pub schema: Value,
    /// The ids of the base schemas that it extends itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extends: Vec<String>,
}

impl BaseSchema {
    pub(crate) fn new(schema: Value, extends: Vec<String>) -> Self {
        Self { schema, extends }
    }
}

/// How a library was built. Read before the manifest: a file of another
/// interface version is refused by these alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of `plugbay-interface` that it was compiled with.
    pub interface: Version,
    /// What `rustc --version` said.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `unwind`, or `abort`, which no host takes.
    pub panic: String,
}

/// The content of the manifest section: the facts and the manifest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Embedded {
    /// How the library was built.
    pub facts: Facts,
    /// What the plugin says of itself.
    pub manifest: Manifest,
}

impl Embedded {
    /// Puts the two together.
    pub fn new(facts: Facts, manifest: Manifest) -> Self {
        Self { facts, manifest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_as_file_names() {
        for good in ["a", "markdown", "kv-2", "my_plugin", &"a".repeat(64)] {
            assert!(good.parse::<PluginId>().is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "A", "2x", "../x", "a/b", "a b", "ä", "a\n", "-a", &long] {
            assert!(bad.parse::<PluginId>().is_err(), "{bad:?}");
        }
    }
}
