//! Private copies: what was verified is what is loaded.
//!
//! A library is never loaded from the folder that users write to: overwriting a
//! mapped file in place ends the process, and the C library takes a path, a
//! link or an inode that it knows for the library that it has already loaded.
//! So each copy is a new file with a name that was never used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plugbay_interface::manifest::Manifest;

use crate::error::printable;
use crate::{image, platform};

const LOCK: &str = "lock";

/// A folder of this process's own for copies, removed when the last of them is.
#[derive(Debug, Clone)]
pub struct Workspace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    next: AtomicU64,
    /// Held as long as this process lives: how others know that it does.
    _lock: File,
}

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

impl CopyError {
    /// The folder that could not be written to.
    pub(crate) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Write { dir, .. } => Some(dir),
            _ => None,
        }
    }
}

/// A copy that was not looked at yet, mapped for looking.
#[derive(Debug)]
pub(crate) struct Draft {
    snapshot: Snapshot,
    bytes: platform::Bytes,
}

/// One copy. Its file is removed with it, unless it is kept.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    hash: blake3::Hash,
    number: u64,
    kept: bool,
    /// The folder must not go before the copy.
    workspace: Workspace,
}

impl Workspace {
    /// Makes a new folder in `parent` (mode 0700), and removes those that hosts
    /// which were killed have left there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or locked.
    pub fn new(parent: &Path) -> io::Result<Self> {
        platform::make_private_dir(parent)?;
        // Without links, as the kernel shows what is mapped.
        let parent = &parent.canonicalize()?;
        // One at a time: a folder is not to be taken for abandoned between its
        // making and its locking.
        let _turn = take_turn(parent)?;
        remove_abandoned(parent);
        let prefix = format!("{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        let lock = platform::open_lock(&dir.path().join(LOCK))?;
        platform::try_lock(&lock)?;
        Ok(Self {
            inner: Arc::new(Inner { dir: dir.keep(), next: AtomicU64::new(1), _lock: lock }),
        })
    }

    /// How many folders in `parent` belong to hosts that were killed; the next
    /// host removes them.
    ///
    /// # Errors
    ///
    /// When `parent` is there and cannot be listed or locked.
    pub fn count_abandoned(parent: &Path) -> io::Result<usize> {
        if !parent.exists() {
            return Ok(0);
        }
        let _turn = take_turn(parent)?;
        Ok(abandoned(parent)?.len())
    }

    /// Copies a file whole, by the kernel, which shares the bytes where the file
    /// system can.
    pub(crate) fn copy(&self, mut file: &File, max_size: u64) -> Result<Draft, CopyError> {
        let dir = &self.inner.dir;
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let write = |source| CopyError::Write { dir: dir.clone(), source };
        // Removed again on every way out from here.
        let snapshot = Snapshot {
            path: dir.join(format!("{number}.draft")),
            hash: blake3::Hash::from_bytes([0; 32]),
            number,
            kept: false,
            workspace: self.clone(),
        };
        let mut copy = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&snapshot.path)
            .map_err(write)?;
        file.rewind().map_err(CopyError::Read)?;
        let length = io::copy(&mut file.take(max_size.saturating_add(1)), &mut copy)
            // A disk that is full and a file that cannot be read look alike
            // here; only a read of the file tells.
            .map_err(|error| match readable(file) {
                Ok(()) => write(error),
                Err(error) => CopyError::Read(error),
            })?;
        if length > max_size {
            return Err(CopyError::Large { found: max_size });
        }
        // SAFETY: the file was just made, in a folder that only this user may
        // enter, under a name that nobody knows; it is written no more.
        let bytes = unsafe { platform::Bytes::of(&copy) }.map_err(write)?;
        Ok(Draft { snapshot, bytes })
    }
}

impl Draft {
    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hashes it and gives it the name that debuggers and profilers show.
    pub(crate) fn named(self, manifest: &Manifest) -> Result<Snapshot, CopyError> {
        let Self { mut snapshot, bytes } = self;
        snapshot.hash = blake3::hash(&bytes);
        let Manifest { id, version, .. } = manifest;
        let (dir, number) = (&snapshot.workspace.inner.dir, snapshot.number);
        let path = dir.join(format!("{id}-{version}-{number}.{}", platform::LIBRARY_EXTENSION));
        fs::rename(&snapshot.path, &path)
            .map_err(|source| CopyError::Write { dir: dir.clone(), source })?;
        snapshot.path = path;
        Ok(snapshot)
    }
}

/// The lock on the folder of all workspaces; nobody holds it for long.
fn take_turn(parent: &Path) -> io::Result<File> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let path = parent.join(LOCK);
    let turn = platform::open_lock(&path)?;
    let begin = Instant::now();
    while !platform::try_lock(&turn)? {
        if begin.elapsed() > PATIENCE {
            let message = format!("another process holds the lock {}", printable(&path));
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(turn)
}

fn readable(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    file.read(&mut [0]).map(drop)
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Copies of pinned libraries stay, for debuggers, and the lock's file
        // with them: by it the next host knows the folder for abandoned.
        let empty = self.dir.read_dir().is_ok_and(|entries| entries.count() == 1);
        if empty {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Snapshot {
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
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_abandoned(parent: &Path) {
    for dir in abandoned(parent).unwrap_or_default() {
        let _ = fs::remove_dir_all(&dir);
    }
}

/// Whose lock can be had has nobody left to hold it.
fn abandoned(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = parent.read_dir()?;
    let dirs = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    // With the turn taken, one without a lock is one whose maker has died.
    let free = |dir: &PathBuf| match File::open(dir.join(LOCK)) {
        Ok(lock) => platform::try_lock(&lock).unwrap_or(false),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    Ok(dirs.filter(free).collect())
}
