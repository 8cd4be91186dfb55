use std::collections::{BTreeSet, HashMap};

use plugbay_manifest::{PluginId, takes};
use semver::{Version, VersionReq};

use crate::excerpt::Excerpt;
use crate::offer::Offer;
use crate::policy::Policy;
use crate::reason::Reason;

/// Those that a host runs for one purpose: they, and what they need, and nothing else.
/// They go before all others, also before what was enabled by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// What the stack is called that names them. Reasons name it.
    pub stack: String,
    /// The plugins among them.
    pub plugins: Vec<Member>,
    /// Every plugin of these kinds is one, too. How many of them run, the kinds' rules say.
    pub kinds: BTreeSet<String>,
}

/// A plugin that a stack names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id. Of several the first of which there is a file.
    pub ids: Vec<PluginId>,
    /// The versions that will do.
    pub version: VersionReq,
    /// What it has to be, where the stack says so.
    pub kind: Option<String>,
    /// Where not empty: it is a member only if there is a file of one of these, for example
    /// of the optional member that depends on it.
    pub only_with: Vec<PluginId>,
}

/// Plugins that do not run beside each other although they do not say so themselves.
/// It holds both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The one.
    pub one: PluginId,
    /// The other.
    pub other: PluginId,
    /// Who says so. Reasons name it: `the stack research`.
    pub by: String,
}

impl Member {
    /// The id that counts, where it is known which plugins there are.
    pub fn id_in(&self, is_there: impl Fn(&PluginId) -> bool) -> Option<&PluginId> {
        self.ids.iter().find(|id| is_there(id))
    }
}

/// Who of some files is a member.
pub(crate) struct Membership<'a> {
    /// None where everything is in question.
    members: Option<&'a Members>,
    only: Option<&'a BTreeSet<PluginId>>,
    plugins: Vec<Named<'a>>,
}

/// A plugin that a stack names.
struct Named<'a> {
    id: &'a PluginId,
    member: &'a Member,
    /// Whether there is a file of a version that would do.
    is_there: bool,
}

impl<'a> Membership<'a> {
    pub(crate) fn new(offers: &[Offer], policy: &'a Policy) -> Self {
        let members = policy.members.as_ref();
        let mut plugins = Vec::new();
        if let Some(members) = members {
            let mut there: HashMap<&str, Vec<&Version>> = HashMap::new();
            for manifest in offers.iter().map(|offer| &offer.manifest) {
                there.entry(manifest.id.as_str()).or_default().push(&manifest.version);
            }
            let is_there = |id: &PluginId| there.contains_key(id.as_str());
            let would_do = |id: &PluginId, range| {
                let mut of_it = there.get(id.as_str()).into_iter().flatten();
                of_it.any(|version| takes(range, version))
            };
            let counts = |member: &&Member| {
                member.only_with.is_empty() || member.only_with.iter().any(is_there)
            };
            let found = members.plugins.iter().filter(counts);
            plugins.extend(found.filter_map(|member| {
                let id = member.id_in(is_there)?;
                Some(Named { id, member, is_there: would_do(id, &member.version) })
            }));
        }
        Self { members, only: policy.only.as_ref(), plugins }
    }

    /// Whether a stack names it.
    pub(crate) fn names(&self, offer: &Offer) -> bool {
        let manifest = &offer.manifest;
        self.members.is_some_and(|members| {
            self.plugins.iter().any(|named| *named.id == manifest.id)
                || manifest.kinds.iter().any(|kind| members.kinds.contains(kind))
        })
    }

    /// Why one does not run that a stack does not name; none where it is not for that.
    pub(crate) fn outside(&self, offer: &Offer) -> Option<Reason> {
        let members = self.members.filter(|_| !self.names(offer))?;
        Some(Reason::NotMember { stack: members.stack.clone() })
    }

    /// Whether everything that can runs.
    pub(crate) fn is_open(&self) -> bool {
        self.members.is_none() && self.only.is_none()
    }

    /// Whether it is among those that are asked for, and not only something that they need.
    pub(crate) fn wants(&self, offer: &Offer) -> bool {
        (self.members.is_none() || self.names(offer))
            && self.only.is_none_or(|only| only.contains(&offer.manifest.id))
    }

    /// What the stack says against it.
    pub(crate) fn against(&self, offer: &Offer) -> Option<Reason> {
        let stack = &self.members?.stack;
        let manifest = &offer.manifest;
        let mut of_it = self.plugins.iter().filter(|named| *named.id == manifest.id);
        of_it.find_map(|Named { member, is_there, .. }| {
            if let Some(kind) = member.kind.as_ref().filter(|kind| !manifest.kinds.contains(kind)) {
                return Some(Reason::StackKind {
                    stack: stack.clone(),
                    kind: kind.clone(),
                    found: Excerpt::of(&manifest.kinds),
                });
            }
            (!takes(&member.version, &manifest.version)).then(|| Reason::StackVersion {
                stack: stack.clone(),
                range: member.version.clone(),
                is_there: *is_there,
            })
        })
    }
}
