//! From what stands in a file to a configuration that fits: defaults, secrets, check.

use std::mem;

use serde_json::Value;
use zeroize::Zeroizing;

use super::Schema;
use super::check::Check;
use super::fill::fill;
use super::problem::{Problem, Unsettled};
use super::reach::{Reached, reach};
use super::secret::{Given, SecretSource};
use super::settled::{ExposedValue, Secret, Settled, Warning, value_at};
use crate::document::{DEEPEST, HIDDEN};
use crate::key_path::KeyPath;

pub(super) fn settle(
    schema: &Schema,
    given: &Value,
    source: &SecretSource,
) -> Result<Settled, Unsettled> {
    let too_much = || Unsettled {
        origin: schema.origin.clone(),
        problems: vec![Problem::TooMuch],
        more: false,
        plain: Vec::new(),
    };
    if !is_within(given, DEEPEST) {
        return Err(too_much());
    }
    let top = [schema.graph.top()];
    // Before anything else, as filling in takes as long as checking.
    reach(&schema.graph, &top, given).map_err(|_| too_much())?;
    let mut shown = given.clone();
    fill(&schema.graph, &schema.set, &mut shown).map_err(|_| too_much())?;
    let reached = reach(&schema.graph, &top, &shown).map_err(|_| too_much())?;

    let mut reading = Reading { schema, source, reached: &reached, read: Read::default() };
    for path in &reached.secrets {
        if let Some(place) = value_at(&mut shown, path) {
            let given = mem::replace(place, Value::String(HIDDEN.into()));
            reading.secret(path, &given);
        }
    }
    let Read { secrets, warnings, mut problems, unknown, plain } = reading.read;

    let settled = Settled { shown, secrets, warnings };
    let value: ExposedValue = settled.expose_value();
    let check = Check {
        graph: &schema.graph,
        set: &schema.set,
        shown: &settled.shown,
        reached: &reached,
        unknown: &unknown,
    };
    let (broken, more) = check.problems(&schema.validator, &value);
    if problems.is_empty() && broken.is_empty() {
        return Ok(settled);
    }
    problems.extend(broken);
    problems.sort_by_key(Problem::path);
    Err(Unsettled { origin: schema.origin.clone(), problems, more, plain })
}

fn is_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(list) => depth > 0 && list.iter().all(|value| is_within(value, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|value| is_within(value, depth - 1)),
        _ => true,
    }
}

struct Reading<'a> {
    schema: &'a Schema,
    source: &'a SecretSource,
    reached: &'a Reached,
    read: Read,
}

#[derive(Default)]
struct Read {
    secrets: Vec<Secret>,
    warnings: Vec<Warning>,
    problems: Vec<Problem>,
    unknown: Vec<KeyPath>,
    plain: Vec<KeyPath>,
}

impl Reading<'_> {
    fn secret(&mut self, path: &KeyPath, given: &Value) {
        let path = path.clone();
        let problem = match Given::of(given) {
            Given::Reference(reference) => match self.source.read(&reference) {
                Ok(found) => {
                    let open = found.open_to.map(|open| Warning::new(path.clone(), open));
                    self.read.warnings.extend(open);
                    let other = self.other(&path, &found.text);
                    self.read.secrets.push(Secret { path, text: found.text, other });
                    return;
                }
                Err(why) => {
                    let from = reference.to_string();
                    Problem::SecretUnavailable { path: path.clone(), from, why }
                }
            },
            Given::Malformed(why) => {
                self.read.plain.push(path.clone());
                Problem::SecretReference { path: path.clone(), why }
            }
            Given::Plain | Given::Nothing => {
                self.read.plain.push(path.clone());
                Problem::PlainSecret { path: path.clone() }
            }
        };
        self.read.problems.push(problem);
        self.read.unknown.push(path);
    }

    /// A number or a truth value, where some schema of the place wants one and takes no
    /// text, and the text is one.
    fn other(&self, path: &KeyPath, text: &Zeroizing<String>) -> Option<Value> {
        let holding = self.reached.holding.get(&path.pointer())?;
        let types = holding
            .iter()
            .filter_map(|id| self.schema.graph.get(*id)?.types.as_deref())
            .find(|types| !types.iter().any(|name| name == "string"))?;
        let wants = |name: &str| types.iter().any(|other| other == name);
        if (wants("integer") || wants("number"))
            && let Some(number) = number(text)
        {
            return Some(number);
        }
        match text.as_str() {
            "true" if wants("boolean") => Some(Value::Bool(true)),
            "false" if wants("boolean") => Some(Value::Bool(false)),
            _ => None,
        }
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    // `parse` also knows `inf` and `nan`, which are no numbers here.
    let number = text.parse().ok().and_then(serde_json::Number::from_f64)?;
    Some(Value::Number(number))
}
