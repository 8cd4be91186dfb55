//! Private copies: what was verified is what is loaded.
//!
//! A library is never loaded from the folder that users write to: overwriting a
//! mapped file in place ends the process, and the C library takes a path, a
//! link or an inode that it knows for the library that it has already loaded.
//! So each generation has a file of its own, with a name that this process never used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plugbay_interface::manifest::Manifest;

use crate::error::printable;
use crate::workspace::Workspace;
use crate::{image, platform};

/// No copy could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    #[error("the file has more than {found} bytes")]
    Large { found: u64 },
    #[error("no private copy can be made in {}", printable(.dir))]
    Write { dir: PathBuf, source: io::Error },
}

/// A copy that was not looked at yet, mapped for looking.
#[derive(Debug)]
pub(crate) struct Draft {
    snapshot: Snapshot,
    bytes: platform::Bytes,
}

/// One copy. Its file is removed with it, unless it is kept or left for the next host.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    hash: blake3::Hash,
    number: u64,
    stays: bool,
    /// Whether it was there before, and nobody has made use of it since.
    is_spare: bool,
    /// The folder must not go before the copy.
    workspace: Workspace,
}

impl CopyError {
    /// The folder that could not be written to.
    pub(crate) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Write { dir, .. } => Some(dir),
            _ => None,
        }
    }

    /// Whether there was no room for it.
    pub(crate) fn is_want_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Write { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

impl Draft {
    pub(crate) fn new(snapshot: Snapshot, bytes: platform::Bytes) -> Self {
        Self { snapshot, bytes }
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hashes it and gives it the name that debuggers and profilers show.
    pub(crate) fn named(self, manifest: &Manifest) -> Result<Snapshot, CopyError> {
        let Self { mut snapshot, bytes } = self;
        snapshot.hash = blake3::hash(&bytes);
        let Manifest { id, version, .. } = manifest;
        let (dir, number) = (snapshot.workspace.dir(), snapshot.number);
        let path = dir.join(format!("{id}-{version}-{number}.{}", platform::LIBRARY_EXTENSION));
        // One that was left has its name.
        if path != snapshot.path {
            fs::rename(&snapshot.path, &path)
                .map_err(|source| CopyError::Write { dir: dir.to_owned(), source })?;
            snapshot.path = path;
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    /// A file in a workspace that nobody else has.
    pub(crate) fn new(path: PathBuf, number: u64, workspace: Workspace) -> Self {
        let hash = blake3::Hash::from_bytes([0; 32]);
        Self { path, hash, number, stays: false, is_spare: false, workspace }
    }

    /// One that was there before. Where its file is refused after all, for what stands beside
    /// it or as somebody writes to it, it is still good for the next look.
    pub(crate) fn of_spare(path: PathBuf, number: u64, workspace: Workspace) -> Self {
        let mut spare = Self::new(path, number, workspace);
        spare.is_spare = true;
        spare
    }

    /// What it is a copy of was verified.
    pub(crate) fn used(mut self) -> Self {
        self.is_spare = false;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the library asks the dynamic linker never to be unmapped.
    pub(crate) fn is_never_unmapped(&self) -> bool {
        fs::read(&self.path).is_ok_and(|library| image::is_never_unmapped(&library))
    }

    pub(crate) fn hash(&self) -> blake3::Hash {
        self.hash
    }

    /// Leaves the file: the library is still mapped from it.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.stays = true;
        self.workspace.stays_mapped();
        self.path.clone()
    }

    /// Leaves the file for the next look at one with the same bytes.
    pub(crate) fn set_aside(mut self) {
        self.stays = true;
        self.workspace.set_aside(self.path.clone(), self.number);
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        if self.is_spare {
            self.workspace.set_aside(self.path.clone(), self.number);
        } else if !self.workspace.leaves_copies() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
