use std::fmt::Write;

use plugbay_manifest::{Manifest, PluginId};
use semver::Version;
use serde::Deserialize;

use crate::offer::Offer;

/// What ran: id, version and content of each plugin. Written as `plugbay.lock`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Sorted by id and version.
    entries: Vec<Entry>,
}

/// One plugin of a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which plugin.
    pub id: PluginId,
    /// In which version.
    pub version: Version,
    /// The BLAKE3 hash of its file, in hex.
    pub blake3: String,
}

/// A text that is no lock. Displayed with line, column and the line itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LockError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    version: u32,
    #[serde(default)]
    plugin: Vec<Entry>,
}

/// The format that is written and read.
const FORMAT: u32 = 1;

impl Lock {
    /// A lock of these.
    pub fn of<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Self {
        let entry = |offer: &Offer| Entry {
            id: offer.manifest.id.clone(),
            version: offer.manifest.version.clone(),
            blake3: offer.hash.clone(),
        };
        let mut entries: Vec<_> = offers.into_iter().map(entry).collect();
        entries.sort();
        entries.dedup();
        Self { entries }
    }

    /// Its plugins, by id and version.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    ///
    /// When it is none, or of a later format.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let Toml { version, plugin: mut entries } =
            toml::from_str(text).map_err(|error| LockError(error.to_string().trim_end().into()))?;
        if version != FORMAT {
            return Err(LockError(format!(
                "it has format {version}, and format {FORMAT} is what can be read"
            )));
        }
        entries.sort();
        Ok(Self { entries })
    }

    pub(crate) fn names(&self, offer: &Offer) -> bool {
        let Manifest { id, version, .. } = &*offer.manifest;
        let key = (id, version, offer.hash.as_str());
        self.entries
            .binary_search_by(|it| (&it.id, &it.version, it.blake3.as_str()).cmp(&key))
            .is_ok()
    }

    /// What it has of a plugin: of this version, if any.
    pub(crate) fn entry_of(&self, id: &PluginId, version: &Version) -> Option<(Version, String)> {
        let begin = self.entries.partition_point(|entry| entry.id < *id);
        let same = self.entries.partition_point(|it| (&it.id, &it.version) < (id, version));
        let is_same = |entry: &&Entry| entry.id == *id && entry.version == *version;
        let one = self.entries.get(same).filter(is_same).or_else(|| self.entries.get(begin))?;
        (one.id == *id).then(|| (one.version.clone(), one.blake3.clone()))
    }
}

/// The text of a lock file.
impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "# What runs: which plugins, in which versions, with which bytes.\n\
             # Written by `host-app lock`, which also brings it up to date; with --locked,\n\
             # nothing else runs. Keep it beside the host's configuration.\n",
        )?;
        writeln!(f, "version = {FORMAT}")?;
        for Entry { id, version, blake3 } in &self.entries {
            f.write_char('\n')?;
            writeln!(f, "[[plugin]]\nid = \"{id}\"\nversion = \"{version}\"")?;
            writeln!(f, "blake3 = \"{}\"", blake3.escape_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let entry = |id: &str, version: &str| Entry {
            id: id.parse().unwrap(),
            version: version.parse().unwrap(),
            blake3: "ab12".into(),
        };
        let lock = Lock { entries: vec![entry("kv", "1.0.0"), entry("sql", "1.4.0-rc.1")] };
        assert_eq!(Lock::parse(&lock.to_string()).unwrap(), lock);
        assert_eq!(Lock::parse(&Lock::default().to_string()).unwrap(), Lock::default());
    }

    #[test]
    fn a_broken_lock_is_told_with_its_line() {
        for (text, words) in [
            ("", "version"),
            ("version = 2\n", "format 2"),
            ("version = 1\n[[plugin]]\nid = \"A\"\n", "line 3"),
            ("version = 1\n[[plugin]]\nid = \"a\"\nversion = \"1.0.0\"\nhash = \"x\"\n", "line 5"),
        ] {
            let error = Lock::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
