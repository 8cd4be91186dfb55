use std::collections::{BTreeMap, BTreeSet};

use plugbay_manifest::{PluginId, Selector};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::lock::Lock;
use crate::members::{Exclusion, Members};

/// What a host wants of the plugins in its folders.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// The host program's version, which manifests name as `host`.
    pub host: Version,
    /// What the host has that manifests may require.
    pub features: BTreeSet<String>,
    /// How many plugins of a kind may run. [`Active::Many`] of a kind that is not here.
    pub kinds: BTreeMap<String, KindRule>,
    /// Whether a plugin of a kind that is not in `kinds` is refused: it may be a slip of
    /// the pen.
    pub only_known_kinds: bool,
    /// Per kind, who goes before whom where not all can run, and in a chain. Those that
    /// are not named come last.
    pub precedence: BTreeMap<String, Vec<PluginId>>,
    /// What somebody enabled by hand: goes before all others, and only in these versions.
    pub enabled: Vec<Selector>,
    /// What somebody disabled by hand.
    pub disabled: BTreeSet<PluginId>,
    /// Whether several versions of a plugin may run, where `versions_of` says nothing.
    pub versions: Versions,
    /// The same, for single plugins.
    pub versions_of: BTreeMap<PluginId, Versions>,
    /// Only these, and what they need. All where not set.
    pub only: Option<BTreeSet<PluginId>>,
    /// Only what a stack names, and what that needs, in the versions and of the kinds that it
    /// says. All where not set.
    pub members: Option<Members>,
    /// Plugins that do not run beside each other, besides what they say themselves.
    pub conflicts: Vec<Exclusion>,
    /// Plugins that were tried and did not come up, by line, and why. None of the versions
    /// of that line runs.
    pub failed: BTreeMap<(PluginId, Line), String>,
    /// Contents that are held back, by hash, and why.
    pub held: BTreeMap<String, Held>,
    /// What ran the last time: of two files with one id and version, the one that it names.
    pub lock: Option<Lock>,
    /// Whether what is not in the lock is refused.
    pub locked: bool,
    /// How much work a decision may be, in steps of some nanoseconds: for the search, and
    /// as much again at most for what comes before and after it. Where that is not enough,
    /// those that ask for the most, or are bound up with the most, do not run and say so
    /// ([`Reason::Undecided`](crate::Reason::Undecided)).
    pub effort: u64,
}

/// Why a content is held back, from outside of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why, in one line.
    pub reason: String,
    /// What releases it.
    pub help: String,
}

/// How many plugins of a kind may run at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct KindRule {
    /// How many.
    pub active: Active,
    /// Whether they are run one after the other, in an order that the policy gives.
    pub chain: bool,
}

/// How many of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Active {
    /// One.
    Single,
    /// One for each value of an attribute, for example `source`. Those that do not give
    /// it are one group of their own.
    SinglePer(String),
    /// Any number.
    #[default]
    Many,
}

/// Whether several versions of one plugin may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Versions {
    /// One.
    #[default]
    One,
    /// One of each line of compatible versions: 1.x, 2.x, 0.3.x.
    Compatible,
    /// Every version.
    All,
}

/// Which versions of a plugin take each other's place: all, or those of one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// All versions of it.
    Whole,
    /// These, for example `1`, `0.3` or `2.0.0-rc.1`.
    Of(String),
}

impl Policy {
    /// Everything runs that can: no kinds, no precedence.
    pub fn new(host: Version) -> Self {
        Self {
            host,
            features: BTreeSet::new(),
            kinds: BTreeMap::new(),
            only_known_kinds: false,
            precedence: BTreeMap::new(),
            enabled: Vec::new(),
            disabled: BTreeSet::new(),
            versions: Versions::One,
            versions_of: BTreeMap::new(),
            only: None,
            members: None,
            conflicts: Vec::new(),
            failed: BTreeMap::new(),
            held: BTreeMap::new(),
            lock: None,
            locked: false,
            effort: 50_000_000,
        }
    }

    /// Whether no more than one version of a plugin may run.
    pub fn is_one(&self, id: &PluginId) -> bool {
        self.versions_of(id) == Versions::One
    }

    fn versions_of(&self, id: &PluginId) -> Versions {
        self.versions_of.get(id).copied().unwrap_or(self.versions)
    }

    /// The line that a version of a plugin belongs to.
    pub fn line_of(&self, id: &PluginId, version: &Version) -> Line {
        self.versions_of(id).line(version)
    }
}

impl Versions {
    /// The line that a version belongs to.
    pub(crate) fn line(self, version: &Version) -> Line {
        match self {
            Self::One => Line::Whole,
            Self::All => Line::Of(version.to_string()),
            Self::Compatible if !version.pre.is_empty() => Line::Of(version.to_string()),
            Self::Compatible => Line::Of(match (version.major, version.minor) {
                (0, 0) => format!("0.0.{}", version.patch),
                (0, minor) => format!("0.{minor}"),
                (major, _) => major.to_string(),
            }),
        }
    }
}

/// How a rule is written in a file: `"single"`, `"many"`, `"chain"`, or
/// `{ single-per = "source" }`; each of them as a table, too: `{ many = true, chain = true }`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a rule is \"single\", \"many\", \"chain\" or { single-per = \"ATTRIBUTE\" }"
)]
enum Written {
    Word(Word),
    Table(Table),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Single,
    Many,
    Chain,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    #[serde(default, skip_serializing_if = "is_false")]
    single: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    single_per: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    many: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    chain: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_false(truth: &bool) -> bool {
    !*truth
}

impl TryFrom<Written> for KindRule {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Ok(match written {
            Written::Word(Word::Single) => Self { active: Active::Single, chain: false },
            Written::Word(Word::Many) => Self::default(),
            Written::Word(Word::Chain) => Self { active: Active::Many, chain: true },
            Written::Table(Table { single, single_per, many, chain }) => {
                let active = match (single, single_per, many) {
                    (true, None, false) => Active::Single,
                    (false, Some(attribute), false) => Active::SinglePer(attribute),
                    (false, None, _) => Active::Many,
                    _ => return Err("a kind is one of `single`, `single-per` and `many`"),
                };
                Self { active, chain }
            }
        })
    }
}

impl From<KindRule> for Written {
    fn from(rule: KindRule) -> Self {
        let KindRule { active, chain } = rule;
        match (active, chain) {
            (Active::Single, false) => Self::Word(Word::Single),
            (Active::Many, false) => Self::Word(Word::Many),
            (Active::Many, true) => Self::Word(Word::Chain),
            (Active::Single, true) => {
                Self::Table(Table { single: true, chain, ..Table::default() })
            }
            (Active::SinglePer(attribute), chain) => {
                Self::Table(Table { single_per: Some(attribute), chain, ..Table::default() })
            }
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("*"),
            Self::Of(versions) => f.write_str(versions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_people_write_them() {
        let read = |text: &str| toml::from_str::<BTreeMap<String, KindRule>>(text);
        for (text, active, chain) in [
            ("k = \"single\"", Active::Single, false),
            ("k = \"many\"", Active::Many, false),
            ("k = \"chain\"", Active::Many, true),
            ("k = { single-per = \"source\" }", Active::SinglePer("source".into()), false),
            ("k = { many = true, chain = true }", Active::Many, true),
            ("k = { single = true, chain = true }", Active::Single, true),
        ] {
            let rules = read(text).unwrap();
            assert_eq!(rules["k"], KindRule { active, chain }, "{text}");
            let written = serde_json::to_string(&rules).unwrap();
            assert_eq!(
                serde_json::from_str::<BTreeMap<String, KindRule>>(&written).unwrap(),
                rules
            );
        }
        for bad in ["k = \"some\"", "k = { single = true, many = true }", "k = { per = \"a\" }"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn compatible_versions_are_one_line() {
        let mut policy = Policy::new(Version::new(1, 0, 0));
        let id: PluginId = "sql".parse().unwrap();
        let line = |policy: &Policy, version: &str| policy.line_of(&id, &version.parse().unwrap());
        assert_eq!(line(&policy, "1.0.0"), line(&policy, "2.0.0"));
        policy.versions = Versions::Compatible;
        for (version, expected) in [
            ("1.2.3", "1"),
            ("2.0.0", "2"),
            ("0.3.1", "0.3"),
            ("0.0.7", "0.0.7"),
            ("2.0.0-rc.1", "2.0.0-rc.1"),
        ] {
            assert_eq!(line(&policy, version), Line::Of(expected.into()));
        }
        policy.versions_of.insert(id.clone(), Versions::All);
        assert_ne!(line(&policy, "1.0.0"), line(&policy, "1.0.1"));
    }
}
