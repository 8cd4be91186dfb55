//! Those that wait for each other.

use std::collections::HashMap;

use super::{Explained, NotFound, Told};
use crate::goals::Requirement;
use crate::reason::Reason;

impl<'a> Explained<'a> {
    /// The reasons of those of which none leads to one with a reason.
    pub(super) fn waiting(&self, files: &[usize]) -> HashMap<usize, Reason> {
        // By file: the member of a circle that it comes to.
        let mut ends: HashMap<usize, Option<usize>> = HashMap::new();
        let mut reasons: HashMap<usize, Reason> = HashMap::new();
        for &file in files {
            let (mut path, mut places) = (Vec::new(), HashMap::new());
            let mut at = file;
            let end = loop {
                if let Some(end) = ends.get(&at) {
                    break *end;
                }
                if let Some(begin) = places.insert(at, path.len()) {
                    let circle = path.split_off(begin);
                    for (turn, file) in circle.iter().enumerate() {
                        let members = circle.iter().cycle().skip(turn).take(circle.len());
                        let reason = self.circle_of(members.copied(), circle.len());
                        let told = reason.unwrap_or_else(|NotFound| self.undecided(*file));
                        reasons.insert(*file, told);
                        ends.insert(*file, Some(*file));
                    }
                    break Some(at);
                }
                path.push(at);
                match self.waits_for(at) {
                    Some((next, _)) => at = next,
                    None => break None,
                }
            };
            ends.extend(path.into_iter().map(|file| (file, end)));
        }
        let told: HashMap<usize, Told> =
            reasons.iter().map(|(file, reason)| (*file, self.told(*file, reason))).collect();
        for file in files {
            reasons.entry(*file).or_insert_with(|| {
                let end = ends.get(file).copied().flatten();
                let end = end.and_then(|end| Some((end, told.get(&end)?)));
                let reason = end.and_then(|(end, told)| self.before_a_circle(*file, end, told));
                reason.unwrap_or_else(|| self.undecided(*file))
            });
        }
        reasons
    }

    fn before_a_circle(&self, file: usize, end: usize, told: &Told) -> Option<Reason> {
        let (next, requirement) = self.waits_for(file)?;
        let because = self.because(next, end, told).ok()?;
        self.missing(file, requirement, Some(because)).ok()
    }

    /// The file that one waits for which nobody has a reason for.
    fn waits_for(&self, file: usize) -> Option<(usize, &'a Requirement)> {
        let (_, requirement) = self.lacking(file).next()?;
        let newest = *self.newest.borrow_mut().entry(requirement.set).or_insert_with(|| {
            let version = |file: usize| &self.offers[file].manifest.version;
            self.question.sets[requirement.set].iter().fold([None, None], |two, file| {
                self.two_of(two, *file, |a, b| version(a).cmp(version(b)))
            })
        });
        let newest = newest.into_iter().flatten().find(|it| !requirement.own.contains(it))?;
        Some((newest, requirement))
    }
}
