use std::collections::BTreeMap;

use plugbay_interface::manifest::PluginId;

use crate::registry::{EventKind, HeldBack, HistoryQuery, Registry, RegistryError, Wish};

/// What no file in a folder says, and is written once more where the registry was begun anew.
#[derive(Default)]
pub(super) struct ByHand {
    pub(super) wishes: BTreeMap<PluginId, Wish>,
    pub(super) held: Vec<HeldBack>,
}

impl ByHand {
    /// Writes what is not there. Another host of the registry may have done so before, and
    /// may know what somebody wanted later, or released.
    pub(super) fn write(&self, registry: &dyn Registry) -> Result<(), RegistryError> {
        let there = registry.wishes()?;
        for (id, wish) in &self.wishes {
            if there.get(id).is_none_or(|other| other.since < wish.since) {
                registry.set_wish(id, Some(wish.clone()))?;
            }
        }
        for held in &self.held {
            let released = HistoryQuery::new().of(held.plugin.clone()).kind(EventKind::Released);
            let released = registry.history(&released.since(held.since))?;
            if released.iter().all(|event| event.version.as_ref() != Some(&held.version)) {
                registry.hold_back(held)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use semver::Version;

    use super::*;
    use crate::registry::{
        Choice, ContentHash, Event, MemoryRegistry, Reason, RecordKey, Selector,
    };

    fn id() -> PluginId {
        "sql".parse().unwrap()
    }

    fn choice(registry: &dyn Registry) -> Option<Choice> {
        registry.wishes().unwrap().get(&id()).map(|wish| wish.choice)
    }

    #[test]
    fn the_later_one_of_two_hosts_wishes_is_kept() {
        let (earlier, mut later) = (Wish::disabled(), Wish::enabled(None));
        later.since = earlier.since + Duration::from_millis(1);
        for hosts in [[&earlier, &later], [&later, &earlier]] {
            let registry = MemoryRegistry::new();
            for wish in hosts {
                let wishes = [(id(), wish.clone())].into();
                ByHand { wishes, held: Vec::new() }.write(&registry).unwrap();
            }
            assert_eq!(choice(&registry), Some(Choice::Enabled));
        }
    }

    #[test]
    fn what_another_host_has_released_meanwhile_is_not_held_back_again() {
        let registry = MemoryRegistry::new();
        let version = Version::new(1, 0, 0);
        let key = RecordKey {
            id: id(),
            version: version.clone(),
            hash: ContentHash::from_bytes([7; 32]),
        };
        let held = HeldBack::new(key, Reason::new("took its host down"));
        let by_hand = ByHand { wishes: BTreeMap::new(), held: vec![held] };
        by_hand.write(&registry).unwrap();
        assert_eq!(registry.held_back().unwrap(), by_hand.held);
        registry.release(&Selector::All).unwrap();
        let released = Event::new(id(), Some(version), EventKind::Released, "");
        registry.append(&[released]).unwrap();
        by_hand.write(&registry).unwrap();
        assert!(registry.held_back().unwrap().is_empty());
    }
}
