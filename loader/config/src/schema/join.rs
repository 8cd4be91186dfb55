//! All sources that a schema is made of, in one document.
//!
//! Each source stands whole at `/$defs/source.ID` (the schema's own at
//! `/$defs/source`), and is referred to, never copied, where it can be. Where several
//! hold for one place, `allOf` says so: both hold, so nothing is loosened.
//!
//! One thing `allOf` cannot say: `additionalProperties: false` in one source would
//! refuse what another one adds. So for tables that several sources describe, a new
//! schema at `/$defs/merged.N` has the properties of all, and what each says of further
//! ones holds for what none of them names. The rest of each source's rules for that
//! table stands beside, as `allOf`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::reference::{Reference, to_place};
use crate::key_path::escaped;

/// How many tables are merged at most.
const MOST_MERGED: usize = 500;
/// How many references in a row are looked through.
const MOST_STEPS: usize = 32;

/// What is said of a table's keys or a list's entries as a whole, and not in `allOf`.
const LIFTED: [&str; 5] =
    ["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "items"];
/// What a schema may have beside a `$ref` that is looked through.
const ANNOTATIONS: [&str; 11] = [
    "$comment",
    "$defs",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "secret",
    "title",
    "writeOnly",
];

/// More tables to merge than may be.
#[derive(Debug)]
pub(super) struct TooEntangled;

pub(super) struct Join {
    /// The document's definitions: sources at first, and then what is merged.
    definitions: Map<String, Value>,
    names: HashMap<Vec<String>, String>,
}

/// One source's schema for a place.
struct Layer {
    /// The schema, references that are nothing more looked through.
    schema: Map<String, Value>,
    /// Where that is.
    pointer: String,
    /// What stood beside those references.
    annotations: Vec<Value>,
}

impl Join {
    /// The sources by their names in `/$defs`.
    pub(super) fn new(sources: BTreeMap<String, Value>) -> Self {
        Self { definitions: sources.into_iter().collect(), names: HashMap::new() }
    }

    /// Gives a schema a name of its own, for references to it.
    pub(super) fn define(&mut self, name: &str, schema: Value) {
        self.definitions.insert(name.to_owned(), schema);
    }

    /// The document whose top is this schema.
    pub(super) fn finish(self, top: Value) -> Value {
        let mut document = match top {
            Value::Object(object) => object,
            other => [("allOf".to_owned(), Value::Array(vec![other]))].into_iter().collect(),
        };
        document.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        document.insert("$defs".into(), Value::Object(self.definitions));
        Value::Object(document)
    }

    /// A schema for which all of these hold, the first ones' annotations first.
    pub(super) fn merge(&mut self, pointers: Vec<String>) -> Result<Value, TooEntangled> {
        let mut seen = BTreeSet::new();
        let pointers: Vec<_> =
            pointers.into_iter().filter(|pointer| seen.insert(pointer.clone())).collect();
        if let [only] = pointers.as_slice() {
            return Ok(json!({ "$ref": to_place(only) }));
        }
        let layers: Vec<_> = pointers.iter().filter_map(|pointer| self.layer(pointer)).collect();
        let lifts =
            |layer: &&Layer| LIFTED.iter().any(|keyword| layer.schema.contains_key(*keyword));
        if layers.len() < pointers.len() || layers.iter().filter(lifts).count() < 2 {
            let all: Vec<_> = pointers.iter().map(|at| json!({ "$ref": to_place(at) })).collect();
            return Ok(json!({ "allOf": all }));
        }
        if let Some(name) = self.names.get(&pointers) {
            return Ok(json!({ "$ref": to_place(&format!("/$defs/{name}")) }));
        }
        if self.names.len() >= MOST_MERGED {
            return Err(TooEntangled);
        }
        // The name is known before the content, as schemas may refer to themselves.
        let name = format!("merged.{}", self.names.len());
        self.names.insert(pointers, name.clone());
        let merged = self.merged(&layers)?;
        self.definitions.insert(name.clone(), merged);
        Ok(json!({ "$ref": to_place(&format!("/$defs/{name}")) }))
    }

    fn merged(&mut self, layers: &[Layer]) -> Result<Value, TooEntangled> {
        let mut merged = Map::new();
        for keyword in ["properties", "patternProperties"] {
            let mut names: BTreeMap<&String, Vec<String>> = BTreeMap::new();
            for layer in layers {
                let Some(Value::Object(map)) = layer.schema.get(keyword) else { continue };
                for name in map.keys() {
                    let pointer = format!("{}/{keyword}/{}", layer.pointer, escaped(name));
                    names.entry(name).or_default().push(pointer);
                }
            }
            let mut map = Map::new();
            for (name, pointers) in names {
                map.insert(name.clone(), self.merge(pointers)?);
            }
            if !map.is_empty() {
                merged.insert(keyword.into(), Value::Object(map));
            }
        }
        // Beside `prefixItems` in the same schema `items` means the rest of a list.
        let has_prefix = layers.iter().any(|layer| layer.schema.contains_key("prefixItems"));
        let mut rests = vec!["additionalProperties", "unevaluatedProperties"];
        if !has_prefix {
            rests.push("items");
        }
        for keyword in rests {
            let with = || layers.iter().filter(|layer| layer.schema.contains_key(keyword));
            let forbids = |layer: &Layer| layer.schema.get(keyword) == Some(&Value::Bool(false));
            let rule = if with().any(forbids) {
                Value::Bool(false)
            } else {
                let pointers: Vec<_> =
                    with().map(|layer| format!("{}/{keyword}", layer.pointer)).collect();
                if pointers.is_empty() {
                    continue;
                }
                self.merge(pointers)?
            };
            merged.insert(keyword.into(), rule);
        }
        let mut all = Vec::new();
        for layer in layers {
            all.extend(layer.annotations.iter().cloned());
            let mut rest = layer.schema.clone();
            rest.retain(|keyword, _| {
                keyword != "$defs"
                    && keyword != "definitions"
                    && (!LIFTED.contains(&keyword.as_str()) || has_prefix && keyword == "items")
            });
            if !rest.is_empty() {
                all.push(Value::Object(rest));
            }
        }
        if !all.is_empty() {
            merged.insert("allOf".into(), Value::Array(all));
        }
        Ok(Value::Object(merged))
    }

    /// None for `true` and `false`, and where references go on and on.
    fn layer(&self, pointer: &str) -> Option<Layer> {
        let mut pointer = pointer.to_owned();
        let mut annotations = Vec::new();
        for _ in 0..MOST_STEPS {
            let schema = self.at(&pointer)?.as_object()?;
            let reference = schema.get("$ref").and_then(Value::as_str);
            let is_alone =
                |keyword: &String| keyword == "$ref" || ANNOTATIONS.contains(&keyword.as_str());
            let Some(reference) = reference.filter(|_| schema.keys().all(is_alone)) else {
                return Some(Layer { schema: schema.clone(), pointer, annotations });
            };
            let mut beside = schema.clone();
            beside
                .retain(|keyword, _| !matches!(keyword.as_str(), "$ref" | "$defs" | "definitions"));
            if !beside.is_empty() {
                annotations.push(Value::Object(beside));
            }
            pointer = Reference::parse(reference).ok()?.pointer;
        }
        None
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        let rest = pointer.strip_prefix("/$defs/")?;
        // Names of definitions have nothing in them that pointers escape.
        let (name, inside) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        self.definitions.get(name)?.pointer(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(sources: Value) -> Join {
        let Value::Object(sources) = sources else { panic!("no sources") };
        Join::new(sources.into_iter().collect())
    }

    #[test]
    fn what_one_source_alone_says_is_referred_to() {
        let mut join = join(json!({"source": {"type": "integer"}, "source.b": {"maximum": 3}}));
        let at = |name: &str| format!("/$defs/{name}");
        let one = join.merge(vec![at("source"), at("source")]).unwrap();
        assert_eq!(one, json!({"$ref": "#/$defs/source"}));
        let both = join.merge(vec![at("source"), at("source.b")]).unwrap();
        assert_eq!(
            both,
            json!({"allOf": [{"$ref": "#/$defs/source"}, {"$ref": "#/$defs/source.b"}]})
        );
    }

    #[test]
    fn tables_of_several_sources_have_the_keys_of_all() {
        let mut join = join(json!({
            "source": {"properties": {"a": {}, "b": {"maximum": 3}}, "required": ["a"]},
            "source.b": {
                "$ref": "#/$defs/source.b/$defs/it",
                "description": "beside",
                "$defs": {"it": {
                    "properties": {"b": true, "c": {}},
                    "additionalProperties": false,
                    "minProperties": 1
                }}
            }
        }));
        let merged = join.merge(vec!["/$defs/source".into(), "/$defs/source.b".into()]).unwrap();
        assert_eq!(merged, json!({"$ref": "#/$defs/merged.0"}));
        let it = "#/$defs/source.b/$defs/it/properties";
        assert_eq!(
            join.definitions["merged.0"],
            json!({
                "properties": {
                    "a": {"$ref": "#/$defs/source/properties/a"},
                    "b": {"allOf": [
                        {"$ref": "#/$defs/source/properties/b"}, {"$ref": format!("{it}/b")}
                    ]},
                    "c": {"$ref": format!("{it}/c")}
                },
                "additionalProperties": false,
                "allOf": [{"required": ["a"]}, {"description": "beside"}, {"minProperties": 1}]
            })
        );
    }

    #[test]
    fn schemas_that_refer_to_themselves_are_merged_once() {
        let node =
            |name: &str| json!({"properties": {"next": {"$ref": format!("#/$defs/{name}")}}});
        let mut join = join(json!({"source": node("source"), "source.b": node("source.b")}));
        join.merge(vec!["/$defs/source".into(), "/$defs/source.b".into()]).unwrap();
        assert!(join.names.len() <= 2, "{:?}", join.names);
    }
}
