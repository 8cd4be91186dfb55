//! The joined document taken apart: what holds for a place, without text to search.

use std::collections::{BTreeMap, HashMap, HashSet};

use regex::Regex;
use serde_json::{Map, Value};

use super::circles;
use super::pattern;
use super::reference::Reference;
use crate::key_path::escaped;

/// One schema of the document. An index, good for the graph that gave it.
pub(super) type PartId = usize;

/// What the other stages ask of one schema.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) pointer: String,
    pub(super) secret: bool,
    pub(super) default: Option<Value>,
    pub(super) types: Option<Vec<String>>,
    pub(super) required: Vec<String>,
    pub(super) refers: Option<PartId>,
    pub(super) all_of: Vec<PartId>,
    /// What else is tried on the same value: `anyOf`, `not`, `if` and so on.
    pub(super) perhaps: Vec<PartId>,
    /// The one of those that is under `not`.
    pub(super) not: Option<PartId>,
    pub(super) properties: BTreeMap<String, PartId>,
    pub(super) patterns: Vec<(Regex, PartId)>,
    pub(super) additional: Option<PartId>,
    pub(super) unevaluated_properties: Option<PartId>,
    pub(super) names: Option<PartId>,
    pub(super) prefix: Vec<PartId>,
    pub(super) items: Option<PartId>,
    pub(super) unevaluated_items: Option<PartId>,
    pub(super) contains: Option<PartId>,
}

#[derive(Debug)]
pub(super) struct Graph {
    document: Value,
    parts: Vec<Part>,
    by_pointer: HashMap<String, PartId>,
    /// The same ones stand in many places.
    patterns: HashMap<String, Regex>,
    /// Parts from which a secret can be reached; empty where there is none at all.
    secretive: HashSet<PartId>,
    /// Tables that defaults alone would make wrong.
    never_made: HashSet<Vec<PartId>>,
}

impl Graph {
    /// Everything that can be reached from the document's top, and from `roots`.
    pub(super) fn new(document: Value, roots: &[String]) -> Result<Self, String> {
        let mut graph = Self {
            document: Value::Null,
            parts: Vec::new(),
            by_pointer: HashMap::new(),
            patterns: HashMap::new(),
            secretive: HashSet::new(),
            never_made: HashSet::new(),
        };
        let mut waiting = Vec::new();
        graph.part("", &mut waiting);
        for root in roots {
            graph.part(root, &mut waiting);
        }
        while let Some((id, pointer)) = waiting.pop() {
            let part = match document.pointer(&pointer) {
                Some(Value::Object(schema)) => graph.read(schema, pointer, &mut waiting),
                _ => Part { pointer, ..Part::default() },
            };
            if let Some(place) = graph.parts.get_mut(id) {
                *place = part;
            }
        }
        graph.document = document;
        circles::look(&graph.parts)?;
        graph.find_secrets();
        Ok(graph)
    }

    fn part(&mut self, pointer: &str, waiting: &mut Vec<(PartId, String)>) -> PartId {
        if let Some(id) = self.by_pointer.get(pointer) {
            return *id;
        }
        let id = self.parts.len();
        self.parts.push(Part::default());
        self.by_pointer.insert(pointer.to_owned(), id);
        waiting.push((id, pointer.to_owned()));
        id
    }

    fn read(
        &mut self,
        schema: &Map<String, Value>,
        pointer: String,
        waiting: &mut Vec<(PartId, String)>,
    ) -> Part {
        let texts = |keyword: &str| match schema.get(keyword) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(Into::into).collect()
            }
            _ => Vec::new(),
        };
        let mut part = Part {
            secret: schema.get("secret") == Some(&Value::Bool(true)),
            default: schema.get("default").cloned(),
            types: schema.contains_key("type").then(|| texts("type")),
            required: texts("required"),
            ..Part::default()
        };
        for (keyword, value) in schema {
            let at = format!("{pointer}/{keyword}");
            let mut one = |graph: &mut Self| graph.part(&at, waiting);
            match (keyword.as_str(), value) {
                ("$ref", Value::String(text)) => {
                    part.refers =
                        Reference::parse(text).ok().map(|to| self.part(&to.pointer, waiting));
                }
                ("not" | "if" | "then" | "else", _) => {
                    let id = one(self);
                    part.perhaps.push(id);
                    if keyword == "not" {
                        part.not = Some(id);
                    }
                }
                ("additionalProperties", _) => part.additional = Some(one(self)),
                ("unevaluatedProperties", _) => part.unevaluated_properties = Some(one(self)),
                ("propertyNames", _) => part.names = Some(one(self)),
                ("items", _) => part.items = Some(one(self)),
                ("unevaluatedItems", _) => part.unevaluated_items = Some(one(self)),
                ("contains", _) => part.contains = Some(one(self)),
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                    let ids: Vec<_> =
                        (0..list.len()).map(|i| self.part(&format!("{at}/{i}"), waiting)).collect();
                    match keyword.as_str() {
                        "allOf" => part.all_of = ids,
                        "prefixItems" => part.prefix = ids,
                        _ => part.perhaps.extend(ids),
                    }
                }
                ("properties" | "patternProperties" | "dependentSchemas", Value::Object(map)) => {
                    for name in map.keys() {
                        let id = self.part(&format!("{at}/{}", escaped(name)), waiting);
                        match keyword.as_str() {
                            "properties" => {
                                part.properties.insert(name.clone(), id);
                            }
                            "dependentSchemas" => part.perhaps.push(id),
                            _ => part.patterns.extend(self.pattern(name).map(|p| (p, id))),
                        }
                    }
                }
                _ => {}
            }
        }
        part.pointer = pointer;
        part
    }

    /// That it compiles was checked with its source.
    fn pattern(&mut self, text: &str) -> Option<Regex> {
        if let Some(known) = self.patterns.get(text) {
            return Some(known.clone());
        }
        let compiled = pattern::compile(text).ok()?;
        self.patterns.insert(text.to_owned(), compiled.clone());
        Some(compiled)
    }

    /// The document's top.
    pub(super) fn top(&self) -> PartId {
        0
    }

    pub(super) fn document(&self) -> &Value {
        &self.document
    }

    pub(super) fn at(&self, pointer: &str) -> Option<PartId> {
        self.by_pointer.get(pointer).copied()
    }

    pub(super) fn get(&self, id: PartId) -> Option<&Part> {
        self.parts.get(id)
    }

    /// The keywords of a part; none of `true` and `false`.
    pub(super) fn keywords(&self, id: PartId) -> Option<&Map<String, Value>> {
        self.document.pointer(&self.get(id)?.pointer)?.as_object()
    }

    pub(super) fn is_forbidden(&self, id: PartId) -> bool {
        self.get(id).and_then(|part| self.document.pointer(&part.pointer))
            == Some(&Value::Bool(false))
    }

    pub(super) fn has_secrets(&self) -> bool {
        !self.secretive.is_empty()
    }

    /// Whether a secret may be at the value that this part holds for, or inside of it.
    pub(super) fn is_secretive(&self, id: PartId) -> bool {
        self.secretive.contains(&id)
    }

    /// All parts that hold wherever this one does: itself, what it refers to, and its
    /// `allOf`; in this order, which is the order in which their defaults count.
    pub(super) fn definite(&self, id: PartId) -> Vec<PartId> {
        let mut set = Vec::new();
        self.add_definite(id, &mut set);
        set
    }

    fn add_definite(&self, id: PartId, set: &mut Vec<PartId>) {
        // As tall as `circles::look` lets it be.
        if set.contains(&id) {
            return;
        }
        let Some(part) = self.get(id) else { return };
        set.push(id);
        for next in part.refers.iter().chain(&part.all_of) {
            self.add_definite(*next, set);
        }
    }

    /// All parts that are tried on the value that this one is tried on, itself first, but
    /// for what must not hold.
    pub(super) fn in_place(&self, id: PartId) -> Vec<PartId> {
        let (mut set, mut waiting) = (Vec::new(), vec![id]);
        let mut seen = HashSet::new();
        while let Some(id) = waiting.pop() {
            let Some(part) = self.get(id).filter(|_| seen.insert(id)) else { continue };
            set.push(id);
            let perhaps = part.perhaps.iter().filter(|id| part.not != Some(**id));
            waiting.extend(part.refers.iter().chain(&part.all_of).chain(perhaps));
        }
        set
    }

    /// Whether a part was made to join others, and written by nobody.
    pub(super) fn is_made(&self, id: PartId) -> bool {
        self.get(id).is_some_and(|part| !part.pointer.starts_with("/$defs/source"))
    }

    /// What a base for which these hold says of a key for those that extend it. That it
    /// is closed to what it does not name is no rule for a key that they name.
    pub(super) fn ruled(&self, set: &[PartId], key: &str) -> Vec<PartId> {
        let parts = || set.iter().filter_map(|id| self.get(*id));
        let is_known = parts().any(|part| part.knows(key));
        let mut rules = Vec::new();
        for part in parts() {
            for id in part.named(key) {
                if is_known || part.additional != Some(id) || !self.is_forbidden(id) {
                    self.add_definite(id, &mut rules);
                }
            }
        }
        // What stands in `anyOf` and the like may name it.
        if rules.is_empty() && parts().all(|part| part.perhaps.is_empty()) {
            let closed = |part: &&Part| part.additional.is_none();
            let unevaluated = parts().filter(closed).filter_map(|part| part.unevaluated_properties);
            for id in unevaluated.filter(|id| !self.is_forbidden(*id)) {
                self.add_definite(id, &mut rules);
            }
        }
        rules
    }

    /// What these say under one pattern, written as the same.
    pub(super) fn by_pattern(&self, set: &[PartId], pattern: &str) -> Vec<PartId> {
        let mut rules = Vec::new();
        for part in set.iter().filter_map(|id| self.get(*id)) {
            for (_, id) in part.patterns.iter().filter(|(other, _)| other.as_str() == pattern) {
                self.add_definite(*id, &mut rules);
            }
        }
        rules
    }

    /// What these say of keys that they do not know, but that there are none.
    pub(super) fn further(&self, set: &[PartId]) -> Vec<PartId> {
        let mut rules = Vec::new();
        for part in set.iter().filter_map(|id| self.get(*id)) {
            let rule = part.additional.or(part.unevaluated_properties);
            if let Some(id) = rule.filter(|id| !self.is_forbidden(*id)) {
                self.add_definite(id, &mut rules);
            }
        }
        rules
    }

    /// What holds for sure for a key of a table for which these hold.
    pub(super) fn member(&self, set: &[PartId], key: &str) -> Vec<PartId> {
        let mut members = Vec::new();
        for part in set.iter().filter_map(|id| self.get(*id)) {
            for id in part.named(key) {
                self.add_definite(id, &mut members);
            }
        }
        members
    }

    /// What holds for sure for an entry of a list for which these hold.
    pub(super) fn entry(&self, set: &[PartId], at: usize) -> Vec<PartId> {
        let mut entries = Vec::new();
        for part in set.iter().filter_map(|id| self.get(*id)) {
            if let Some(id) = part.prefix.get(at).copied().or(part.items) {
                self.add_definite(id, &mut entries);
            }
        }
        entries
    }

    /// The first default of a set, which is the one that counts.
    pub(super) fn default(&self, set: &[PartId]) -> Option<&Value> {
        set.iter().filter_map(|id| self.get(*id)).find_map(|part| part.default.as_ref())
    }

    /// Says of an absent table that its defaults alone do not make it.
    pub(super) fn never_make(&mut self, set: Vec<PartId>) {
        self.never_made.insert(set);
    }

    pub(super) fn is_never_made(&self, set: &[PartId]) -> bool {
        self.never_made.contains(set)
    }

    fn find_secrets(&mut self) {
        let mut leads_to: Vec<Vec<PartId>> = vec![Vec::new(); self.parts.len()];
        for (id, part) in self.parts.iter().enumerate() {
            for next in part.all() {
                if let Some(from) = leads_to.get_mut(next) {
                    from.push(id);
                }
            }
        }
        let secret = |(id, part): (PartId, &Part)| part.secret.then_some(id);
        let mut waiting: Vec<_> = self.parts.iter().enumerate().filter_map(secret).collect();
        while let Some(id) = waiting.pop() {
            if self.secretive.insert(id) {
                waiting.extend(leads_to.get(id).into_iter().flatten());
            }
        }
    }
}

impl Part {
    /// The parts that this one itself says hold for a key.
    pub(super) fn named(&self, key: &str) -> Vec<PartId> {
        let mut named: Vec<_> = self.properties.get(key).copied().into_iter().collect();
        let fits = |(pattern, id): &(Regex, PartId)| pattern.is_match(key).then_some(*id);
        named.extend(self.patterns.iter().filter_map(fits));
        if named.is_empty() {
            named.extend(self.additional);
        }
        named
    }

    /// Whether this one itself names or matches a key.
    fn knows(&self, key: &str) -> bool {
        self.properties.contains_key(key)
            || self.patterns.iter().any(|(pattern, _)| pattern.is_match(key))
    }

    /// Whether the keyword `type` leaves nothing but this one.
    pub(super) fn is_only(&self, name: &str) -> bool {
        self.types.as_deref().is_some_and(|types| types == [name])
    }

    fn all(&self) -> impl Iterator<Item = PartId> {
        let lists = [&self.all_of, &self.perhaps, &self.prefix];
        let single = [
            self.refers,
            self.additional,
            self.unevaluated_properties,
            self.names,
            self.items,
            self.unevaluated_items,
            self.contains,
        ];
        lists
            .into_iter()
            .flatten()
            .copied()
            .chain(self.properties.values().copied())
            .chain(self.patterns.iter().map(|(_, id)| *id))
            .chain(single.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_holds_for_sure_is_found_through_references() {
        let graph = Graph::new(
            json!({
                "properties": {"a": {"$ref": "#/$defs/a", "allOf": [{"default": 3}]}},
                "patternProperties": {"^b": {"default": 4}},
                "additionalProperties": {"default": 5},
                "$defs": {"a": {"default": 2}}
            }),
            &[],
        )
        .unwrap();
        let top = graph.definite(graph.top());
        let default = |key: &str| graph.default(&graph.member(&top, key)).cloned();
        assert_eq!(default("a"), Some(json!(2)));
        assert_eq!(default("bb"), Some(json!(4)));
        assert_eq!(default("c"), Some(json!(5)));
    }
}
