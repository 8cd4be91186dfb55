use plugbay_manifest::{ContractId, ContractVersion, PluginId};
use semver::VersionReq;

use crate::{ContentHash, PluginRecord, Status};

/// Which plugins are wanted; all of them, unless something is said. What is said must
/// all hold.
///
/// They come sorted by id, the newest version first; where texts are searched for, the
/// best matches come before the others.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Query {
    /// Only this plugin.
    pub id: Option<PluginId>,
    /// Only versions in this range. As everywhere with ranges, a pre-release is in one only
    /// if that names a pre-release of the same version.
    pub versions: Option<VersionReq>,
    /// Only these bytes.
    pub hash: Option<ContentHash>,
    /// Only what is of all of these kinds.
    pub kinds: Vec<String>,
    /// Only what is all of these of a kind: the kind, the attribute's name and its value.
    pub sub_types: Vec<[String; 3]>,
    /// Only what has all of these capabilities.
    pub capabilities: Vec<String>,
    /// Only what offers all of these contracts, in versions that have all that a caller
    /// with the one named here calls: the same major number, and no smaller minor one.
    pub contracts: Vec<(ContractId, ContractVersion)>,
    /// Only what has one of these statuses; any, where there is none.
    pub statuses: Vec<Status>,
    /// Words that must all be found in the name, the id, the description, the kinds or
    /// the capabilities, whether in capitals or not, also as parts of other words.
    pub text: Option<String>,
    /// At most so many, the first ones.
    pub limit: Option<usize>,
}

impl Query {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this plugin.
    pub fn id(mut self, id: PluginId) -> Self {
        self.id = Some(id);
        self
    }

    /// Only versions in this range.
    pub fn versions(mut self, range: VersionReq) -> Self {
        self.versions = Some(range);
        self
    }

    /// Only these bytes.
    pub fn hash(mut self, hash: ContentHash) -> Self {
        self.hash = Some(hash);
        self
    }

    /// Of this kind, too.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Being this of a kind, too, for example `data_source`, `source`, `postgres`.
    pub fn sub_type(
        mut self,
        kind: impl Into<String>,
        attribute: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.sub_types.push([kind.into(), attribute.into(), value.into()]);
        self
    }

    /// With this capability, too.
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// Offering this contract, too.
    pub fn contract(mut self, id: ContractId, version: ContractVersion) -> Self {
        self.contracts.push((id, version));
        self
    }

    /// Or with this status.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// With these words.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// At most so many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether a record is wanted, by all but its text and its place in the order.
    pub(crate) fn wants(&self, record: &PluginRecord) -> bool {
        self.id.as_ref().is_none_or(|id| *id == record.id)
            && self.wants_version_of(record)
            && self.hash.is_none_or(|hash| hash == record.hash)
            && self.kinds.iter().all(|kind| record.kinds.contains(kind))
            && self.wants_sub_types_of(record)
            && self.capabilities.iter().all(|word| record.capabilities.contains(word))
            && self.contracts.iter().all(|(id, version)| {
                let mut offered = record.contracts.iter();
                offered.any(|it| it.id == *id && it.version.has_all_of(*version))
            })
            && (self.statuses.is_empty() || self.statuses.contains(&record.status))
    }

    pub(crate) fn wants_version_of(&self, record: &PluginRecord) -> bool {
        self.versions.as_ref().is_none_or(|range| range.matches(&record.version))
    }

    pub(crate) fn wants_sub_types_of(&self, record: &PluginRecord) -> bool {
        self.sub_types.iter().all(|[kind, attribute, value]| {
            let attributes = record.sub_types.get(kind);
            attributes.and_then(|attributes| attributes.get(attribute)) == Some(value)
        })
    }

    /// The words to search for, as they are compared.
    pub(crate) fn words(&self) -> Vec<String> {
        let text = self.text.as_deref().unwrap_or_default();
        text.split_whitespace().map(folded).collect()
    }
}

/// A text as it is compared with others, whether in capitals or not.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
