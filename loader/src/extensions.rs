//! Tables of the host's own configuration that plugins register: `[host_config.NAME]` in a
//! plugin's `plugin.toml`, `[NAME]` at the top of the host's configuration.

use std::collections::{BTreeMap, BTreeSet};

use plugbay_config::nearest;
use plugbay_config::schema::Unsettled;
use plugbay_interface::manifest::{Manifest, PluginId};
use serde_json::Value;

use crate::error::{Explain, shown_word};
use crate::resolve::Plan;

/// What a host's configuration has beyond the host's own keys, and what those are.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    values: BTreeMap<String, Value>,
    reserved: BTreeSet<String>,
    owners: BTreeMap<String, Owner>,
}

/// Who has a table: of several plugins that register it, one.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) plugin: PluginId,
    /// Whether it serves with it. Else it is the first of those that would like to.
    pub(crate) serves: bool,
}

/// Why a plugin does not get a table of the host's configuration that it registers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// What stands in the table does not fit what the plugin registers.
    #[error("the table `{name}` of the host's configuration: {problems}")]
    Unsettled {
        /// The table.
        name: String,
        /// What is wrong with it.
        problems: Box<Unsettled>,
    },
    /// Another plugin has registered a table of this name: it serves with it, or goes first by
    /// its id.
    #[error(
        "the table `{name}` of the host's configuration is registered by two plugins: `{first}` \
         has it, and `{plugin}` wants it"
    )]
    Taken {
        /// The table.
        name: String,
        /// Whose it is.
        first: PluginId,
        /// Who does not get it.
        plugin: PluginId,
    },
    /// The host has a key of this name.
    #[error("the plugin `{plugin}` registers `{name}`, which is a key of the host's own")]
    Reserved {
        /// The table.
        name: String,
        /// Who does not get it.
        plugin: PluginId,
    },
}

impl ExtensionError {
    /// The table.
    pub fn name(&self) -> &str {
        match self {
            Self::Unsettled { name, .. }
            | Self::Taken { name, .. }
            | Self::Reserved { name, .. } => name,
        }
    }

    /// What is wrong with what stands in it.
    pub fn unsettled(&self) -> Option<&Unsettled> {
        match self {
            Self::Unsettled { problems, .. } => Some(problems),
            _ => None,
        }
    }
}

impl Explain for ExtensionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unsettled { problems, .. } => problems.code(),
            Self::Taken { .. } => "PB1531",
            Self::Reserved { .. } => "PB1532",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Unsettled { problems, .. } => problems.hint(),
            Self::Taken { first, plugin, .. } => format!(
                "take the library of one of the two out of the folders (when `{first}` ends, \
                 `{plugin}` gets it); or its author calls the table otherwise: by its id, \
                 `{plugin}`, `{first}` would not be in the way"
            ),
            Self::Reserved { plugin, .. } => {
                format!("its author calls the table otherwise, for example `{plugin}`")
            }
        }
    }
}

impl Extensions {
    /// These tables, by name.
    pub fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, reserved: BTreeSet::new(), owners: BTreeMap::new() }
    }

    /// The same, where no plugin may register these names.
    #[must_use]
    pub fn reserving<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reserved.extend(names.into_iter().map(Into::into));
        self
    }

    /// The same, where this is what would run, and nobody serves yet: of several plugins that
    /// register one table, the smallest id has it, and one that another one of them needs
    /// goes before that.
    #[must_use]
    pub fn as_decided(self, plan: &Plan) -> Self {
        let first = plan.first_of_tables().into_iter();
        let owners = first.map(|(name, plugin)| (name, Owner { plugin, serves: false }));
        self.owned(owners.collect())
    }

    /// The same, with these owners.
    pub(crate) fn owned(mut self, owners: BTreeMap<String, Owner>) -> Self {
        self.owners = owners;
        self
    }

    /// Whether there is no such table.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Gives a table or takes it out. Gives what was there.
    pub(crate) fn set(&mut self, name: &str, value: Option<Value>) -> Option<Value> {
        match value {
            Some(value) => self.values.insert(name.to_owned(), value),
            None => self.values.remove(name),
        }
    }

    /// Whether all that a plugin registers is its own: no key of the host's, and no table of
    /// another plugin's.
    pub(crate) fn may_register(&self, manifest: &Manifest) -> Result<(), ExtensionError> {
        for name in manifest.host_config.keys() {
            let (name, plugin) = (name.clone(), manifest.id.clone());
            if self.reserved.contains(&name) {
                return Err(ExtensionError::Reserved { name, plugin });
            }
            if let Some(first) = self.owner_before(&name, &plugin) {
                return Err(ExtensionError::Taken { name, first: first.clone(), plugin });
            }
        }
        Ok(())
    }

    /// The plugin that has a table which another one would like to have.
    pub(crate) fn owner_before(&self, name: &str, plugin: &PluginId) -> Option<&PluginId> {
        let owner = self.owners.get(name).filter(|owner| owner.plugin != *plugin)?;
        (owner.serves || owner.plugin < *plugin).then_some(&owner.plugin)
    }

    /// The tables that nobody registers, each with the name that may have been meant.
    pub(crate) fn strangers<'a>(
        &self,
        registered: &'a BTreeSet<String>,
    ) -> Vec<(String, Option<&'a str>)> {
        let unknown = self.values.keys().filter(|name| !registered.contains(*name));
        unknown
            .map(|name| (name.clone(), nearest(name, registered.iter().map(String::as_str))))
            .collect()
    }
}

/// What is told of a table that nobody registers.
pub(crate) fn stranger(name: &str, meant: Option<&str>) -> String {
    let meant = meant.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
    format!(
        "no plugin in the folders registers the table `{}` of the host's configuration{meant}",
        shown_word(name)
    )
}

/// The code of that.
pub(crate) const STRANGER: &str = "PB1533";
