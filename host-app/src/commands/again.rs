//! Reload, rollback and save.

use crate::args::Common;
use crate::control::{Reloads, Request, demand};
use crate::event_line::Told;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::terminal::Output;

/// Has the running host look at one plugin's file again, or at all of them.
pub fn reload(common: &Common, id: Option<String>, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let Reloads { plugins, exit } =
        demand(&settings.socket)?.ask(&Request::Reload { plugin: id })?;
    for told in &plugins {
        told.print(output)?;
    }
    if plugins.is_empty() && !output.json {
        output.text("There are no plugins.\n")?;
    }
    Ok(exit)
}

pub fn rollback(common: &Common, id: &str, output: &Output) -> Result<Exit, Failure> {
    one(common, &Request::Rollback { plugin: id.to_owned() }, output)
}

pub fn save(common: &Common, id: &str, output: &Output) -> Result<Exit, Failure> {
    one(common, &Request::Save { plugin: id.to_owned() }, output)
}

fn one(common: &Common, request: &Request, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let told: Told = demand(&settings.socket)?.ask(request)?;
    told.print(output)?;
    Ok(Exit::Ok)
}
