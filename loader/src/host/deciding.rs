//! What shall run, of all that a host knows now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use plugbay_interface::manifest::{PluginId, Selector};
use plugbay_resolve::{Held, Offer, Policy, Reason};
use semver::{Comparator, Op, VersionReq};

use super::Inner;
use crate::activate::Active;
use crate::error::Error;
use crate::events::Cause;
use crate::registry;
use crate::report::{Loadable, PluginState, Refusal};
use crate::resolve::{self, Plan, ResolveError};
use crate::verify::Verified;

/// A plugin that serves while other bytes lie where it came from.
struct Overwritten {
    id: PluginId,
    serves: Offer,
    /// What lies in the folders.
    files: Vec<Offer>,
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
    pub(super) stays: BTreeSet<PluginId>,
    /// Of these plugins only these bytes.
    pub(super) instead: BTreeMap<PluginId, String>,
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
        let id = &kept.manifest().id;
        let mut offers = self.offered().offers;
        offers.retain(|offer| offer.manifest.id != *id);
        offers.push(resolve::offer(kept));
        self.plan_of(offers, &Besides::default()).chosen(id).is_some()
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
        policy.failed.extend(known.failed.clone());
        policy.held.extend(known.held.clone());
        // Who loads single plugins from folders gets those, and not the folders.
        if !known.looked && policy.only.is_none() {
            let active = known.plugins.iter().filter(|(_, it)| it.state == PluginState::Active);
            let active = active.map(|(id, _)| id.clone());
            policy.only = Some(active.chain(besides.only.iter().flatten().cloned()).collect());
        }
        let unloaded = |id: &PluginId| known.plugins.get(id).is_some_and(|it| it.ended_by_hand);
        for offer in offers.iter().filter(|offer| unloaded(&offer.manifest.id)) {
            let held = Held {
                reason: "was unloaded by hand".into(),
                help: format!("load it again with: host-app load {}", offer.manifest.id),
            };
            policy.held.insert(offer.hash.clone(), held);
        }
        for (id, hash) in &besides.instead {
            for other in offers.iter().filter(|it| it.manifest.id == *id && it.hash != *hash) {
                let held = Held {
                    reason: "another file of it is loaded by hand".into(),
                    help: format!("load this one with: host-app reload {id}"),
                };
                policy.held.insert(other.hash.clone(), held);
            }
        }
        let stays = besides.stays.iter().filter_map(|id| known.plugins.get(id));
        for about in stays.map(|record| &record.about) {
            let exactly = Comparator {
                op: Op::Exact,
                major: about.manifest.version.major,
                minor: Some(about.manifest.version.minor),
                patch: Some(about.manifest.version.patch),
                pre: about.manifest.version.pre.clone(),
            };
            let version = VersionReq { comparators: vec![exactly] };
            policy.enabled.push(Selector { id: about.manifest.id.clone(), version });
            policy.disabled.remove(&about.manifest.id);
            policy.held.remove(about.hash.to_hex().as_str());
        }
        policy
    }

    fn offered(&self) -> Offered {
        let known = self.known.lock();
        let is_taken = |offer: &&Offer| {
            known.not_taken.get(&offer.path).is_none_or(|it| it.hash != offer.hash)
        };
        let files: Vec<&Offer> = known.files.values().filter(is_taken).collect();
        let mut by_id: HashMap<&PluginId, Vec<&Offer>> = HashMap::new();
        for offer in &files {
            by_id.entry(&offer.manifest.id).or_default().push(offer);
        }
        let mut overwritten = Vec::new();
        let mut offers: Vec<Offer> = files.iter().copied().cloned().collect();
        for (id, record) in &known.plugins {
            if record.state != PluginState::Active {
                continue;
            }
            let of_it = by_id.get(id).map_or(&[][..], Vec::as_slice);
            let hash = record.about.hash.to_hex();
            if of_it.iter().any(|it| it.hash == hash.as_str()) {
                continue;
            }
            let serves = running(&record.about);
            let is_broken = known.refused.iter().any(|refusal| {
                refusal.path == serves.path && matches!(refusal.error, Error::Verify(_))
            });
            let is_gone = known.gone.contains(id) && !self.options.keep_removed;
            // An older version does not take over because the newer file broke, or failed.
            let is_broken = is_broken || known.not_taken.contains_key(&serves.path);
            if is_broken || of_it.is_empty() && !is_gone {
                let rank = of_it.iter().map(|it| it.rank).min().unwrap_or_default();
                offers.push(Offer { rank, ..serves });
            } else if !of_it.is_empty() {
                let files = of_it.iter().map(|it| (*it).clone()).collect();
                overwritten.push(Overwritten { id: id.clone(), serves, files });
            }
        }
        Offered { offers, overwritten }
    }

    /// Overwritten files that shall not be taken, and why.
    fn too_dear(
        &self,
        plan: &Plan,
        overwritten: &[Overwritten],
        besides: &Besides,
    ) -> Vec<(Offer, ResolveError)> {
        let runs = |id: &PluginId| plan.chosen(id).is_some();
        let mut refused = Vec::new();
        for one in overwritten.iter().filter(|one| !runs(&one.id)) {
            for error in plan.held_back().into_iter().filter(|error| *error.id() == one.id) {
                let offer = one.files.iter().find(|offer| offer.path == error.path());
                refused.extend(offer.map(|offer| (offer.clone(), error)));
            }
        }
        // An older version does not take over because what was written over it cannot run.
        for one in overwritten {
            let own = one.files.iter().find(|file| file.path == one.serves.path);
            let chosen = plan.chosen(&one.id).filter(|chosen| {
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
        let is_new = |offer: &Offer| overwritten.iter().any(|one| one.id == offer.manifest.id);
        let kept = plan.offers().iter().filter(|offer| !is_new(offer)).cloned();
        let before = kept.chain(overwritten.iter().map(|one| one.serves.clone())).collect();
        let before = self.plan_of(before, besides);
        let serving: BTreeSet<PluginId> = self.all_serving().into_keys().collect();
        for chosen in &before.decision().run {
            let lost = &before.offers()[chosen.offer];
            if !serving.contains(&lost.manifest.id) || runs(&lost.manifest.id) {
                continue;
            }
            let reason = plan.held_back().into_iter().find(|it| *it.id() == lost.manifest.id);
            let excluded_by = match reason.and_then(|it| it.reason()) {
                Some(Reason::Conflict { with, .. } | Reason::Kind { with, .. }) => Some(with.id),
                _ => None,
            };
            let needed = needed_by(&before, &lost.manifest.id);
            let is_needed = |one: &&Overwritten| {
                needed.contains(&one.id) || excluded_by.as_ref() == Some(&one.id)
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

    /// The generations that serve, by plugin.
    pub(super) fn all_serving(&self) -> BTreeMap<PluginId, Arc<Active>> {
        let table = self.table.load();
        let serving = table.iter().filter_map(|(id, slot)| Some((id.clone(), slot.serving()?)));
        serving.collect()
    }

    /// What a plugin that serves needs of those that do.
    pub(super) fn needs_now(&self, id: &PluginId) -> BTreeSet<PluginId> {
        needed_by(&self.plan_of_what_serves(), id)
    }

    /// Those that serve, so that each comes before those that it needs.
    pub(super) fn in_order_of_ending(&self) -> Vec<Vec<PluginId>> {
        let plan = self.plan_of_what_serves();
        let id = |file: &usize| plan.offers()[*file].manifest.id.clone();
        let levels = plan.decision().levels.iter().rev();
        let mut levels: Vec<Vec<PluginId>> =
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
        let host = self.options.policy.host.clone();
        Plan::new(offers.collect(), &[], &Policy::new(host))
    }
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

/// What a plugin of a plan needs, and what that needs.
fn needed_by(plan: &Plan, id: &PluginId) -> BTreeSet<PluginId> {
    let of = |file: usize| &plan.offers()[file].manifest.id;
    let needs: HashMap<&PluginId, &[usize]> =
        plan.decision().run.iter().map(|it| (of(it.offer), it.needs.as_slice())).collect();
    let (mut open, mut needed) = (vec![id], BTreeSet::new());
    while let Some(id) = open.pop() {
        for need in needs.get(id).into_iter().flat_map(|needs| needs.iter()) {
            if needed.insert(of(*need).clone()) {
                open.push(of(*need));
            }
        }
    }
    needed
}
