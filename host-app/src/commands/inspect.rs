use std::path::Path;

use crate::args::Common;
use crate::control::{Inspection, Request, reach};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::show;
use crate::survey::{Surveyor, there, unknown};
use crate::terminal::Output;

pub fn run(
    common: &Common,
    what: &str,
    verbose: bool,
    alone: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let surveyor = Surveyor::new(&settings);
    let path = Path::new(what);
    // A folder that is called as the plugin is not meant: there is nothing in it to show.
    let inspection = if what.contains('/') || path.is_file() {
        surveyor.inspect(there(path)?)?
    } else if let Some(mut host) = reach(&settings.socket, common, alone)? {
        host.ask(&Request::Inspect { plugin: what.to_owned() })?
    } else {
        in_folders(&surveyor, &settings, what)?
    };
    match output.json {
        true => output.json(&inspection)?,
        false => output.text(&show::inspection(&inspection, verbose, output))?,
    }
    Ok(Exit::Ok)
}

/// The one that would run, or else one that would be refused.
fn in_folders(surveyor: &Surveyor, settings: &Settings, id: &str) -> Result<Inspection, Failure> {
    let bar = Bar::new();
    let mut survey = surveyor.folders(&settings.folders, |done, total| bar.checked(done, total))?;
    drop(bar);
    let of_id = |seen: &Inspection| seen.manifest.id.as_str() == id;
    let runs = survey.inspections.iter().position(|seen| of_id(seen) && seen.refused.is_none());
    let chosen = runs.or_else(|| survey.inspections.iter().position(of_id));
    if let Some(chosen) = chosen {
        return Ok(survey.inspections.swap_remove(chosen));
    }
    // Its library may be there, and be for another machine, or unlike what lies beside it.
    let unread = survey
        .refused
        .iter()
        .filter(|refusal| refusal.plugin.as_ref().is_none_or(|(plugin, _)| plugin.as_str() == id));
    for refusal in unread.filter(|refusal| refusal.path.is_file()) {
        if let Ok(inspection) = surveyor.inspect(&refusal.path)
            && of_id(&inspection)
        {
            return Ok(inspection);
        }
    }
    Err(unknown(id, &survey))
}
