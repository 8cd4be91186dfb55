use std::slice;

use plugbay_loader::{Explain, discover, full_message, printable};

use super::Check;
use crate::settings::Settings;
use crate::survey::Surveyor;

pub fn config(settings: &Settings) -> Check {
    let found = match &settings.file {
        Some(file) => printable(file),
        None => "no config file".into(),
    };
    Check::ok("configuration", found)
}

/// One check for each folder, with the loader's own words.
pub fn plugins(settings: &Settings) -> Vec<Check> {
    const WHAT: &str = "plugins folder";
    let from = settings.folders_from.name();
    let check = |folder| {
        let found = discover(slice::from_ref(folder), settings.allow_world_writable);
        let path = printable(folder);
        match (found.problems.first(), found.candidates.len()) {
            (Some(problem), _) => {
                let said = format!("{}: {} (from {from})", problem.code(), full_message(problem));
                Check::problem(WHAT, said, problem.hint())
            }
            (None, 0) => {
                let cure = "put a plugin's library into it";
                Check::warning(WHAT, format!("{path}: no libraries (from {from})"), cure)
            }
            (None, count) => Check::ok(WHAT, format!("{path}: libraries: {count} (from {from})")),
        }
    };
    settings.folders.iter().map(check).collect()
}

/// What a host would make of them.
pub fn libraries(settings: &Settings) -> Check {
    const WHAT: &str = "plugins";
    let survey = match Surveyor::new(settings).folders(&settings.folders, |_, _| {}) {
        Ok(survey) => survey,
        Err(failure) => return Check::failed(WHAT, failure),
    };
    // Folders have checks of their own.
    let refused = survey.refused.iter().filter(|one| !one.error.code().starts_with("PB01")).count();
    let runs = survey.would_run().count();
    let found = format!("would run: {runs}, would be refused: {refused}");
    match refused {
        0 => Check::ok(WHAT, found),
        _ => Check::warning(WHAT, found, "see which and why: host-app check"),
    }
}
