//! Which files are better activated before others, where that is possible.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::goals::{Question, Requirement};

/// What those that are chosen wish for. The work is in proportion to the sets that they
/// name and to those that name them.
#[derive(Default)]
pub(super) struct Wishes {
    sets: HashMap<usize, Wished>,
    /// By file: the sets that it is in.
    sets_of: HashMap<usize, Vec<usize>>,
    /// By file: the sets that it waits for.
    waiting: HashMap<usize, usize>,
}

struct Wished {
    /// The chosen ones of the set, by number; those before `from` and from `to` on are done.
    members: Vec<usize>,
    from: usize,
    to: usize,
    /// Who waits until all are done.
    all: Vec<usize>,
    /// Who waits until nothing but its own versions is left, by the first of its own: the
    /// end of them, and who.
    own: BTreeMap<usize, (usize, Vec<usize>)>,
}

impl Wishes {
    pub(super) fn new(question: &Question, chosen: &[usize], is_in: &HashSet<usize>) -> Self {
        let mut this = Self::default();
        for &file in chosen {
            for requirement in question.soft_of(file) {
                this.add(question, file, requirement, is_in);
            }
        }
        this
    }

    fn add(
        &mut self,
        question: &Question,
        file: usize,
        requirement: &Requirement,
        is_in: &HashSet<usize>,
    ) {
        let Requirement { set, own, .. } = requirement;
        let wished = self.sets.entry(*set).or_insert_with(|| {
            let members: Vec<_> =
                question.sets[*set].iter().copied().filter(|it| is_in.contains(it)).collect();
            for member in &members {
                self.sets_of.entry(*member).or_default().push(*set);
            }
            let to = members.len();
            Wished { members, from: 0, to, all: Vec::new(), own: BTreeMap::new() }
        });
        let [before, after] = requirement.without_own(&wished.members);
        if before.is_empty() && after.is_empty() {
            return;
        }
        *self.waiting.entry(file).or_default() += 1;
        if before.len() + after.len() == wished.members.len() {
            wished.all.push(file);
        } else {
            wished.own.entry(own.start).or_insert((own.end, Vec::new())).1.push(file);
        }
    }

    pub(super) fn has_none(&self, file: usize) -> bool {
        self.waiting.get(&file).is_none_or(|sets| *sets == 0)
    }

    /// Those that wait for nothing more, now that `done` says so of these files, too.
    pub(super) fn fulfilled_by(
        &mut self,
        files: &[usize],
        done: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut free = Vec::new();
        for set in files.iter().filter_map(|file| self.sets_of.remove(file)).flatten() {
            let Some(wished) = self.sets.get_mut(&set) else { continue };
            for file in wished.now_free(&done) {
                let Some(sets) = self.waiting.get_mut(&file) else { continue };
                *sets -= 1;
                if *sets == 0 {
                    free.push(file);
                }
            }
        }
        free
    }
}

impl Wished {
    fn now_free(&mut self, done: impl Fn(usize) -> bool) -> Vec<usize> {
        while self.from < self.to && done(self.members[self.from]) {
            self.from += 1;
        }
        while self.from < self.to && done(self.members[self.to - 1]) {
            self.to -= 1;
        }
        let (Some(first), Some(last)) =
            (self.members[self.from..self.to].first(), self.members[..self.to].last())
        else {
            let own = std::mem::take(&mut self.own).into_values().flat_map(|(_, files)| files);
            return std::mem::take(&mut self.all).into_iter().chain(own).collect();
        };
        let left = self.own.range_mut(..=*first).next_back();
        let left = left.filter(|(_, (end, _))| first < end && last < end);
        left.map(|(_, (_, files))| std::mem::take(files)).unwrap_or_default()
    }
}
