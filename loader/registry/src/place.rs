use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::RegistryError;
use crate::error::io_error;

/// Where a registry's file is, or will be: in a folder that was there when this was made,
/// and nothing else than a file was at its path.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: PathBuf,
}

/// Which file this is, whatever it is called. Files that are there at the same time have
/// different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Place {
    /// Looks at the path. A symbolic link is followed, so that the file that it leads to is
    /// replaced and not the link.
    pub(crate) fn at(path: &Path) -> Result<Self, RegistryError> {
        const OPERATION: &str = "open";
        let absolute = std::path::absolute(path).map_err(io_error(OPERATION, path))?;
        if absolute.file_name().is_none() {
            return Err(RegistryError::NotAFile { path: absolute });
        }
        match fs::metadata(folder_of(&absolute)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RegistryError::NoFolder { operation: OPERATION, path: absolute });
            }
            Err(error) => return Err(io_error(OPERATION, folder_of(&absolute))(error)),
        }
        let file = match absolute.is_symlink() {
            true => fs::canonicalize(&absolute).map_err(io_error(OPERATION, &absolute))?,
            false => absolute,
        };
        match fs::metadata(&file) {
            Ok(metadata) if metadata.is_file() => Ok(Self { file }),
            Ok(_) => Err(RegistryError::NotAFile { path: file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file }),
            Err(error) => Err(io_error(OPERATION, &file)(error)),
        }
    }

    /// The registry's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A file next to it, called as it is with something behind.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.file, suffix)
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// How the names of files begin that are not whole yet.
    pub(crate) fn unfinished(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(self.file.file_name().unwrap_or_default());
        prefix.push(".unfinished-");
        prefix
    }
}

impl Identity {
    /// Of the file at a path; none, where there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The folder that a path is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path with something behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(path);
    path.push(suffix);
    path.into()
}
