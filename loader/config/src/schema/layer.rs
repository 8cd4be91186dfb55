//! What one source says of a place that several describe.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

use crate::key_path::escaped;

/// What is tried on the same value, but for what is only asked.
pub(super) const IN_PLACE: [&str; 7] =
    ["$ref", "allOf", "anyOf", "oneOf", "then", "else", "dependentSchemas"];

/// A schema in the joined document, and whose word it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) pointer: String,
    /// The source that brings it in; where that refers to a base with all that it
    /// extends, then which of those; and so on.
    pub(super) by: Vec<String>,
}

/// One source's schema for a place.
pub(super) struct Layer {
    /// The schema, references that are nothing more looked through.
    pub(super) schema: Map<String, Value>,
    pub(super) place: Place,
    /// What stood beside those references.
    pub(super) annotations: Vec<Value>,
    /// The keys that it itself has.
    pub(super) keys: Keys,
    /// The same with those of all that it has in place.
    pub(super) declares: Keys,
}

/// Keys of a table: by name, and by pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) names: BTreeSet<String>,
    pub(super) patterns: BTreeSet<String>,
}

/// What a layer says of the keys that it neither names nor matches.
pub(super) enum Further {
    Anything,
    Nothing,
    Rule(Place),
    /// It depends on what stands beside it, and what its subschemas say: `false` or
    /// another rule of `unevaluatedProperties`.
    Unevaluated(Option<Place>),
}

impl Place {
    /// A source's own top.
    pub(super) fn top(source: &str) -> Self {
        Self { pointer: format!("/$defs/{source}"), by: vec![source.to_owned()] }
    }

    /// One inside of this one.
    pub(super) fn inside(&self, keyword: &str, name: Option<&str>) -> Self {
        let mut pointer = format!("{}/{keyword}", self.pointer);
        if let Some(name) = name {
            pointer.push('/');
            pointer.push_str(&escaped(name));
        }
        Self { pointer, by: self.by.clone() }
    }
}

impl Keys {
    /// Those that a schema itself has.
    pub(super) fn add(&mut self, schema: &Map<String, Value>) {
        for (keyword, keys) in
            [("properties", &mut self.names), ("patternProperties", &mut self.patterns)]
        {
            if let Some(Value::Object(map)) = schema.get(keyword) {
                keys.extend(map.keys().cloned());
            }
        }
    }

    /// Says of a schema that these are known to it.
    pub(super) fn write(&self, schema: &mut Map<String, Value>) {
        for (keyword, keys) in [("properties", &self.names), ("patternProperties", &self.patterns)]
        {
            // Without `properties` a validator does not say which key is one too many.
            if keyword == "properties" || !keys.is_empty() {
                let all = keys.iter().map(|key| (key.clone(), Value::Bool(true))).collect();
                schema.insert(keyword.into(), Value::Object(all));
            }
        }
    }
}

impl Layer {
    pub(super) fn further(&self) -> Further {
        let depends = IN_PLACE.iter().any(|keyword| self.schema.contains_key(*keyword));
        // Beside `additionalProperties` nothing is left for the other one.
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            let depends = depends && keyword == "unevaluatedProperties";
            let place = || self.place.inside(keyword, None);
            match self.schema.get(keyword) {
                None => {}
                Some(Value::Bool(true)) => return Further::Anything,
                Some(Value::Bool(false)) if depends => return Further::Unevaluated(None),
                Some(Value::Bool(false)) => return Further::Nothing,
                Some(_) if depends => return Further::Unevaluated(Some(place())),
                Some(_) => return Further::Rule(place()),
            }
        }
        Further::Anything
    }

    /// What it says of a key that no pattern of its own says: by name, or as one of those
    /// that it does not know.
    pub(super) fn named(&self, key: &str, patterns: &[Regex]) -> Option<Place> {
        if self.keys.names.contains(key) {
            return Some(self.place.inside("properties", Some(key)));
        }
        match self.further() {
            Further::Rule(place) if !patterns.iter().any(|one| one.is_match(key)) => Some(place),
            _ => None,
        }
    }
}
