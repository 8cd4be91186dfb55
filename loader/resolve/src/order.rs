//! In which order those that run are activated: level by level, what one needs before it.

use std::collections::HashMap;

use crate::goals::Question;

/// Levels of files, or those that cannot be put into any.
pub(crate) enum Order {
    Levels(Vec<Vec<usize>>),
    /// Files that wait for each other, and what would end that: files that do not run now
    /// of which one would have to.
    Circle {
        members: Vec<usize>,
        others: Vec<usize>,
    },
}

#[derive(Default)]
struct Waiting {
    /// Requirements without anything that is activated.
    hard: usize,
    /// Files that are better activated before, and are not yet.
    soft: usize,
    done: bool,
}

/// Puts `chosen` into levels: each has all that it needs in those before. Where that is
/// possible, also all that it may use.
pub(crate) fn order(question: &Question, chosen: &[usize]) -> Order {
    let mut waiting: HashMap<usize, Waiting> =
        chosen.iter().map(|file| (*file, Waiting::default())).collect();
    // By file: the requirements, as file and number, that it fulfils, and who waits softly.
    let mut fulfils: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
    let mut awaited: HashMap<usize, Vec<usize>> = HashMap::new();
    for &file in chosen {
        let requirements = question.hard.get(&file).map_or(&[][..], Vec::as_slice);
        let mut soft = 0;
        for (number, requirement) in requirements.iter().enumerate() {
            for other in requirement.files.iter().filter(|other| waiting.contains_key(other)) {
                fulfils.entry(*other).or_default().push((file, number));
            }
        }
        for other in question.soft.get(&file).into_iter().flatten().flat_map(|files| files.iter()) {
            if waiting.contains_key(other) && *other != file {
                awaited.entry(*other).or_default().push(file);
                soft += 1;
            }
        }
        if let Some(own) = waiting.get_mut(&file) {
            (own.hard, own.soft) = (requirements.len(), soft);
        }
    }
    let mut fulfilled: HashMap<(usize, usize), ()> = HashMap::new();
    let mut ready: Vec<usize> =
        chosen.iter().copied().filter(|file| waiting[file].hard == 0).collect();
    let mut levels = Vec::new();
    while !ready.is_empty() {
        let (mut level, later): (Vec<_>, Vec<_>) =
            ready.iter().partition(|file| waiting.get(file).is_none_or(|own| own.soft == 0));
        ready = later;
        if level.is_empty() {
            // They would like to wait for each other.
            std::mem::swap(&mut level, &mut ready);
        }
        level.sort_unstable();
        for file in &level {
            if let Some(own) = waiting.get_mut(file) {
                own.done = true;
            }
        }
        for file in &level {
            for key in fulfils.remove(file).unwrap_or_default() {
                let is_first = fulfilled.insert(key, ()).is_none();
                if let Some(other) = waiting.get_mut(&key.0).filter(|_| is_first) {
                    other.hard -= 1;
                    if other.hard == 0 {
                        ready.push(key.0);
                    }
                }
            }
            for other in awaited.remove(file).unwrap_or_default() {
                if let Some(other) = waiting.get_mut(&other) {
                    other.soft -= 1;
                }
            }
        }
        levels.push(level);
    }
    let mut left: Vec<_> = chosen
        .iter()
        .copied()
        .filter(|file| waiting.get(file).is_some_and(|own| !own.done))
        .collect();
    if left.is_empty() {
        return Order::Levels(levels);
    }
    left.sort_unstable();
    circle(question, &waiting, &fulfilled, &left)
}

/// A small part of `left` whose members have nothing but each other for a requirement.
fn circle(
    question: &Question,
    waiting: &HashMap<usize, Waiting>,
    fulfilled: &HashMap<(usize, usize), ()>,
    left: &[usize],
) -> Order {
    // One requirement of each that is open: it waits for all that could fulfil it.
    let open = |file: usize| {
        let requirements = question.hard.get(&file).map_or(&[][..], Vec::as_slice);
        let numbered = requirements.iter().enumerate();
        numbered
            .filter(|(number, _)| !fulfilled.contains_key(&(file, *number)))
            .min_by_key(|(_, requirement)| requirement.files.len())
            .map(|(_, requirement)| requirement)
    };
    let mut graph = petgraph::graphmap::DiGraphMap::<usize, ()>::new();
    for &file in left {
        graph.add_node(file);
        for other in open(file).into_iter().flat_map(|requirement| requirement.files.iter()) {
            if waiting.contains_key(other) {
                graph.add_edge(file, *other, ());
            }
        }
    }
    // Those come first that nothing leads out of. (Not `tarjan_scc`, which recurses.)
    let mut members = petgraph::algo::kosaraju_scc(&graph).into_iter().next().unwrap_or_default();
    members.sort_unstable();
    let mut others: Vec<usize> = members
        .iter()
        .filter_map(|file| open(*file))
        .flat_map(|requirement| requirement.files.iter().copied())
        .filter(|other| !waiting.contains_key(other))
        .collect();
    others.sort_unstable();
    others.dedup();
    Order::Circle { members, others }
}
