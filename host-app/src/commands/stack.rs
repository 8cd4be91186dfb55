use std::collections::BTreeMap;
use std::fmt::Write;

use plugbay_loader::config::KeyPath;
use plugbay_loader::stack::{self, Checked, Finding, Member, MemberName};
use plugbay_loader::{Manifest, PluginId, Stack, check_config, printable};
use serde_json::{Value, json};

use crate::args::{Common, StackAction};
use crate::control::{PlanView, RunLine};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::{Survey, Surveyor};
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone, harmless, one_line};

pub fn run(common: &Common, action: StackAction, output: &Output) -> Result<Exit, Failure> {
    let (StackAction::Check { file } | StackAction::Show { file }) = &action;
    let common = Common { stack: Some(file.clone()), ..common.clone() };
    let settings = Settings::read(&common)?;
    // It was named, so it was read.
    let Some(stack) = &settings.stack else { return Ok(Exit::Ok) };
    let bar = Bar::new();
    let survey = Surveyor::new(&settings)
        .folders(&settings.folders, |done, total| bar.checked(done, total))?;
    drop(bar);
    match action {
        StackAction::Check { .. } => check(stack, &survey, output),
        StackAction::Show { .. } => show(stack, &settings, &survey, output),
    }
}

/// What a stack misses in the folders.
fn check(stack: &Stack, survey: &Survey, output: &Output) -> Result<Exit, Failure> {
    let mut checked = stack::check(stack, &survey.plan, &survey.refused);
    checked.notes.extend(survey.absent_secrets.iter().cloned());
    let exit = if checked.findings.is_empty() { Exit::Ok } else { Exit::Refused };
    let plan = PlanView::new(&survey.plan, Vec::new(), None);
    // What is chosen and cannot be loaded is among what is missed.
    let is_refused =
        |line: &RunLine| survey.refused.iter().any(|it| printable(&it.path) == line.path);
    let run: Vec<_> = plan.run.into_iter().filter(|line| !is_refused(line)).collect();
    if output.json {
        let problems: Vec<_> = checked.findings.iter().map(problem).collect();
        output.json(&json!({
            "stack": stack.name, "files": files(stack), "run": run, "problems": problems,
            "notes": checked.notes,
        }))?;
    } else {
        output.text(&lines(stack, &run, &checked, output))?;
    }
    Ok(exit)
}

fn files(stack: &Stack) -> Vec<String> {
    stack.files().map(printable).collect()
}

fn problem(finding: &Finding) -> Value {
    json!({
        "code": finding.code(), "member": finding.member, "needed_by": finding.needed_by,
        "message": finding.fault.to_string(), "help": finding.hint(),
    })
}

fn lines(stack: &Stack, run: &[RunLine], checked: &Checked, output: &Output) -> String {
    let mut text = String::new();
    if run.is_empty() {
        text.push_str("Nothing runs.\n");
    } else {
        let mut table = table::table(output, &["PLUGIN", "KINDS", "NEEDS"]);
        for line in run {
            let or_dash = |words: &[String]| match words {
                [] => "-".to_owned(),
                words => words.join(", "),
            };
            table.add_row([
                cell(output, &line.marked(), Tone::Good),
                plain(&or_dash(&line.kinds)),
                plain(&or_dash(&line.needs)),
            ]);
        }
        text.push_str(&table::lines(&table));
    }
    if !checked.findings.is_empty() {
        let _ = writeln!(text, "\n{}", output.paint(Tone::Strong, "Problems:"));
    }
    for finding in &checked.findings {
        let message = harmless(&finding.fault.to_string()).replace('\n', "\n      ");
        let by = finding.needed_by.as_ref().map(|by| format!(", which {by} depends on"));
        let _ = writeln!(
            text,
            "  {}{}  {}: {message}\n    help: {}",
            output.paint(Tone::Bad, &one_line(&finding.member)),
            one_line(&by.unwrap_or_default()),
            finding.code(),
            one_line(&finding.hint()),
        );
    }
    for note in &checked.notes {
        let _ = writeln!(text, "\n{} {}", output.paint(Tone::Doubtful, "note:"), one_line(note));
    }
    let verdict = match checked.findings.len() {
        0 => "is whole".to_owned(),
        1 => "is not whole: 1 problem".to_owned(),
        count => format!("is not whole: {count} problems"),
    };
    let _ = writeln!(text, "\nThe stack {} {verdict}.", one_line(&stack.name));
    text
}

/// A stack with all that it extends.
fn show(
    stack: &Stack,
    settings: &Settings,
    survey: &Survey,
    output: &Output,
) -> Result<Exit, Failure> {
    let manifests: BTreeMap<&PluginId, &Manifest> =
        survey.inspections.iter().map(|seen| (&seen.manifest.id, &seen.manifest)).collect();
    let shown = stack.shown(|name, member| {
        let of_it = name.ids().into_iter().filter_map(|id| manifests.get(&id).copied());
        of_it.flat_map(|manifest| secrets(manifest, member, survey, settings)).collect()
    });
    if output.json {
        output.json(&json!({ "files": files(stack), "stack": shown }))?;
    } else {
        output.text(&readable(stack, &shown, output))?;
    }
    Ok(Exit::Ok)
}

/// Where a secret stands that should not.
fn secrets(
    manifest: &Manifest,
    member: &Member,
    survey: &Survey,
    settings: &Settings,
) -> Vec<KeyPath> {
    let config = Value::Object(member.config.0.clone());
    let others = survey.inspections.iter().map(|seen| &seen.manifest);
    let Err(error) =
        check_config(manifest, Some(&config), others, &settings.extensions(), &settings.secrets())
    else {
        return Vec::new();
    };
    match error.unsettled().filter(|unsettled| !unsettled.has_more()) {
        Some(unsettled) => {
            let problems = unsettled.problems().iter();
            let told = problems.filter(|problem| problem.code() == "PB1502");
            told.map(plugbay_loader::config::schema::Problem::path).collect()
        }
        // What cannot be looked at may be anything.
        None => vec![KeyPath::default()],
    }
}

fn readable(stack: &Stack, shown: &Value, output: &Output) -> String {
    let mut text = output.paint(Tone::Strong, &one_line(&stack.name));
    if let Some(description) = &stack.description {
        let _ = write!(text, ": {}", one_line(description));
    }
    let _ = writeln!(text, "\nfrom {}\n", one_line(&files(stack).join(", ")));
    let mut table = table::table(output, &["MEMBER", "VERSIONS", "KIND", "BESIDES"]);
    for (name, member) in &stack.members {
        let versions = match member.version.comparators.is_empty() {
            true => "all".to_owned(),
            false => member.version.to_string(),
        };
        let kind = member.kind.as_deref().unwrap_or("-");
        table.add_row([
            plain(name.as_str()),
            plain(&versions),
            plain(kind),
            plain(&besides(member)),
        ]);
    }
    for (kind, any_of) in &stack.any_of {
        let besides = if any_of.optional { "optional" } else { "" };
        table.add_row([plain("any"), plain("all"), plain(kind), plain(besides)]);
    }
    text.push_str(&table::lines(&table));
    for list in ["components", "plugins"] {
        for member in shown.get(list).and_then(Value::as_array).into_iter().flatten() {
            if let (Some(id), Some(config)) = (member["id"].as_str(), member.get("config")) {
                let config = serde_json::to_string_pretty(config).unwrap_or_default();
                let _ =
                    writeln!(text, "\nConfiguration of {}: {}", one_line(id), harmless(&config));
            }
        }
    }
    for clash in &stack.conflicts {
        let (one, other) = (clash.one.as_str(), clash.other.as_str());
        let _ = writeln!(text, "\nNot together: {one} and {other} (by the stack {})", clash.stack);
    }
    for (kind, names) in &stack.precedence {
        let names: Vec<_> = names.iter().map(MemberName::as_str).collect();
        let _ = writeln!(text, "\nPrecedence of {}: {}", one_line(kind), names.join(", "));
    }
    for (key, value) in [("profile", &shown["profile"]), ("kinds", &shown["kinds"])] {
        let value = match value {
            Value::Null => continue,
            Value::String(word) => word.clone(),
            value => value.to_string(),
        };
        let _ = writeln!(text, "\n{key}: {}", one_line(&value));
    }
    text
}

fn besides(member: &Member) -> String {
    let mut words = Vec::new();
    if !member.enabled {
        words.push("does not run".to_owned());
    }
    if member.optional {
        words.push("optional".to_owned());
    }
    if member.component {
        words.push("component".to_owned());
    }
    let needs: Vec<_> = member.dependencies.iter().map(|it| it.name.as_str()).collect();
    if !needs.is_empty() {
        words.push(format!("with {}", needs.join(", ")));
    }
    words.join("; ")
}
