//! `$ref`: to the same schema, or to a base by its id; to nothing else.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::owner::BaseId;

/// What a `$ref` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Another schema than the one that it stands in.
    pub(super) base: Option<BaseId>,
    /// A JSON Pointer; empty for the whole schema.
    pub(super) pointer: String,
}

/// What a URI's fragment cannot have (RFC 3986).
const ENCODED: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (id, fragment) = text.split_once('#').unwrap_or((text, ""));
        let base = match id {
            "" => None,
            id => Some(id.parse().map_err(|_| {
                String::from("nothing is fetched; it is neither `#/…` nor a base schema's id")
            })?),
        };
        let pointer = percent_decode_str(fragment)
            .decode_utf8()
            .map_err(|_| String::from("what is percent-encoded in it is not UTF-8"))?
            .into_owned();
        if pointer.is_empty() || pointer.starts_with('/') {
            Ok(Self { base, pointer })
        } else {
            Err("names (anchors) are not read; write the way to it, `#/…`".into())
        }
    }
}

/// A `$ref` to a place in the same document.
pub(super) fn to_place(pointer: &str) -> String {
    format!("#{}", utf8_percent_encode(pointer, &ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_among_the_schemas() {
        let good = |text: &str| {
            let reference = Reference::parse(text).unwrap();
            (reference.base.map(|id| id.to_string()), reference.pointer)
        };
        assert_eq!(good("#"), (None, String::new()));
        assert_eq!(good("#/$defs/a%20b"), (None, "/$defs/a b".into()));
        assert_eq!(good("acme.pool"), (Some("acme.pool".into()), String::new()));
        assert_eq!(good("pool#/properties/a"), (Some("pool".into()), "/properties/a".into()));
        for bad in ["http://a/b", "file:///etc/passwd", "../a", "/a", "a.json/b", "#anchor", "#%ff"]
        {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_encoded_is_what_was_meant() {
        for pointer in ["/$defs/base.pool", "/a b/%25/~1/ä/#/\"", ""] {
            assert_eq!(Reference::parse(&to_place(pointer)).unwrap().pointer, pointer);
        }
    }
}
