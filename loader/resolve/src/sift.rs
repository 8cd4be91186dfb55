//! What does not run whatever the others do.

use std::collections::{BTreeMap, HashMap};

use plugbay_manifest::{Manifest, PluginId, takes};
use semver::Version;

use crate::advice::nearest;
use crate::members::Membership;
use crate::offer::Offer;
use crate::policy::Policy;
use crate::reason::Reason;

/// The numbers of those that may run, and the others with their reasons.
pub(crate) struct Sifted {
    pub(crate) good: Vec<usize>,
    pub(crate) out: Vec<(usize, Reason)>,
}

pub(crate) fn sift(offers: &[Offer], policy: &Policy, membership: &Membership<'_>) -> Sifted {
    let mut by_id: BTreeMap<&PluginId, Vec<usize>> = BTreeMap::new();
    for (number, offer) in offers.iter().enumerate() {
        by_id.entry(&offer.manifest.id).or_default().push(number);
    }
    let (mut good, mut out) = (Vec::new(), Vec::new());
    let mut taken: HashMap<(&PluginId, &Version), usize> = HashMap::new();
    for files in by_id.values() {
        let mut files = files.clone();
        files.sort_by_key(|file| Turn::of(&offers[*file], policy));
        for file in files {
            let offer = &offers[file];
            let Manifest { id, version, .. } = &*offer.manifest;
            let out_by_itself = by_itself(offer, policy, membership);
            // One that failed is the one that was taken, also for its likes.
            let failed = matches!(out_by_itself, Some(Reason::Failed { .. }));
            let like = taken.get(&(id, version)).map(|other| &offers[*other]).map(|other| {
                let path = other.path.clone();
                if other.hash == offer.hash {
                    Reason::SameBytes { other: path }
                } else {
                    Reason::Ambiguous { other: path }
                }
            });
            let reason = match (out_by_itself, like) {
                (Some(reason), None) => Some(reason),
                (Some(reason), Some(_)) if !failed => Some(reason),
                (_, Some(like)) => Some(like),
                (None, None) => wrong_kind(offer, offers, &by_id),
            };
            if reason.is_none() || failed {
                taken.entry((id, version)).or_insert(file);
            }
            match reason {
                Some(reason) => out.push((file, reason)),
                None => good.push(file),
            }
        }
    }
    good.sort_unstable();
    Sifted { good, out }
}

/// Of files of one version, which one is taken: what the lock names, then by folder, then
/// by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn<'a> {
    not_locked: bool,
    rank: usize,
    path: &'a std::path::Path,
}

impl<'a> Turn<'a> {
    fn of(offer: &'a Offer, policy: &Policy) -> Self {
        let locked = policy.lock.as_ref().is_some_and(|lock| lock.names(offer));
        Self { not_locked: !locked, rank: offer.rank, path: &offer.path }
    }
}

fn by_itself(offer: &Offer, policy: &Policy, membership: &Membership<'_>) -> Option<Reason> {
    let manifest = &*offer.manifest;
    let Manifest { id, version, host: needs, .. } = manifest;
    if policy.disabled.contains(id) {
        return Some(Reason::Disabled);
    }
    if let Some(reason) = membership.against(offer) {
        return Some(reason);
    }
    if !fits(needs, &policy.host) {
        return Some(Reason::Host { needs: needs.clone(), host: policy.host.clone() });
    }
    let has = |feature: &&String| !policy.features.contains(*feature);
    let missing: Vec<_> = manifest.features.iter().filter(has).cloned().collect();
    if !missing.is_empty() {
        return Some(Reason::Features { missing, has: policy.features.iter().cloned().collect() });
    }
    if let Some(held) = policy.held.get(&offer.hash) {
        return Some(Reason::Held(held.clone()));
    }
    if !policy.failed.is_empty()
        && let Some(reason) = policy.failed.get(&(id.clone(), policy.line_of(id, version)))
    {
        return Some(Reason::Failed { reason: reason.clone() });
    }
    let mut enabled = policy.enabled.iter().filter(|selector| selector.id == *id).peekable();
    if let Some(first) = enabled.peek().copied()
        && enabled.all(|selector| !takes(&selector.version, version))
    {
        return Some(Reason::NotEnabled { range: first.version.clone() });
    }
    if policy.locked
        && let Some(lock) = &policy.lock
        && !lock.names(offer)
    {
        return Some(Reason::NotLocked { locked: lock.entry_of(id, version) });
    }
    if policy.only_known_kinds {
        let unknown = manifest.kinds.iter().find(|kind| !policy.kinds.contains_key(*kind));
        return unknown.map(|kind| Reason::UnknownKind {
            kind: kind.clone(),
            meant: nearest(kind, policy.kinds.keys()).cloned(),
        });
    }
    None
}

/// Whether it takes another plugin for something that none of its versions is.
fn wrong_kind(
    offer: &Offer,
    offers: &[Offer],
    by_id: &BTreeMap<&PluginId, Vec<usize>>,
) -> Option<Reason> {
    offer.manifest.integrates.iter().find_map(|integration| {
        let kind = integration.kind.as_ref()?;
        let others = by_id.get(integration.plugin.as_ref()?)?;
        let others: Vec<_> = others.iter().map(|other| &offers[*other]).collect();
        if others.iter().any(|other| other.manifest.kinds.contains(kind)) {
            return None;
        }
        let newest = others.into_iter().max_by_key(|other| &other.manifest.version)?;
        let found = newest.manifest.kinds.clone();
        Some(Reason::WrongKind { with: newest.name(), kind: kind.clone(), found })
    })
}

/// A pre-release of a host counts as that host: `2.0.0-rc.1` runs what needs `^2`
/// or `>=1`, which semver's own rule for dependencies would refuse.
fn fits(needs: &semver::VersionReq, host: &Version) -> bool {
    needs.matches(host) || {
        let release = Version { pre: semver::Prerelease::EMPTY, ..host.clone() };
        needs.matches(&release)
    }
}
