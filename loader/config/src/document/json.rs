//! JSON, read piece by piece: each value is cut out of the text as it stands there,
//! which gives its place.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{Content, Entries, Malformed, Node, fraction, whole};
use crate::key_path::{KeyPath, Step};

pub(super) fn parse(text: &str, depth: usize) -> Result<Node, Malformed> {
    let top = KeyPath::default();
    // The first look goes through the whole text without recursion.
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| wrong(text, 0, &top, &error))?;
    Json { text, depth }.node(raw, &mut KeyPath::default())
}

struct Json<'a> {
    text: &'a str,
    depth: usize,
}

impl<'a> Json<'a> {
    fn span(&self, raw: &RawValue) -> Range<usize> {
        // Raw values are slices of the text.
        let start = raw.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        start..start.saturating_add(raw.get().len())
    }

    fn read<T: Deserialize<'a>>(&self, raw: &'a RawValue, path: &KeyPath) -> Result<T, Malformed> {
        let start = self.span(raw).start;
        serde_json::from_str(raw.get()).map_err(|error| wrong(self.text, start, path, &error))
    }

    fn node(&self, raw: &'a RawValue, path: &mut KeyPath) -> Result<Node, Malformed> {
        let span = self.span(raw);
        let content = match raw.get().as_bytes().first() {
            Some(b'{' | b'[') if path.steps().len() >= self.depth => {
                return Err(Malformed::too_deep(span, path, self.depth));
            }
            Some(b'{') => self.table(raw, path)?,
            Some(b'[') => {
                let raws: Vec<&RawValue> = self.read(raw, path)?;
                let mut nodes = Vec::with_capacity(raws.len());
                for (at, raw) in raws.into_iter().enumerate() {
                    path.push(Step::Index(at));
                    nodes.push(self.node(raw, path)?);
                    path.pop();
                }
                Content::List(nodes)
            }
            Some(b'"') => Content::Text(self.read(raw, path)?),
            Some(b't') => Content::Bool(true),
            Some(b'f') => Content::Bool(false),
            Some(b'n') => Content::Null,
            _ => {
                let digits = raw.get();
                let number =
                    if digits.contains(['.', 'e', 'E']) { fraction(digits) } else { whole(digits) };
                Content::Number(
                    number.ok_or_else(|| Malformed::number_too_large(span.clone(), path))?,
                )
            }
        };
        Ok(Node::new(span, content))
    }

    fn table(&self, raw: &'a RawValue, path: &mut KeyPath) -> Result<Content, Malformed> {
        let Pairs(pairs) = self.read(raw, path)?;
        let mut entries = Entries::default();
        for (key, value) in pairs {
            let key_span = self.span(key);
            let key: String = self.read(key, path)?;
            if !entries.is_new(&key) {
                return Err(Malformed::duplicate(key_span, path, &key));
            }
            path.push(Step::Key(key.clone()));
            let node = self.node(value, path)?;
            path.pop();
            entries.push(key, key_span, node);
        }
        Ok(entries.into_content())
    }
}

/// An object's keys and values in their order, those of one name as well.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// serde_json tells line and column, from 1 and in bytes, of the piece that it read.
fn wrong(text: &str, start: usize, path: &KeyPath, error: &serde_json::Error) -> Malformed {
    let piece = text.get(start..).unwrap_or_default();
    let lines = piece.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line: usize = lines.map(str::len).sum();
    let at = (start + line + error.column().saturating_sub(1)).min(text.len());
    let at = text.floor_char_boundary(at);
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&place).unwrap_or(&message);
    let message = match message {
        "key must be a string" => "expected a key in double quotes",
        "control character (\\u0000-\\u001F) found while parsing a string" => {
            "a text has no line breaks and other controls in it, but `\\n` and the like"
        }
        _ if error.is_eof() => "the file ends in the middle",
        other => other,
    };
    let hint = "correct the JSON there; it has no comments, and no comma after the last value";
    Malformed::new(at..at, path, message, hint)
}
