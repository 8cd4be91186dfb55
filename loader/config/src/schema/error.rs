use std::sync::Arc;

use super::owner::{BaseId, Origin, Owner};
use crate::shown::{listed, short};

/// Why a schema cannot be used. Always its author's to mend, and never caused by a
/// configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is no JSON Schema.
    #[error("{origin} is wrong at {}: {message}", at(.place))]
    Invalid {
        /// Which schema.
        origin: Arc<Origin>,
        /// Where in it, as a JSON Pointer.
        place: String,
        /// The keyword.
        rule: String,
        /// What is wrong.
        message: String,
    },
    /// It uses a keyword that is not read.
    #[error("{origin} uses `{keyword}` at {}: {why}", at(.place))]
    Unsupported {
        /// Which schema.
        origin: Arc<Origin>,
        /// Where in it, as a JSON Pointer.
        place: String,
        /// The keyword.
        keyword: String,
        /// What stands against it.
        why: &'static str,
    },
    /// A `$ref` leads nowhere, or out of the schemas.
    #[error("{origin} refers to `{}` at {}: {why}", short(.reference, 80), at(.place))]
    Reference {
        /// Which schema.
        origin: Arc<Origin>,
        /// Where in it, as a JSON Pointer.
        place: String,
        /// The reference.
        reference: String,
        /// What stands against it.
        why: String,
    },
    /// Checking by it could take without end.
    #[error("{origin} is too large or too entangled: {what}")]
    TooCostly {
        /// Which schema.
        origin: Arc<Origin>,
        /// Which limit it is over.
        what: String,
    },
    /// It has a rule that is looser than a base's.
    #[error("{origin} loosens {}: it has `{own_rule}`, and {base} has `{base_rule}`", named(.property))]
    Loosened {
        /// Which schema.
        origin: Arc<Origin>,
        /// The property, as people write it; empty for the configuration itself.
        property: String,
        /// The base.
        base: Arc<Origin>,
        /// The base's rule: keyword and value.
        base_rule: String,
        /// The own rule.
        own_rule: String,
    },
    /// It extends or refers to a base that nobody has.
    #[error("{origin} needs the base schema `{missing}`, and nobody has it{}", chain_of(.chain))]
    MissingBase {
        /// Which schema.
        origin: Arc<Origin>,
        /// The base that is not there.
        missing: String,
        /// The bases on the way to it, the nearest first.
        chain: Vec<BaseId>,
        /// All that there are.
        known: Vec<BaseId>,
    },
    /// Bases extend each other in a circle.
    #[error("{origin} extends bases that extend each other: {}", circle_of(.chain))]
    Circular {
        /// Which schema.
        origin: Arc<Origin>,
        /// The circle; the first is the last again.
        chain: Vec<BaseId>,
    },
    /// Two owners have a base of one id.
    #[error("the base schema `{id}` is there twice: of {owner} and of {other}")]
    Taken {
        /// The id.
        id: BaseId,
        /// Who had it first.
        owner: Owner,
        /// Who has it, too.
        other: Owner,
    },
    /// A default does not fit what holds for its place.
    #[error("{origin} has a default for {} that does not fit: {problem}", named(.property))]
    Default {
        /// Which schema.
        origin: Arc<Origin>,
        /// The property, as people write it; empty for the configuration itself.
        property: String,
        /// What does not fit.
        problem: String,
    },
    /// A secret is declared in a way that would give it away.
    #[error("{origin} has a secret at {} that cannot be one: {why}", at(.place))]
    Secret {
        /// Which schema.
        origin: Arc<Origin>,
        /// Where in it.
        place: String,
        /// What stands against it.
        why: &'static str,
    },
}

impl SchemaError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "PB1510",
            Self::Unsupported { .. } => "PB1511",
            Self::Reference { .. } => "PB1512",
            Self::TooCostly { .. } => "PB1513",
            Self::Loosened { .. } => "PB1514",
            Self::MissingBase { .. } => "PB1515",
            Self::Circular { .. } => "PB1516",
            Self::Taken { .. } => "PB1517",
            Self::Default { .. } => "PB1518",
            Self::Secret { .. } => "PB1519",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid { rule, .. }
                if matches!(rule.as_str(), "pattern" | "patternProperties") =>
            {
                "write a pattern without look-around and back references, and a smaller one if it \
                 is large"
                    .into()
            }
            Self::Invalid { .. } => "correct it there, by JSON Schema 2020-12".into(),
            Self::Unsupported { keyword, .. } => format!("write it without `{keyword}`"),
            Self::Reference { .. } => {
                "refer to `#/…` in the same schema, or to a base schema by its id".into()
            }
            Self::TooCostly { .. } => "make it smaller, or let it refer to itself less".into(),
            Self::Loosened { .. } => {
                "write a rule that is as strict, or none: the base's holds anyway".into()
            }
            Self::MissingBase { known, .. } if known.is_empty() => {
                "add the plugin that has it, or extend none".into()
            }
            Self::MissingBase { known, .. } => {
                let known = listed(known.iter().map(BaseId::as_str));
                format!("correct the id, or add the plugin that has it; there are: {known}")
            }
            Self::Circular { .. } => "let one of them extend the others no more".into(),
            Self::Taken { .. } => "give one of them another id, with its owner's name first".into(),
            Self::Default { .. } => "give a default that fits, or none".into(),
            Self::Secret { .. } => "declare a text, a number or a truth value, and as default at \
                                    most where it comes from: {\"env\": \"NAME\"}"
                .into(),
        }
    }

    /// Whose schema has to be mended; of two of one id, the later one's.
    pub fn owner(&self) -> &Owner {
        match self {
            Self::Taken { other, .. } => other,
            Self::Invalid { origin, .. }
            | Self::Unsupported { origin, .. }
            | Self::Reference { origin, .. }
            | Self::TooCostly { origin, .. }
            | Self::Loosened { origin, .. }
            | Self::MissingBase { origin, .. }
            | Self::Circular { origin, .. }
            | Self::Default { origin, .. }
            | Self::Secret { origin, .. } => &origin.owner,
        }
    }
}

fn named(property: &str) -> String {
    if property.is_empty() { "the configuration itself".into() } else { format!("`{property}`") }
}

fn at(place: &str) -> String {
    if place.is_empty() { "its top".into() } else { short(place, 200) }
}

fn chain_of(chain: &[BaseId]) -> String {
    if chain.is_empty() {
        return String::new();
    }
    format!(
        " (needed by {})",
        chain.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", for ")
    )
}

fn circle_of(chain: &[BaseId]) -> String {
    chain.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" → ")
}
