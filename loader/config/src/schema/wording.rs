//! What the validator says, in words that have nothing of the checked value in them.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use crate::shown::short;

/// The rule that a value breaks, and what it asks for. Made of the schema alone.
pub(super) struct Wording {
    pub(super) rule: String,
    pub(super) expected: String,
}

impl Wording {
    pub(super) fn of(error: &ValidationError<'_>) -> Self {
        Self { rule: error.kind().keyword().to_owned(), expected: expected(error.kind(), 0) }
    }
}

/// `depth` is how many forms this one is inside of.
fn expected(kind: &Kind, depth: usize) -> String {
    match kind {
        Kind::AdditionalItems { limit } => most(*limit, "entry", "entries"),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
            "no keys but those declared".into()
        }
        Kind::UnevaluatedItems { .. } => "no entries but those declared".into(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => forms(context, depth),
        Kind::OneOfMultipleValid { .. } => "only one of its forms, and not several at once".into(),
        Kind::Constant { expected_value } => shown(expected_value),
        Kind::Contains => "the right number of entries of the kind that it must contain".into(),
        Kind::ContentEncoding { content_encoding } => {
            format!("a text encoded in {}", short(content_encoding, 40))
        }
        Kind::ContentMediaType { content_media_type } => {
            format!("a text that is {}", short(content_media_type, 40))
        }
        Kind::Enum { options } => match &**options {
            Value::Array(options) => one_of(options),
            other => shown(other),
        },
        Kind::ExclusiveMaximum { limit } => format!("less than {}", shown(limit)),
        Kind::ExclusiveMinimum { limit } => format!("more than {}", shown(limit)),
        Kind::Maximum { limit } => format!("{} or less", shown(limit)),
        Kind::Minimum { limit } => format!("{} or more", shown(limit)),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::FalseSchema => "nothing at all".into(),
        Kind::Format { format } => format!("a text of the format `{}`", short(format, 40)),
        Kind::FromUtf8 { .. } => "UTF-8".into(),
        Kind::MaxItems { limit } => most(*limit, "entry", "entries"),
        Kind::MinItems { limit } => least(*limit, "entry", "entries"),
        Kind::MaxLength { limit } => most(*limit, "character", "characters"),
        Kind::MinLength { limit } => least(*limit, "character", "characters"),
        Kind::MaxProperties { limit } => most(*limit, "key", "keys"),
        Kind::MinProperties { limit } => least(*limit, "key", "keys"),
        Kind::Not { .. } => "something else: what is not allowed is declared".into(),
        Kind::Pattern { pattern } => format!("a text that matches {}", short(pattern, 100)),
        Kind::PropertyNames { error } => {
            format!("keys that are each {}", expected(error.kind(), depth + 1))
        }
        Kind::Required { property } => match property.as_str() {
            Some(name) => format!("the key `{}`", short(name, 60)),
            None => "another key".into(),
        },
        Kind::Type { kind } => types(kind),
        Kind::UniqueItems => "entries that are all different".into(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "a text that the pattern can be tried on".into()
        }
        Kind::Custom { keyword, .. } => format!("what `{}` asks for", short(keyword, 40)),
        Kind::Referencing(_) => "a reference that leads somewhere".into(),
    }
}

fn most(limit: impl Into<Limit>, one: &str, many: &str) -> String {
    let Limit(limit) = limit.into();
    format!("at most {limit} {}", if limit == 1 { one } else { many })
}

fn least(limit: impl Into<Limit>, one: &str, many: &str) -> String {
    let Limit(limit) = limit.into();
    format!("at least {limit} {}", if limit == 1 { one } else { many })
}

struct Limit(u64);

impl From<u64> for Limit {
    fn from(limit: u64) -> Self {
        Self(limit)
    }
}

impl From<usize> for Limit {
    fn from(limit: usize) -> Self {
        Self(u64::try_from(limit).unwrap_or(u64::MAX))
    }
}

/// What is wrong with each form, so that the one that was meant can be found.
fn forms(context: &[Vec<ValidationError<'static>>], depth: usize) -> String {
    if depth > 1 {
        return format!("one of {} forms", context.len());
    }
    let mut told = Vec::new();
    for errors in context.iter().take(6) {
        let Some(error) = errors.first() else { continue };
        let place = error.instance_path().to_string();
        let expected = expected(error.kind(), depth + 1);
        let text = if errors.iter().any(|other| other.instance_path().to_string() != place) {
            format!("{expected} at {}, and more", short(&place, 60))
        } else {
            expected
        };
        if !told.contains(&text) {
            told.push(text);
        }
    }
    if context.len() > 6 {
        told.push(format!("one of {} more", context.len() - 6));
    }
    told.join("; or ")
}

pub(super) fn one_of(options: &[Value]) -> String {
    let mut told: Vec<_> = options.iter().take(8).map(shown).collect();
    if options.len() > 8 {
        told.push(format!("{} more", options.len() - 8));
    }
    match told.as_slice() {
        [] => "nothing at all".into(),
        [only] => only.clone(),
        [begin @ .., last] => format!("{} or {last}", begin.join(", ")),
    }
}

/// A value out of a schema.
pub(super) fn shown(value: &Value) -> String {
    short(&value.to_string(), 60)
}

fn types(kind: &TypeKind) -> String {
    let names: Vec<_> = match kind {
        TypeKind::Single(kind) => vec![type_name(*kind)],
        TypeKind::Multiple(kinds) => kinds.iter().map(type_name).collect(),
    };
    names.join(" or ")
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "a table",
        JsonType::String => "a text",
    }
}

/// What kind of value it is, in the same words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "`true` or `false`",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
