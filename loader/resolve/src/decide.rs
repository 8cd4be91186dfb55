use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use plugbay_manifest::PluginId;

use crate::advice::{Advice, advice};
use crate::choose::{Choice, choose};
use crate::goals::Question;
use crate::members::Membership;
use crate::offer::{Offer, Refused};
use crate::policy::{Line, Policy};
use crate::reason::Reason;
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
    /// What one should know besides, by plugin.
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
    /// The files that it needs, by number.
    pub needs: Vec<usize>,
    /// The files that it uses where they run.
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
/// Takes time in proportion to the offers and what they say of each other, mostly; where
/// it is more than the policy's `effort`, those that are bound up with each other do not
/// run, and say so.
pub fn decide(offers: &[Offer], refused: &[Refused], policy: &Policy) -> Decision {
    // In one order whatever order they came in, so that nothing depends on that.
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_by(|a, b| in_order(&offers[*a], &offers[*b]));
    let sorted: Vec<Offer> = order.iter().map(|file| offers[*file].clone()).collect();
    let mut decision = decide_sorted(&sorted, refused, policy);
    decision.renumber(&order);
    decision
}

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
    let Choice { levels, undecided } = choose(&question, policy.effort);
    let explained = Explained::new(offers, &question, &levels, &sifted.out, refused);
    let mut reasons = explained.reasons(&undecided);
    reasons.extend(sifted.out.iter().cloned());
    let mut decision = Decision { levels, ..Decision::default() };
    if !membership.is_open() {
        keep_only(&mut decision.levels, &question, |file| membership.wants(&offers[file]));
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
    files.sort_by_key(|file| offers[*file].name());
    let runs = |file: &usize| level_of.contains_key(file);
    decision.run = files
        .iter()
        .map(|file| {
            let manifest = &offers[*file].manifest;
            let needs = needs_of(&question, *file).filter(runs).collect();
            let uses = question.soft.get(file).into_iter().flatten().flat_map(|files| files.iter());
            Chosen {
                offer: *file,
                line: policy.line_of(&manifest.id, &manifest.version),
                level: level_of[file],
                needs: sorted(needs),
                uses: sorted(uses.copied().filter(|it| runs(it) && it != file).collect()),
            }
        })
        .collect();
    decision.chains = chains(offers, &files, policy);
    decision.advice = advice(offers, &question, &files, policy);
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

fn needs_of(question: &Question, file: usize) -> impl Iterator<Item = usize> {
    let hard = question.hard.get(&file).into_iter().flatten();
    hard.flat_map(|requirement| requirement.files.iter().copied())
}

fn sorted(mut files: Vec<usize>) -> Vec<usize> {
    files.sort_unstable();
    files.dedup();
    files
}

/// Leaves those that are wanted, and what they need.
fn keep_only(levels: &mut Vec<Vec<usize>>, question: &Question, wanted: impl Fn(usize) -> bool) {
    let runs: HashSet<usize> = levels.iter().flatten().copied().collect();
    let mut open: Vec<usize> = runs.iter().copied().filter(|file| wanted(*file)).collect();
    let mut kept = HashSet::new();
    while let Some(file) = open.pop() {
        if kept.insert(file) {
            open.extend(needs_of(question, file).filter(|it| runs.contains(it)));
        }
    }
    for level in &mut *levels {
        level.retain(|file| kept.contains(file));
    }
    levels.retain(|level| !level.is_empty());
}

/// The members of each kind that is a chain: by precedence, then by id and version.
fn chains(offers: &[Offer], files: &[usize], policy: &Policy) -> BTreeMap<String, Vec<usize>> {
    let mut chains = BTreeMap::new();
    for (kind, _) in policy.kinds.iter().filter(|(_, rule)| rule.chain) {
        let listed: &[PluginId] = policy.precedence.get(kind).map_or(&[], Vec::as_slice);
        let is_one = |file: &&usize| offers[**file].manifest.kinds.contains(kind);
        let mut members: Vec<usize> = files.iter().filter(is_one).copied().collect();
        members.sort_by_key(|file| {
            let name = offers[*file].name();
            let position = listed.iter().position(|id| *id == name.id);
            (position.unwrap_or(usize::MAX), name)
        });
        chains.insert(kind.clone(), members);
    }
    chains
}
