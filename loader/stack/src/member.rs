use std::fmt;
use std::str::FromStr;

use plugbay_manifest::{PluginId, Selector};
use semver::VersionReq;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a stack calls a plugin: its id, the id with `-plugin` or `_plugin` behind it, or,
/// of a component, any text of 1 to 64 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberName(String);

/// A text that is no [`MemberName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no name: 1 to 64 characters on one line")]
pub struct InvalidName;

/// A plugin that shall run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The versions that will do.
    pub version: VersionReq,
    /// What it has to be, where the stack says so.
    pub kind: Option<String>,
    /// Whether the stack is whole without it.
    pub optional: bool,
    /// Whether it may run. One that may not stands here since a stack is nearer that says so.
    pub enabled: bool,
    /// What it is configured with.
    pub config: Configuration,
    /// What has to run as well where it does.
    pub dependencies: Vec<Dependency>,
    /// Whether it was named as a component only.
    pub component: bool,
}

/// Another plugin that has to run as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Which one.
    pub name: MemberName,
    /// The versions that will do.
    pub version: VersionReq,
}

/// A kind of which some plugin shall run, whichever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyOf {
    /// Whether the stack is whole without.
    pub optional: bool,
}

/// What a plugin is configured with, secrets as the places where they are. `Debug` shows
/// the keys only, as somebody may have written a secret where it does not belong.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Configuration(pub Map<String, Value>);

impl MemberName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The plugins that it may mean, the first one first: `mlflow-plugin`, else `mlflow`.
    /// None where it is no plugin's id.
    pub fn ids(&self) -> Vec<PluginId> {
        let short = ["-plugin", "_plugin"].iter().find_map(|end| self.0.strip_suffix(end));
        let texts = [Some(self.0.as_str()), short];
        texts.into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
    }
}

impl TryFrom<String> for MemberName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let good = |c: char| !plugbay_config::shown::moves_the_cursor(c);
        let length = text.chars().count();
        let is_name = (1..=64).contains(&length) && text.chars().all(good) && text.trim() == text;
        if is_name { Ok(Self(text)) } else { Err(InvalidName) }
    }
}

impl FromStr for MemberName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

impl From<MemberName> for String {
    fn from(name: MemberName) -> String {
        name.0
    }
}

impl From<PluginId> for MemberName {
    fn from(id: PluginId) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Selector> for Dependency {
    fn from(Selector { id, version }: Selector) -> Self {
        Self { name: id.into(), version }
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
