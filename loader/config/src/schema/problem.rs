use std::fmt;

use super::owner::Origin;
use super::secret::Unavailable;
use crate::document::{Document, Wrong};
use crate::key_path::KeyPath;
use crate::shown::short;

/// What is wrong with a configuration. Never has the value of a secret in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A value breaks a rule of the schema.
    #[error("{}", rule_broken(.path, .expected, .found))]
    Rule {
        /// Where.
        path: KeyPath,
        /// The keyword of JSON Schema.
        rule: String,
        /// What it asks for, in words.
        expected: String,
        /// What is there, in words; empty where that says nothing.
        found: String,
        /// Whether nobody should see what is there.
        hidden: bool,
    },
    /// A key that the schema has not.
    #[error("there is no key `{path}`{}", meant(.suggestion))]
    Unknown {
        /// Where.
        path: KeyPath,
        /// The keyword of JSON Schema.
        rule: String,
        /// The declared key that is nearest.
        suggestion: Option<String>,
    },
    /// A key that must be there is not.
    #[error("`{path}` is missing")]
    Missing {
        /// Where it should be.
        path: KeyPath,
    },
    /// A secret stands in the file for everybody to read.
    #[error("`{path}` is a secret, and stands here for everybody to read")]
    PlainSecret {
        /// Where.
        path: KeyPath,
    },
    /// What should say where a secret comes from does not.
    #[error("`{path}` does not say where the secret comes from: {why}")]
    SecretReference {
        /// Where.
        path: KeyPath,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A secret cannot be had.
    #[error("the secret `{path}` cannot be had from {from}: {why}")]
    SecretUnavailable {
        /// Where.
        path: KeyPath,
        /// The variable or the file.
        from: String,
        /// What stands against it.
        why: Unavailable,
    },
    /// Checking would take without end.
    #[error("the configuration is too large, too deep or too entangled to be checked")]
    TooMuch,
}

impl Problem {
    /// Where; the whole configuration where it is about that.
    pub fn path(&self) -> KeyPath {
        match self {
            Self::Rule { path, .. }
            | Self::Unknown { path, .. }
            | Self::Missing { path }
            | Self::PlainSecret { path }
            | Self::SecretReference { path, .. }
            | Self::SecretUnavailable { path, .. } => path.clone(),
            Self::TooMuch => KeyPath::default(),
        }
    }

    /// The keyword of JSON Schema that is broken; `secret` for what is about secrets.
    pub fn rule(&self) -> &str {
        match self {
            Self::Rule { rule, .. } | Self::Unknown { rule, .. } => rule,
            Self::Missing { .. } => "required",
            Self::TooMuch => "",
            _ => "secret",
        }
    }

    /// What the rule asks for, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Rule { expected, .. } => expected.clone(),
            Self::Unknown { .. } => "no keys but those declared".into(),
            Self::Missing { .. } => "a value".into(),
            Self::TooMuch => "less".into(),
            _ => "where the secret comes from".into(),
        }
    }

    /// What is there, in words; `***` for a secret, and nothing where that says nothing.
    pub fn found(&self) -> &str {
        match self {
            Self::Rule { found, .. } => found,
            Self::Missing { .. } => "nothing",
            Self::PlainSecret { .. } => "***",
            _ => "",
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rule { .. } | Self::Unknown { .. } | Self::Missing { .. } => "PB1501",
            Self::PlainSecret { .. } => "PB1502",
            Self::SecretReference { .. } => "PB1503",
            Self::SecretUnavailable { .. } => "PB1504",
            Self::TooMuch => "PB1505",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        const HOW: &str = "where it comes from: { env = \"NAME\" } or { file = \"path\" }";
        match self {
            Self::Rule { expected, .. } => format!("write {expected}"),
            Self::Unknown { suggestion: Some(key), .. } => {
                format!("write `{}`, or take it out", short(key, 60))
            }
            Self::Unknown { suggestion: None, .. } => "take it out".into(),
            Self::Missing { .. } => "give it a value".into(),
            Self::PlainSecret { .. } => format!(
                "write {HOW}; and take what stood here for known: change it where it is used"
            ),
            Self::SecretReference { .. } => format!("write {HOW}"),
            Self::SecretUnavailable { why: Unavailable::NotSet, .. } => {
                "set it for the process of the host, or name another one".into()
            }
            Self::SecretUnavailable { .. } => {
                "see whether the path is right, from the config file's folder, and who may read \
                 it: ls -l"
                    .into()
            }
            Self::TooMuch => "write less, and flatter".into(),
        }
    }

    /// Whether the line in the file may have something on it that nobody should see.
    fn is_hidden(&self) -> bool {
        match self {
            Self::Rule { hidden, .. } => *hidden,
            // The name of a secret, mistyped, is no key that is known to be one.
            Self::Unknown { .. } | Self::PlainSecret { .. } | Self::SecretReference { .. } => true,
            _ => false,
        }
    }
}

fn rule_broken(path: &KeyPath, expected: &str, found: &str) -> String {
    let what = broken(expected, found);
    if path.is_top() { what } else { format!("`{path}`: {what}") }
}

fn broken(expected: &str, found: &str) -> String {
    match found {
        "" => format!("expected {expected}"),
        found => format!("expected {expected}, found {found}"),
    }
}

fn meant(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(key) => format!("; did you mean `{}`?", short(key, 60)),
        None => String::new(),
    }
}

/// A configuration that does not fit its schema: all that is wrong with it.
#[derive(Debug)]
pub struct Unsettled {
    pub(super) origin: Origin,
    pub(super) problems: Vec<Problem>,
    /// More than are told.
    pub(super) more: bool,
    /// Where secrets stand in plain.
    pub(super) plain: Vec<KeyPath>,
}

impl Unsettled {
    /// Whose schema it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// All problems, by their places; the first hundred where there are more. Not
    /// empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether there are more than [`Unsettled::problems`] tells.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The stable code: the first problem's.
    pub fn code(&self) -> &'static str {
        self.problems.first().map_or("PB1501", Problem::code)
    }

    /// What to do about it, in a sentence: about the first problem.
    pub fn hint(&self) -> String {
        self.problems.first().map(Problem::hint).unwrap_or_default()
    }

    /// The problems with their lines, where the configuration is the value at
    /// `pointer` of a document. No line that has a secret on it is shown.
    pub fn point_out<T>(&self, document: &mut Document<T>, pointer: &str) -> Vec<Wrong> {
        for path in &self.plain {
            document.hide(&format!("{pointer}{}", path.pointer()));
        }
        let point_out = |problem: &Problem| {
            let place = format!("{pointer}{}", problem.path().pointer());
            // The way to the place stands above the line already, and whole.
            let (message, hint) = match problem {
                Problem::Rule { expected, found, .. } => (broken(expected, found), problem.hint()),
                _ => (problem.to_string(), problem.hint()),
            };
            let wrong = match problem {
                Problem::Unknown { .. } => document.point_out_key(&place, message, hint),
                _ => document.point_out(&place, message, hint),
            };
            if problem.is_hidden() { wrong.redacted() } else { wrong }
        };
        self.problems.iter().map(point_out).collect()
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the configuration does not fit {}", self.origin)?;
        if let [only] = self.problems.as_slice() {
            return write!(f, ": {only}");
        }
        write!(f, ": {}{count} problems", if self.more { "more than " } else { "" })?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unsettled {}
