use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
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
    /// Whether that is kept on disk. Where it could not be, it holds in the host that
    /// found it, until that ends.
    #[serde(default = "yes")]
    pub kept: bool,
}

fn yes() -> bool {
    true
}

/// The verdicts of this user, kept by content hash in a folder, one small file
/// each. Any number of hosts may use one folder at the same time.
///
/// They are a cache: without them every file is tried again. They hold for one
/// version of interface and loader.
#[derive(Debug, Clone)]
pub struct Verdicts {
    dir: PathBuf,
    /// What the disk did not take. Of one host, as its clones are.
    held: Arc<Mutex<HashMap<blake3::Hash, QuarantineEntry>>>,
}

impl Verdicts {
    /// Those in `cache_dir`. Does no I/O.
    pub fn in_cache(cache_dir: &Path) -> Self {
        let version = format!("{}-{}", plugbay_interface::VERSION, env!("CARGO_PKG_VERSION"));
        Self { dir: cache_dir.join("verdicts").join(version), held: Arc::default() }
    }

    /// The folder that they are kept in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of a file's content. A verdict that cannot be read is none.
    pub fn get(&self, hash: &blake3::Hash) -> Option<Verdict> {
        let held = self.held.lock().get(hash).cloned();
        held.map(Verdict::Quarantined).or_else(|| read(&self.file(hash), hash))
    }

    pub(crate) fn survived(&self, hash: &blake3::Hash) -> io::Result<()> {
        self.put(hash, &Verdict::Survived)
    }

    /// Holds a content back from now on: where the disk does not take that, in this
    /// host, which the reason then says.
    pub(crate) fn quarantine(
        &self,
        hash: &blake3::Hash,
        id: &str,
        path: &Path,
        reason: String,
    ) -> QuarantineEntry {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let path = crate::printable(path);
        let hex = hash.to_hex().to_string();
        let id = id.to_owned();
        let mut entry = QuarantineEntry { hash: hex, id, path, reason, since, kept: true };
        if let Err(error) = self.put(hash, &Verdict::Quarantined(entry.clone())) {
            let dir = crate::printable(&self.dir);
            log::error!("{}: its quarantine cannot be kept in {dir}: {error}", entry.id);
            entry.kept = false;
            entry.reason.push_str(&format!(
                "; this holds until the host ends, as it cannot be kept in {dir}: {error}"
            ));
            self.held.lock().insert(*hash, entry.clone());
        }
        entry
    }

    /// All that are held back, the latest first.
    ///
    /// # Errors
    ///
    /// When the folder is there and cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<QuarantineEntry>> {
        let mut found: Vec<_> = self.held.lock().values().cloned().collect();
        let entries = match self.dir.read_dir() {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // What is known is told all the same.
            Err(_) if !found.is_empty() => None,
            Err(error) => return Err(error),
        };
        let on_disk = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let path = entry.path();
            let hash = blake3::Hash::from_hex(path.file_stem()?.to_str()?).ok()?;
            match read(&path, &hash)? {
                Verdict::Quarantined(entry) => Some(entry),
                Verdict::Survived => None,
            }
        });
        found.extend(on_disk);
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
        let held = self.held.lock().remove(&hash).is_some();
        match fs::remove_file(self.file(&hash)) {
            Ok(()) => Ok(true),
            // It was never on the disk.
            Err(_) if held => Ok(true),
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
