use std::io;

use plugbay_loader::manifest::Selector;
use plugbay_loader::{CallError, PluginId, PluginState};
use serde_json::Value;

use crate::args::{Common, Target};
use crate::commands::arguments::Given;
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
    arguments: &Given,
    shape: &Shape,
    alone: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let arguments = arguments.read(&mut io::stdin().lock())?;
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
    // In which versions is asked of those that run.
    let (id, range) = match plugin.split_once('@') {
        Some((id, _)) => (id, true),
        None => (plugin.as_str(), false),
    };
    if id.parse::<PluginId>().is_err() {
        return Err(nowhere());
    }
    if range && plugin.parse::<Selector>().is_err() {
        return Err(Failure::of_call(&CallError::Range { name: plugin.clone() }));
    }
    let bar = Bar::new();
    let host = settings.host_of_one_command()?.only(id).on_progress(bar.reporter()).build()?;
    let report = host.start()?;
    drop(bar);
    for notice in &report.notices {
        log::warn!("{notice}");
    }
    host.call_json(plugin, command, arguments).map_err(|error| match &error {
        CallError::UnknownPlugin { .. } => nowhere(),
        CallError::NotActive { state: PluginState::Disabled, .. } => Failure {
            help: format!(
                "host-app enable {plugin}, or take it out of `disabled` in the config file"
            ),
            ..Failure::of_call(&error)
        },
        _ => Failure::of_call(&error),
    })
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
