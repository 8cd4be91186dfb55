//! One schema as somebody wrote it, checked by itself: that it is one, that it is not
//! made to do harm, and that it says nothing that the other stages do not understand.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::SchemaError;
use super::keywords::{for_each, inside};
use super::owner::{BaseId, Origin};
use super::pattern;
use super::reference::{Reference, to_place};
use super::secret::Given;
use super::wording::Wording;
use crate::document::DEEPEST;

/// How many values a schema has at most, all inside counted.
const MOST_VALUES: usize = 10_000;
/// How many patterns it has at most.
const MOST_PATTERNS: usize = 100;
/// How many bases it extends at most.
const MOST_BASES: usize = 32;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A schema that was checked, as far as that goes without the others.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) origin: Arc<Origin>,
    pub(super) extends: Vec<BaseId>,
    schema: Value,
    references: Vec<(String, String, Reference)>,
    positions: HashSet<String>,
}

impl Source {
    pub(super) fn check(
        origin: Origin,
        schema: &Value,
        extends: &[String],
    ) -> Result<Self, SchemaError> {
        let origin = Arc::new(origin);
        let mut values = 0;
        if !is_within(schema, DEEPEST, &mut values) {
            let what =
                format!("it has more than {MOST_VALUES} values, or is deeper than {DEEPEST}");
            return Err(SchemaError::TooCostly { origin, what });
        }
        if extends.len() > MOST_BASES {
            let what = format!("it extends more than {MOST_BASES} bases");
            return Err(SchemaError::TooCostly { origin, what });
        }
        let extends = extends
            .iter()
            .map(|id| {
                id.parse().map_err(|why: super::InvalidBaseId| SchemaError::Reference {
                    origin: origin.clone(),
                    place: "/extends".into(),
                    reference: id.clone(),
                    why: why.to_string(),
                })
            })
            .collect::<Result<_, _>>()?;
        let mut object = match schema {
            Value::Object(object) => object.clone(),
            Value::Bool(true) => Map::new(),
            Value::Bool(false) => {
                [("not".to_owned(), Value::Object(Map::new()))].into_iter().collect()
            }
            _ => {
                return Err(SchemaError::Invalid {
                    origin,
                    place: String::new(),
                    rule: "type".into(),
                    message: "a schema is a table, `true` or `false`".into(),
                });
            }
        };
        if let Some(draft) = object.remove("$schema")
            && draft.as_str().map(|draft| draft.trim_end_matches('#')) != Some(DRAFT)
        {
            return Err(SchemaError::Unsupported {
                origin,
                place: "/$schema".into(),
                keyword: "$schema".into(),
                why: "schemas are read as draft 2020-12 and no other",
            });
        }
        // What it calls itself matters to nobody here.
        object.remove("$id");
        let schema = Value::Object(object);
        if let Some(error) = jsonschema::draft202012::meta::validator().iter_errors(&schema).next()
        {
            let place = error.instance_path().to_string();
            let rule = place.rsplit('/').next().unwrap_or_default().to_owned();
            let message = format!("expected {}", Wording::of(&error).expected);
            return Err(SchemaError::Invalid { origin, place, rule, message });
        }
        let mut source =
            Self { origin, extends, schema, references: Vec::new(), positions: HashSet::new() };
        let mut walk = Walk {
            origin: &source.origin,
            references: Vec::new(),
            positions: HashSet::new(),
            patterns: 0,
        };
        walk.schema(&source.schema, String::new())?;
        let Walk { references, positions, .. } = walk;
        (source.references, source.positions) = (references, positions);
        for (place, text, reference) in &source.references {
            if reference.base.is_none() && !source.positions.contains(&reference.pointer) {
                return Err(source.leads_nowhere(place, text));
            }
        }
        Ok(source)
    }

    /// The bases that it refers to, whether it extends them or not.
    pub(super) fn referred(&self) -> impl Iterator<Item = &BaseId> {
        self.references.iter().filter_map(|(_, _, reference)| reference.base.as_ref())
    }

    /// Checks a reference into `base`, which is another's.
    pub(super) fn check_references_to(&self, id: &BaseId, base: &Self) -> Result<(), SchemaError> {
        for (place, text, reference) in &self.references {
            if reference.base.as_ref() == Some(id) && !base.positions.contains(&reference.pointer) {
                return Err(self.leads_nowhere(place, text));
            }
        }
        Ok(())
    }

    /// The schema, where every reference is to a place in the document in which this
    /// one stands at `here` and the bases where `place_of` says.
    pub(super) fn placed(&self, here: &str, place_of: impl Fn(&Reference) -> String) -> Value {
        let mut schema = self.schema.clone();
        for_each(&mut schema, &mut |object| {
            if let Some(Value::String(text)) = object.get_mut("$ref")
                && let Ok(reference) = Reference::parse(text)
            {
                let begin =
                    if reference.base.is_some() { place_of(&reference) } else { here.into() };
                *text = to_place(&format!("{begin}{}", reference.pointer));
            }
        });
        schema
    }

    fn leads_nowhere(&self, place: &str, reference: &str) -> SchemaError {
        SchemaError::Reference {
            origin: self.origin.clone(),
            place: place.to_owned(),
            reference: reference.to_owned(),
            why: "there is no schema".into(),
        }
    }
}

/// Whether there are no more values than may be, no deeper than `depth`.
fn is_within(value: &Value, depth: usize, values: &mut usize) -> bool {
    *values += 1;
    if *values > MOST_VALUES {
        return false;
    }
    match value {
        Value::Array(list) => {
            depth > 0 && list.iter().all(|value| is_within(value, depth - 1, values))
        }
        Value::Object(map) => {
            depth > 0 && map.values().all(|value| is_within(value, depth - 1, values))
        }
        _ => true,
    }
}

struct Walk<'a> {
    origin: &'a Arc<Origin>,
    references: Vec<(String, String, Reference)>,
    positions: HashSet<String>,
    patterns: usize,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, place: String) -> Result<(), SchemaError> {
        if let Value::Object(object) = schema {
            self.keywords(object, &place)?;
            self.patterns(object, &place)?;
            self.secret(object, &place)?;
            for (step, schema) in inside(object) {
                self.schema(schema, format!("{place}{step}"))?;
            }
        }
        self.positions.insert(place);
        Ok(())
    }

    fn keywords(&mut self, object: &Map<String, Value>, place: &str) -> Result<(), SchemaError> {
        const REFUSED: [(&str, &str); 9] = [
            ("$id", "only the top of a schema may have a name, which is passed over"),
            ("$schema", "a schema is of one draft as a whole"),
            ("$anchor", "names inside of a schema are not read"),
            ("$dynamicAnchor", "names inside of a schema are not read"),
            ("$dynamicRef", "references that depend on who refers are not read"),
            ("$recursiveRef", "references that depend on who refers are not read"),
            ("$recursiveAnchor", "names inside of a schema are not read"),
            (
                "dependencies",
                "it is of an older draft: write `dependentSchemas` or `dependentRequired`",
            ),
            ("additionalItems", "it is of an older draft: write `items` beside `prefixItems`"),
        ];
        for (keyword, why) in REFUSED {
            if object.contains_key(keyword) {
                return Err(SchemaError::Unsupported {
                    origin: self.origin.clone(),
                    place: format!("{place}/{keyword}"),
                    keyword: keyword.into(),
                    why,
                });
            }
        }
        if let Some(Value::String(text)) = object.get("$ref") {
            let place = format!("{place}/$ref");
            let reference = Reference::parse(text).map_err(|why| SchemaError::Reference {
                origin: self.origin.clone(),
                place: place.clone(),
                reference: text.clone(),
                why,
            })?;
            self.references.push((place, text.clone(), reference));
        }
        Ok(())
    }

    fn patterns(&mut self, object: &Map<String, Value>, place: &str) -> Result<(), SchemaError> {
        let mut patterns = Vec::new();
        if let Some(Value::String(pattern)) = object.get("pattern") {
            patterns.push(("pattern", pattern));
        }
        if let Some(Value::Object(map)) = object.get("patternProperties") {
            patterns.extend(map.keys().map(|pattern| ("patternProperties", pattern)));
        }
        for (rule, text) in patterns {
            self.patterns += 1;
            if self.patterns > MOST_PATTERNS {
                let what = format!("it has more than {MOST_PATTERNS} patterns");
                return Err(SchemaError::TooCostly { origin: self.origin.clone(), what });
            }
            pattern::compile(text).map_err(|message| SchemaError::Invalid {
                origin: self.origin.clone(),
                place: format!("{place}/{rule}"),
                rule: rule.into(),
                message,
            })?;
        }
        Ok(())
    }

    fn secret(&mut self, object: &Map<String, Value>, place: &str) -> Result<(), SchemaError> {
        let wrong =
            |why| SchemaError::Secret { origin: self.origin.clone(), place: place.into(), why };
        match object.get("secret") {
            None | Some(Value::Bool(false)) => return Ok(()),
            Some(Value::Bool(true)) => {}
            Some(_) => return Err(wrong("`secret` is `true` or `false`")),
        }
        let is_table_or_list = |name: &Value| matches!(name.as_str(), Some("object" | "array"));
        let refused = match object.get("type") {
            Some(Value::Array(names)) => names.iter().any(is_table_or_list),
            Some(name) => is_table_or_list(name),
            None => false,
        };
        if refused {
            return Err(wrong("a secret comes as a text, so it is no table and no list"));
        }
        match object.get("default").map(Given::of) {
            None | Some(Given::Reference(_) | Given::Nothing) => Ok(()),
            Some(Given::Plain | Given::Malformed(_)) => Err(wrong("its default is no secret")),
        }
    }
}
