//! Whatever an extending schema says: what it takes, its bases take.
#![allow(missing_docs)]

use plugbay_config::schema::{Declared, Owner, Schema, SchemaError, Schemas, SecretSource};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scalar_schema() -> impl Strategy<Value = Value> {
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
        Just(json!(true)),
        Just(json!(false)),
    ]
}

fn schema(depth: u32) -> impl Strategy<Value = Value> {
    scalar_schema().prop_recursive(depth, 16, 3, |inner| {
        let table = (
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4),
            prop::option::of(prop_oneof![
                Just(json!(false)),
                Just(json!({"type": "integer"})),
                Just(json!(true))
            ]),
            prop::collection::vec("[a-c]", 0..2),
            any::<bool>(),
            prop::option::of(inner.clone()),
        );
        prop_oneof![
            3 => table.prop_map(|(properties, additional, required, named, pattern)| {
                let mut schema = json!({"properties": &properties});
                if named {
                    schema["type"] = json!("object");
                }
                if let Some(additional) = additional {
                    schema["additionalProperties"] = additional;
                }
                if let Some(pattern) = pattern {
                    schema["patternProperties"] = json!({"^[de]": pattern});
                }
                let mut required = required;
                required.retain(|key| properties.contains_key(key));
                required.dedup();
                schema["required"] = json!(required);
                schema
            }),
            1 => (inner.clone(), 0..4_u64).prop_map(|(items, most)| json!({"items": items, "maxItems": most})),
            1 => inner.prop_map(|schema| json!({"allOf": [schema]})),
        ]
    })
}

fn table() -> impl Strategy<Value = Value> {
    schema(3).prop_filter("a table", |schema| schema.get("properties").is_some()).prop_map(
        |mut schema| {
            schema["$defs"] = json!({"small": {"maximum": 2}});
            schema
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![(0..6_i64).prop_map(Value::from), "[ab]{0,3}".prop_map(Value::from)];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            2 => prop::collection::btree_map("[a-e]", inner.clone(), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    });
    prop::collection::btree_map("[a-e]", value, 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
}

/// What a base says of keys that it does not name holds for what nobody names: so it is
/// asked about the keys that it names, as deep as it describes tables and lists.
fn own_part(value: &Value, schemas: &[&Value]) -> Value {
    match value {
        Value::Object(map) => {
            let tables: Vec<_> =
                schemas.iter().filter(|of| of.get("properties").is_some()).collect();
            if tables.is_empty() {
                return value.clone();
            }
            let named = |(key, value): (&String, &Value)| {
                let declared = tables.iter().filter_map(|of| of["properties"].get(key));
                let patterns = tables.iter().filter_map(|of| {
                    key.starts_with(['d', 'e']).then(|| of.pointer("/patternProperties/^[de]"))?
                });
                let schemas: Vec<_> = declared.chain(patterns).collect();
                (!schemas.is_empty()).then(|| (key.clone(), own_part(value, &schemas)))
            };
            Value::Object(map.iter().filter_map(named).collect())
        }
        Value::Array(list) => {
            let items: Vec<_> = schemas.iter().filter_map(|of| of.get("items")).collect();
            list.iter().map(|value| own_part(value, &items)).collect()
        }
        other => other.clone(),
    }
}

fn compile(base: &Value, own: &Value) -> Result<Schema, SchemaError> {
    let mut schemas = Schemas::new();
    let host = Owner::Component("x".into());
    schemas.add("base".parse().unwrap(), host, &Declared::new(base.clone()))?;
    let declared = Declared::new(own.clone()).extending(["base"]);
    schemas.compile(Owner::Plugin("own".parse().unwrap()), &declared)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_the_base_takes(
        base in table(), own in table(), values in prop::collection::vec(value(), 30)
    ) {
        // Loosened on paper, or with defaults that do not fit: told, and not used.
        let Ok(schema) = compile(&base, &own) else { return Ok(()) };
        let by_base = jsonschema::draft202012::new(&base).unwrap();
        let by_own = jsonschema::draft202012::new(&own).unwrap();
        for value in values {
            let Ok(settled) = schema.settle(&value, &SecretSource::new("")) else { continue };
            let part = own_part(settled.shown(), &[&base]);
            prop_assert!(by_base.is_valid(&part), "the base refuses {part}\n{}", schema.document());
            let part = own_part(settled.shown(), &[&own]);
            prop_assert!(by_own.is_valid(&part), "the own schema refuses {part}");
        }
    }

    #[test]
    fn what_has_no_base_is_taken_as_by_any_validator(own in table(), values in prop::collection::vec(value(), 10)) {
        let owner = Owner::Plugin("own".parse().unwrap());
        let Ok(schema) = Schemas::new().compile(owner, &Declared::new(own.clone())) else {
            return Ok(());
        };
        let validator = jsonschema::draft202012::new(&own).unwrap();
        for value in values {
            match schema.settle(&value, &SecretSource::new("")) {
                Ok(settled) => prop_assert!(validator.is_valid(settled.shown())),
                // Defaults may make what was wrong right, and never the other way round.
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
    let (mut compiled, mut taken) = (0, 0);
    for _ in 0..300 {
        let base = table().new_tree(&mut runner).unwrap().current();
        let own = table().new_tree(&mut runner).unwrap().current();
        let Ok(schema) = compile(&base, &own) else { continue };
        compiled += 1;
        for _ in 0..10 {
            let value = value().new_tree(&mut runner).unwrap().current();
            taken += usize::from(schema.settle(&value, &SecretSource::new("")).is_ok());
        }
    }
    assert!(compiled > 50 && taken > 20, "{compiled} compiled, {taken} taken");
}
