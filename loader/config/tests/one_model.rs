//! The same content is the same value, whatever it is written in.
#![allow(missing_docs)]

use std::fmt::Write;
use std::path::Path;

use plugbay_config::document::{Limits, Syntax, parse};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

fn value(syntax: Syntax, text: &str) -> Value {
    match parse::<Value>(text.as_bytes(), syntax, Path::new("x"), Limits::default()) {
        Ok(document) => {
            assert_eq!(document.json(), *document.value());
            document.into_value()
        }
        Err(error) => panic!("{error}\n{text}"),
    }
}

#[test]
fn one_configuration_in_three_syntaxes_is_one_value() {
    let toml = "
name = 'ä'
since = 2026-01-02T03:04:05Z
day = 2026-01-02
no = 'no'
ratio = 0.1
whole = 0x10
many = [1, -2, 18446744073709551615]
[plugins.sql.config]
pool = { size = 3 }
8080 = true
[[list]]
a = 1
[[list]]
";
    let yaml = "
name: ä
since: 2026-01-02T03:04:05Z
day: 2026-01-02
no: no
ratio: 0.1
whole: 0x10
many:
- 1
- -2
- 18446744073709551615
plugins: {sql: {config: {pool: &pool {size: 3}, 8080: true}}}
list:
  - a: 1
  - {}
";
    let json = r#"{
  "name": "\u00e4", "since": "2026-01-02T03:04:05Z", "day": "2026-01-02", "no": "no",
  "ratio": 1e-1, "whole": 16, "many": [1, -2, 18446744073709551615],
  "plugins": {"sql": {"config": {"pool": {"size": 3}, "8080": true}}}, "list": [{"a": 1}, {}]
}"#;
    let expected = json!({
        "name": "ä", "since": "2026-01-02T03:04:05Z", "day": "2026-01-02", "no": "no",
        "ratio": 0.1, "whole": 16, "many": [1, -2, 18446744073709551615_u64],
        "plugins": {"sql": {"config": {"pool": {"size": 3}, "8080": true}}}, "list": [{"a": 1}, {}]
    });
    assert_eq!(value(Syntax::Toml, toml), expected);
    assert_eq!(value(Syntax::Yaml, yaml), expected);
    assert_eq!(value(Syntax::Json, json), expected);
}

#[test]
fn an_alias_is_as_if_it_were_written_out() {
    let text = "a: &x {b: [1, &y 2]}\nc: *x\nd: [*y, *x]\n&k e: *y\nf: &x 3\ng: *x\n";
    let expected = json!({
        "a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [2, {"b": [1, 2]}], "e": 2, "f": 3, "g": 3
    });
    assert_eq!(value(Syntax::Yaml, text), expected);
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    assert_eq!(value(Syntax::Toml, "\u{feff}a = 1"), json!({"a": 1}));
    assert_eq!(value(Syntax::Yaml, "\u{feff}a: 1"), json!({"a": 1}));
    assert_eq!(value(Syntax::Json, "\u{feff}{\"a\": 1}"), json!({"a": 1}));
}

#[test]
fn fractions_keep_their_last_bit() {
    for text in ["0.1", "1.7976931348623157e308", "5e-324", "2.2250738585072011e-308", "6.02e23"] {
        let expected: f64 = text.parse().unwrap();
        let yaml = value(Syntax::Yaml, &format!("a: {text}"));
        assert_eq!(yaml, value(Syntax::Json, &format!("{{\"a\": {text}}}")));
        assert_eq!(yaml, value(Syntax::Toml, &format!("a = {text}")));
        assert_eq!(yaml, json!({"a": expected}));
    }
}

fn toml(value: &Value, text: &mut String) {
    match value {
        Value::Array(values) => list(values, text, toml),
        Value::Object(map) => {
            text.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                text.push_str(&quoted(key));
                text.push_str(" = ");
                toml(value, text);
            }
            text.push('}');
        }
        Value::String(string) => text.push_str(&quoted(string)),
        // Number without a point is a whole one in TOML.
        Value::Number(number) if number.is_f64() => {
            write!(text, "{:e}", number.as_f64().unwrap()).unwrap();
        }
        other => write!(text, "{other}").unwrap(),
    }
}

fn list(values: &[Value], text: &mut String, each: fn(&Value, &mut String)) {
    text.push('[');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        each(value, text);
    }
    text.push(']');
}

/// A text as TOML and YAML both read it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => write!(quoted, "\\U{:08X}", u32::from(c)).unwrap(),
        }
    }
    quoted.push('"');
    quoted
}

/// In blocks where there is something to put into blocks.
fn yaml(value: &Value, indent: usize, text: &mut String) {
    let begin = format!("\n{}", " ".repeat(indent));
    match value {
        Value::Array(values) if !values.is_empty() => {
            for value in values {
                text.push_str(&begin);
                text.push('-');
                yaml(value, indent + 2, text);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&begin);
                text.push_str(&quoted(key));
                text.push(':');
                yaml(value, indent + 1, text);
            }
        }
        Value::String(string) => {
            text.push(' ');
            text.push_str(&quoted(string));
        }
        Value::Number(number) if number.is_f64() => {
            write!(text, " {:e}", number.as_f64().unwrap()).unwrap();
        }
        other => write!(text, " {other}").unwrap(),
    }
}

fn arbitrary(nulls: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(|number| {
            // A float that prints like a whole number would be read as one.
            Number::from_f64(number).map_or(Value::Bool(true), Value::Number)
        }),
        any::<String>().prop_map(Value::from),
        "[a-z0-9.: #~!*&-]{0,6}".prop_map(Value::from),
        Just(if nulls { Value::Null } else { json!("null") }),
    ];
    let value = leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z~.]{1,4}|.{0,5}", value, 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #[test]
    fn any_value_is_the_same_in_every_syntax(expected in arbitrary(false)) {
        let mut text = String::new();
        for (key, value) in expected.as_object().unwrap() {
            text.push_str(&quoted(key));
            text.push_str(" = ");
            toml(value, &mut text);
            text.push('\n');
        }
        // Exponents without a point are fractions in all three.
        prop_assert_eq!(&value(Syntax::Toml, &text), &expected, "{}", text);
        prop_assert_eq!(&value(Syntax::Json, &serde_json::to_string_pretty(&expected).unwrap()), &expected);
    }

    #[test]
    fn any_value_is_the_same_in_blocks_and_in_flow(expected in arbitrary(true)) {
        let mut text = String::new();
        yaml(&expected, 0, &mut text);
        prop_assert_eq!(&value(Syntax::Yaml, &text), &expected, "{}", text);
        let json = serde_json::to_string(&expected).unwrap();
        prop_assert_eq!(&value(Syntax::Json, &json), &expected);
    }
}
