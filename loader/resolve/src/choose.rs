//! The answer to a question: which files run together.

use std::collections::HashMap;

use crate::goals::Question;
use crate::order::{deadlocks, order, work_of};
use crate::parts::{Part, parts};
use crate::pose::Posed;
use crate::search::Exhausted;

/// Files that run together, level by level, and those that were too much to decide on.
pub(crate) struct Choice {
    pub(crate) levels: Vec<Vec<usize>>,
    pub(crate) undecided: Vec<usize>,
    /// By goal: how many files are bound up with each other there.
    pub(crate) bound_up: HashMap<usize, usize>,
}

/// Finds the best answer: first, that as much as possible runs, what goes before others
/// first; then, in the same order, that it runs in the newest version.
///
/// The effort is for all parts together, and none takes what others need: the small ones
/// come first, and each has an equal share of what is left. Those that have not enough of
/// that share what is left over in the end.
pub(crate) fn choose(question: &Question, effort: u64) -> Choice {
    let mut parts = parts(question);
    let size = |part: &Part| part.files(question).count();
    let mut bound_up = HashMap::new();
    for part in &parts {
        let size = size(part);
        bound_up.extend(part.goals.iter().map(|goal| (*goal, size)));
    }
    parts.sort_by_cached_key(|part| (size(part), part.goals.first().copied()));
    let (mut left, mut chosen) = (effort, Vec::new());
    for round in 0..2 {
        if round > 0 && left == 0 {
            break;
        }
        let mut too_much = Vec::new();
        let mut waiting = parts.len() as u64;
        for part in parts {
            let mut share = left / waiting.max(1);
            left -= share;
            waiting -= 1;
            match choose_part(question, &part, &mut share) {
                Ok(files) => chosen.extend(files),
                Err(Exhausted) => too_much.push(part),
            }
            left += share;
        }
        parts = too_much;
    }
    let mut undecided: Vec<usize> = parts.iter().flat_map(|part| part.files(question)).collect();
    chosen.sort_unstable();
    undecided.sort_unstable();
    // Each part has an order, and they have nothing to do with each other.
    let levels = order(question, &chosen).unwrap_or_else(|_| vec![chosen]);
    Choice { levels, undecided, bound_up }
}

/// Answers one part. Where those that run together could never be activated, as they wait
/// for each other, that is forbidden, and the search goes on. Leaves what is left of the
/// effort.
fn choose_part(
    question: &Question,
    part: &Part,
    effort: &mut u64,
) -> Result<Vec<usize>, Exhausted> {
    let mut posed = Posed::new(question, part, std::mem::take(effort));
    loop {
        // Nothing at all is always an answer.
        posed.search.run()?.ok_or(Exhausted)?;
        let is_in =
            |file: &usize| posed.vars.get(file).is_some_and(|var| posed.search.is_true(*var));
        let chosen: Vec<usize> = part.files(question).filter(is_in).collect();
        let work = work_of(question, &chosen);
        posed.search.effort = posed.search.effort.saturating_sub(work);
        let circles = deadlocks(question, &chosen);
        if circles.is_empty() {
            *effort = posed.search.effort;
            return Ok(chosen);
        }
        for circle in circles {
            posed.leave(&circle.members, &circle.others);
        }
    }
}
