//! Which schemas a value is looked at by: to find its secrets before it is checked,
//! and to know how long checking takes before it is begun.
//!
//! A value is a secret where any schema that may hold for it says so, also one of
//! several forms: to take one for plain would be worse.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::graph::{Graph, Part, PartId};
use crate::key_path::{KeyPath, Step};

/// How often a schema may be tried on a value, in all.
pub(super) const MOST_TRIES: u64 = 1_000_000;
/// How many schemas are inside of each other while checking. A validator's frames are
/// large: this is a quarter of what two megabytes of stack are enough for.
const DEEPEST_TRIES: usize = 512;

/// What a value's schemas say of it.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Where a secret is.
    pub(super) secrets: BTreeSet<KeyPath>,
    /// Where a secret may be at or below, as pointers.
    pub(super) sensitive: BTreeSet<String>,
    /// The parts that hold for places that could be references to secrets.
    pub(super) holding: HashMap<String, Vec<PartId>>,
    /// How often schemas are tried on it and what is inside of it.
    pub(super) tries: u64,
}

/// More work than a configuration is worth.
#[derive(Debug)]
pub(super) struct TooMuch;

pub(super) fn reach(graph: &Graph, set: &[PartId], value: &Value) -> Result<Reached, TooMuch> {
    let mut walk = Walk {
        graph,
        reached: Reached::default(),
        path: KeyPath::default(),
        tries: HashMap::new(),
    };
    for id in set {
        let tries = walk.part(*id, value, 0)?;
        walk.reached.tries = walk.reached.tries.saturating_add(tries);
    }
    if walk.reached.tries > MOST_TRIES { Err(TooMuch) } else { Ok(walk.reached) }
}

struct Walk<'a> {
    graph: &'a Graph,
    reached: Reached,
    path: KeyPath,
    /// By part, and by the value's address, as equal values are different places.
    tries: HashMap<(PartId, usize), u64>,
}

impl Walk<'_> {
    /// How often schemas are tried on this value and those inside of it.
    fn part(&mut self, id: PartId, value: &Value, depth: usize) -> Result<u64, TooMuch> {
        let key = (id, std::ptr::from_ref(value).addr());
        if let Some(tries) = self.tries.get(&key) {
            return Ok(*tries);
        }
        if depth > DEEPEST_TRIES || self.tries.len() as u64 > MOST_TRIES {
            return Err(TooMuch);
        }
        let Some(part) = self.graph.get(id) else { return Ok(0) };
        self.note(id, part, value);
        let mut tries = 1_u64;
        for next in part.refers.iter().chain(&part.all_of).chain(&part.perhaps) {
            tries = tries.saturating_add(self.part(*next, value, depth + 1)?);
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let mut members = part.named(key);
                    if members.is_empty() {
                        members.extend(part.unevaluated_properties);
                    }
                    if !members.is_empty() {
                        self.path.push(Step::Key(key.clone()));
                        for member in members {
                            tries = tries.saturating_add(self.part(member, value, depth + 1)?);
                        }
                        self.path.pop();
                    }
                    tries = tries.saturating_add(u64::from(part.names.is_some()));
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    let entry = part.prefix.get(at).copied().or(part.items);
                    let entry = entry.or(part.unevaluated_items);
                    self.path.push(Step::Index(at));
                    for entry in entry.into_iter().chain(part.contains) {
                        tries = tries.saturating_add(self.part(entry, value, depth + 1)?);
                    }
                    self.path.pop();
                }
            }
            _ => {}
        }
        self.tries.insert(key, tries);
        Ok(tries)
    }

    fn note(&mut self, id: PartId, part: &Part, value: &Value) {
        if !self.graph.has_secrets() {
            return;
        }
        if value.as_object().is_some_and(|object| {
            object.len() == 1 && (object.contains_key("env") || object.contains_key("file"))
        }) {
            self.reached.holding.entry(self.path.pointer()).or_default().push(id);
        }
        if self.graph.is_secretive(id) {
            self.reached.sensitive.insert(self.path.pointer());
            // Nothing is no secret; whether it may be is the schema's to say.
            if part.secret && !value.is_null() {
                self.reached.secrets.insert(self.path.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(schema: Value, value: &Value) -> Vec<String> {
        let graph = Graph::new(schema, &[]).unwrap();
        let reached = reach(&graph, &[graph.top()], value).unwrap();
        reached.secrets.iter().map(KeyPath::pointer).collect()
    }

    #[test]
    fn secrets_are_found_wherever_they_may_be() {
        let s = json!({"secret": true});
        let schema = json!({
            "properties": {
                "a": s, "b": {"$ref": "#/$defs/s"}, "c": {"items": s}, "d": {"contains": s},
                "e": {"anyOf": [{"type": "integer"}, {"properties": {"x": s}}]},
                "f": {"allOf": [{"patternProperties": {"_key$": s}}]},
                "g": {"additionalProperties": s}, "h": {"prefixItems": [true, s]},
                "i": {"if": {}, "then": s}, "j": {"unevaluatedProperties": s}, "k": {}
            },
            "dependentSchemas": {"a": {"properties": {"l": s}}},
            "$defs": {"s": s}
        });
        let value = json!({
            "a": 1, "b": 1, "c": [1, 1], "d": [1], "e": {"x": 1, "y": 1},
            "f": {"my_key": 1, "my_key_2": 1}, "g": {"x": 1}, "h": [1, 1, 1], "i": 1,
            "j": {"x": null, "y": 1}, "k": 1, "l": 1
        });
        let expected = [
            "/a",
            "/b",
            "/c/0",
            "/c/1",
            "/d/0",
            "/e/x",
            "/f/my_key",
            "/g/x",
            "/h/1",
            "/i",
            "/j/y",
            "/l",
        ];
        assert_eq!(secrets(schema, &value), expected);
    }

    #[test]
    fn work_without_end_is_known_before_it_is_done() {
        // Each level of the value doubles the work.
        let twice = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
        let graph = Graph::new(json!({"properties": {"x": twice}}), &[]).unwrap();
        let nested = |deep: usize| (0..deep).fold(json!(1), |inner, _| json!({"x": inner}));
        assert!(reach(&graph, &[graph.top()], &nested(10)).is_ok());
        assert!(reach(&graph, &[graph.top()], &nested(40)).is_err());
    }
}
