use std::fmt;
use std::path::PathBuf;

use plugbay_manifest::{PluginId, Selector};
use semver::{Version, VersionReq};

use crate::excerpt::Excerpt;
use crate::missing::Missing;
use crate::offer::Name;
use crate::policy::{Held, Versions};

/// Why a plugin that could be loaded does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its `host` requirement does not fit.
    #[error("needs a host {needs}, this host is {host}")]
    Host {
        /// The requirement.
        needs: VersionReq,
        /// This host's version.
        host: Version,
    },
    /// The host has not what it requires.
    #[error("needs {} of its host, which this one does not have", listed(.missing))]
    Features {
        /// Those that the host has not.
        missing: Excerpt,
        /// Those that it has.
        has: Excerpt,
    },
    /// Somebody disabled it.
    #[error("is disabled")]
    Disabled,
    /// Somebody enabled other versions of it.
    #[error("was enabled in versions {range} only")]
    NotEnabled {
        /// Those versions.
        range: VersionReq,
    },
    /// A stack decides what runs, and neither names nor needs it.
    #[error("is no member of the stack {}, and none of them needs it", .stack.escape_debug())]
    NotMember {
        /// The stack.
        stack: String,
    },
    /// The stack that names it takes other versions.
    #[error("the stack {} takes versions {range} of it only", .stack.escape_debug())]
    StackVersion {
        /// The stack.
        stack: String,
        /// Those versions.
        range: VersionReq,
        /// Whether there is a file of such a version.
        is_there: bool,
    },
    /// The stack that names it takes it for something else.
    #[error("the stack {} takes it as {kind}, and it is {}", .stack.escape_debug(), of_kinds(.found))]
    StackKind {
        /// The stack.
        stack: String,
        /// What it is to be.
        kind: String,
        /// What it is.
        found: Excerpt,
    },
    /// It is of a kind that the policy does not know, which takes no other kinds.
    #[error("is of the kind `{kind}`, which this host does not know")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// One that is spelled like it.
        meant: Option<String>,
    },
    /// It works with a plugin of a kind that that one is not of.
    #[error("works with {with} as {kind}, which is {}", of_kinds(.found))]
    WrongKind {
        /// The other plugin.
        with: Name,
        /// What it takes it for.
        kind: String,
        /// What it is.
        found: Excerpt,
    },
    /// The same bytes are there once more.
    #[error("the same bytes as {}", .other.display())]
    SameBytes {
        /// The file that is taken.
        other: PathBuf,
    },
    /// Another file has its id and version, and is taken.
    #[error("has the same id and version as {}, but other bytes", .other.display())]
    Ambiguous {
        /// The file that is taken.
        other: PathBuf,
    },
    /// The lock names other versions or bytes, and nothing else shall run.
    #[error("is not what the lock names, which is {}", in_lock(.locked))]
    NotLocked {
        /// What the lock has of this plugin.
        locked: Option<(Version, String)>,
    },
    /// It is held back by whoever asked.
    #[error("{}", .0.reason)]
    Held(Held),
    /// It was tried and did not come up.
    #[error("does not come up: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
    /// A newer version runs.
    #[error("{newer} is newer, in {}", .other.display())]
    Older {
        /// Its version.
        newer: Version,
        /// Its file.
        other: PathBuf,
    },
    /// An older version runs, since another plugin needs that.
    #[error("{by} needs {wants}, so version {chosen} runs")]
    TooNew {
        /// The version that runs.
        chosen: Version,
        /// Who needs it.
        by: Name,
        /// What that one needs.
        wants: String,
    },
    /// It needs a plugin that does not run.
    #[error("needs {}", .0)]
    Dependency(Missing),
    /// It needs a contract that nobody offers.
    #[error("needs {}", .0)]
    Need(Missing),
    /// It does not run beside one that runs.
    #[error("{} {with}, which {why}", conflicts(.by_it, .conflict, .said_by.as_deref()))]
    Conflict {
        /// The one that runs.
        with: Name,
        /// Whether it says so itself; else the one that runs does.
        by_it: bool,
        /// What the manifest says.
        conflict: String,
        /// Who says so, where it is none of the two: `the stack research`.
        said_by: Option<String>,
        /// Why the other one goes before it.
        why: Why,
    },
    /// One of its kind runs at most, and another one does.
    #[error("one {} runs at a time, and {with} {why}", kind_and_sub_type(.kind, .sub_type))]
    Kind {
        /// The kind.
        kind: String,
        /// The attribute and its value, where one of each runs.
        sub_type: Option<(String, Option<String>)>,
        /// The one that runs.
        with: Name,
        /// Why that one.
        why: Why,
    },
    /// It waits for itself.
    #[error("needs what needs it: {}", circle(.members, *.more))]
    Circle {
        /// Each needs the next one.
        members: Vec<Name>,
        /// How many come after those, before the first one again.
        more: usize,
    },
    /// What it takes part in is too much to decide on.
    #[error(
        "cannot be decided on: it is bound up with {others} other files or more by dependencies, \
         conflicts and kinds, more than this host follows up"
    )]
    Undecided {
        /// How many other files it is tied to, at the least.
        others: usize,
    },
}

/// Why one that runs goes before another one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A stack names it.
    Member,
    /// Somebody enabled it.
    ByHand,
    /// It is named earlier in the lists of precedence.
    Precedence,
    /// Nothing is said, and its version is higher.
    Version,
    /// Nothing is said, and its id comes first.
    Id,
    /// Somebody enabled both, so something else decides.
    BothByHand(Then),
    /// It is a newer version of the same plugin.
    Newer,
    /// One that goes before both needs it.
    NeededBy(Name),
    /// What the other one needs itself needs it.
    OwnNeed(Name),
    /// It can run beside this other version.
    Beside(Version),
}

/// What decides between two that were both enabled by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// The one is named earlier in the lists of precedence.
    Precedence,
    /// Its version is higher.
    Version,
    /// Its id comes first.
    Id,
}

impl Reason {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Host { .. } => "PB0301",
            Self::Older { .. } => "PB0302",
            Self::SameBytes { .. } => "PB0303",
            Self::Ambiguous { .. } => "PB0304",
            Self::Disabled => "PB0305",
            Self::Features { .. } => "PB0306",
            Self::Dependency(_) => "PB0307",
            Self::Need(_) => "PB0308",
            Self::Conflict { .. } => "PB0309",
            Self::Kind { .. } => "PB0310",
            Self::Circle { .. } => "PB0311",
            Self::TooNew { .. } => "PB0312",
            Self::NotEnabled { .. } => "PB0313",
            Self::NotLocked { .. } => "PB0314",
            Self::WrongKind { .. } => "PB0315",
            Self::UnknownKind { .. } => "PB0316",
            Self::Failed { .. } => "PB0317",
            Self::Held(_) => "PB0318",
            Self::Undecided { .. } => "PB0319",
            Self::NotMember { .. } => "PB0321",
            Self::StackVersion { .. } => "PB0322",
            Self::StackKind { .. } => "PB0323",
        }
    }

    /// What to do about it where another plugin needs just this version.
    pub(crate) fn hint_for_users(&self, name: &Name) -> String {
        let Self::Older { newer, .. } = self else { return self.hint(name) };
        let Name { id, version } = name;
        let rule = if is_compatible(version, newer) { "all" } else { "compatible" };
        format!(
            "let it run beside {newer}, with {id} = \"{rule}\" in [versions_of] of the host's \
             configuration, or in its place, with: host-app enable '{id}@={version}'"
        )
    }

    /// What to do about it. `name` is what does not run; files are for the caller
    /// to name.
    pub fn hint(&self, name: &Name) -> String {
        let id = &name.id;
        match self {
            Self::Host { needs, .. } => format!("use a host {needs}, or another version of {id}"),
            Self::Features { has, .. } if has.is_empty() => {
                "use a host that has that; this one says of no feature that it has it".into()
            }
            Self::Features { has, .. } => {
                format!("use a host that has that; this one has {has}")
            }
            Self::Disabled => format!("let it run with: host-app enable {id}"),
            Self::NotEnabled { .. } => format!("enable every version with: host-app enable {id}"),
            Self::NotMember { stack } => format!("name {id} in the stack {stack}, or use none"),
            Self::StackVersion { stack, is_there: true, .. } => format!(
                "a version that the stack takes is there; for this one, widen the range in the \
                 stack {stack}"
            ),
            Self::StackVersion { stack, .. } => {
                format!(
                    "put such a version into the folder, or widen the range in the stack {stack}"
                )
            }
            Self::StackKind { stack, .. } => {
                format!("correct the kind in the stack {stack}, or name a plugin that is of it")
            }
            Self::UnknownKind { meant: Some(meant), .. } => format!(
                "if `{meant}` is meant, correct the plugin's manifest; else name the kind in the \
                 host's configuration, [kinds]"
            ),
            Self::UnknownKind { .. } => {
                "name the kind in the host's configuration, [kinds], or use another host".into()
            }
            Self::WrongKind { with, .. } => {
                format!("use the version of {} that {id} was made for, or leave {id} out", with.id)
            }
            Self::SameBytes { .. } | Self::Older { .. } => "remove one of the files".into(),
            Self::Ambiguous { .. } => {
                "keep the one that you mean; give a changed plugin a new version".into()
            }
            Self::NotLocked { .. } => "take it into the lock with: host-app lock".into(),
            Self::Held(held) => held.help.clone(),
            Self::Failed { .. } => format!("mend it, and load it again: host-app load {id}"),
            Self::TooNew { by, .. } => {
                format!("use a version of {} that takes this one, or leave the older one", by.id)
            }
            Self::Dependency(missing) if missing.is_of(id) => {
                format!("use a version of {id} that does not need another one in its own place")
            }
            Self::Dependency(missing) => missing.hint(&missing.wants),
            Self::Need(missing) => {
                missing.hint(&format!("another plugin that offers {}", missing.wants))
            }
            Self::Conflict { with, said_by: Some(by), .. } => {
                format!("take {id} or {}, or the conflict between them, out of {by}", with.id)
            }
            Self::Conflict { with, why, .. } => why.hint(name, with, None),
            Self::Kind { kind, with, why, .. } => why.hint(name, with, Some(kind)),
            Self::Circle { .. } => {
                "let one of them do without another: optional = true in its plugin.toml".into()
            }
            Self::Undecided { .. } => {
                "remove plugins or versions from the folder that are not meant to run".into()
            }
        }
    }
}

impl Why {
    fn hint(&self, name: &Name, with: &Name, kind: Option<&str>) -> String {
        let (Name { id, version }, other) = (name, &with.id);
        match (self, kind) {
            (Self::NeededBy(name), _) => {
                format!("choose between {id} and {}: host-app disable {}", name.id, name.id)
            }
            (Self::OwnNeed(name), _) => format!(
                "they can never run together as they are: {id} needs {}, which needs {other}",
                name.id
            ),
            (Self::Beside(_), _) => format!("if it is not needed: host-app disable {other}"),
            // What decides between plugins does not between versions of one.
            (_, _) if id == other => format!(
                "take it in the place of the other version with: host-app enable \
                 '{id}@={version}', or remove the other file"
            ),
            (Self::Member, _) => format!("name {id} in the stack in the place of {other}"),
            (Self::ByHand, _) => format!("take that back with: host-app disable {other}"),
            (Self::BothByHand(_), kind) => {
                let mut help = format!("choose one of them: host-app disable {other}");
                if let Some(kind) = kind {
                    help.push_str(&format!(", or name {id} first in [precedence] {kind}"));
                }
                help
            }
            (_, Some(kind)) => format!(
                "prefer it with: host-app enable {id}, or name it first in [precedence] {kind}"
            ),
            (_, None) => format!("prefer it with: host-app enable {id}"),
        }
    }
}

impl Then {
    fn words(self) -> &'static str {
        match self {
            Self::Precedence => "it goes before it by precedence",
            Self::Version => "its version is higher",
            Self::Id => "its id comes first",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => f.write_str("runs: it is a member of the stack"),
            Self::ByHand => f.write_str("runs: it was enabled by hand"),
            Self::Precedence => f.write_str("runs: it goes before it by precedence"),
            Self::Version => f.write_str("runs: its version is higher, and no precedence is set"),
            Self::Id => f.write_str("runs: its id comes first, and nothing else decides"),
            Self::BothByHand(then) => {
                write!(f, "runs: both were enabled by hand, and {}", then.words())
            }
            Self::Newer => f.write_str("runs: its version is higher"),
            Self::NeededBy(name) => write!(f, "runs: {name} needs it"),
            Self::Beside(version) => {
                write!(f, "runs, and can do so beside version {version}, which is taken")
            }
            Self::OwnNeed(name) => write!(f, "runs: {name} needs it, which this one needs"),
        }
    }
}

/// Whether the policy's `compatible` has them as one line.
fn is_compatible(a: &Version, b: &Version) -> bool {
    Versions::Compatible.line(a) == Versions::Compatible.line(b)
}

/// `sql ^1`, or `sql`.
pub(crate) fn wanted(id: &PluginId, version: &VersionReq) -> String {
    Selector { id: id.clone(), version: version.clone() }.to_string().replacen('@', " ", 1)
}

fn listed(words: &Excerpt) -> String {
    words.shown(usize::MAX, |word| format!("`{}`", word.escape_debug()))
}

fn of_kinds(found: &Excerpt) -> String {
    if found.is_empty() { "of no kind".into() } else { found.to_string() }
}

fn in_lock(locked: &Option<(Version, String)>) -> String {
    match locked {
        Some((version, hash)) => {
            let short: String = hash.chars().take(12).collect();
            format!("version {version} with hash {short}")
        }
        None => "nothing of this plugin".into(),
    }
}

fn conflicts(by_it: &bool, conflict: &str, said_by: Option<&str>) -> String {
    if let Some(said_by) = said_by {
        return format!("by {}, does not run beside", said_by.escape_debug());
    }
    match (by_it, conflict.contains(':')) {
        (true, false) => "conflicts with".into(),
        (true, true) => format!("conflicts with {conflict}, and so with"),
        (false, false) => "is in conflict with".into(),
        (false, true) => format!("is in conflict (as {conflict}) with"),
    }
}

fn kind_and_sub_type(kind: &str, sub_type: &Option<(String, Option<String>)>) -> String {
    match sub_type {
        None => kind.to_owned(),
        Some((attribute, Some(value))) => format!("{kind} of {attribute} {value}"),
        Some((attribute, None)) => format!("{kind} that does not say its {attribute}"),
    }
}

fn circle(names: &[Name], more: usize) -> String {
    let (some, rest) = names.split_at(names.len().min(12));
    let mut text = some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
    if rest.len() + more > 0 {
        text.push_str(&format!(" → … {} more …", rest.len() + more));
    }
    if let Some(first) = names.first() {
        text.push_str(&format!(" → {first}"));
    }
    text
}
