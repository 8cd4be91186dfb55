use std::collections::BTreeSet;
use std::fmt::Write;

use plugbay_loader::manifest::Selector;

use crate::args::Common;
use crate::control::{PlanView, RefusedLine, Request, RunLine, reach};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::{Surveyor, unknown_in_plan};
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone, harmless, one_line};

/// How a plan is printed.
pub struct Shape {
    pub tree: bool,
    pub why: Option<String>,
}

pub fn run(common: &Common, shape: &Shape, alone: bool, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let (mut plan, as_locked) = view(&settings, common, alone)?;
    if let Some(id) = &shape.why {
        if !about(&plan, id) {
            return Err(unknown_in_plan(id, &plan));
        }
        plan.run.retain(|line| is_meant(id, &line.id, &line.version) || !output.json);
        plan.not_run.retain(|line| match (&line.id, &line.version) {
            (Some(of), Some(version)) => is_meant(id, of, version),
            _ => false,
        });
        plan.outside.retain(|line| is_meant(id, &line.id, &line.version));
    }
    if output.json {
        output.json(&plan)?;
        return as_locked.map(|()| Exit::Ok);
    }
    let mut text = match (&shape.why, shape.tree) {
        (Some(id), _) => why(&plan, id, output),
        (None, true) => tree(&plan, output) + &rest(&plan, output),
        (None, false) => levels(&plan, output) + &rest(&plan, output),
    };
    let note = match &plan.host {
        Some(host) => format!("Answered by the host with process id {}.", host.pid),
        None => "No host was asked: this is what would run.".to_owned(),
    };
    let _ = writeln!(text, "\n{}", output.paint(Tone::Faint, &note));
    output.text(&text)?;
    as_locked.map(|()| Exit::Ok)
}

/// What is decided, by the running host, or by a look at the folders; and whether
/// everything is there that a lock names.
pub fn view(
    settings: &Settings,
    common: &Common,
    alone: bool,
) -> Result<(PlanView, Result<(), Failure>), Failure> {
    if let Some(mut host) = reach(&settings.socket, common, alone)? {
        return Ok((host.ask(&Request::Plan)?, Ok(())));
    }
    let bar = Bar::new();
    let surveyor = Surveyor::new(settings);
    let survey = surveyor.folders(&settings.folders, |done, total| bar.checked(done, total))?;
    survey.check_tables(settings, &BTreeSet::new())?;
    let not_run = survey.refused.iter().map(RefusedLine::from).collect();
    let mut plan = PlanView::new(&survey.plan, not_run, None);
    plan.advice.extend(settings.notices(&survey.names()));
    plan.advice.extend(survey.absent_secrets);
    Ok((plan, settings.check_lock(&survey.plan)))
}

fn about(plan: &PlanView, id: &str) -> bool {
    let runs = plan.run.iter().any(|line| is_meant(id, &line.id, &line.version));
    let is_out = |line: &RefusedLine| match (&line.id, &line.version) {
        (Some(of), Some(version)) => is_meant(id, of, version),
        _ => false,
    };
    let mut outside = plan.outside.iter();
    runs || plan.not_run.iter().any(is_out)
        || outside.any(|line| is_meant(id, &line.id, &line.version))
}

fn levels(plan: &PlanView, output: &Output) -> String {
    if plan.run.is_empty() {
        return "Nothing runs.\n".to_owned();
    }
    let mut table = table::table(output, &["LEVEL", "PLUGIN", "KINDS", "NEEDS", "USES"]);
    for line in &plan.run {
        table.add_row([
            plain(&line.level.to_string()),
            cell(output, &line.marked(), Tone::Good),
            plain(&or_dash(&line.kinds)),
            plain(&or_dash(&line.needs)),
            plain(&or_dash(&line.uses)),
        ]);
    }
    table::lines(&table)
}

fn or_dash(words: &[String]) -> String {
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

/// Those that nobody needs, and below each what it needs and uses.
fn tree(plan: &PlanView, output: &Output) -> String {
    if plan.run.is_empty() {
        return "Nothing runs.\n".to_owned();
    }
    let needed: BTreeSet<&String> = plan.run.iter().flat_map(|line| &line.needs).collect();
    let mut roots: Vec<&RunLine> =
        plan.run.iter().filter(|line| !needed.contains(&line.name())).collect();
    roots.sort_by_key(|line| line.name());
    let mut text = String::new();
    let mut shown = BTreeSet::new();
    for root in roots {
        let _ = writeln!(text, "{}", output.paint(Tone::Good, &root.marked()));
        branches(plan, root, "", &mut shown, &mut text);
    }
    text
}

fn branches<'a>(
    plan: &'a PlanView,
    line: &'a RunLine,
    indent: &str,
    shown: &mut BTreeSet<&'a str>,
    text: &mut String,
) {
    let number = line.needs.len() + line.uses.len();
    for (at, need) in line.needs.iter().enumerate() {
        let last = at + 1 == number;
        let below = plan.run.iter().find(|other| other.name() == *need);
        let is_new = shown.insert(need);
        let more = below.is_some_and(|below| !below.needs.is_empty() || !below.uses.is_empty());
        let mark = if more && !is_new { " (above)" } else { "" };
        let name = below.map_or_else(|| need.clone(), RunLine::marked);
        let _ = writeln!(text, "{indent}{} {name}{mark}", if last { "└─" } else { "├─" });
        // Deeper than anybody reads.
        if let Some(below) = below.filter(|_| is_new && indent.len() < 300) {
            branches(
                plan,
                below,
                &format!("{indent}{}", if last { "   " } else { "│  " }),
                shown,
                text,
            );
        }
    }
    // It could do without these, which have places of their own.
    for (at, used) in line.uses.iter().enumerate() {
        let mark = if at + 1 == line.uses.len() { "└─" } else { "├─" };
        let name = plan.run.iter().find(|other| other.name() == *used);
        let name = name.map_or_else(|| used.clone(), RunLine::marked);
        let _ = writeln!(text, "{indent}{mark} {name} (optional)");
    }
}

/// Chains, what does not run, and advice.
fn rest(plan: &PlanView, output: &Output) -> String {
    let mut text = String::new();
    for (kind, members) in plan.chains.iter().filter(|(_, members)| !members.is_empty()) {
        let _ = writeln!(text, "\nChain of {}: {}", one_line(kind), members.join(" → "));
    }
    if !plan.not_run.is_empty() {
        let _ = writeln!(text, "\n{}", output.paint(Tone::Strong, "Not run:"));
    }
    for line in &plan.not_run {
        text += &not_run(line, output);
    }
    if !plan.outside.is_empty() {
        let names: Vec<_> =
            plan.outside.iter().map(|it| format!("{} {}", it.id, it.version)).collect();
        let _ = writeln!(text, "\nOutside of the stack: {}", one_line(&names.join(", ")));
    }
    for advice in &plan.advice {
        let _ = writeln!(text, "\n{} {}", output.paint(Tone::Doubtful, "note:"), one_line(advice));
    }
    text
}

fn not_run(line: &RefusedLine, output: &Output) -> String {
    let name = match (&line.id, &line.version) {
        (Some(id), Some(version)) => format!("{id} {version}"),
        _ => one_line(&line.path),
    };
    let reason = harmless(&line.reason).replace('\n', "\n      ");
    format!(
        "  {}  {}: {reason}\n    {}\n    help: {}\n",
        output.paint(Tone::Bad, &name),
        line.code,
        output.paint(Tone::Faint, &one_line(&line.path)),
        one_line(&line.help),
    )
}

/// Whether a plugin in this version is meant by `sql`, or by `sql@^1`.
fn is_meant(asked: &str, id: &str, version: &str) -> bool {
    let versions = (asked.parse::<Selector>().ok(), version.parse());
    match (versions, id.parse()) {
        ((Some(selector), Ok(version)), Ok(id)) => selector.has(&id, &version),
        _ => asked == id,
    }
}

/// What is decided about one plugin, and who counts on it.
fn why(plan: &PlanView, id: &str, output: &Output) -> String {
    let mut text = String::new();
    for line in plan.run.iter().filter(|line| is_meant(id, &line.id, &line.version)) {
        let name = line.name();
        let _ = writeln!(
            text,
            "{} runs{}, from {}, at level {}",
            output.paint(Tone::Good, &name),
            if line.on_demand { " when it is called first" } else { "" },
            one_line(&line.path),
            line.level
        );
        for (what, others) in [("needs", &line.needs), ("uses", &line.uses)] {
            if !others.is_empty() {
                let _ = writeln!(text, "  {what} {}", others.join(", "));
            }
        }
        let by = |of: fn(&RunLine) -> &Vec<String>| {
            let users = plan.run.iter().filter(|other| of(other).contains(&name));
            users.map(RunLine::name).collect::<Vec<_>>()
        };
        for (what, others) in
            [("is needed by", by(|line| &line.needs)), ("is used by", by(|line| &line.uses))]
        {
            if !others.is_empty() {
                let _ = writeln!(text, "  {what} {}", others.join(", "));
            }
        }
    }
    for line in &plan.not_run {
        text += &not_run(line, output);
    }
    for line in &plan.outside {
        let name = output.paint(Tone::Doubtful, &format!("{} {}", line.id, line.version));
        let _ = writeln!(
            text,
            "  {name}  PB0321: {}\n    help: {}",
            one_line(&line.reason),
            one_line(&line.help)
        );
    }
    text
}
