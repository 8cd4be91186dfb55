use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use plugbay_interface::abi::FINGERPRINT;
use serde::{Deserialize, Serialize};

use crate::platform;

/// How a library fared when it was first loaded in a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The child lived on: this process may load it.
    Survived,
    /// The child did not: nobody loads it until it is released.
    Quarantined(QuarantineEntry),
}

/// A library that is held back by its content, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineEntry {
    /// The BLAKE3 hash of the file, in hex.
    pub hash: String,
    /// The plugin's id.
    pub id: String,
    /// Where it lay when it was tried.
    pub path: String,
    /// What happened.
    pub reason: String,
    /// When, in seconds since 1970.
    pub since: u64,
}

/// The verdicts of this user, kept by content hash in a folder, one small file
/// each. Any number of hosts may use one folder at the same time.
///
/// They are a cache: without them every file is tried again. They hold for one
/// version of the loader and one form of the ABI.
#[derive(Debug, Clone)]
pub struct Verdicts {
    dir: PathBuf,
}

impl Verdicts {
    /// Those in `cache_dir`. Does no I/O.
    pub fn in_cache(cache_dir: &Path) -> Self {
        let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), FINGERPRINT);
        Self { dir: cache_dir.join("verdicts").join(version) }
    }

    /// The folder that they are kept in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of a file's content. A verdict that cannot be read is none.
    pub fn get(&self, hash: &blake3::Hash) -> Option<Verdict> {
        read(&self.file(hash), hash)
    }

    pub(crate) fn survived(&self, hash: &blake3::Hash) -> io::Result<()> {
        self.put(hash, &Verdict::Survived)
    }

    pub(crate) fn quarantine(
        &self,
        hash: &blake3::Hash,
        id: &str,
        path: &Path,
        reason: String,
    ) -> io::Result<QuarantineEntry> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let path = crate::printable(path);
        let hex = hash.to_hex().to_string();
        let entry = QuarantineEntry { hash: hex, id: id.to_owned(), path, reason, since };
        self.put(hash, &Verdict::Quarantined(entry.clone()))?;
        Ok(entry)
    }

    /// All that are held back, the latest first.
    ///
    /// # Errors
    ///
    /// When the folder is there and cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<QuarantineEntry>> {
        let entries = match self.dir.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let hash = blake3::Hash::from_hex(path.file_stem()?.to_str()?).ok()?;
                match read(&path, &hash)? {
                    Verdict::Quarantined(entry) => Some(entry),
                    Verdict::Survived => None,
                }
            })
            .collect();
        found.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.hash.cmp(&b.hash)));
        Ok(found)
    }

    /// Forgets the verdict, so that the file is tried again. Whether there was one.
    ///
    /// # Errors
    ///
    /// When the verdict is there and cannot be removed.
    pub fn release(&self, entry: &QuarantineEntry) -> io::Result<bool> {
        // Only a hash makes a file name here, whatever the entry's text says.
        let Ok(hash) = blake3::Hash::from_hex(&entry.hash) else { return Ok(false) };
        match fs::remove_file(self.file(&hash)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn file(&self, hash: &blake3::Hash) -> PathBuf {
        self.dir.join(format!("{}.json", hash.to_hex()))
    }

    /// Written aside and renamed, so that a reader finds all of it or nothing.
    fn put(&self, hash: &blake3::Hash, verdict: &Verdict) -> io::Result<()> {
        platform::make_private_dir(&self.dir)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(verdict)?)?;
        file.persist(self.file(hash)).map_err(|error| error.error)?;
        Ok(())
    }
}

/// The longest verdict, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What a file says of the content that it is named after; nothing, where it is
/// no regular file, too long, damaged, or about another content.
fn read(path: &Path, hash: &blake3::Hash) -> Option<Verdict> {
    let file = platform::open_without_waiting(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    let verdict = serde_json::from_slice(&text).ok()?;
    match &verdict {
        Verdict::Quarantined(entry) if entry.hash != hash.to_hex().as_str() => None,
        _ => Some(verdict),
    }
}
