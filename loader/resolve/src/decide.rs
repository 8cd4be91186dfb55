use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use plugbay_manifest::PluginId;

use crate::advice::{Advice, advice};
use crate::choose::choose;
use crate::goals::{Question, Requirement};
use crate::members::Membership;
use crate::offer::{Offer, Refused};
use crate::policy::{Line, Policy};
use crate::reason::Reason;
use crate::running::Running;
use crate::sift::sift;
use crate::why::Explained;

/// What runs, in which order, and why the rest does not. Files are numbers of the offers
/// that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Those that run, by id and version.
    pub run: Vec<Chosen>,
    /// Those that do not, by id, the newest version first, and path.
    pub held_back: Vec<HeldBack>,
    /// Those that run, in the order of activation: what is in one level can be activated
    /// at the same time, after all levels before.
    pub levels: Vec<Vec<usize>>,
    /// Per kind that is a chain: its members in order.
    pub chains: BTreeMap<String, Vec<usize>>,
    /// What one should know besides, by plugin. As much as the policy's `effort` allows, some
    /// megabytes.
    pub advice: Vec<Advice>,
}

/// One that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The file.
    pub offer: usize,
    /// Which versions would take its place.
    pub line: Line,
    /// Its level.
    pub level: usize,
    /// The files that it needs, by number: of those that run and would do for one need, the
    /// first 16.
    pub needs: Vec<usize>,
    /// The files that it uses where they run, likewise.
    pub uses: Vec<usize>,
}

/// One that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The file.
    pub offer: usize,
    /// The shortest true reason.
    pub reason: Reason,
}

/// Decides. Of all sets of files that fulfil what manifests and policy say, and that can
/// be activated one after the other, it takes the best: first, that plugins run, those
/// that go before others first (named by a stack, enabled by hand, by precedence, by version,
/// by id); then, in the same order, that they run in their newest version.
///
/// Takes time in proportion to the offers and what they say of each other; what many ask
/// for is looked up once. Where that is more than the policy's `effort`, those that ask for
/// most and those that are bound up with each other do not run, and say so
/// ([`Reason::Undecided`]); the others are decided all the same. What is kept in reasons is
/// bounded, too: of long lists the first ones ([`Excerpt`](crate::Excerpt)).
pub fn decide(offers: &[Offer], refused: &[Refused], policy: &Policy) -> Decision {
    // In one order whatever order they came in, so that nothing depends on that.
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_by(|a, b| in_order(&offers[*a], &offers[*b]));
    let sorted: Vec<Offer> = order.iter().map(|file| offers[*file].clone()).collect();
    let mut decision = decide_sorted(&sorted, refused, policy);
    decision.renumber(&order);
    decision
}

/// How many files are named that would do for one need.
const MOST_NAMED: usize = 16;

/// By id, the newest version first, then by folder and name.
fn in_order(one: &Offer, two: &Offer) -> Ordering {
    let ids = one.manifest.id.cmp(&two.manifest.id);
    ids.then_with(|| two.manifest.version.cmp(&one.manifest.version))
        .then_with(|| one.rank.cmp(&two.rank))
        .then_with(|| one.path.cmp(&two.path))
}

fn decide_sorted(offers: &[Offer], refused: &[Refused], policy: &Policy) -> Decision {
    let membership = Membership::new(offers, policy);
    let sifted = sift(offers, policy, &membership);
    let question = Question::new(offers, &sifted.good, policy, &membership);
    let choice = choose(&question, policy.effort);
    let running = Running::new(&question, &choice.levels);
    let explained = Explained::new(offers, &question, &choice, &running, policy.effort)
        .beside(&sifted.out, refused);
    let mut reasons = explained.reasons();
    reasons.extend(sifted.out.iter().cloned());
    let levels = choice.levels.clone();
    let mut decision = Decision { levels, ..Decision::default() };
    if !membership.is_open() {
        keep_only(&mut decision.levels, &question, &running, |file| {
            membership.wants(&offers[file])
        });
        reasons.retain(|file, _| membership.wants(&offers[*file]));
        let runs: HashSet<usize> = decision.levels.iter().flatten().copied().collect();
        let others = offers.iter().enumerate().filter(|(file, _)| !runs.contains(file));
        reasons.extend(others.filter_map(|(file, it)| Some((file, membership.outside(it)?))));
    }
    let level_of: HashMap<usize, usize> = decision
        .levels
        .iter()
        .enumerate()
        .flat_map(|(level, files)| files.iter().map(move |file| (*file, level)))
        .collect();
    let mut files: Vec<usize> = level_of.keys().copied().collect();
    // By id, and the oldest version first.
    files.sort_unstable();
    files.reverse();
    files.sort_by_key(|file| &offers[*file].manifest.id);
    let named = |requirements: &[Requirement], own: usize| {
        let runs = |file: &usize| level_of.contains_key(file) && *file != own;
        let files = requirements.iter().flat_map(|requirement| {
            running.doing(requirement).filter(runs).take(MOST_NAMED).collect::<Vec<_>>()
        });
        sorted(files.collect())
    };
    decision.run = files
        .iter()
        .map(|file| {
            let manifest = &offers[*file].manifest;
            Chosen {
                offer: *file,
                line: policy.line_of(&manifest.id, &manifest.version),
                level: level_of[file],
                needs: named(question.hard_of(*file), *file),
                uses: named(question.soft_of(*file), *file),
            }
        })
        .collect();
    decision.chains = chains(offers, &files, policy);
    decision.advice = advice(offers, &question, &running, &files, policy);
    decision.held_back =
        reasons.into_iter().map(|(offer, reason)| HeldBack { offer, reason }).collect();
    decision.held_back.sort_by_key(|held| held.offer);
    decision
}

impl Decision {
    /// `order` has the caller's number of each file.
    fn renumber(&mut self, order: &[usize]) {
        let new = |file: &mut usize| *file = order[*file];
        for chosen in &mut self.run {
            let Chosen { offer, needs, uses, .. } = chosen;
            [offer].into_iter().chain(needs).chain(uses).for_each(new);
        }
        self.held_back.iter_mut().map(|held| &mut held.offer).for_each(new);
        self.levels.iter_mut().chain(self.chains.values_mut()).flatten().for_each(new);
    }
}

fn sorted(mut files: Vec<usize>) -> Vec<usize> {
    files.sort_unstable();
    files.dedup();
    files
}

/// Leaves those that are wanted, and what they need.
fn keep_only(
    levels: &mut Vec<Vec<usize>>,
    question: &Question,
    running: &Running,
    wanted: impl Fn(usize) -> bool,
) {
    let mut open: Vec<usize> =
        levels.iter().flatten().copied().filter(|file| wanted(*file)).collect();
    let mut kept = HashSet::new();
    // By set: the own ones of who needed it first, which others may come to.
    let mut sets: HashMap<usize, Option<Range<usize>>> = HashMap::new();
    while let Some(file) = open.pop() {
        if !kept.insert(file) {
            continue;
        }
        for need in question.hard_of(file) {
            let left = match sets.get(&need.set) {
                Some(None) => continue,
                Some(Some(own)) if *own == need.own => continue,
                Some(Some(_)) => None,
                None => Some(need.own.clone()),
            };
            sets.insert(need.set, left);
            open.extend(running.doing(need));
        }
    }
    for level in &mut *levels {
        level.retain(|file| kept.contains(file));
    }
    levels.retain(|level| !level.is_empty());
}

/// The members of each kind that is a chain: by precedence, then by id and version.
fn chains(offers: &[Offer], files: &[usize], policy: &Policy) -> BTreeMap<String, Vec<usize>> {
    let is_chain = |kind: &&String| policy.kinds.get(*kind).is_some_and(|rule| rule.chain);
    let mut members: HashMap<&String, Vec<usize>> = HashMap::new();
    for file in files {
        for kind in offers[*file].manifest.kinds.iter().filter(is_chain) {
            let members = members.entry(kind).or_default();
            if members.last() != Some(file) {
                members.push(*file);
            }
        }
    }
    let kinds = policy.kinds.keys().filter(is_chain);
    let ordered = kinds.map(|kind| {
        let listed: &[PluginId] = policy.precedence.get(kind).map_or(&[], Vec::as_slice);
        let mut positions: HashMap<&PluginId, usize> = HashMap::new();
        for (position, id) in listed.iter().enumerate() {
            positions.entry(id).or_insert(position);
        }
        let mut members = members.remove(kind).unwrap_or_default();
        let position = |file: &usize| positions.get(&offers[*file].manifest.id).copied();
        // They are by id and version already.
        members.sort_by_key(|file| position(file).unwrap_or(usize::MAX));
        (kind.clone(), members)
    });
    ordered.collect()
}
