//! Why those that do not run do not: for each the shortest true reason.
//!
//! A file that does not run could not be added to those that do: it lacks something, or
//! something that runs excludes it. (Else it would have been added.) So its reason is
//! found beside it, in what runs, and not in how the search went. Where it lacks another
//! file that does not run, that one's reason is the reason; of several ways the
//! shortest, and where there is no end to it, they wait for each other.
//!
//! What many have in common is looked for once, and the rest has a bounded effort: a
//! reason that would take more is not found, and that is said.

mod circles;
mod excluded;
mod missing;
mod reach;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use plugbay_manifest::ContractVersion;
use semver::Version;

use self::missing::There;
use crate::askers::Askers;
use crate::choose::Choice;
use crate::effort::Effort;
use crate::goals::{GroupRule, Question, Requirement};
use crate::missing::Because;
use crate::offer::{Name, Offer, Refused};
use crate::reason::Reason;
use crate::running::Running;

pub(crate) struct Explained<'a> {
    offers: &'a [Offer],
    question: &'a Question,
    choice: &'a Choice,
    running: &'a Running,
    effort: Effort,
    /// By file, of those that were not in question.
    out: HashMap<usize, &'a Reason>,
    out_by_id: BTreeMap<&'a str, Vec<usize>>,
    out_by_contract: HashMap<&'a str, Vec<(usize, ContractVersion)>>,
    refused: HashMap<&'a str, Vec<&'a Refused>>,
    /// By goal: the file that runs.
    winners: HashMap<usize, usize>,
    /// By file that runs: who cannot do with another one, as file and number of the
    /// requirement.
    users: HashMap<usize, Vec<(usize, usize)>>,
    /// By file that runs: the goal that matters most of those that need it, and its file.
    backing: HashMap<usize, (usize, usize)>,
    groups: HashMap<usize, Vec<usize>>,
    /// By group: the one of it that runs.
    of_group: Vec<Option<usize>>,
    exclusions: HashMap<usize, Vec<usize>>,
    /// By exclusion: who says so and runs, and who is excluded and runs, those that go
    /// before others first.
    active: Vec<(Vec<usize>, Vec<usize>)>,
    /// By set: what there is beside it, where somebody asked.
    there: RefCell<HashMap<usize, Rc<There>>>,
    /// By set: the newest file, and the newest one of another plugin.
    newest: RefCell<HashMap<usize, [Option<usize>; 2]>>,
    /// By file that runs: those that run and need it, through others as well, in order.
    leading: RefCell<HashMap<usize, Rc<[usize]>>>,
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

/// A reason as another file's is told of by those that need that one.
#[derive(Clone)]
struct Told {
    reason: String,
    help: String,
}

/// A reason was not found with the effort that there is.
struct NotFound;

/// A reason, if this was it.
type Found<T> = Result<Option<T>, NotFound>;

impl<'a> Explained<'a> {
    pub(crate) fn new(
        offers: &'a [Offer],
        question: &'a Question,
        choice: &'a Choice,
        running: &'a Running,
        effort: u64,
    ) -> Self {
        let mut this = Self {
            offers,
            question,
            choice,
            running,
            effort: Effort::new(effort / STEPS_A_LOOK),
            out: HashMap::new(),
            out_by_id: BTreeMap::new(),
            out_by_contract: HashMap::new(),
            refused: HashMap::new(),
            winners: HashMap::new(),
            users: HashMap::new(),
            backing: HashMap::new(),
            groups: HashMap::new(),
            of_group: Vec::new(),
            exclusions: HashMap::new(),
            active: Vec::new(),
            there: RefCell::default(),
            newest: RefCell::default(),
            leading: RefCell::default(),
        };
        for file in choice.levels.iter().flatten() {
            this.winners.insert(question.goal_of[file], *file);
        }
        for (number, group) in question.groups.iter().enumerate() {
            this.of_group.push(group.files.iter().copied().find(|file| running.has(*file)));
            if group.rule != GroupRule::Goal {
                for file in &group.files {
                    this.groups.entry(*file).or_default().push(number);
                }
            }
        }
        for (number, exclusion) in question.exclusions.iter().enumerate() {
            let active = |files: &[usize]| {
                let mut active: Vec<_> =
                    files.iter().copied().filter(|file| running.has(*file)).collect();
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

    /// What was not in question, to be told of by those that need it.
    pub(crate) fn beside(mut self, out: &'a [(usize, Reason)], refused: &'a [Refused]) -> Self {
        for (file, reason) in out {
            let manifest = &self.offers[*file].manifest;
            self.out.insert(*file, reason);
            self.out_by_id.entry(manifest.id.as_str()).or_default().push(*file);
            for service in &manifest.services {
                let offering = self.out_by_contract.entry(service.id.as_str()).or_default();
                offering.push((*file, service.version));
            }
        }
        self.out_by_id.values_mut().for_each(|files| files.sort_unstable());
        for one in refused {
            self.refused.entry(one.id.as_str()).or_default().push(one);
        }
        self
    }

    fn see_users(&mut self) {
        for &file in self.choice.levels.iter().rev().flatten() {
            let own = (self.question.goal_of[&file], file);
            let backed = self.backing.get(&file).copied().unwrap_or(own).min(own);
            for (number, requirement) in self.requirements(file).iter().enumerate() {
                let mut doing = self.running.doing(requirement);
                if let (Some(only), None) = (doing.next(), doing.next()) {
                    self.users.entry(only).or_default().push((file, number));
                    let backing = self.backing.entry(only).or_insert(backed);
                    *backing = backed.min(*backing);
                }
            }
        }
    }

    fn requirements(&self, file: usize) -> &'a [Requirement] {
        self.question.hard_of(file)
    }

    fn lacking(&self, file: usize) -> impl Iterator<Item = (usize, &'a Requirement)> {
        let numbered = self.requirements(file).iter().enumerate();
        numbered.filter(|(_, requirement)| self.running.doing(requirement).next().is_none())
    }

    fn is_empty(&self, requirement: &Requirement) -> bool {
        self.question.doing(requirement).iter().all(|files| files.is_empty())
    }

    /// The reasons of all that were in question and do not run.
    pub(crate) fn reasons(&self) -> HashMap<usize, Reason> {
        let held: Vec<usize> = {
            let files = self.question.goals.iter().flat_map(|goal| goal.files.iter().copied());
            let mut held: Vec<_> = files.filter(|file| !self.running.has(*file)).collect();
            held.sort_unstable();
            held
        };
        let undecided = &self.choice.undecided;
        let mut reasons: HashMap<usize, Reason> =
            undecided.iter().map(|file| (*file, self.undecided(*file))).collect();
        for &file in held.iter().filter(|file| undecided.binary_search(file).is_err()) {
            match self.root(file) {
                Ok(None) => {}
                Ok(Some(reason)) => drop(reasons.insert(file, reason)),
                Err(NotFound) => drop(reasons.insert(file, self.undecided(file))),
            }
        }
        let ways = self.ways(&held, &reasons);
        let left = |file: &&usize| !reasons.contains_key(file) && !ways.contains_key(file);
        let waiting: Vec<usize> = held.iter().filter(left).copied().collect();
        let told: HashMap<usize, Told> = ways
            .values()
            .map(|way| way.root)
            .collect::<std::collections::HashSet<_>>()
            .into_iter()
            .map(|root| (root, self.told(root, &reasons[&root])))
            .collect();
        for (file, way) in &ways {
            let reason = self.by_way(*file, *way, &told[&way.root]);
            reasons.insert(*file, reason.unwrap_or_else(|NotFound| self.undecided(*file)));
        }
        reasons.extend(self.waiting(&waiting));
        reasons
    }

    /// That the effort is over for a file.
    fn undecided(&self, file: usize) -> Reason {
        let goal = self.question.goal_of.get(&file);
        let files = goal.and_then(|goal| self.choice.bound_up.get(goal)).copied();
        Reason::Undecided { others: files.unwrap_or(1).saturating_sub(1) }
    }

    /// A reason that needs no other file's reason.
    fn root(&self, file: usize) -> Found<Reason> {
        let winner = self.question.goal_of.get(&file).and_then(|goal| self.winners.get(goal));
        if let Some(winner) = winner
            && self.offers[*winner].manifest.version > self.offers[file].manifest.version
        {
            return Ok(Some(Reason::Older {
                newer: self.version(*winner)?,
                other: self.offers[*winner].path.clone(),
            }));
        }
        let nothing = self.lacking(file).find(|(_, requirement)| self.is_empty(requirement));
        if let Some((_, requirement)) = nothing {
            return self.missing(file, requirement, None).map(Some);
        }
        let lacks = self.lacking(file).next().is_some();
        if let Some(reason) = self.excluded(file, winner.copied(), !lacks)? {
            return Ok(Some(reason));
        }
        match winner {
            Some(winner) if !lacks => self.too_new(file, *winner).map(Some),
            _ => Ok(None),
        }
    }

    /// For those that lack files which do not run: the shortest way to one with a reason.
    fn ways(&self, held: &[usize], reasons: &HashMap<usize, Reason>) -> BTreeMap<usize, Way> {
        let mut askers = Askers::new(self.question);
        for &file in held.iter().filter(|file| !reasons.contains_key(file)) {
            for (number, _) in self.lacking(file) {
                askers.add(file, number);
            }
        }
        let mut ways: BTreeMap<usize, Way> = BTreeMap::new();
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
                for (asker, number) in askers.told_by(file) {
                    ways.entry(asker).or_insert_with(|| {
                        next.push((asker, root));
                        Way { number, next: file, root }
                    });
                }
            }
            front = next;
        }
        ways
    }

    fn told(&self, file: usize, reason: &Reason) -> Told {
        let help = reason.hint_for_users(&self.offers[file].name());
        Told { reason: reason.to_string(), help }
    }

    fn by_way(&self, file: usize, way: Way, told: &Told) -> Result<Reason, NotFound> {
        let because = self.because(way.next, way.root, told)?;
        self.missing(file, &self.requirements(file)[way.number], Some(because))
    }

    fn because(&self, next: usize, root: usize, told: &Told) -> Result<Because, NotFound> {
        self.spend((told.reason.len() + told.help.len()) / BYTES_A_LOOK)?;
        let root = if root == next { None } else { Some(self.name(root)?) };
        let Told { reason, help } = told.clone();
        Ok(Because { name: self.name(next)?, root, reason, help })
    }

    /// What others wrote is counted where it is kept: a version may be as long as a manifest,
    /// and thousands may need it.
    fn name(&self, file: usize) -> Result<Name, NotFound> {
        self.spend(self.offers[file].length_of_name() / BYTES_A_LOOK)?;
        Ok(self.offers[file].name())
    }

    fn version(&self, file: usize) -> Result<Version, NotFound> {
        self.name(file).map(|name| name.version)
    }

    /// Counts work. What has no bound in what is there is to be counted.
    fn spend(&self, steps: usize) -> Result<(), NotFound> {
        self.effort.spend(steps).ok_or(NotFound)
    }
}

/// Steps of the policy's effort that one look is counted as.
const STEPS_A_LOOK: u64 = 10;
/// Bytes of others that are kept for one look.
const BYTES_A_LOOK: usize = 16;
