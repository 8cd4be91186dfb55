//! What does not run whatever the others do.

use std::collections::{BTreeMap, HashMap, HashSet};

use plugbay_manifest::{Manifest, PluginId};
use semver::{Version, VersionReq};

use crate::admit::too_much;
use crate::effort::Effort;
use crate::excerpt::Excerpt;
use crate::members::Membership;
use crate::offer::Offer;
use crate::policy::Policy;
use crate::range::within;
use crate::reason::Reason;
use crate::spelling::Spelling;

/// Steps of the policy's effort that a byte of others, kept in a reason, is counted as.
const STEPS_A_BYTE: u64 = 4;

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
    let known = Known::of(offers, policy, &by_id);
    let mut spelling = Spelling::new(policy.kinds.keys());
    let text = Effort::new(policy.effort / STEPS_A_BYTE);
    let (mut good, mut out) = (Vec::new(), Vec::new());
    let mut taken: HashMap<(&PluginId, &Version), usize> = HashMap::new();
    for files in by_id.values() {
        let mut files = files.clone();
        files.sort_by_cached_key(|file| Turn::of(&offers[*file], policy));
        for file in files {
            let offer = &offers[file];
            let Manifest { id, version, .. } = &*offer.manifest;
            let out_by_itself = by_itself(offers, file, policy, membership, &known, &mut spelling);
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
                (None, None) => known.wrong_kind(offer, offers, &by_id, &text),
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
    let too_much = too_much(offers, &good, policy.effort);
    if !too_much.is_empty() {
        let gone: HashSet<usize> = too_much.iter().map(|(file, _)| *file).collect();
        good.retain(|file| !gone.contains(file));
        let why = |(file, others)| (file, Reason::Undecided { others });
        out.extend(too_much.into_iter().map(why));
    }
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

fn by_itself<'a>(
    offers: &'a [Offer],
    file: usize,
    policy: &'a Policy,
    membership: &Membership<'_>,
    known: &Known<'_>,
    spelling: &mut Spelling<'a>,
) -> Option<Reason> {
    let offer = &offers[file];
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
    let missing = Excerpt::of(manifest.features.iter().filter(has));
    if !missing.is_empty() {
        return Some(Reason::Features { missing, has: Excerpt::of(&policy.features) });
    }
    if let Some(held) = policy.held.get(&offer.hash) {
        return Some(Reason::Held(held.clone()));
    }
    if !policy.failed.is_empty()
        && let Some(reason) = policy.failed.get(&(id.clone(), policy.line_of(id, version)))
    {
        return Some(Reason::Failed { reason: reason.clone() });
    }
    if let Some(range) = known.enabled.get(id)
        && !known.enabled_files.contains(&file)
    {
        return Some(Reason::NotEnabled { range: (*range).clone() });
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
            meant: spelling.nearest(kind).cloned(),
        });
    }
    None
}

/// What is said of plugins by their ids.
struct Known<'a> {
    /// The first range that somebody enabled.
    enabled: HashMap<&'a PluginId, &'a VersionReq>,
    enabled_files: HashSet<usize>,
    /// What a plugin is in some version, of those that others take for something.
    kinds: HashSet<(&'a PluginId, &'a str)>,
}

impl<'a> Known<'a> {
    fn of(
        offers: &'a [Offer],
        policy: &'a Policy,
        by_id: &BTreeMap<&'a PluginId, Vec<usize>>,
    ) -> Self {
        let (mut enabled, mut enabled_files) = (HashMap::new(), HashSet::new());
        for selector in &policy.enabled {
            enabled.entry(&selector.id).or_insert(&selector.version);
            let files = by_id.get(&selector.id).map_or(&[][..], Vec::as_slice);
            enabled_files.extend(within(&selector.version, offers, files));
        }
        let integrations = offers.iter().flat_map(|offer| &offer.manifest.integrates);
        let taken = integrations.filter(|it| it.kind.is_some()).filter_map(|it| it.plugin.as_ref());
        let taken: HashSet<&PluginId> = taken.collect();
        let others = taken.iter().filter_map(|id| by_id.get_key_value(id));
        let files = others.flat_map(|(id, files)| files.iter().map(move |file| (*id, *file)));
        let kinds = files.flat_map(|(id, file)| {
            offers[file].manifest.kinds.iter().map(move |kind| (id, kind.as_str()))
        });
        Self { enabled, enabled_files, kinds: kinds.collect() }
    }

    /// Whether it takes another plugin for something that none of its versions is.
    fn wrong_kind(
        &self,
        offer: &Offer,
        offers: &[Offer],
        by_id: &BTreeMap<&PluginId, Vec<usize>>,
        text: &Effort,
    ) -> Option<Reason> {
        offer.manifest.integrates.iter().find_map(|integration| {
            let kind = integration.kind.as_ref()?;
            let id = integration.plugin.as_ref()?;
            // The newest one comes first.
            let newest = by_id.get(id)?.first()?;
            if self.kinds.contains(&(id, kind.as_str())) {
                return None;
            }
            let newest = &offers[*newest];
            let found = Excerpt::of(&newest.manifest.kinds);
            let length: usize = found.some.iter().map(String::len).sum();
            if text.spend(newest.length_of_name() + length).is_none() {
                return Some(Reason::Undecided { others: 1 });
            }
            Some(Reason::WrongKind { with: newest.name(), kind: kind.clone(), found })
        })
    }
}

/// A pre-release of a host counts as that host: `2.0.0-rc.1` runs what needs `^2`
/// or `>=1`, which semver's own rule for dependencies would refuse.
fn fits(needs: &semver::VersionReq, host: &Version) -> bool {
    needs.matches(host) || {
        let release = Version { pre: semver::Prerelease::EMPTY, ..host.clone() };
        needs.matches(&release)
    }
}
