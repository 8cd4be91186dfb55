use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_interface::manifest::PluginId;
use plugbay_resolve::{
    Advice, Chosen, Decision, Lock, Name, Offer, Policy, Reason, Refused, decide,
};
use semver::{Version, VersionReq};

use crate::error::{Explain, printable, quoted};
use crate::report::Refusal;
use crate::seat::Seat;
use crate::verify::Verified;

/// A verified plugin that shall run.
#[derive(Debug)]
pub struct Resolved {
    verified: Verified,
}

impl Resolved {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Bytes that were copied from this file.
    pub(crate) fn known_as(self, path: &Path) -> Self {
        Self { verified: self.verified.known_as(path) }
    }

    pub(crate) fn into_verified(self) -> Verified {
        self.verified
    }
}

/// What runs, in which order, and why the rest does not.
#[derive(Debug, Default)]
pub struct Plan {
    offers: Vec<Offer>,
    decision: Decision,
    /// The files that run, by seat.
    run: HashMap<Seat, usize>,
}

/// Why a good plugin does not run.
#[derive(Debug, thiserror::Error)]
#[error("{} ({name}): {why}", printable(.path))]
pub struct ResolveError {
    path: PathBuf,
    name: Name,
    why: Box<NotRun>,
}

#[derive(Debug, thiserror::Error)]
enum NotRun {
    #[error("the same bytes as {}", printable(.0))]
    SameBytes(PathBuf),
    #[error("has the same id and version as {}, but other bytes", printable(.0))]
    Ambiguous(PathBuf),
    #[error("{newer} is newer, in {}", printable(.other))]
    Older { newer: Version, other: PathBuf },
    #[error(transparent)]
    Reason(Reason),
    /// Others need the version that serves.
    #[error("{by}, which runs, {}", would_miss(.needs))]
    TakesAway { by: Name, needs: Option<(PluginId, VersionReq)> },
}

fn would_miss(needs: &Option<(PluginId, VersionReq)>) -> String {
    match needs {
        Some((id, version)) => format!("needs {id} {version}"),
        None => "could not go on with it".into(),
    }
}

impl ResolveError {
    /// The file in the plugins folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which plugin it is.
    pub fn id(&self) -> &PluginId {
        &self.name.id
    }

    /// In which version.
    pub fn version(&self) -> &Version {
        &self.name.version
    }

    /// Why it does not run, in all detail; none where it is a new version that would have
    /// taken something away from one that runs.
    pub fn reason(&self) -> Option<Reason> {
        Some(match &*self.why {
            NotRun::SameBytes(other) => Reason::SameBytes { other: other.clone() },
            NotRun::Ambiguous(other) => Reason::Ambiguous { other: other.clone() },
            NotRun::Older { newer, other } => {
                Reason::Older { newer: newer.clone(), other: other.clone() }
            }
            NotRun::Reason(reason) => reason.clone(),
            NotRun::TakesAway { .. } => return None,
        })
    }

    fn new(offer: &Offer, reason: Reason) -> Self {
        let why = match reason {
            Reason::SameBytes { other } => NotRun::SameBytes(other),
            Reason::Ambiguous { other } => NotRun::Ambiguous(other),
            Reason::Older { newer, other } => NotRun::Older { newer, other },
            reason => NotRun::Reason(reason),
        };
        Self { path: offer.path.clone(), name: offer.name(), why: Box::new(why) }
    }

    pub(crate) fn takes_away(offer: &Offer, by: &Offer) -> Self {
        let mut dependencies = by.manifest.dependencies.iter();
        let needs = dependencies.find(|dependency| dependency.id == offer.manifest.id);
        let needs = needs.map(|dependency| (dependency.id.clone(), dependency.version.clone()));
        let why = NotRun::TakesAway { by: by.name(), needs };
        Self { path: offer.path.clone(), name: offer.name(), why: Box::new(why) }
    }
}

impl Explain for ResolveError {
    fn code(&self) -> &'static str {
        match &*self.why {
            NotRun::Older { .. } => "PB0302",
            NotRun::SameBytes(_) => "PB0303",
            NotRun::Ambiguous(_) => "PB0304",
            NotRun::Reason(reason) => reason.code(),
            NotRun::TakesAway { .. } => "PB0320",
        }
    }

    fn hint(&self) -> String {
        match &*self.why {
            NotRun::Older { .. } | NotRun::SameBytes(_) => {
                let path = quoted(&self.path).unwrap_or_else(|| "FILE".into());
                format!("remove it: rm {path}")
            }
            NotRun::Ambiguous(_) => {
                "keep the one that you mean; give a changed plugin a new version".into()
            }
            NotRun::Reason(reason) => reason.hint(&self.name),
            NotRun::TakesAway { by, .. } => format!(
                "first replace {}, or end it: host-app unload {}; at a start of the host this \
                 version would run, and {} would not",
                by.id, by.id, by.id
            ),
        }
    }
}

impl Plan {
    pub(crate) fn new(offers: Vec<Offer>, refused: &[Refused], policy: &Policy) -> Self {
        let decision = decide(&offers, refused, policy);
        let run = decision.run.iter().map(|chosen| {
            let id = &offers[chosen.offer].manifest.id;
            (Seat::new(id, chosen.line.clone()), chosen.offer)
        });
        let run = run.collect();
        Self { offers, decision, run }
    }

    /// The files that it is about.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// What was decided, by the numbers of [`offers`](Self::offers).
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The files that run.
    pub fn run(&self) -> impl Iterator<Item = &Offer> {
        self.decision.run.iter().map(|chosen| &self.offers[chosen.offer])
    }

    /// The file that runs in a seat.
    pub(crate) fn chosen(&self, seat: &Seat) -> Option<&Offer> {
        self.run.get(seat).map(|file| &self.offers[*file])
    }

    /// The files of a plugin that run: one, or several where versions of it run side by
    /// side.
    pub fn versions(&self, id: &PluginId) -> impl Iterator<Item = &Offer> {
        // They are in the order of their ids.
        let id_of = |chosen: &Chosen| &self.offers[chosen.offer].manifest.id;
        let first = self.decision.run.partition_point(|chosen| id_of(chosen) < id);
        let of_it = self.decision.run[first..].iter();
        of_it.map(|chosen| &self.offers[chosen.offer]).take_while(move |it| it.manifest.id == *id)
    }

    /// Those that do not, each with the shortest true reason, by id and path; without those
    /// that are only [`outside`](Self::outside).
    pub fn held_back(&self) -> Vec<ResolveError> {
        self.not_run(|reason| !matches!(reason, Reason::NotMember { .. }))
    }

    /// Those that do not run as a stack says what does, and neither names nor needs them.
    pub fn outside(&self) -> Vec<ResolveError> {
        self.not_run(|reason| matches!(reason, Reason::NotMember { .. }))
    }

    fn not_run(&self, wanted: impl Fn(&Reason) -> bool) -> Vec<ResolveError> {
        let held = self.decision.held_back.iter().filter(|one| wanted(&one.reason));
        held.map(|one| ResolveError::new(&self.offers[one.offer], one.reason.clone())).collect()
    }

    /// What one should know besides.
    pub fn advice(&self) -> &[Advice] {
        &self.decision.advice
    }

    /// Of those that run, who is the first to have which table of the host's configuration:
    /// the smallest id of those that need none of the others that register it.
    pub(crate) fn first_of_tables(&self) -> BTreeMap<String, PluginId> {
        let mut wanted: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
        for chosen in &self.decision.run {
            for name in self.offers[chosen.offer].manifest.host_config.keys() {
                wanted.entry(name).or_default().push(chosen.offer);
            }
        }
        let first = wanted.into_iter().filter_map(|(name, files)| {
            let id = |file: &usize| &self.offers[*file].manifest.id;
            let needs_another = |file: &usize| {
                let needed = self.needed_by(*file);
                files.iter().any(|other| id(other) != id(file) && needed.contains(other))
            };
            let first = match files.iter().all(|file| id(file) == id(&files[0])) {
                true => files.first(),
                false => files.iter().filter(|file| !needs_another(file)).min_by_key(|it| id(it)),
            };
            Some((name.clone(), id(first?).clone()))
        });
        first.collect()
    }

    /// What a file that runs needs, and what that needs.
    fn needed_by(&self, file: usize) -> BTreeSet<usize> {
        let (mut open, mut needed) = (vec![file], BTreeSet::new());
        while let Some(file) = open.pop() {
            let chosen = self.decision.run.iter().find(|chosen| chosen.offer == file);
            let needs = chosen.into_iter().flat_map(|chosen| &chosen.needs);
            open.extend(needs.copied().filter(|need| needed.insert(*need)));
        }
        needed
    }

    /// A lock of what runs.
    pub fn lock(&self) -> Lock {
        Lock::of(self.run())
    }

    /// Lets a file run that the plan has chosen; gives back any other.
    ///
    /// # Errors
    ///
    /// The file itself, where the plan has not chosen these bytes.
    pub fn admit(&self, verified: Verified) -> Result<Resolved, Box<Verified>> {
        let hash = verified.hash().to_hex();
        let is_chosen = self.versions(&verified.manifest().id).any(|it| it.hash == hash.as_str());
        if is_chosen { Ok(Resolved { verified }) } else { Err(Box::new(verified)) }
    }
}

/// Decides which of the verified plugins run, and in which order: those that fit this
/// host, that have what they need, and that do not exclude each other. `refused` are files
/// that were not verified, where it is known what they are; they are only told of.
///
/// Pure: the same input gives the same plan, in whatever order it comes. What a plan
/// chose is made ready to be loaded by [`Plan::admit`].
pub fn resolve(found: &[Verified], refused: &[Refusal], policy: &Policy) -> Plan {
    Plan::new(found.iter().map(offer).collect(), &known(refused.iter()), policy)
}

/// What a decision is to know of a file.
pub(crate) fn offer(verified: &Verified) -> Offer {
    Offer {
        path: verified.path().to_owned(),
        rank: verified.rank(),
        hash: verified.hash().to_hex().to_string(),
        manifest: Arc::new(verified.manifest().clone()),
    }
}

/// What a decision may tell of files that were refused.
pub(crate) fn known<'a>(refused: impl Iterator<Item = &'a Refusal>) -> Vec<Refused> {
    let mut known: BTreeMap<Name, String> = BTreeMap::new();
    for refusal in refused {
        // What this stage said itself is decided anew.
        if let Some((id, version)) = &refusal.plugin
            && !matches!(refusal.error, crate::Error::Resolve(_))
        {
            let name = Name { id: id.clone(), version: version.clone() };
            known.entry(name).or_insert_with(|| one_line(refusal));
        }
    }
    known
        .into_iter()
        .map(|(Name { id, version }, reason)| Refused { id, version, reason })
        .collect()
}

/// The reason without the path, on one line.
pub(crate) fn one_line(refusal: &Refusal) -> String {
    let reason = refusal.reason();
    reason.lines().next().unwrap_or_default().to_owned()
}
