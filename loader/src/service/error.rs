use plugbay_interface::manifest::{PluginId, Selector};
use semver::{Version, VersionReq};

use crate::activate::Active;
use crate::call::CallError;
use crate::error::{Explain, shown_word};
use crate::offers::{Difference, Offered, Unfit, Want};

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The plugin does not serve, or is none.
    #[error(transparent)]
    Plugin(#[from] CallError),
    /// The plugin does not offer the contract.
    #[error("{plugin} {version} does not offer {} {major}{}", shown_word(.contract), also(.offers))]
    NotOffered {
        /// The plugin.
        plugin: PluginId,
        /// Its version.
        version: Version,
        /// The contract that is asked for.
        contract: String,
        /// Its major version.
        major: u32,
        /// The contracts that the plugin offers, with their versions.
        offers: Vec<String>,
    },
    /// The plugin offers the contract, but another form of it.
    #[error("{plugin} {version} offers another {} than is asked for: {}", shown_word(.contract), shown_word(&.difference.summary))]
    Differs {
        /// The plugin.
        plugin: PluginId,
        /// Its version.
        version: Version,
        /// The contract.
        contract: String,
        /// What differs.
        difference: Box<Difference>,
    },
    /// No plugin offers what is asked for.
    #[error("no plugin that serves offers {wanted}{}", but(.instead))]
    Nobody {
        /// What is asked for, in words.
        wanted: String,
        /// What there is that does not do, and why.
        instead: Vec<String>,
    },
}

fn also(offers: &[String]) -> String {
    match offers {
        [] => "; it offers no contract".to_owned(),
        offers => format!("; it offers {}", offers.join(", ")),
    }
}

fn but(instead: &[String]) -> String {
    if instead.is_empty() { String::new() } else { format!(": {}", instead.join("; ")) }
}

impl ServiceError {
    pub(crate) fn unfit(active: &Active, wanted: &Want, unfit: Unfit) -> Self {
        let manifest = &active.about.manifest;
        let (plugin, version) = (manifest.id.clone(), manifest.version.clone());
        let Want { contract: wanted, versions } = wanted;
        let contract = wanted.id.clone();
        match unfit {
            Unfit::Version => {
                let versions = versions.clone().unwrap_or(VersionReq::STAR);
                let wanted = Selector { id: plugin, version: versions };
                Self::Plugin(CallError::NoVersion { wanted, serving: vec![version] })
            }
            Unfit::Missing => {
                let name = |one: &Offered| format!("{} {}.{}", one.contract, one.major, one.minor);
                let offers = active.offers.all().iter().map(name).collect();
                Self::NotOffered { plugin, version, contract, major: wanted.major, offers }
            }
            Unfit::Differs(difference) => Self::Differs { plugin, version, contract, difference },
        }
    }

    /// The long story, for a verbose mode: where a contract differs, how each side has
    /// it, one a line. None where there is no more to tell than the message does.
    pub fn details(&self) -> Option<&str> {
        match self {
            Self::Differs { difference, .. } => difference.details.as_deref(),
            _ => None,
        }
    }
}

impl Explain for ServiceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Plugin(error) => error.code(),
            Self::NotOffered { .. } => "PB1401",
            Self::Differs { .. } => "PB1402",
            Self::Nobody { .. } => "PB1403",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Plugin(error) => error.hint(),
            Self::NotOffered { .. } => {
                "use a version of the plugin that offers it, or another plugin: host-app services"
                    .into()
            }
            Self::Differs { .. } => {
                "build the plugin and the host with the same version of the crate that defines \
                 the contract; a contract that changes gets a new major version"
                    .into()
            }
            Self::Nobody { .. } => "put a plugin that offers it into a plugins folder".into(),
        }
    }
}

/// For `?` on what comes in a box.
impl From<Box<Self>> for ServiceError {
    fn from(error: Box<Self>) -> Self {
        *error
    }
}
