//! What this machine and these folders look like, and what is wrong.

mod cache;
mod folders;
mod machine;
mod registry;
mod socket;

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::terminal::{Output, Tone, harmless};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty where all is well.
    cure: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

impl Check {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, found: found.into(), cure: String::new() }
    }

    fn warning(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Warning, found: found.into(), cure: cure.into() }
    }

    fn problem(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Problem, found: found.into(), cure: cure.into() }
    }

    fn failed(what: &'static str, failure: Failure) -> Self {
        Self::problem(what, format!("{}: {}", failure.code, failure.message), failure.help)
    }
}

pub fn run(common: &Common, output: &Output) -> Result<Exit, Failure> {
    let mut checks = vec![machine::kernel(), machine::open_files(), machine::worker()];
    match Settings::read(common) {
        Ok(settings) => {
            checks.push(folders::config(&settings));
            // Before what reads it as well, which would set aside what is damaged.
            checks.push(registry::registry(&settings.keeping));
            checks.extend(folders::plugins(&settings));
            checks.push(folders::libraries(&settings));
            checks.push(socket::socket(&settings.socket));
        }
        // What does not depend on it is still worth a look.
        Err(failure) => checks.push(Check::failed("configuration", failure)),
    }
    checks.extend(cache::cache());

    let problem = checks.iter().any(|check| check.verdict == Verdict::Problem);
    match output.json {
        true => output.json(&json!({ "checks": checks }))?,
        false => output.text(&lines(&checks, output))?,
    }
    Ok(if problem { Exit::Failed } else { Exit::Ok })
}

fn lines(checks: &[Check], output: &Output) -> String {
    let mut text = String::new();
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    for Check { what, verdict, found, cure } in checks {
        let word = match verdict {
            Verdict::Ok => output.paint(Tone::Good, "ok     "),
            Verdict::Warning => output.paint(Tone::Doubtful, "warning"),
            Verdict::Problem => output.paint(Tone::Bad, "problem"),
        };
        let indent = format!("\n{:25}", "");
        let _ = writeln!(text, "{word}  {what:<16}{}", harmless(found).replace('\n', &indent));
        if !cure.is_empty() {
            let _ = writeln!(text, "{:25}cure: {}", "", harmless(cure).replace('\n', &indent));
        }
    }
    let _ = match (count(Verdict::Problem), count(Verdict::Warning)) {
        (0, 0) => writeln!(text, "\nAll is well."),
        (problems, warnings) => writeln!(text, "\nProblems: {problems}, warnings: {warnings}."),
    };
    text
}
