use std::collections::{HashMap, HashSet};
use std::fmt;

use plugbay_manifest::{Integration, PluginId};

use crate::effort::Effort;
use crate::goals::{Question, Wanted};
use crate::offer::{Name, Offer};
use crate::policy::Policy;
use crate::reason::wanted;
use crate::running::Running;
use crate::spelling::Spelling;

/// Something about one that runs that one should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// It was made to work with something that does not run.
    Integration {
        /// The one that runs.
        plugin: Name,
        /// The plugin, the kind, or both.
        with: String,
        /// A kind that is spelled like it, where nobody knows the kind.
        meant: Option<String>,
    },
    /// It runs without something that it could use, which is there in another version.
    Without {
        /// The one that runs.
        plugin: Name,
        /// What it could use.
        wants: String,
        /// What runs.
        found: Name,
    },
    /// Its author wants it to be replaced.
    Deprecated {
        /// The one that runs.
        plugin: Name,
        /// What its author says.
        note: String,
    },
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integration { plugin, with, meant } => {
                let which =
                    if with.contains(' ') { "of which nothing runs" } else { "which does not run" };
                write!(f, "{plugin} works with {with}, {which}")?;
                match meant {
                    Some(meant) => write!(f, "; is `{meant}` meant?"),
                    None => Ok(()),
                }
            }
            Self::Without { plugin, wants, found } => {
                write!(f, "{plugin} could use {wants}, and does without: {found} runs")
            }
            Self::Deprecated { plugin, note } => {
                write!(f, "{plugin} is deprecated: {}", note.escape_debug())
            }
        }
    }
}

/// Steps of the policy's effort that a byte of advice is counted as.
const STEPS_A_BYTE: u64 = 4;

/// All of it, by file.
pub(crate) fn advice(
    offers: &[Offer],
    question: &Question,
    running: &Running,
    chosen: &[usize],
    policy: &Policy,
) -> Vec<Advice> {
    let mut advice = Vec::new();
    let text = Effort::new(policy.effort / STEPS_A_BYTE);
    let there = There::of(offers, chosen);
    let mut spelling = Spelling::new(question.index.kinds().chain(policy.kinds.keys()));
    for file in chosen {
        let manifest = &offers[*file].manifest;
        let plugin = || offers[*file].name();
        let length = |file: &usize| offers[*file].length_of_name();
        if let Some(note) = &manifest.deprecated {
            advice.push(Advice::Deprecated { plugin: plugin(), note: note.clone() });
        }
        for wish in question.soft_of(*file) {
            let Wanted::Dependency(number) = wish.what else { continue };
            let dependency = &manifest.dependencies[number];
            let met = running.doing(wish).next().is_some();
            let other = there.of_id.get(&dependency.id).filter(|it| !met && *it != file);
            if let Some(other) = other
                && text.spend(length(file) + length(other)).is_some()
            {
                advice.push(Advice::Without {
                    plugin: plugin(),
                    wants: wanted(&dependency.id, &dependency.version),
                    found: offers[*other].name(),
                });
            }
        }
        for Integration { plugin: other, kind, .. } in &manifest.integrates {
            if there.has(&manifest.id, other.as_ref(), kind.as_deref()) {
                continue;
            }
            let (with, meant) = match (other, kind) {
                (Some(id), _) => (id.to_string(), None),
                (None, kind) => {
                    let kind = kind.as_deref().unwrap_or_default();
                    let is_known =
                        !question.index.of_kind(kind).is_empty() || policy.kinds.contains_key(kind);
                    let meant = if is_known { None } else { spelling.nearest(kind).cloned() };
                    (format!("the kind {kind}"), meant)
                }
            };
            if text.spend(length(file) + with.len()).is_some() {
                advice.push(Advice::Integration { plugin: plugin(), with, meant });
            }
        }
    }
    advice
}

/// What runs, by what others may work with.
struct There<'a> {
    /// The first file of a plugin.
    of_id: HashMap<&'a PluginId, usize>,
    of_id_and_kind: HashSet<(&'a PluginId, &'a str)>,
    /// The first plugin of a kind, and whether there is another one.
    of_kind: HashMap<&'a str, (&'a PluginId, bool)>,
}

impl<'a> There<'a> {
    fn of(offers: &'a [Offer], chosen: &[usize]) -> Self {
        let mut this =
            Self { of_id: HashMap::new(), of_id_and_kind: HashSet::new(), of_kind: HashMap::new() };
        for file in chosen {
            let manifest = &offers[*file].manifest;
            this.of_id.entry(&manifest.id).or_insert(*file);
            for kind in &manifest.kinds {
                this.of_id_and_kind.insert((&manifest.id, kind));
                let of_kind = this.of_kind.entry(kind).or_insert((&manifest.id, false));
                of_kind.1 |= *of_kind.0 != manifest.id;
            }
        }
        this
    }

    /// Whether there is another plugin than this one that is it.
    fn has(&self, own: &PluginId, plugin: Option<&PluginId>, kind: Option<&str>) -> bool {
        match (plugin, kind) {
            (Some(id), _) if id == own => false,
            (Some(id), Some(kind)) => self.of_id_and_kind.contains(&(id, kind)),
            (Some(id), None) => self.of_id.contains_key(id),
            (None, Some(kind)) => {
                self.of_kind.get(kind).is_some_and(|(first, more)| *more || *first != own)
            }
            (None, None) => self.of_id.keys().any(|id| *id != own),
        }
    }
}
