//! The folder in which a host has its private copies of libraries.
//!
//! Copying is most of what a start costs, so a host that ends leaves its copies, and the
//! next one of that name takes over the folder with them. A copy from there is used where
//! it has the same bytes as the file, which is read for that as a whole: what lies there
//! saves writing, and is believed nothing.

mod left;
mod spares;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::left::Left;
use self::spares::{Spare, Spares, is_same};
use crate::error::printable;
use crate::snapshot::{CopyError, Draft, Snapshot};
use crate::{image, platform};

/// The file in each folder that is locked as long as somebody has the folder.
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
    /// Copies that nobody has.
    spares: Mutex<Spares>,
    /// Whether copies stay for the next host when nobody has them any more.
    leaves_copies: AtomicBool,
    /// Whether a library stays mapped from here.
    is_mapped: AtomicBool,
    /// Held as long as the folder is used: how others know that it is.
    lock: Option<File>,
}

impl Workspace {
    /// Makes a new folder in `parent` (mode 0700), and removes those that hosts
    /// which were killed have left there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or locked.
    pub fn new(parent: &Path) -> io::Result<Self> {
        Self::open(parent, None)
    }

    /// The same for a host, which goes on with what the last one of that name has left.
    pub(crate) fn of_host(parent: &Path, name: &str) -> io::Result<Self> {
        Self::open(parent, Some(name))
    }

    fn open(parent: &Path, host: Option<&str>) -> io::Result<Self> {
        platform::make_private_dir(parent)?;
        // Without links, as the kernel shows what is mapped.
        let parent = &parent.canonicalize()?;
        // One at a time: a folder is not to be taken for abandoned between its
        // making and its locking.
        let _turn = take_turn(parent)?;
        let of_before = left::tidy(parent, host);
        let host = host.map(|name| format!("{name}-")).unwrap_or_default();
        let prefix = format!("{host}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        platform::make_private(dir.path())?;
        let taken_over = of_before.and_then(|before| before.renamed_to(dir.path()));
        let (lock, spares) = match taken_over {
            Some(lock) => (lock, Spares::in_folder(dir.path())),
            None => {
                let lock = platform::open_lock(&dir.path().join(LOCK))?;
                platform::try_lock(&lock)?;
                (lock, Spares::default())
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.keep(),
                next: AtomicU64::new(spares.highest_number() + 1),
                spares: Mutex::new(spares),
                leaves_copies: AtomicBool::new(false),
                is_mapped: AtomicBool::new(false),
                lock: Some(lock),
            }),
        })
    }

    /// How many folders in `parent` belong to hosts that have ended; the next
    /// hosts take them over or remove them.
    ///
    /// # Errors
    ///
    /// When `parent` is there and cannot be listed or locked.
    pub fn count_abandoned(parent: &Path) -> io::Result<usize> {
        if !parent.exists() {
            return Ok(0);
        }
        let _turn = take_turn(parent)?;
        Ok(Left::all_in(parent)?.len())
    }

    /// Copies a file whole. What was left here gives up its room where that is short.
    pub(crate) fn copy(&self, file: &File, max_size: u64) -> Result<Draft, CopyError> {
        let mut copy = self.new_copy(file, max_size);
        for make_room in [Self::drop_spares, Self::drop_what_others_left] {
            match &copy {
                Err(error) if error.is_want_of_room() => {
                    make_room(self);
                    copy = self.new_copy(file, max_size);
                }
                _ => break,
            }
        }
        copy
    }

    /// By the kernel, which shares the bytes where the file system can.
    fn new_copy(&self, mut file: &File, max_size: u64) -> Result<Draft, CopyError> {
        let dir = self.dir();
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let write = |source| CopyError::Write { dir: dir.to_owned(), source };
        // Removed again on every way out from here.
        let snapshot = Snapshot::new(dir.join(format!("{number}.draft")), number, self.clone());
        let mut copy = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(snapshot.path())
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
        Ok(Draft::new(snapshot, bytes))
    }

    /// A copy that is there already with the same bytes, if there is one. Reads the
    /// whole file where one may be it.
    pub(crate) fn spare_copy(&self, file: &File) -> Option<Draft> {
        if self.inner.spares.lock().is_empty() {
            return None;
        }
        let length = file.metadata().ok()?.len();
        let manifest = image::manifest_of(file).ok()?.manifest;
        let key = spares::key(&manifest.id, &manifest.version, length);
        let mut others = Vec::new();
        let found = loop {
            // Whoever takes one has it alone: two generations need two files.
            let spare = self.inner.spares.lock().take(&key);
            let Some(spare) = spare else { break None };
            match spare.bytes() {
                Ok(bytes) if is_same(file, &bytes).unwrap_or(false) => break Some((spare, bytes)),
                Ok(_) => others.push(spare),
                Err(_) => spare.remove(),
            }
        };
        self.inner.spares.lock().put_back(&key, others);
        let (Spare { path, number }, bytes) = found?;
        Some(Draft::new(Snapshot::of_spare(path, number, self.clone()), bytes))
    }

    /// Removes the copies that nobody has asked for.
    pub(crate) fn drop_spares(&self) {
        self.inner.spares.lock().remove_all();
    }

    /// Removes the folders that no host has.
    fn drop_what_others_left(&self) {
        let Some(parent) = self.dir().parent() else { return };
        if let Ok(_turn) = take_turn(parent) {
            left::remove_all(parent);
        }
    }

    /// From now on what a copy was made for is over, and the copy waits for the next host.
    pub(crate) fn leave_copies(&self) {
        self.inner.leaves_copies.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leaves_copies(&self) -> bool {
        self.inner.leaves_copies.load(Ordering::Relaxed)
    }

    /// A library stays mapped from here as long as this process lives.
    pub(crate) fn stays_mapped(&self) {
        self.inner.is_mapped.store(true, Ordering::Relaxed);
    }

    /// Makes a copy one that the next look at a file with its bytes can have.
    pub(crate) fn set_aside(&self, path: PathBuf, number: u64) {
        self.inner.spares.lock().add(Spare { path, number });
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.spares.get_mut().remove_all();
        // Copies that were left stay, and the lock's file with them: by it the next host
        // knows the folder for abandoned.
        let empty = self.dir.read_dir().is_ok_and(|entries| entries.count() == 1);
        if empty {
            let _ = fs::remove_dir_all(&self.dir);
        } else if *self.is_mapped.get_mut() {
            // What is mapped here must not be another host's in this process, which would
            // be given the library as it is; and debuggers look for the file.
            std::mem::forget(self.lock.take());
        }
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
