use std::io;
use std::path::PathBuf;

use plugbay_interface::manifest::InvalidPluginId;

use crate::error::{Explain, printable};
use crate::registry::RegistryError;
use crate::seat::InvalidName;

/// Why no host could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Something that should be a plugin's id is none.
    #[error(transparent)]
    Id(#[from] InvalidPluginId),
    /// Something that should name a plugin names none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A host's name is the name of a folder.
    #[error("`{}` is no name for a host", .name.escape_debug())]
    HostName {
        /// What was given.
        name: String,
    },
    /// This user has no home, so there are no default folders.
    #[error("there is no home folder, so cache and data have no place")]
    NoHome,
    /// The folder for private copies cannot be made.
    #[error("the cache folder {} cannot be used", printable(.path))]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Plugins are told their data folder as text, and this one's path is none.
    #[error("the data folder's path is not valid UTF-8: {}", printable(.path))]
    DataPath {
        /// The folder.
        path: PathBuf,
    },
    /// The registry cannot be read.
    #[error("it is not known what was disabled, and what took its host down")]
    Registry {
        /// What it said.
        source: RegistryError,
    },
}

impl Explain for BuildError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id(_) | Self::Name(_) => "PB0901",
            Self::NoHome => "PB0902",
            Self::Cache { .. } => "PB0903",
            Self::DataPath { .. } => "PB0907",
            Self::HostName { .. } => "PB0908",
            Self::Registry { source } => source.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Id(_) | Self::Name(_) => "correct the id in the configuration".into(),
            Self::HostName { .. } => "use 1 to 64 of A-Z, a-z, 0-9, `.`, `-` and `_`, a letter or \
                                  digit first"
                .into(),
            Self::NoHome => "set HOME, or XDG_CACHE_HOME and XDG_DATA_HOME".into(),
            Self::Cache { .. } => {
                "make room there, see who may write to it, or name another with XDG_CACHE_HOME"
                    .into()
            }
            Self::DataPath { .. } => "name another with XDG_DATA_HOME".into(),
            Self::Registry { source } => source.hint(),
        }
    }
}
