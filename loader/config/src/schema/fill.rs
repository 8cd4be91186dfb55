//! Defaults.
//!
//! A key that is absent gets the first default that is declared for it for sure: by a
//! schema itself before what it refers to, by that before its `allOf`, and by an
//! extending schema before its bases. What stands in `anyOf`, `oneOf`, `if` and the
//! like is not for sure.
//!
//! An absent table that has no default of its own is made
//!
//! * if it is required; then whatever is missing inside of it is told by its own name;
//! * otherwise if the defaults of its keys alone make it right, and put something in.
//!
//! What is there is never changed, also where it is `null`. Inside of what is there,
//! and of defaults, it goes on: keys of tables, and entries of lists.

use serde_json::{Map, Value};

use super::graph::{Graph, PartId};
use crate::document::DEEPEST;

/// How many values defaults may add.
const MOST: usize = 10_000;

/// More defaults than may be.
#[derive(Debug)]
pub(super) struct TooMuch;

/// Fills in what is absent in a value for which `set` holds.
pub(super) fn fill(graph: &Graph, set: &[PartId], value: &mut Value) -> Result<(), TooMuch> {
    Filling { graph, making: Vec::new(), added: 0 }.value(set, value, 0)
}

/// The table that defaults alone make where there is none; none if they do not.
pub(super) fn made(graph: &Graph, set: &[PartId]) -> Result<Option<Value>, TooMuch> {
    let mut filling = Filling { graph, making: vec![set.to_vec()], added: 0 };
    let value = filling.table(set, 0)?;
    Ok(value.filter(|value| filling.is_right(set, value)))
}

struct Filling<'a> {
    graph: &'a Graph,
    /// What is being made out of nothing: not again inside of itself.
    making: Vec<Vec<PartId>>,
    added: usize,
}

impl Filling<'_> {
    fn value(&mut self, set: &[PartId], value: &mut Value, depth: usize) -> Result<(), TooMuch> {
        if depth > DEEPEST {
            return Err(TooMuch);
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object.iter_mut() {
                    let member = self.graph.member(set, key);
                    if !member.is_empty() {
                        self.value(&member, value, depth + 1)?;
                    }
                }
                for id in set {
                    let Some(part) = self.graph.get(*id) else { continue };
                    for key in part.properties.keys() {
                        if !object.contains_key(key)
                            && let Some(value) = self.absent(set, key, depth + 1)?
                        {
                            object.insert(key.clone(), value);
                        }
                    }
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter_mut().enumerate() {
                    let entry = self.graph.entry(set, at);
                    if !entry.is_empty() {
                        self.value(&entry, value, depth + 1)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn absent(
        &mut self,
        set: &[PartId],
        key: &str,
        depth: usize,
    ) -> Result<Option<Value>, TooMuch> {
        let member = self.graph.member(set, key);
        if self.making.contains(&member) {
            return Ok(None);
        }
        if let Some(default) = self.graph.default(&member) {
            let mut value = default.clone();
            self.added += values(&value);
            if self.added > MOST {
                return Err(TooMuch);
            }
            self.making.push(member.clone());
            self.value(&member, &mut value, depth)?;
            self.making.pop();
            return Ok(Some(value));
        }
        self.making.push(member.clone());
        let value = self.table(&member, depth)?;
        self.making.pop();
        let requires = |id: &PartId| {
            self.graph.get(*id).is_some_and(|part| part.required.iter().any(|one| one == key))
        };
        Ok(value.filter(|value| set.iter().any(requires) || self.is_right(&member, value)))
    }

    /// A table with nothing but defaults in it; none where no table is declared.
    fn table(&mut self, set: &[PartId], depth: usize) -> Result<Option<Value>, TooMuch> {
        let parts = || set.iter().filter_map(|id| self.graph.get(*id));
        let is_table = parts().any(|part| part.is_only("object"))
            || parts().any(|part| !part.properties.is_empty())
                && parts().all(|part| part.types.is_none());
        if !is_table {
            return Ok(None);
        }
        self.added += 1;
        if self.added > MOST {
            return Err(TooMuch);
        }
        let mut value = Value::Object(Map::new());
        self.value(set, &mut value, depth)?;
        Ok(Some(value))
    }

    /// Whether a table that was made may be put in where nobody requires it.
    fn is_right(&self, set: &[PartId], made: &Value) -> bool {
        let Value::Object(made) = made else { return false };
        let parts = set.iter().filter_map(|id| self.graph.get(*id));
        let mut needed = parts.flat_map(|part| &part.required);
        !made.is_empty()
            && needed.all(|key| made.contains_key(key))
            && !self.graph.is_never_made(set)
    }
}

fn values(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(values).sum::<usize>() + 1,
        Value::Object(map) => map.values().map(values).sum::<usize>() + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(schema: Value, mut value: Value) -> Value {
        let graph = Graph::new(schema, &[]).unwrap();
        fill(&graph, &graph.definite(graph.top()), &mut value).unwrap();
        value
    }

    #[test]
    fn what_is_absent_gets_its_default_and_what_is_there_stays() {
        let schema = json!({"properties": {
            "a": {"default": 1}, "b": {"default": {"x": [1]}}, "c": {}, "d": {"default": 4}
        }});
        let expected = json!({"a": 1, "b": {"x": [1]}, "d": null});
        assert_eq!(filled(schema, json!({"d": null})), expected);
    }

    #[test]
    fn tables_and_lists_are_filled_in_inside() {
        let inner = json!({"properties": {"n": {"default": 1}}});
        let schema = json!({
            "properties": {"t": inner, "l": {"items": inner, "prefixItems": [{}]}},
            "patternProperties": {"^p": inner},
            "additionalProperties": inner
        });
        let given = json!({"t": {}, "l": [{}, {}, {"n": 2}], "p": {}, "x": {}, "y": 3});
        let expected = json!({
            "t": {"n": 1}, "l": [{}, {"n": 1}, {"n": 2}], "p": {"n": 1}, "x": {"n": 1}, "y": 3
        });
        assert_eq!(filled(schema, given), expected);
    }

    #[test]
    fn defaults_hold_through_references_and_all_of_but_no_further() {
        let schema = json!({
            "$ref": "#/$defs/top",
            "allOf": [{"properties": {"b": {"default": 2}, "a": {"default": 9}}}],
            "anyOf": [{"properties": {"c": {"default": 3}}}],
            "if": {}, "then": {"properties": {"d": {"default": 4}}},
            "$defs": {"top": {"properties": {"a": {"$ref": "#/$defs/a"}}}, "a": {"default": 1}}
        });
        assert_eq!(filled(schema, json!({})), json!({"a": 1, "b": 2}));
    }

    #[test]
    fn an_absent_table_is_made_if_required_or_whole() {
        let whole = json!({"type": "object", "properties": {"n": {"default": 1}, "o": {}}});
        let needs = json!({
            "type": "object", "properties": {"n": {"default": 1}, "m": {}}, "required": ["m"]
        });
        let schema =
            |of: &Value, required: Value| json!({"properties": {"t": of}, "required": required});
        assert_eq!(filled(schema(&whole, json!([])), json!({})), json!({"t": {"n": 1}}));
        assert_eq!(filled(schema(&needs, json!([])), json!({})), json!({}));
        assert_eq!(filled(schema(&needs, json!(["t"])), json!({})), json!({"t": {"n": 1}}));
        let empty = json!({"type": "object", "properties": {"n": {}}});
        assert_eq!(filled(schema(&empty, json!([])), json!({})), json!({}));
        let other = json!({"type": ["object", "null"], "properties": {"n": {"default": 1}}});
        assert_eq!(filled(schema(&other, json!([])), json!({})), json!({}));
        let own = json!({"type": "object", "properties": {"n": {"default": 1}}, "default": {}});
        assert_eq!(filled(schema(&own, json!([])), json!({})), json!({"t": {"n": 1}}));
    }

    #[test]
    fn schemas_inside_of_themselves_are_made_once() {
        let schema = json!({
            "properties": {"n": {"default": 1}, "next": {"$ref": "#", "default": {}}}
        });
        let expected = json!({"n": 1, "next": {"n": 1}});
        assert_eq!(filled(schema, json!({})), expected);
    }

    #[test]
    fn defaults_that_double_themselves_are_too_much() {
        let mut definitions = Map::new();
        for at in 0..40 {
            let next = json!({"$ref": format!("#/$defs/a{}", at + 1)});
            let both = json!({"default": {}, "properties": {"x": next, "y": next}});
            definitions.insert(format!("a{at}"), both);
        }
        let schema = json!({"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": definitions});
        let graph = Graph::new(schema, &[]).unwrap();
        assert!(fill(&graph, &graph.definite(graph.top()), &mut json!({})).is_err());
    }
}
