//! The search for the best answer: which variables are true.
//!
//! The variables are numbered by how much they matter, and each has a value that is
//! preferred. The answer is the one that gives the first variable its preferred value
//! if any answer does, then the second one, and so on: the greatest answer in the order
//! of words in a dictionary.
//!
//! It is found by conflict-driven clause learning whose decisions always give the first
//! variable that has no value its preferred one. That the first answer found so is the
//! greatest: let `v` be a variable with the other value. Nobody decided that, so it
//! follows from the constraints (and from what was learned, which follows from them)
//! together with decisions that were made while `v` had no value, and those were on
//! variables before `v`. So with those before `v` as they are, `v` cannot be otherwise;
//! and by induction those before it are as in the greatest answer. Jumping back keeps
//! the earlier decisions only, of which the same is true.
//!
//! That is why it is not one of the crates for satisfiability, which choose decisions to
//! be fast, and not `pubgrub`, which has no clauses other than dependencies.

/// A variable, by its place in the order.
pub(crate) type Var = u32;

/// A variable that is to be true, or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Literal(u32);

impl Literal {
    pub(crate) fn is(var: Var) -> Self {
        Self(var << 1)
    }

    pub(crate) fn is_not(var: Var) -> Self {
        Self(var << 1 | 1)
    }

    pub(crate) fn var(self) -> Var {
        self.0 >> 1
    }

    pub(crate) fn wants(self) -> bool {
        self.0 & 1 == 0
    }

    fn negated(self) -> Self {
        Self(self.0 ^ 1)
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

/// The work that was allowed was not enough.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Why there is no answer.
#[derive(Debug)]
enum Stuck {
    Never,
    Exhausted,
}

/// Why a variable has its value.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// Decided.
    None,
    /// The other literals of this clause are false.
    Clause(u32),
    /// This other one of a group is true.
    Group(Var),
}

/// Constraints, and the search over them.
#[derive(Debug, Default)]
pub(crate) struct Search {
    preferred: Vec<bool>,
    clauses: Vec<Vec<Literal>>,
    /// By literal: the clauses that watch it, to be looked at when it becomes false.
    watchers: Vec<Vec<u32>>,
    groups: Vec<Vec<Var>>,
    in_groups: Vec<Vec<u32>>,
    values: Vec<Option<bool>>,
    levels: Vec<u32>,
    causes: Vec<Cause>,
    /// What has a value, in the order in which it got it.
    trail: Vec<Literal>,
    /// How long the trail was at each decision, and where the next one was looked for.
    decisions: Vec<(usize, Var)>,
    followed: usize,
    /// No variable before this one is without a value.
    cursor: Var,
    seen: Vec<bool>,
    /// Clauses of one literal, which hold without any decision.
    facts: Vec<Literal>,
    impossible: bool,
    pub(crate) effort: u64,
}

impl Search {
    pub(crate) fn new(effort: u64) -> Self {
        Self { effort, ..Self::default() }
    }

    /// One more variable, that matters less than all before.
    pub(crate) fn add_variable(&mut self, preferred: bool) -> Var {
        let var = self.preferred.len();
        self.preferred.push(preferred);
        self.watchers.extend([Vec::new(), Vec::new()]);
        self.in_groups.push(Vec::new());
        self.values.push(None);
        self.levels.push(0);
        self.causes.push(Cause::None);
        self.seen.push(false);
        u32::try_from(var).unwrap_or(u32::MAX >> 1)
    }

    /// One of these is to hold. Takes all decisions back.
    pub(crate) fn add_clause(&mut self, mut literals: Vec<Literal>) {
        self.spend(literals.len() as u64);
        self.back_to(0);
        // What has a value now has it for good.
        if literals.iter().any(|literal| self.value(*literal) == Some(true)) {
            return;
        }
        literals.retain(|literal| self.value(*literal).is_none());
        literals.sort_unstable();
        literals.dedup();
        if literals.windows(2).any(|pair| matches!(pair, [a, b] if *b == a.negated())) {
            return;
        }
        match *literals {
            [] => self.impossible = true,
            [one] => self.facts.push(one),
            [first, second, ..] => {
                let number = self.number_of_clauses();
                self.watchers[first.place()].push(number);
                self.watchers[second.place()].push(number);
                self.clauses.push(literals);
            }
        }
    }

    /// At most one of these is true.
    pub(crate) fn add_group(&mut self, members: Vec<Var>) {
        self.spend(members.len() as u64);
        if members.len() < 2 {
            return;
        }
        let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        for member in &members {
            self.in_groups[*member as usize].push(number);
        }
        self.groups.push(members);
    }

    /// Whether a variable is true in the answer that was found.
    pub(crate) fn is_true(&self, var: Var) -> bool {
        self.values[var as usize] == Some(true)
    }

    /// Finds the greatest answer. None where there is none.
    pub(crate) fn run(&mut self) -> Result<Option<()>, Exhausted> {
        match self.search() {
            Ok(()) => Ok(Some(())),
            Err(Stuck::Never) => Ok(None),
            Err(Stuck::Exhausted) => Err(Exhausted),
        }
    }

    fn search(&mut self) -> Result<(), Stuck> {
        self.back_to(0);
        if self.impossible {
            return Err(Stuck::Never);
        }
        for fact in std::mem::take(&mut self.facts) {
            match self.value(fact) {
                Some(true) => {}
                Some(false) => return Err(Stuck::Never),
                None => self.assign(fact, Cause::None),
            }
        }
        loop {
            match self.follow()? {
                Some(conflict) if self.decisions.is_empty() => {
                    debug_assert!(!conflict.is_empty());
                    return Err(Stuck::Never);
                }
                Some(conflict) => self.learn(conflict),
                None => match self.next_without_value() {
                    Some(var) => {
                        self.decisions.push((self.trail.len(), var));
                        let preferred = self.preferred[var as usize];
                        let is = if preferred { Literal::is } else { Literal::is_not };
                        self.assign(is(var), Cause::None);
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    fn next_without_value(&mut self) -> Option<Var> {
        let from = self.cursor as usize;
        let at = self.values[from..].iter().position(Option::is_none);
        let looked_at = at.unwrap_or(self.values.len() - from);
        let next = from + looked_at;
        self.spend(looked_at as u64 / 8);
        self.cursor = u32::try_from(next).unwrap_or(u32::MAX);
        at.map(|_| self.cursor)
    }

    fn value(&self, literal: Literal) -> Option<bool> {
        self.values[literal.var() as usize].map(|value| value == literal.wants())
    }

    fn assign(&mut self, literal: Literal, cause: Cause) {
        let var = literal.var() as usize;
        self.values[var] = Some(literal.wants());
        self.levels[var] = self.level();
        self.causes[var] = cause;
        self.trail.push(literal);
    }

    fn level(&self) -> u32 {
        u32::try_from(self.decisions.len()).unwrap_or(u32::MAX)
    }

    fn number_of_clauses(&self) -> u32 {
        u32::try_from(self.clauses.len()).unwrap_or(u32::MAX)
    }

    fn spend(&mut self, steps: u64) {
        self.effort = self.effort.saturating_sub(steps);
    }

    /// Gives values to all that follows. The literals that are all false, where that is
    /// not possible.
    fn follow(&mut self) -> Result<Option<Vec<Literal>>, Stuck> {
        while let Some(literal) = self.trail.get(self.followed).copied() {
            self.followed += 1;
            self.spend(1);
            if let Some(conflict) = self.follow_groups(literal) {
                return Ok(Some(conflict));
            }
            if let Some(conflict) = self.follow_clauses(literal.negated()) {
                return Ok(Some(conflict));
            }
            if self.effort == 0 {
                return Err(Stuck::Exhausted);
            }
        }
        Ok(None)
    }

    fn follow_groups(&mut self, literal: Literal) -> Option<Vec<Literal>> {
        if !literal.wants() {
            return None;
        }
        let var = literal.var();
        for at in 0..self.in_groups[var as usize].len() {
            let group = self.in_groups[var as usize][at] as usize;
            self.spend(self.groups[group].len() as u64);
            for place in 0..self.groups[group].len() {
                let other = self.groups[group][place];
                if other == var {
                    continue;
                }
                match self.values[other as usize] {
                    None => self.assign(Literal::is_not(other), Cause::Group(var)),
                    Some(true) => return Some(vec![Literal::is_not(var), Literal::is_not(other)]),
                    Some(false) => {}
                }
            }
        }
        None
    }

    /// `gone` is false now.
    fn follow_clauses(&mut self, gone: Literal) -> Option<Vec<Literal>> {
        let mut watchers = std::mem::take(&mut self.watchers[gone.place()]);
        let (mut kept, mut conflict) = (0, None);
        for at in 0..watchers.len() {
            let number = watchers[at];
            self.effort = self.effort.saturating_sub(1);
            let clause = &mut self.clauses[number as usize];
            if clause[0] == gone {
                clause.swap(0, 1);
            }
            let first = clause[0];
            let values = &self.values;
            let value = |literal: Literal| {
                values[literal.var() as usize].map(|value| value == literal.wants())
            };
            if conflict.is_none() && value(first) != Some(true) {
                let other = clause[2..].iter().position(|&literal| value(literal) != Some(false));
                self.effort = self.effort.saturating_sub(other.unwrap_or(clause.len()) as u64 / 8);
                if let Some(other) = other {
                    clause.swap(1, other + 2);
                    let watched = clause[1];
                    self.watchers[watched.place()].push(number);
                    continue;
                }
                if value(first) == Some(false) {
                    conflict = Some(clause.clone());
                } else {
                    self.assign(first, Cause::Clause(number));
                }
            }
            watchers[kept] = number;
            kept += 1;
        }
        watchers.truncate(kept);
        self.watchers[gone.place()] = watchers;
        conflict
    }

    /// Learns why it came to that, jumps back to where that would have mattered, and goes
    /// on from there.
    fn learn(&mut self, conflict: Vec<Literal>) {
        let level = self.level();
        let (mut learned, mut open, mut at) = (Vec::new(), 0_usize, self.trail.len());
        let mut literals = conflict;
        let turned = loop {
            self.spend(literals.len() as u64);
            for literal in literals.drain(..) {
                let var = literal.var() as usize;
                if self.seen[var] || self.levels[var] == 0 {
                    continue;
                }
                self.seen[var] = true;
                if self.levels[var] == level {
                    open += 1;
                } else {
                    learned.push(literal);
                }
            }
            // The last one that got its value, of those that it came from.
            let last = loop {
                at -= 1;
                let literal = self.trail[at];
                if self.seen[literal.var() as usize] {
                    break literal;
                }
            };
            self.seen[last.var() as usize] = false;
            open -= 1;
            if open == 0 {
                break last.negated();
            }
            literals = match self.causes[last.var() as usize] {
                Cause::Clause(number) => self.clauses[number as usize]
                    .iter()
                    .copied()
                    .filter(|literal| *literal != last)
                    .collect(),
                Cause::Group(var) => vec![Literal::is_not(var)],
                Cause::None => Vec::new(),
            };
        };
        for literal in &learned {
            self.seen[literal.var() as usize] = false;
        }
        // What was looked through, and what is kept for good.
        self.spend((self.trail.len() - at) as u64 / 8 + learned.len() as u64);
        let level_of = |literal: &Literal| self.levels[literal.var() as usize];
        let latest = learned.iter().enumerate().max_by_key(|(_, literal)| level_of(literal));
        match latest.map(|(at, literal)| (at, level_of(literal))) {
            None => {
                self.back_to(0);
                self.assign(turned, Cause::None);
            }
            Some((at, back)) => {
                learned.swap(0, at);
                let second = learned[0];
                learned.insert(0, turned);
                let number = self.number_of_clauses();
                self.watchers[turned.place()].push(number);
                self.watchers[second.place()].push(number);
                self.clauses.push(learned);
                self.back_to(back as usize);
                self.assign(turned, Cause::Clause(number));
            }
        }
    }

    fn back_to(&mut self, level: usize) {
        let Some((length, cursor)) = self.decisions.get(level).copied() else { return };
        for literal in self.trail.drain(length..) {
            self.values[literal.var() as usize] = None;
        }
        self.decisions.truncate(level);
        self.followed = self.followed.min(length);
        self.cursor = cursor;
    }
}

#[cfg(test)]
mod tests;
