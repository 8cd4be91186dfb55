//! All sources that a schema is made of, in one document.
//!
//! Each source stands whole at `/$defs/source.ID` (the schema's own at
//! `/$defs/source`), and is referred to, never copied, where it can be. Where several
//! hold for one place, `allOf` says so: both hold, so nothing is loosened.
//!
//! One thing `allOf` cannot say: `additionalProperties: false` in one source would
//! refuse what another one adds. So for tables that several sources describe, a new
//! schema at `/$defs/merged.N` has the properties of all. What a source says of the keys
//! that it does not know stands beside, with just those that it knows:
//!
//! * a schema there holds for every key that this source neither names nor matches,
//!   whoever else does; for those that others name, together with what they say;
//! * `false` is the one rule that gives way, and only to names. To patterns it does
//!   where they are of a base that this source itself extends.
//!
//! The rest of each source's rules for that table stands in `allOf`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::layer::{Further, IN_PLACE, Keys, Layer, Place};
use super::pattern;
use super::reference::to_place;
use super::sources::Sources;

/// How many tables are merged at most.
const MOST_MERGED: usize = 500;
/// How many keys those have at most, each counted for each schema of its table.
const MOST_KEYS: usize = 100_000;
/// What is said of a table's keys or a list's entries as a whole, and not in `allOf`.
const LIFTED: [&str; 5] =
    ["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "items"];
/// More tables to merge than may be.
#[derive(Debug)]
pub(super) struct TooEntangled;

pub(super) struct Join {
    sources: Sources,
    /// What is made of them, by name.
    made: Map<String, Value>,
    names: HashMap<Vec<Place>, String>,
    /// How many keys were merged.
    keys: usize,
    patterns: HashMap<String, Regex>,
}

impl Join {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, made: Map::new(), names: HashMap::new(), keys: 0, patterns: HashMap::new() }
    }

    /// The document whose top is this source with all that it extends.
    pub(super) fn finish(mut self, source: &str) -> Result<Value, TooEntangled> {
        for (name, line) in self.sources.whole.clone() {
            let whole = self.merge(line.iter().map(|source| Place::top(source)).collect())?;
            self.made.insert(name, whole);
        }
        let line = self.sources.line(source);
        let top = self.merge(line.iter().map(|source| Place::top(source)).collect())?;
        let mut document = match top {
            Value::Object(object) => object,
            other => [("allOf".to_owned(), Value::Array(vec![other]))].into_iter().collect(),
        };
        self.made.extend(self.sources.schemas);
        document.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        document.insert("$defs".into(), Value::Object(self.made));
        Ok(Value::Object(document))
    }

    /// A schema for which all of these hold, the first ones' annotations first.
    fn merge(&mut self, places: Vec<Place>) -> Result<Value, TooEntangled> {
        let mut seen = BTreeSet::new();
        let pointers: Vec<_> = places.iter().map(|place| &place.pointer).collect();
        let pointers: Vec<_> = pointers.into_iter().filter(|at| seen.insert(*at)).collect();
        if let [only] = pointers.as_slice() {
            return Ok(json!({ "$ref": to_place(only) }));
        }
        let layers = self.sources.layers(&places).unwrap_or_default();
        let says = |layer: &&Layer| {
            let has = |keyword: &&str| layer.schema.contains_key(*keyword);
            LIFTED.iter().any(has) || IN_PLACE.iter().any(has)
        };
        if layers.iter().filter(says).count() < 2 {
            let all: Vec<_> = pointers.iter().map(|at| json!({ "$ref": to_place(at) })).collect();
            return Ok(json!({ "allOf": all }));
        }
        if let Some(name) = self.names.get(&places) {
            return Ok(json!({ "$ref": to_place(&format!("/$defs/{name}")) }));
        }
        if self.names.len() >= MOST_MERGED {
            return Err(TooEntangled);
        }
        // The name is known before the content, as schemas may refer to themselves.
        let name = format!("merged.{}", self.names.len());
        self.names.insert(places, name.clone());
        let merged = self.merged(&layers)?;
        self.made.insert(name.clone(), merged);
        Ok(json!({ "$ref": to_place(&format!("/$defs/{name}")) }))
    }

    fn merged(&mut self, layers: &[Layer]) -> Result<Value, TooEntangled> {
        let mut known = Keys::default();
        layers.iter().for_each(|layer| known.add(&layer.schema));
        self.keys += (known.names.len() + known.patterns.len()) * layers.len();
        if self.keys > MOST_KEYS {
            return Err(TooEntangled);
        }
        let mut merged = Map::new();
        self.members(layers, &known, &mut merged)?;
        // Beside `prefixItems` in the same schema `items` means the rest of a list.
        let has_prefix = layers.iter().any(|layer| layer.schema.contains_key("prefixItems"));
        let with: Vec<_> =
            layers.iter().filter(|layer| layer.schema.contains_key("items")).collect();
        if !has_prefix && !with.is_empty() {
            let forbids = |layer: &&Layer| layer.schema.get("items") == Some(&Value::Bool(false));
            let rule = if with.iter().any(forbids) {
                Value::Bool(false)
            } else {
                self.merge(with.iter().map(|layer| layer.place.inside("items", None)).collect())?
            };
            merged.insert("items".into(), rule);
        }
        let mut all = Vec::new();
        for layer in layers {
            all.extend(layer.annotations.iter().cloned());
            let mut rest = layer.schema.clone();
            rest.retain(|keyword, _| {
                // What `items` says leaves nothing for `unevaluatedItems`.
                let is_moot = keyword == "unevaluatedItems" && layer.schema.contains_key("items");
                keyword != "$defs"
                    && keyword != "definitions"
                    && !is_moot
                    && (!LIFTED.contains(&keyword.as_str()) || has_prefix && keyword == "items")
            });
            match layer.further() {
                Further::Anything | Further::Rule(_) => {}
                Further::Nothing => {
                    let open = self.open_to(layer, layers);
                    // Where it says the same for all of them it can stand with them.
                    let place = if open == known { &mut merged } else { &mut rest };
                    place.insert("additionalProperties".into(), Value::Bool(false));
                    if open != known {
                        open.write(&mut rest);
                    }
                }
                Further::Unevaluated(rule) => {
                    let open = match rule {
                        None => self.open_to(layer, layers),
                        Some(_) => layer.keys.clone(),
                    };
                    open.write(&mut rest);
                    let rule = rule.map(|place| json!({ "$ref": to_place(&place.pointer) }));
                    let rule = rule.unwrap_or(Value::Bool(false));
                    rest.insert("unevaluatedProperties".into(), rule);
                }
            }
            if !rest.is_empty() {
                all.push(Value::Object(rest));
            }
        }
        self.rules_for_further_keys(layers, &known, &mut merged, &mut all)?;
        if !all.is_empty() {
            merged.insert("allOf".into(), Value::Array(all));
        }
        Ok(Value::Object(merged))
    }

    /// What all say of the keys and patterns that any of them has.
    fn members(
        &mut self,
        layers: &[Layer],
        known: &Keys,
        merged: &mut Map<String, Value>,
    ) -> Result<(), TooEntangled> {
        let layers: Vec<_> = layers.iter().map(|layer| (layer, self.patterns(layer))).collect();
        let mut properties = Map::new();
        for name in &known.names {
            let places = layers.iter().filter_map(|(layer, patterns)| layer.named(name, patterns));
            properties.insert(name.clone(), self.merge(places.collect())?);
        }
        let mut patterns = Map::new();
        for pattern in &known.patterns {
            let with = layers.iter().filter(|(layer, _)| layer.keys.patterns.contains(pattern));
            let inside = |layer: &Layer| layer.place.inside("patternProperties", Some(pattern));
            let places = with.map(|(layer, _)| inside(layer)).collect();
            patterns.insert(pattern.clone(), self.merge(places)?);
        }
        for (keyword, map) in [("properties", properties), ("patternProperties", patterns)] {
            if !map.is_empty() {
                merged.insert(keyword.into(), Value::Object(map));
            }
        }
        Ok(())
    }

    /// A layer's patterns, ready to match. All were checked with their sources.
    fn patterns(&mut self, layer: &Layer) -> Vec<Regex> {
        let patterns = layer.keys.patterns.iter().filter_map(|text| {
            if !self.patterns.contains_key(text) {
                self.patterns.insert(text.clone(), pattern::compile(text).ok()?);
            }
            self.patterns.get(text).cloned()
        });
        patterns.collect()
    }

    /// What each says of the keys that it does not know. It was said above of those that
    /// others name. Those with the same patterns mean the same keys.
    fn rules_for_further_keys(
        &mut self,
        layers: &[Layer],
        known: &Keys,
        merged: &mut Map<String, Value>,
        all: &mut Vec<Value>,
    ) -> Result<(), TooEntangled> {
        let mut rules: BTreeMap<BTreeSet<String>, Vec<Place>> = BTreeMap::new();
        for layer in layers {
            if let Further::Rule(place) = layer.further() {
                rules.entry(layer.keys.patterns.clone()).or_default().push(place);
            }
        }
        for (patterns, places) in rules {
            let rule = self.merge(places)?;
            if patterns == known.patterns && !merged.contains_key("additionalProperties") {
                merged.insert("additionalProperties".into(), rule);
                continue;
            }
            let mut schema = Map::new();
            Keys { names: known.names.clone(), patterns }.write(&mut schema);
            schema.insert("additionalProperties".into(), rule);
            all.push(Value::Object(schema));
        }
        Ok(())
    }

    /// The keys that a closed layer lets be: its own, and what the others name. What it
    /// has rules for in place, and refuses yet, is nothing that others add.
    fn open_to(&self, layer: &Layer, layers: &[Layer]) -> Keys {
        let mut open = layer.keys.clone();
        for other in layers {
            if self.sources.extends(&layer.place, &other.place) {
                open.names.extend(other.declares.names.iter().cloned());
                open.patterns.extend(other.declares.patterns.iter().cloned());
            } else {
                let added = other.declares.names.difference(&layer.declares.names);
                open.names.extend(added.cloned());
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(sources: Value, extends: &[(&str, &[&str])]) -> Result<Value, TooEntangled> {
        let Value::Object(sources) = sources else { panic!("no sources") };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let extends = extends.iter().map(|(name, bases)| ((*name).to_owned(), names(bases)));
        Join::new(Sources::new(sources.into_iter().collect(), extends.collect())).finish("source")
    }

    #[test]
    fn what_one_source_alone_says_is_referred_to() {
        let sources = json!({"source": {"type": "integer"}, "source.b": {"maximum": 3}});
        let one = joined(sources.clone(), &[]).unwrap();
        assert_eq!(one["$ref"], "#/$defs/source");
        let both = joined(sources, &[("source", &["source.b"])]).unwrap();
        assert_eq!(
            both["allOf"],
            json!([{"$ref": "#/$defs/source"}, {"$ref": "#/$defs/source.b"}])
        );
    }

    #[test]
    fn tables_of_several_sources_have_the_keys_of_all() {
        let sources = json!({
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
        });
        let document = joined(sources, &[("source", &["source.b"])]).unwrap();
        assert_eq!(document["$ref"], "#/$defs/merged.0");
        let it = "#/$defs/source.b/$defs/it/properties";
        assert_eq!(
            document["$defs"]["merged.0"],
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
    fn rules_for_further_keys_stand_beside_what_their_source_knows() {
        let sources = json!({
            "source": {"properties": {"a": {}}, "patternProperties": {"^p": {}}},
            "source.b": {"properties": {"b": {}}, "additionalProperties": {"maximum": 3}},
            "source.c": {"properties": {"c": {}}, "additionalProperties": false}
        });
        let document = joined(sources, &[("source", &["source.b", "source.c"])]).unwrap();
        let further = json!({"$ref": "#/$defs/source.b/additionalProperties"});
        let merged = &document["$defs"]["merged.0"];
        assert_eq!(
            merged["properties"]["a"]["allOf"],
            json!([{"$ref": "#/$defs/source/properties/a"}, further])
        );
        let names = json!({"a": true, "b": true, "c": true});
        assert_eq!(
            merged["allOf"],
            json!([
                {"properties": names, "additionalProperties": false},
                {"properties": names, "additionalProperties": further}
            ])
        );
    }

    #[test]
    fn schemas_that_refer_to_themselves_are_merged_once() {
        let node =
            |name: &str| json!({"properties": {"next": {"$ref": format!("#/$defs/{name}")}}});
        let sources = json!({"source": node("source"), "source.b": node("source.b")});
        let document = joined(sources, &[("source", &["source.b"])]).unwrap();
        let definitions = document["$defs"].as_object().unwrap();
        assert!(definitions.len() <= 4, "{document}");
    }
}
