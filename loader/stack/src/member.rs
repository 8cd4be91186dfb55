use std::collections::BTreeSet;
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

/// What a plugin may be called by, behind its id.
const ENDINGS: [&str; 2] = ["-plugin", "_plugin"];

impl MemberName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The plugins that it may mean, the first one first: `mlflow-plugin`, else `mlflow`.
    /// None where it is no plugin's id.
    pub fn ids(&self) -> Vec<PluginId> {
        let short = ENDINGS.iter().find_map(|end| self.0.strip_suffix(end));
        let texts = [Some(self.0.as_str()), short];
        texts.into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
    }

    /// What two names are in common: the name itself, or the plugin that each of them may
    /// mean, as `mlflow` of `mlflow-plugin` and `mlflow`. None where no plugin is both.
    ///
    /// Of the text alone, and not of what there is: else one stack would have one member or
    /// two, and its configuration be laid together in another order, whenever a file comes
    /// to a plugins folder or goes. So where `mlflow` and `mlflow-plugin` are two plugins, a
    /// stack has one of them as a member; the other one may be among its `dependencies`.
    pub(crate) fn in_common(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(self.clone());
        }
        let others = other.ids();
        self.ids().into_iter().find(|id| others.contains(id)).map(Self::from)
    }

    /// All names that have something in common with it, itself one of them.
    pub(crate) fn alike(&self) -> BTreeSet<Self> {
        let ids = self.ids().into_iter();
        let longer = |id: PluginId| ENDINGS.map(|end| format!("{id}{end}").parse().ok());
        let others = ids.flat_map(|id| longer(id.clone()).into_iter().flatten().chain([id.into()]));
        others.chain([self.clone()]).collect()
    }

    /// What an error says besides where this one was named before another one that may mean
    /// the same plugin; nothing where they are spelled alike.
    pub(crate) fn spelled_beside(&self, other: &Self) -> String {
        if self == other { String::new() } else { format!(": `{self}` may mean the same plugin") }
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
