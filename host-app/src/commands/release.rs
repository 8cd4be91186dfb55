use std::fmt::Write;

use plugbay_loader::registry::{Event, EventKind, HeldBack, Selector};
use serde_json::json;

use crate::args::Common;
use crate::control::{Client, Request};
use crate::exit::{Exit, Failure};
use crate::settings::{Settings, done_by_hand};
use crate::terminal::{Output, one_line};

/// Takes back that plugins are held back which took their host down.
pub fn run(common: &Common, which: Option<&str>, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let selector = selector(which)?;
    let (released, runs): (Vec<HeldBack>, bool) = match Client::connect(&settings.socket)? {
        Some(mut host) => {
            let which = which.map(str::to_owned);
            (host.ask(&Request::Release { which })?, true)
        }
        None => {
            let registry = settings.keeping.demand()?;
            let event = |held: &HeldBack| {
                let (id, version) = (held.plugin.clone(), Some(held.version.clone()));
                Event::new(id, version, EventKind::Released, "")
            };
            let released = done_by_hand(
                &*registry,
                || registry.release(&selector),
                |released| released.iter().map(event).collect(),
            )?;
            (released, false)
        }
    };
    if let (Some(which), []) = (which, released.as_slice()) {
        return Err(Failure::new(
            "PB1038",
            Exit::NotFound,
            format!("no plugin is held back that is `{}`", one_line(which)),
            "see what is: host-app list --status held_back",
        ));
    }
    if output.json {
        output.json(&json!({ "released": released }))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for held in &released {
        let _ = writeln!(
            text,
            "{} {} is tried again ({}); it {}",
            held.plugin,
            held.version,
            if runs { "now" } else { "from the next start on" },
            one_line(&held.reason.text)
        );
    }
    if released.is_empty() {
        text.push_str("Nothing is held back.\n");
    }
    output.text(&text)?;
    Ok(Exit::Ok)
}

/// A plugin's id, or the hash of a file; everything, where nothing is named.
pub fn selector(which: Option<&str>) -> Result<Selector, Failure> {
    let Some(which) = which else { return Ok(Selector::All) };
    if let Ok(hash) = which.parse() {
        return Ok(Selector::Hash(hash));
    }
    which.parse().map(Selector::Plugin).map_err(|error| {
        let help = "name a plugin by its id, or a file by the 64 digits of its hash";
        Failure::new("PB1038", Exit::Usage, format!("{error}"), help)
    })
}
