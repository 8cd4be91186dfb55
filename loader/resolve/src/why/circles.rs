//! Those that wait for each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::iter::successors;

use super::{Explained, MOST_LOOKED_AT, Way};
use crate::goals::Requirement;
use crate::offer::Name;
use crate::reason::{Because, Reason};

impl<'a> Explained<'a> {
    /// The file that one waits for which nobody has a reason for.
    pub(super) fn waits_for(&self, file: usize) -> Option<(usize, &'a Requirement)> {
        let (_, requirement) = self.lacking(file).next()?;
        let newest =
            requirement.files.iter().max_by_key(|other| &self.offers[**other].manifest.version)?;
        Some((*newest, requirement))
    }

    pub(super) fn circle(
        &self,
        file: usize,
        reasons: &HashMap<usize, Reason>,
        ways: &HashMap<usize, Way>,
        circles: &mut HashMap<usize, Reason>,
    ) {
        let (mut path, mut places) = (Vec::new(), HashMap::new());
        let mut at = file;
        let begin = loop {
            if circles.contains_key(&at) || reasons.contains_key(&at) || ways.contains_key(&at) {
                return;
            }
            if let Some(begin) = places.insert(at, path.len()) {
                break begin;
            }
            path.push(at);
            match self.waits_for(at) {
                Some((next, _)) => at = next,
                None => return,
            }
        };
        let circle = &path[begin..];
        // Beyond some length nobody follows a circle.
        for (turn, file) in circle.iter().enumerate() {
            let members = circle[turn..].iter().chain(&circle[..turn]);
            let names: Vec<Name> =
                members.take(MOST_TOLD).map(|file| self.offers[*file].name()).collect();
            circles.insert(*file, Reason::Circle(names));
        }
    }

    pub(super) fn before_a_circle(&self, file: usize, reasons: &HashMap<usize, Reason>) -> Reason {
        let Some((next, requirement)) = self.waits_for(file) else {
            return Reason::Undecided { others: 0 };
        };
        let (mut at, mut seen) = (next, HashSet::new());
        while !matches!(reasons.get(&at), Some(Reason::Circle(_))) && seen.insert(at) {
            match self.waits_for(at) {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        let because = Because {
            name: self.offers[next].name(),
            root: (at != next).then(|| self.offers[at].name()),
            reason: reasons.get(&at).map(ToString::to_string).unwrap_or_default(),
        };
        self.missing(file, requirement, Some(because))
    }

    /// From a file through what it needs and runs to one that needs it.
    pub(super) fn way_back(&self, file: usize) -> Vec<Name> {
        let (mut open, mut from) = (VecDeque::from([file]), HashMap::new());
        while let Some(at) = open.pop_front() {
            let needs = || self.requirements(at).iter().flat_map(|it| it.files.iter().copied());
            if at != file && needs().any(|need| need == file) {
                let before = |at: &usize| from.get(at).copied();
                let mut path: Vec<usize> = successors(Some(at), before).collect();
                path.reverse();
                return path.into_iter().map(|file| self.offers[file].name()).collect();
            }
            for next in needs().filter(|next| self.runs.contains(next)) {
                if next != file && !from.contains_key(&next) && from.len() < MOST_LOOKED_AT {
                    from.insert(next, at);
                    open.push_back(next);
                }
            }
        }
        vec![self.offers[file].name()]
    }
}

/// Members of a circle that are kept, to be told of.
const MOST_TOLD: usize = 64;
