//! In which order those that run are activated: level by level, what one needs before it.

mod circles;
mod wishes;

use std::collections::{BTreeSet, HashMap, HashSet};

use self::wishes::Wishes;
use crate::askers::Askers;
use crate::goals::Question;

/// Files that wait for each other, and what would end that: files that do not run now, of
/// which one would have to, for any of them.
pub(crate) struct Circle {
    pub(crate) members: Vec<usize>,
    pub(crate) others: Vec<usize>,
}

/// Puts `chosen` into levels: each has all that it needs in those before, and, where that
/// is possible, also all that it may use.
///
/// # Errors
///
/// Some of them wait for each other.
pub(crate) fn order(question: &Question, chosen: &[usize]) -> Result<Vec<Vec<usize>>, Vec<Circle>> {
    let is_in: HashSet<usize> = chosen.iter().copied().collect();
    let wishes = Wishes::new(question, chosen, &is_in);
    levels(question, chosen, &is_in, wishes)
}

/// Those that wait for each other; none, where they have an order.
pub(crate) fn deadlocks(question: &Question, chosen: &[usize]) -> Vec<Circle> {
    let is_in: HashSet<usize> = chosen.iter().copied().collect();
    levels(question, chosen, &is_in, Wishes::default()).err().unwrap_or_default()
}

fn levels(
    question: &Question,
    chosen: &[usize],
    is_in: &HashSet<usize>,
    mut wishes: Wishes,
) -> Result<Vec<Vec<usize>>, Vec<Circle>> {
    // By file: how many requirements have nothing that is activated.
    let mut open: HashMap<usize, usize> = HashMap::new();
    let mut askers = Askers::new(question);
    let (mut ready, mut wishing) = (Vec::new(), BTreeSet::new());
    for &file in chosen {
        let count = question.hard_of(file).len();
        (0..count).for_each(|number| askers.add(file, number));
        match count {
            0 if wishes.has_none(file) => ready.push(file),
            0 => drop(wishing.insert(file)),
            _ => drop(open.insert(file, count)),
        }
    }
    let (mut done, mut levels) = (HashSet::new(), Vec::new());
    loop {
        let mut level = std::mem::take(&mut ready);
        if level.is_empty() {
            // They would like to wait for each other.
            level.extend(std::mem::take(&mut wishing));
        }
        if level.is_empty() {
            break;
        }
        level.sort_unstable();
        done.extend(&level);
        let freed = wishes.fulfilled_by(&level, |file| done.contains(&file));
        ready.extend(freed.into_iter().filter(|file| wishing.remove(file)));
        for (file, _) in level.iter().flat_map(|file| askers.told_by(*file)) {
            let Some(count) = open.get_mut(&file) else { continue };
            *count -= 1;
            if *count == 0 {
                open.remove(&file);
                if wishes.has_none(file) {
                    ready.push(file);
                } else {
                    wishing.insert(file);
                }
            }
        }
        levels.push(level);
    }
    if open.is_empty() {
        return Ok(levels);
    }
    let mut left: Vec<usize> = open.into_keys().collect();
    left.sort_unstable();
    Err(circles::circles(question, &left, is_in, &done))
}

/// How much work it is to look for them.
pub(crate) fn work_of(question: &Question, chosen: &[usize]) -> u64 {
    let asked = |file: &usize| question.hard_of(*file).len() + 1;
    chosen.iter().map(|file| asked(file) as u64).sum()
}
