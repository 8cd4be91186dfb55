//! States on disk, for plugins that ask for it (`[state] persist = true`): so that
//! a host that was killed begins with what was saved last.
//!
//! A file is written aside, synced, and renamed, and the folder is synced: at any
//! moment there is the one before or the new one, whole. When a save has
//! returned, it is on the disk.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use plugbay_interface::abi::SavedState;
use plugbay_interface::abi::abi_stable::std_types::RVec;
use plugbay_interface::manifest::PluginId;
use serde::{Deserialize, Serialize};

use crate::error::{Explain, printable};
use crate::handover::HandoverError;
use crate::platform;
use crate::seat::{InvalidName, Seat, Several};

/// The folder's name.
const STATES: &str = ".state";

/// The states of one data folder. A plugin's state is one host's, from its first
/// use until that host ends: two would overwrite each other's.
#[derive(Debug)]
pub(crate) struct Persisted {
    dir: PathBuf,
    /// A file for each state, locked by its host, with the number of its process.
    locks: PathBuf,
    /// Where states lay before hosts had names.
    earlier: Option<PathBuf>,
    claimed: Mutex<HashMap<Seat, Claim>>,
}

/// A lock that this host has until it is dropped.
#[derive(Debug)]
struct Claim {
    lock: File,
    /// Of a process that was forked from it the lock is not.
    process: u32,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // By name and not by closing: a process that is being started has the
        // descriptor, too, for a moment, and would keep the lock.
        if self.process == std::process::id() {
            let _ = self.lock.unlock();
        }
    }
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
    /// Another host has it.
    #[error("the kept state is in use by another host{}: {}", of_process(.process), printable(.path))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The number of that host's process, where it is known.
        process: Option<u32>,
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
            Self::InUse { .. } => "PB1206",
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
            Self::InUse { .. } => {
                "end that host, or give this one a name of its own: `name` in the \
                                   config file, HostBuilder::name"
                    .into()
            }
            Self::Write { .. } => "make room there, or see who may write to it".into(),
        }
    }
}

fn of_process(process: &Option<u32>) -> String {
    match process {
        Some(process) if *process == std::process::id() => " of this process".into(),
        Some(process) => format!(" (process {process})"),
        None => String::new(),
    }
}

/// Why a state was not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The text names no plugin.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It does not serve.
    #[error("the plugin `{plugin}` is not active")]
    NotActive {
        /// The plugin.
        plugin: PluginId,
    },
    /// Several versions of it do.
    #[error(transparent)]
    Several(#[from] Several),
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
            Self::Name(_) => "PB0901",
            Self::NotActive { .. } => "PB1204",
            Self::Several(error) => error.code(),
            Self::NotAsked { .. } => "PB1205",
            Self::State { error, .. } => error.code(),
            Self::Persist(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Name(_) | Self::NotActive { .. } => "see what is active: host-app list".into(),
            Self::Several(error) => error.hint(),
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
    /// The seat's name.
    plugin: String,
    state_version: u32,
    bytes: u64,
    blake3: String,
    /// What later interfaces add.
    more: String,
}

/// How the names of files begin that a state is written to before it is renamed: as
/// that of no state, and of no other plugin's.
fn aside(id: &Seat) -> String {
    format!(".{id}.")
}

impl Persisted {
    /// Those below a host's data folder. A plugin's id begins with a letter, so
    /// the names are nobody's.
    pub(crate) fn below(data_dir: &Path, earlier: Option<&Path>) -> Self {
        Self {
            dir: data_dir.join(STATES),
            locks: data_dir.join(".locks"),
            earlier: earlier.map(|dir| dir.join(STATES)),
            claimed: Mutex::default(),
        }
    }

    /// Makes sure that the state is this host's.
    fn claim(&self, id: &Seat) -> Result<(), PersistError> {
        let mut claimed = self.claimed.lock();
        if claimed.contains_key(id) {
            return Ok(());
        }
        let path = self.locks.join(id.as_str());
        let lock = platform::make_private_dir(&self.locks)
            .and_then(|()| platform::open_lock(&path))
            .and_then(|lock| Ok(platform::try_lock(&lock)?.then_some(lock)));
        match lock {
            Ok(Some(mut lock)) => {
                // For people: without it, the other one is not named.
                let process = std::process::id();
                let _ = lock.set_len(0).and_then(|()| write!(lock, "{process}"));
                claimed.insert(id.clone(), Claim { lock, process });
                self.remove_what_is_half_written(id);
                Ok(())
            }
            Ok(None) => {
                let process = fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
                Err(PersistError::InUse { path: self.file(id), process })
            }
            // Where nothing can be locked, mostly nothing can be written either, and
            // what is there can be read all the same.
            Err(error) => {
                log::warn!("{id}: its state cannot be locked: {}: {error}", path.display());
                Ok(())
            }
        }
    }

    /// Lets other hosts have the states, but those of these plugins.
    pub(crate) fn release_all_but(&self, kept: &[Seat]) {
        self.claimed.lock().retain(|id, _| kept.contains(id));
    }

    /// Lets other hosts have this one.
    pub(crate) fn release(&self, id: &Seat) {
        self.claimed.lock().remove(id);
    }

    /// What hosts that were killed have left beside a state that is this host's now.
    fn remove_what_is_half_written(&self, id: &Seat) {
        let aside = aside(id);
        for entry in self.dir.read_dir().into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(aside.as_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The state as it lay before hosts had names, for one that has kept none yet.
    fn earlier(&self, id: &Seat) -> Option<PathBuf> {
        let path = self.earlier.as_ref()?.join(id.as_str());
        (!self.dir.exists() && path.exists()).then_some(path)
    }

    fn file(&self, id: &Seat) -> PathBuf {
        self.dir.join(id.as_str())
    }

    /// The state that was written last, if there is one.
    pub(crate) fn read(&self, id: &Seat) -> Result<Option<SavedState>, PersistError> {
        self.claim(id)?;
        let path = self.earlier(id).unwrap_or_else(|| self.file(id));
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
        if header.plugin != id.as_str() {
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
    pub(crate) fn write(&self, id: &Seat, state: Option<&SavedState>) -> Result<(), PersistError> {
        self.claim(id)?;
        let path = self.file(id);
        let made = self.make_dir();
        let written = made.and_then(|()| match state {
            Some(state) => self.put(id, state, &path),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        });
        written.map_err(|source| PersistError::Write { path, source })
    }

    /// Makes the folder for states, with all that lay elsewhere before in it: from then
    /// on that is not this host's.
    fn make_dir(&self) -> io::Result<()> {
        if let Some(earlier) = &self.earlier
            && !self.dir.exists()
            && let Some(data_dir) = self.dir.parent()
            && let Ok(states) = earlier.read_dir()
        {
            platform::make_private_dir(data_dir)?;
            let aside = tempfile::Builder::new().prefix(STATES).tempdir_in(data_dir)?;
            for state in states {
                let state = state?;
                let name = state.file_name();
                let is_one = name.to_str().is_some_and(|name| name.parse::<PluginId>().is_ok());
                if is_one && state.file_type()?.is_file() {
                    let copy = aside.path().join(name);
                    fs::copy(state.path(), &copy)?;
                    File::open(copy)?.sync_all()?;
                }
            }
            File::open(aside.path())?.sync_all()?;
            match fs::rename(aside.path(), &self.dir) {
                Ok(()) => drop(aside.keep()),
                // Another host of this name has done it.
                Err(_) if self.dir.exists() => {}
                Err(error) => return Err(error),
            }
            File::open(data_dir)?.sync_all()?;
        }
        platform::make_private_dir(&self.dir)
    }

    fn put(&self, id: &Seat, state: &SavedState, path: &Path) -> io::Result<()> {
        let header = Header {
            plugin: id.to_string(),
            state_version: state.version,
            bytes: state.bytes.len() as u64,
            blake3: blake3::hash(&state.bytes).to_hex().to_string(),
            more: state.more.to_string(),
        };
        let mut file = tempfile::Builder::new().prefix(&aside(id)).tempfile_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(&header)?)?;
        file.write_all(b"\n")?;
        file.write_all(&state.bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()
    }
}
