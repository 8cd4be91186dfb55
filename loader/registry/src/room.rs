//! Room on the disk for what must be written later: where there is none for the end of an
//! attempt, it is not begun, and nothing else is written but what somebody wants by hand.
//! Else the next host would find it open, and take it for a crash.

use std::fs::File;
use std::path::Path;

use crate::error::io_error;
use crate::{Event, RegistryError};

/// Always, in bytes: pages that a database changes besides, and what another host writes
/// between the beginning and the end of an attempt.
const AT_LEAST: usize = 64 << 10;
/// For each record, and for the beginning and the end of each attempt, in bytes.
const FOR_EACH: usize = 2 << 10;
/// For each event, in bytes, besides its text: its page in an index.
const FOR_EVENT: usize = 512;

/// For so many records, or for so many attempts from beginning to end, in bytes.
pub(crate) fn of(rows: usize) -> usize {
    rows * FOR_EACH
}

/// For these events, in bytes.
pub(crate) fn of_events(events: &[Event]) -> usize {
    events.iter().map(|event| FOR_EVENT + event.text.len()).sum()
}

/// Sees to it that there is room behind the end of a file for so many bytes, and for the ends
/// of other attempts, whatever other files take; what is written to this one takes it. The
/// file is as long as before.
///
/// # Errors
///
/// Where there is no such room.
pub(crate) fn keep(path: &Path, file: &File, bytes: usize) -> Result<(), RegistryError> {
    let length = file.metadata().map_err(io_error("write", path))?.len();
    take(file, length, AT_LEAST + bytes).map_err(io_error("write", path))
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
