use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::PluginId;

/// Another plugin that a plugin uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dependency {
    /// The other plugin.
    pub id: PluginId,
    /// The versions of it that will do; `*` where not given.
    #[serde(default)]
    pub version: VersionReq,
    /// Whether the plugin also runs without. Where the other one runs, it is activated
    /// first all the same.
    #[serde(default)]
    pub optional: bool,
}

/// What a plugin does not run beside, whichever of the two says so: `databricks`,
/// `sagemaker@^2`, `kind:ml_platform` or `capability:exclusive-gpu`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Conflict {
    /// A plugin, in these versions.
    Plugin(Selector),
    /// Every other plugin of a kind.
    Kind(String),
    /// Every other plugin with a capability.
    Capability(String),
    /// What only a later interface knows; nothing is excluded by it.
    Unknown(String),
}

/// Plugins by id and versions: `sql`, or `sql@^1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    /// The plugin.
    pub id: PluginId,
    /// Which versions of it; `*` where not given.
    pub version: VersionReq,
}

/// A text that is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no plugin: write its id, or id and versions, \"sql@^1\"", .0.escape_debug())]
pub struct InvalidSelector(pub String);

/// A text that is no [`Conflict`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no conflict: write a plugin's id, \"sql\", with versions, \"sql@^2\", or \
     \"kind:NAME\" or \"capability:NAME\"",
    .0.escape_debug()
)]
pub struct InvalidConflict(pub String);

/// What a plugin was made to work with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Integration {
    /// A plugin by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginId>,
    /// The kind that it takes that plugin for; without a plugin, any of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// When a plugin that shall run is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// When its host starts, or its file comes.
    #[default]
    AtStart,
    /// When it is called for the first time.
    OnDemand,
}

impl Dependency {
    pub(crate) fn new(id: PluginId, version: VersionReq, optional: bool) -> Self {
        Self { id, version, optional }
    }
}

impl Integration {
    pub(crate) fn new(plugin: Option<PluginId>, kind: Option<String>) -> Self {
        Self { plugin, kind }
    }
}

impl Selector {
    /// Whether this is one of them.
    pub fn has(&self, id: &PluginId, version: &Version) -> bool {
        self.id == *id && takes(&self.version, version)
    }
}

/// Whether a version is in a range. As in semver, `^1` does not take `1.3.0-rc.1`; `*`
/// takes everything, also what is not released yet.
pub fn takes(range: &VersionReq, version: &Version) -> bool {
    range.comparators.is_empty() || range.matches(version)
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let invalid = || InvalidSelector(text.to_owned());
        let (id, version) = match text.split_once('@') {
            Some((id, range)) => (id, range.parse().map_err(|_| invalid())?),
            None => (text, VersionReq::STAR),
        };
        Ok(Self { id: id.parse().map_err(|_| invalid())?, version })
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, InvalidSelector> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.to_string()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, version } = self;
        if version.comparators.is_empty() { write!(f, "{id}") } else { write!(f, "{id}@{version}") }
    }
}

impl FromStr for Conflict {
    type Err = InvalidConflict;

    fn from_str(text: &str) -> Result<Self, InvalidConflict> {
        let conflict = Self::from(text.to_owned());
        if matches!(conflict, Self::Unknown(_)) {
            return Err(InvalidConflict(text.to_owned()));
        }
        Ok(conflict)
    }
}

impl From<String> for Conflict {
    fn from(text: String) -> Self {
        match text.split_once(':') {
            Some(("kind", name)) if is_word(name) => Self::Kind(name.to_owned()),
            Some(("capability", name)) if is_word(name) => Self::Capability(name.to_owned()),
            Some(_) => Self::Unknown(text),
            None => match text.parse() {
                Ok(selector) => Self::Plugin(selector),
                Err(_) => Self::Unknown(text),
            },
        }
    }
}

impl From<Conflict> for String {
    fn from(conflict: Conflict) -> String {
        conflict.to_string()
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plugin(selector) => selector.fmt(f),
            Self::Kind(name) => write!(f, "kind:{name}"),
            Self::Capability(name) => write!(f, "capability:{name}"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl Activation {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Names that people type on command lines: no spaces, no control characters, no `:`.
pub(crate) fn is_word(word: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !word.is_empty() && word.len() <= 64 && word.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_written_as_they_are_read() {
        for text in ["sql", "sql@^2", "sql@>=1, <3", "kind:ml_platform", "capability:gpu"] {
            let conflict: Conflict = text.parse().unwrap();
            assert_eq!(conflict.to_string(), text);
        }
        for bad in ["", "SQL", "sql@", "sql@one", "kind:", "kind:a b", "group:x", "sql:2"] {
            let error = bad.parse::<Conflict>().unwrap_err();
            assert!(error.to_string().contains("is no conflict"), "{bad}");
        }
    }

    #[test]
    fn a_later_interfaces_conflict_is_kept_and_excludes_nothing() {
        let read: Vec<Conflict> = serde_json::from_str(r#"["group:x", "sql@^1"]"#).unwrap();
        assert_eq!(read[0], Conflict::Unknown("group:x".into()));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["group:x","sql@^1"]"#);
    }

    #[test]
    fn a_range_takes_no_prerelease_that_it_does_not_name() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let selector = |text: &str| text.parse::<Selector>().unwrap();
        let id: PluginId = "sql".parse().unwrap();
        assert!(selector("sql").has(&id, &version("2.0.0-rc.1")));
        assert!(!selector("sql@^1").has(&id, &version("1.3.0-rc.1")));
        assert!(selector("sql@>=1.3.0-rc.1").has(&id, &version("1.3.0-rc.1")));
        assert!(!selector("sql@^1").has(&"kv".parse().unwrap(), &version("1.0.0")));
    }
}
