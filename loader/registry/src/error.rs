use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::escaped_path::printable;

/// Why a registry did not do what it was asked. What it had acknowledged before is as
/// it was, except where [`is_begun_anew`](Self::is_begun_anew) says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The folder is not there.
    #[error("cannot {operation} the registry, as there is no such folder: {}", folder(.path))]
    NoFolder {
        /// What was being done.
        operation: &'static str,
        /// The registry's file.
        path: PathBuf,
    },
    /// Something else than a file lies at the path.
    #[error("the registry is not a file: {}", printable(.path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// This user may not.
    #[error("no permission to {operation} the registry: {}", printable(.path))]
    NotPermitted {
        /// What was being done.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system, or the file, is only to be read.
    #[error("cannot {operation} the registry, as it is on a read-only disk: {}", printable(.path))]
    ReadOnly {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system or the database said.
        source: BoxedError,
    },
    /// There is no room.
    #[error("cannot {operation} the registry, as the disk is full: {}", printable(.path))]
    Full {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system or the database said.
        source: BoxedError,
    },
    /// Another process has it locked.
    #[error(
        "cannot {operation} the registry: another process has had it locked for {waited:?}: {}",
        printable(.path)
    )]
    Busy {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// For how long this one waited.
        waited: Duration,
    },
    /// A later version wrote it.
    #[error(
        "the registry is of version {found}, and this program knows versions 1 to {known}: {}",
        printable(.path)
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that it has.
        found: u64,
        /// The latest version that is known here.
        known: u64,
    },
    /// It is somebody else's database. It was not touched.
    #[error("the database is not a registry: {}", printable(.path))]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It was found damaged while it was in use. Nothing was done but this: the damaged
    /// file was set aside, and an empty one is begun.
    #[error("the registry was damaged ({what}), and a new one is begun: {}", printable(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// Where the damaged file lies now.
        set_aside: PathBuf,
    },
    /// Somebody removed it or put another one in its place while it was in use: another
    /// host that found it damaged, or a person. Nothing was done.
    #[error("another registry lies where the one in use was: {}", printable(.path))]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, and cannot be set aside.
    #[error("the registry is damaged ({what}) and cannot be set aside: {}", printable(.path))]
    NotSetAside {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not known when a process was started.
    #[error("it is not known when the process {pid} was started")]
    Process {
        /// The process.
        pid: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system failed in another way.
    #[error("cannot {operation} the registry: {}", printable(.path))]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The database failed in another way.
    #[error("cannot {operation} the registry: {}", printable(.path))]
    Database {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: BoxedError,
    },
}

/// An error of the operating system or of the database.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl RegistryError {
    /// The stable code, for example `PB1604`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "PB1601",
            Self::NotAFile { .. } => "PB1602",
            Self::NotPermitted { .. } => "PB1603",
            Self::ReadOnly { .. } => "PB1604",
            Self::Full { .. } => "PB1605",
            Self::Busy { .. } => "PB1606",
            Self::Newer { .. } => "PB1607",
            Self::Foreign { .. } => "PB1608",
            Self::Damaged { .. } => "PB1609",
            Self::Replaced { .. } => "PB1610",
            Self::NotSetAside { .. } => "PB1611",
            Self::Process { .. } => "PB1612",
            Self::Io { .. } => "PB1613",
            Self::Database { .. } => "PB1614",
        }
    }

    /// Whether the registry works and does not know any more what it acknowledged: the
    /// host records what it knows once more, and does then what failed.
    pub fn is_begun_anew(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Replaced { .. })
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::NoFolder { .. } => "make the folder, or correct the path".into(),
            Self::NotAFile { path } => {
                format!("move it away, or name another file than {}", printable(path))
            }
            Self::NotPermitted { path, .. } => {
                format!("see whose it is and who may write to it: ls -ld {}", printable(path))
            }
            Self::ReadOnly { path, .. } => {
                format!("see how it is mounted: findmnt -T {}", printable(path))
            }
            Self::Full { path, .. } => {
                format!("make room there: df -h {}", folder(path))
            }
            Self::Busy { path, .. } => {
                format!("see who has it open, and end or continue it: fuser -v {}", printable(path))
            }
            Self::Newer { path, .. } => format!(
                "use the program that wrote it, or begin another one by moving it away: {}",
                printable(path)
            ),
            Self::Foreign { .. } => "name another file for the registry".into(),
            Self::Damaged { set_aside, .. } => format!(
                "start the host anew, so that it records what is in the plugins folder; the \
                 damaged file is kept: {}",
                printable(set_aside)
            ),
            Self::Replaced { .. } => {
                "start the host anew, so that it records what is in the plugins folder".into()
            }
            Self::NotSetAside { path, .. } => format!(
                "move it away, and see who may write to the folder: ls -ld {}",
                folder(path)
            ),
            Self::Process { .. } => "mount /proc, so that this user sees its own processes".into(),
            Self::Io { path, .. } | Self::Database { path, .. } => {
                format!("see the disk's own messages (dmesg), and: ls -ld {}", printable(path))
            }
        }
    }
}

/// For `map_err`: an error of the operating system, by what it means here.
pub(crate) fn io_error(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> RegistryError {
    use io::ErrorKind as Kind;
    let path = path.to_owned();
    move |source| match source.kind() {
        Kind::PermissionDenied => RegistryError::NotPermitted { operation, path, source },
        Kind::ReadOnlyFilesystem => {
            RegistryError::ReadOnly { operation, path, source: source.into() }
        }
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            RegistryError::Full { operation, path, source: source.into() }
        }
        _ => RegistryError::Io { operation, path, source },
    }
}

fn folder(path: &Path) -> String {
    printable(crate::place::folder_of(path))
}
