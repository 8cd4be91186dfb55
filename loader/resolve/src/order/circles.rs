//! Those that can never be activated, as they wait for each other.

use std::collections::{HashMap, HashSet};

use petgraph::graph::{DiGraph, NodeIndex};

use super::Circle;
use crate::goals::{Question, Requirement};

/// Of those that are left when the others are `done`: the small parts whose members have
/// nothing but each other for a requirement. There is one at the least.
pub(super) fn circles(
    question: &Question,
    left: &[usize],
    is_in: &HashSet<usize>,
    done: &HashSet<usize>,
) -> Vec<Circle> {
    // The done ones of each set, by their numbers from and to.
    let mut done_in: HashMap<usize, Option<(usize, usize)>> = HashMap::new();
    let mut is_open = |requirement: &Requirement| {
        let ends = done_in.entry(requirement.set).or_insert_with(|| {
            let mut files = question.sets[requirement.set].iter().filter(|it| done.contains(it));
            let first = *files.next()?;
            Some((first, files.next_back().copied().unwrap_or(first)))
        });
        let own = &requirement.own;
        ends.is_none_or(|(first, last)| own.contains(&first) && own.contains(&last))
    };
    // One requirement of each that is open: it waits for all that could fulfil it.
    let mut waits_for: HashMap<usize, usize> = HashMap::new();
    let mut graph = DiGraph::<Node, ()>::new();
    let nodes: HashMap<usize, NodeIndex> =
        left.iter().map(|file| (*file, graph.add_node(Node::File(*file)))).collect();
    let mut sets: HashMap<usize, NodeIndex> = HashMap::new();
    for &file in left {
        let open = question.hard_of(file).iter().filter(|it| is_open(it));
        let Some(Requirement { set, .. }) = open.min_by_key(|it| question.sets[it.set].len())
        else {
            continue;
        };
        waits_for.insert(file, *set);
        let to = *sets.entry(*set).or_insert_with(|| {
            let node = graph.add_node(Node::Set);
            for other in question.sets[*set].iter().filter_map(|file| nodes.get(file)) {
                graph.add_edge(node, *other, ());
            }
            node
        });
        graph.add_edge(nodes[&file], to, ());
    }
    // (Not `tarjan_scc`, which recurses.)
    let parts = petgraph::algo::kosaraju_scc(&graph);
    let mut part_of: HashMap<NodeIndex, usize> = HashMap::new();
    for (number, part) in parts.iter().enumerate() {
        part_of.extend(part.iter().map(|node| (*node, number)));
    }
    let is_last = |part: &&Vec<NodeIndex>| {
        let mut nodes = part.iter();
        nodes.all(|node| graph.neighbors(*node).all(|next| part_of[&next] == part_of[node]))
    };
    let circles = parts.iter().filter(is_last).map(|part| {
        let files = part.iter().filter_map(|node| match graph[*node] {
            Node::File(file) => Some(file),
            Node::Set => None,
        });
        let mut members: Vec<usize> = files.collect();
        members.sort_unstable();
        let sets: HashSet<usize> =
            members.iter().filter_map(|file| waits_for.get(file)).copied().collect();
        let others = sets.into_iter().flat_map(|set| question.sets[set].iter().copied());
        let mut others: Vec<usize> = others.filter(|other| !is_in.contains(other)).collect();
        others.sort_unstable();
        others.dedup();
        Circle { members, others }
    });
    circles.filter(|circle| !circle.members.is_empty()).collect()
}

enum Node {
    File(usize),
    Set,
}
