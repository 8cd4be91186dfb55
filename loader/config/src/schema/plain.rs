//! Values that fit for certain, as far as that can be seen without a validator: most
//! defaults are a number, a word, or a table of those. Making a validator for them
//! would take longer than all the rest.

use serde_json::{Map, Value};

use super::graph::{Graph, PartId};

/// Whole numbers up to here are told apart by `f64` as well.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether the value fits for certain. Where it does not, or a keyword is there that is
/// not looked at here, the answer is no, and the validator has to say.
pub(super) fn fits(graph: &Graph, set: &[PartId], value: &Value) -> bool {
    set.iter().all(|id| graph.keywords(*id).is_some_and(|schema| rules(graph, *id, schema, value)))
        && match value {
            Value::Object(map) => map.iter().all(|(key, value)| {
                let member = graph.member(set, key);
                member.is_empty() || fits(graph, &member, value)
            }),
            Value::Array(_) => false,
            _ => true,
        }
}

fn rules(graph: &Graph, id: PartId, schema: &Map<String, Value>, value: &Value) -> bool {
    schema.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$comment" | "$defs" | "default" | "definitions" | "deprecated" | "description"
        | "examples" | "readOnly" | "secret" | "title" | "writeOnly" => true,
        // What these lead to is in the set by itself.
        "$ref" | "allOf" | "properties" => true,
        "type" => is_type(rule, value),
        "const" => rule == value,
        "enum" => rule.as_array().is_some_and(|options| options.contains(value)),
        "minimum" => limit(rule, value, |value, limit| value >= limit),
        "maximum" => limit(rule, value, |value, limit| value <= limit),
        "exclusiveMinimum" => limit(rule, value, |value, limit| value > limit),
        "exclusiveMaximum" => limit(rule, value, |value, limit| value < limit),
        "minLength" => length(rule, value, |length, limit| length >= limit),
        "maxLength" => length(rule, value, |length, limit| length <= limit),
        "required" => match (rule, value) {
            (Value::Array(keys), Value::Object(map)) => {
                keys.iter().filter_map(Value::as_str).all(|key| map.contains_key(key))
            }
            _ => false,
        },
        "additionalProperties" => match (graph.get(id), value) {
            (Some(part), Value::Object(map)) => {
                map.keys().all(|key| part.properties.contains_key(key))
            }
            _ => false,
        },
        _ => false,
    })
}

fn is_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("object") => value.is_object(),
        _ => false,
    };
    match rule {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

fn limit(rule: &Value, value: &Value, fits: fn(f64, f64) -> bool) -> bool {
    match (rule.as_f64(), value.as_f64()) {
        (Some(limit), Some(value)) => {
            limit.abs() < EXACT && value.abs() < EXACT && fits(value, limit)
        }
        _ => false,
    }
}

fn length(rule: &Value, value: &Value, fits: fn(u64, u64) -> bool) -> bool {
    match (rule.as_u64(), value.as_str()) {
        (Some(limit), Some(text)) => fits(text.chars().count() as u64, limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn certain(schema: Value, value: &Value) -> bool {
        let graph = Graph::new(schema, &[]).unwrap();
        fits(&graph, &graph.definite(graph.top()), value)
    }

    #[test]
    fn what_is_plain_is_seen() {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "maximum": 3},
                "w": {"$ref": "#/$defs/w", "maxLength": 2}
            },
            "required": ["n"],
            "additionalProperties": false,
            "$defs": {"w": {"enum": ["a", "bcd"]}}
        });
        assert!(certain(schema.clone(), &json!({"n": 1, "w": "a"})));
        for other in [
            json!({"n": 0}),
            json!({"w": "a"}),
            json!({"n": 1, "w": "bcd"}),
            json!({"n": 1, "x": 1}),
        ] {
            assert!(!certain(schema.clone(), &other), "{other}");
        }
        assert!(!certain(json!({"anyOf": [true]}), &json!(1)));
        // The next whole number is the same to a float.
        let large = 9_007_199_254_740_992_u64;
        assert!(!certain(json!({"minimum": large + 1}), &json!(large)));
    }

    fn rule() -> impl Strategy<Value = (String, Value)> {
        let limit =
            prop_oneof![(-2..4_i64).prop_map(Value::from), Just(json!(1.5)), Just(json!(1e300))];
        prop_oneof![
            (
                prop::sample::select(vec![
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum"
                ]),
                limit
            )
                .prop_map(|(keyword, limit)| (keyword.into(), limit)),
            (prop::sample::select(vec!["minLength", "maxLength"]), 0..3_u64)
                .prop_map(|(keyword, limit)| (keyword.into(), json!(limit))),
            prop::sample::select(vec!["integer", "number", "string", "object", "null", "boolean"])
                .prop_map(|name| ("type".into(), json!(name))),
            prop::collection::vec(leaf(), 1..3).prop_map(|options| ("enum".into(), json!(options))),
            leaf().prop_map(|only| ("const".into(), only)),
            Just(("required".into(), json!(["a"]))),
            any::<bool>().prop_map(|any| ("additionalProperties".into(), json!(any))),
        ]
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-2..4_i64).prop_map(Value::from),
            Just(json!(1.0)),
            Just(json!(1e300)),
            Just(json!(u64::MAX)),
            "[aä]{0,3}".prop_map(Value::from),
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
        ]
    }

    fn schema() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[ab]", prop::collection::vec(rule(), 0..3), 0..3).prop_map(
            |properties| {
                let table = |rules: Vec<(String, Value)>| rules.into_iter().collect::<Map<_, _>>();
                let properties: Map<_, _> =
                    properties.into_iter().map(|(key, rules)| (key, table(rules).into())).collect();
                json!({"properties": properties})
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_certain_the_validator_takes(
            table in schema(),
            rules in prop::collection::vec(rule(), 0..3),
            value in prop_oneof![
                leaf(),
                prop::collection::btree_map("[abc]", leaf(), 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ],
        ) {
            let mut schema = table;
            for (keyword, rule) in rules {
                schema[keyword] = rule;
            }
            if certain(schema.clone(), &value) {
                let validator = jsonschema::draft202012::new(&schema).unwrap();
                prop_assert!(validator.is_valid(&value), "{schema} {value}");
            }
        }
    }
}
