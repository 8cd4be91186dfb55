//! Folders that hosts have left.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LOCK;
use crate::platform;

/// How many stay that others than the next host have left: programs that are built anew
/// all the time have a name each time.
const MOST: usize = 8;

/// A folder of a host that has ended.
pub(super) struct Left {
    dir: PathBuf,
    /// Held. None: its maker has died before it was locked.
    lock: Option<File>,
    changed: SystemTime,
}

/// Gives what the last host of that name has left, and removes what nobody is expected to
/// ask for: folders of no host, and of hosts all but some that were left last. With the
/// turn taken.
pub(super) fn tidy(parent: &Path, host: Option<&str>) -> Option<Left> {
    let mut all = Left::all_in(parent).unwrap_or_default();
    all.sort_by_key(|left| Reverse(left.changed));
    let mut its_own = None;
    let mut others = 0;
    for left in all {
        if its_own.is_none() && host.is_some() && left.host() == host {
            its_own = Some(left);
        } else if left.host().is_none() || others == MOST {
            let _ = fs::remove_dir_all(&left.dir);
        } else {
            others += 1;
        }
    }
    its_own
}

/// Removes all that no host has. With the turn taken.
pub(super) fn remove_all(parent: &Path) {
    for left in Left::all_in(parent).unwrap_or_default() {
        let _ = fs::remove_dir_all(&left.dir);
    }
}

impl Left {
    /// All in a folder: whose lock can be had has nobody left to hold it. With the turn
    /// taken, one without a lock is one whose maker has died, or no host's.
    pub(super) fn all_in(parent: &Path) -> io::Result<Vec<Self>> {
        let left = |entry: fs::DirEntry| {
            let dir = entry.path();
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let lock = match platform::open_regular(&dir.join(LOCK)) {
                Ok(lock) if platform::try_lock(&lock).unwrap_or(false) => Some(lock),
                Err(error) if is_no_lock(&error) => None,
                // Somebody has it, or that cannot be known.
                _ => return None,
            };
            Some(Self { dir, lock, changed })
        };
        Ok(parent.read_dir()?.flatten().filter_map(left).collect())
    }

    /// The name of the host, of the folder's `NAME-PID-XXXXXX`.
    fn host(&self) -> Option<&str> {
        self.lock.as_ref()?;
        let mut parts = self.dir.file_name()?.to_str()?.rsplitn(3, '-');
        let (_chance, process, host) = (parts.next()?, parts.next()?, parts.next()?);
        process.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
    }

    /// Takes the place of an empty folder, and gives its lock, which is held. None where
    /// that cannot be: then it is gone.
    pub(super) fn renamed_to(self, empty: &Path) -> Option<File> {
        let lock = self.lock?;
        match platform::make_private(&self.dir).and_then(|()| fs::rename(&self.dir, empty)) {
            Ok(()) => Some(lock),
            Err(error) => {
                log::debug!("{} is not used again: {error}", self.dir.display());
                let _ = fs::remove_dir_all(&self.dir);
                None
            }
        }
    }
}

/// Whether a folder's lock is not there, or something else lies in its place.
fn is_no_lock(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotFound};
    matches!(error.kind(), NotFound | InvalidInput) || platform::is_link_loop(error)
}
