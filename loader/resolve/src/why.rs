//! Why those that do not run do not: for each the shortest true reason.
//!
//! A file that does not run could not be added to those that do: it lacks something, or
//! something that runs excludes it. (Else it would have been added.) So its reason is
//! found beside it, in what runs, and not in how the search went. Where it lacks another
//! file that does not run, that one's reason is the reason; of several ways the
//! shortest, and where there is no end to it, they wait for each other.

mod circles;

use std::collections::{HashMap, HashSet};

use plugbay_manifest::takes;

use crate::goals::{GroupRule, Question, Requirement, Wanted};
use crate::offer::{Offer, Refused};
use crate::reason::{Because, Missing, Reason, Why, wanted};

pub(crate) struct Explained<'a> {
    offers: &'a [Offer],
    question: &'a Question,
    levels: &'a [Vec<usize>],
    runs: HashSet<usize>,
    /// By file, of those that were not in question.
    out: HashMap<usize, &'a Reason>,
    out_by_id: HashMap<&'a str, Vec<usize>>,
    refused: HashMap<&'a str, Vec<&'a Refused>>,
    /// By goal: the file that runs.
    winners: HashMap<usize, usize>,
    /// By file that runs: who needs it, as file and number of the requirement.
    users: HashMap<usize, Vec<(usize, usize)>>,
    /// By file that runs: the goal that matters most of those that need it, and its file.
    backing: HashMap<usize, (usize, usize)>,
    groups: HashMap<usize, Vec<usize>>,
    exclusions: HashMap<usize, Vec<usize>>,
    /// By exclusion: who says so and runs, and who is excluded and runs, those that go
    /// before others first.
    active: Vec<(Vec<usize>, Vec<usize>)>,
}

/// Where a file's reason comes from.
#[derive(Clone, Copy)]
struct Way {
    /// Its requirement that is not fulfilled, and the file that would do.
    number: usize,
    next: usize,
    /// Whose reason it is in the end.
    root: usize,
}

impl<'a> Explained<'a> {
    pub(crate) fn new(
        offers: &'a [Offer],
        question: &'a Question,
        levels: &'a [Vec<usize>],
        out: &'a [(usize, Reason)],
        refused: &'a [Refused],
    ) -> Self {
        let mut this = Self {
            offers,
            question,
            levels,
            runs: levels.iter().flatten().copied().collect(),
            out: out.iter().map(|(file, reason)| (*file, reason)).collect(),
            out_by_id: HashMap::new(),
            refused: HashMap::new(),
            winners: HashMap::new(),
            users: HashMap::new(),
            backing: HashMap::new(),
            groups: HashMap::new(),
            exclusions: HashMap::new(),
            active: Vec::new(),
        };
        for (file, _) in out {
            this.out_by_id.entry(offers[*file].manifest.id.as_str()).or_default().push(*file);
        }
        for one in refused {
            this.refused.entry(one.id.as_str()).or_default().push(one);
        }
        for file in &this.runs {
            this.winners.insert(question.goal_of[file], *file);
        }
        for (number, group) in question.groups.iter().enumerate() {
            if group.rule != GroupRule::Goal {
                for file in &group.files {
                    this.groups.entry(*file).or_default().push(number);
                }
            }
        }
        for (number, exclusion) in question.exclusions.iter().enumerate() {
            let active = |files: &[usize]| {
                let mut active: Vec<_> =
                    files.iter().copied().filter(|file| this.runs.contains(file)).collect();
                active.sort_by_key(|file| question.goal_of[file]);
                active
            };
            this.active.push((active(&exclusion.by), active(&exclusion.others)));
            for file in exclusion.by.iter().chain(exclusion.others.iter()) {
                let numbers = this.exclusions.entry(*file).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        this.see_users();
        this
    }

    fn see_users(&mut self) {
        for &file in self.levels.iter().rev().flatten() {
            let own = (self.question.goal_of[&file], file);
            let backed = self.backing.get(&file).copied().unwrap_or(own).min(own);
            for (number, requirement) in self.requirements(file).iter().enumerate() {
                let mut doing = requirement.files.iter().filter(|it| self.runs.contains(it));
                let (first, second) = (doing.next().copied(), doing.next());
                if let (Some(only), None) = (first, second) {
                    self.users.entry(only).or_default().push((file, number));
                    let backing = self.backing.entry(only).or_insert(backed);
                    *backing = backed.min(*backing);
                }
            }
        }
    }

    fn requirements(&self, file: usize) -> &'a [Requirement] {
        self.question.hard.get(&file).map_or(&[], Vec::as_slice)
    }

    fn lacking(&self, file: usize) -> impl Iterator<Item = (usize, &'a Requirement)> {
        let numbered = self.requirements(file).iter().enumerate();
        numbered.filter(move |(_, requirement)| {
            !requirement.files.iter().any(|other| self.runs.contains(other) || *other == file)
        })
    }

    /// The reasons of all that were in question and do not run. `undecided` were given up.
    pub(crate) fn reasons(&self, undecided: &[usize]) -> HashMap<usize, Reason> {
        let held: Vec<usize> = {
            let files = self.question.goals.iter().flat_map(|goal| goal.files.iter().copied());
            let mut held: Vec<_> = files.filter(|file| !self.runs.contains(file)).collect();
            held.sort_unstable();
            held
        };
        let mut reasons: HashMap<usize, Reason> = HashMap::new();
        for &file in undecided {
            reasons.insert(file, Reason::Undecided { others: undecided.len().saturating_sub(1) });
        }
        for &file in held.iter().filter(|file| undecided.binary_search(file).is_err()) {
            if let Some(reason) = self.root(file) {
                reasons.insert(file, reason);
            }
        }
        let ways = self.ways(&held, &reasons);
        let mut circles = HashMap::new();
        for &file in held.iter().filter(|file| !reasons.contains_key(file)) {
            if !ways.contains_key(&file) {
                self.circle(file, &reasons, &ways, &mut circles);
            }
        }
        reasons.extend(circles);
        let told: Vec<_> = ways
            .iter()
            .map(|(file, way)| (*file, self.by_way(*file, *way, &reasons[&way.root])))
            .collect();
        reasons.extend(told);
        // Those that wait for one of a circle.
        for &file in &held {
            if !reasons.contains_key(&file) {
                let reason = self.before_a_circle(file, &reasons);
                reasons.insert(file, reason);
            }
        }
        reasons
    }

    /// A reason that needs no other file's reason.
    fn root(&self, file: usize) -> Option<Reason> {
        let winner = self.question.goal_of.get(&file).and_then(|goal| self.winners.get(goal));
        if let Some(winner) = winner
            && self.offers[*winner].manifest.version > self.offers[file].manifest.version
        {
            return Some(Reason::Older {
                newer: self.offers[*winner].manifest.version.clone(),
                other: self.offers[*winner].path.clone(),
            });
        }
        let nothing = self.lacking(file).find(|(_, requirement)| requirement.files.is_empty());
        if let Some((_, requirement)) = nothing {
            return Some(self.missing(file, requirement, None));
        }
        let lacks = self.lacking(file).next().is_some();
        self.excluded(file, winner.copied(), !lacks)
            .or_else(|| winner.filter(|_| !lacks).map(|winner| self.too_new(file, *winner)))
    }

    /// For those that lack files which do not run: the shortest way to one with a reason.
    fn ways(&self, held: &[usize], reasons: &HashMap<usize, Reason>) -> HashMap<usize, Way> {
        let mut askers: HashMap<*const usize, Vec<(usize, usize)>> = HashMap::new();
        let mut sets: HashMap<usize, Vec<*const usize>> = HashMap::new();
        for &file in held.iter().filter(|file| !reasons.contains_key(file)) {
            for (number, requirement) in self.lacking(file) {
                let set = requirement.files.as_ptr();
                let asking = askers.entry(set).or_default();
                if asking.is_empty() {
                    for other in requirement.files.iter() {
                        sets.entry(*other).or_default().push(set);
                    }
                }
                asking.push((file, number));
            }
        }
        let mut ways: HashMap<usize, Way> = HashMap::new();
        let mut front: Vec<(usize, usize)> =
            held.iter().filter(|it| reasons.contains_key(it)).map(|it| (*it, *it)).collect();
        while !front.is_empty() {
            let mut next = Vec::new();
            // The newest version of what would do is the one to tell of.
            front.sort_by(|(a, _), (b, _)| {
                let key = |file: usize| (&self.offers[file].manifest.version, file);
                key(*b).cmp(&key(*a))
            });
            for (file, root) in front {
                for set in sets.remove(&file).unwrap_or_default() {
                    for (asker, number) in askers.remove(&set).unwrap_or_default() {
                        ways.entry(asker).or_insert_with(|| {
                            next.push((asker, root));
                            Way { number, next: file, root }
                        });
                    }
                }
            }
            front = next;
        }
        ways
    }

    fn by_way(&self, file: usize, way: Way, reason: &Reason) -> Reason {
        let because = Because {
            name: self.offers[way.next].name(),
            root: (way.root != way.next).then(|| self.offers[way.root].name()),
            reason: reason.to_string(),
        };
        self.missing(file, &self.requirements(file)[way.number], Some(because))
    }

    fn missing(&self, file: usize, requirement: &Requirement, because: Option<Because>) -> Reason {
        let manifest = &self.offers[file].manifest;
        match requirement.what {
            Wanted::Dependency(number) => {
                let dependency = &manifest.dependencies[number];
                let id = dependency.id.as_str();
                let fits =
                    |file: usize| takes(&dependency.version, &self.offers[file].manifest.version);
                let out = self.out_by_id.get(id).into_iter().flatten().copied();
                let because =
                    because.or_else(|| self.because_out(out.clone().filter(|it| fits(*it))));
                let good = self.question.index.of_id(&dependency.id).iter().copied();
                let mut others: Vec<usize> = good.chain(out).filter(|it| !fits(*it)).collect();
                others.sort_by(|a, b| self.offers[*b].name().cmp(&self.offers[*a].name()));
                let refused = self.refused.get(id).into_iter().flatten();
                let refused = refused.filter(|one| takes(&dependency.version, &one.version));
                Reason::Dependency(Missing {
                    wants: wanted(&dependency.id, &dependency.version),
                    found: others.iter().map(|it| self.offers[*it].name().to_string()).collect(),
                    refused: refused.map(|one| (*one).clone()).collect(),
                    because,
                })
            }
            Wanted::Need(number) => {
                let need = &manifest.needs[number];
                let provides = |file: &usize| {
                    let offer = &self.offers[*file];
                    offer.manifest.id != manifest.id
                        && offer.manifest.services.iter().any(|it| it.satisfies(need))
                };
                let out = self.out_by_id.values().flatten().copied();
                let because = because.or_else(|| self.because_out(out.filter(|it| provides(it))));
                let offering = self.question.index.offering(need.id.as_str()).iter();
                let found = offering.filter(|it| !provides(it)).map(|other| {
                    let offer = &self.offers[*other];
                    let mut of_it = offer.manifest.services.iter().filter(|it| it.id == need.id);
                    let version = of_it.next().map(|it| it.version.to_string()).unwrap_or_default();
                    format!("{} with {version}", offer.name())
                });
                Reason::Need(Missing {
                    wants: format!("{} {}", need.id, need.version),
                    found: found.collect(),
                    refused: Vec::new(),
                    because,
                })
            }
        }
    }

    /// One that would do, of those that run whatever the others do.
    fn because_out(&self, files: impl Iterator<Item = usize>) -> Option<Because> {
        let newest = files.max_by_key(|file| self.offers[*file].name())?;
        let reason = self.out.get(&newest)?.to_string();
        Some(Because { name: self.offers[newest].name(), root: None, reason })
    }

    /// What runs and excludes it, where that is the cause. `surely`: there is no other.
    fn excluded(&self, file: usize, winner: Option<usize>, surely: bool) -> Option<Reason> {
        let is_other = |other: &usize| *other != file && self.runs.contains(other);
        for number in self.groups.get(&file).into_iter().flatten() {
            let group = &self.question.groups[*number];
            let Some(with) = group.files.iter().copied().find(|it| is_other(it)) else { continue };
            if Some(with) == winner {
                continue;
            }
            let Some(why) = self.why(with, file, winner, surely) else { continue };
            let (kind, sub_type) = match group.rule.clone() {
                GroupRule::Goal => continue,
                GroupRule::Kind(kind) => (kind, None),
                GroupRule::SubType(kind, attribute, value) => (kind, Some((attribute, value))),
            };
            return Some(Reason::Kind { kind, sub_type, with: self.offers[with].name(), why });
        }
        for number in self.exclusions.get(&file).into_iter().flatten() {
            let exclusion = &self.question.exclusions[*number];
            let (by, others) = &self.active[*number];
            let says_so = exclusion.by.binary_search(&file).is_ok();
            let excluded = exclusion.others.binary_search(&file).is_ok();
            let others = others.iter().filter(|_| says_so).map(|it| (*it, true));
            let by = by.iter().filter(|_| excluded).map(|it| (*it, false));
            // The first ones matter most; if it is none of them, they lack something.
            let mut with = others.chain(by).filter(|(it, _)| *it != file).take(MOST_ASKED);
            let found = with.find_map(|(with, by_it)| {
                Some((with, by_it, self.why(with, file, winner, surely)?))
            });
            if let Some((with, by_it, why)) = found {
                return Some(Reason::Conflict {
                    with: self.offers[with].name(),
                    by_it,
                    conflict: exclusion.conflict.to_string(),
                    said_by: exclusion.said_by.clone(),
                    why,
                });
            }
        }
        None
    }

    /// Why `runs` goes before `other`; none where it does not.
    fn why(&self, runs: usize, other: usize, winner: Option<usize>, surely: bool) -> Option<Why> {
        if let Some(winner) = winner {
            return Some(Why::Beside(self.offers[winner].manifest.version.clone()));
        }
        let (goal, others) = (self.question.goal_of[&runs], self.question.goal_of[&other]);
        if goal < others {
            let (one, two) = (&self.question.goals[goal], &self.question.goals[others]);
            let newest = |files: &[usize]| {
                files.first().map(|file| self.offers[*file].manifest.version.clone())
            };
            return Some(match () {
                () if one.member != two.member => Why::Member,
                () if one.by_hand != two.by_hand => Why::ByHand,
                () if one.position != two.position => Why::Precedence,
                () if newest(&one.files) != newest(&two.files) => Why::Version,
                () => Why::Id,
            });
        }
        if let Some((goal, file)) = self.backing.get(&runs)
            && *goal < others
        {
            return Some(Why::NeededBy(self.offers[*file].name()));
        }
        let needs = self.requirements(other).iter().flat_map(|it| it.files.iter());
        let own = needs.copied().find(|need| self.leads_to(*need, runs));
        match own {
            Some(need) => Some(Why::OwnNeed(self.offers[need].name())),
            None if surely => {
                let needs = |user: &&usize| {
                    self.requirements(**user).iter().any(|it| it.files.contains(&runs))
                };
                let user = self.levels.iter().flatten().find(needs);
                user.map(|user| Why::NeededBy(self.offers[*user].name()))
            }
            None => None,
        }
    }

    /// Whether one that runs needs another one, through others as well.
    fn leads_to(&self, from: usize, to: usize) -> bool {
        let (mut open, mut seen) = (vec![from], HashSet::new());
        while let Some(file) = open.pop() {
            if file == to {
                return true;
            }
            if !self.runs.contains(&file) || !seen.insert(file) || seen.len() > MOST_LOOKED_AT {
                continue;
            }
            let needs = self.requirements(file).iter().flat_map(|it| it.files.iter());
            open.extend(needs.filter(|need| self.runs.contains(need)));
        }
        false
    }

    fn too_new(&self, file: usize, winner: usize) -> Reason {
        let chosen = self.offers[winner].manifest.version.clone();
        let only = |requirement: &&Requirement| {
            requirement.files.contains(&winner) && !requirement.files.contains(&file)
        };
        let users = self.users.get(&winner).into_iter().flatten();
        let by = users.copied().find_map(|(user, number)| {
            Some((user, Some(&self.requirements(user)[number]).filter(only)?))
        });
        // Others offer the same, but only if this one does.
        let by = by.or_else(|| {
            let mut users = self.levels.iter().flatten();
            users.find_map(|user| Some((*user, self.requirements(*user).iter().find(only)?)))
        });
        match by {
            Some((user, requirement)) => {
                let manifest = &self.offers[user].manifest;
                let wants = match requirement.what {
                    Wanted::Dependency(number) => {
                        let dependency = &manifest.dependencies[number];
                        wanted(&dependency.id, &dependency.version)
                    }
                    Wanted::Need(number) => {
                        format!("{} {}", manifest.needs[number].id, manifest.needs[number].version)
                    }
                };
                Reason::TooNew { chosen, by: self.offers[user].name(), wants }
            }
            // What it needs runs, and needs it.
            None => Reason::Circle(self.way_back(file)),
        }
    }
}

/// Those that run and exclude it of which each is asked whether it is why.
const MOST_ASKED: usize = 64;
/// Files that are looked at for a reason.
const MOST_LOOKED_AT: usize = 10_000;
