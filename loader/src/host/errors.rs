use std::path::PathBuf;
use std::sync::Arc;

use plugbay_interface::manifest::{PluginId, Selector};
use semver::Version;

use crate::error::{Explain, printable};
use crate::registry::RegistryError;
use crate::report::Refusal;
use crate::seat::InvalidName;

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was stopped; make a new one.
    #[error("this host was stopped")]
    Stopped,
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        "PB0904"
    }

    fn hint(&self) -> String {
        "build a new host".into()
    }
}

/// Why a single plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadPluginError {
    /// The text names no plugin.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The plugin is there, in other versions than those that shall be enabled.
    #[error("no version in the plugins folders is {wanted}: {}", words(.found))]
    NoVersion {
        /// What shall be enabled.
        wanted: Selector,
        /// What there is.
        found: Vec<Version>,
    },
    /// The plugin serves, and that it is enabled cannot be kept.
    #[error("the plugin `{plugin}` is enabled until this host ends, and not for the next one")]
    NotKept {
        /// The plugin.
        plugin: PluginId,
        /// Why not.
        source: RegistryError,
    },
    /// No file in the folders gives this id.
    #[error("no file in the plugins folders is the plugin `{plugin}`: {}", list(.folders))]
    NotFound {
        /// The id.
        plugin: PluginId,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// It serves already.
    #[error("the plugin `{plugin}` is active already")]
    AlreadyActive {
        /// The plugin.
        plugin: PluginId,
    },
    /// It was refused.
    #[error("{}", .0.reason())]
    Refused(Arc<Refusal>),
    /// The host was stopped.
    #[error(transparent)]
    Stopped(#[from] StartError),
}

impl Explain for LoadPluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "PB0901",
            Self::NoVersion { .. } => "PB0910",
            Self::NotKept { .. } => "PB0911",
            Self::NotFound { .. } => "PB0905",
            Self::AlreadyActive { .. } => "PB0906",
            Self::Refused(refusal) => refusal.error.code(),
            Self::Stopped(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Name(_) => "see the ids: host-app list".into(),
            Self::NoVersion { wanted, .. } => {
                format!(
                    "see what there is, and why it does not run: host-app plan --why {}",
                    wanted.id
                )
            }
            Self::NotKept { source, .. } => source.hint(),
            Self::NotFound { .. } => {
                "put its library there; see what is there: host-app check DIR".into()
            }
            Self::AlreadyActive { plugin } => {
                format!("to load it anew: host-app reload {plugin}")
            }
            Self::Refused(refusal) => refusal.error.hint(),
            Self::Stopped(error) => error.hint(),
        }
    }
}

fn words(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| printable(folder)).collect::<Vec<_>>().join(", ")
}
