//! States on disk, for plugins that ask for it (`[state] persist = true`): so that
//! a host that was killed begins with what was saved last.
//!
//! A file is written aside, synced, and renamed, and the folder is synced: at any
//! moment there is the one before or the new one, whole. When a save has
//! returned, it is on the disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use plugbay_interface::abi::SavedState;
use plugbay_interface::abi::abi_stable::std_types::RVec;
use plugbay_interface::manifest::{InvalidPluginId, PluginId};
use serde::{Deserialize, Serialize};

use crate::error::{Explain, printable};
use crate::handover::HandoverError;
use crate::platform;

/// The states of one data folder.
#[derive(Debug)]
pub(crate) struct Persisted {
    dir: PathBuf,
}

/// Why a state could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// It cannot be read.
    #[error("the kept state cannot be read: {}", printable(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("the kept state is damaged ({what}): {}", printable(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// It cannot be written.
    #[error("the state cannot be kept in {}", printable(.path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Explain for PersistError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "PB1201",
            Self::Damaged { .. } => "PB1202",
            Self::Write { .. } => "PB1203",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Read { path, .. } => format!("see who may read it: ls -l {}", printable(path)),
            Self::Damaged { path, .. } => format!(
                "somebody else has changed it; put a copy back, or begin without state by moving \
                 it away: {}",
                printable(path)
            ),
            Self::Write { .. } => "make room there, or see who may write to it".into(),
        }
    }
}

/// Why a state was not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The text is no id.
    #[error(transparent)]
    Id(#[from] InvalidPluginId),
    /// It does not serve.
    #[error("the plugin `{plugin}` is not active")]
    NotActive {
        /// The plugin.
        plugin: PluginId,
    },
    /// It does not ask for its state to be kept.
    #[error("the plugin `{plugin}` does not ask for its state to be kept on disk")]
    NotAsked {
        /// The plugin.
        plugin: PluginId,
    },
    /// It did not give its state.
    #[error("the plugin `{plugin}` did not give its state: {error}")]
    State {
        /// The plugin.
        plugin: PluginId,
        /// Why not.
        error: HandoverError,
    },
    /// It could not be kept.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

impl Explain for SaveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id(_) => "PB0901",
            Self::NotActive { .. } => "PB1204",
            Self::NotAsked { .. } => "PB1205",
            Self::State { error, .. } => error.code(),
            Self::Persist(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Id(_) | Self::NotActive { .. } => "see what is active: host-app list".into(),
            Self::NotAsked { .. } => {
                "its plugin.toml would say so: [state] version = 1, persist = true".into()
            }
            Self::State { error, .. } => error.hint(),
            Self::Persist(error) => error.hint(),
        }
    }
}

/// The first line of the file; the bytes follow.
#[derive(Serialize, Deserialize)]
struct Header {
    plugin: PluginId,
    state_version: u32,
    bytes: u64,
    blake3: String,
    /// What later interfaces add.
    more: String,
}

impl Persisted {
    /// Those below a host's data folder. A plugin's id begins with a letter, so
    /// the name is nobody's.
    pub(crate) fn below(data_dir: &Path) -> Self {
        Self { dir: data_dir.join(".state") }
    }

    fn file(&self, id: &PluginId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    /// The state that was written last, if there is one.
    pub(crate) fn read(&self, id: &PluginId) -> Result<Option<SavedState>, PersistError> {
        let path = self.file(id);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PersistError::Read { path, source }),
        };
        let damaged = |what: &str| PersistError::Damaged { path: path.clone(), what: what.into() };
        let end = content.iter().position(|byte| *byte == b'\n');
        let (header, bytes) = end
            .and_then(|end| content.split_at_checked(end + 1))
            .ok_or_else(|| damaged("no header"))?;
        let header: Header =
            serde_json::from_slice(header).map_err(|error| damaged(&error.to_string()))?;
        if header.plugin != *id {
            return Err(damaged("it is another plugin's"));
        }
        if header.bytes != bytes.len() as u64 {
            return Err(damaged("its length"));
        }
        if header.blake3 != blake3::hash(bytes).to_hex().as_str() {
            return Err(damaged("its checksum"));
        }
        Ok(Some(SavedState {
            version: header.state_version,
            bytes: RVec::from(bytes.to_vec()),
            more: header.more.into(),
        }))
    }

    /// Keeps a state, or that there is none. It is on the disk when this returns.
    pub(crate) fn write(
        &self,
        id: &PluginId,
        state: Option<&SavedState>,
    ) -> Result<(), PersistError> {
        let path = self.file(id);
        let written = match state {
            Some(state) => self.put(id, state, &path),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        written.map_err(|source| PersistError::Write { path, source })
    }

    fn put(&self, id: &PluginId, state: &SavedState, path: &Path) -> io::Result<()> {
        platform::make_private_dir(&self.dir)?;
        let header = Header {
            plugin: id.clone(),
            state_version: state.version,
            bytes: state.bytes.len() as u64,
            blake3: blake3::hash(&state.bytes).to_hex().to_string(),
            more: state.more.to_string(),
        };
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(&header)?)?;
        file.write_all(b"\n")?;
        file.write_all(&state.bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()
    }
}
