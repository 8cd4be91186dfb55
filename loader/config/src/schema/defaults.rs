//! Defaults of a schema under the schema itself: each that may be used has to fit what
//! holds for its place, and gives no secret away.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::check::{self, Check};
use super::error::SchemaError;
use super::fill::{fill, made};
use super::graph::{Graph, PartId};
use super::plain::fits;
use super::reach::{MOST_TRIES, Reached, reach};
use super::reference::to_place;
use super::secret::Given;
use super::settled::value_at;
use super::source::Source;
use crate::document::{DEEPEST, HIDDEN};
use crate::key_path::{KeyPath, Step, tokens};

/// Looks at everything that defaults put in for sure somewhere. Absent tables that
/// they would make wrong are not made: the graph knows which afterwards.
pub(super) fn look(own: &Source, graph: &mut Graph, top: &[PartId]) -> Result<(), SchemaError> {
    // Those deepest inside first, as what is outside may be wrong by them alone. So each
    // turn is about tables that are less deep than those of the turn before.
    for _ in 0..=DEEPEST {
        let mut defaults =
            Defaults { own, graph, seen: BTreeSet::new(), found: Vec::new(), tries: 0 };
        defaults.inside(top, &mut KeyPath::default())?;
        let Defaults { found, .. } = defaults;
        let broken = probe(own, graph, &found)?;
        let tables = || broken.iter().map(|(found, _)| *found).filter(|found| found.is_made);
        let Some(deepest) = tables().map(|found| found.path.steps().len()).max() else {
            return match broken.first() {
                None => Ok(()),
                Some((found, problem)) => Err(SchemaError::Default {
                    origin: own.origin.clone(),
                    property: found.path.to_string(),
                    problem: problem.clone(),
                }),
            };
        };
        let sets: Vec<_> = tables()
            .filter(|found| found.path.steps().len() == deepest)
            .map(|found| found.set.clone())
            .collect();
        for set in sets {
            graph.never_make(set);
        }
    }
    let what = "too many tables in each other that defaults make wrong".into();
    Err(SchemaError::TooCostly { origin: own.origin.clone(), what })
}

/// Those that do not fit what holds for their places, each with a problem.
fn probe<'a>(
    own: &Source,
    graph: &Graph,
    all: &'a [Found],
) -> Result<Vec<(&'a Found, String)>, SchemaError> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    // One validator for all, as making one takes longer than using it.
    let mut document = Map::new();
    if let Some(definitions) = graph.document().get("$defs") {
        document.insert("$defs".into(), definitions.clone());
    }
    let mut properties = Map::new();
    let mut value = Map::new();
    for (at, found) in all.iter().enumerate() {
        let parts = found.set.iter().filter_map(|id| graph.get(*id));
        let rules: Vec<_> = parts.map(|part| json!({ "$ref": to_place(&part.pointer) })).collect();
        properties.insert(at.to_string(), json!({ "allOf": rules }));
        value.insert(at.to_string(), found.value.clone());
    }
    document.insert("properties".into(), Value::Object(properties));
    let validator = check::validator(&Value::Object(document))
        .map_err(|what| SchemaError::TooCostly { origin: own.origin.clone(), what })?;
    let (value, reached) = (Value::Object(value), Reached::default());
    let mut broken = Vec::new();
    for error in validator.iter_errors(&value) {
        let Some(tokens) = tokens(&error.instance_path().to_string()) else { continue };
        let Some((at, inside)) = tokens.split_first() else { continue };
        let found = at.parse().ok().and_then(|at: usize| all.get(at));
        let Some(found) = found else { continue };
        let path = KeyPath::from(inside.iter().cloned().map(Step::Key).collect::<Vec<_>>());
        let check = Check {
            graph,
            set: &found.set,
            shown: &found.value,
            reached: &reached,
            unknown: &found.unknown,
        };
        if let Some(problem) = check.told(&error, path).first() {
            broken.push((found, problem.to_string()));
        }
    }
    Ok(broken)
}

struct Found {
    path: KeyPath,
    set: Vec<PartId>,
    /// Whether it is a table without a default of its own.
    is_made: bool,
    value: Value,
    /// Secrets that it only says the places of.
    unknown: Vec<KeyPath>,
}

struct Defaults<'a> {
    own: &'a Source,
    graph: &'a Graph,
    seen: BTreeSet<Vec<PartId>>,
    found: Vec<Found>,
    /// How often schemas are tried on all of them.
    tries: u64,
}

impl Defaults<'_> {
    fn inside(&mut self, set: &[PartId], path: &mut KeyPath) -> Result<(), SchemaError> {
        if path.steps().len() > DEEPEST || !self.seen.insert(set.to_vec()) {
            return Ok(());
        }
        if !path.is_top() {
            let too_costly = || SchemaError::TooCostly {
                origin: self.own.origin.clone(),
                what: format!("the defaults of `{path}` bring too many others"),
            };
            if let Some(mut value) = self.graph.default(set).cloned() {
                fill(self.graph, set, &mut value).map_err(|_| too_costly())?;
                self.look_at(set, path, value, false)?;
            } else if let Some(value) = made(self.graph, set).map_err(|_| too_costly())? {
                self.look_at(set, path, value, true)?;
            }
        }
        let graph = self.graph;
        let mut children: Vec<(String, Vec<PartId>)> = Vec::new();
        for part in set.iter().filter_map(|id| graph.get(*id)) {
            for key in part.properties.keys() {
                children.push((key.clone(), graph.member(set, key)));
            }
            let others = part.patterns.iter().map(|(_, id)| *id).chain(part.additional);
            children.extend(others.map(|id| ("*".to_owned(), graph.definite(id))));
            for at in 0..part.prefix.len() {
                children.push((at.to_string(), graph.entry(set, at)));
            }
        }
        children.push(("items".into(), graph.entry(set, usize::MAX)));
        for (key, child) in children.into_iter().filter(|(_, child)| !child.is_empty()) {
            path.push(Step::Key(key));
            self.inside(&child, path)?;
            path.pop();
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        set: &[PartId],
        path: &KeyPath,
        mut value: Value,
        is_made: bool,
    ) -> Result<(), SchemaError> {
        let origin = || self.own.origin.clone();
        let too_costly = || SchemaError::TooCostly {
            origin: origin(),
            what: format!("the default of `{path}` takes too long to check, with those before it"),
        };
        let reached = reach(self.graph, set, &value).map_err(|_| too_costly())?;
        self.tries = self.tries.saturating_add(reached.tries);
        if self.tries > MOST_TRIES {
            return Err(too_costly());
        }
        let mut unknown = Vec::new();
        for secret in reached.secrets {
            let Some(place) = value_at(&mut value, &secret) else { continue };
            if !matches!(Given::of(place), Given::Reference(_)) {
                let mut whole = path.clone();
                secret.steps().iter().for_each(|step| whole.push(step.clone()));
                return Err(SchemaError::Secret {
                    origin: origin(),
                    place: whole.pointer(),
                    why: "its default is no secret",
                });
            }
            *place = Value::String(HIDDEN.into());
            unknown.push(secret);
        }
        if unknown.is_empty() && fits(self.graph, set, &value) {
            return Ok(());
        }
        self.found.push(Found { path: path.clone(), set: set.to_vec(), is_made, value, unknown });
        Ok(())
    }
}
