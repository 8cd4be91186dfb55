//! What goes wrong with a database, by what it means for a registry.

use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use rusqlite::ErrorCode;

use super::opening::COMPANIONS;
use crate::RegistryError;
use crate::error::io_error;
use crate::place::{folder_of, with_suffix};

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// SQLite said so.
    Sqlite(rusqlite::Error),
    /// A row is not what was written into it.
    Unreadable(String),
}

/// What follows from it.
pub(super) enum Consequence {
    /// The database is to be set aside.
    Damaged(String),
    /// The caller is told.
    Failed(RegistryError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Trouble {
    /// Only what SQLite itself calls damage, and content that was not written so, is
    /// damage. A disk that is full, or a file that may not be written, is not.
    pub(super) fn judge(
        self,
        operation: &'static str,
        path: &Path,
        patience: Duration,
    ) -> Consequence {
        use ErrorCode as Code;
        use rusqlite::Error;
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Unreadable(what) => return Consequence::Damaged(what),
        };
        let code = error.sqlite_error_code();
        let odd_value = matches!(
            error,
            Error::FromSqlConversionFailure(..)
                | Error::InvalidColumnType(..)
                | Error::IntegralValueOutOfRange(..)
        );
        if odd_value || matches!(code, Some(Code::NotADatabase | Code::DatabaseCorrupt)) {
            return Consequence::Damaged(error.to_string());
        }
        let path = path.to_owned();
        Consequence::Failed(match code {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                RegistryError::Busy { operation, path, waited: patience }
            }
            _ if is_full(&error) => RegistryError::Full { operation, path, source: error.into() },
            Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => {
                // SQLite does not say which file it was, and why.
                match refused(&path) {
                    Some((path, reason)) => io_error(operation, &path)(reason.into()),
                    None if code == Some(Code::ReadOnly) => {
                        RegistryError::ReadOnly { operation, path, source: error.into() }
                    }
                    None => RegistryError::Database { operation, path, source: error.into() },
                }
            }
            _ => RegistryError::Database { operation, path, source: error.into() },
        })
    }
}

/// Also where there is no room for the index of the log.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|it| {
        it.code == ErrorCode::DiskFull || it.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    })
}

/// Which of the files that SQLite writes to this user may not, and why not.
fn refused(path: &Path) -> Option<(std::path::PathBuf, nix::Error)> {
    let files = [folder_of(path).to_owned(), path.to_owned()].into_iter();
    let mut files = files.chain(COMPANIONS.map(|suffix| with_suffix(path, suffix)));
    files.find_map(|file| match access(&file, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) | Err(nix::Error::ENOENT) => None,
        Err(reason) => Some((file, reason)),
    })
}
