use std::fs;
use std::io;
use std::path::Path;

use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};
use plugbay_loader::{BuildError, Verdicts, Workspace, default_cache_dir, printable};

use super::Check;

/// Room for a copy of a few libraries with debug information.
const LITTLE_ROOM: u64 = 256 << 20;

/// The folder that libraries are mapped from, and what hosts left in it.
pub fn cache() -> Vec<Check> {
    const WHAT: &str = "cache";
    let Some(dir) = default_cache_dir() else {
        return vec![Check::failed(WHAT, BuildError::NoHome.into())];
    };
    let mut checks = vec![writable(&dir)];
    match statvfs(existing(&dir)) {
        Ok(system) => checks.extend([mappable(&dir, &system), room(&system)]),
        Err(error) => {
            let found = format!("{}: its file system is not known: {error}", printable(&dir));
            checks.push(Check::warning(WHAT, found, "name another with XDG_CACHE_HOME"));
        }
    }
    checks.extend([quarantine(&dir), leftovers(&dir)]);
    checks
}

fn writable(dir: &Path) -> Check {
    const WHAT: &str = "cache";
    let path = printable(dir);
    // As a host does it: its own subfolder, and a lock in it.
    match Workspace::new(&dir.join("check")) {
        Ok(_) => Check::ok(WHAT, path),
        Err(error) => {
            let cure = "see who may write to it, or name another with XDG_CACHE_HOME";
            Check::problem(WHAT, format!("{path} cannot be written to: {error}"), cure)
        }
    }
}

fn mappable(dir: &Path, system: &Statvfs) -> Check {
    const WHAT: &str = "mapping";
    let path = printable(dir);
    if system.flags().contains(FsFlags::ST_NOEXEC) {
        let found = format!("{path} is mounted noexec, and libraries are mapped from it");
        return Check::problem(WHAT, found, "name a folder elsewhere with XDG_CACHE_HOME");
    }
    Check::ok(WHAT, format!("{path} is not mounted noexec"))
}

fn room(system: &Statvfs) -> Check {
    const WHAT: &str = "disk";
    // Their widths differ between platforms.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (u64::from(system.blocks_available()), u64::from(system.fragment_size()));
    let free = blocks.saturating_mul(size);
    let found = format!("{} MiB free for the cache", free >> 20);
    if free < LITTLE_ROOM {
        return Check::warning(
            WHAT,
            found,
            "make room: each library is copied before it is loaded",
        );
    }
    Check::ok(WHAT, found)
}

fn quarantine(dir: &Path) -> Check {
    const WHAT: &str = "quarantine";
    match Verdicts::in_cache(dir).quarantined() {
        Ok(entries) if entries.is_empty() => Check::ok(WHAT, "nothing"),
        Ok(entries) => Check::warning(
            WHAT,
            format!("libraries held back: {}", entries.len()),
            "see which and why: host-app quarantine list",
        ),
        Err(error) => {
            let found = format!("the verdicts cannot be read: {error}");
            Check::problem(WHAT, found, "see who may read the cache")
        }
    }
}

fn leftovers(dir: &Path) -> Check {
    const WHAT: &str = "leftovers";
    let (live, check) = (dir.join("live"), dir.join("check"));
    let count = || -> io::Result<usize> {
        Ok(Workspace::count_abandoned(&live)? + Workspace::count_abandoned(&check)?)
    };
    match count() {
        Ok(0) => Check::ok(WHAT, "none"),
        // No warning: to end with libraries mapped is what hosts do by default.
        Ok(count) => Check::ok(
            WHAT,
            format!(
                "folders of ended hosts: {count}, with those of running ones {} MiB; the next host \
                 of a name goes on with the last one of that name; of the others, 8 at most stay \
                 for hosts of other names",
                (size_of(&live) + size_of(&check)).div_ceil(1 << 20)
            ),
        ),
        Err(error) => {
            let found = format!("they cannot be counted: {error}");
            Check::warning(WHAT, found, "see who may read the cache")
        }
    }
}

/// Of all files below a folder together, in bytes. What cannot be looked at, or goes
/// meanwhile, counts as nothing.
fn size_of(dir: &Path) -> u64 {
    let mut folders = vec![dir.to_owned()];
    let mut bytes: u64 = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes = bytes.saturating_add(metadata.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// The folder, or the nearest one above it that there is.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| fs::metadata(dir).is_ok()).unwrap_or(Path::new("/"))
}
