//! Which keywords of JSON Schema 2020-12 have schemas in them. What stands under any
//! other keyword is data, also where it looks like a schema.

use serde_json::{Map, Value};

use crate::key_path::escaped;

/// How a keyword holds schemas.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    One,
    List,
    Map,
}

const KEYWORDS: [(&str, Holds); 20] = [
    ("$defs", Holds::Map),
    ("definitions", Holds::Map),
    ("allOf", Holds::List),
    ("anyOf", Holds::List),
    ("oneOf", Holds::List),
    ("not", Holds::One),
    ("if", Holds::One),
    ("then", Holds::One),
    ("else", Holds::One),
    ("dependentSchemas", Holds::Map),
    ("properties", Holds::Map),
    ("patternProperties", Holds::Map),
    ("additionalProperties", Holds::One),
    ("unevaluatedProperties", Holds::One),
    ("propertyNames", Holds::One),
    ("prefixItems", Holds::List),
    ("items", Holds::One),
    ("unevaluatedItems", Holds::One),
    ("contains", Holds::One),
    ("contentSchema", Holds::One),
];

/// The schemas directly inside of one, each with the pointer that leads to it.
pub(super) fn inside(schema: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (keyword, holds) in KEYWORDS {
        let Some(value) = schema.get(keyword) else { continue };
        match (holds, value) {
            (Holds::One, value) => found.push((format!("/{keyword}"), value)),
            (Holds::List, Value::Array(list)) => {
                for (at, value) in list.iter().enumerate() {
                    found.push((format!("/{keyword}/{at}"), value));
                }
            }
            (Holds::Map, Value::Object(map)) => {
                for (name, value) in map {
                    found.push((format!("/{keyword}/{}", escaped(name)), value));
                }
            }
            _ => {}
        }
    }
    found
}

/// Calls `change` for every schema object in one, itself included.
pub(super) fn for_each(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    change(object);
    for (keyword, holds) in KEYWORDS {
        match (holds, object.get_mut(keyword)) {
            (Holds::One, Some(value)) => for_each(value, change),
            (Holds::List, Some(Value::Array(list))) => {
                list.iter_mut().for_each(|value| for_each(value, change));
            }
            (Holds::Map, Some(Value::Object(map))) => {
                map.values_mut().for_each(|value| for_each(value, change));
            }
            _ => {}
        }
    }
}
