//! One host at a time: a lock (`flock(2)`) on a file of its own next to the registry, as
//! the registry's file itself is replaced. The kernel gives it back when its process is
//! gone, however that ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::RegistryError;
use crate::error::io_error;
use crate::place::{Identity, Place};

/// How long one waits before looking again: from this, doubled each time,
const FIRST_WAIT: Duration = Duration::from_micros(200);
/// up to this.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The lock file, which is made when it is not there, and never removed.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    patience: Duration,
}

/// The lock, until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // By name and not by closing: a process that is being started has the
        // descriptor, too, for a moment, and would keep the lock.
        let _ = self.0.unlock();
    }
}

impl LockFile {
    pub(crate) fn of(place: &Place, patience: Duration) -> Self {
        Self { path: place.beside(".lock"), patience }
    }

    /// Waits until nobody else has the lock.
    pub(crate) fn alone(&self, operation: &'static str) -> Result<Locked, RegistryError> {
        self.wait(operation, File::try_lock)
    }

    /// Waits until nobody has the lock alone.
    #[cfg(feature = "sqlite")]
    pub(crate) fn with_others(&self, operation: &'static str) -> Result<Locked, RegistryError> {
        self.wait(operation, File::try_lock_shared)
    }

    fn wait(
        &self,
        operation: &'static str,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Locked, RegistryError> {
        let begin = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&self.path).map_err(io_error(operation, &self.path))?;
            match lock(&file) {
                Ok(()) if self.is_at_its_path(&file, operation)? => return Ok(Locked(file)),
                // Somebody removed it, and may have made another one.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if begin.elapsed() < self.patience => {
                    thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(TryLockError::WouldBlock) => {
                    let path = self.path.clone();
                    return Err(RegistryError::Busy { operation, path, waited: begin.elapsed() });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(io_error(operation, &self.path)(error));
                }
            }
        }
    }

    fn is_at_its_path(&self, file: &File, operation: &'static str) -> Result<bool, RegistryError> {
        let own = file.metadata().map(|metadata| Identity::of(&metadata));
        let own = own.map_err(io_error(operation, &self.path))?;
        let there = Identity::at(&self.path).map_err(io_error(operation, &self.path))?;
        Ok(there == Some(own))
    }
}
