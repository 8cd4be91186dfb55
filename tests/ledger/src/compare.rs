//! May this tree be a minor version after that release?
//!
//! What a release has must be there unchanged and in its place, as libraries that were
//! built with it go on using it. Prefix types, trait objects and tables of contracts may
//! get more at their end, as readers look at how long they are; names may be added. That
//! is what a minor version is for; everything else is for a major one.

use std::fmt;

use crate::layouts::FOREIGN;
use crate::ledger::{Entry, Growth, Ledger, Part};

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The type, and what is wrong with it.
    pub what: String,
    pub expected: String,
    pub found: String,
    pub help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, expected, found, help } = self;
        write!(f, "{what}\n  expected: {expected}\n  found:    {found}\n  help:     {help}")
    }
}

/// What is wrong with `tree` as a version after `release`; nothing where all is well, or
/// where the two are of different major versions and have nothing in common.
pub fn compare(release: &Ledger, tree: &Ledger) -> Vec<Finding> {
    let (before, now) = (&release.interface, &tree.interface);
    if now < before {
        return vec![Finding {
            what: "interface/Cargo.toml goes back".to_owned(),
            expected: format!("a version after {before}, which is released"),
            found: now.to_string(),
            help: format!("set the version to what comes after {before}"),
        }];
    }
    if now.major != before.major {
        return Vec::new();
    }
    let (mut findings, mut in_its_wake, mut additions) = (Vec::new(), Vec::new(), Vec::new());
    for (name, old) in &release.entries {
        let finding = match tree.entries.get(name) {
            None => Finding {
                what: format!("{} is gone", shown(name, old)),
                expected: format!("it, as in interface {before}"),
                found: "nothing of that name".to_owned(),
                help: put_back(before.major),
            },
            Some(new) => match entry(old, new) {
                Ok(more) => {
                    additions.extend(more.iter().map(|part| {
                        format!("the {} `{part}` of {}", new.kind.part(), shown(name, new))
                    }));
                    continue;
                }
                Err(Difference { what, expected, found }) => Finding {
                    what: format!("{}: {what}", shown(name, new)),
                    expected: format!("{expected}, as in interface {before}"),
                    found,
                    help: cure(new, before.major),
                },
            },
        };
        let to = if name.starts_with(FOREIGN) { &mut in_its_wake } else { &mut findings };
        to.push(finding);
    }
    // abi_stable's types are made of the interface's: where one of those is another,
    // that is what is to be told.
    if findings.is_empty() {
        findings = in_its_wake;
    }
    let new = tree.entries.iter().filter(|(name, _)| !release.entries.contains_key(*name));
    additions.extend(new.map(|(name, entry)| shown(name, entry)));
    if !additions.is_empty() && now.minor == before.minor {
        let minor = before.minor + 1;
        findings.push(Finding {
            what: format!("interface {before} is released, and this tree has more than it"),
            expected: format!("version {}.{minor}.0 in interface/Cargo.toml", before.major),
            found: format!("version {now} there, with {}", list(&additions)),
            help: "raise the version of the interface, its macros and its manifest crate, and \
                   write what is new into docs/ABI.md"
                .to_owned(),
        });
    }
    findings
}

struct Difference {
    what: String,
    expected: String,
    found: String,
}

fn differs(
    what: impl Into<String>,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Difference {
    Difference { what: what.into(), expected: expected.to_string(), found: found.to_string() }
}

/// What the new one has more.
fn entry(old: &Entry, new: &Entry) -> Result<Vec<String>, Difference> {
    if old.kind != new.kind {
        return Err(differs("it is another kind of thing", old.kind, new.kind));
    }
    if new.kind.growth() == Growth::Anywhere {
        return anywhere(old, new);
    }
    let word = new.kind.part();
    for (at, before) in old.parts.iter().enumerate() {
        let name = &before.name;
        let now = new.parts.iter().position(|part| part.name == *name);
        let there = new.parts.get(at);
        match now {
            None => {
                let found = there.map_or("nothing".to_owned(), |part| format!("`{part}` there"));
                return Err(differs(format!("the {word} `{name}` is gone"), quoted(before), found));
            }
            Some(now) if now != at => {
                let (what, found) = match there {
                    Some(other) if !old.parts.iter().any(|part| part.name == other.name) => (
                        format!("the {word} `{}` stands before `{name}`", other.name),
                        format!("`{other}` there"),
                    ),
                    _ => (
                        format!("its {word}s are in another order"),
                        format!("it as number {}", now + 1),
                    ),
                };
                let expected = format!("{} as number {}", quoted(before), at + 1);
                return Err(differs(what, expected, found));
            }
            Some(_) => {}
        }
        match there {
            Some(there) if there.of != before.of => {
                let what = format!("the {word} `{name}` is something else");
                return Err(differs(what, quoted(before), quoted(there)));
            }
            Some(there) if there.at != before.at => {
                let what = format!("the {word} `{name}` lies elsewhere");
                return Err(differs(what, quoted(before), quoted(there)));
            }
            _ => {}
        }
    }
    let more = new.parts.get(old.parts.len()..).unwrap_or_default();
    if let Some(part) = more.first()
        && new.kind.growth() == Growth::Never
    {
        let what = format!("it has a new {word}, and crosses by value");
        return Err(differs(what, format!("{} {word}s", old.parts.len()), quoted(part)));
    }
    if old.layout != new.layout {
        let words = |layout: Option<(usize, usize)>| match layout {
            Some((size, align)) => format!("{size} bytes in steps of {align}"),
            None => "no layout".to_owned(),
        };
        return Err(differs("it is laid out otherwise", words(old.layout), words(new.layout)));
    }
    if old.always != new.always {
        let words = |always: Option<usize>| {
            format!("{} {word}s that are always there", always.unwrap_or_default())
        };
        let what = format!("`#[sabi(last_prefix_field)]` stands at another {word}");
        return Err(differs(what, words(old.always), words(new.always)));
    }
    Ok(more.iter().map(|part| part.name.clone()).collect())
}

/// As `entry`, where the order says nothing.
fn anywhere(old: &Entry, new: &Entry) -> Result<Vec<String>, Difference> {
    for before in &old.parts {
        match new.parts.iter().find(|part| part.name == before.name) {
            None => {
                let what = format!("`{}` is gone", before.name);
                return Err(differs(what, quoted(before), "nothing"));
            }
            Some(now) if now.of != before.of => {
                let what = format!("`{}` is something else", before.name);
                return Err(differs(what, quoted(before), quoted(now)));
            }
            Some(_) => {}
        }
    }
    let known = |part: &&Part| !old.parts.iter().any(|one| one.name == part.name);
    Ok(new.parts.iter().filter(known).map(|part| part.name.clone()).collect())
}

fn quoted(part: &Part) -> String {
    match part.at {
        Some(at) => {
            let whole = part.to_string();
            let text = whole.split_once(' ').map_or(whole.as_str(), |(_, text)| text);
            format!("`{text}` at byte {at}")
        }
        None => format!("`{part}`"),
    }
}

fn shown(name: &str, entry: &Entry) -> String {
    // Groups have words for names.
    if name.contains(' ') { name.to_owned() } else { format!("the {} `{name}`", entry.kind) }
}

fn list(additions: &[String]) -> String {
    match additions {
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        [] => String::new(),
    }
}

fn put_back(major: u64) -> String {
    format!(
        "put it back: libraries of {major}.x use it; without it this is interface {}.0.0",
        major + 1
    )
}

fn cure(entry: &Entry, major: u64) -> String {
    match entry.kind.growth() {
        Growth::AtItsEnd => format!(
            "put it back as it was; what is new goes to the end. Else this is interface {}.0.0",
            major + 1
        ),
        Growth::Never => format!(
            "put it back as it was; what is new goes into its field `more` or into a type of its \
             own. Else this is interface {}.0.0",
            major + 1
        ),
        Growth::Anywhere => put_back(major),
    }
}

#[cfg(test)]
mod tests;
