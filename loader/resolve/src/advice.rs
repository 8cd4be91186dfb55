use std::fmt;

use plugbay_manifest::{Integration, Manifest, takes};

use crate::goals::Question;
use crate::offer::{Name, Offer};
use crate::policy::Policy;
use crate::reason::wanted;

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

/// All of it, by file.
pub(crate) fn advice(
    offers: &[Offer],
    question: &Question,
    chosen: &[usize],
    policy: &Policy,
) -> Vec<Advice> {
    let mut advice = Vec::new();
    let runs = |test: &dyn Fn(&Manifest) -> bool| {
        chosen.iter().map(|file| &offers[*file]).find(|offer| test(&offer.manifest))
    };
    for file in chosen {
        let (plugin, manifest) = (offers[*file].name(), &offers[*file].manifest);
        if let Some(note) = &manifest.deprecated {
            advice.push(Advice::Deprecated { plugin: plugin.clone(), note: note.clone() });
        }
        for dependency in manifest.dependencies.iter().filter(|it| it.optional) {
            let takes = |it: &Manifest| takes(&dependency.version, &it.version);
            let of_it = runs(&|it| it.id == dependency.id && takes(it));
            let other = runs(&|it| it.id == dependency.id);
            if let (None, Some(other)) = (of_it, other) {
                advice.push(Advice::Without {
                    plugin: plugin.clone(),
                    wants: wanted(&dependency.id, &dependency.version),
                    found: other.name(),
                });
            }
        }
        for Integration { plugin: other, kind, .. } in &manifest.integrates {
            let is = |it: &Manifest| {
                it.id != manifest.id
                    && other.as_ref().is_none_or(|id| it.id == *id)
                    && kind.as_ref().is_none_or(|kind| it.kinds.contains(kind))
            };
            if runs(&is).is_some() {
                continue;
            }
            let (with, meant) = match (other, kind) {
                (Some(id), _) => (id.to_string(), None),
                (None, kind) => {
                    let kind = kind.clone().unwrap_or_default();
                    let known = question.index.kinds().chain(policy.kinds.keys());
                    let is_known = known.clone().any(|it| *it == kind);
                    let meant = nearest(&kind, known).filter(|_| !is_known).cloned();
                    (format!("the kind {kind}"), meant)
                }
            };
            advice.push(Advice::Integration { plugin: plugin.clone(), with, meant });
        }
    }
    advice
}

/// The word that is spelled most like one, if any is.
pub(crate) fn nearest<'a>(
    word: &str,
    known: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    let alike = known.map(|it| (strsim::normalized_damerau_levenshtein(word, it), it));
    let best = alike.max_by(|(a, one), (b, two)| a.total_cmp(b).then_with(|| two.cmp(one)))?;
    (best.0 > 0.7).then_some(best.1)
}
