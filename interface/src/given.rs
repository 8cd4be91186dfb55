//! What a host gives a plugin to be configured with, as it crosses.
//!
//! It is the plugin's configuration, as JSON. Where the plugin adds tables to the host's
//! configuration, it is a table of exactly two keys: `$config`, the plugin's
//! configuration, and `$host`, those tables by their names. A host before 1.3 knows nothing
//! of that and gives the configuration alone.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;

const CONFIG: &str = "$config";
const HOST: &str = "$host";

/// Both, taken apart.
pub(crate) struct Given {
    /// The plugin's own, as JSON.
    pub(crate) configuration: String,
    pub(crate) host_config: BTreeMap<String, Value>,
}

impl Given {
    pub(crate) fn read(text: String) -> Result<Self, Error> {
        let alone = |configuration| Self { configuration, host_config: BTreeMap::new() };
        if !text.contains(HOST) {
            return Ok(alone(text));
        }
        let Value::Object(mut whole) = serde_json::from_str(&text)? else { return Ok(alone(text)) };
        if whole.len() != 2 {
            return Ok(alone(text));
        }
        let (Some(config), Some(Value::Object(tables))) =
            (whole.remove(CONFIG), whole.remove(HOST))
        else {
            return Ok(alone(text));
        };
        Ok(Self { configuration: config.to_string(), host_config: tables.into_iter().collect() })
    }
}

/// What a host gives a plugin that adds tables to its configuration: the plugin's own
/// configuration and those tables by name, each as JSON. For hosts.
pub fn give<'a>(
    configuration: &str,
    tables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut text = format!("{{\"{CONFIG}\":{configuration},\"{HOST}\":{{");
    for (at, (name, table)) in tables.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{}:{table}", Value::from(name)));
    }
    text + "}}"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_put_together_is_taken_apart() {
        let given = give("{\"$host\":1}", [("a", "{}"), ("dspy", "{\"size\":2}")]);
        let read = Given::read(given).unwrap();
        assert_eq!(read.configuration, "{\"$host\":1}");
        assert_eq!(read.host_config["dspy"], json!({ "size": 2 }));
    }

    #[test]
    fn a_configuration_alone_is_what_it_is() {
        for text in [
            "null",
            "{\"$host\": {}}",
            "[\"$host\"]",
            "{\"$config\": 1, \"$host\": 2}",
            "{\"$config\": 1, \"$host\": {}, \"a\": 3}",
        ] {
            let read = Given::read(text.to_owned()).unwrap();
            assert_eq!((read.configuration.as_str(), read.host_config.len()), (text, 0));
        }
    }
}
