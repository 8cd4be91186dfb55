//! Files that are there whole or not at all, also when the machine is switched off.
//! All of this is done with the registry's lock.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::RegistryError;
use crate::error::io_error;
use crate::place::Place;

/// A new file in the registry's folder that only this user may read, under a name of its
/// own: for what is renamed when it is whole.
pub(crate) fn unfinished(place: &Place) -> Result<NamedTempFile, RegistryError> {
    let name = place.unfinished();
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix(&name).tempfile_in(place.folder());
    made.map_err(io_error("write", place.folder()))
}

/// Writes a file in place of the one there is. It is on the disk when this returns; until
/// then, the one before is. The file can be read and written by what is returned.
pub(crate) fn write(place: &Place, path: &Path, content: &[u8]) -> Result<File, RegistryError> {
    let mut file = unfinished(place)?;
    let written = file.write_all(content).and_then(|()| file.as_file().sync_all());
    written.map_err(io_error("write", path))?;
    let file = file.persist(path).map_err(|error| io_error("write", path)(error.error))?;
    sync_folder(place)?;
    Ok(file)
}

/// Has the names in the registry's folder on the disk.
pub(crate) fn sync_folder(place: &Place) -> Result<(), RegistryError> {
    let synced = File::open(place.folder()).and_then(|folder| folder.sync_all());
    synced.map_err(io_error("write", place.folder()))
}

/// Removes what hosts left that were killed while they wrote. With the lock, nobody writes.
pub(crate) fn sweep(place: &Place) {
    let prefix = place.unfinished();
    for entry in fs::read_dir(place.folder()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nothing lies at a path, not even a link that leads nowhere.
pub(crate) fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
