//! The question in parts that have nothing to do with each other.

use std::collections::HashMap;

use crate::goals::Question;

/// Goals that are bound up with each other, in order, and what holds among them, by number.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) goals: Vec<usize>,
    pub(crate) groups: Vec<usize>,
    pub(crate) exclusions: Vec<usize>,
}

impl Part {
    /// Its files, by goal.
    pub(crate) fn files<'a>(&'a self, question: &'a Question) -> impl Iterator<Item = usize> + 'a {
        self.goals.iter().flat_map(|goal| question.goals[*goal].files.iter().copied())
    }
}

/// All parts, by their first goals.
pub(crate) fn parts(question: &Question) -> Vec<Part> {
    let mut sets = petgraph::unionfind::UnionFind::<usize>::new(question.goals.len());
    let goal = |file: &usize| question.goal_of.get(file).copied();
    let mut join = |files: &mut dyn Iterator<Item = &usize>| {
        let mut goals = files.filter_map(goal);
        if let Some(first) = goals.next() {
            for other in goals {
                sets.union(first, other);
            }
        }
    };
    // Those that ask for the same are joined through its first.
    let mut joined = vec![false; question.sets.len()];
    for file in question.goals.iter().flat_map(|goal| &goal.files) {
        for requirement in question.hard_of(*file) {
            let files = &question.sets[requirement.set];
            let is_joined = std::mem::replace(&mut joined[requirement.set], true);
            let some = if is_joined { 1 } else { files.len() };
            join(&mut files.iter().take(some).chain([file]));
        }
    }
    for group in &question.groups {
        join(&mut group.files.iter());
    }
    for exclusion in &question.exclusions {
        join(&mut exclusion.by.iter().chain(exclusion.others.iter()));
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let mut part_of = Vec::new();
    for goal in 0..question.goals.len() {
        let number = *numbers.entry(sets.find(goal)).or_insert_with(|| {
            parts.push(Part::default());
            parts.len() - 1
        });
        parts[number].goals.push(goal);
        part_of.push(number);
    }
    let part_of_file = |file: Option<&usize>| Some(part_of[goal(file?)?]);
    for (number, group) in question.groups.iter().enumerate() {
        if let Some(part) = part_of_file(group.files.first()) {
            parts[part].groups.push(number);
        }
    }
    for (number, exclusion) in question.exclusions.iter().enumerate() {
        if let Some(part) = part_of_file(exclusion.others.first()) {
            parts[part].exclusions.push(number);
        }
    }
    parts
}
