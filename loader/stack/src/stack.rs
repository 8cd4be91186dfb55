use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use plugbay_resolve::{Exclusion, KindRule, Members, Policy, Profile};
use serde_json::{Map, Value};

use crate::member::{AnyOf, Member, MemberName};
use crate::overlay::lay_over;

/// What a host runs for one purpose: a stack file with all that it extends, read by
/// [`Stack::read`]. Two are equal where they say the same, in whatever spelling and files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stack {
    /// What it is called. Reasons name it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The plugins that it names, also those that it says do not run.
    pub members: BTreeMap<MemberName, Member>,
    /// The kinds of which it wants a plugin, whichever.
    pub any_of: BTreeMap<String, AnyOf>,
    /// Who does not run beside whom.
    pub conflicts: BTreeSet<Clash>,
    /// Per kind, who goes before whom.
    pub precedence: BTreeMap<String, Vec<MemberName>>,
    /// A ready-made set of kinds.
    pub profile: Option<Profile>,
    /// How many plugins of a kind run, over those of the profile.
    pub kinds: BTreeMap<String, KindRule>,
    /// Names that a member by another name stands for.
    pub(crate) spelled: BTreeSet<MemberName>,
    pub(crate) files: Vec<PathBuf>,
}

/// Two that do not run beside each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Clash {
    /// The one whose name comes first.
    pub one: MemberName,
    /// The other.
    pub other: MemberName,
    /// The stack that says so: this one, or one that it extends.
    pub stack: String,
}

impl Clash {
    pub(crate) fn new(one: &MemberName, other: &MemberName, stack: &str) -> Self {
        let (one, other) = if one <= other { (one, other) } else { (other, one) };
        Self { one: one.clone(), other: other.clone(), stack: stack.to_owned() }
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Self) -> bool {
        let said = |it: &Self| {
            let Self { name, description, members, any_of, .. } = it.clone();
            let Self { conflicts, precedence, profile, kinds, .. } = it.clone();
            (name, description, members, any_of, conflicts, precedence, profile, kinds)
        };
        said(self) == said(other)
    }
}

impl Stack {
    /// The files that it was read from, those that it extends first, itself last.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// Writes it over a host's policy: only its members run, and what they need, in its
    /// versions and of its kinds; its rules for kinds and its precedence go over the host's,
    /// kind by kind; its conflicts are added to the host's, and what it says does not run to
    /// what the host has disabled. What the host has disabled stays so.
    ///
    /// A name that may mean two plugins, as `mlflow-plugin`, stands for the first that is
    /// there whenever it is decided.
    pub fn apply(&self, policy: &mut Policy) {
        if let Some(profile) = self.profile {
            policy.kinds.extend(profile.kinds());
        }
        policy.kinds.extend(self.kinds.clone());
        let ids = |names: &[MemberName]| names.iter().flat_map(MemberName::ids).collect();
        let precedence = self.precedence.iter();
        policy.precedence.extend(precedence.map(|(kind, names)| (kind.clone(), ids(names))));
        let off = self.members.iter().filter(|(_, member)| !member.enabled);
        policy.disabled.extend(off.flat_map(|(name, _)| name.ids()));
        for Clash { one, other, stack } in &self.conflicts {
            for one in one.ids() {
                for other in other.ids().into_iter().filter(|other| *other != one) {
                    let by = format!("the stack {stack}");
                    policy.conflicts.push(Exclusion { one: one.clone(), other, by });
                }
            }
        }
        policy.members = Some(Members {
            stack: self.name.clone(),
            plugins: self.required().map(|wanted| wanted.rule()).collect(),
            kinds: self.any_of.keys().cloned().collect(),
        });
    }

    /// Lays its configurations over a host's, by plugin (`sql`), also over those for single
    /// versions (`sql@^1`). Tables are laid over each other key by key.
    pub fn configure(&self, configurations: &mut BTreeMap<String, Value>) {
        let given = self.members.iter().filter(|(_, member)| !member.config.0.is_empty());
        for (name, member) in given {
            for id in name.ids() {
                let nothing = || Value::Object(Map::new());
                configurations.entry(id.to_string()).or_insert_with(nothing);
                let is_its = |key: &str| key.split('@').next() == Some(id.as_str());
                for (_, below) in configurations.iter_mut().filter(|(key, _)| is_its(key)) {
                    match below {
                        Value::Object(below) => lay_over(below, &member.config.0),
                        other => *other = Value::Object(member.config.0.clone()),
                    }
                }
            }
        }
    }

    /// All that is to run, with what members depend on, each with who wants it.
    pub(crate) fn required(&self) -> impl Iterator<Item = Wanted<'_>> {
        let enabled = self.members.iter().filter(|(_, member)| member.enabled);
        enabled.flat_map(|(name, member)| {
            let own = Wanted { name, version: &member.version, member, by: None };
            let dependencies = member.dependencies.iter().map(move |dependency| Wanted {
                name: &dependency.name,
                version: &dependency.version,
                member,
                by: Some(name),
            });
            std::iter::once(own).chain(dependencies)
        })
    }
}

/// One plugin that is to run.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a MemberName,
    pub(crate) version: &'a semver::VersionReq,
    /// The member that it is, or that depends on it.
    pub(crate) member: &'a Member,
    /// Who depends on it; none where it is a member itself.
    pub(crate) by: Option<&'a MemberName>,
}

impl Wanted<'_> {
    fn rule(self) -> plugbay_resolve::Member {
        plugbay_resolve::Member {
            ids: self.name.ids(),
            version: self.version.clone(),
            kind: self.kind().cloned(),
            only_with: self.by.map(MemberName::ids).unwrap_or_default(),
        }
    }

    /// What it has to be.
    pub(crate) fn kind(&self) -> Option<&String> {
        self.member.kind.as_ref().filter(|_| self.by.is_none())
    }
}
