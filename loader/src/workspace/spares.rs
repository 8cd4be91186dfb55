//! Copies that nobody has: an earlier host has left them, or they are for a plugin that is
//! loaded when it is called.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use plugbay_interface::manifest::PluginId;
use semver::Version;

use super::LOCK;
use crate::platform;

/// How much is compared at a time, in bytes: what fits beside the copy in a cache of
/// today's processors.
const CHUNK: usize = 128 << 10;

/// By what they may be copies of: the plugin and its version, and the length in bytes.
#[derive(Debug, Default)]
pub(super) struct Spares {
    by_key: HashMap<Key, Vec<Spare>>,
}

pub(super) type Key = (String, u64);

/// A whole copy.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) path: PathBuf,
    pub(super) number: u64,
}

pub(super) fn key(id: &PluginId, version: &Version, length: u64) -> Key {
    (format!("{id}-{version}"), length)
}

impl Spares {
    /// The whole copies in a folder. All else goes: half copies, and what is no copy.
    pub(super) fn in_folder(dir: &Path) -> Self {
        let mut spares = Self::default();
        let entries = dir.read_dir().into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let is_lock = path.file_name().is_some_and(|name| name == LOCK);
            match number_in(&path) {
                Some(number) => spares.add(Spare { path, number }),
                None if is_lock => {}
                None => remove(&path),
            }
        }
        spares
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The highest number that one was made with.
    pub(super) fn highest_number(&self) -> u64 {
        let numbers = self.by_key.values().flatten().map(|spare| spare.number);
        numbers.max().unwrap_or_default()
    }

    pub(super) fn add(&mut self, spare: Spare) {
        match spare.key() {
            Some(key) => self.by_key.entry(key).or_default().push(spare),
            None => spare.remove(),
        }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Spare> {
        let spares = self.by_key.get_mut(key)?;
        let spare = spares.pop();
        if spares.is_empty() {
            self.by_key.remove(key);
        }
        spare
    }

    pub(super) fn put_back(&mut self, key: &Key, spares: Vec<Spare>) {
        if !spares.is_empty() {
            self.by_key.entry(key.clone()).or_default().extend(spares);
        }
    }

    pub(super) fn remove_all(&mut self) {
        for spare in self.by_key.drain().flat_map(|(_, spares)| spares) {
            spare.remove();
        }
    }
}

impl Spare {
    fn key(&self) -> Option<Key> {
        let metadata = self.path.symlink_metadata().ok().filter(platform::is_ours_alone)?;
        let (name, _number) = self.path.file_stem()?.to_str()?.rsplit_once('-')?;
        Some((name.to_owned(), metadata.len()))
    }

    pub(super) fn bytes(&self) -> io::Result<platform::Bytes> {
        let file = platform::open_regular(&self.path)?;
        // Programs that save room link files with the same bytes, and a plugin's file has them.
        if !platform::is_ours_alone(&file.metadata()?) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // SAFETY: the file is whole, has no other name, and is in a folder that only this
        // user may enter and that this process has alone; it is written no more.
        unsafe { platform::Bytes::of(&file) }
    }

    pub(super) fn remove(self) {
        remove(&self.path);
    }
}

/// Whatever it is.
fn remove(path: &Path) {
    let _ = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

/// The number in `ID-VERSION-NUMBER.so`. There is room for many more above those that count.
fn number_in(path: &Path) -> Option<u64> {
    path.extension().filter(|it| *it == platform::LIBRARY_EXTENSION)?;
    let (_, number) = path.file_stem()?.to_str()?.rsplit_once('-')?;
    number.parse::<u32>().ok().map(u64::from)
}

/// Whether a file has these bytes.
pub(super) fn is_same(mut file: &File, bytes: &[u8]) -> io::Result<bool> {
    file.rewind()?;
    let mut chunk = vec![0; CHUNK];
    let mut rest = bytes;
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok(rest.is_empty()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match rest.split_at_checked(read) {
            Some((head, tail)) if Some(head) == chunk.get(..read) => rest = tail,
            _ => return Ok(false),
        }
    }
}
