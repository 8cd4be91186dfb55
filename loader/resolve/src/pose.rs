//! A part of the question as constraints that the search knows.

use std::collections::HashMap;

use crate::goals::{Question, Requirement};
use crate::parts::Part;
use crate::search::{Literal, Search, Var};

/// A part, to be searched.
pub(crate) struct Posed<'a> {
    question: &'a Question,
    pub(crate) search: Search,
    /// By file.
    pub(crate) vars: HashMap<usize, Var>,
    /// By set: that one of it runs.
    some_of: HashMap<usize, Var>,
    /// By set and number of files: that one of its first ones runs, or one of its last ones.
    ends_of: HashMap<(usize, usize, End), Var>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    First,
    Last,
}

impl<'a> Posed<'a> {
    /// Variables for goals, then for files, by how much they matter; then for sets of
    /// files, so that what many files ask for is written once.
    pub(crate) fn new(question: &'a Question, part: &Part, effort: u64) -> Self {
        let mut search = Search::new(effort);
        let runs: Vec<Var> = part.goals.iter().map(|_| search.add_variable(true)).collect();
        let mut vars: HashMap<usize, Var> = HashMap::new();
        for (goal, runs) in part.goals.iter().zip(&runs) {
            let mut one_of = vec![Literal::is_not(*runs)];
            for file in &question.goals[*goal].files {
                let var = search.add_variable(true);
                vars.insert(*file, var);
                one_of.push(Literal::is(var));
                search.add_clause(vec![Literal::is_not(var), Literal::is(*runs)]);
            }
            search.add_clause(one_of);
        }
        let (some_of, ends_of) = (HashMap::new(), HashMap::new());
        let mut this = Self { question, search, vars, some_of, ends_of };
        for file in part.files(question) {
            for requirement in question.hard_of(file) {
                this.require(file, requirement);
            }
        }
        for group in &part.groups {
            let members = this.vars_of(&question.groups[*group].files);
            this.search.add_group(members);
        }
        for exclusion in part.exclusions.iter().map(|number| &question.exclusions[*number]) {
            this.exclude(&exclusion.by, &exclusion.others);
        }
        this
    }

    fn vars_of<'b>(&self, files: impl IntoIterator<Item = &'b usize>) -> Vec<Var> {
        files.into_iter().filter_map(|file| self.vars.get(file)).copied().collect()
    }

    /// That if this variable is true, one of the others is.
    fn follows(&mut self, var: Var, one_of: impl IntoIterator<Item = Var>) {
        let one_of = one_of.into_iter().map(Literal::is);
        self.search.add_clause([Literal::is_not(var)].into_iter().chain(one_of).collect());
    }

    fn require(&mut self, file: usize, requirement: &Requirement) {
        let set = &self.question.sets[requirement.set];
        let [before, after] = self.question.doing(requirement);
        let Some(own) = self.vars.get(&file).copied() else { return };
        if before.len() + after.len() < 3 {
            let does = self.vars_of(before.iter().chain(after));
            self.follows(own, does);
        } else if before.len() + after.len() == set.len() {
            let some = self.some_of(requirement.set);
            self.follows(own, [some]);
        } else {
            let first = self.end_of(requirement.set, before.len(), End::First);
            let last = self.end_of(requirement.set, after.len(), End::Last);
            self.follows(own, first.into_iter().chain(last));
        }
    }

    fn some_of(&mut self, set: usize) -> Var {
        if let Some(some) = self.some_of.get(&set) {
            return *some;
        }
        let some = self.search.add_variable(false);
        self.some_of.insert(set, some);
        let does = self.vars_of(self.question.sets[set].iter());
        self.follows(some, does);
        some
    }

    /// That one of so many files at an end of a set runs: the next one, or one of those
    /// beyond.
    fn end_of(&mut self, set: usize, count: usize, end: End) -> Option<Var> {
        let files = &self.question.sets[set];
        let known = |count: &usize| self.ends_of.contains_key(&(set, *count, end));
        let from = (1..=count).rev().find(known).unwrap_or(0);
        let mut some = self.ends_of.get(&(set, from, end)).copied();
        for count in from + 1..=count {
            let next = match end {
                End::First => files[count - 1],
                End::Last => files[files.len() - count],
            };
            let var = self.search.add_variable(false);
            let does = self.vars_of([&next]);
            self.follows(var, does.into_iter().chain(some));
            self.ends_of.insert((set, count, end), var);
            some = Some(var);
        }
        some
    }

    /// Each of `by` excludes the others, but not itself.
    fn exclude(&mut self, by: &[usize], others: &[usize]) {
        let is_by = |file: &&usize| by.binary_search(file).is_ok();
        let is_other = |file: &&usize| others.binary_search(file).is_ok();
        let both = self.vars_of(others.iter().filter(is_by));
        let plain = self.vars_of(others.iter().filter(|file| !is_by(file)));
        let outside = self.vars_of(by.iter().filter(|file| !is_other(file)));
        let mut any_of = |members: &[Var]| {
            let any = self.search.add_variable(false);
            for member in members {
                self.search.add_clause(vec![Literal::is_not(*member), Literal::is(any)]);
            }
            any
        };
        let any_plain = (!plain.is_empty()).then(|| any_of(&plain));
        let any_both = (!both.is_empty() && !outside.is_empty()).then(|| any_of(&both));
        let mut not_beside = |vars: &[Var], any: Option<Var>| {
            for (var, any) in vars.iter().zip(any.iter().cycle()) {
                self.search.add_clause(vec![Literal::is_not(*var), Literal::is_not(*any)]);
            }
        };
        not_beside(&both, any_plain);
        not_beside(&outside, any_plain);
        not_beside(&outside, any_both);
        self.search.add_group(both);
    }

    /// None of these runs unless one of the others does.
    pub(crate) fn leave(&mut self, members: &[usize], others: &[usize]) {
        let others = self.vars_of(others);
        let any = (!others.is_empty()).then(|| self.search.add_variable(false));
        if let Some(any) = any {
            self.follows(any, others);
        }
        for member in self.vars_of(members) {
            self.follows(member, any);
        }
    }
}
