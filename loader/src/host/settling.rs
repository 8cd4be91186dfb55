//! How what was decided comes to be so: what is out ends, those first that need others;
//! then the rest comes up, level by level. What fails changes what can be decided, and it
//! is decided anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use plugbay_resolve::{Offer, Reason};

use super::deciding::{Besides, NotTaken};
use super::known::{Failed, table_of_another};
use super::reloading::may_pass;
use super::{Inner, LoadPluginError};
use crate::error::{Error, Explain};
use crate::events::{Cause, Happening, Times};
use crate::keeper::Wish;
use crate::reload::{LookedAt, Outcome};
use crate::report::{PluginState, Refusal};
use crate::resolve::{Plan, ResolveError, Resolved, offer, one_line};
use crate::seat::Seat;
use crate::unload::{UnloadError, Unloaded};
use crate::verify::Verified;

/// Decisions for one change. Each one that is not the last is because something failed, or
/// a file was exchanged meanwhile.
const MOST_DECISIONS: usize = 10_000;

/// What is to be settled.
pub(super) struct Change<'a> {
    pub(super) cause: &'a Cause,
    /// What the new files have taken until now.
    pub(super) times: Times,
    /// The plugin that somebody ends, and how it is to be called then.
    pub(super) ends: Option<(&'a [Seat], PluginState)>,
    pub(super) besides: Besides,
}

impl<'a> Change<'a> {
    pub(super) fn because(cause: &'a Cause) -> Self {
        Self { cause, times: Times::default(), ends: None, besides: Besides::default() }
    }
}

/// What was verified just now, by path.
pub(super) type Fresh = HashMap<PathBuf, Verified>;

/// What came of it, by plugin.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) looked_at: BTreeMap<Seat, Result<Outcome, LoadPluginError>>,
    pub(super) ended: BTreeMap<Seat, Result<Unloaded, UnloadError>>,
}

impl Settled {
    pub(super) fn into_looked_at(self) -> Vec<LookedAt> {
        let looked_at = self.looked_at.into_iter();
        looked_at.map(|(seat, outcome)| LookedAt::new(&seat, outcome)).collect()
    }
}

impl Inner {
    /// Decides what runs now, and lets it. `fresh` were verified just now, and are in
    /// `known.files`.
    pub(super) fn settle(&self, fresh: Vec<Verified>, mut change: Change<'_>) -> Settled {
        let looked_for: Vec<_> =
            fresh.iter().map(|one| (one.path().to_owned(), self.seat_of(one.manifest()))).collect();
        let fresh = fresh.into_iter().map(|verified| (verified.path().to_owned(), verified));
        let mut fresh: Fresh = fresh.collect();
        let mut settled = Settled::default();
        let before: Vec<_> = self.known.lock().refused.clone();
        let mut tried = BTreeSet::new();
        for _ in 0..MOST_DECISIONS {
            let plan = self.plan(&change.besides, change.cause);
            // Who hears of what comes and goes may ask at once why the others do not run.
            let held_back = self.remember_plan(&plan);
            let done = self.end_what_is_out(&plan, &mut change, &mut settled)
                && self.bring_in(&plan, &mut fresh, &change, &mut settled)
                // What waited for those.
                && self.end_what_is_out(&plan, &mut change, &mut settled);
            if done {
                // Of what is out now, others may have the tables.
                if self.known.lock().try_next_of_tables(&mut tried) {
                    continue;
                }
                self.tell_held_back(held_back, &before, change.cause, &mut settled);
                break;
            }
        }
        let known = self.known.lock();
        for (path, id) in looked_for {
            if let Some(not_taken) = known.not_taken.get(&path) {
                let refused = Err(LoadPluginError::Refused(not_taken.refusal.clone()));
                settled.looked_at.entry(id).or_insert(refused);
            }
        }
        drop(known);
        self.keep_copies_of_sleepers(&mut fresh);
        self.record();
        settled
    }

    /// Ends what serves and shall not. Whether all of it has ended.
    fn end_what_is_out(&self, plan: &Plan, change: &mut Change<'_>, settled: &mut Settled) -> bool {
        let is_out_at_all = |seat: &Seat| plan.chosen(seat).is_none();
        self.end_those_asleep(is_out_at_all);
        let waiting = self.waiting_for_another_line(plan);
        let is_out = |seat: &Seat| {
            let stays = change.besides.stays.contains(seat) || waiting.contains(seat);
            plan.chosen(seat).is_none() && !stays
        };
        let serving = self.all_serving();
        if !serving.keys().any(is_out) {
            return true;
        }
        let out: Vec<Seat> =
            self.in_order_of_ending().into_iter().flatten().filter(|id| is_out(id)).collect();
        for id in out {
            let by_hand = change.ends.filter(|(ends, _)| ends.contains(&id));
            let (state, cause) = match by_hand {
                Some((_, state)) => (state, Cause::Request),
                None => (PluginState::Unloaded, self.why_out(plan, &id, change.cause)),
            };
            let limit = match by_hand {
                None if self.ends_later(&id) => {
                    self.stays(&id, change);
                    return false;
                }
                None => self.time_to_end(&id),
                Some(_) => self.options.drain_limit,
            };
            let ended = self.unload(&id, state, &cause, limit);
            if let Err(UnloadError::Busy { plugin, holders, .. }) = &ended {
                self.stays(&id, change);
                if by_hand.is_none() {
                    if self.end_it_again(&id)
                        && let Some(active) = self.serving(&id)
                    {
                        let (plugin, holders) = (plugin.clone(), holders.clone());
                        let generation = active.generation;
                        let in_use = Happening::InUse { plugin, generation, holders };
                        self.chronicle.tell_of(&active.about.manifest.version, in_use);
                    }
                    self.keep(Wish::Look);
                }
                settled.ended.insert(id, ended);
                return false;
            }
            settled.ended.insert(id, ended);
        }
        true
    }

    /// Seats that end, as a version of another line was written over their file, once that
    /// serves.
    fn waiting_for_another_line(&self, plan: &Plan) -> BTreeSet<Seat> {
        let mut waiting = BTreeSet::new();
        for (seat, active) in self.all_serving() {
            let successor = plan.versions(seat.id()).find(|it| it.path == active.about.path);
            let Some(successor) = successor else { continue };
            let theirs = self.seat_of(&successor.manifest);
            let serves = self.serving(&theirs);
            let is_there =
                serves.is_some_and(|it| it.about.hash.to_hex().as_str() == successor.hash);
            if theirs != seat && !is_there && !self.is_asleep(&theirs) {
                waiting.insert(seat);
            }
        }
        waiting
    }

    /// It stays for now, and so does what it needs.
    fn stays(&self, seat: &Seat, change: &mut Change<'_>) {
        change.besides.stays.extend(self.needs_now(seat));
        change.besides.stays.insert(seat.clone());
    }

    /// What a plugin that serves ends for.
    fn why_out(&self, plan: &Plan, id: &Seat, cause: &Cause) -> Cause {
        let hash = self.serving(id).map(|active| active.about.hash.to_hex().to_string());
        let held = plan.decision().held_back.iter().find(|held| {
            let offer = &plan.offers()[held.offer];
            offer.manifest.id == *id.id() && hash.as_deref() == Some(&offer.hash)
        });
        match held {
            Some(held) => Cause::Decision(held.reason.to_string()),
            // Its file is gone, whoever it is that notices.
            None if *cause == Cause::Request => Cause::File,
            None => cause.clone(),
        }
    }

    /// Lets everything serve that shall. Whether all of it does.
    fn bring_in(
        &self,
        plan: &Plan,
        fresh: &mut Fresh,
        change: &Change<'_>,
        settled: &mut Settled,
    ) -> bool {
        let asleep = self.asleep(plan);
        let Some(new) = self.put_to_sleep(plan, &asleep, fresh) else { return false };
        for status in new {
            let seat = self.seat_of(&status.manifest);
            settled.looked_at.insert(seat, Ok(Outcome::OnDemand(Box::new(status))));
        }
        for level in &plan.decision().levels {
            let mut new = Vec::new();
            let level = level.iter().filter(|file| !asleep.contains(file));
            for offer in level.map(|file| &plan.offers()[*file]) {
                let id = &self.seat_of(&offer.manifest);
                if change.besides.stays.contains(id) {
                    continue;
                }
                let old = self.serving(id);
                if let Some(old) = &old
                    && old.about.hash.to_hex().as_str() == offer.hash
                {
                    // At the place that it came from there may be other bytes by now.
                    let is_same = |fresh: &Verified| fresh.hash().to_hex().as_str() == offer.hash;
                    if let Some(same) = fresh.remove(&offer.path).filter(is_same) {
                        self.no_longer_refused(same.path());
                        settled.looked_at.entry(id.clone()).or_insert(Ok(Outcome::Unchanged));
                    }
                    continue;
                }
                let Some(resolved) = self.admitted(plan, offer, fresh) else {
                    self.put_back(new, fresh);
                    return false;
                };
                match old {
                    None => new.push(resolved),
                    Some(_) => {
                        let outcome = self.take_over(resolved, change.cause, change.times);
                        let failed = self.could_not(offer, &outcome, change.cause);
                        settled.looked_at.insert(id.clone(), outcome);
                        if failed {
                            self.put_back(new, fresh);
                            return false;
                        }
                    }
                }
            }
            if !new.is_empty() && !self.bring_up_level(new, change, settled) {
                return false;
            }
        }
        true
    }

    /// What was looked at is not looked at once more, and what sleeps on keeps its copy.
    fn put_back(&self, new: Vec<Resolved>, fresh: &mut Fresh) {
        let new = new.into_iter().map(Resolved::into_verified);
        fresh.extend(new.map(|one| (one.path().to_owned(), one)));
        self.keep_copies_of_sleepers(fresh);
    }

    /// Whether a new version did not take over: then the one before goes on.
    fn could_not(
        &self,
        offer: &Offer,
        outcome: &Result<Outcome, LoadPluginError>,
        cause: &Cause,
    ) -> bool {
        match outcome {
            Ok(_) => {
                let mut known = self.known.lock();
                known.refused.retain(|refusal| refusal.path != offer.path);
                false
            }
            Err(LoadPluginError::Refused(refusal)) => {
                self.not_taken(offer.path.clone(), offer.hash.clone(), refusal.clone());
                // Who asks can ask again.
                if may_pass(refusal) && *cause != Cause::Request {
                    let seat = self.seat_of(&offer.manifest);
                    self.take_later(seat, offer.path.clone());
                    self.keep(Wish::Look);
                }
                true
            }
            Err(error) => {
                log::warn!("{}: {error}", offer.manifest.id);
                true
            }
        }
    }

    /// Brings up those that do not serve yet. Whether all are up.
    fn bring_up_level(
        &self,
        new: Vec<Resolved>,
        change: &Change<'_>,
        settled: &mut Settled,
    ) -> bool {
        let mut all = true;
        for outcome in self.bring_up(new, change.cause) {
            match outcome {
                Ok(id) => {
                    let known = self.known.lock();
                    let status = known.plugins.get(&id).map(|record| self.status(record));
                    drop(known);
                    if let Some(status) = status {
                        settled.looked_at.insert(id, Ok(Outcome::Loaded(Box::new(status))));
                    }
                }
                Err(refusal) => {
                    all = false;
                    self.remember(refusal.clone());
                    self.bring_back(std::slice::from_ref(&refusal));
                    let Some(id) = self.seat_of_refusal(&refusal) else { continue };
                    if self.serving(&id).is_some() {
                        // The version that it was rolled back to is what runs here.
                        let mut known = self.known.lock();
                        let hash = known.files.get(&refusal.path).map(|file| file.hash.clone());
                        if let Some(hash) = hash {
                            let not_taken = NotTaken { hash, refusal: refusal.clone() };
                            known.not_taken.insert(refusal.path.clone(), not_taken);
                        }
                    } else {
                        let why = format!("{}: {}", refusal.error.code(), one_line(&refusal));
                        let lacks = table_of_another(&refusal).map(str::to_owned);
                        self.known.lock().failed.insert(id.clone(), Failed { why, lacks });
                    }
                    settled.looked_at.insert(id, Err(LoadPluginError::Refused(refusal)));
                }
            }
        }
        all
    }

    /// Remembers what does not run and why, and gives that.
    fn remember_plan(&self, plan: &Plan) -> Vec<Arc<Refusal>> {
        let mut known = self.known.lock();
        let kept: Vec<_> = known.not_taken.values().map(|it| it.refusal.clone()).collect();
        known.refused.retain(|refusal| {
            !matches!(refusal.error, Error::Resolve(_))
                || kept.iter().any(|it| Arc::ptr_eq(it, refusal))
        });
        // Those were told when it happened.
        let was_told = |error: &ResolveError| match error.reason() {
            // But that it took its host down, nobody was told.
            Some(Reason::Held(_)) => {
                let file = known.files.get(error.path());
                let held = |hash: &str| {
                    known.held.contains_key(hash) || self.options.policy.held.contains_key(hash)
                };
                file.is_none_or(|offer| !held(&offer.hash))
            }
            Some(Reason::Failed { .. }) => known.refused.iter().any(|it| it.path == error.path()),
            _ => false,
        };
        let held_back = plan.held_back().into_iter().filter(|error| !was_told(error));
        let held_back: Vec<_> = held_back.map(|error| Arc::new(Refusal::from(error))).collect();
        known.refused.extend(held_back.iter().cloned());
        known.advice = plan.advice().to_vec();
        known.first_of_tables = plan.first_of_tables();
        held_back
    }

    /// Tells what was not known before.
    fn tell_held_back(
        &self,
        held_back: Vec<Arc<Refusal>>,
        before: &[Arc<Refusal>],
        cause: &Cause,
        settled: &mut Settled,
    ) {
        for refusal in held_back {
            if let Some(about) = self.served_from(&refusal.path) {
                let outcome = Err(LoadPluginError::Refused(refusal.clone()));
                settled.looked_at.entry(about.seat.clone()).or_insert(outcome);
            }
            let is_known = before.iter().any(|old| {
                old.path == refusal.path
                    && old.error.code() == refusal.error.code()
                    && old.reason() == refusal.reason()
            });
            // What a start refuses is in its report.
            if !is_known && *cause != Cause::Start {
                self.tell_refusal(&refusal, cause);
            }
        }
    }

    /// Remembers what files are. One that was looked at anew is worth a try.
    pub(super) fn learn_files(&self, verified: &[Verified]) {
        let mut known = self.known.lock();
        for one in verified {
            let (path, id) = (one.path().to_owned(), self.seat_of(one.manifest()));
            known.gone.remove(&id);
            known.to_end.remove(&id);
            known.failed.remove(&id);
            known.not_taken.remove(&path);
            // What was wrong with its bytes is right now.
            let is_over = |it: &Refusal| it.path == path && matches!(it.error, Error::Verify(_));
            known.refused.retain(|refusal| !is_over(refusal));
            let new = offer(one);
            let hash = new.hash.clone();
            // What was loaded by hand is that file, as long as it is of the same seat.
            known.by_hand.retain(|seat, it| it.path != path || *seat == id);
            for by_hand in known.by_hand.values_mut().filter(|it| it.path == path) {
                *by_hand = new.clone();
            }
            if !self.lies_in_a_folder(&path) {
                continue;
            }
            let before = known.files.insert(path.clone(), new);
            let is_changed = before.as_ref().is_none_or(|before| before.hash != hash);
            if let Some(record) = known.plugins.get_mut(&id).filter(|_| is_changed) {
                // What somebody ended waited for that.
                record.ended_by_hand = false;
            }
            let mut others = match before {
                Some(before) => vec![self.seat_of(&before.manifest)],
                // It was broken before, and what serves or sleeps from there went on.
                None => known.seats_from(&path).cloned().collect(),
            };
            others.retain(|other| *other != id);
            for other in others {
                known.lost_a_file(&other, &self.options.policy);
            }
        }
    }
}
