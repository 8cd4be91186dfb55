use std::fmt;
use std::str::FromStr;

use plugbay_manifest::PluginId;

/// Whose a schema is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Owner {
    /// A part of the host, by a name for people.
    Component(String),
    /// A plugin.
    Plugin(PluginId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => {
                write!(f, "the host's component `{}`", crate::shown::short(name, 60))
            }
            Self::Plugin(id) => write!(f, "the plugin `{id}`"),
        }
    }
}

/// What a base schema goes by: `pool`, `acme.pool`. Words of lower-case letters,
/// digits, `-` and `_`, a letter first, with dots between; 64 characters at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseId(String);

impl BaseId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no [`BaseId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no base schema's id: use words of lower-case letters, digits, `-` and `_`, a letter \
     first, with dots between, 64 characters at most",
    crate::shown::short(.0, 80)
)]
pub struct InvalidBaseId(pub String);

impl FromStr for BaseId {
    type Err = InvalidBaseId;

    fn from_str(text: &str) -> Result<Self, InvalidBaseId> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(good)
        };
        if text.len() <= Self::MAX_LEN && text.split('.').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBaseId(text.to_owned()))
        }
    }
}

impl fmt::Display for BaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One schema among all: its owner's own, or a base that it gives to others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Whose it is.
    pub owner: Owner,
    /// What it goes by, if it is a base.
    pub base: Option<BaseId>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Some(base) => write!(f, "the base schema `{base}` of {}", self.owner),
            None => write!(f, "the schema of {}", self.owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_with_dots_between() {
        for good in ["pool", "acme.pool", "a-b_c.d2", &"a".repeat(64)] {
            assert!(good.parse::<BaseId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "2a", "a/b", "a b", "a#", &"a".repeat(65)] {
            assert!(bad.parse::<BaseId>().is_err(), "{bad:?}");
        }
    }
}
