//! What there is of what is missing.

use std::rc::Rc;

use plugbay_manifest::takes;

use super::{BYTES_A_LOOK, Explained, NotFound};
use crate::excerpt::{Excerpt, MOST_KEPT};
use crate::goals::{Requirement, Wanted};
use crate::missing::{Because, Missing};
use crate::offer::{Refused, length_of};
use crate::range::{near, within};
use crate::reason::{Reason, wanted};

/// What there is beside the files of a set, for all that ask for the set.
pub(super) struct There {
    /// The first files that would not do, and how they are told of.
    found: Vec<(usize, String)>,
    /// How many such files there are.
    count: usize,
    refused: Vec<Refused>,
    /// Files that would do and were not in question, the last by name first: one, and one
    /// of another plugin.
    out: [Option<usize>; 2],
}

impl Explained<'_> {
    pub(super) fn missing(
        &self,
        file: usize,
        requirement: &Requirement,
        because: Option<Because>,
    ) -> Result<Reason, NotFound> {
        let manifest = &self.offers[file].manifest;
        let there = self.there(file, requirement)?;
        let because = match because {
            Some(because) => Some(because),
            None => self.because_out(file, requirement, &there)?,
        };
        self.spend(there.length() / BYTES_A_LOOK)?;
        let refused = there.refused.clone();
        match requirement.what {
            Wanted::Dependency(number) => {
                let dependency = &manifest.dependencies[number];
                let wants = wanted(&dependency.id, &dependency.version);
                let found = there.excerpt(&[], 0);
                Ok(Reason::Dependency(Missing { wants, found, refused, because }))
            }
            Wanted::Need(number) => {
                let need = &manifest.needs[number];
                let wants = format!("{} {}", need.id, need.version);
                // Those of its own that would do, if not for itself.
                let set = &self.question.sets[requirement.set];
                let [before, after] = requirement.without_own(set);
                let own = &set[before.len()..set.len() - after.len()];
                let first = own.iter().take(MOST_KEPT);
                let first = first.map(|it| self.with_version(*it, need.id.as_str()));
                let found = there.excerpt(&first.collect::<Result<Vec<_>, _>>()?, own.len());
                Ok(Reason::Need(Missing { wants, found, refused, because }))
            }
        }
    }

    fn there(&self, file: usize, requirement: &Requirement) -> Result<Rc<There>, NotFound> {
        let known = self.there.borrow().get(&requirement.set).cloned();
        if let Some(there) = known {
            return Ok(there);
        }
        let there = Rc::new(match requirement.what {
            Wanted::Dependency(number) => self.versions_beside(file, number, requirement)?,
            Wanted::Need(number) => self.providers_beside(file, number)?,
        });
        self.there.borrow_mut().insert(requirement.set, there.clone());
        Ok(there)
    }

    fn versions_beside(
        &self,
        file: usize,
        number: usize,
        requirement: &Requirement,
    ) -> Result<There, NotFound> {
        let dependency = &self.offers[file].manifest.dependencies[number];
        let id = dependency.id.as_str();
        let range = &dependency.version;
        let good = self.question.index.of_id(&dependency.id);
        let out = self.out_by_id.get(id).map_or(&[][..], Vec::as_slice);
        let refused = self.refused.get(id).map_or(&[][..], Vec::as_slice);
        let set = &self.question.sets[requirement.set];
        self.spend(set.len() + near(range, self.offers, out).len() + refused.len() + MOST_KEPT)?;
        // What fits and is not in the set would take the place of the one that asks.
        let good_ones = good.iter().copied().filter(|it| set.binary_search(it).is_err());
        let out_fits: Vec<usize> = within(range, self.offers, out).collect();
        let out_ones = out.iter().copied().filter(|it| out_fits.binary_search(it).is_err());
        let few = MOST_KEPT + 1;
        let mut found: Vec<usize> = good_ones.take(few).chain(out_ones.take(few)).collect();
        found.retain(|it| *it != file);
        // The newest first, as all files are.
        found.sort_unstable();
        let own = usize::from(dependency.id == self.offers[file].manifest.id);
        let count = good.len() - set.len() + out.len() - out_fits.len() - own;
        let fits = |file: usize| takes(range, &self.offers[file].manifest.version);
        let told = found.into_iter().take(MOST_KEPT).map(|it| {
            let name = self.name(it)?;
            let own = if fits(it) { ", which would take its own place" } else { "" };
            Ok((it, format!("{name}{own}")))
        });
        let mut refused: Vec<_> =
            refused.iter().filter(|one| takes(&dependency.version, &one.version)).collect();
        refused.sort_by(|a, b| b.version.cmp(&a.version).then_with(|| a.reason.cmp(&b.reason)));
        let refused = refused.into_iter().take(MOST_KEPT).map(|one| (**one).clone()).collect();
        let out = [out_fits.first().copied(), None];
        Ok(There { found: told.collect::<Result<_, _>>()?, count, refused, out })
    }

    fn providers_beside(&self, file: usize, number: usize) -> Result<There, NotFound> {
        let need = &self.offers[file].manifest.needs[number];
        let contract = need.id.as_str();
        let offering = self.question.index.offering(contract);
        let out = self.out_by_contract.get(contract).map_or(&[][..], Vec::as_slice);
        self.spend(offering.len() + out.len())?;
        let mut found: Vec<usize> = offering.iter().map(|(file, _)| *file).collect();
        found.dedup();
        let does = |it: &usize| {
            let from = offering.partition_point(|(file, _)| file < it);
            let mut own = offering[from..].iter().take_while(|(file, _)| file == it);
            own.any(|(_, version)| version.has_all_of(need.version))
        };
        found.retain(|it| !does(it));
        let count = found.len();
        let told = found.into_iter().take(MOST_KEPT);
        let found = told.map(|it| self.with_version(it, contract)).collect::<Result<_, _>>()?;
        let mut best: [Option<usize>; 2] = [None, None];
        for (file, _) in out.iter().filter(|(_, version)| version.has_all_of(need.version)) {
            best = self.two_of(best, *file, |a, b| {
                let name = |file: usize| {
                    let manifest = &self.offers[file].manifest;
                    (&manifest.id, &manifest.version)
                };
                name(a).cmp(&name(b))
            });
        }
        Ok(There { found, count, refused: Vec::new(), out: best })
    }

    fn with_version(&self, file: usize, contract: &str) -> Result<(usize, String), NotFound> {
        let offering = self.question.index.offering(contract);
        let from = offering.partition_point(|(it, _)| *it < file);
        let version = offering.get(from).map(|(_, version)| version.to_string());
        Ok((file, format!("{} with {}", self.name(file)?, version.unwrap_or_default())))
    }

    /// One that would do, of those that do not run whatever the others do.
    fn because_out(
        &self,
        file: usize,
        requirement: &Requirement,
        there: &There,
    ) -> Result<Option<Because>, NotFound> {
        let own = &self.offers[file].manifest.id;
        let is_need = matches!(requirement.what, Wanted::Need(_));
        let mut out = there.out.iter().flatten().copied();
        let other = out.find(|it| !is_need || self.offers[*it].manifest.id != *own);
        let Some((other, reason)) = other.and_then(|it| Some((it, self.out.get(&it)?))) else {
            return Ok(None);
        };
        Ok(Some(self.because(other, other, &self.told(other, reason))?))
    }

    /// The greatest of files, and the greatest one of another plugin, with one more.
    pub(super) fn two_of(
        &self,
        two: [Option<usize>; 2],
        file: usize,
        compare: impl Fn(usize, usize) -> std::cmp::Ordering,
    ) -> [Option<usize>; 2] {
        let id = |file: usize| &self.offers[file].manifest.id;
        let is_more = |other: Option<usize>| other.is_none_or(|it| compare(file, it).is_ge());
        let [first, second] = two;
        match first {
            Some(first) if id(first) == id(file) => {
                [Some(if is_more(Some(first)) { file } else { first }), second]
            }
            _ if is_more(first) => [Some(file), first],
            _ if is_more(second) => [first, Some(file)],
            _ => two,
        }
    }
}

impl There {
    /// How much text it is, in bytes.
    fn length(&self) -> usize {
        let found = self.found.iter().map(|(_, told)| told.len());
        let refused = self.refused.iter().map(|it| it.reason.len() + length_of(&it.version));
        found.chain(refused).sum()
    }

    /// With the first of some more, by file, and how many more those are.
    fn excerpt(&self, more: &[(usize, String)], count: usize) -> Excerpt {
        let mut all: Vec<_> = self.found.iter().chain(more).collect();
        all.sort_by_key(|(file, _)| *file);
        let some: Vec<_> = all.into_iter().take(MOST_KEPT).map(|(_, told)| told.clone()).collect();
        Excerpt { more: self.count + count - some.len(), some }
    }
}
