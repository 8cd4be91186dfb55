//! An extending schema against the schemas that it extends.
//!
//! Both hold at once whatever they say, so nothing can be loosened. But a rule that is
//! looser than a base's has no effect, and its author believes that it has one: that is
//! an error, and names both rules. What an extending schema does not say it inherits.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Number, Value};

use super::graph::{Graph, PartId};
use super::wording::shown;
use crate::key_path::{KeyPath, Step};

/// A rule that is looser than the base's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Looser {
    pub(super) path: KeyPath,
    pub(super) own: String,
    pub(super) base: String,
}

/// How deep tables are compared.
pub(super) const DEEPEST: usize = 64;

/// The first rule of `own` that is looser than one of `base`.
pub(super) fn look(graph: &Graph, own: PartId, base: PartId) -> Option<Looser> {
    let mut looking = Looking { graph, path: KeyPath::default(), seen: HashSet::new() };
    looking.pair(&graph.definite(own), &graph.definite(base))
}

struct Looking<'a> {
    graph: &'a Graph,
    path: KeyPath,
    seen: HashSet<(Vec<PartId>, Vec<PartId>)>,
}

impl Looking<'_> {
    fn pair(&mut self, own: &[PartId], base: &[PartId]) -> Option<Looser> {
        let both = (own.to_vec(), base.to_vec());
        if self.path.steps().len() > DEEPEST || !self.seen.insert(both) {
            return None;
        }
        let graph = self.graph;
        for base in base {
            // What the extending schema takes over as it is, it does not loosen.
            for own in own.iter().filter(|own| *own != base) {
                if graph.is_forbidden(*base) && !graph.is_forbidden(*own) {
                    return Some(self.looser("true".into(), "false".into()));
                }
                let (Some(own), Some(base)) = (graph.keywords(*own), graph.keywords(*base)) else {
                    continue;
                };
                if let Some((own, base)) = rules(own, base) {
                    return Some(self.looser(own, base));
                }
            }
        }
        let parts = || own.iter().filter_map(|id| graph.get(*id));
        let keys: BTreeSet<_> = parts().flat_map(|part| part.properties.keys()).collect();
        for key in keys {
            let looser = self.inside(key, &graph.member(own, key), &graph.ruled(base, key));
            if looser.is_some() {
                return looser;
            }
        }
        let patterns: BTreeSet<_> =
            parts().flat_map(|part| &part.patterns).map(|(pattern, _)| pattern.as_str()).collect();
        for pattern in patterns {
            let [own, base] = [own, base].map(|set| graph.by_pattern(set, pattern));
            let looser = self.inside("*", &own, &base);
            if looser.is_some() {
                return looser;
            }
        }
        self.inside("*", &graph.further(own), &graph.further(base)).or_else(|| {
            let [own, base] = [own, base].map(|set| graph.entry(set, usize::MAX));
            self.inside("items", &own, &base)
        })
    }

    fn inside(&mut self, step: &str, own: &[PartId], base: &[PartId]) -> Option<Looser> {
        if own.is_empty() || base.is_empty() {
            return None;
        }
        self.path.push(Step::Key(step.to_owned()));
        let looser = self.pair(own, base);
        self.path.pop();
        looser
    }

    fn looser(&self, own: String, base: String) -> Looser {
        Looser { path: self.path.clone(), own, base }
    }
}

type Schema = Map<String, Value>;

/// The first own rule that is looser than one of the base's: both, as they stand there.
fn rules(own: &Schema, base: &Schema) -> Option<(String, String)> {
    let bounds = limits(own, base, ["maximum", "exclusiveMaximum"], true)
        .or_else(|| limits(own, base, ["minimum", "exclusiveMinimum"], false));
    let lengths = ["maxLength", "maxItems", "maxProperties", "maxContains"]
        .into_iter()
        .find_map(|keyword| limits(own, base, [keyword, keyword], true));
    let least = ["minLength", "minItems", "minProperties", "minContains"]
        .into_iter()
        .find_map(|keyword| limits(own, base, [keyword, keyword], false));
    bounds
        .or(lengths)
        .or(least)
        .or_else(|| types(own, base))
        .or_else(|| options(own, base))
        .or_else(|| multiples(own, base))
        .or_else(|| switches(own, base))
}

/// `keywords` are the one that takes the limit in, and the one that does not.
fn limits(
    own: &Schema,
    base: &Schema,
    keywords: [&'static str; 2],
    upper: bool,
) -> Option<(String, String)> {
    let [_, excluding] = keywords;
    for base_keyword in keywords {
        for own_keyword in keywords {
            let (Some(Value::Number(own)), Some(Value::Number(base))) =
                (own.get(own_keyword), base.get(base_keyword))
            else {
                continue;
            };
            let order = compare(own, base);
            let looser = if upper { order.is_gt() } else { order.is_lt() };
            let is_base_stricter = base_keyword == excluding && own_keyword != excluding;
            if looser || order.is_eq() && is_base_stricter {
                return Some((format!("{own_keyword}: {own}"), format!("{base_keyword}: {base}")));
            }
        }
    }
    None
}

fn compare(one: &Number, other: &Number) -> std::cmp::Ordering {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
            float(one).total_cmp(&float(other))
        }
    }
}

fn types(own: &Schema, base: &Schema) -> Option<(String, String)> {
    let (own, base) = (own.get("type")?, base.get("type")?);
    let names = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(Into::into).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    let allowed = names(base);
    let is_allowed = |name: &String| {
        allowed.contains(name) || name == "integer" && allowed.iter().any(|name| name == "number")
    };
    (!names(own).iter().all(is_allowed)).then(|| both("type", own, "type", base))
}

fn options(own: &Schema, base: &Schema) -> Option<(String, String)> {
    let listed = |schema: &Schema| match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(("const", only.clone(), vec![only.clone()])),
        (None, Some(Value::Array(list))) => {
            Some(("enum", Value::Array(list.clone()), list.clone()))
        }
        _ => None,
    };
    let (own_keyword, own_value, own) = listed(own)?;
    let (base_keyword, base_value, base) = listed(base)?;
    let wider = own.iter().any(|option| !base.iter().any(|allowed| same(allowed, option)));
    wider.then(|| both(own_keyword, &own_value, base_keyword, &base_value))
}

/// As JSON Schema has it, 1 and 1.0 are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other).is_eq(),
        _ => one == other,
    }
}

fn multiples(own: &Schema, base: &Schema) -> Option<(String, String)> {
    let (own, base) = (own.get("multipleOf")?, base.get("multipleOf")?);
    let times = base.as_f64()? / own.as_f64()?;
    let looser = times > 1.0 && (times - times.round()).abs() < 1e-9;
    looser.then(|| both("multipleOf", own, "multipleOf", base))
}

fn switches(own: &Schema, base: &Schema) -> Option<(String, String)> {
    let keyword = |keyword: &'static str, looser: fn(&Value, &Value) -> bool| {
        let (own, base) = (own.get(keyword)?, base.get(keyword)?);
        looser(own, base).then(|| both(keyword, own, keyword, base))
    };
    let lifts =
        |own: &Value, base: &Value| *base == Value::Bool(true) && *own == Value::Bool(false);
    let opens = |own: &Value, base: &Value| match base {
        Value::Bool(false) => *own != Value::Bool(false),
        Value::Object(rules) => !rules.is_empty() && *own == Value::Bool(true),
        _ => false,
    };
    keyword("uniqueItems", lifts)
        .or_else(|| keyword("secret", lifts))
        .or_else(|| keyword("additionalProperties", opens))
        .or_else(|| keyword("unevaluatedProperties", opens))
        .or_else(|| keyword("unevaluatedItems", opens))
}

fn both(own_keyword: &str, own: &Value, base_keyword: &str, base: &Value) -> (String, String) {
    (format!("{own_keyword}: {}", shown(own)), format!("{base_keyword}: {}", shown(base)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn looser(own: Value, base: Value) -> Option<(String, String, String)> {
        let document = json!({"$defs": {
            "own": {"properties": {"p": own}}, "base": {"properties": {"p": base}}
        }});
        let roots = ["/$defs/own".to_owned(), "/$defs/base".to_owned()];
        let graph = Graph::new(document, &roots).unwrap();
        let [own, base] = roots.map(|root| graph.at(&root).unwrap());
        look(&graph, own, base).map(|looser| (looser.path.to_string(), looser.own, looser.base))
    }

    #[test]
    fn looser_rules_are_told_with_the_bases() {
        for (own, base, own_rule, base_rule) in [
            (json!({"maximum": 20}), json!({"maximum": 10}), "maximum: 20", "maximum: 10"),
            (
                json!({"maximum": 10}),
                json!({"exclusiveMaximum": 10}),
                "maximum: 10",
                "exclusiveMaximum: 10",
            ),
            (json!({"minimum": 0}), json!({"minimum": 1}), "minimum: 0", "minimum: 1"),
            (json!({"minLength": 1}), json!({"minLength": 2}), "minLength: 1", "minLength: 2"),
            (json!({"maxLength": 3}), json!({"maxLength": 2}), "maxLength: 3", "maxLength: 2"),
            (json!({"maxItems": 3}), json!({"maxItems": 2}), "maxItems: 3", "maxItems: 2"),
            (
                json!({"type": ["string", "null"]}),
                json!({"type": "string"}),
                "type: [\"string\",\"null\"]",
                "type: \"string\"",
            ),
            (
                json!({"type": "number"}),
                json!({"type": "integer"}),
                "type: \"number\"",
                "type: \"integer\"",
            ),
            (json!({"enum": [1, 2]}), json!({"enum": [1, 3]}), "enum: [1,2]", "enum: [1,3]"),
            (json!({"const": 2}), json!({"const": 1}), "const: 2", "const: 1"),
            (json!({"enum": [1, 2]}), json!({"const": 1}), "enum: [1,2]", "const: 1"),
            (
                json!({"multipleOf": 5}),
                json!({"multipleOf": 10}),
                "multipleOf: 5",
                "multipleOf: 10",
            ),
            (
                json!({"uniqueItems": false}),
                json!({"uniqueItems": true}),
                "uniqueItems: false",
                "uniqueItems: true",
            ),
            (json!({"secret": false}), json!({"secret": true}), "secret: false", "secret: true"),
            (
                json!({"additionalProperties": true}),
                json!({"additionalProperties": false}),
                "additionalProperties: true",
                "additionalProperties: false",
            ),
            (json!({}), json!(false), "true", "false"),
        ] {
            let expected = Some(("p".to_owned(), own_rule.to_owned(), base_rule.to_owned()));
            assert_eq!(looser(own.clone(), base.clone()), expected, "{own} {base}");
        }
    }

    #[test]
    fn rules_that_are_as_strict_and_silence_are_taken() {
        for (own, base) in [
            (json!({"maximum": 10}), json!({"maximum": 10.0})),
            (json!({"exclusiveMaximum": 10}), json!({"maximum": 10})),
            (json!({"type": "integer"}), json!({"type": ["number", "null"]})),
            (json!({"enum": [1.0]}), json!({"enum": [1, 2]})),
            (json!({"const": 1}), json!({"enum": [1, 2]})),
            (json!({"multipleOf": 10}), json!({"multipleOf": 5})),
            (json!({"multipleOf": 3}), json!({"multipleOf": 5})),
            (json!({"pattern": "a"}), json!({"pattern": "b"})),
            (json!({}), json!({"const": 1, "secret": true, "maximum": 3})),
            (json!(false), json!({"maximum": 3})),
            (json!(true), json!({"maximum": 3})),
        ] {
            assert_eq!(looser(own.clone(), base.clone()), None, "{own} {base}");
        }
    }

    #[test]
    fn rules_deep_inside_are_compared_through_references() {
        let deep = |maximum: u64| json!({"items": {"properties": {"n": {"maximum": maximum}}}});
        let (path, ..) = looser(deep(3), deep(2)).unwrap();
        assert_eq!(path, "p.items.n");
        assert_eq!(looser(deep(2), deep(3)), None);
        let through = json!({"$ref": "#/$defs/base/properties/p"});
        assert_eq!(looser(through, json!({"maximum": 2})), None);
        let loosening = json!({"$ref": "#/$defs/base/properties/p", "maximum": 3});
        assert!(looser(loosening, json!({"maximum": 2})).is_some());
    }
}
