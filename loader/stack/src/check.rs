use std::collections::BTreeSet;

use plugbay_config::nearest;
use plugbay_manifest::PluginId;
use plugbay_resolve::{Decision, Name, Offer, Reason};
use semver::{Version, VersionReq};

use crate::member::MemberName;
use crate::stack::{Clash, Stack, Wanted};

/// What a stack is held against: a decision under a policy that the stack was written into
/// ([`Stack::apply`]).
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The files that it is about.
    pub offers: &'a [Offer],
    /// What was decided on them.
    pub decision: &'a Decision,
    /// What was said against files besides: broken, wrongly configured, in quarantine.
    pub refused: &'a [Refused],
}

/// A file that does not run for another reason than the decision's.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Which plugin, in which version.
    pub name: Name,
    /// The stable code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub help: String,
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checked {
    /// What keeps the stack from being whole: by member, each with what it depends on, then by
    /// kind.
    pub findings: Vec<Finding>,
    /// What one should know besides: optional members that do not run, names that stand for
    /// another id, names that nobody has.
    pub notes: Vec<String>,
}

/// Something that keeps a stack from being whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {fault}")]
#[non_exhaustive]
pub struct Finding {
    /// The member, as the stack names it; a kind where it wants any of that.
    pub member: String,
    /// Who depends on it, where it is no member itself.
    pub needed_by: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No file has its id.
    #[error("there is no such plugin{}", meant(.nearest))]
    NoPlugin {
        /// An id that is spelled like it.
        nearest: Option<String>,
    },
    /// No plugin is of the kind that is wanted.
    #[error("there is no plugin of this kind{}", meant(.nearest))]
    NoKind {
        /// A kind that is spelled like it.
        nearest: Option<String>,
    },
    /// It is there in other versions only.
    #[error("no version {wants} is there, found {}", versions(.found))]
    NoVersion {
        /// Those that will do.
        wants: VersionReq,
        /// Those that are there.
        found: Vec<Version>,
    },
    /// It does not run beside another one that runs.
    #[error("{name}: {reason}")]
    Clash {
        /// The file that would do.
        name: Name,
        /// The shortest true reason.
        reason: Box<Reason>,
    },
    /// It is not what the stack takes it for.
    #[error("the stack takes it as {kind}, and {name} is {}", kinds(.found))]
    WrongKind {
        /// The file.
        name: Name,
        /// What it should be.
        kind: String,
        /// What it is.
        found: Vec<String>,
    },
    /// Its configuration does not fit its schema.
    #[error("{}: {}", .0.code, .0.reason)]
    Configuration(Box<Against>),
    /// It was disabled: by the host's configuration, by hand, or by this stack.
    #[error("it is disabled")]
    Disabled {
        /// Whether the stack itself says so.
        by_stack: bool,
        /// The plugin.
        id: PluginId,
    },
    /// A component that is no plugin in the folder.
    #[error("nobody knows this component{}", meant(.nearest))]
    NoComponent {
        /// An id that is spelled like it.
        nearest: Option<String>,
    },
    /// It does not run for another reason.
    #[error("{}: {}", .0.code, .0.reason)]
    NotRun(Box<Against>),
}

/// What was said against a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// The stable code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub help: String,
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|word| format!("; is `{word}` meant?")).unwrap_or_default()
}

fn versions(found: &[Version]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn kinds(found: &[String]) -> String {
    if found.is_empty() { "of no kind".into() } else { found.join(", ") }
}

impl Finding {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match &self.fault {
            Fault::NoPlugin { .. } => "PB1711",
            Fault::NoKind { .. } => "PB1712",
            Fault::NoVersion { .. } => "PB1713",
            Fault::Clash { .. } => "PB1714",
            Fault::WrongKind { .. } => "PB1715",
            Fault::Configuration(_) => "PB1716",
            Fault::Disabled { .. } => "PB1717",
            Fault::NoComponent { .. } => "PB1718",
            Fault::NotRun(_) => "PB1719",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        let member = &self.member;
        match &self.fault {
            Fault::NoPlugin { .. } | Fault::NoVersion { .. } if self.needed_by.is_some() => {
                let by = self.needed_by.as_deref().unwrap_or_default();
                format!("put it into a plugins folder, or take it out of what {by} depends on")
            }
            Fault::NoPlugin { .. } => {
                "put it into a plugins folder, or let it be optional = true".into()
            }
            Fault::NoKind { .. } => {
                format!("put a plugin of the kind {member} into a plugins folder, or correct it")
            }
            Fault::NoVersion { .. } => {
                "put such a version into a plugins folder, or widen the range in the stack".into()
            }
            Fault::Clash { name, reason } => reason.hint(name),
            Fault::WrongKind { .. } => {
                "correct the kind in the stack, or name a plugin that is of it".into()
            }
            Fault::Disabled { by_stack: true, .. } => {
                "take `enabled = false` out of the stack, or what depends on it".into()
            }
            Fault::Disabled { id, .. } => format!("let it run with: host-app enable {id}"),
            Fault::NoComponent { .. } => {
                "put the plugin into a plugins folder, correct the name, or take it out".into()
            }
            Fault::Configuration(against) | Fault::NotRun(against) => against.help.clone(),
        }
    }
}

impl Stack {
    /// Says what this stack misses in a decision. Pure.
    pub fn check(&self, facts: &Facts<'_>) -> Checked {
        let mut checked = Checked::default();
        let mut seen = BTreeSet::new();
        for wanted in self.required() {
            // What an optional member depends on that is not there is not wanted.
            if wanted.member.optional && wanted.by.is_some_and(|by| facts.taken(by).is_none()) {
                continue;
            }
            let Some(fault) = self.fault(&wanted, facts) else { continue };
            let member = wanted.name.to_string();
            let needed_by = wanted.by.map(ToString::to_string);
            // What a stack takes for something else is a mistake in it, also where it could
            // do without.
            let is_mistake = matches!(fault, Fault::WrongKind { .. } | Fault::Configuration(_));
            if wanted.member.optional && !is_mistake {
                let what = match needed_by {
                    None => "is optional".to_owned(),
                    Some(by) => format!("is what {by} depends on, which is optional"),
                };
                checked.notes.push(format!("{member} {what}, and does not run: {fault}"));
            } else if seen.insert((member.clone(), fault.to_string())) {
                checked.findings.push(Finding { member, needed_by, fault });
            }
        }
        for (kind, any_of) in &self.any_of {
            let Some(fault) = fault_of_kind(kind, facts) else { continue };
            if any_of.optional {
                checked.notes.push(format!("{kind} is optional, and none runs: {fault}"));
            } else {
                checked.findings.push(Finding { member: kind.clone(), needed_by: None, fault });
            }
        }
        self.notes(facts, &mut checked.notes);
        checked
    }

    fn fault(&self, wanted: &Wanted<'_>, facts: &Facts<'_>) -> Option<Fault> {
        let Some(id) = facts.taken(wanted.name) else {
            let nearest = facts.nearest_id(wanted.name.as_str());
            return Some(match wanted.member.component && wanted.by.is_none() {
                true => Fault::NoComponent { nearest },
                false => Fault::NoPlugin { nearest },
            });
        };
        let of_it = facts.offers.iter().filter(|offer| offer.manifest.id == id);
        let found: BTreeSet<_> = of_it.map(|offer| offer.manifest.version.clone()).collect();
        let run = facts.decision.run.iter().filter_map(|it| facts.offers.get(it.offer));
        let run: Vec<&Offer> = run.filter(|offer| offer.manifest.id == id).collect();
        if !run.is_empty() {
            // Of versions side by side, what is wrong with any of them.
            let of_it = facts.offers.iter().filter(|offer| offer.manifest.id == id);
            let mut faults = of_it.filter_map(|offer| facts.against(&offer.name()));
            let runs = run.iter().find_map(|offer| facts.against(&offer.name()));
            return runs.or_else(|| faults.find(|it| matches!(it, Fault::Configuration(_))));
        }
        let mut held: Vec<(&Offer, &Reason)> = facts
            .decision
            .held_back
            .iter()
            .filter_map(|held| Some((facts.offers.get(held.offer)?, &held.reason)))
            .filter(|(offer, _)| offer.manifest.id == id)
            .collect();
        held.sort_by(|(a, _), (b, _)| b.manifest.version.cmp(&a.manifest.version));
        let fits = |reason: &Reason| !matches!(reason, Reason::StackVersion { .. });
        let best = held.iter().find(|(_, reason)| fits(reason)).or(held.first());
        let Some((offer, reason)) = best else {
            // Nothing of it could be read as a plugin that fits this host.
            let broken = facts.refused.iter().find(|it| it.name.id == id);
            return broken.map(|it| Fault::NotRun(Box::new(it.against())));
        };
        let name = offer.name();
        Some(match reason {
            Reason::StackVersion { range, .. } => {
                Fault::NoVersion { wants: range.clone(), found: found.into_iter().collect() }
            }
            Reason::StackKind { kind, found, .. } => {
                Fault::WrongKind { name, kind: kind.clone(), found: found.some.clone() }
            }
            Reason::Conflict { .. } | Reason::Kind { .. } => {
                Fault::Clash { name, reason: Box::new((*reason).clone()) }
            }
            Reason::Disabled => {
                let off = |(name, member): (&MemberName, &crate::Member)| {
                    !member.enabled && name.ids().contains(&id)
                };
                Fault::Disabled { by_stack: self.members.iter().any(off), id }
            }
            other => facts.against(&name).unwrap_or_else(|| {
                Fault::NotRun(Box::new(Against {
                    code: other.code().to_owned(),
                    reason: other.to_string(),
                    help: other.hint(&name),
                }))
            }),
        })
    }

    fn notes(&self, facts: &Facts<'_>, notes: &mut Vec<String>) {
        for name in self.members.keys() {
            if let Some(id) = facts.taken(name).filter(|id| id.as_str() != name.as_str()) {
                notes.push(format!("{name} stands for the plugin {id}"));
            }
        }
        // What else a name would stand for, if it were a member of its own.
        for name in &self.spelled {
            let (Some(id), Some(member)) = (facts.taken(name), self.member_of(name)) else {
                continue;
            };
            let help = match facts.taken(&member) {
                Some(taken) if taken == id => continue,
                Some(_) => {
                    format!("if it shall run as well, `dependencies` of {member} may name it")
                }
                None => format!("if it is meant, call it {id} in every file"),
            };
            notes.push(format!(
                "{member} and {name} are one member, {member}, and the plugin {id} is another one; \
                 {help}"
            ));
        }
        let of_conflicts = self.conflicts.iter().flat_map(|Clash { one, other, .. }| [one, other]);
        let of_precedence = self.precedence.values().flatten();
        let named = of_conflicts.map(|name| ("conflicts", name));
        let named = named.chain(of_precedence.map(|name| ("precedence", name)));
        for (key, name) in named.collect::<BTreeSet<_>>() {
            if self.member_of(name).is_none() && facts.taken(name).is_none() {
                let members = self.members.keys().map(MemberName::as_str);
                let nearest = nearest(name.as_str(), members).map(ToOwned::to_owned);
                let nearest = nearest.or_else(|| facts.nearest_id(name.as_str()));
                notes.push(format!("`{key}` names {name}, which is not there{}", meant(&nearest)));
            }
        }
    }

    /// The member that a name may mean.
    fn member_of(&self, name: &MemberName) -> Option<MemberName> {
        name.alike().into_iter().find(|alike| self.members.contains_key(alike))
    }
}

/// Why no plugin of a kind runs that is wanted.
fn fault_of_kind(kind: &String, facts: &Facts<'_>) -> Option<Fault> {
    let is_of_it = |offer: &&Offer| offer.manifest.kinds.contains(kind);
    let mut run = facts.decision.run.iter().filter_map(|it| facts.offers.get(it.offer));
    if run.any(|offer| is_of_it(&offer) && facts.against(&offer.name()).is_none()) {
        return None;
    }
    let held = facts.decision.held_back.iter();
    let mut held = held.filter_map(|held| Some((facts.offers.get(held.offer)?, &held.reason)));
    let Some((offer, reason)) = held.find(|(offer, _)| is_of_it(offer)) else {
        let known = facts.offers.iter().flat_map(|offer| &offer.manifest.kinds);
        let nearest = nearest(kind, known.map(String::as_str)).map(ToOwned::to_owned);
        return Some(Fault::NoKind { nearest });
    };
    let name = offer.name();
    Some(match reason {
        Reason::Conflict { .. } | Reason::Kind { .. } => {
            Fault::Clash { name, reason: Box::new(reason.clone()) }
        }
        _ => Fault::NotRun(Box::new(Against {
            code: reason.code().to_owned(),
            reason: format!("{name}: {reason}"),
            help: reason.hint(&name),
        })),
    })
}

impl Facts<'_> {
    fn ids(&self) -> impl Iterator<Item = &PluginId> {
        let refused = self.refused.iter().map(|it| &it.name.id);
        self.offers.iter().map(|offer| &offer.manifest.id).chain(refused)
    }

    /// The plugin that a name stands for.
    fn taken(&self, name: &MemberName) -> Option<PluginId> {
        let is_offered = |id: &PluginId| self.offers.iter().any(|it| it.manifest.id == *id);
        let is_known = |id: &PluginId| self.ids().any(|other| other == id);
        let ids = name.ids();
        ids.iter().find(|id| is_offered(id)).or(ids.iter().find(|id| is_known(id))).cloned()
    }

    fn nearest_id(&self, name: &str) -> Option<String> {
        nearest(name, self.ids().map(PluginId::as_str)).map(ToOwned::to_owned)
    }

    /// What was said against a file besides the decision.
    fn against(&self, name: &Name) -> Option<Fault> {
        let refused = self.refused.iter().find(|it| it.name == *name)?;
        let against = Box::new(refused.against());
        let is_configuration = against.code.starts_with("PB15");
        Some(if is_configuration { Fault::Configuration(against) } else { Fault::NotRun(against) })
    }
}

impl Refused {
    fn against(&self) -> Against {
        let Self { code, reason, help, .. } = self.clone();
        Against { code, reason, help }
    }
}
