use std::fmt::Write;

use super::wish;
use crate::args::Common;
use crate::control::{Action, Changed, Client, Request, demand};
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::terminal::{Output, Tone, one_line};

/// Has the running host change what one plugin does; where there is none, the next one.
pub fn run(common: &Common, action: Action, id: &str, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let mut host = match (Client::connect(&settings.socket)?, action) {
        (Some(host), _) => host,
        (None, Action::Enable | Action::Disable) => {
            return wish::run(&settings, action, id, output);
        }
        (None, Action::Load | Action::Unload) => demand(&settings.socket)?,
    };
    let changed: Changed = host.ask(&Request::Change { action, plugin: id.to_owned() })?;
    match output.json {
        true => output.json(&changed)?,
        false => output.text(&sentence(action, &changed, output))?,
    }
    Ok(Exit::Ok)
}

fn sentence(action: Action, changed: &Changed, output: &Output) -> String {
    let Changed { plugin, state_kept, failures, kept } = changed;
    let generation = plugin.generation.unwrap_or(0);
    let mut text = format!("{} {} is {}", plugin.id, plugin.version, plugin.state);
    match action {
        _ if plugin.generation.is_none() => text.push('\n'),
        Action::Enable | Action::Load => {
            let _ = writeln!(text, " (generation {generation})");
        }
        Action::Disable | Action::Unload => {
            let kept = if *state_kept { ", its state is kept" } else { "" };
            let _ = writeln!(text, " (generation {generation} ended{kept})");
        }
    }
    for failure in failures {
        let _ = writeln!(text, "  {} {}", output.paint(Tone::Doubtful, "but"), one_line(failure));
    }
    if let Some(pin) = plugin.pinned.last().filter(|pin| pin.generation == generation) {
        let _ = writeln!(text, "  its library is still in memory: {}", one_line(&pin.reason));
    }
    if action == Action::Disable {
        let id = &plugin.id;
        let _ = match kept {
            true => writeln!(text, "  for later hosts, too, until: host-app enable {id}"),
            false => writeln!(
                text,
                "  until this host ends; for good: disabled = [\"{id}\"] in the config file"
            ),
        };
    }
    text
}
