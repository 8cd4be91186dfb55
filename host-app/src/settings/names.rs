//! The names of plugins and kinds in the config file that nothing has.

use std::collections::BTreeSet;

use plugbay_loader::PluginId;
use plugbay_loader::config::nearest;
use plugbay_loader::manifest::Manifest;
use serde_json::Value;

use super::Settings;

/// What there is: what the config file may name.
#[derive(Debug, Default)]
pub struct Names {
    plugins: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Names {
    /// Adds a plugin and its kinds.
    pub fn add(&mut self, manifest: &Manifest) {
        self.add_plugin(&manifest.id);
        self.kinds.extend(manifest.kinds.iter().cloned());
    }

    /// Adds one of which no more is known.
    pub fn add_plugin(&mut self, id: &PluginId) {
        self.plugins.insert(id.to_string());
    }
}

/// What a name in the file is to be.
#[derive(Clone, Copy)]
enum What {
    Plugin,
    Kind,
}

impl Settings {
    /// What is odd about the config file, or about there being none.
    pub fn notices(&self, there: &Names) -> Vec<String> {
        self.notice_of_unread().into_iter().chain(self.names_of_nobody(there)).collect()
    }

    /// Each name of a plugin or a kind in the config file that nothing has, with its place,
    /// as a notice: a plugin may come later.
    pub fn names_of_nobody(&self, there: &Names) -> Vec<String> {
        let mut kinds = there.kinds.clone();
        kinds.extend(self.policy().kinds.into_keys());
        let mut notices = Vec::new();
        // A kind may be ruled on before anything is of it.
        let ruled = self.written.get("kinds").and_then(Value::as_object);
        for kind in ruled.into_iter().flatten().map(|(kind, _)| kind) {
            let known = &there.kinds;
            if !known.contains(kind) && nearest(kind, known.iter().map(String::as_str)).is_some() {
                notices.push(self.names_nobody(What::Kind, &["kinds", kind], kind, known));
            }
        }
        let mut look = |what: What, keys: &[&str], name: &str| {
            let known = match what {
                What::Plugin => &there.plugins,
                What::Kind => &kinds,
            };
            if !known.contains(name) {
                notices.push(self.names_nobody(what, keys, name, known));
            }
        };
        for key in ["enabled", "disabled"] {
            for (at, item) in items(self.written.get(key)) {
                look(What::Plugin, &[key, &at], id_of(item));
            }
        }
        for key in ["versions_of", "config"] {
            for name in self.written.get(key).and_then(Value::as_object).into_iter().flatten() {
                look(What::Plugin, &[key, name.0], id_of(name.0));
            }
        }
        for key in ["precedence", "plugin_precedence"] {
            let lists = self.written.get(key).and_then(Value::as_object);
            for (kind, list) in lists.into_iter().flatten() {
                look(What::Kind, &[key, kind], kind);
                for (at, id) in items(Some(list)) {
                    look(What::Plugin, &[key, kind, &at], id);
                }
            }
        }
        notices
    }

    fn names_nobody(
        &self,
        what: What,
        keys: &[&str],
        name: &str,
        known: &BTreeSet<String>,
    ) -> String {
        let place = self.place_of(keys).map(|place| format!("{place}: ")).unwrap_or_default();
        let key = keys.first().copied().unwrap_or_default();
        let meant = nearest(name, known.iter().map(String::as_str));
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        let (code, what, lacks) = match what {
            What::Plugin => ("PB1039", "plugin", "of which no good file was found"),
            What::Kind => ("PB1040", "kind", "which nothing is of"),
        };
        let name = name.escape_debug();
        format!(
            "{code}: {place}`{key}` names the {what} `{name}`, {lacks}{meant}; help: correct it, \
             or leave it for a plugin that is to come"
        )
    }
}

/// The texts of a list, each with its number as a key.
fn items(list: Option<&Value>) -> impl Iterator<Item = (String, &str)> {
    let items = list.and_then(Value::as_array).into_iter().flatten().enumerate();
    items.filter_map(|(at, item)| Some((at.to_string(), item.as_str()?)))
}

/// Of `sql` and of `sql@^1`.
fn id_of(text: &str) -> &str {
    text.split('@').next().unwrap_or(text)
}
