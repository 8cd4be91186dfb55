use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a contract, in every version: whose it is and what it is, for example
/// `plugbay.renderer`. Two or more words with a `.` between them, of lower-case ASCII
/// letters, digits and `-`, a letter first; at most 64 characters in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContractId(String);

impl ContractId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no [`ContractId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no contract's id: write whose it is and what it is, \"my-company.renderer\", with at \
     most 64 lower-case letters, digits, `-` and `.`",
    .0.escape_debug()
)]
pub struct InvalidContractId(pub String);

impl TryFrom<String> for ContractId {
    type Error = InvalidContractId;

    fn try_from(text: String) -> Result<Self, InvalidContractId> {
        let good = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if text.len() <= Self::MAX_LEN && text.contains('.') && text.split('.').all(good) {
            Ok(Self(text))
        } else {
            Err(InvalidContractId(text))
        }
    }
}

impl FromStr for ContractId {
    type Err = InvalidContractId;

    fn from_str(text: &str) -> Result<Self, InvalidContractId> {
        Self::try_from(text.to_owned())
    }
}

impl From<ContractId> for String {
    fn from(id: ContractId) -> String {
        id.0
    }
}

impl Borrow<str> for ContractId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The version of a contract: the first number changes when callers must change, the
/// second one when methods are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContractVersion {
    /// Versions with another one have nothing in common.
    pub major: u32,
    /// Each one has the methods of those before it.
    pub minor: u32,
}

impl ContractVersion {
    /// Whether a provider with this version has all that a caller with `needed` calls.
    pub fn has_all_of(self, needed: Self) -> bool {
        self.major == needed.major && self.minor >= needed.minor
    }
}

/// A text that is no [`ContractVersion`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no contract's version: write two numbers, \"1.0\"; the first one changes when callers \
     must, the second one when methods are added",
    .0.escape_debug()
)]
pub struct InvalidContractVersion(pub String);

impl FromStr for ContractVersion {
    type Err = InvalidContractVersion;

    fn from_str(text: &str) -> Result<Self, InvalidContractVersion> {
        let number = |part: &str| {
            let plain = part.len() == 1 || !part.starts_with('0');
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if plain && digits { part.parse().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| InvalidContractVersion(text.to_owned()))
    }
}

impl TryFrom<String> for ContractVersion {
    type Error = InvalidContractVersion;

    fn try_from(text: String) -> Result<Self, InvalidContractVersion> {
        text.parse()
    }
}

impl From<ContractVersion> for String {
    fn from(version: ContractVersion) -> String {
        version.to_string()
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A service that a plugin offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provided {
    /// The contract.
    pub id: ContractId,
    /// Its version when the plugin was compiled.
    pub version: ContractVersion,
    /// What it can do besides, in words that callers may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether it goes before others that offer the same: the largest number first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub precedence: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A contract that a plugin calls others by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Need {
    /// The contract.
    pub id: ContractId,
    /// The earliest version that will do; so will later ones with the same first number.
    pub version: ContractVersion,
    /// Whether the plugin also runs without; where not, and nobody offers it, the host
    /// says so.
    #[serde(default)]
    pub optional: bool,
    /// Whether it may call all that there are, and not only the best one or one by name.
    #[serde(default)]
    pub many: bool,
}

impl Provided {
    /// Whether this is what somebody needs.
    pub fn satisfies(&self, need: &Need) -> bool {
        self.id == need.id && self.version.has_all_of(need.version)
    }
}

impl Need {
    pub(crate) fn new(
        id: ContractId,
        version: ContractVersion,
        optional: bool,
        many: bool,
    ) -> Self {
        Self { id, version, optional, many }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_whose_they_are() {
        for good in ["plugbay.renderer", "my-company.data.source2", "a.b"] {
            assert!(good.parse::<ContractId>().is_ok(), "{good}");
        }
        let long = format!("a.{}", "b".repeat(63));
        for bad in ["", "renderer", "a.", ".a", "a..b", "A.b", "a.2b", "a b.c", "a.b/c", &long] {
            assert!(bad.parse::<ContractId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_are_two_numbers() {
        let version = |text: &str| text.parse::<ContractVersion>();
        assert_eq!(version("1.20").unwrap(), ContractVersion { major: 1, minor: 20 });
        for bad in ["1", "1.", ".1", "1.0.0", "01.1", "1.00", "+1.0", "1.x", "1.4294967296"] {
            assert!(version(bad).is_err(), "{bad:?}");
        }
        let (old, new, next) = (version("1.1"), version("1.2"), version("2.0"));
        let (old, new, next) = (old.unwrap(), new.unwrap(), next.unwrap());
        assert!(new.has_all_of(old) && !old.has_all_of(new) && !next.has_all_of(old));
    }
}
