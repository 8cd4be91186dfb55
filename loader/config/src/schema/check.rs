//! A value under its schema: all problems at once, in words without secrets.

use std::collections::BTreeSet;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::graph::{Graph, PartId};
use super::pattern;
use super::problem::Problem;
use super::reach::Reached;
use super::wording::{Wording, kind_of};
use crate::document::HIDDEN;
use crate::key_path::{KeyPath, Step, tokens};
use crate::nearest::nearest;
use crate::shown::short;

/// How many problems are told.
pub(super) const MOST: usize = 100;

/// A validator that fetches nothing and whose patterns take linear time.
pub(super) fn validator(document: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(pattern::SIZE).dfa_size_limit(pattern::SIZE);
    jsonschema::draft202012::options()
        .offline()
        .with_pattern_options(patterns)
        .should_validate_formats(true)
        .build(document)
        .map_err(|error| format!("{} is wrong", error.instance_path()))
}

/// What is looked at.
pub(super) struct Check<'a> {
    pub(super) graph: &'a Graph,
    pub(super) set: &'a [PartId],
    /// What all that is told is taken from: with `***` where a secret is.
    pub(super) shown: &'a Value,
    pub(super) reached: &'a Reached,
    /// Secrets that are not to be had: what is said of them is not true.
    pub(super) unknown: &'a [KeyPath],
}

impl Check<'_> {
    /// The problems, and whether there are more. `value` is the one with secrets.
    pub(super) fn problems(&self, validator: &Validator, value: &Value) -> (Vec<Problem>, bool) {
        let mut problems = Vec::new();
        let mut told = BTreeSet::new();
        let mut more = false;
        for error in validator.iter_errors(value) {
            let path = self.path(&error.instance_path().to_string());
            for problem in self.told(&error, path) {
                // Several sources may have the same rule.
                if !told.insert((problem.path(), problem.to_string())) {
                    continue;
                }
                if problems.len() >= MOST {
                    more = true;
                    break;
                }
                problems.push(problem);
            }
            if more {
                break;
            }
        }
        (problems, more)
    }

    /// One of the validator's errors as problems: none where it may be untrue.
    pub(super) fn told(&self, error: &ValidationError<'_>, path: KeyPath) -> Vec<Problem> {
        let Wording { rule, expected } = Wording::of(error);
        if self.is_untrue(&path, &rule) {
            return Vec::new();
        }
        match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                let set = self.holding(&path);
                let known = || {
                    let parts = set.iter().filter_map(|id| self.graph.get(*id));
                    parts.flat_map(|part| part.properties.keys()).map(String::as_str)
                };
                let unknown = |key: &String| Problem::Unknown {
                    path: path.join(Step::Key(key.clone())),
                    rule: rule.clone(),
                    suggestion: nearest(key, known()).map(Into::into),
                };
                unexpected.iter().map(unknown).collect()
            }
            Kind::Required { property: Value::String(key) } => {
                vec![Problem::Missing { path: path.join(Step::Key(key.clone())) }]
            }
            _ => {
                let value = self.shown.pointer(&path.pointer()).unwrap_or(&Value::Null);
                let (found, hidden) = self.found(&path, &rule, value);
                vec![Problem::Rule { path, rule, expected, found, hidden }]
            }
        }
    }

    /// What is there, and whether its line has to be hidden.
    fn found(&self, path: &KeyPath, rule: &str, value: &Value) -> (String, bool) {
        if self.reached.secrets.contains(path) {
            return (HIDDEN.into(), false);
        }
        // A text where a table with a secret belongs may be the secret.
        let sensitive = self.reached.sensitive.contains(&path.pointer());
        if sensitive && (rule == "type" || !value.is_object()) {
            return (kind_of(value).into(), true);
        }
        let found = match (rule, value) {
            ("minItems" | "maxItems", Value::Array(list)) => format!("{}", list.len()),
            ("minProperties" | "maxProperties", Value::Object(map)) => format!("{}", map.len()),
            ("minLength" | "maxLength", Value::String(text)) => format!("{}", text.chars().count()),
            ("false schema" | "falseSchema" | "not" | "propertyNames" | "contains", _) => {
                String::new()
            }
            (_, Value::Array(_) | Value::Object(_)) => kind_of(value).into(),
            ("type", Value::String(_) | Value::Null | Value::Bool(_)) => kind_of(value).into(),
            (_, value) => short(&value.to_string(), 60),
        };
        (found, false)
    }

    /// What a secret that is not to be had would make wrong, and may not be.
    fn is_untrue(&self, path: &KeyPath, rule: &str) -> bool {
        const TRUE_ANYWAY: [&str; 10] = [
            "required",
            "additionalProperties",
            "unevaluatedProperties",
            "dependentRequired",
            "minProperties",
            "maxProperties",
            "propertyNames",
            "minItems",
            "maxItems",
            "type",
        ];
        self.unknown.iter().any(|unknown| {
            unknown == path
                || unknown.steps().starts_with(path.steps()) && !TRUE_ANYWAY.contains(&rule)
        })
    }

    /// What holds for sure at a place.
    fn holding(&self, path: &KeyPath) -> Vec<PartId> {
        path.steps().iter().fold(self.set.to_vec(), |set, step| match step {
            Step::Key(key) => self.graph.member(&set, key),
            Step::Index(at) => self.graph.entry(&set, *at),
        })
    }

    /// A pointer does not tell keys from places in lists; the value does.
    fn path(&self, pointer: &str) -> KeyPath {
        let mut path = KeyPath::default();
        let mut value = Some(self.shown);
        for token in tokens(pointer).unwrap_or_default() {
            let step = match (value, token.parse()) {
                (Some(Value::Array(_)), Ok(at)) => Step::Index(at),
                _ => Step::Key(token),
            };
            value = match &step {
                Step::Key(key) => value.and_then(|value| value.get(key)),
                Step::Index(at) => value.and_then(|value| value.get(at)),
            };
            path.push(step);
        }
        path
    }
}
