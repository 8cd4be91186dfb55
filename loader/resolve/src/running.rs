//! What runs, by what is asked for.

use std::collections::HashMap;

use crate::goals::{Question, Requirement};

/// Those that run, looked up once.
pub(crate) struct Running {
    /// By file: its turn in the order of activation.
    turns: HashMap<usize, usize>,
    /// By set: those of it that run.
    members: Vec<Vec<usize>>,
    /// By set: those that run and need one of it, as file and number of the requirement,
    /// in the order of activation.
    users: Vec<Vec<(usize, usize)>>,
    /// By file that runs: the sets that it is in.
    sets_of: HashMap<usize, Vec<usize>>,
}

impl Running {
    pub(crate) fn new(question: &Question, levels: &[Vec<usize>]) -> Self {
        let in_turn = || levels.iter().flatten().copied();
        let turns: HashMap<usize, usize> =
            in_turn().enumerate().map(|(turn, file)| (file, turn)).collect();
        let mut sets_of: HashMap<usize, Vec<usize>> = HashMap::new();
        let members = question.sets.iter().enumerate().map(|(set, files)| {
            let runs: Vec<_> =
                files.iter().copied().filter(|file| turns.contains_key(file)).collect();
            for file in &runs {
                sets_of.entry(*file).or_default().push(set);
            }
            runs
        });
        let members = members.collect();
        let mut users = vec![Vec::new(); question.sets.len()];
        for file in in_turn() {
            for (number, requirement) in question.hard_of(file).iter().enumerate() {
                users[requirement.set].push((file, number));
            }
        }
        Self { turns, members, users, sets_of }
    }

    pub(crate) fn has(&self, file: usize) -> bool {
        self.turns.contains_key(&file)
    }

    pub(crate) fn turn(&self, file: usize) -> Option<usize> {
        self.turns.get(&file).copied()
    }

    /// Those that run and would do, by number.
    pub(crate) fn doing(&self, requirement: &Requirement) -> impl Iterator<Item = usize> {
        requirement.without_own(&self.members[requirement.set]).into_iter().flatten().copied()
    }

    pub(crate) fn members(&self, set: usize) -> &[usize] {
        &self.members[set]
    }

    pub(crate) fn users(&self, set: usize) -> &[(usize, usize)] {
        &self.users[set]
    }

    pub(crate) fn sets_of(&self, file: usize) -> &[usize] {
        self.sets_of.get(&file).map_or(&[], Vec::as_slice)
    }
}
