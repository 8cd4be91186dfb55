//! Whatever an extending schema says: what it takes, its bases take, and what they keep
//! secret is secret.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use plugbay_config::KeyPath;
use plugbay_config::schema::{
    Declared, Owner, Problem, Schema, SchemaError, Schemas, SecretSource,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What stands for a secret where one is shown, and what it is read from.
const HIDDEN: &str = "***";
const SECRET: &str = "ab";

fn scalar_schema() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        (0..6_i64, 0..6_i64).prop_map(|(least, most)| json!({"minimum": least, "maximum": most})),
        (0..6_i64).prop_map(|most| json!({"exclusiveMaximum": most})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": ["integer", "string"]})),
        Just(json!({"type": "string"})),
        prop::collection::vec(0..4_i64, 1..4).prop_map(|options| json!({"enum": options})),
        (0..4_i64).prop_map(|only| json!({"const": only})),
        (0..3_u64).prop_map(|most| json!({"maxLength": most})),
        (1..3_i64).prop_map(|of| json!({"multipleOf": of})),
        (0..4_i64).prop_map(|default| json!({"default": default})),
        (0..4_i64).prop_map(|not| json!({"not": {"const": not}})),
        Just(json!({"pattern": "^a"})),
        Just(json!({"$ref": "#/$defs/small"})),
        Just(json!({"anyOf": [{"type": "string"}, {"maximum": 2}]})),
        Just(json!({"secret": true})),
        Just(json!({"secret": true, "minLength": 1})),
        Just(json!({"secret": true, "type": "string"})),
        Just(json!({})),
        Just(json!({"description": "Anything."})),
        Just(json!(true)),
        Just(json!(false)),
    ]
}

/// What a table says of keys that it does not name, and under which keyword.
fn further(
    inner: impl Strategy<Value = Value> + Clone,
) -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let keyword = prop_oneof![Just("additionalProperties"), Just("unevaluatedProperties")];
    let rule = prop_oneof![4 => Just(json!(false)), 1 => Just(json!(true)), 3 => inner];
    prop::option::of((keyword, rule))
}

/// A table; `in_place` is what it may have beside its keys.
fn table_of(
    inner: impl Strategy<Value = Value> + Clone + 'static,
    in_place: &'static [&'static str],
) -> impl Strategy<Value = Value> {
    // A base's patterns match none of its own keys: what two of its rules contradict each
    // other about cannot be asked.
    let (names, patterns): (_, &[&str]) =
        if in_place == ANY { ("[a-d]", &["", "^[de]"]) } else { ("[a-c]", &["^[de]"]) };
    let table = (
        prop::collection::btree_map(names, inner.clone(), 0..4),
        further(inner.clone()),
        prop::option::of("[a-c]"),
        any::<bool>(),
        prop::option::weighted(0.3, (prop::sample::select(patterns), inner.clone())),
        prop::option::weighted(0.4, (prop::sample::select(in_place), inner.clone(), inner)),
        prop::bool::weighted(0.1),
    );
    table.prop_map(|(properties, further, required, is_typed, pattern, also, is_small)| {
        let mut schema = json!({"properties": &properties});
        if is_typed {
            schema["type"] = json!("object");
        }
        if let Some((keyword, rule)) = further {
            schema[keyword] = rule;
        }
        if let Some((pattern, rule)) = pattern {
            schema["patternProperties"] = json!({pattern: optional(rule)});
        }
        if let Some((keyword, one, other)) = also {
            let (one, other) = (optional(one), optional(other));
            match keyword {
                "if" => {
                    schema["if"] = json!({"required": ["a"]});
                    schema["then"] = one;
                    schema["else"] = other;
                }
                // Where a key is there that others add, it would say what else may be.
                "dependentSchemas" if properties.contains_key("a") => {
                    schema[keyword] = json!({"a": one})
                }
                "dependentSchemas" => {}
                "$ref" => schema[keyword] = json!("#/$defs/part"),
                "not" => schema[keyword] = json!({"required": ["a", "b"]}),
                "propertyNames" => schema[keyword] = json!({"pattern": "^[a-d]"}),
                "allOf" => schema[keyword] = json!([one]),
                _ => schema[keyword] = json!([one, other]),
            }
        }
        if is_small {
            schema["maxProperties"] = json!(2);
        }
        if let Some(key) = required.filter(|key| properties.contains_key(key)) {
            schema["required"] = json!([key]);
        }
        schema
    })
}

fn schema(depth: u32, in_place: &'static [&'static str]) -> impl Strategy<Value = Value> + Clone {
    scalar_schema().prop_recursive(depth, 24, 3, move |inner| {
        let list = (inner.clone(), inner.clone(), scalar_schema(), 0..4_u64, any::<bool>());
        prop_oneof![
            4 => table_of(inner.clone(), in_place),
            2 => list.prop_map(|(items, rest, some, most, is_closed)| match most {
                0 => json!({"items": items, "contains": some}),
                1 => {
                    let rest = if is_closed { json!(false) } else { rest };
                    json!({"prefixItems": [items], "unevaluatedItems": rest})
                }
                most => json!({"items": items, "maxItems": most}),
            }),
            1 => inner.prop_map(|schema| json!({"allOf": [schema]})),
        ]
    })
}

/// The same without keys that must be there: a schema that requires beside itself what it
/// refuses takes nothing at all, and asking it says nothing.
fn optional(mut schema: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("required");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut schema);
    schema
}

/// What a base has beside its keys: only what it takes the more of the fewer keys there
/// are, as it is asked about values with some taken out.
const PLAIN: [&str; 6] = ["allOf", "anyOf", "dependentSchemas", "$ref", "not", "propertyNames"];
const ANY: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "if", "dependentSchemas", "$ref", "not", "propertyNames"];

fn table(in_place: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let part = table_of(scalar_schema(), &["not"]);
    (table_of(schema(2, in_place), in_place), part).prop_map(|(mut schema, part)| {
        schema["$defs"] = json!({"small": {"maximum": 2}, "part": optional(part)});
        schema
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => (0..6_i64).prop_map(Value::from),
        2 => "[ab]{0,3}".prop_map(Value::from),
        2 => Just(json!({"env": "A"}))
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            2 => prop::collection::btree_map("[a-e]", inner.clone(), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    });
    prop::collection::btree_map("[a-e]", value, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
}

/// A schema with the whole that it stands in.
type Within<'a> = (&'a Value, &'a Value);

/// All that a schema tries on the same value, but for what it only asks.
fn in_place<'a>((whole, schema): Within<'a>) -> Vec<Within<'a>> {
    let mut found = vec![(whole, schema)];
    let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(*keyword));
    let mut next: Vec<_> = lists.filter_map(Value::as_array).flatten().collect();
    next.extend(["then", "else"].iter().filter_map(|keyword| schema.get(*keyword)));
    if let Some(Value::Object(map)) = schema.get("dependentSchemas") {
        next.extend(map.values());
    }
    if let Some(Value::String(place)) = schema.get("$ref") {
        next.extend(whole.pointer(&place[1..]));
    }
    found.extend(next.into_iter().flat_map(|schema| in_place((whole, schema))));
    found
}

fn is_named(parts: &[Within<'_>], key: &str) -> bool {
    parts.iter().any(|(_, part)| part.get("properties").is_some_and(|map| map.get(key).is_some()))
}

/// What one schema itself says of a key by a pattern.
fn by_pattern<'a>(part: &'a Value, key: &str) -> Vec<&'a Value> {
    let Some(Value::Object(patterns)) = part.get("patternProperties") else { return Vec::new() };
    let fits =
        |pattern: &str| pattern.is_empty() || pattern == "^[de]" && key.starts_with(['d', 'e']);
    patterns.iter().filter_map(|(pattern, rule)| fits(pattern).then_some(rule)).collect()
}

fn member<'a>(parts: &[Within<'a>], key: &str) -> Vec<Within<'a>> {
    let mut members = Vec::new();
    for (whole, part) in parts {
        let mut named = by_pattern(part, key);
        named.extend(part.get("properties").and_then(|map| map.get(key)));
        if named.is_empty() {
            named.extend(part.get("additionalProperties").or(part.get("unevaluatedProperties")));
        }
        members.extend(named.into_iter().map(|schema| (*whole, schema)));
    }
    members
}

fn entry<'a>(parts: &[Within<'a>], at: usize) -> Vec<Within<'a>> {
    let entry = |(whole, part): &Within<'a>| {
        let prefix = part.get("prefixItems").and_then(|prefix| prefix.get(at));
        Some((*whole, prefix.or(part.get("items")).or(part.get("unevaluatedItems"))?))
    };
    parts.iter().filter_map(entry).collect()
}

/// Whether a schema itself is closed, and not what it has in place.
fn is_closed((_, schema): Within<'_>) -> bool {
    let is_false = |keyword: &str| schema.get(keyword) == Some(&json!(false));
    is_false("additionalProperties") || is_false("unevaluatedProperties")
}

/// The value without the keys that `others` add to what is closed: those that they name,
/// and it does not. The extending schema is open to its bases' patterns, too. What stands
/// deeper in `allOf` and the like is as closed as ever.
fn without_added(
    value: &Value,
    schemas: &[Within<'_>],
    others: &[Within<'_>],
    extends: bool,
) -> Value {
    let parts: Vec<_> = schemas.iter().map(|schema| in_place(*schema)).collect();
    let others: Vec<_> = others.iter().flat_map(|schema| in_place(*schema)).collect();
    match value {
        Value::Object(map) => {
            let is_added = |key: &str| {
                let by_others = is_named(&others, key)
                    || extends && others.iter().any(|(_, part)| !by_pattern(part, key).is_empty());
                let lacks = |parts: &Vec<Within<'_>>| {
                    let named = if extends { &parts[..1] } else { parts };
                    is_closed(parts[0]) && !is_named(named, key)
                };
                by_others && parts.iter().any(lacks)
            };
            let kept = map.iter().filter(|(key, _)| !is_added(key));
            let inside = |(key, value): (&String, &Value)| {
                let (schemas, others) = (member(schemas, key), member(&others, key));
                (key.clone(), without_added(value, &schemas, &others, extends))
            };
            Value::Object(kept.map(inside).collect())
        }
        Value::Array(list) => {
            let inside = |(at, value): (usize, &Value)| {
                without_added(value, &entry(schemas, at), &entry(&others, at), extends)
            };
            list.iter().enumerate().map(inside).collect()
        }
        other => other.clone(),
    }
}

/// What was given, with the defaults: secrets as where they come from.
fn given(mut shown: Value) -> Value {
    match &mut shown {
        Value::String(text) if text == HIDDEN => return json!({"env": "A"}),
        Value::Object(map) => map.values_mut().for_each(|value| *value = given(value.take())),
        Value::Array(list) => list.iter_mut().for_each(|value| *value = given(value.take())),
        _ => {}
    }
    shown
}

fn source() -> SecretSource {
    SecretSource::new("").with_variables([("A", SECRET)])
}

/// Bases, each with what it extends.
type Bases<'a> = [(&'a str, &'a Value, &'a [&'a str])];

fn with(bases: &Bases<'_>) -> Result<Schemas, SchemaError> {
    let mut schemas = Schemas::new();
    for (id, schema, extends) in bases {
        let declared = Declared::new(Value::clone(schema)).extending(extends.iter().copied());
        schemas.add(id.parse().unwrap(), Owner::Component("x".into()), &declared)?;
    }
    Ok(schemas)
}

fn compile(schemas: &Schemas, own: &Value, extends: &[&str]) -> Result<Schema, SchemaError> {
    let declared = Declared::new(own.clone()).extending(extends.iter().copied());
    schemas.compile(Owner::Plugin("own".parse().unwrap()), &declared)
}

fn mentions(schema: &Value, keywords: &[&str]) -> bool {
    let text = schema.to_string();
    keywords.iter().any(|keyword| text.contains(&format!("\"{keyword}\"")))
}

/// That each base which extends nothing takes what all together take, and that its
/// secrets are secret.
fn hold(
    bases: &Bases<'_>,
    own: &Value,
    extends: &[&str],
    values: &[Value],
) -> Result<(), TestCaseError> {
    // Loosened on paper, or with defaults that do not fit: told, and not used.
    let Ok(schemas) = with(bases) else { return Ok(()) };
    let Ok(schema) = compile(&schemas, own, extends) else { return Ok(()) };
    for (id, base, _) in bases.iter().filter(|(.., extends)| extends.is_empty()) {
        let Some(Ok(alone)) = schemas.base(&id.parse().unwrap()) else { continue };
        let validator = jsonschema::draft202012::new(base).unwrap();
        let others = bases.iter().filter(|(other, ..)| other != id).map(|(_, other, _)| *other);
        let others: Vec<_> = others.chain([own]).map(|other| (other, other)).collect();
        for value in values {
            let Ok(settled) = schema.settle(value, &source()) else { continue };
            let part = |of: &Value| without_added(of, &[(base, base)], &others, false);
            let told = || format!("{value} as {}\n{}", settled.shown(), schema.document());
            let exposed = part(&settled.expose_value());
            prop_assert!(validator.is_valid(&exposed), "`{id}` refuses {exposed}: {}", told());
            let secrets: BTreeSet<_> = settled.secrets().cloned().collect();
            for secret in secrets_of(&alone, &part(&given(settled.shown().clone()))) {
                let is_known = secrets.iter().any(|one| secret.steps().starts_with(one.steps()));
                prop_assert!(is_known, "{secret} is plain: {}", told());
            }
        }
    }
    Ok(())
}

/// What a schema takes for secrets, whether they are written as such or not.
fn secrets_of(schema: &Schema, value: &Value) -> Vec<KeyPath> {
    match schema.settle(value, &source()) {
        Ok(settled) => settled.secrets().cloned().collect(),
        Err(unsettled) => {
            let plain = unsettled.problems().iter().filter(|problem| problem.code() == "PB1502");
            plain.map(Problem::path).collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn what_is_taken_the_base_takes(
        base in table(&PLAIN), own in table(&ANY), values in prop::collection::vec(value(), 30)
    ) {
        hold(&[("base", &base, &[])], &own, &["base"], &values)?;
    }

    #[test]
    fn what_is_taken_the_extending_schema_takes(
        base in table(&ANY), own in table(&PLAIN), values in prop::collection::vec(value(), 30)
    ) {
        let schemas = with(&[("base", &base, &[])]).unwrap();
        let Ok(schema) = compile(&schemas, &own, &["base"]) else { return Ok(()) };
        let by_own = jsonschema::draft202012::new(&own).unwrap();
        for value in values {
            let Ok(settled) = schema.settle(&value, &source()) else { continue };
            let part =
                without_added(&settled.expose_value(), &[(&own, &own)], &[(&base, &base)], true);
            prop_assert!(by_own.is_valid(&part), "own refuses {part}\n{}", schema.document());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_taken_each_of_two_bases_takes(
        left in table(&PLAIN), right in table(&PLAIN), own in table(&ANY),
        values in prop::collection::vec(value(), 30)
    ) {
        let bases: &Bases<'_> = &[("left", &left, &[]), ("right", &right, &[])];
        hold(bases, &json!({}), &["left", "right"], &values)?;
        hold(bases, &own, &["left", "right"], &values)?;
    }

    #[test]
    fn what_is_taken_the_bases_base_takes(
        top in table(&PLAIN), middle in table(&ANY), own in table(&ANY),
        values in prop::collection::vec(value(), 30)
    ) {
        let bases: &Bases<'_> = &[("top", &top, &[]), ("middle", &middle, &["top"])];
        hold(bases, &json!({}), &["middle"], &values)?;
        hold(bases, &own, &["middle"], &values)?;
    }

    #[test]
    fn what_has_no_base_is_taken_as_by_any_validator(
        own in table(&ANY), values in prop::collection::vec(value(), 10)
    ) {
        let Ok(schema) = compile(&Schemas::new(), &own, &[]) else { return Ok(()) };
        let validator = jsonschema::draft202012::new(&own).unwrap();
        for value in values {
            match schema.settle(&value, &source()) {
                Ok(settled) => prop_assert!(validator.is_valid(&settled.expose_value())),
                // What is filled in may be wrong by its number, and what is plain is none.
                Err(_) if mentions(&own, &["default", "secret"]) => {}
                Err(unsettled) => prop_assert!(!validator.is_valid(&value), "{unsettled}"),
            }
        }
    }
}

#[test]
fn the_cases_are_neither_all_refused_nor_all_empty() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut compiled, mut taken, mut secret) = (0, 0, 0);
    for _ in 0..150 {
        let base = table(&PLAIN).new_tree(&mut runner).unwrap().current();
        let own = table(&ANY).new_tree(&mut runner).unwrap().current();
        let schemas = with(&[("base", &base, &[])]).unwrap();
        let Ok(schema) = compile(&schemas, &own, &["base"]) else { continue };
        compiled += 1;
        for _ in 0..20 {
            let value = value().new_tree(&mut runner).unwrap().current();
            let Ok(settled) = schema.settle(&value, &source()) else { continue };
            taken += usize::from(settled.shown() != &json!({}));
            secret += settled.secrets().count();
        }
    }
    assert!(
        compiled > 50 && taken > 50 && secret > 2,
        "{compiled} compiled, {taken} taken, {secret} secrets"
    );
}
