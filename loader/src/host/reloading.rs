//! How a host lets another generation of a plugin take over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use plugbay_interface::abi::SavedState;
use plugbay_resolve::Policy;

use super::settling::Change;
use super::{Inner, LoadPluginError};
use crate::activate::{ActivateError, Active};
use crate::discover::{discover, discover_file};
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Reloaded, Times};
use crate::handover::{Handover, HandoverError, Measured};
use crate::link::StateSource;
use crate::on_thread::Deadline;
use crate::reload::{LookedAt, Outcome, ReloadError};
use crate::report::{Loadable, Refusal};
use crate::resolve::{self, Plan, Resolved};
use crate::seat::{Named, Seat};
use crate::verify::{Verified, verify};

impl Inner {
    /// Looks at the files of a plugin anew, and lets the best of them take over.
    pub(super) fn reload_from_folders(
        &self,
        named: &Named,
        cause: &Cause,
    ) -> Result<Outcome, LoadPluginError> {
        let id = named.id();
        let mut times = Times::default();
        let begin = Instant::now();
        let (found, mut refused) = self.look_for(id);
        times.verify = Some(begin.elapsed());
        // It sleeps on, and no other file takes over because of that.
        let sleeps = |refusal: &&Arc<Refusal>| self.sleeps_from(&refusal.path, named);
        let broken = refused.iter().find(sleeps).cloned();
        if let (Some(broken), true) = (&broken, found.is_empty()) {
            return Err(LoadPluginError::Refused(broken.clone()));
        }
        if found.is_empty() {
            let Some(refusal) = refused.pop() else {
                let by_hand = self.found_by_hand(named);
                if by_hand.is_empty() {
                    return Err(self.not_found(id));
                }
                return self.settled(named, by_hand, Change { times, ..Change::because(cause) });
            };
            return Err(
                match self.served_from(&refusal.path).and_then(|it| self.serving(&it.seat)) {
                    Some(old) => {
                        let error = self.remember(refusal.clone());
                        self.tell_kept(&old, &refusal, cause, times);
                        error
                    }
                    None => self.told(LoadPluginError::Refused(refusal)),
                },
            );
        }
        if *cause == Cause::Request {
            self.no_longer_by_hand(named);
        }
        // What it came from is broken now: no other file takes over because of that.
        let own = |refusal: &Arc<Refusal>| {
            let about = self.served_from(&refusal.path)?;
            let is_meant = named.is(&about.seat, &about.manifest.version);
            is_meant.then_some((self.serving(&about.seat)?, refusal.clone()))
        };
        if let Some((old, broken)) = refused.iter().find_map(own) {
            let broken = &broken;
            let error = self.remember(broken.clone());
            self.tell_kept(&old, broken, cause, times);
            return Err(error);
        }
        match self.settled(named, found, Change { times, ..Change::because(cause) }) {
            Ok(Outcome::Unchanged) => {
                broken.map_or(Ok(Outcome::Unchanged), |it| Err(LoadPluginError::Refused(it)))
            }
            outcome => outcome,
        }
    }

    /// Settles, and gives what came of one plugin.
    pub(super) fn settled(
        &self,
        named: &Named,
        found: Vec<Verified>,
        change: Change<'_>,
    ) -> Result<Outcome, LoadPluginError> {
        let settled = self.settle(found, change);
        // Of versions side by side, first what went wrong, then what changed.
        let meant = self.meant(named);
        let of_it = settled.looked_at.into_iter().filter(|(seat, _)| meant.contains(seat));
        let rank = |outcome: &Result<Outcome, _>| match outcome {
            Err(_) => 0,
            Ok(Outcome::Unchanged | Outcome::OnDemand(_)) => 2,
            Ok(_) => 1,
        };
        if let Some((_, outcome)) = of_it.min_by_key(|(_, outcome)| rank(outcome)) {
            return outcome;
        }
        if !self.serving_as(named.selector()).is_empty() || !self.asleep_as(named).is_empty() {
            return Ok(Outcome::Unchanged);
        }
        let known = self.known.lock();
        let of_it = |refusal: &&Arc<Refusal>| {
            let mut plugin = refusal.plugin.iter();
            plugin.any(|(id, version)| named.selector().has(id, version))
        };
        // Of several files, the one that would have been taken.
        let newest = known
            .refused
            .iter()
            .filter(of_it)
            .max_by_key(|refusal| refusal.plugin.as_ref().map(|(_, version)| version.clone()));
        Err(match newest {
            Some(refusal) => LoadPluginError::Refused(refusal.clone()),
            None => {
                let files = known.files.values().map(|offer| &*offer.manifest);
                let its = files.filter(|manifest| manifest.id == *named.id());
                let mut found: Vec<_> = its.map(|manifest| manifest.version.clone()).collect();
                found.sort();
                drop(known);
                match found.is_empty() {
                    true => self.not_found(named.id()),
                    false => LoadPluginError::NoVersion { wanted: named.selector().clone(), found },
                }
            }
        })
    }

    /// The seats of a plugin that are meant, of those that serve or have a file.
    fn meant(&self, named: &Named) -> Vec<Seat> {
        let known = self.known.lock();
        let files = known.files.values().map(|offer| &*offer.manifest);
        let records = known.plugins.values().map(|record| &record.about.manifest);
        let its = files.chain(records).filter(|manifest| manifest.id == *named.id());
        named.of(its.map(|it| (self.seat_of(it), it.version.clone())).collect())
    }

    /// Looks at all folders anew: reloads what has changed, loads what is new, and tries
    /// again what failed. `unfinished` are left alone.
    pub(super) fn rescan(
        &self,
        cause: &Cause,
        unfinished: &[PathBuf],
        times: Times,
    ) -> Vec<LookedAt> {
        let mut found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        found.candidates.retain(|one| unfinished.iter().all(|path| path != one.path()));
        let begin = Instant::now();
        let (verified, mut refused) = self.verify(found.candidates);
        let verify = begin.elapsed() / u32::try_from(verified.len().max(1)).unwrap_or(1);
        refused.extend(found.problems.into_iter().map(|problem| {
            let path = problem.path().to_owned();
            Arc::new(Refusal { path, plugin: None, error: problem.into() })
        }));
        {
            let mut known = self.known.lock();
            known.looked = true;
            known.files.retain(|path, _| refused.iter().all(|refusal| refusal.path != *path));
            known.failed.clear();
            known.not_taken.clear();
        }
        self.learn_files(&verified);
        let kept = self.turn_away_all(refused, unfinished, cause);
        let times = Times { verify: Some(verify), ..times };
        let mut settled = self.settle(verified, Change { times, ..Change::because(cause) });
        settled.looked_at.extend(kept);
        settled.into_looked_at()
    }

    /// Remembers what is refused now, and tells what is new of it. Gives the
    /// plugins that serve on although their file is refused.
    fn turn_away_all(
        &self,
        refused: Vec<Arc<Refusal>>,
        unfinished: &[PathBuf],
        cause: &Cause,
    ) -> Vec<(Seat, Result<Outcome, LoadPluginError>)> {
        let before = {
            let mut known = self.known.lock();
            // What was decided is decided anew, and what is being written was not looked at.
            let stays = |it: &&Arc<Refusal>| {
                matches!(it.error, Error::Resolve(_)) || unfinished.contains(&it.path)
            };
            let stay: Vec<_> = known.refused.iter().filter(stays).cloned().collect();
            std::mem::replace(&mut known.refused, [stay, refused.clone()].concat())
        };
        let mut looked_at = Vec::new();
        for refusal in refused {
            if let Some(about) = self.served_from(&refusal.path) {
                let outcome = Err(LoadPluginError::Refused(refusal.clone()));
                looked_at.push((about.seat.clone(), outcome));
            }
            let is_known = before
                .iter()
                .any(|old| old.path == refusal.path && old.error.code() == refusal.error.code());
            if !is_known {
                self.tell_refusal(&refusal, cause);
            }
        }
        looked_at
    }

    /// Lets a file serve in place of the generation that does.
    pub(super) fn take_over(
        &self,
        resolved: Resolved,
        cause: &Cause,
        times: Times,
    ) -> Result<Outcome, LoadPluginError> {
        let manifest = resolved.verified().manifest();
        let Some(old) = self.serving(&self.seat_of(manifest)) else {
            return Err(self.not_found(&manifest.id));
        };
        self.replace(resolved, &old, cause, times)
            .map(|(reloaded, _)| Outcome::Reloaded(Box::new(reloaded)))
            .map_err(|refusal| self.remember(refusal))
    }

    /// Constructs the new generation while the old one serves, hands the state
    /// over, and lets the new one serve. Whatever fails, the old one serves on.
    pub(super) fn replace(
        &self,
        resolved: Resolved,
        old: &Arc<Active>,
        cause: &Cause,
        mut times: Times,
    ) -> Result<(Reloaded, Arc<Active>), Arc<Refusal>> {
        let about = Arc::new(Loadable::of(resolved.verified(), &self.options.policy));
        match self.try_replace(resolved, &about, old, &mut times) {
            Ok((active, measured, saved)) => {
                let stateful = is_stateful(old);
                // After a way back: it came from the file that is kept, which a
                // host that is started anew needs again, and the one that it
                // left is not to come back.
                let may_come_back = !matches!(cause, Cause::Rollback | Cause::Trouble(_));
                // What is on disk from before is not replaced by nothing.
                let mut notes = Vec::new();
                if stateful {
                    notes.extend(self.persist(&active, saved.as_ref()));
                }
                if !may_come_back {
                    notes.extend(self.not_again(old, &active, cause));
                }
                let reloaded = Reloaded {
                    plugin: about.manifest.id.clone(),
                    from: old.about.manifest.version.clone(),
                    to: about.manifest.version.clone(),
                    from_generation: old.generation,
                    to_generation: active.generation,
                    path: about.path.clone(),
                    cause: cause.clone(),
                    times,
                    calls_waited: measured.waited,
                    state_bytes: stateful.then_some(measured.bytes as u64),
                    note: joined(notes),
                };
                if may_come_back && old.about.hash != active.about.hash {
                    self.keep_file(old);
                }
                let over = self.replaced(&about.seat, old, &active, may_come_back);
                self.tell_that_serves(&active);
                self.no_longer_refused(&about.path);
                self.chronicle.tell(Happening::Reloaded(reloaded.clone()));
                over.into_iter().for_each(|over| self.leave(over));
                Ok((reloaded, active))
            }
            Err(error) => {
                let refusal = Arc::new(Refusal::of(&about, error));
                // Told when it was tried first.
                if !(may_pass(&refusal) && self.is_tried_again(&about.seat)) {
                    self.tell_kept(old, &refusal, cause, times);
                }
                Err(refusal)
            }
        }
    }

    pub(super) fn tell_kept(&self, old: &Active, refusal: &Refusal, cause: &Cause, times: Times) {
        self.chronicle.tell(Happening::Kept {
            plugin: old.about.manifest.id.clone(),
            version: old.about.manifest.version.clone(),
            generation: old.generation,
            path: refusal.path.clone(),
            cause: cause.clone(),
            code: refusal.error.code().to_owned(),
            reason: refusal.reason(),
            help: refusal.error.hint(),
            times,
        });
    }

    fn try_replace(
        &self,
        resolved: Resolved,
        about: &Arc<Loadable>,
        old: &Arc<Active>,
        times: &mut Times,
    ) -> Result<(Arc<Active>, Measured, Option<SavedState>), Error> {
        self.room_for_another(&about.seat)?;
        let Some(slot) = self.table.load().get(about.seat.as_str()).cloned() else {
            return Err(ActivateError::Unwanted.into());
        };
        // The calls that run have their own time, and are to be named if they
        // take longer; the activation is not to be blamed for them.
        let mut limits = self.options.handover_limits();
        limits.drain = self.time_to_take_over(&about.seat);
        let mut deadline = self.options.activation_deadline;
        if is_stateful(old) {
            deadline = deadline.saturating_add(limits.drain.min(limits.pause));
        }
        let deadline = Deadline::new(deadline);
        let (stateful, copies) = (is_stateful(old), about.manifest.state_persist);
        let handover = Handover::new(slot, stateful, limits, deadline.clone(), copies);
        let handover = Arc::new(handover);
        // What a version without state has left on disk is its successor's.
        let state = match stateful {
            true => StateSource::Over(handover.clone()),
            false => self.kept_state(about)?,
        };
        let outcome = self.attempt(about, || {
            self.construct(resolved, about, state, times, &deadline, handover.clone())
        });
        let measured = handover.measured();
        if stateful && !measured.pause.is_zero() {
            times.pause = Some(measured.pause);
            times.drain = Some(measured.drain);
            times.save = Some(measured.save);
        }
        match (outcome, handover.failure()) {
            (Ok(active), _) => Ok((active, measured, handover.take_copy())),
            (Err(_), Some(failure)) => Err(failure.into()),
            (Err(error), None) => Err(error),
        }
    }

    /// Tells the others that another generation of a plugin serves, and it what there
    /// is. When that is known of it: who is told may look at once.
    pub(super) fn tell_that_serves(&self, active: &Arc<Active>) {
        let slot = self.table.load().get(active.about.seat.as_str()).cloned();
        self.tell.serve(slot.map(|slot| (slot, active.clone())));
    }

    /// A kept file, which was decided on when it was current.
    pub(super) fn resolve_alone(&self, file: PathBuf) -> Result<Resolved, Arc<Refusal>> {
        let verified = verify(discover_file(&file), &self.workspace, &self.options.verify)
            .map_err(|error| Arc::new(Refusal::from(error)))?;
        let mut policy = Policy::new(self.options.policy.host.clone());
        policy.disabled = self.known.lock().disabled.clone();
        policy.held = self.known.lock().held.clone();
        policy.features = self.options.policy.features.clone();
        policy.versions = self.options.policy.versions;
        policy.versions_of.clone_from(&self.options.policy.versions_of);
        // What it needs is looked at when it is known that it is to serve.
        let mut alone = resolve::offer(&verified);
        let manifest = Arc::make_mut(&mut alone.manifest);
        manifest.dependencies.clear();
        manifest.needs.clear();
        let plan = Plan::new(vec![alone], &[], &policy);
        let held_back = plan.held_back().pop();
        plan.admit(verified).map_err(|_| match held_back {
            Some(error) => Arc::new(Refusal::from(error)),
            // One went in, so one comes out, here or there.
            None => {
                let error = ActivateError::Unwanted.into();
                Arc::new(Refusal { path: file, plugin: None, error })
            }
        })
    }
}

/// Whether it failed because calls did not end in time.
pub(super) fn is_in_use(refusal: &Refusal) -> bool {
    matches!(refusal.error, Error::Reload(ReloadError::Handover(HandoverError::Busy { .. })))
}

/// Whether the same file may be taken later, without anybody's doing. Not where it
/// was slow, or the state could not be had: each attempt lets calls wait.
pub(super) fn may_pass(refusal: &Refusal) -> bool {
    is_in_use(refusal) || matches!(refusal.error, Error::Reload(ReloadError::Generations { .. }))
}

/// In one line.
pub(super) fn joined(notes: Vec<String>) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Whether a generation has a state to hand over.
pub(super) fn is_stateful(active: &Active) -> bool {
    active.about.manifest.state_version > 0
}
