//! What becomes of damaged files: they are kept, as somebody may know how to mend them,
//! and the host goes on without.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{is_free, sync_folder};
use crate::escaped_path::printable;
use crate::place::{Place, with_suffix};
use crate::{RegistryError, SetAside};

/// Renames a damaged file, and those that belong to it and are called as it is with
/// something behind, to the first `.broken-1`, `.broken-2`, … that is free for all of
/// them. With the registry's lock.
pub(crate) fn set_aside(
    place: &Place,
    path: &Path,
    companions: &[&str],
    what: String,
) -> Result<SetAside, RegistryError> {
    match renamed(path, companions) {
        Ok(to) => {
            sync_folder(place)?;
            let (from, kept) = (printable(path), printable(&to));
            log::warn!("{from} is damaged ({what}): it is kept as {kept}, and a new one is begun");
            Ok(SetAside { from: path.to_owned(), to, what })
        }
        Err(source) => Err(RegistryError::NotSetAside { path: path.to_owned(), what, source }),
    }
}

fn renamed(path: &Path, companions: &[&str]) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let to = with_suffix(path, &format!(".broken-{number}"));
        let mut free = is_free(&to)?;
        for companion in companions {
            free &= is_free(&with_suffix(&to, companion))?;
        }
        if !free {
            continue;
        }
        // The file itself first: what belongs to it means nothing without it.
        absent_is_well(fs::rename(path, &to))?;
        for companion in companions {
            absent_is_well(fs::rename(with_suffix(path, companion), with_suffix(&to, companion)))?;
        }
        return Ok(to);
    }
    Err(io::Error::other("all names are taken"))
}

fn absent_is_well(renamed: io::Result<()>) -> io::Result<()> {
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
