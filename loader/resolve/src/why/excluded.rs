//! What runs and excludes a file, and why that goes before it.

use super::{Explained, Found, NotFound};
use crate::goals::{GroupRule, Requirement, Wanted};
use crate::reason::{Reason, Then, Why, wanted};

/// Those that run and exclude it, of which each is asked whether it is why, where it may
/// be something else.
const MOST_ASKED: usize = 64;

impl Explained<'_> {
    /// What runs and excludes it, where that is the cause. `surely`: there is no other.
    pub(super) fn excluded(
        &self,
        file: usize,
        winner: Option<usize>,
        surely: bool,
    ) -> Found<Reason> {
        for number in self.groups.get(&file).into_iter().flatten() {
            self.spend(1)?;
            let group = &self.question.groups[*number];
            let Some(with) = self.of_group[*number].filter(|it| Some(*it) != winner) else {
                continue;
            };
            let Some(why) = self.why(with, file, winner, surely)? else { continue };
            let (kind, sub_type) = match group.rule.clone() {
                GroupRule::Goal => continue,
                GroupRule::Kind(kind) => (kind, None),
                GroupRule::SubType(kind, attribute, value) => (kind, Some((attribute, value))),
            };
            let with = self.name(with)?;
            return Ok(Some(Reason::Kind { kind, sub_type, with, why }));
        }
        for number in self.exclusions.get(&file).into_iter().flatten() {
            let exclusion = &self.question.exclusions[*number];
            let (by, others) = &self.active[*number];
            let says_so = exclusion.by.binary_search(&file).is_ok();
            let excluded = exclusion.others.binary_search(&file).is_ok();
            let others = others.iter().filter(|_| says_so).map(|it| (*it, true));
            let by = by.iter().filter(|_| excluded).map(|it| (*it, false));
            // The first ones matter most; if it is none of them, it lacks something.
            let most = if surely { usize::MAX } else { MOST_ASKED };
            self.spend(1)?;
            for (with, by_it) in others.chain(by).filter(|(it, _)| *it != file).take(most) {
                self.spend(1)?;
                if let Some(why) = self.why(with, file, winner, surely)? {
                    return Ok(Some(Reason::Conflict {
                        with: self.name(with)?,
                        by_it,
                        conflict: exclusion.conflict.to_string(),
                        said_by: exclusion.said_by.clone(),
                        why,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Why `runs` goes before `other`; none where it does not.
    fn why(&self, runs: usize, other: usize, winner: Option<usize>, surely: bool) -> Found<Why> {
        if let Some(winner) = winner {
            return Ok(Some(Why::Beside(self.version(winner)?)));
        }
        let (goal, others) = (self.question.goal_of[&runs], self.question.goal_of[&other]);
        if goal < others {
            let (one, two) = (&self.question.goals[goal], &self.question.goals[others]);
            let newest =
                |files: &[usize]| files.first().map(|file| &self.offers[*file].manifest.version);
            return Ok(Some(match () {
                () if one.member != two.member => Why::Member,
                () if one.by_hand != two.by_hand => Why::ByHand,
                () if self.offers[runs].manifest.id == self.offers[other].manifest.id => Why::Newer,
                () => {
                    let then = match () {
                        () if one.position != two.position => Then::Precedence,
                        () if newest(&one.files) != newest(&two.files) => Then::Version,
                        () => Then::Id,
                    };
                    match then {
                        _ if one.by_hand => Why::BothByHand(then),
                        Then::Precedence => Why::Precedence,
                        Then::Version => Why::Version,
                        Then::Id => Why::Id,
                    }
                }
            }));
        }
        if let Some((goal, file)) = self.backing.get(&runs)
            && *goal < others
        {
            return Ok(Some(Why::NeededBy(self.name(*file)?)));
        }
        if let Some(need) = self.own_need_of(other, runs)? {
            return Ok(Some(Why::OwnNeed(self.name(need)?)));
        }
        if !surely {
            return Ok(None);
        }
        let user = self.first_user(runs, |_| true)?;
        user.map(|(user, _)| self.name(user).map(Why::NeededBy)).transpose()
    }

    /// Why an older version runs.
    pub(super) fn too_new(&self, file: usize, winner: usize) -> Result<Reason, NotFound> {
        let takes_not = |set: usize| self.question.sets[set].binary_search(&file).is_err();
        let mut by = None;
        for &(user, number) in self.users.get(&winner).into_iter().flatten() {
            self.spend(1)?;
            if takes_not(self.requirements(user)[number].set) {
                by = Some((user, number));
                break;
            }
        }
        // Others offer the same, but only if this one does.
        let by = match by {
            Some(by) => Some(by),
            None => self.first_user(winner, takes_not)?,
        };
        match by {
            Some((user, number)) => Ok(Reason::TooNew {
                chosen: self.version(winner)?,
                by: self.name(user)?,
                wants: self.wants(user, &self.requirements(user)[number]),
            }),
            // What it needs runs, and needs it.
            None => self.way_back(file)?.ok_or(NotFound),
        }
    }

    fn wants(&self, file: usize, requirement: &Requirement) -> String {
        let manifest = &self.offers[file].manifest;
        match requirement.what {
            Wanted::Dependency(number) => {
                let dependency = &manifest.dependencies[number];
                wanted(&dependency.id, &dependency.version)
            }
            Wanted::Need(number) => {
                format!("{} {}", manifest.needs[number].id, manifest.needs[number].version)
            }
        }
    }
}
