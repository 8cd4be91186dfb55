//! Who needs whom, through others as well, of those that run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::iter::successors;
use std::rc::Rc;

use super::{Explained, NotFound};
use crate::offer::Name;
use crate::reason::Reason;

/// Members of a circle that are kept, to be told of.
pub(super) const MOST_TOLD: usize = 16;

impl Explained<'_> {
    /// Those that run and need one that runs, and that one, by number.
    pub(super) fn leading_to(&self, file: usize) -> Result<Rc<[usize]>, NotFound> {
        let known = self.leading.borrow().get(&file).cloned();
        if let Some(leading) = known {
            return Ok(leading);
        }
        let (mut open, mut seen) = (vec![file], HashSet::from([file]));
        // By set: the first file of it that was come to; none, where all users are known.
        let mut come: HashMap<usize, Option<usize>> = HashMap::new();
        while let Some(at) = open.pop() {
            for &set in self.running.sets_of(at) {
                self.spend(1)?;
                let before = come.get(&set).copied();
                if let Some(before) = before
                    && before
                        .is_none_or(|it| self.offers[it].manifest.id == self.offers[at].manifest.id)
                {
                    continue;
                }
                come.insert(set, before.is_none().then_some(at));
                let users = self.running.users(set);
                self.spend(users.len())?;
                for (user, number) in users {
                    let is_own = self.requirements(*user)[*number].own.contains(&at);
                    if !is_own && seen.insert(*user) {
                        open.push(*user);
                    }
                }
            }
        }
        let mut leading: Vec<usize> = seen.into_iter().collect();
        leading.sort_unstable();
        let leading: Rc<[usize]> = leading.into();
        self.leading.borrow_mut().insert(file, leading.clone());
        Ok(leading)
    }

    /// The first thing that a file needs and that needs one that runs, through others as
    /// well; that one itself perhaps.
    pub(super) fn own_need_of(&self, file: usize, runs: usize) -> Result<Option<usize>, NotFound> {
        if self.requirements(file).is_empty() {
            return Ok(None);
        }
        let leading = self.leading_to(runs)?;
        for requirement in self.requirements(file) {
            let members = self.running.members(requirement.set);
            self.spend(1 + members.len().min(leading.len()))?;
            let (few, many) = if members.len() < leading.len() {
                (members, &*leading)
            } else {
                (&*leading, members)
            };
            let mut few = requirement.without_own(few).into_iter().flatten();
            if let Some(need) = few.find(|it| many.binary_search(it).is_ok()) {
                return Ok(Some(*need));
            }
        }
        Ok(None)
    }

    /// The first one in the order of activation that needs a file which runs, or others
    /// that would do.
    pub(super) fn first_user(
        &self,
        file: usize,
        is_it: impl Fn(usize) -> bool,
    ) -> Result<Option<(usize, usize)>, NotFound> {
        let mut first: Option<(usize, usize)> = None;
        for &set in self.running.sets_of(file) {
            self.spend(1)?;
            if !is_it(set) {
                continue;
            }
            for (looked_at, (user, number)) in self.running.users(set).iter().enumerate() {
                self.spend(looked_at.min(1))?;
                if self.requirements(*user)[*number].own.contains(&file) {
                    continue;
                }
                if first.is_none_or(|(it, _)| self.running.turn(*user) < self.running.turn(it)) {
                    first = Some((*user, *number));
                }
                break;
            }
        }
        Ok(first)
    }

    /// From a file through what it needs and runs to one that needs it.
    pub(super) fn way_back(&self, file: usize) -> Result<Option<Reason>, NotFound> {
        let (mut open, mut from) = (VecDeque::from([file]), HashMap::new());
        let mut seen = HashSet::new();
        while let Some(at) = open.pop_front() {
            let needs = self.requirements(at);
            self.spend(1 + needs.len())?;
            if at != file && needs.iter().any(|need| self.question.does(need, file)) {
                let before = |at: &usize| from.get(at).copied();
                let mut path: Vec<usize> = successors(Some(at), before).collect();
                path.reverse();
                return self.circle_of(path.iter().copied(), path.len()).map(Some);
            }
            for need in needs {
                // Those that ask for all of a set come to the same.
                let [before, after] = need.without_own(self.running.members(need.set));
                let is_whole = before.len() + after.len() == self.running.members(need.set).len();
                if is_whole && !seen.insert(need.set) {
                    continue;
                }
                for &next in before.iter().chain(after) {
                    self.spend(1)?;
                    if next != file && !from.contains_key(&next) {
                        from.insert(next, at);
                        open.push_back(next);
                    }
                }
            }
        }
        Ok(None)
    }

    pub(super) fn circle_of(
        &self,
        files: impl Iterator<Item = usize>,
        count: usize,
    ) -> Result<Reason, NotFound> {
        let members: Vec<Name> =
            files.take(MOST_TOLD).map(|file| self.name(file)).collect::<Result<_, _>>()?;
        Ok(Reason::Circle { more: count - members.len(), members })
    }
}
