//! JSON with one way to write it, as far as two texts that a plugin cannot tell apart must
//! not count as two.
//!
//! Members are sorted by name, spaces are left out, and each text has one form. Numbers stay
//! as they are written: `1` and `1.0` are two things to many plugins, and one that has more
//! digits than any number here can hold may be another one to somebody.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep. Each level is read once more for each that it is in.
const DEPTH: usize = 64;

/// None for what is no JSON, is nested too deep, or has a member twice: who is called
/// may say no to that, and has to be asked.
pub(super) fn canonical(json: &str) -> Option<Box<str>> {
    let mut written = String::with_capacity(json.len());
    write(json, DEPTH, &mut written)?;
    Some(written.into())
}

fn write(json: &str, depth: usize, written: &mut String) -> Option<()> {
    let json = json.trim_matches([' ', '\t', '\n', '\r']);
    let depth = depth.checked_sub(1)?;
    match json.as_bytes().first()? {
        b'{' => {
            let Members(mut members) = serde_json::from_str(json).ok()?;
            members.sort_by(|(name, _), (other, _)| name.cmp(other));
            if members.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other))
            {
                return None;
            }
            list(written, ['{', '}'], &members, |(name, value), written| {
                written.push_str(&serde_json::to_string(name).ok()?);
                written.push(':');
                write(value.get(), depth, written)
            })
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            list(written, ['[', ']'], &values, |value, written| write(value.get(), depth, written))
        }
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            written.push_str(&serde_json::to_string(&text).ok()?);
            Some(())
        }
        _ => {
            let word: &RawValue = serde_json::from_str(json).ok()?;
            written.push_str(word.get());
            Some(())
        }
    }
}

fn list<T>(
    written: &mut String,
    [open, close]: [char; 2],
    all: &[T],
    each: impl Fn(&T, &mut String) -> Option<()>,
) -> Option<()> {
    written.push(open);
    for (at, one) in all.iter().enumerate() {
        if at > 0 {
            written.push(',');
        }
        each(one, written)?;
    }
    written.push(close);
    Some(())
}

/// All members of an object, those of one name as well.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn same(one: &str, other: &str) -> bool {
        canonical(one).unwrap() == canonical(other).unwrap()
    }

    #[test]
    fn spaces_order_and_escapes_make_no_difference() {
        assert!(same(
            r#"{"a":1,"b":[1,{"d":2,"c":3}]}"#,
            " { \"b\" : [ 1 , {\"c\":3,\r\n\"d\":2} ] ,\t\"a\":1} "
        ));
        assert!(same(r#"{"\u0061":"\u00e4\/"}"#, r#"{"a":"ä/"}"#));
        assert!(same("[]", "[ ]") && same("{}", "{\n}") && same(" null", "null "));
    }

    #[test]
    fn what_a_plugin_may_tell_apart_is_apart() {
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            ("1", "1.0"),
            ("1e2", "100"),
            ("18446744073709551616", "18446744073709551617"),
            ("\"1\"", "1"),
            ("{}", "null"),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":"b,c"}"#, r#"{"a":"b","c":""}"#),
            (r#"["a\",\"b"]"#, r#"["a","b"]"#),
            ("-0", "0"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_json_is_twice_there_or_too_deep_is_left_to_the_plugin() {
        for json in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "+1",
            "nul",
            "1 2",
            "\"a",
            "\"\\ud800\"",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"b\":0,\"\\u0061\":2}",
            "{'a':1}",
            "\u{a0}1",
            "[{\"a\":1,\"a\":2}]",
        ] {
            assert_eq!(canonical(json), None, "{json}");
        }
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(canonical(&nested(DEPTH)).as_deref(), Some(nested(DEPTH).as_str()));
        assert_eq!(canonical(&nested(DEPTH + 1)), None);
        assert_eq!(canonical(&nested(100_000)), None);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\ä\n]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"ä]{0,2}", inner, 0..4)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_same_value_and_the_same_text_of_each_way_to_write_it(value in values()) {
            let (short, long) = (value.to_string(), format!("{value:#}"));
            let written = canonical(&short).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
            prop_assert_eq!(canonical(&long).unwrap(), written.clone());
            prop_assert_eq!(canonical(&written).unwrap(), written);
        }

        #[test]
        fn other_values_are_other_texts(one in values(), other in values()) {
            let texts = [&one, &other].map(|value| canonical(&value.to_string()).unwrap());
            prop_assert_eq!(one == other, texts[0] == texts[1]);
        }

        #[test]
        fn any_text_is_taken_or_left_as_serde_json_does(text in "[\\[\\]{}\",:0-2a\\\\ ]{0,12}") {
            let reads = serde_json::from_str::<Value>(&text).is_ok();
            prop_assert!(reads || canonical(&text).is_none(), "{}", text);
        }
    }
}
