//! TOML, by the parser of the crate `toml`, which gives a place to every value.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Content, Entries, Malformed, Node, fraction};
use crate::key_path::{KeyPath, Step};

pub(super) fn parse(text: &str, depth: usize) -> Result<Node, Malformed> {
    // The parser itself takes no more than 80 levels of one kind: headers, dotted
    // keys, and values in each other. So what is walked here is 240 deep at most.
    let table = DeTable::parse(text).map_err(|error| {
        let end = text.len();
        let span = error.span().unwrap_or(end..end);
        if error.message() == "duplicate key" {
            let key = text.get(span.clone()).unwrap_or_default();
            // In which table it is, the parser does not say.
            let duplicate = Malformed::duplicate(span, &KeyPath::default(), key);
            return Malformed { path: KeyPath::default(), ..duplicate };
        }
        Malformed::new(span, &KeyPath::default(), error.message(), "correct the TOML there")
    })?;
    let mut path = KeyPath::default();
    let content = Toml { text, depth }.table(0..0, table.get_ref(), &mut path)?;
    Ok(Node::new(0..0, content))
}

struct Toml<'a> {
    text: &'a str,
    depth: usize,
}

impl Toml<'_> {
    fn node(&self, value: &Spanned<DeValue<'_>>, path: &mut KeyPath) -> Result<Node, Malformed> {
        let span = value.span();
        let content = match value.get_ref() {
            DeValue::String(text) => Content::Text(text.clone().into_owned()),
            DeValue::Boolean(truth) => Content::Bool(*truth),
            // Its text as it was written.
            DeValue::Datetime(_) => {
                Content::Text(self.text.get(span.clone()).unwrap_or_default().to_owned())
            }
            DeValue::Integer(digits) => {
                let (digits, radix) = (digits.as_str(), digits.radix());
                let number = i64::from_str_radix(digits, radix)
                    .map(Into::into)
                    .or_else(|_| u64::from_str_radix(digits, radix).map(Into::into));
                Content::Number(
                    number.map_err(|_| Malformed::number_too_large(span.clone(), path))?,
                )
            }
            DeValue::Float(digits) => {
                let digits = digits.as_str();
                let named = digits.contains(['i', 'n']);
                Content::Number(fraction(digits).ok_or_else(|| {
                    if named {
                        Malformed::not_finite(span.clone(), path)
                    } else {
                        Malformed::number_too_large(span.clone(), path)
                    }
                })?)
            }
            DeValue::Table(table) => self.table(span.clone(), table, path)?,
            DeValue::Array(values) => {
                self.look_at_depth(span.clone(), path)?;
                let mut nodes = Vec::with_capacity(values.len());
                for (at, value) in values.iter().enumerate() {
                    path.push(Step::Index(at));
                    nodes.push(self.node(value, path)?);
                    path.pop();
                }
                Content::List(nodes)
            }
        };
        Ok(Node::new(span, content))
    }

    fn table(
        &self,
        span: Range<usize>,
        table: &DeTable<'_>,
        path: &mut KeyPath,
    ) -> Result<Content, Malformed> {
        self.look_at_depth(span, path)?;
        let mut pairs: Vec<_> = table.iter().collect();
        // They come by their names.
        pairs.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Entries::default();
        for (key, value) in pairs {
            let (key, key_span) = (key.get_ref().clone().into_owned(), key.span());
            path.push(Step::Key(key.clone()));
            let node = self.node(value, path)?;
            path.pop();
            entries.push(key, key_span, node);
        }
        Ok(entries.into_content())
    }

    fn look_at_depth(&self, span: Range<usize>, path: &KeyPath) -> Result<(), Malformed> {
        if path.steps().len() < self.depth {
            return Ok(());
        }
        Err(Malformed::too_deep(span, path, self.depth))
    }
}
