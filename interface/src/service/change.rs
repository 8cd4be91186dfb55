use std::fmt;

use plugbay_manifest::ContractVersion;

use super::Contract;
use crate::abi::ServiceChanged;

/// What became of another plugin's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// It can be called now.
    Appeared,
    /// Another generation of that plugin serves now. A [`Service`](super::Service) goes
    /// on by itself; what was learnt from the earlier generation may be another thing.
    Replaced,
    /// It cannot be called any more.
    Gone,
}

/// Which of the services that a plugin needs changed, and how; for
/// [`Plugin::service_changed`](crate::Plugin::service_changed).
#[derive(Debug, Clone, Copy)]
pub struct ServiceChange<'a> {
    contract: &'a str,
    version: ContractVersion,
    plugin: &'a str,
    what: Change,
}

impl<'a> ServiceChange<'a> {
    /// None for what only a later host knows of.
    pub(crate) fn read(changed: &ServiceChanged<'a>) -> Option<Self> {
        let what = match changed.what {
            ServiceChanged::APPEARED => Change::Appeared,
            ServiceChanged::REPLACED => Change::Replaced,
            ServiceChanged::GONE => Change::Gone,
            _ => return None,
        };
        Some(Self {
            contract: changed.contract.as_str(),
            version: ContractVersion { major: changed.major, minor: changed.minor },
            plugin: changed.plugin.as_str(),
            what,
        })
    }

    /// What became of it.
    pub fn what(&self) -> Change {
        self.what
    }

    /// The id of the plugin that offers it, or did: what
    /// [`Context::service`](crate::Context::service) is asked with.
    pub fn plugin(&self) -> &'a str {
        self.plugin
    }

    /// The contract's id.
    pub fn contract(&self) -> &'a str {
        self.contract
    }

    /// In which version that plugin offers the contract; of one that is gone, in which
    /// it did.
    pub fn version(&self) -> ContractVersion {
        self.version
    }

    /// Whether it is a service of this contract: `change.is_of::<dyn Renderer>()`.
    pub fn is_of<C: Contract + ?Sized>(&self) -> bool {
        self.contract == C::ID && self.version.major == C::MAJOR
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Appeared => "appeared",
            Self::Replaced => "replaced",
            Self::Gone => "gone",
        })
    }
}

impl fmt::Display for ServiceChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, version, plugin, what } = self;
        write!(f, "{contract} {version} of {plugin}: {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[service(id = "test.tidy", version = "2.3")]
    trait Tidy: Send + Sync {
        fn tidy(&self) -> Result<(), Error>;
    }

    fn changed(major: u32, what: u8) -> ServiceChanged<'static> {
        let (contract, plugin, more) = ("test.tidy".into(), "maid".into(), "".into());
        ServiceChanged { contract, major, minor: 4, plugin, what, more }
    }

    #[test]
    fn says_what_became_of_which_service() {
        let changed = [changed(2, 1), changed(2, 2), changed(1, 3)];
        let read = changed.each_ref().map(|changed| ServiceChange::read(changed).unwrap());
        assert_eq!(read[0].to_string(), "test.tidy 2.4 of maid: appeared");
        assert_eq!(read.map(|one| one.what()), [Change::Appeared, Change::Replaced, Change::Gone]);
        assert_eq!(read.map(|one| one.is_of::<dyn Tidy>()), [true, true, false]);
    }

    #[test]
    fn what_a_later_host_says_is_passed_over() {
        assert!(ServiceChange::read(&changed(2, 0)).is_none());
        assert!(ServiceChange::read(&changed(2, 4)).is_none());
    }
}
