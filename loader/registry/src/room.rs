//! Room on the disk for what must be written later: where there is none for the end of an
//! attempt, it is not begun, and nothing else is written but what somebody wants by hand.
//! Else the next host would find it open, and take it for a crash.

use std::fs::File;
use std::path::Path;

use crate::RegistryError;
use crate::error::io_error;

/// For any number of attempts, in bytes: pages that a database changes besides, and what
/// another host writes between the two.
const AT_LEAST: usize = 64 << 10;
/// For each record, and for the beginning and the end of each attempt, in bytes.
const FOR_EACH: usize = 2 << 10;
/// So many events take as much as one of these.
const EVENTS: usize = 8;

/// What takes as much as so many events.
pub(crate) fn of_events(events: usize) -> usize {
    events.div_ceil(EVENTS)
}

/// Sees to it that there is room behind the end of a file for so many records or attempts, and
/// for the ends of others, whatever other files take; what is written to this one takes it.
/// The file is as long as before.
///
/// # Errors
///
/// Where there is no such room.
pub(crate) fn keep(path: &Path, file: &File, rows: usize) -> Result<(), RegistryError> {
    let length = file.metadata().map_err(io_error("write", path))?.len();
    take(file, length, AT_LEAST + rows * FOR_EACH).map_err(io_error("write", path))
}

/// What the file system cannot take beforehand, it may have later.
#[cfg(target_os = "linux")]
fn take(file: &File, from: u64, room: usize) -> std::io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    let (Ok(from), Ok(room)) = (from.try_into(), room.try_into()) else { return Ok(()) };
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, room) {
        Err(full @ (Errno::ENOSPC | Errno::EDQUOT)) => Err(full.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// There is no call for it that all systems have.
#[cfg(not(target_os = "linux"))]
fn take(_: &File, _: u64, _: usize) -> std::io::Result<()> {
    Ok(())
}
