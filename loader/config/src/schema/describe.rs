//! A schema for people: what can be configured.

use serde_json::{Map, Value};

use super::graph::{Graph, PartId};
use super::wording::{one_of, shown};
use crate::shown::short;

/// How many rows are made at most.
const MOST: usize = 1_000;
/// How deep tables and lists are described.
const DEEPEST: usize = 16;
/// What is taken where no rule says more.
const ANYTHING: &str = "anything";

/// One thing that can be configured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// As people write it: `pool.size`; `hosts[]` for each entry of a list, `users.*`
    /// for any other key of a table.
    pub path: String,
    /// What it takes, in words: `whole number, 1 to 100`.
    pub kind: String,
    /// What it is where nothing is given.
    pub default: Option<Value>,
    /// Whether it must be given; never for what has a default.
    pub required: bool,
    /// Whether it is a secret, given as `{ env = "NAME" }` or `{ file = "path" }`.
    pub secret: bool,
    /// What it does, in its author's words, on one line.
    pub description: String,
}

pub(super) fn rows(graph: &Graph, set: &[PartId]) -> Vec<Row> {
    let mut describe = Describe { graph, rows: Vec::new(), open: Vec::new() };
    describe.inside(set, "");
    describe.rows
}

struct Describe<'a> {
    graph: &'a Graph,
    rows: Vec<Row>,
    /// What is being described: not again inside of itself.
    open: Vec<Vec<PartId>>,
}

impl Describe<'_> {
    fn inside(&mut self, set: &[PartId], path: &str) {
        if self.open.len() >= DEEPEST || self.open.iter().any(|open| open == set) {
            return;
        }
        self.open.push(set.to_vec());
        let graph = self.graph;
        let parts = || set.iter().filter_map(|id| graph.get(*id));
        let mut keys: Vec<_> = parts().flat_map(|part| part.properties.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let required = parts().any(|part| part.required.contains(key));
            let path =
                if path.is_empty() { short(key, 60) } else { format!("{path}.{}", short(key, 60)) };
            self.row(&graph.member(set, key), path, required);
        }
        let other: Vec<_> = parts()
            .flat_map(|part| part.patterns.iter().map(|(_, id)| *id).chain(part.additional))
            .filter(|id| graph.keywords(*id).is_some())
            .collect();
        for id in other {
            let path = if path.is_empty() { "*".into() } else { format!("{path}.*") };
            self.row(&graph.definite(id), path, false);
        }
        let entry = graph.entry(set, usize::MAX);
        if entry.iter().any(|id| graph.keywords(*id).is_some()) {
            self.row(&entry, format!("{path}[]"), false);
        }
        self.open.pop();
    }

    fn row(&mut self, set: &[PartId], path: String, required: bool) {
        if self.rows.len() >= MOST {
            return;
        }
        let default = self.graph.default(set).cloned();
        let schemas: Vec<_> = set.iter().filter_map(|id| self.graph.keywords(*id)).collect();
        let text = |keyword: &str| {
            schemas.iter().find_map(|schema| schema.get(keyword)).and_then(Value::as_str)
        };
        let secret = set.iter().any(|id| self.graph.get(*id).is_some_and(|part| part.secret));
        let kind = kind(&schemas);
        self.rows.push(Row {
            kind: if secret && kind == ANYTHING { "text".into() } else { kind },
            required: required && default.is_none(),
            default,
            secret,
            description: short(
                text("description").or_else(|| text("title")).unwrap_or_default().trim(),
                300,
            ),
            path: path.clone(),
        });
        self.inside(set, &path);
    }
}

/// What all of these leave over.
fn kind(schemas: &[&Map<String, Value>]) -> String {
    let all = |keyword: &'static str| schemas.iter().filter_map(move |schema| schema.get(keyword));
    if let Some(only) = all("const").next() {
        return shown(only);
    }
    if let Some(Value::Array(options)) =
        all("enum").min_by_key(|options| options.as_array().map(Vec::len))
    {
        return one_of(options);
    }
    let mut names: Vec<&str> =
        match all("type").min_by_key(|types| types.as_array().map_or(1, Vec::len)) {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
    if names == ["number"] && all("type").any(|other| other == "integer") {
        names = vec!["integer"];
    }
    let forms = all("anyOf").chain(all("oneOf")).filter_map(Value::as_array).next();
    let mut kind = if names.is_empty() {
        match forms {
            Some(forms) => {
                let forms = forms.iter().take(6).map(|form| match form {
                    Value::Object(form) => self::kind(&[form]),
                    _ => ANYTHING.into(),
                });
                forms.collect::<Vec<_>>().join(" or ")
            }
            None if all("properties").next().is_some() => "table".into(),
            None => ANYTHING.into(),
        }
    } else {
        names.into_iter().map(name).collect::<Vec<_>>().join(" or ")
    };
    let number = |keyword: &'static str, largest: bool| {
        let bounds = all(keyword).filter_map(|bound| Some((bound.as_f64()?, bound)));
        let ordered = |a: &(f64, &Value), b: &(f64, &Value)| a.0.total_cmp(&b.0);
        let bound = if largest { bounds.max_by(ordered) } else { bounds.min_by(ordered) };
        bound.map(|(_, bound)| shown(bound))
    };
    let least = number("minimum", true);
    let most = number("maximum", false);
    match (least, most) {
        (Some(least), Some(most)) => kind.push_str(&format!(", {least} to {most}")),
        (Some(least), None) => kind.push_str(&format!(", {least} or more")),
        (None, Some(most)) => kind.push_str(&format!(", {most} or less")),
        (None, None) => {}
    }
    if let Some(bound) = number("exclusiveMinimum", true) {
        kind.push_str(&format!(", more than {bound}"));
    }
    if let Some(bound) = number("exclusiveMaximum", false) {
        kind.push_str(&format!(", less than {bound}"));
    }
    if let Some(format) = all("format").filter_map(Value::as_str).next() {
        kind.push_str(&format!(" ({})", short(format, 30)));
    }
    kind
}

fn name(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "array" => "list",
        "object" => "table",
        other => other,
    }
}
