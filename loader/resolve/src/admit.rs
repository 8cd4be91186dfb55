//! Which files ask for too much to be looked up.
//!
//! What a file asks for, a plugin in a range of versions or a contract, is looked up among
//! all that have that name, once for all who ask for it. Ten files with ten thousand ranges
//! each, of a plugin of a thousand versions, are a hundred million such looks. So they are
//! counted before: the files that ask for little are taken first, and those that are left
//! when there is no more effort are not.

use std::collections::{HashMap, HashSet};

use plugbay_manifest::{Conflict, ContractId, ContractVersion, Manifest, PluginId, takes};
use semver::VersionReq;

use crate::offer::Offer;
use crate::range::near;

/// Steps of the policy's effort that one look is counted as: what is found is kept, and
/// becomes a part of what is searched.
const STEPS_A_LOOK: u64 = 50;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Ask<'a> {
    Versions(&'a PluginId, &'a VersionReq),
    /// The versions of a plugin beside one of its own, which each file asks for itself.
    Beside(usize, &'a VersionReq),
    Contract(&'a ContractId, ContractVersion),
}

/// Which files there are of each name.
struct Census<'a> {
    offers: &'a [Offer],
    of_id: HashMap<&'a str, Vec<usize>>,
    offering: HashMap<&'a str, Offering>,
}

/// Who offers a contract: in several versions perhaps.
#[derive(Default)]
struct Offering {
    services: u64,
    files: u64,
    last: Option<usize>,
}

impl<'a> Census<'a> {
    fn of(offers: &'a [Offer], files: &[usize]) -> Self {
        let mut this = Self { offers, of_id: HashMap::new(), offering: HashMap::new() };
        for &file in files {
            let manifest = &offers[file].manifest;
            this.of_id.entry(manifest.id.as_str()).or_default().push(file);
            for service in &manifest.services {
                let offering = this.offering.entry(service.id.as_str()).or_default();
                offering.services += 1;
                offering.files += u64::from(offering.last.replace(file) != Some(file));
            }
        }
        this
    }

    fn count(&self, id: &PluginId) -> u64 {
        self.of_id.get(id.as_str()).map_or(0, |files| files.len() as u64)
    }

    fn looks(&self, ask: Ask<'_>, own: &PluginId) -> u64 {
        let near = |id: &PluginId, range| {
            let files = self.of_id.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            near(range, self.offers, files).len() as u64
        };
        match ask {
            Ask::Versions(id, range) => near(id, range),
            Ask::Beside(_, range) => near(own, range),
            Ask::Contract(id, _) => self.offering.get(id.as_str()).map_or(0, |it| it.services),
        }
    }
}

/// The files that ask for more than there is effort for, each with a number of other files
/// that it is bound up with at the least.
pub(crate) fn too_much(offers: &[Offer], files: &[usize], effort: u64) -> Vec<(usize, usize)> {
    let census = Census::of(offers, files);
    let most = effort / STEPS_A_LOOK;
    let looks = |file: usize| {
        let own = &offers[file].manifest.id;
        asks(offers, file).map(move |ask| (ask, own))
    };
    let all = files.iter().flat_map(|file| looks(*file));
    if all.map(|(ask, own)| census.looks(ask, own)).sum::<u64>() <= most {
        return Vec::new();
    }
    // What many ask for costs each of them a part.
    let mut askers: HashMap<Ask<'_>, u64> = HashMap::new();
    for (ask, _) in files.iter().flat_map(|file| looks(*file)) {
        *askers.entry(ask).or_default() += 1;
    }
    let share = |file: usize| -> u64 {
        let each = looks(file).map(|(ask, own)| {
            census.looks(ask, own).div_ceil(askers.get(&ask).copied().unwrap_or(1))
        });
        each.sum()
    };
    let mut turns: Vec<(u64, usize)> = files.iter().map(|file| (share(*file), *file)).collect();
    turns.sort_unstable();
    let (mut left, mut looked_up, mut out) = (most, HashSet::new(), Vec::new());
    for (_, file) in turns {
        let new: HashMap<Ask<'_>, u64> = looks(file)
            .filter(|(ask, _)| !looked_up.contains(ask))
            .map(|(ask, own)| (ask, census.looks(ask, own)))
            .collect();
        match left.checked_sub(new.values().sum()) {
            Some(rest) => {
                left = rest;
                looked_up.extend(new.into_keys());
            }
            None => out.push((file, bound_up(offers, file, &census))),
        }
    }
    out
}

fn asks(offers: &[Offer], file: usize) -> impl Iterator<Item = Ask<'_>> {
    let Manifest { id, version, dependencies, needs, conflicts, .. } = &*offers[file].manifest;
    let dependencies = dependencies.iter().filter_map(move |it| match () {
        () if it.id != *id => Some(Ask::Versions(&it.id, &it.version)),
        () if takes(&it.version, version) => None,
        () => Some(Ask::Beside(file, &it.version)),
    });
    let needs = needs.iter().map(|it| Ask::Contract(&it.id, it.version));
    let conflicts = conflicts.iter().filter_map(|it| match it {
        Conflict::Plugin(it) => Some(Ask::Versions(&it.id, &it.version)),
        _ => None,
    });
    dependencies.chain(needs).chain(conflicts)
}

/// The files of those plugins that it names, or those that offer one contract, without
/// itself.
fn bound_up(offers: &[Offer], file: usize, census: &Census<'_>) -> usize {
    let own = &offers[file].manifest.id;
    let mut names = HashSet::new();
    let (mut of_ids, mut offering) = (0, 0);
    for ask in asks(offers, file) {
        match ask {
            Ask::Versions(id, _) if !names.insert(id) => {}
            Ask::Versions(id, _) => of_ids += census.count(id).saturating_sub(u64::from(id == own)),
            Ask::Beside(..) if !names.insert(own) => {}
            Ask::Beside(..) => of_ids += census.count(own).saturating_sub(1),
            Ask::Contract(id, _) => {
                let files = census.offering.get(id.as_str()).map_or(0, |it| it.files);
                offering = files.saturating_sub(1).max(offering);
            }
        }
    }
    usize::try_from(of_ids.max(offering)).unwrap_or(usize::MAX)
}
