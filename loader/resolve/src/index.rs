//! The files by what others ask for.

use std::collections::BTreeMap;

use plugbay_manifest::{Conflict, ContractVersion, PluginId};

use crate::goals::Files;
use crate::offer::Offer;
use crate::range::within;

/// The files by what others ask for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) by_id: BTreeMap<PluginId, Vec<usize>>,
    by_kind: BTreeMap<String, Vec<usize>>,
    by_capability: BTreeMap<String, Vec<usize>>,
    by_contract: BTreeMap<String, Vec<(usize, ContractVersion)>>,
}

impl Index {
    pub(crate) fn of(offers: &[Offer], files: &[usize]) -> Self {
        let mut index = Self::default();
        for &file in files {
            let manifest = &offers[file].manifest;
            index.by_id.entry(manifest.id.clone()).or_default().push(file);
            let mut put = |map: fn(&mut Self) -> &mut BTreeMap<String, Vec<usize>>, key: &str| {
                let list = map(&mut index).entry(key.to_owned()).or_default();
                if list.last() != Some(&file) {
                    list.push(file);
                }
            };
            manifest.kinds.iter().for_each(|kind| put(|index| &mut index.by_kind, kind));
            let own = manifest.capabilities.iter();
            let of_services = manifest.services.iter().flat_map(|service| &service.capabilities);
            own.chain(of_services).for_each(|word| put(|index| &mut index.by_capability, word));
            for service in &manifest.services {
                let id = service.id.as_str().to_owned();
                index.by_contract.entry(id).or_default().push((file, service.version));
            }
        }
        index
    }

    /// The versions of a plugin, the newest first.
    pub(crate) fn of_id(&self, id: &PluginId) -> &[usize] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_kind(&self, kind: &str) -> &[usize] {
        self.by_kind.get(kind).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &String> + Clone {
        self.by_kind.keys()
    }

    pub(crate) fn in_conflict(&self, offers: &[Offer], conflict: &Conflict) -> Files {
        let named = |map: &BTreeMap<String, Vec<usize>>, name: &str| -> Files {
            map.get(name).map(|files| files.as_slice().into()).unwrap_or_default()
        };
        match conflict {
            Conflict::Plugin(selector) => {
                within(&selector.version, offers, self.of_id(&selector.id)).collect()
            }
            Conflict::Kind(kind) => named(&self.by_kind, kind),
            Conflict::Capability(word) => named(&self.by_capability, word),
            // What this version knows nothing of.
            _ => Files::default(),
        }
    }

    /// Who offers a contract, and in which version; in several ones perhaps.
    pub(crate) fn offering(&self, contract: &str) -> &[(usize, ContractVersion)] {
        self.by_contract.get(contract).map_or(&[], Vec::as_slice)
    }
}
