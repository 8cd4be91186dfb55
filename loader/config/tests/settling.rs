//! Configurations under their schemas: defaults, problems, changes, rows.
#![allow(missing_docs)]

use std::path::Path;

use plugbay_config::document::{Limits, Syntax, parse};
use plugbay_config::schema::{
    Declared, Owner, Problem, Row, Schema, Schemas, SecretSource, Settled, Unsettled,
};
use serde_json::{Value, json};

fn schema(schema: Value) -> Schema {
    let owner = Owner::Plugin("sql".parse().unwrap());
    Schemas::new().compile(owner, &Declared::new(schema)).unwrap()
}

fn unsettled(of: Value, given: Value) -> Unsettled {
    schema(of).settle(&given, &SecretSource::new("")).unwrap_err()
}

fn settled(of: Value, given: Value) -> Settled {
    schema(of).settle(&given, &SecretSource::new("")).unwrap()
}

#[test]
fn schemas_and_configurations_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Schema>();
    crosses::<Schemas>();
    crosses::<Settled>();
    crosses::<Unsettled>();
}

#[test]
fn every_rule_is_told_in_words() {
    for (rule, schema, value, expected, found) in [
        ("type", json!({"type": "integer"}), json!("x"), "a whole number", "a text"),
        ("type", json!({"type": ["string", "null"]}), json!(3), "null or a text", "3"),
        ("maximum", json!({"maximum": 3}), json!(4), "3 or less", "4"),
        ("minimum", json!({"minimum": 3}), json!(2.5), "3 or more", "2.5"),
        ("exclusiveMaximum", json!({"exclusiveMaximum": 3}), json!(3), "less than 3", "3"),
        ("exclusiveMinimum", json!({"exclusiveMinimum": 3}), json!(3), "more than 3", "3"),
        ("multipleOf", json!({"multipleOf": 5}), json!(7), "a multiple of 5", "7"),
        ("minLength", json!({"minLength": 2}), json!("ä"), "at least 2 characters", "1"),
        ("maxLength", json!({"maxLength": 1}), json!("äö"), "at most 1 character", "2"),
        ("pattern", json!({"pattern": "^a$"}), json!("b"), "a text that matches ^a$", "\"b\""),
        (
            "format",
            json!({"format": "ipv4"}),
            json!("1.2"),
            "a text of the format `ipv4`",
            "\"1.2\"",
        ),
        ("enum", json!({"enum": [1, "a"]}), json!(2), "1 or \"a\"", "2"),
        ("const", json!({"const": {"a": 1}}), json!([]), "{\"a\":1}", "a list"),
        ("minItems", json!({"minItems": 1}), json!([]), "at least 1 entry", "0"),
        ("maxItems", json!({"maxItems": 1}), json!([1, 2]), "at most 1 entry", "2"),
        (
            "uniqueItems",
            json!({"uniqueItems": true}),
            json!([1, 1]),
            "entries that are all different",
            "a list",
        ),
        ("minProperties", json!({"minProperties": 2}), json!({"a": 1}), "at least 2 keys", "1"),
        ("maxProperties", json!({"maxProperties": 0}), json!({"a": 1}), "at most 0 keys", "1"),
        (
            "anyOf",
            json!({"anyOf": [{"type": "string"}, {"minimum": 3}]}),
            json!(1),
            "a text; or 3 or more",
            "1",
        ),
        (
            "oneOf",
            json!({"oneOf": [true, true]}),
            json!(1),
            "only one of its forms, and not several at once",
            "1",
        ),
        (
            "not",
            json!({"not": {}}),
            json!(1),
            "something else: what is not allowed is declared",
            "",
        ),
        (
            "propertyNames",
            json!({"propertyNames": {"maxLength": 1}}),
            json!({"ab": 1}),
            "keys that are each at most 1 character",
            "",
        ),
        (
            "unevaluatedItems",
            json!({"prefixItems": [true], "unevaluatedItems": false}),
            json!([1, 2]),
            "no entries but those declared",
            "a list",
        ),
    ] {
        let unsettled = unsettled(json!({"properties": {"a": schema}}), json!({"a": value}));
        let [problem] = unsettled.problems() else { panic!("{unsettled}") };
        assert_eq!(
            (problem.rule(), problem.expected().as_str(), problem.found()),
            (rule, expected, found)
        );
        assert_eq!((problem.path().pointer().as_str(), problem.code()), ("/a", "PB1501"));
    }
}

#[test]
fn all_problems_are_told_at_once_and_by_their_places() {
    let of = json!({
        "properties": {
            "size": {"type": "integer"}, "hosts": {"items": {"required": ["name"]}}, "url": {}
        },
        "required": ["url"],
        "additionalProperties": false
    });
    let unsettled = unsettled(of, json!({"size": "x", "siez": 1, "hosts": [{"name": 1}, {}]}));
    assert_eq!(
        unsettled.to_string(),
        "the configuration does not fit the schema of the plugin `sql`: 4 problems
  `hosts[1].name` is missing
  there is no key `siez`; did you mean `size`?
  `size`: expected a whole number, found a text
  `url` is missing"
    );
    let [missing, unknown, ..] = unsettled.problems() else { panic!("{unsettled}") };
    assert!(matches!(missing, Problem::Missing { .. }) && missing.rule() == "required");
    assert_eq!(
        (unknown.rule(), unknown.hint().as_str()),
        ("additionalProperties", "write `size`, or take it out")
    );
    assert_eq!((unsettled.code(), unsettled.hint().as_str()), ("PB1501", "give it a value"));
    assert_eq!(unsettled.origin().owner, Owner::Plugin("sql".parse().unwrap()));

    let one = unsettled_top();
    assert_eq!(
        one.to_string(),
        "the configuration does not fit the schema of the plugin `sql`: expected a table, found 3"
    );
}

fn unsettled_top() -> Unsettled {
    unsettled(json!({"type": "object"}), json!(3))
}

#[test]
fn problems_are_pointed_out_in_the_file() {
    let of = json!({
        "properties": {"size": {"maximum": 10}, "log": {"type": "object"}},
        "required": ["url"], "additionalProperties": false
    });
    let text = "[plugins.sql.config]\nsize = 20\nlgo = 'x'\n";
    let mut document =
        parse::<Value>(text.as_bytes(), Syntax::Toml, Path::new("host.toml"), Limits::default())
            .unwrap();
    let given = document.value()["plugins"]["sql"]["config"].clone();
    let told: Vec<_> = unsettled(of, given)
        .point_out(&mut document, "/plugins/sql/config")
        .iter()
        .map(|wrong| format!("{wrong}\nhelp: {}", wrong.hint()))
        .collect();
    assert_eq!(
        told,
        [
            "the config file host.toml is wrong at line 3, column 1, `plugins.sql.config.lgo`
  |
3 | lgo ***
  | ^^^
there is no key `lgo`; did you mean `log`?
help: write `log`, or take it out",
            "the config file host.toml is wrong at line 2, column 8, `plugins.sql.config.size`
  |
2 | size = 20
  |        ^^
expected 10 or less, found 20
help: write 10 or less",
            "the config file host.toml is wrong at line 1, column 14, `plugins.sql.config.url`
  |
1 | [plugins.sql.config]
  |              ^^^^^^
`url` is missing
help: give it a value",
        ]
    );
}

#[test]
fn a_table_that_must_be_there_is_told_by_what_is_missing_inside() {
    let of = json!({
        "properties": {"pool": {
            "type": "object", "properties": {"n": {"default": 1}, "url": {}}, "required": ["url"]
        }},
        "required": ["pool"]
    });
    assert_eq!(unsettled(of, json!({})).problems()[0].to_string(), "`pool.url` is missing");
}

#[test]
fn an_absent_table_that_defaults_alone_would_make_wrong_is_left_out() {
    let either = json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    let mut table =
        json!({"type": "object", "properties": {"n": {"default": 1}, "a": {}, "b": {}}});
    let whole = settled(json!({"properties": {"t": table}}), json!({}));
    assert_eq!(*whole.shown(), json!({"t": {"n": 1}}));
    table["allOf"] = json!([either]);
    let of = json!({"properties": {"t": table, "u": {
        "type": "object", "properties": {"t": table, "m": {"default": 2}}
    }}});
    assert_eq!(*settled(of.clone(), json!({})).shown(), json!({"u": {"m": 2}}));
    assert_eq!(
        *settled(of.clone(), json!({"t": {"a": 1}})).shown(),
        json!({"t": {"a": 1, "n": 1}, "u": {"m": 2}})
    );
    let mut required = of;
    required["required"] = json!(["t"]);
    let told = unsettled(required, json!({})).to_string();
    assert!(told.contains("`t`: expected the key `a`; or the key `b`, found a table"), "{told}");
}

#[test]
fn changes_are_told_as_deep_inside_as_can_be() {
    let settle = |value: Value| settled(json!({}), value);
    let old =
        settle(json!({"a": 1, "t": {"x": 1, "y": 2}, "l": [1, {"z": 1}], "m": [1], "g": {"h": 1}}));
    let new = settle(
        json!({"a": 1, "t": {"x": 1, "y": 3}, "l": [1, {"z": 2}], "m": [1, 2], "n": {"o": 1}}),
    );
    let changes: Vec<_> = new.changes_since(&old).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["g", "l[1].z", "m", "n", "t.y"]);
    assert!(old.changes_since(&old.clone()).is_empty());
    let whole = settle(json!(3)).changes_since(&settle(json!(4)));
    assert!(whole.len() == 1 && whole[0].is_top());
}

#[test]
fn a_schema_is_described_for_people() {
    let mut schemas = Schemas::new();
    let base = json!({"properties": {"size": {
        "type": "integer", "minimum": 1, "maximum": 100, "default": 4,
        "description": "How many connections\nare open."
    }}});
    let host = Owner::Component("database".into());
    schemas.add("pool".parse().unwrap(), host, &Declared::new(base)).unwrap();
    let own = json!({
        "properties": {
            "size": {"maximum": 50, "default": 5},
            "password": {"secret": true, "title": "For the database."},
            "hosts": {"type": "array", "items": {"properties": {"name": {"type": "string"}}, "required": ["name"]}},
            "users": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "mode": {"enum": ["a", "b"]},
            "any": {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]},
            "again": {"$ref": "#"}
        },
        "required": ["password", "size"]
    });
    let owner = Owner::Plugin("sql".parse().unwrap());
    let rows = schemas.compile(owner, &Declared::new(own).extending(["pool"])).unwrap().describe();
    let find = |path: &str| rows.iter().find(|row| row.path == path).unwrap().clone();
    let told = |row: Row| (row.kind, row.default, row.required, row.secret, row.description);
    let none = String::new;
    assert_eq!(
        told(find("size")),
        (
            "whole number, 1 to 50".into(),
            Some(json!(5)),
            false,
            false,
            "How many connections\\nare open.".into()
        )
    );
    assert_eq!(
        told(find("password")),
        ("text".into(), None, true, true, "For the database.".into())
    );
    assert_eq!(told(find("hosts")), ("list".into(), None, false, false, none()));
    assert_eq!(told(find("hosts[].name")), ("text".into(), None, true, false, none()));
    assert_eq!(told(find("users.*")), ("true or false".into(), None, false, false, none()));
    assert_eq!(find("mode").kind, "\"a\" or \"b\"");
    assert_eq!(find("any").kind, "text (uri) or null");
    assert!(rows.len() < 40, "{}", rows.len());
    assert_eq!(schema(json!(true)).describe(), []);
}
