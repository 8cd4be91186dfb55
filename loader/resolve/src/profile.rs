use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::policy::{Active, KindRule};

/// A set of kinds, and how many of each may run, for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum Profile {
    /// Platforms for machine learning.
    MachineLearning,
}

/// A text that is the name of no [`Profile`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile `{}`: there is \"machine-learning\"", .0.escape_debug())]
pub struct UnknownProfile(pub String);

impl Profile {
    /// Its name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::MachineLearning => "machine-learning",
        }
    }

    /// Its kinds and rules.
    pub fn kinds(self) -> BTreeMap<String, KindRule> {
        let rules = match self {
            Self::MachineLearning => machine_learning(),
        };
        rules.into_iter().map(|(kind, rule)| (kind.to_owned(), rule)).collect()
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        match text {
            "machine-learning" | "ml" => Ok(Self::MachineLearning),
            _ => Err(UnknownProfile(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Profile {
    type Error = UnknownProfile;

    fn try_from(text: String) -> Result<Self, UnknownProfile> {
        text.parse()
    }
}

impl From<Profile> for &'static str {
    fn from(profile: Profile) -> Self {
        profile.name()
    }
}

fn machine_learning() -> Vec<(&'static str, KindRule)> {
    let single = || KindRule { active: Active::Single, chain: false };
    let per = |attribute: &str| KindRule {
        active: Active::SinglePer(attribute.to_owned()),
        chain: false,
    };
    let many = KindRule::default;
    let chain = || KindRule { active: Active::Many, chain: true };
    vec![
        ("data_source", per("source")),
        ("data_processor", chain()),
        ("ml_platform", per("platform")),
        ("experiment_tracker", single()),
        ("model_registry", single()),
        ("workflow_engine", single()),
        ("compute_backend", many()),
        ("serving_platform", many()),
        ("monitoring", many()),
        ("feature_store", single()),
        ("vector_database", per("use_case")),
        ("llm_provider", many()),
        // Each is a layer around the ones before it.
        ("security", chain()),
        ("cloud_provider", many()),
        ("configuration", many()),
        ("plugin_system", many()),
        ("ml_trainer", many()),
        ("model_server", many()),
    ]
}
