//! An extending schema against what its bases closed.
//!
//! Where a base has `additionalProperties: false` or `unevaluatedProperties: false`, keys
//! may be added by their names. Patterns, and rules for all other keys, add none that
//! anybody could name: they have no effect there, and their author believes that they
//! have one.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::graph::{Graph, PartId};
use super::loosened::{DEEPEST, Looser};
use super::wording::shown;
use crate::key_path::{KeyPath, Step};

const FURTHER: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// The first rule of `own` that opens what `base` closed. `line` is the base with all
/// that it extends itself.
pub(super) fn look(graph: &Graph, own: PartId, base: PartId, line: &[PartId]) -> Option<Looser> {
    let mut looking = Looking { graph, path: KeyPath::default(), seen: HashSet::new() };
    let line: Vec<_> = line.iter().flat_map(|id| graph.definite(*id)).collect();
    looking.at(&graph.in_place(own), &graph.definite(base), &line)
}

struct Looking<'a> {
    graph: &'a Graph,
    path: KeyPath,
    seen: HashSet<(Vec<PartId>, Vec<PartId>)>,
}

impl Looking<'_> {
    /// `own` is all that is tried there, `base` and `line` what holds for sure.
    fn at(&mut self, own: &[PartId], base: &[PartId], line: &[PartId]) -> Option<Looser> {
        if own.is_empty()
            || base.is_empty()
            || self.path.steps().len() > DEEPEST
            || !self.seen.insert((own.to_vec(), base.to_vec()))
        {
            return None;
        }
        if let Some(closing) = base.iter().find_map(|id| self.closing(*id))
            && let Some(own) = self.opening(own, line)
        {
            let base = format!("{closing}: false");
            return Some(Looser { path: self.path.clone(), own, base });
        }
        let graph = self.graph;
        for (step, own) in self.members(own, base) {
            let inside = |set: &[PartId]| match &step {
                Inside::Key(key) => graph.ruled(set, key),
                Inside::Pattern(pattern) => graph.by_pattern(set, pattern),
                Inside::Further => graph.further(set),
                Inside::Entry(at) => graph.entry(set, *at),
            };
            let (base, line) = (inside(base), inside(line));
            self.path.push(Step::Key(match step {
                Inside::Key(key) => key,
                Inside::Pattern(_) | Inside::Further => "*".into(),
                Inside::Entry(_) => "items".into(),
            }));
            let looser = self.at(&own, &base, &line);
            self.path.pop();
            if looser.is_some() {
                return looser;
            }
        }
        None
    }

    /// The places inside that both may speak of, with all that `own` tries there.
    fn members(&self, own: &[PartId], base: &[PartId]) -> Vec<(Inside, Vec<PartId>)> {
        let graph = self.graph;
        let parts =
            |set: &[PartId]| -> Vec<_> { set.iter().filter_map(|id| graph.get(*id)).collect() };
        let (own, base) = (parts(own), parts(base));
        let all = |ids: Vec<PartId>| {
            let mut set = Vec::new();
            for id in ids.into_iter().flat_map(|id| graph.in_place(id)) {
                if !set.contains(&id) {
                    set.push(id);
                }
            }
            set
        };
        let both = || own.iter().chain(&base);
        let mut members = Vec::new();
        let keys: BTreeSet<_> = both().flat_map(|part| part.properties.keys()).collect();
        for key in keys {
            let named = own.iter().flat_map(|part| {
                let named = part.named(key);
                if named.is_empty() {
                    part.unevaluated_properties.into_iter().collect()
                } else {
                    named
                }
            });
            members.push((Inside::Key(key.clone()), all(named.collect())));
        }
        let patterns = || own.iter().flat_map(|part| &part.patterns);
        for pattern in patterns().map(|(pattern, _)| pattern.as_str()).collect::<BTreeSet<_>>() {
            let same = patterns().filter(|(other, _)| other.as_str() == pattern);
            members.push((Inside::Pattern(pattern.into()), all(same.map(|(_, id)| *id).collect())));
        }
        let further = own.iter().filter_map(|part| part.additional.or(part.unevaluated_properties));
        members.push((Inside::Further, all(further.collect())));
        let prefix = both().map(|part| part.prefix.len()).max().unwrap_or(0);
        for at in (0..prefix).chain([usize::MAX]) {
            let entry = own.iter().filter_map(|part| {
                part.prefix.get(at).copied().or(part.items).or(part.unevaluated_items)
            });
            members.push((Inside::Entry(at), all(entry.collect())));
        }
        members
    }

    /// The keyword by which a base's schema is closed.
    fn closing(&self, id: PartId) -> Option<&'static str> {
        let schema = self.graph.keywords(id)?;
        FURTHER.into_iter().find(|keyword| schema.get(*keyword) == Some(&Value::Bool(false)))
    }

    /// The first of these rules that is for keys which nobody names. What is of the bases
    /// themselves, and patterns that they have, too, open nothing.
    fn opening(&self, own: &[PartId], line: &[PartId]) -> Option<String> {
        let graph = self.graph;
        let line: HashSet<_> = line.iter().flat_map(|id| graph.in_place(*id)).collect();
        let patterns = |id: PartId| {
            let map = graph.keywords(id).and_then(|schema| schema.get("patternProperties"));
            map.and_then(Value::as_object).into_iter().flatten()
        };
        let known: HashSet<_> =
            line.iter().flat_map(|id| patterns(*id)).map(|(pattern, _)| pattern).collect();
        let is_own = |id: &&PartId| !line.contains(*id) && !graph.is_made(**id);
        for id in own.iter().filter(is_own) {
            if let Some((pattern, rule)) = patterns(*id).find(|(one, _)| !known.contains(one)) {
                let pattern = shown(&Value::String(pattern.clone()));
                return Some(format!("patternProperties: {{{pattern}: {}}}", shown(rule)));
            }
            let Some(schema) = graph.keywords(*id) else { continue };
            for keyword in FURTHER {
                if let Some(rule) = schema.get(keyword).filter(|rule| **rule != Value::Bool(false))
                {
                    return Some(format!("{keyword}: {}", shown(rule)));
                }
            }
        }
        None
    }
}

/// A place inside of a table or list.
enum Inside {
    Key(String),
    Pattern(String),
    /// Keys that are neither named nor matched.
    Further,
    Entry(usize),
}
