//! What serde finds wrong with a document, in words for people.

use std::fmt::{self, Display};
use std::ops::Range;

use serde::de::{Error, Expected, Unexpected};

use super::tree::{Content, Entry, Node, TEXT};
use crate::key_path::{KeyPath, Step};
use crate::nearest::nearest;
use crate::shown::{listed, short};

/// A document that is no such model: where and why.
#[derive(Debug)]
pub(super) struct Refused {
    why: Box<Why>,
    span: Option<Range<usize>>,
    found: Option<&'static str>,
    /// The number, where it is one.
    number: Option<String>,
    /// The innermost step first.
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Why {
    Unknown {
        key: String,
        known: &'static [&'static str],
    },
    Missing {
        key: String,
    },
    Duplicate {
        key: String,
    },
    /// Another type, or a value that does not fit.
    Expected {
        expected: String,
    },
    Variant {
        found: String,
        known: &'static [&'static str],
    },
    /// In the model's own words, which may quote the value.
    Own {
        message: String,
    },
}

impl Refused {
    fn new(why: Why) -> Self {
        Self { why: Box::new(why), span: None, found: None, number: None, steps: Vec::new() }
    }

    /// Found at this value, unless further inside.
    pub(super) fn at(mut self, node: &Node) -> Self {
        if self.span.is_none() {
            self.span = Some(node.span.clone());
            self.found = Some(node.kind());
            if let Content::Number(number) = &node.content {
                self.number = Some(number.to_string());
            }
        }
        self
    }

    /// Found at this key.
    pub(super) fn at_key(mut self, entry: &Entry) -> Self {
        if self.span.is_none() {
            self.span = Some(entry.key_span.clone());
            self.found = Some("a key");
            self.steps.push(Step::Key(entry.key.clone()));
        }
        self
    }

    /// Found inside of what this step leads to.
    pub(super) fn inside(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone().unwrap_or(0..0)
    }

    pub(super) fn path(&self) -> KeyPath {
        KeyPath::from(self.steps.iter().rev().cloned().collect::<Vec<_>>())
    }

    /// Whether something is missing inside of the place.
    pub(super) fn is_missing(&self) -> bool {
        matches!(*self.why, Why::Missing { .. })
    }

    /// Whether a text or a number stands where a table belongs. What it is then nobody knows:
    /// perhaps what somebody else's table should have, and a level between was left out.
    pub(super) fn is_misplaced(&self) -> bool {
        let is_one_value = self.number.is_some() || self.found == Some(TEXT);
        matches!(&*self.why, Why::Expected { expected } if expected == TABLE && is_one_value)
    }

    /// The word that was meant, as far as it can be told.
    pub(super) fn suggestion(&self) -> Option<&'static str> {
        match &*self.why {
            Why::Unknown { key, known } => nearest(key, known.iter().copied()),
            Why::Variant { found, known } => nearest(found, known.iter().copied()),
            _ => None,
        }
    }

    /// Without anything of the value, where it is a secret.
    pub(super) fn redacted_message(&self) -> String {
        match &*self.why {
            Why::Own { .. } => "this value is refused".into(),
            Why::Variant { known, .. } => format!("expected {}", one_of(known)),
            Why::Expected { expected } => match self.found {
                Some(found) => format!("expected {expected}, found {found}"),
                None => format!("expected {expected}"),
            },
            _ => self.message(),
        }
    }

    pub(super) fn message(&self) -> String {
        let meant = || match self.suggestion() {
            Some(word) => format!("; did you mean `{word}`?"),
            None => String::new(),
        };
        match &*self.why {
            Why::Unknown { key, .. } => {
                format!("there is no key `{}` here{}", short(key, 60), meant())
            }
            Why::Missing { key } => format!("the key `{}` is missing here", short(key, 60)),
            Why::Duplicate { key } => {
                format!("the key `{}` is there twice, perhaps by two names", short(key, 60))
            }
            Why::Expected { expected } => match (&self.number, self.found) {
                (Some(number), _) => format!("expected {expected}, found {number}"),
                (None, Some(found)) => format!("expected {expected}, found {found}"),
                (None, None) => format!("expected {expected}"),
            },
            Why::Variant { found, known } => {
                format!("expected {}, found `{}`{}", one_of(known), short(found, 60), meant())
            }
            Why::Own { message } => short(message, 400),
        }
    }

    pub(super) fn hint(&self) -> String {
        match &*self.why {
            Why::Unknown { known: [], .. } => "take it out: nothing is configured here".into(),
            Why::Unknown { known, .. } => {
                format!("correct it, or take it out; known here: {}", listed(known.iter().copied()))
            }
            Why::Missing { key } => format!("give `{}` a value", short(key, 60)),
            Why::Duplicate { .. } => "take one of the two out".into(),
            Why::Expected { expected } if expected == TRUTH => {
                "write true or false, without quotes; `yes`, `no`, `on` and `off` are texts".into()
            }
            Why::Expected { .. } => match self.found {
                Some(TEXT) => "write a value of that kind; only texts stand in quotes".into(),
                _ => "write a value of that kind".into(),
            },
            Why::Variant { .. } => "write one of these words".into(),
            Why::Own { .. } => "correct the value".into(),
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => "no word at all".into(),
        [only] => format!("`{only}`"),
        _ => format!("one of {}", listed(words.iter().copied())),
    }
}

const TRUTH: &str = "`true` or `false`";
const TABLE: &str = "a table";

/// What a model expects, in the words that this page and the messages use.
fn plainly(expected: &str) -> String {
    let range = |least: &str, most: &str| format!("a whole number from {least} to {most}");
    match expected {
        "a boolean" => TRUTH.into(),
        "a string" | "str" | "a borrowed string" => TEXT.into(),
        "a character" => "a single character".into(),
        "a map" => TABLE.into(),
        "a sequence" => "a list".into(),
        "unit" => "null".into(),
        "u8" => range("0", "255"),
        "u16" => range("0", "65,535"),
        "u32" => range("0", "4,294,967,295"),
        "u64" | "usize" | "u128" => "a whole number, not below 0".into(),
        "i8" => range("-128", "127"),
        "i16" => range("-32,768", "32,767"),
        "i32" => range("-2,147,483,648", "2,147,483,647"),
        "i64" | "isize" | "i128" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        _ if expected.starts_with("a nonzero ") => "a whole number, not 0".into(),
        _ if expected.starts_with("struct ") => TABLE.into(),
        _ if expected.starts_with("tuple ") || expected.starts_with("an array of ") => {
            "a list of the right length".into()
        }
        other => short(other, 200),
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Why::Own { message: message.to_string() })
    }

    // The value found is in none of these messages: its line is shown.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Why::Expected { expected: plainly(&expected.to_string()) })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Why::Expected { expected: plainly(&expected.to_string()) })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = plainly(&expected.to_string());
        Self::new(Why::Own { message: format!("expected {expected}, found {length} entries") })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(Why::Variant { found: variant.to_owned(), known })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Why::Unknown { key: field.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Why::Missing { key: field.to_owned() })
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Why::Duplicate { key: field.to_owned() })
    }
}
