//! Files over each other, the farthest first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use plugbay_resolve::{KindRule, Profile};
use semver::VersionReq;

use crate::member::{AnyOf, Member, MemberName};
use crate::stack::{Clash, Stack};
use crate::written::{Apart, Component, Entry, File, Plugins};

/// What the files say that were laid over each other until now.
#[derive(Default)]
pub(crate) struct Layers {
    name: String,
    description: Option<String>,
    plugins: BTreeMap<MemberName, Entry>,
    any_of: BTreeMap<String, Entry>,
    conflicts: BTreeSet<Clash>,
    precedence: BTreeMap<String, Vec<MemberName>>,
    profile: Option<Profile>,
    kinds: BTreeMap<String, KindRule>,
    /// Names of members that a member by another name stands for.
    spelled: BTreeSet<MemberName>,
    files: Vec<PathBuf>,
}

impl Layers {
    /// Lays a file over them. `name` is what it is called where it does not say.
    pub(crate) fn lay(&mut self, file: File, name: String, path: PathBuf) {
        let File { description, plugins, components, conflicts, kinds, profile, .. } = file;
        let name = file.name.or(file.composition_name).map_or(name, String::from);
        let components = components.into_iter().map(|Component(entry)| entry);
        let Plugins(plugins) = plugins;
        // What stands in both is a plugin.
        for entry in components.chain(plugins.into_iter().map(|(_, entry)| entry)) {
            self.entry(entry);
        }
        for Apart(names) in conflicts {
            for (at, one) in names.iter().enumerate() {
                let others = names.iter().skip(at + 1);
                self.conflicts.extend(others.map(|other| Clash::new(one, other, &name)));
            }
        }
        self.precedence.extend(file.precedence);
        self.precedence.extend(file.plugin_precedence);
        self.kinds.extend(kinds);
        self.profile = profile.or(self.profile);
        (self.name, self.description) = (name, description);
        self.files.push(path);
    }

    fn entry(&mut self, entry: Entry) {
        let far = match (&entry.name, &entry.kind) {
            (Some(name), _) => self.member(name),
            (None, Some(kind)) => self.any_of.entry(kind.clone()).or_default(),
            (None, None) => return,
        };
        far.lay(entry);
    }

    /// What is said until now of the plugin that a name may mean, by whatever name: under the
    /// one that they have in common.
    fn member(&mut self, name: &MemberName) -> &mut Entry {
        let (mut called, mut said) = (name.clone(), component());
        let mut names = BTreeSet::from([name.clone()]);
        // Several only where they have nothing in common with each other, as
        // `a-plugin-plugin` and `a`.
        for other in name.alike() {
            let Some(far) = self.plugins.remove(&other) else { continue };
            called = called.in_common(&other).unwrap_or(called);
            names.insert(other);
            said.lay(far);
        }
        self.spelled.extend(names.into_iter().filter(|other| *other != called));
        self.plugins.entry(called).or_insert(said)
    }

    pub(crate) fn into_stack(self) -> Stack {
        let is_wanted = |entry: &Entry| entry.enabled.unwrap_or(true);
        let any_of = self.any_of.into_iter().filter(|(_, entry)| is_wanted(entry));
        Stack {
            name: self.name,
            description: self.description,
            members: self.plugins.into_iter().map(|(name, entry)| (name, member(entry))).collect(),
            any_of: any_of
                .map(|(kind, entry)| (kind, AnyOf { optional: entry.optional.unwrap_or(false) }))
                .collect(),
            conflicts: self.conflicts,
            precedence: self.precedence,
            profile: self.profile,
            kinds: self.kinds,
            spelled: self.spelled,
            files: self.files,
        }
    }
}

/// Of which nothing is said yet: a component, until somebody calls it a plugin.
fn component() -> Entry {
    Entry { component: true, ..Entry::default() }
}

fn member(entry: Entry) -> Member {
    Member {
        version: entry.version.unwrap_or(VersionReq::STAR),
        kind: entry.kind,
        optional: entry.optional.unwrap_or(false),
        enabled: entry.enabled.unwrap_or(true),
        config: entry.config.unwrap_or_default(),
        dependencies: entry.dependencies.unwrap_or_default(),
        component: entry.component,
    }
}
