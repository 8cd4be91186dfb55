use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use plugbay_manifest::{ContractId, ContractVersion, Manifest, PluginId};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ContentHash, Status, Verdict, escaped_path};

/// Fields that a later version wrote. They are read, kept and written again.
pub(crate) type Later = Map<String, Value>;

/// What is known of one file's plugin. There is one record for each id, version and
/// hash: the same version built twice has two.
///
/// Made by [`PluginRecord::new`] or [`PluginRecord::from_manifest`]; all fields are for
/// the host to set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PluginRecord {
    /// Which plugin this is.
    pub id: PluginId,
    /// Its version.
    pub version: Version,
    /// The hash of the file.
    pub hash: ContentHash,
    /// The name for people.
    #[serde(default)]
    pub name: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Where the file lies, as the system has it. A file of the registry has it as text:
    /// bytes that are not UTF-8 as `\xff`, a backslash as `\\`.
    #[serde(default, with = "escaped_path")]
    pub path: PathBuf,
    /// What kinds of plugin it is.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What of a kind it is, by kind, as names and values: `data_source` → `source` →
    /// `postgres`.
    #[serde(default)]
    pub sub_types: BTreeMap<String, BTreeMap<String, String>>,
    /// What it can do, in words to search by.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The contracts that it offers.
    #[serde(default)]
    pub contracts: Vec<Offered>,
    /// What became of it.
    pub status: Status,
    /// Why it is not active; none where it is.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// How it fared in a child process.
    #[serde(default)]
    pub verdict: Verdict,
    /// How it fares in the host.
    #[serde(default)]
    pub health: Health,
    /// When it was first recorded: a record that is there keeps its own, whatever the
    /// next one says.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// What a record goes by. Keys are ordered by id, then by version, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Which plugin.
    pub id: PluginId,
    /// Which version of it.
    pub version: Version,
    /// Which bytes.
    pub hash: ContentHash,
}

/// A contract that a plugin offers, for example `plugbay.renderer` 1.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Offered {
    /// The contract.
    pub id: ContractId,
    /// Its version, major and minor.
    pub version: ContractVersion,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// Why a plugin is not active, or is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reason {
    /// The error's stable code, for example `PB0206`; none where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// In words.
    pub text: String,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// How a plugin fares in the host: well, or with some troubles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// How often there was trouble; 0 where it fares well.
    #[serde(default)]
    pub troubles: u64,
    /// What the last one said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// What changes of a record that is there: [`Registry::mark`](crate::Registry::mark).
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Which record.
    pub key: RecordKey,
    /// What became of the plugin.
    pub status: Status,
    /// Why, where it is not active. It replaces the reason there is, also by none.
    pub reason: Option<Reason>,
    /// The verdict, where it changed.
    pub verdict: Option<Verdict>,
    /// The health, where it changed.
    pub health: Option<Health>,
    /// When.
    pub at: Timestamp,
}

impl PluginRecord {
    /// A record of what is not loaded, of which no more is known; created and updated now.
    pub fn new(id: PluginId, version: Version, hash: ContentHash, path: PathBuf) -> Self {
        let now = now();
        Self {
            name: id.to_string(),
            id,
            version,
            hash,
            description: String::new(),
            path,
            kinds: Vec::new(),
            sub_types: BTreeMap::new(),
            capabilities: Vec::new(),
            contracts: Vec::new(),
            status: Status::Unloaded,
            reason: None,
            verdict: Verdict::Unknown,
            health: Health::default(),
            created: now,
            updated: now,
            later: Later::new(),
        }
    }

    /// What the manifest says of a file, and no more.
    pub fn from_manifest(manifest: &Manifest, hash: ContentHash, path: PathBuf) -> Self {
        let services = manifest.services.iter();
        let contracts = services.map(|it| Offered::new(it.id.clone(), it.version)).collect();
        Self {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            kinds: manifest.kinds.clone(),
            sub_types: manifest.sub_types.clone(),
            capabilities: manifest.capabilities.clone(),
            contracts,
            ..Self::new(manifest.id.clone(), manifest.version.clone(), hash, path)
        }
    }

    /// What this record goes by.
    pub fn key(&self) -> RecordKey {
        RecordKey { id: self.id.clone(), version: self.version.clone(), hash: self.hash }
    }

    /// This record in place of an earlier one of the same key: when that was made, and what
    /// a later version wrote into it, stay.
    pub(crate) fn after(mut self, earlier: &Self) -> Self {
        self.created = earlier.created;
        for (field, value) in &earlier.later {
            self.later.entry(field).or_insert_with(|| value.clone());
        }
        self
    }

    pub(crate) fn apply(&mut self, mark: &Mark) {
        self.status = mark.status.clone();
        self.reason = mark.reason.clone();
        if let Some(verdict) = &mark.verdict {
            self.verdict = verdict.clone();
        }
        if let Some(health) = &mark.health {
            self.health = health.clone();
        }
        self.updated = mark.at;
    }
}

impl Offered {
    /// A contract in one version.
    pub fn new(id: ContractId, version: ContractVersion) -> Self {
        Self { id, version, later: Later::new() }
    }
}

impl Reason {
    /// A reason in words that is no error.
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into(), later: Later::new() }
    }

    /// An error's code and message.
    pub fn of_error(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..Self::new(text) }
    }
}

impl Health {
    /// Some troubles, and what the last one said.
    pub fn troubled(troubles: u64, last: impl Into<String>) -> Self {
        Self { troubles, last: Some(last.into()), later: Later::new() }
    }

    /// Whether there was no trouble.
    pub fn is_ok(&self) -> bool {
        self.troubles == 0
    }
}

impl Mark {
    /// A status, now, and nothing else.
    pub fn new(key: RecordKey, status: Status) -> Self {
        Self { key, status, reason: None, verdict: None, health: None, at: now() }
    }
}

/// The time, in milliseconds: more digits are of no use to who reads them.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_a_plugin_is_and_not_what_became_of_it() {
        let manifest = serde_json::json!({
            "id": "pg",
            "name": "Postgres",
            "version": "1.2.0",
            "description": "Reads tables",
            "kinds": ["data_source"],
            "sub_types": { "data_source": { "source": "postgres" } },
            "capabilities": ["tables"],
            "services": [{ "id": "plugbay.data-source", "version": "1.1" }],
        });
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let hash = ContentHash::from_bytes([7; 32]);
        let record = PluginRecord::from_manifest(&manifest, hash, "/plugins/pg.so".into());
        assert_eq!(
            (record.name.as_str(), record.kinds.as_slice()),
            ("Postgres", &manifest.kinds[..])
        );
        assert_eq!(record.sub_types["data_source"]["source"], "postgres");
        assert_eq!(record.contracts[0].version, "1.1".parse().unwrap());
        assert_eq!((record.description.as_str(), record.capabilities.len()), ("Reads tables", 1));
        assert_eq!((&record.status, &record.verdict), (&Status::Unloaded, &Verdict::Unknown));
        assert_eq!(record.key().version.to_string(), "1.2.0");
    }
}
