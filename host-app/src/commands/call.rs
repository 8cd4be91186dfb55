use std::fs;
use std::io::{self, Read};
use std::path::Path;

use plugbay_loader::{CallError, PluginId, PluginState, printable};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::args::{Common, Target};
use crate::control::{Request, reach};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::{Surveyor, unknown};
use crate::terminal::{Output, one_line};

/// What of the result is printed, and how.
pub struct Shape {
    pub raw: bool,
    pub field: Option<String>,
    pub pointer: Option<String>,
}

pub fn run(
    common: &Common,
    target: &Target,
    arguments: &str,
    shape: &Shape,
    alone: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let arguments = read(arguments, &mut io::stdin().lock())?;
    let Target { plugin, command } = target;
    let result = match reach(&settings.socket, common, alone)? {
        Some(mut host) => host.ask(&Request::Call {
            plugin: plugin.clone(),
            command: command.clone(),
            arguments,
        })?,
        None => call_alone(&settings, target, &arguments)?,
    };
    match (shape.pick(&result)?, shape.raw) {
        (Value::String(text), true) => output.text(&format!("{text}\n"))?,
        (value, _) => output.json(value)?,
    }
    Ok(Exit::Ok)
}

/// Loads the plugin for this one call.
fn call_alone(settings: &Settings, target: &Target, arguments: &str) -> Result<Value, Failure> {
    let Target { plugin, command } = target;
    let nowhere = || match Surveyor::new(settings).folders(&settings.folders, |_, _| {}) {
        Ok(survey) => unknown(plugin, &survey),
        Err(failure) => failure,
    };
    if plugin.parse::<PluginId>().is_err() {
        return Err(nowhere());
    }
    let bar = Bar::new();
    let host = settings.host().only(plugin).on_progress(bar.reporter()).build()?;
    let report = host.start()?;
    drop(bar);
    for notice in &report.notices {
        log::warn!("{notice}");
    }
    host.call_json(plugin, command, arguments).map_err(|error| match &error {
        CallError::UnknownPlugin { .. } => nowhere(),
        CallError::NotActive { state: PluginState::Disabled, .. } => Failure {
            help: "take it out of `disabled` in the config file".into(),
            ..Failure::of_call(&error)
        },
        _ => Failure::of_call(&error),
    })
}

/// The arguments' JSON text, from where the word says.
fn read(word: &str, stdin: &mut impl Read) -> Result<String, Failure> {
    let (text, from) = if word == "-" {
        let mut text = String::new();
        stdin.read_to_string(&mut text).map_err(|error| {
            let help = "give the arguments as UTF-8";
            Failure::io("PB1014", "standard input cannot be read", &error, help)
        })?;
        (text, "standard input".to_owned())
    } else if let Some(path) = word.strip_prefix('@') {
        let path = Path::new(path);
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("the arguments in {} cannot be read", printable(path));
            Failure::io("PB1014", message, &error, "name a file with JSON in UTF-8 after the @")
        })?;
        (text, printable(path))
    } else {
        (word.to_owned(), "the command line".to_owned())
    };
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(no_json(&text, &from, &error)),
    }
}

fn no_json(text: &str, from: &str, error: &serde_json::Error) -> Failure {
    let message = format!("the arguments from {from} are no JSON: {error}");
    if text.trim().is_empty() {
        return Failure::new(
            "PB1015",
            Exit::Usage,
            message,
            "there was nothing; for no arguments give {} or leave them out",
        );
    }
    // What arrived is seldom what was typed: the shell takes quotes away.
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let before = error.column().saturating_sub(1);
    let shown: String = line.chars().skip(before.saturating_sub(30)).take(60).collect();
    Failure::new(
        "PB1015",
        Exit::Usage,
        format!("{message}\n  near: {}", one_line(&shown)),
        "quote JSON for the shell, as '{\"text\": \"# Hi\"}', or give it as @FILE or on standard \
         input as -",
    )
}

impl Shape {
    fn pick<'a>(&self, result: &'a Value) -> Result<&'a Value, Failure> {
        let missing = |what: &str| {
            let help = match result {
                Value::Object(members) => {
                    let names: Vec<_> = members.keys().map(String::as_str).collect();
                    format!("it has: {}", names.join(", "))
                }
                Value::Array(items) => format!("it is a list of {} items", items.len()),
                _ => "it is no object; leave the option out".into(),
            };
            Failure::new("PB1016", Exit::NotFound, format!("the result has no {what}"), help)
        };
        match (&self.field, &self.pointer) {
            (Some(name), _) => {
                result.get(name).ok_or_else(|| missing(&format!("member `{}`", one_line(name))))
            }
            (None, Some(pointer)) => result
                .pointer(pointer)
                .ok_or_else(|| missing(&format!("place `{}`", one_line(pointer)))),
            (None, None) => Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_come_from_the_command_line_a_file_or_stdin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arguments.json");
        fs::write(&path, "[1]").unwrap();
        assert_eq!(read("{}", &mut io::empty()).unwrap(), "{}");
        assert_eq!(read(&format!("@{}", path.display()), &mut io::empty()).unwrap(), "[1]");
        assert_eq!(read("-", &mut &b"2"[..]).unwrap(), "2");
        // A number of any size arrives as it is.
        let large = "123456789012345678901234567890";
        assert_eq!(read(large, &mut io::empty()).unwrap(), large);
    }

    #[test]
    fn arguments_that_are_no_json_are_named_with_their_place() {
        let failure = read("{text: 1}", &mut io::empty()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.exit), ("PB1015", Exit::Usage));
        assert!(failure.message.contains("line 1 column 2"), "{}", failure.message);
        assert!(failure.message.contains("near: {text: 1}"), "{}", failure.message);
        assert_eq!(read("-", &mut io::empty()).unwrap_err().code, "PB1015");
        assert_eq!(read("-", &mut &b"\xff"[..]).unwrap_err().code, "PB1014");
        let failure = read("@/nowhere.json", &mut io::empty()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.exit), ("PB1014", Exit::NotFound));
    }

    #[test]
    fn a_member_or_a_place_is_picked() {
        let result = json!({ "html": "<p>", "rows": [1, 2] });
        let shape = |field: Option<&str>, pointer: Option<&str>| Shape {
            raw: false,
            field: field.map(Into::into),
            pointer: pointer.map(Into::into),
        };
        assert_eq!(shape(None, None).pick(&result).unwrap(), &result);
        assert_eq!(shape(Some("html"), None).pick(&result).unwrap(), &json!("<p>"));
        assert_eq!(shape(None, Some("/rows/1")).pick(&result).unwrap(), &json!(2));
        let failure = shape(Some("text"), None).pick(&result).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.help.as_str()),
            ("PB1016", "it has: html, rows")
        );
        assert!(shape(None, Some("/rows/2")).pick(&result).is_err());
    }
}
