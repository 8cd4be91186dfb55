//! The answer to a question: which files run together.

use std::collections::HashMap;
use std::rc::Rc;

use crate::goals::{Files, Question};
use crate::order::{Order, order};
use crate::search::{Exhausted, Literal, Search, Var};

/// Files that run together, level by level, and those that were too much to decide on.
pub(crate) struct Choice {
    pub(crate) levels: Vec<Vec<usize>>,
    pub(crate) undecided: Vec<usize>,
}

/// Finds the best answer: first, that as much as possible runs, what goes before others
/// first; then, in the same order, that it runs in the newest version.
pub(crate) fn choose(question: &Question, effort: u64) -> Choice {
    let mut undecided = Vec::new();
    let mut chosen = Vec::new();
    for part in parts(question) {
        match choose_part(question, &part, effort) {
            Ok(files) => chosen.extend(files),
            Err(Exhausted) => {
                undecided.extend(part.iter().flat_map(|goal| &question.goals[*goal].files));
            }
        }
    }
    chosen.sort_unstable();
    undecided.sort_unstable();
    match order(question, &chosen) {
        Order::Levels(levels) => Choice { levels, undecided },
        // Each part has an order, and they have nothing to do with each other.
        Order::Circle { .. } => Choice { levels: vec![chosen], undecided },
    }
}

/// The goals in parts that have nothing to do with each other, each in order.
fn parts(question: &Question) -> Vec<Vec<usize>> {
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
    let mut joined: HashMap<*const usize, ()> = HashMap::new();
    for (file, requirements) in &question.hard {
        for requirement in requirements {
            // Those that ask for the same are joined through its first.
            let is_new = joined.insert(requirement.files.as_ptr(), ()).is_none();
            let some = if is_new { requirement.files.len() } else { 1 };
            join(&mut requirement.files.iter().take(some).chain([file]));
        }
    }
    for group in &question.groups {
        join(&mut group.files.iter());
    }
    for exclusion in &question.exclusions {
        join(&mut exclusion.by.iter().chain(exclusion.others.iter()));
    }
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for goal in 0..question.goals.len() {
        let number = *numbers.entry(sets.find(goal)).or_insert_with(|| {
            parts.push(Vec::new());
            parts.len() - 1
        });
        parts[number].push(goal);
    }
    parts
}

/// Answers one part. Where those that run together could never be activated, as they wait
/// for each other, that is forbidden, and the search goes on.
fn choose_part(question: &Question, goals: &[usize], effort: u64) -> Result<Vec<usize>, Exhausted> {
    let (mut search, vars) = posed(question, goals, effort);
    loop {
        // Nothing at all is always an answer.
        search.run()?.ok_or(Exhausted)?;
        let is_in = |file: &&usize| vars.get(file).is_some_and(|var| search.is_true(*var));
        let files = goals.iter().flat_map(|goal| &question.goals[*goal].files);
        let chosen: Vec<usize> = files.filter(is_in).copied().collect();
        search.effort = search.effort.saturating_sub(chosen.len() as u64);
        match order(question, &chosen) {
            Order::Levels(_) => return Ok(chosen),
            Order::Circle { members, others } => {
                let out = members.iter().filter_map(|file| vars.get(file));
                let back = others.iter().filter_map(|file| vars.get(file));
                let clause = out.map(|var| Literal::is_not(*var));
                search.add_clause(clause.chain(back.map(|var| Literal::is(*var))).collect());
            }
        }
    }
}

/// Variables for goals, then for files, by how much they matter; then for sets of files,
/// so that what many files ask for is written once.
fn posed(question: &Question, goals: &[usize], effort: u64) -> (Search, HashMap<usize, Var>) {
    let mut search = Search::new(effort);
    let runs: Vec<Var> = goals.iter().map(|_| search.add_variable(true)).collect();
    let mut vars: HashMap<usize, Var> = HashMap::new();
    for (goal, runs) in goals.iter().zip(&runs) {
        let mut one_of = vec![Literal::is_not(*runs)];
        for file in &question.goals[*goal].files {
            let var = search.add_variable(true);
            vars.insert(*file, var);
            one_of.push(Literal::is(var));
            search.add_clause(vec![Literal::is_not(var), Literal::is(*runs)]);
        }
        search.add_clause(one_of);
    }
    let mut some_of: HashMap<*const usize, Var> = HashMap::new();
    let files = goals.iter().flat_map(|goal| &question.goals[*goal].files);
    for file in files {
        for requirement in question.hard.get(file).into_iter().flatten() {
            let files: &Files = &requirement.files;
            let own = Literal::is_not(vars[file]);
            if files.len() < 3 || Rc::strong_count(files) < 3 {
                let does =
                    files.iter().filter_map(|file| vars.get(file)).map(|it| Literal::is(*it));
                search.add_clause([own].into_iter().chain(does).collect());
                continue;
            }
            let some = *some_of.entry(files.as_ptr()).or_insert_with(|| {
                let some = search.add_variable(false);
                let does =
                    files.iter().filter_map(|file| vars.get(file)).map(|it| Literal::is(*it));
                search.add_clause([Literal::is_not(some)].into_iter().chain(does).collect());
                some
            });
            search.add_clause(vec![own, Literal::is(some)]);
        }
    }
    for group in &question.groups {
        search.add_group(group.files.iter().filter_map(|file| vars.get(file)).copied().collect());
    }
    for exclusion in &question.exclusions {
        exclude(&mut search, &vars, &exclusion.by, &exclusion.others);
    }
    (search, vars)
}

/// Each of `by` excludes the others, but not itself.
fn exclude(search: &mut Search, vars: &HashMap<usize, Var>, by: &[usize], others: &[usize]) {
    let of = |files: &mut dyn Iterator<Item = &usize>| -> Vec<Var> {
        files.filter_map(|file| vars.get(file)).copied().collect()
    };
    let is_by = |file: &&usize| by.binary_search(file).is_ok();
    let is_other = |file: &&usize| others.binary_search(file).is_ok();
    let both = of(&mut others.iter().filter(is_by));
    let plain = of(&mut others.iter().filter(|file| !is_by(file)));
    let outside = of(&mut by.iter().filter(|file| !is_other(file)));
    let mut any_of = |members: &[Var]| {
        let any = search.add_variable(false);
        for member in members {
            search.add_clause(vec![Literal::is_not(*member), Literal::is(any)]);
        }
        any
    };
    let any_plain = (!plain.is_empty()).then(|| any_of(&plain));
    let any_both = (!both.is_empty() && !outside.is_empty()).then(|| any_of(&both));
    let mut not_beside = |vars: &[Var], any: Option<Var>| {
        for (var, any) in vars.iter().zip(any.iter().cycle()) {
            search.add_clause(vec![Literal::is_not(*var), Literal::is_not(*any)]);
        }
    };
    not_beside(&both, any_plain);
    not_beside(&outside, any_plain);
    not_beside(&outside, any_both);
    search.add_group(both);
}
