mod tidy;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use plugbay_interface::abi::FINGERPRINT;
use serde::{Deserialize, Serialize};

use crate::naming;
use crate::platform;

/// Below the folder of one version: libraries that a child process survived.
const SURVIVED: &str = "survived";
/// And those that it did not.
const QUARANTINED: &str = "quarantined";
/// Below a host's own cache folder: what it went back from.
const ROLLED_BACK: &str = "rolled-back";

/// After how many new verdicts a host looks whether there are too many.
const SELDOM: u32 = 64;

/// How a library fared when it was first loaded in a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The child lived on: this process may load it.
    Survived,
    /// The child did not, or a host went back from it: nobody loads it until it is
    /// released.
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
    /// The name of the host that went back from it, for which alone it holds. None:
    /// it did not survive being loaded, and holds for all hosts of this user.
    #[serde(default)]
    pub host: Option<String>,
    /// Whether that is kept on disk. Where it could not be, it holds in the host that
    /// found it, until that ends.
    #[serde(default = "yes")]
    pub kept: bool,
}

fn yes() -> bool {
    true
}

/// The verdicts of this user, kept by content hash in a folder, one small file
/// each. Any number of hosts may use one folder at the same time. That a library
/// did not survive being loaded is about its bytes and holds for all of them; that a
/// host went back from it is that host's decision.
///
/// They are a cache: without them every file is tried again, and of each kind the
/// latest 10,000 are kept. Those of child processes hold for one version of the loader
/// and one form of the ABI.
#[derive(Debug, Clone)]
pub struct Verdicts {
    dir: PathBuf,
    /// The folder with those of each host.
    hosts: PathBuf,
    /// Whose these are.
    host: Option<String>,
    /// What the disk did not take. Of one host, as its clones are.
    held: Arc<Mutex<HashMap<blake3::Hash, QuarantineEntry>>>,
    /// How many were added.
    added: Arc<AtomicU32>,
}

impl Verdicts {
    /// Those in `cache_dir`. Does no I/O.
    pub fn in_cache(cache_dir: &Path) -> Self {
        let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), FINGERPRINT);
        Self {
            dir: cache_dir.join("verdicts").join(version),
            hosts: naming::hosts_in(cache_dir),
            host: None,
            held: Arc::default(),
            added: Arc::default(),
        }
    }

    /// Those that hold for the host of this name; without this, `get` knows of no
    /// host's decisions, and `quarantined` lists all of them.
    pub fn of_host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// The folder that they are kept in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of a file's content. A verdict that cannot be read is none.
    pub fn get(&self, hash: &blake3::Hash) -> Option<Verdict> {
        if let Some(held) = self.held.lock().get(hash) {
            return Some(Verdict::Quarantined(held.clone()));
        }
        let name = file_name(hash);
        let own = self.host.as_ref().and_then(|host| {
            let entry = quarantined_in(&self.rolled_back(host).join(&name), hash)?;
            Some(QuarantineEntry { host: Some(host.clone()), ..entry })
        });
        own.or_else(|| quarantined_in(&self.crashed().join(&name), hash))
            .map(Verdict::Quarantined)
            .or_else(|| read(&self.survivors().join(&name)).filter(|it| *it == Verdict::Survived))
    }

    pub(crate) fn survived(&self, hash: &blake3::Hash) -> io::Result<()> {
        self.put(&self.survivors(), hash, &Verdict::Survived)
    }

    /// Holds a content back from now on that did not survive being loaded: where the
    /// disk does not take that, in this host, which the reason then says.
    pub(crate) fn crashed_with(
        &self,
        hash: &blake3::Hash,
        id: &str,
        path: &Path,
        reason: String,
    ) -> QuarantineEntry {
        self.quarantine(&self.crashed(), None, hash, id, path, reason)
    }

    /// As `crashed_with`, for a content that this host went back from.
    pub(crate) fn went_back_from(
        &self,
        hash: &blake3::Hash,
        id: &str,
        path: &Path,
        reason: String,
    ) -> QuarantineEntry {
        let host = self.host.clone().unwrap_or_default();
        self.quarantine(&self.rolled_back(&host), Some(host), hash, id, path, reason)
    }

    fn quarantine(
        &self,
        dir: &Path,
        host: Option<String>,
        hash: &blake3::Hash,
        id: &str,
        path: &Path,
        reason: String,
    ) -> QuarantineEntry {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut entry = QuarantineEntry {
            hash: hash.to_hex().to_string(),
            id: id.to_owned(),
            path: crate::printable(path),
            reason,
            since,
            host,
            kept: true,
        };
        if let Err(error) = self.put(dir, hash, &Verdict::Quarantined(entry.clone())) {
            let dir = crate::printable(dir);
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
    /// When a folder is there and cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<QuarantineEntry>> {
        let mut found: Vec<_> = self.held.lock().values().cloned().collect();
        let mut problem = all_in(&self.crashed(), None, &mut found).err();
        let hosts = match &self.host {
            Some(host) => vec![host.clone()],
            None => listed(&self.hosts)?.filter_map(|entry| entry.into_string().ok()).collect(),
        };
        for host in hosts.into_iter().filter(|host| naming::is_name(host)) {
            problem = all_in(&self.rolled_back(&host), Some(&host), &mut found).err().or(problem);
        }
        found.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.hash.cmp(&b.hash)));
        match problem {
            // What is known is told all the same.
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Forgets the verdict, so that the file is tried again. Whether there was one.
    ///
    /// # Errors
    ///
    /// When the verdict is there and cannot be removed.
    pub fn release(&self, entry: &QuarantineEntry) -> io::Result<bool> {
        // Only a hash and a name make a file's path here, whatever the entry's text says.
        let Ok(hash) = blake3::Hash::from_hex(&entry.hash) else { return Ok(false) };
        let dir = match &entry.host {
            Some(host) if naming::is_name(host) => self.rolled_back(host),
            Some(_) => return Ok(false),
            None => self.crashed(),
        };
        let held = self.held.lock().remove(&hash).is_some();
        match fs::remove_file(dir.join(file_name(&hash))) {
            Ok(()) => Ok(true),
            // It was never on the disk.
            Err(_) if held => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put(&self, dir: &Path, hash: &blake3::Hash, verdict: &Verdict) -> io::Result<()> {
        put(dir, hash, verdict)?;
        // With the first one, and then now and then: a file is not added for each
        // start, but for each new content.
        if self.added.fetch_add(1, Ordering::Relaxed).is_multiple_of(SELDOM) {
            tidy::tidy(&self.survivors(), tidy::MOST);
            tidy::tidy(&self.crashed(), tidy::MOST);
            tidy::tidy_other_versions(&self.dir, SURVIVED);
            if let Some(host) = &self.host {
                tidy::tidy(&self.rolled_back(host), tidy::MOST);
            }
        }
        Ok(())
    }

    fn survivors(&self) -> PathBuf {
        self.dir.join(SURVIVED)
    }

    fn crashed(&self) -> PathBuf {
        self.dir.join(QUARANTINED)
    }

    fn rolled_back(&self, host: &str) -> PathBuf {
        self.hosts.join(host).join(ROLLED_BACK)
    }
}

fn file_name(hash: &blake3::Hash) -> String {
    format!("{}.json", hash.to_hex())
}

/// Written aside and renamed, so that a reader finds all of it or nothing.
fn put(dir: &Path, hash: &blake3::Hash, verdict: &Verdict) -> io::Result<()> {
    platform::make_private_dir(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(verdict)?)?;
    file.persist(dir.join(file_name(hash))).map_err(|error| error.error)?;
    Ok(())
}

/// The names in a folder, which may not be there.
fn listed(dir: &Path) -> io::Result<impl Iterator<Item = std::ffi::OsString>> {
    let entries = match dir.read_dir() {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten().flatten().map(|entry| entry.file_name()))
}

fn all_in(dir: &Path, host: Option<&str>, found: &mut Vec<QuarantineEntry>) -> io::Result<()> {
    found.extend(listed(dir)?.filter_map(|name| {
        let hash = blake3::Hash::from_hex(Path::new(&name).file_stem()?.to_str()?).ok()?;
        let entry = quarantined_in(&dir.join(name), &hash)?;
        // Whose it is, the folder says.
        Some(QuarantineEntry { host: host.map(str::to_owned), ..entry })
    }));
    Ok(())
}

/// The longest verdict, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What a file says of the content that it is named after; nothing, where it says
/// something else.
fn quarantined_in(path: &Path, hash: &blake3::Hash) -> Option<QuarantineEntry> {
    match read(path)? {
        Verdict::Quarantined(entry) if entry.hash == hash.to_hex().as_str() => Some(entry),
        _ => None,
    }
}

/// Nothing, where it is no regular file, too long or damaged.
fn read(path: &Path) -> Option<Verdict> {
    let file = platform::open_without_waiting(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
