//! A stack as it can be printed.

use plugbay_config::document::is_secretive;
use plugbay_config::{KeyPath, Step};
use serde_json::{Map, Value, json};

use crate::member::{Member, MemberName};
use crate::overlay::is_source;
use crate::stack::{Clash, Stack};

/// What is printed in the place of a secret.
const HIDDEN: &str = "***";

impl Stack {
    /// The whole stack with all that it extends, in the spelling that [`Stack::read`] takes,
    /// without `extends`.
    ///
    /// Of a configuration, what may be a secret is hidden: each value whose key is called
    /// like one, unless it says where the secret is, and what `secrets` names for a member,
    /// by the schemas that the caller knows.
    pub fn shown(&self, secrets: impl Fn(&MemberName, &Member) -> Vec<KeyPath>) -> Value {
        let one = |(name, member): (&MemberName, &Member)| {
            let mut config = Value::Object(member.config.0.clone());
            hide_by_name(&mut config);
            for path in secrets(name, member) {
                hide_at(&mut config, path.steps());
            }
            shown(name, member, config)
        };
        let (components, plugins): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|(_, member)| member.component);
        let plugins = plugins.into_iter().map(one);
        let any_of = self.any_of.iter().map(|(kind, any_of)| {
            let mut table = Map::from_iter([("kind".to_owned(), json!(kind))]);
            if any_of.optional {
                table.insert("optional".into(), json!(true));
            }
            Value::Object(table)
        });
        let conflicts = self.conflicts.iter().map(|Clash { one, other, .. }| json!([one, other]));
        let mut table = Map::new();
        table.insert("name".into(), json!(self.name));
        if let Some(description) = &self.description {
            table.insert("description".into(), json!(description));
        }
        for (key, value) in [
            ("components", components.into_iter().map(one).collect()),
            ("plugins", plugins.chain(any_of).collect()),
            ("conflicts", conflicts.collect::<Value>()),
            ("precedence", json!(self.precedence)),
            ("kinds", json!(self.kinds)),
        ] {
            let is_empty = value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            if !is_empty {
                table.insert(key.into(), value);
            }
        }
        if let Some(profile) = self.profile {
            table.insert("profile".into(), json!(profile));
        }
        Value::Object(table)
    }
}

fn shown(name: &MemberName, member: &Member, config: Value) -> Value {
    let mut table = Map::from_iter([("id".to_owned(), json!(name))]);
    if !member.version.comparators.is_empty() {
        table.insert("version".into(), json!(member.version));
    }
    if let Some(kind) = &member.kind {
        table.insert("kind".into(), json!(kind));
    }
    for (key, value, default) in
        [("optional", member.optional, false), ("enabled", member.enabled, true)]
    {
        if value != default {
            table.insert(key.into(), json!(value));
        }
    }
    if !member.dependencies.is_empty() {
        let dependencies = member.dependencies.iter().map(|dependency| {
            match dependency.version.comparators.is_empty() {
                true => dependency.name.to_string(),
                false => format!("{}@{}", dependency.name, dependency.version),
            }
        });
        table.insert("dependencies".into(), dependencies.collect());
    }
    if config.as_object().is_some_and(|config| !config.is_empty()) {
        table.insert("config".into(), config);
    }
    Value::Object(table)
}

fn hide_by_name(value: &mut Value) {
    match value {
        Value::Object(table) if is_source(table) => {}
        Value::Object(table) => {
            for (key, value) in table {
                if is_secretive(key) && !value.as_object().is_some_and(is_source) {
                    *value = HIDDEN.into();
                } else {
                    hide_by_name(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide_by_name),
        _ => {}
    }
}

/// Hides what a path leads to, or the last thing on the way that is there.
fn hide_at(value: &mut Value, steps: &[Step]) {
    let Some((step, rest)) = steps.split_first() else {
        *value = HIDDEN.into();
        return;
    };
    let next = match (step, &mut *value) {
        (Step::Key(key), Value::Object(table)) => table.get_mut(key),
        (Step::Index(at), Value::Array(list)) => list.get_mut(*at),
        _ => None,
    };
    match next {
        Some(next) => hide_at(next, rest),
        None => *value = HIDDEN.into(),
    }
}
