//! The question that is to be answered: places that plugins can take, the files that can
//! take them, and what they need of each other and exclude.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use plugbay_manifest::{Conflict, PluginId, Selector, takes};
use semver::VersionReq;

use crate::asked::Asked;
use crate::index::Index;
use crate::members::Membership;
use crate::offer::Offer;
use crate::policy::{Active, Line, Policy};

/// One place that a plugin can take: a plugin, or one line of its versions.
#[derive(Debug)]
pub(crate) struct Goal {
    /// The files that could take it, by number, the newest version first.
    pub(crate) files: Vec<usize>,
    /// Whether a stack names it.
    pub(crate) member: bool,
    pub(crate) by_hand: bool,
    /// The best place in a list of precedence.
    pub(crate) position: usize,
}

/// What one file needs to have beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// Which of the manifest's dependencies or needs it is.
    pub(crate) what: Wanted,
    /// The files that would do, one of the question's sets: one of them has to run.
    pub(crate) set: usize,
    /// Those of them that do not count, as numbers from and to: nobody is his own provider.
    pub(crate) own: Range<usize>,
}

/// Numbers of files in order, shared by all that ask for the same.
pub(crate) type Files = Rc<[usize]>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Dependency(usize),
    Need(usize),
}

/// Files of which one at most may run.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) rule: GroupRule,
    pub(crate) files: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupRule {
    /// They would take one place.
    Goal,
    /// The policy says one of this kind.
    Kind(String),
    /// The policy says one of this kind for each value of this attribute; this value.
    SubType(String, String, Option<String>),
}

/// What some files do not run beside.
#[derive(Debug)]
pub(crate) struct Exclusion {
    pub(crate) conflict: Conflict,
    /// Who says so, where it is none of the plugins.
    pub(crate) said_by: Option<String>,
    /// Those that say so, which may be among the others.
    pub(crate) by: Vec<usize>,
    pub(crate) others: Files,
}

/// All of it, in the numbers of `files`.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// By how much they matter: those that go before others first.
    pub(crate) goals: Vec<Goal>,
    /// By file: its goal.
    pub(crate) goal_of: HashMap<usize, usize>,
    /// What is asked for, each once however many ask for it.
    pub(crate) sets: Vec<Files>,
    /// By file: what it cannot run without.
    hard: HashMap<usize, Vec<Requirement>>,
    /// By file: what is to be activated before it, where it runs.
    soft: HashMap<usize, Vec<Requirement>>,
    pub(crate) groups: Vec<Group>,
    pub(crate) exclusions: Vec<Exclusion>,
    /// What a file provides, to be looked at by those who explain.
    pub(crate) index: Index,
}

impl Requirement {
    /// Those of some files, in order, that count: those before its own ones, and those after.
    pub(crate) fn without_own<'a>(&self, files: &'a [usize]) -> [&'a [usize]; 2] {
        let from = files.partition_point(|file| *file < self.own.start);
        let to = files.partition_point(|file| *file < self.own.end);
        [&files[..from], &files[to..]]
    }
}

impl Question {
    /// Asks about these of the offers.
    pub(crate) fn new(
        offers: &[Offer],
        files: &[usize],
        policy: &Policy,
        membership: &Membership<'_>,
    ) -> Self {
        let index = Index::of(offers, files);
        let mut question = Self { index, ..Self::default() };
        question.set_goals(offers, files, policy, membership);
        let mut asked = Asked::default();
        for &file in files {
            question.set_requirements(offers, file, &mut asked);
        }
        question.set_groups(offers, policy);
        question.set_exclusions(offers, files, policy);
        question
    }

    fn set_goals(
        &mut self,
        offers: &[Offer],
        files: &[usize],
        policy: &Policy,
        membership: &Membership<'_>,
    ) {
        let positions = Positions::of(policy);
        let enabled: HashSet<&PluginId> = policy.enabled.iter().map(|it| &it.id).collect();
        let mut places: BTreeMap<(&PluginId, Line), Vec<usize>> = BTreeMap::new();
        for &file in files {
            let manifest = &offers[file].manifest;
            let line = policy.line_of(&manifest.id, &manifest.version);
            places.entry((&manifest.id, line)).or_default().push(file);
        }
        let mut goals: Vec<_> = places
            .into_iter()
            .map(|((id, _), mut files)| {
                files.sort_by_key(|file| Reverse(&offers[*file].manifest.version));
                let by_hand = enabled.contains(id);
                let position = files.iter().map(|file| positions.best(&offers[*file])).min();
                let member = files.iter().any(|file| membership.names(&offers[*file]));
                let position = position.unwrap_or(usize::MAX);
                let goal = Goal { member, by_hand, position, files };
                let newest = goal.files.first().map(|file| &offers[*file].manifest.version);
                ((Reverse((member, by_hand)), goal.position, Reverse(newest), id), goal)
            })
            .collect();
        goals.sort_by(|(one, _), (two, _)| Ord::cmp(one, two));
        self.goals = goals.into_iter().map(|(_, goal)| goal).collect();
        for (number, goal) in self.goals.iter().enumerate() {
            self.goal_of.extend(goal.files.iter().map(|file| (*file, number)));
        }
    }

    fn set_requirements<'a>(&mut self, offers: &'a [Offer], file: usize, asked: &mut Asked<'a>) {
        let manifest = &offers[file].manifest;
        let (mut hard, mut soft) = (Vec::new(), Vec::new());
        for (number, dependency) in manifest.dependencies.iter().enumerate() {
            let set = if dependency.id != manifest.id {
                asked.versions(self, offers, &dependency.id, &dependency.version)
            } else if takes(&dependency.version, &manifest.version) {
                // What it needs is itself.
                continue;
            } else {
                asked.beside(self, offers, file, &dependency.version)
            };
            let what = Wanted::Dependency(number);
            let list = if dependency.optional { &mut soft } else { &mut hard };
            list.push(Requirement { what, set, own: 0..0 });
        }
        let own = self.index.of_id(&manifest.id);
        let own = own.first().zip(own.last()).map_or(0..0, |(first, last)| *first..last + 1);
        for (number, need) in manifest.needs.iter().enumerate() {
            let set = asked.contract(self, &need.id, need.version);
            let requirement = Requirement { what: Wanted::Need(number), set, own: own.clone() };
            if !need.optional {
                hard.push(requirement.clone());
            }
            soft.push(requirement);
        }
        if !hard.is_empty() {
            self.hard.insert(file, hard);
        }
        if !soft.is_empty() {
            self.soft.insert(file, soft);
        }
    }

    /// What a file cannot run without.
    pub(crate) fn hard_of(&self, file: usize) -> &[Requirement] {
        self.hard.get(&file).map_or(&[], Vec::as_slice)
    }

    /// What is better activated before it.
    pub(crate) fn soft_of(&self, file: usize) -> &[Requirement] {
        self.soft.get(&file).map_or(&[], Vec::as_slice)
    }

    /// The files that would do.
    pub(crate) fn doing(&self, requirement: &Requirement) -> [&[usize]; 2] {
        requirement.without_own(&self.sets[requirement.set])
    }

    /// Whether this file would do.
    pub(crate) fn does(&self, requirement: &Requirement, file: usize) -> bool {
        !requirement.own.contains(&file) && self.sets[requirement.set].binary_search(&file).is_ok()
    }

    fn set_groups(&mut self, offers: &[Offer], policy: &Policy) {
        let mut groups: BTreeMap<GroupRule, Vec<usize>> = BTreeMap::new();
        for (kind, rule) in &policy.kinds {
            for &file in self.index.of_kind(kind) {
                let rule = match &rule.active {
                    Active::Many => continue,
                    Active::Single => GroupRule::Kind(kind.clone()),
                    Active::SinglePer(attribute) => {
                        let value = sub_type(&offers[file], kind, attribute).map(ToOwned::to_owned);
                        GroupRule::SubType(kind.clone(), attribute.clone(), value)
                    }
                };
                groups.entry(rule).or_default().push(file);
            }
        }
        let goals = self
            .goals
            .iter()
            .map(|goal| Group { rule: GroupRule::Goal, files: goal.files.clone() });
        let kinds = groups.into_iter().map(|(rule, files)| Group { rule, files });
        self.groups = goals.chain(kinds).filter(|group| group.files.len() > 1).collect();
    }

    fn set_exclusions(&mut self, offers: &[Offer], files: &[usize], policy: &Policy) {
        let mut said: BTreeMap<String, usize> = BTreeMap::new();
        for &file in files {
            for conflict in &offers[file].manifest.conflicts {
                let number = *said.entry(conflict.to_string()).or_insert_with(|| {
                    let others = self.index.in_conflict(offers, conflict);
                    let conflict = conflict.clone();
                    self.exclusions.push(Exclusion {
                        conflict,
                        said_by: None,
                        by: Vec::new(),
                        others,
                    });
                    self.exclusions.len() - 1
                });
                let by = &mut self.exclusions[number].by;
                if by.last() != Some(&file) {
                    by.push(file);
                }
            }
        }
        for said in &policy.conflicts {
            let version = VersionReq::STAR;
            let selector = Selector { id: said.other.clone(), version };
            self.exclusions.push(Exclusion {
                conflict: Conflict::Plugin(selector),
                said_by: Some(said.by.clone()),
                by: self.index.of_id(&said.one).to_vec(),
                others: self.index.of_id(&said.other).into(),
            });
        }
        self.exclusions.retain(|exclusion| !exclusion.others.is_empty());
    }
}

/// The value of an attribute of a kind that a plugin gives.
pub(crate) fn sub_type<'a>(offer: &'a Offer, kind: &str, attribute: &str) -> Option<&'a str> {
    offer.manifest.sub_types.get(kind)?.get(attribute).map(String::as_str)
}

/// The lists of precedence, to be asked quickly.
struct Positions<'a>(HashMap<(&'a str, &'a PluginId), usize>);

impl<'a> Positions<'a> {
    fn of(policy: &'a Policy) -> Self {
        let mut positions = HashMap::new();
        for (kind, ids) in &policy.precedence {
            for (position, id) in ids.iter().enumerate() {
                positions.entry((kind.as_str(), id)).or_insert(position);
            }
        }
        Self(positions)
    }

    fn best(&self, offer: &Offer) -> usize {
        let id = &offer.manifest.id;
        let kinds = offer.manifest.kinds.iter();
        kinds
            .filter_map(|kind| self.0.get(&(kind.as_str(), id)))
            .min()
            .copied()
            .unwrap_or(usize::MAX)
    }
}
