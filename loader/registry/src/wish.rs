use jiff::Timestamp;
use semver::VersionReq;
use serde::{Deserialize, Serialize};

use crate::record::{Later, now};

/// What somebody wants of a plugin, whatever its versions. Of most plugins there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Wish {
    /// On or off.
    pub choice: Choice,
    /// Which versions are meant by it being on; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionReq>,
    /// Since when.
    pub since: Timestamp,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// Whether a plugin is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It is switched on by hand.
    Enabled,
    /// It is switched off by hand.
    Disabled,
}

impl Wish {
    /// From now on it is on, in these versions or in all.
    pub fn enabled(versions: Option<VersionReq>) -> Self {
        Self { choice: Choice::Enabled, versions, since: now(), later: Later::new() }
    }

    /// From now on it is off.
    pub fn disabled() -> Self {
        Self { choice: Choice::Disabled, versions: None, since: now(), later: Later::new() }
    }
}
