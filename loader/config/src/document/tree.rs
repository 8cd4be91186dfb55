//! A document as all three syntaxes have it: values, each with its place.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::{Map, Number, Value};

use crate::key_path::{KeyPath, Step};
use crate::shown::short;

/// What a text is called.
pub(super) const TEXT: &str = "a text";

/// A value, and the bytes of the text that it was read from.
///
/// Not deeper than the limits say, as the parsers of the three syntaxes look to it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

/// What one of the three parsers found wrong.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) span: Range<usize>,
    pub(super) path: KeyPath,
    pub(super) message: String,
    pub(super) hint: String,
}

/// A value on the way to another one, and the bytes of its key.
pub(super) struct Found<'a> {
    pub(super) node: &'a Node,
    pub(super) key_span: Option<Range<usize>>,
    pub(super) path: KeyPath,
    /// Whether this is what was asked for, and not only where it would be.
    pub(super) exact: bool,
}

impl Node {
    pub(super) fn new(span: Range<usize>, content: Content) -> Self {
        Self { span, content }
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "null",
            Content::Bool(_) => "`true` or `false`",
            Content::Number(number) if number.is_f64() => "a number with a fraction",
            Content::Number(_) => "a whole number",
            Content::Text(_) => TEXT,
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(nodes) => Value::Array(nodes.iter().map(Self::value).collect()),
            Content::Table(entries) => {
                let pair = |entry: &Entry| (entry.key.clone(), entry.node.value());
                Value::Object(entries.iter().map(pair).collect::<Map<_, _>>())
            }
        }
    }

    /// Where texts and numbers stand in a part of the file, in its order.
    pub(super) fn values_in(&self, part: &Range<usize>) -> Vec<Range<usize>> {
        let mut values = Vec::new();
        self.collect_values(part, &mut values);
        values.sort_by_key(|value| value.start);
        values
    }

    fn collect_values(&self, part: &Range<usize>, values: &mut Vec<Range<usize>>) {
        match &self.content {
            Content::Null | Content::Bool(_) => {}
            Content::Number(_) | Content::Text(_) => {
                if self.span.start < part.end && part.start < self.span.end {
                    values.push(self.span.clone());
                }
            }
            Content::List(nodes) => {
                nodes.iter().for_each(|node| node.collect_values(part, values));
            }
            Content::Table(entries) => {
                entries.iter().for_each(|entry| entry.node.collect_values(part, values));
            }
        }
    }

    /// As far as the tokens of a JSON Pointer lead.
    pub(super) fn find(&self, tokens: &[String]) -> Found<'_> {
        let mut found = Found { node: self, key_span: None, path: KeyPath::default(), exact: true };
        for token in tokens {
            let next = match &found.node.content {
                Content::Table(entries) => entries.iter().find(|entry| entry.key == *token).map(
                    |Entry { key, key_span, node }| {
                        (Step::Key(key.clone()), Some(key_span.clone()), node)
                    },
                ),
                Content::List(nodes) => token
                    .parse()
                    .ok()
                    .and_then(|at: usize| Some((Step::Index(at), None, nodes.get(at)?))),
                _ => None,
            };
            let Some((step, key_span, node)) = next else {
                found.exact = false;
                break;
            };
            found.node = node;
            found.key_span = key_span;
            found.path.push(step);
        }
        found
    }
}

impl Malformed {
    pub(super) fn new(
        span: Range<usize>,
        path: &KeyPath,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { span, path: path.clone(), message: message.into(), hint: hint.into() }
    }

    pub(super) fn duplicate(span: Range<usize>, path: &KeyPath, key: &str) -> Self {
        let message = format!("the key `{}` is there twice", short(key, 60));
        let path = path.join(Step::Key(key.to_owned()));
        Self::new(span, &path, message, "take one of the two out")
    }

    pub(super) fn too_deep(span: Range<usize>, path: &KeyPath, most: usize) -> Self {
        // The path has as many steps as the limit, which is no help to read.
        let path = KeyPath::from(path.steps().iter().take(8).cloned().collect::<Vec<_>>());
        let message = format!("lists and tables are inside of each other more than {most} deep");
        Self::new(span, &path, message, "write it flatter")
    }

    pub(super) fn not_finite(span: Range<usize>, path: &KeyPath) -> Self {
        let message = "infinity and not-a-number cannot be configured: JSON, in which plugins \
                       get their configuration, has neither";
        Self::new(span, path, message, "write a number, or leave the key out")
    }

    pub(super) fn number_too_large(span: Range<usize>, path: &KeyPath) -> Self {
        let message = format!(
            "this number does not fit: whole numbers go from {} to {}, others to about 1.8e308",
            i64::MIN,
            u64::MAX
        );
        Self::new(span, path, message, "write a smaller number, or a text in quotes")
    }
}

/// Which keys of the table at hand were seen, and where.
#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    known: HashSet<String>,
}

impl Entries {
    /// Whether the key is new; it counts as seen from now on.
    pub(super) fn is_new(&mut self, key: &str) -> bool {
        self.known.insert(key.to_owned())
    }

    pub(super) fn push(&mut self, key: String, key_span: Range<usize>, node: Node) {
        self.entries.push(Entry { key, key_span, node });
    }

    pub(super) fn into_content(self) -> Content {
        Content::Table(self.entries)
    }
}

/// A whole number in decimal digits, perhaps signed.
pub(super) fn whole(text: &str) -> Option<Number> {
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

/// A number with a fraction or an exponent; none where it is not finite.
pub(super) fn fraction(text: &str) -> Option<Number> {
    Number::from_f64(text.parse().ok()?)
}
