//! What shall run, of all that a host knows now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::manifest::{Manifest, PluginId, Selector};
use plugbay_resolve::{Held, Offer, Policy, Reason};
use semver::{Comparator, Op, Version, VersionReq};

use super::Inner;
use crate::activate::Active;
use crate::error::Error;
use crate::events::Cause;
use crate::registry;
use crate::report::{Loadable, PluginState, Refusal};
use crate::resolve::{self, Plan, ResolveError};
use crate::seat::Seat;
use crate::verify::Verified;

/// A plugin that serves while other bytes lie where it came from.
struct Overwritten {
    seat: Seat,
    serves: Offer,
    /// What lies in the folders.
    files: Vec<Offer>,
    /// Whether that is of another line, so that this one ends.
    moves: bool,
}

/// Files that could run, and those that serve already and would be replaced.
struct Offered {
    offers: Vec<Offer>,
    overwritten: Vec<Overwritten>,
}

/// A file that is not taken although it is there, until its bytes change or somebody asks.
pub(super) struct NotTaken {
    pub(super) hash: String,
    pub(super) refusal: Arc<Refusal>,
}

/// What holds for one decision only.
#[derive(Default)]
pub(super) struct Besides {
    /// Plugins that cannot end now: what does not go with them has to wait.
    pub(super) stays: BTreeSet<Seat>,
    /// Only these, and what they need.
    pub(super) only: Option<BTreeSet<PluginId>>,
}

impl Inner {
    /// Decides what runs. A file that was overwritten and could not run now, or would take
    /// something away from another plugin that serves, is not taken: what serves goes on.
    pub(super) fn plan(&self, besides: &Besides, cause: &Cause) -> Plan {
        // What was decided is decided anew: what it was for may have gone.
        let was_decided = |it: &NotTaken| matches!(it.refusal.error, Error::Resolve(_));
        self.known.lock().not_taken.retain(|_, it| !was_decided(it));
        loop {
            let Offered { offers, overwritten } = self.offered();
            let plan = self.plan_of(offers, besides);
            let refused = self.too_dear(&plan, &overwritten, besides);
            if refused.is_empty() {
                return plan;
            }
            for (offer, error) in refused {
                let refusal = Arc::new(Refusal::from(error));
                let is_known = self
                    .known
                    .lock()
                    .refused
                    .iter()
                    .any(|old| old.path == refusal.path && old.reason() == refusal.reason());
                self.not_taken(offer.path, offer.hash, refusal.clone());
                if !is_known {
                    self.tell_refusal(&refusal, cause);
                }
            }
        }
    }

    /// What holds now.
    pub(super) fn current_plan(&self) -> Plan {
        self.plan_of(self.offered().offers, &Besides::default())
    }

    /// Whether a file that is kept aside would run, in the place of those of its plugin.
    pub(super) fn would_run(&self, kept: &Verified) -> bool {
        let seat = self.seat_of(kept.manifest());
        let mut offers = self.offered().offers;
        offers.retain(|offer| self.seat_of(&offer.manifest) != seat);
        offers.push(resolve::offer(kept));
        self.plan_of(offers, &Besides::default()).chosen(&seat).is_some()
    }

    /// What is not taken, and why; remembered until the bytes change.
    pub(super) fn not_taken(&self, path: PathBuf, hash: String, refusal: Arc<Refusal>) {
        self.remember(refusal.clone());
        self.known.lock().not_taken.insert(path, NotTaken { hash, refusal });
    }

    fn plan_of(&self, offers: Vec<Offer>, besides: &Besides) -> Plan {
        let policy = self.policy(&offers, besides);
        let known = self.known.lock();
        let refused = resolve::known(known.refused.iter().map(AsRef::as_ref));
        drop(known);
        Plan::new(offers, &refused, &policy)
    }

    /// What this host wants of plugins now.
    fn policy(&self, offers: &[Offer], besides: &Besides) -> Policy {
        let mut policy = self.options.policy.clone();
        let known = self.known.lock();
        policy.disabled = known.disabled.clone();
        registry::enable_in(&mut policy, &known.enabled);
        let line = |seat: &Seat| (seat.id().clone(), seat.line().clone());
        let failed = known.failed.iter().map(|(seat, failed)| (line(seat), failed.why.clone()));
        policy.failed.extend(failed);
        policy.held.extend(known.held.clone());
        // Who loads single plugins from folders gets those, and not the folders.
        if !known.looked && policy.only.is_none() {
            let active = known.plugins.iter().filter(|(_, it)| it.state == PluginState::Active);
            let active = active.map(|(seat, _)| seat.id().clone());
            policy.only = Some(active.chain(besides.only.iter().flatten().cloned()).collect());
        }
        let ended: BTreeSet<&PluginId> = known
            .plugins
            .iter()
            .filter(|(_, it)| it.ended_by_hand)
            .map(|(it, _)| it.id())
            .collect();
        for offer in offers.iter().filter(|offer| ended.contains(&offer.manifest.id)) {
            let seat = self.seat_of(&offer.manifest);
            if !known.plugins.get(&seat).is_some_and(|it| it.ended_by_hand) {
                continue;
            }
            let held = Held {
                reason: "was unloaded by hand".into(),
                help: format!("load it again with: host-app load {seat}"),
            };
            policy.held.insert(offer.hash.clone(), held);
        }
        if let Some(only) = &mut policy.only {
            only.extend(known.also.iter().cloned());
        }
        for (seat, by_hand) in &known.by_hand {
            let hash = &by_hand.hash;
            let is_other = |it: &&Offer| it.hash != *hash && self.seat_of(&it.manifest) == *seat;
            for other in offers.iter().filter(is_other) {
                let held = Held {
                    reason: "another file of it is loaded by hand".into(),
                    help: format!("load this one with: host-app reload {seat}"),
                };
                policy.held.insert(other.hash.clone(), held);
            }
        }
        for seat in &besides.stays {
            let Some(record) = known.plugins.get(seat) else { continue };
            let (id, hash) = (seat.id(), record.about.hash.to_hex());
            // It goes before others, whatever was said of its versions.
            let was_said = policy.enabled.iter().any(|selector| selector.id == *id);
            let version = match was_said {
                true => exactly(&record.about.manifest.version),
                false => VersionReq::STAR,
            };
            policy.enabled.push(Selector { id: id.clone(), version });
            policy.disabled.remove(id);
            policy.held.remove(hash.as_str());
            let is_other =
                |it: &&Offer| it.hash != hash.as_str() && self.seat_of(&it.manifest) == *seat;
            for other in offers.iter().filter(is_other) {
                let held = Held {
                    reason: "the version that serves is still in use".into(),
                    help: "wait until its calls have ended".into(),
                };
                policy.held.insert(other.hash.clone(), held);
            }
        }
        policy
    }

    fn offered(&self) -> Offered {
        let known = self.known.lock();
        let is_taken = |offer: &&Offer| {
            known.not_taken.get(&offer.path).is_none_or(|it| it.hash != offer.hash)
        };
        let by_hand = known.by_hand.values().filter(|it| !known.files.contains_key(&it.path));
        let files: Vec<&Offer> = known.files.values().chain(by_hand).filter(is_taken).collect();
        let mut by_seat: HashMap<Seat, Vec<&Offer>> = HashMap::new();
        for offer in &files {
            by_seat.entry(self.seat_of(&offer.manifest)).or_default().push(offer);
        }
        let mut overwritten = Vec::new();
        let mut offers: Vec<Offer> = files.iter().copied().cloned().collect();
        let is_broken = |path: &Path| {
            let of_it = |it: &&Arc<Refusal>| it.path == path;
            let mut refused = known.refused.iter().filter(of_it);
            refused.any(|refusal| matches!(refusal.error, Error::Verify(_)))
        };
        for (seat, record) in &known.plugins {
            let path = &record.about.path;
            let hash = record.about.hash.to_hex();
            // It sleeps on as what it was verified as.
            let is_kept = record.state == PluginState::OnDemand
                && match known.files.get(path) {
                    None => !known.gone.contains(seat),
                    Some(file) => file.hash != hash.as_str() && record.copy.is_some(),
                };
            if record.state != PluginState::Active && !is_kept {
                continue;
            }
            let of_it = by_seat.get(seat).map_or(&[][..], Vec::as_slice);
            if of_it.iter().any(|it| it.hash == hash.as_str()) {
                continue;
            }
            let serves = running(&record.about);
            let is_broken = is_broken(path);
            let is_gone = known.gone.contains(seat) && !self.options.keep_removed;
            // An older version does not take over because the newer file broke, or failed.
            let is_broken = is_broken || known.not_taken.contains_key(&serves.path);
            if is_broken || of_it.is_empty() && !is_gone {
                let rank = of_it.iter().map(|it| it.rank).min().unwrap_or_default();
                offers.push(Offer { rank, ..serves });
            } else if let Some(other) = self.other_line_at(&serves.path, seat, &files) {
                // Written over by a version of another line.
                overwritten.push(Overwritten {
                    seat: seat.clone(),
                    serves,
                    files: vec![other.clone()],
                    moves: true,
                });
            } else if !of_it.is_empty() {
                let files = of_it.iter().map(|it| (*it).clone()).collect();
                overwritten.push(Overwritten { seat: seat.clone(), serves, files, moves: false });
            }
        }
        Offered { offers, overwritten }
    }

    /// What lies where a plugin came from, where that is another line of it by now, and
    /// no file of its own line is left.
    fn other_line_at<'a>(
        &self,
        path: &Path,
        seat: &Seat,
        files: &[&'a Offer],
    ) -> Option<&'a Offer> {
        let mut own = files.iter().filter(|it| self.seat_of(&it.manifest) == *seat);
        let at = files.iter().find(|it| it.path == path && it.manifest.id == *seat.id())?;
        (own.next().is_none() && self.seat_of(&at.manifest) != *seat).then_some(*at)
    }

    /// Overwritten files that shall not be taken, and why.
    fn too_dear(
        &self,
        plan: &Plan,
        overwritten: &[Overwritten],
        besides: &Besides,
    ) -> Vec<(Offer, ResolveError)> {
        let runs = |seat: &Seat| plan.chosen(seat).is_some();
        let mut refused = Vec::new();
        for one in overwritten.iter().filter(|one| !runs(&one.seat)) {
            let of_it = |error: &ResolveError| error.id() == one.seat.id();
            for error in plan.held_back().into_iter().filter(of_it) {
                let offer = one.files.iter().find(|offer| offer.path == error.path());
                refused.extend(offer.map(|offer| (offer.clone(), error)));
            }
        }
        // An older version does not take over because what was written over it cannot run.
        for one in overwritten {
            let own = one.files.iter().find(|file| file.path == one.serves.path);
            let chosen = plan.chosen(&one.seat).filter(|chosen| {
                chosen.path != one.serves.path
                    && chosen.manifest.version < one.serves.manifest.version
            });
            if let (Some(own), Some(_)) = (own, chosen) {
                let mut held_back = plan.held_back().into_iter();
                let error = held_back.find(|error| error.path() == own.path);
                refused.extend(error.map(|error| (own.clone(), error)));
            }
        }
        if !refused.is_empty() || overwritten.is_empty() {
            return refused;
        }
        // What would run if nothing had been overwritten.
        let is_new = |offer: &Offer| {
            let mut files = overwritten.iter().flat_map(|one| &one.files);
            files.any(|file| file.path == offer.path && file.hash == offer.hash)
        };
        let kept = plan.offers().iter().filter(|offer| !is_new(offer)).cloned();
        let before = kept.chain(overwritten.iter().map(|one| one.serves.clone())).collect();
        let before = self.plan_of(before, besides);
        let serving: BTreeSet<Seat> = self.all_serving().into_keys().collect();
        for chosen in &before.decision().run {
            let lost = &before.offers()[chosen.offer];
            let seat = self.seat_of(&lost.manifest);
            let moves = overwritten.iter().any(|one| one.moves && one.seat == seat);
            if !serving.contains(&seat) || runs(&seat) || moves {
                continue;
            }
            let reason = plan.held_back().into_iter().find(|it| it.path() == lost.path);
            let excluded_by = match reason.and_then(|it| it.reason()) {
                Some(Reason::Conflict { with, .. } | Reason::Kind { with, .. }) => Some(with.id),
                _ => None,
            };
            let needed = self.needed_by(&before, &seat);
            let is_needed = |one: &&Overwritten| {
                needed.contains(&one.seat) || excluded_by.as_ref() == Some(one.seat.id())
            };
            let mut because: Vec<&Overwritten> = overwritten.iter().filter(is_needed).collect();
            if because.is_empty() {
                because = overwritten.iter().collect();
            }
            for offer in because.into_iter().flat_map(|one| &one.files) {
                if refused.iter().all(|(it, _): &(Offer, _)| it.path != offer.path) {
                    refused.push((offer.clone(), ResolveError::takes_away(offer, lost)));
                }
            }
        }
        refused
    }

    /// The same.
    pub(super) fn seat_of(&self, manifest: &Manifest) -> Seat {
        Seat::of(&self.options.policy, manifest)
    }

    /// The same of a file that was refused, where it is known which plugin it is.
    pub(super) fn seat_of_refusal(&self, refusal: &Refusal) -> Option<Seat> {
        let (id, version) = refusal.plugin.as_ref()?;
        Some(self.seat(id, version))
    }

    /// Where a version of a plugin has its place.
    pub(crate) fn seat(&self, id: &PluginId, version: &Version) -> Seat {
        Seat::new(id, self.options.policy.line_of(id, version))
    }

    /// The generations that serve.
    pub(super) fn all_serving(&self) -> BTreeMap<Seat, Arc<Active>> {
        let table = self.table.load();
        let serving = table.iter().filter_map(|(it, slot)| Some((it.clone(), slot.serving()?)));
        serving.collect()
    }

    /// What a plugin that serves needs of those that do.
    pub(super) fn needs_now(&self, seat: &Seat) -> BTreeSet<Seat> {
        self.needed_by(&self.plan_of_what_serves(), seat)
    }

    /// Those that serve, so that each comes before those that it needs.
    pub(super) fn in_order_of_ending(&self) -> Vec<Vec<Seat>> {
        let plan = self.plan_of_what_serves();
        let id = |file: &usize| self.seat_of(&plan.offers()[*file].manifest);
        let levels = plan.decision().levels.iter().rev();
        let mut levels: Vec<Vec<Seat>> =
            levels.map(|level| level.iter().map(id).collect()).collect();
        // What would not be chosen today ends first.
        let rest = plan.decision().held_back.iter().map(|held| id(&held.offer)).collect();
        levels.insert(0, rest);
        levels
    }

    fn plan_of_what_serves(&self) -> Plan {
        let serving = self.all_serving();
        let offers = serving.values().map(|active| running(&active.about)).map(|mut offer| {
            // That it serves is not in question here.
            let manifest = Arc::make_mut(&mut offer.manifest);
            manifest.host = VersionReq::STAR;
            manifest.features.clear();
            manifest.conflicts.clear();
            manifest.integrates.clear();
            offer
        });
        let own = &self.options.policy;
        let mut policy = Policy::new(own.host.clone());
        policy.versions = own.versions;
        policy.versions_of.clone_from(&own.versions_of);
        Plan::new(offers.collect(), &[], &policy)
    }

    /// What a plugin of a plan needs, and what that needs.
    fn needed_by(&self, plan: &Plan, seat: &Seat) -> BTreeSet<Seat> {
        let of = |file: usize| self.seat_of(&plan.offers()[file].manifest);
        let needs: HashMap<Seat, &[usize]> =
            plan.decision().run.iter().map(|it| (of(it.offer), it.needs.as_slice())).collect();
        let (mut open, mut needed) = (vec![seat.clone()], BTreeSet::new());
        while let Some(seat) = open.pop() {
            for need in needs.get(&seat).into_iter().flat_map(|needs| needs.iter()) {
                let need = of(*need);
                if needed.insert(need.clone()) {
                    open.push(need);
                }
            }
        }
        needed
    }
}

/// This version and no other.
fn exactly(version: &Version) -> VersionReq {
    let comparator = Comparator {
        op: Op::Exact,
        major: version.major,
        minor: Some(version.minor),
        patch: Some(version.patch),
        pre: version.pre.clone(),
    };
    VersionReq { comparators: vec![comparator] }
}

/// What serves, as a file that could run.
fn running(about: &Loadable) -> Offer {
    Offer {
        path: about.path.clone(),
        rank: 0,
        hash: about.hash.to_hex().to_string(),
        manifest: Arc::new(about.manifest.clone()),
    }
}
