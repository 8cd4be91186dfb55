use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::json;

use crate::args::Common;
use crate::control::{Overview, PluginLine, RefusedLine};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::{Survey, Surveyor, there};
use crate::terminal::{Output, Tone, harmless, one_line};

/// Judges files and folders as a host would, without loading anything.
pub fn run(common: &Common, paths: &[PathBuf], output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    for path in paths {
        there(path)?;
    }
    let surveyor = Surveyor::new(&settings);
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| path.is_dir());
    let folders = if paths.is_empty() { &settings.folders } else { &folders };
    let bar = Bar::new();
    let mut survey = match folders.is_empty() {
        true => Survey::default(),
        false => surveyor.folders(folders, |done, total| bar.checked(done, total))?,
    };
    // Each by itself: two versions of one plugin are both good files.
    for file in &files {
        survey.extend(surveyor.file(file)?);
    }
    drop(bar);
    if paths.is_empty() {
        survey.check_tables(&settings, &BTreeSet::new())?;
        let names = survey.names();
        survey.notices.extend(settings.notices(&names));
    }

    let exits: Vec<_> = survey.refused.iter().map(|refusal| Exit::of(&refusal.error)).collect();
    let exit = match exits.iter().max() {
        _ if exits.contains(&Exit::Refused) => Exit::Refused,
        Some(exit) => *exit,
        None => Exit::Ok,
    };
    let Overview { plugins, refused, notices, .. } = survey.overview(folders);
    match output.json {
        true => {
            output.json(&json!({ "plugins": plugins, "refused": refused, "notices": notices }))?
        }
        false => output.text(&lines(&plugins, &refused, &notices, output))?,
    }
    Ok(exit)
}

fn lines(
    plugins: &[PluginLine],
    refused: &[RefusedLine],
    notices: &[String],
    output: &Output,
) -> String {
    if plugins.is_empty() && refused.is_empty() && notices.is_empty() {
        return "No libraries.\n".to_owned();
    }
    let mut by_path = BTreeMap::new();
    for PluginLine { path, id, version, .. } in plugins {
        let good = output.paint(Tone::Good, "ok     ");
        by_path.insert(path, format!("{good}  {}  {id} {version}\n", one_line(path)));
    }
    for RefusedLine { path, code, reason, help, .. } in refused {
        let bad = output.paint(Tone::Bad, "refused");
        let reason = harmless(reason).replace('\n', "\n           ");
        let line = format!(
            "{bad}  {}  {code}: {reason}\n         help: {}\n",
            one_line(path),
            one_line(help)
        );
        by_path.insert(path, line);
    }
    let mut text: String = by_path.into_values().collect();
    for notice in notices {
        let _ = writeln!(text, "{} {}", output.paint(Tone::Doubtful, "note:"), one_line(notice));
    }
    let _ = writeln!(text, "{} ok, {} refused", plugins.len(), refused.len());
    text
}
