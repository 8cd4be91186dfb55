//! Reload, rollback and save, as the running host does them for a client.

use plugbay_loader::{Explain, Host, LoadPluginError, LookedAt, Outcome};
use serde_json::{Value, json};

use super::messages::{Reloads, state_word};
use crate::event_line::{Told, configured, reloaded};
use crate::exit::{Exit, Failure};
use crate::terminal::Tone;

/// Looks at one plugin's file again, or at all of them.
pub fn reload(host: &Host, plugin: Option<&str>) -> Result<Reloads, Failure> {
    match plugin {
        Some(id) => {
            let told = told_of(host, id, host.reload(id)).map_err(|refused| refused.failure)?;
            Ok(Reloads { plugins: vec![told], exit: Exit::Ok })
        }
        None => {
            let looked_at = host.reload_all()?;
            let mut exit = Exit::Ok;
            let told = |LookedAt { name, outcome, .. }| {
                told_of(host, &name, outcome).unwrap_or_else(|refused| {
                    exit = exit.max(refused.failure.exit);
                    refused.told
                })
            };
            let plugins = looked_at.into_iter().map(told).collect();
            Ok(Reloads { plugins, exit })
        }
    }
}

pub fn rollback(host: &Host, plugin: &str) -> Result<Told, Failure> {
    let back = host.rollback(plugin)?;
    Ok(said(reloaded(&back, plugin), None, outcome_json("reloaded", &back)))
}

pub fn save(host: &Host, plugin: &str) -> Result<Told, Failure> {
    let bytes = host.save(plugin)?;
    let json = json!({ "plugin": plugin, "bytes": bytes });
    Ok(said(format!("{plugin}: its state is on disk, {bytes} bytes"), None, json))
}

/// One that was not taken: as the failure of a command, and as a line among others.
struct Refused {
    failure: Failure,
    told: Told,
}

fn told_of(
    host: &Host,
    id: &str,
    outcome: Result<Outcome, LoadPluginError>,
) -> Result<Told, Box<Refused>> {
    match outcome {
        Ok(Outcome::Unchanged) => {
            let serving = serving(host, id);
            let who = serving.as_ref().map_or_else(String::new, Serving::words);
            let json = json!({
                "outcome": "unchanged", "plugin": id, "serving": serving.map(Serving::json),
            });
            Ok(said(format!("{id} is unchanged{who}"), Some(Tone::Faint), json))
        }
        Ok(Outcome::Loaded(status)) => {
            let (version, generation) = (&status.manifest.version, status.generation);
            let json = json!({
                "outcome": "loaded", "plugin": id, "version": version, "generation": generation,
                "state": state_word(&status),
            });
            Ok(said(format!("{id} {version} loaded (generation {generation})"), None, json))
        }
        Ok(Outcome::OnDemand(status)) => {
            let version = &status.manifest.version;
            let json = json!({ "outcome": "on_demand", "plugin": id, "version": version });
            let text = format!("{id} {version} is ready, and is loaded when it is called");
            Ok(said(text, None, json))
        }
        Ok(Outcome::Reloaded(told)) => {
            Ok(said(reloaded(&told, id), None, outcome_json("reloaded", &*told)))
        }
        Ok(Outcome::Configured(told)) => {
            Ok(said(configured(&told, id), None, outcome_json("configured", &*told)))
        }
        Ok(other) => Ok(said(format!("{id}: {other:?}"), None, json!({ "plugin": id }))),
        Err(error) => Err(Box::new(refused(host, id, &error))),
    }
}

fn refused(host: &Host, id: &str, error: &LoadPluginError) -> Refused {
    let mut failure = Failure {
        exit: Exit::of(error),
        ..Failure::new(error.code(), Exit::Failed, error.to_string(), error.hint())
    };
    // One whose file is gone is not found, but what serves is not to be forgotten.
    let serving = serving(host, id);
    if let Some(serving) = &serving {
        failure.message = format!("{}; {}", failure.message.trim_end(), serving.on(id));
    }
    let Failure { code, message, help, .. } = &failure;
    let text = format!("{id} was not taken: {code}: {message}; help: {help}");
    let json = json!({
        "outcome": "refused", "plugin": id, "serving": serving.map(Serving::json),
        "error": failure,
    });
    Refused { told: said(text, Some(Tone::Bad), json), failure }
}

/// The version and generation that get the calls.
struct Serving(String, u64);

fn serving(host: &Host, id: &str) -> Option<Serving> {
    let status = host.status(id)?;
    let active = status.state == plugbay_loader::PluginState::Active;
    active.then(|| Serving(status.manifest.version.to_string(), status.generation))
}

impl Serving {
    fn words(&self) -> String {
        format!(": {} serves (generation {})", self.0, self.1)
    }

    fn on(&self, id: &str) -> String {
        format!("{id} {} serves on (generation {})", self.0, self.1)
    }

    fn json(self) -> Value {
        json!({ "version": self.0, "generation": self.1 })
    }
}

fn said(text: String, tone: Option<Tone>, json: Value) -> Told {
    Told { time: None, text, tone, json }
}

/// What the loader says, with a word before it.
fn outcome_json(outcome: &str, what: &impl serde::Serialize) -> Value {
    // Not reached: these types have string keys only.
    let mut value = serde_json::to_value(what).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert("outcome".into(), outcome.into());
    }
    value
}
