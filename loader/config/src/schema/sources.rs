//! The sources that a joined schema is made of, and what each says of a place: references
//! that are nothing more looked through.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::layer::{IN_PLACE, Keys, Layer, Place};
use super::reference::Reference;
use crate::key_path::escaped;

/// How many references are looked through for one place.
const MOST_STEPS: usize = 64;
/// How many schemas in one place are searched for names. More are refused later.
const MOST_IN_PLACE: usize = 1_000;

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

/// All sources, by their names in the document's `$defs`.
pub(super) struct Sources {
    pub(super) schemas: BTreeMap<String, Value>,
    /// Which others each one extends, also through others, the nearest first.
    extends: HashMap<String, Vec<String>>,
    /// By name, the sources that stand for a base with all that it extends.
    pub(super) whole: BTreeMap<String, Vec<String>>,
}

impl Sources {
    /// The schemas by their names; and of those that extend others which, the nearest
    /// first.
    pub(super) fn new(
        schemas: BTreeMap<String, Value>,
        extends: HashMap<String, Vec<String>>,
    ) -> Self {
        Self { schemas, extends, whole: BTreeMap::new() }
    }

    /// Gives a source with all that it extends a name, for references to them.
    pub(super) fn define(&mut self, name: &str, source: &str) {
        self.whole.insert(name.to_owned(), self.line(source));
    }

    /// A source and all that it extends.
    pub(super) fn line(&self, source: &str) -> Vec<String> {
        let extends = self.extends.get(source).into_iter().flatten().cloned();
        std::iter::once(source.to_owned()).chain(extends).collect()
    }

    /// Whether the source of one extends that of the other.
    pub(super) fn extends(&self, one: &Place, other: &Place) -> bool {
        let differ = one.by.iter().zip(&other.by).find(|(one, other)| one != other);
        differ.is_some_and(|(one, other)| {
            self.extends.get(one).is_some_and(|bases| bases.contains(other))
        })
    }

    /// What the sources say at these places; none where references go on and on, and
    /// where nothing may be.
    pub(super) fn layers(&self, places: &[Place]) -> Option<Vec<Layer>> {
        let mut layers = Vec::new();
        let mut steps = 0;
        for place in places {
            self.add_layers(place.clone(), Vec::new(), &mut steps, &mut layers)?;
        }
        Some(layers)
    }

    fn add_layers(
        &self,
        mut place: Place,
        mut annotations: Vec<Value>,
        steps: &mut usize,
        layers: &mut Vec<Layer>,
    ) -> Option<()> {
        loop {
            *steps += 1;
            if *steps > MOST_STEPS {
                return None;
            }
            if let Some(line) = self.whole_at(&place.pointer) {
                for source in line {
                    let mut inner = Place::top(source);
                    inner.by.splice(0..0, place.by.iter().cloned());
                    self.add_layers(inner, std::mem::take(&mut annotations), steps, layers)?;
                }
                return Some(());
            }
            let empty = Map::new();
            let schema = match self.at(&place.pointer)? {
                Value::Object(schema) => schema,
                Value::Bool(true) => &empty,
                _ => return None,
            };
            let reference = schema.get("$ref").and_then(Value::as_str);
            let is_alone =
                |keyword: &String| keyword == "$ref" || ANNOTATIONS.contains(&keyword.as_str());
            let Some(reference) = reference.filter(|_| schema.keys().all(is_alone)) else {
                let mut keys = Keys::default();
                keys.add(schema);
                let declares = self.declared(&place.pointer);
                layers.push(Layer { schema: schema.clone(), place, annotations, keys, declares });
                return Some(());
            };
            let mut beside = schema.clone();
            beside
                .retain(|keyword, _| !matches!(keyword.as_str(), "$ref" | "$defs" | "definitions"));
            if !beside.is_empty() {
                annotations.push(Value::Object(beside));
            }
            place.pointer = Reference::parse(reference).ok()?.pointer;
        }
    }

    /// The keys of a schema and of all that it has in place.
    fn declared(&self, pointer: &str) -> Keys {
        let mut keys = Keys::default();
        let (mut waiting, mut seen) = (vec![pointer.to_owned()], BTreeSet::new());
        while let Some(at) = waiting.pop() {
            if seen.len() > MOST_IN_PLACE || !seen.insert(at.clone()) {
                continue;
            }
            if let Some(line) = self.whole_at(&at) {
                waiting.extend(line.iter().map(|source| Place::top(source).pointer));
                continue;
            }
            let Some(Value::Object(schema)) = self.at(&at) else { continue };
            keys.add(schema);
            for keyword in IN_PLACE {
                let inside = format!("{at}/{keyword}");
                match schema.get(keyword) {
                    Some(Value::String(text)) => {
                        waiting.extend(Reference::parse(text).ok().map(|to| to.pointer));
                    }
                    Some(Value::Array(list)) => {
                        waiting.extend((0..list.len()).map(|index| format!("{inside}/{index}")));
                    }
                    Some(Value::Object(map)) if keyword == "dependentSchemas" => {
                        waiting.extend(map.keys().map(|key| format!("{inside}/{}", escaped(key))));
                    }
                    Some(Value::Object(_)) => waiting.push(inside),
                    _ => {}
                }
            }
        }
        keys
    }

    fn whole_at(&self, pointer: &str) -> Option<&Vec<String>> {
        self.whole.get(pointer.strip_prefix("/$defs/")?)
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        let rest = pointer.strip_prefix("/$defs/")?;
        // Names of definitions have nothing in them that pointers escape.
        let (name, inside) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        self.schemas.get(name)?.pointer(inside)
    }
}
