mod filter;

use crate::args::{Common, Filters};
use crate::control::{Overview, Request, reach};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::show;
use crate::survey::Surveyor;
use crate::terminal::{Output, Tone};

pub fn run(
    common: &Common,
    only_refused: bool,
    filters: &Filters,
    alone: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let mut overview: Overview = match reach(&settings.socket, common, alone)? {
        Some(mut host) => host.ask(&Request::List)?,
        None => {
            let bar = Bar::new();
            let survey = Surveyor::new(&settings)
                .folders(&settings.folders, |done, total| bar.checked(done, total))?;
            survey.overview(&settings.folders)
        }
    };
    if only_refused {
        overview.plugins.clear();
    }
    filters.apply(&mut overview, || settings.keeping.look());
    if output.json {
        output.json(&overview)?;
        return Ok(Exit::Ok);
    }
    let mut text = match (only_refused, overview.refused.is_empty()) {
        (true, true) => "Nothing was refused.\n".to_owned(),
        (true, false) => show::refused(&overview.refused, output),
        (false, _) => show::overview(&overview, output),
    };
    let note = match &overview.host {
        Some(host) => format!("Answered by the host with process id {}.", host.pid),
        None => format!(
            "No host was asked: this is what would run, from {}.",
            overview.folders.join(", ")
        ),
    };
    text.push_str(&format!("\n{}\n", output.paint(Tone::Faint, &note)));
    output.text(&text)?;
    Ok(Exit::Ok)
}
