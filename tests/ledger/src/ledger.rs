//! The ledger of one version: what crosses, as text that people read in a diff.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use semver::Version;

/// Everything that crosses, in one version of the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The version.
    pub interface: Version,
    /// What sizes and places depend on.
    pub machine: String,
    /// By name.
    pub entries: BTreeMap<String, Entry>,
}

/// One type, or a group of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Size and alignment in bytes, where they are fixed.
    pub layout: Option<(usize, usize)>,
    /// Of something that grows at its end: how many parts every version has.
    pub always: Option<usize>,
    /// In their order.
    pub parts: Vec<Part>,
}

/// A field, a method, a variant, a constant, a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// Its type or value; empty for a bare name.
    pub of: String,
    /// Where it lies, in bytes from the beginning.
    pub at: Option<usize>,
}

/// What an entry is, which says how it may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Struct,
    Enum,
    Union,
    Opaque,
    /// A table of fields behind a pointer.
    Prefix,
    /// The methods of a trait object.
    Object,
    /// The table of a contract's functions.
    Contract,
    /// Constants, or keys of a text.
    Names,
}

/// How an entry may change in a minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    Never,
    AtItsEnd,
    Anywhere,
}

const KINDS: [(Kind, &str); 8] = [
    (Kind::Struct, "struct"),
    (Kind::Enum, "enum"),
    (Kind::Union, "union"),
    (Kind::Opaque, "opaque"),
    (Kind::Prefix, "prefix"),
    (Kind::Object, "object"),
    (Kind::Contract, "contract"),
    (Kind::Names, "names"),
];

impl Kind {
    pub fn growth(self) -> Growth {
        match self {
            Self::Struct | Self::Enum | Self::Union | Self::Opaque => Growth::Never,
            Self::Prefix | Self::Object | Self::Contract => Growth::AtItsEnd,
            Self::Names => Growth::Anywhere,
        }
    }

    /// What its parts are called.
    pub fn part(self) -> &'static str {
        match self {
            Self::Struct | Self::Union | Self::Opaque | Self::Prefix => "field",
            Self::Enum => "variant",
            Self::Object | Self::Contract => "method",
            Self::Names => "name",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

impl Entry {
    pub fn names(parts: impl IntoIterator<Item = (String, String)>) -> Self {
        let part = |(name, of)| Part { name, of, at: None };
        let mut parts: Vec<_> = parts.into_iter().map(part).collect();
        parts.sort_by(|one, other| one.name.cmp(&other.name));
        Self { kind: Kind::Names, layout: None, always: None, parts }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "@{at} ")?;
        }
        f.write_str(&self.name)?;
        if self.of.is_empty() { Ok(()) } else { write!(f, ": {}", self.of) }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = &self.interface;
        writeln!(f, "# What crosses between hosts and plugins of interface {version}.")?;
        writeln!(f, "# Written by scripts/abi-check --write; docs/ABI.md says what it means.")?;
        writeln!(f, "\ninterface {version}\nmachine {}", self.machine)?;
        for (name, entry) in &self.entries {
            write!(f, "\n{} {name}", entry.kind)?;
            let layout = entry.layout.map(|(size, align)| format!("size {size}, align {align}"));
            let always = entry.always.map(|always| format!("{always} always there"));
            let facts: Vec<_> = layout.into_iter().chain(always).collect();
            if !facts.is_empty() {
                write!(f, ": {}", facts.join(", "))?;
            }
            writeln!(f)?;
            for part in &entry.parts {
                writeln!(f, "    {part}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Ledger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ledger = Self {
            interface: Version::new(0, 0, 0),
            machine: String::new(),
            entries: BTreeMap::new(),
        };
        let mut last = None;
        for (at, line) in text.lines().enumerate() {
            let wrong = || format!("line {} is no line of a ledger: {line}", at + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(part) = line.strip_prefix("    ") {
                let entry: &mut Entry = last
                    .as_ref()
                    .and_then(|name| ledger.entries.get_mut(name))
                    .ok_or_else(wrong)?;
                entry.parts.push(part_of(part).ok_or_else(wrong)?);
                continue;
            }
            let (word, rest) = line.split_once(' ').ok_or_else(wrong)?;
            match word {
                "interface" => ledger.interface = rest.parse().map_err(|_| wrong())?,
                "machine" => ledger.machine = rest.to_owned(),
                _ => {
                    let (name, entry) = entry_of(word, rest).ok_or_else(wrong)?;
                    ledger.entries.insert(name.clone(), entry);
                    last = Some(name);
                }
            }
        }
        Ok(ledger)
    }
}

fn entry_of(word: &str, rest: &str) -> Option<(String, Entry)> {
    let (kind, _) = KINDS.into_iter().find(|(_, known)| *known == word)?;
    let (name, facts) = rest.split_once(": ").unwrap_or((rest, ""));
    let (mut size, mut align, mut always) = (None, None, None);
    for fact in facts.split(", ").filter(|fact| !fact.is_empty()) {
        if let Some(number) = fact.strip_prefix("size ") {
            size = Some(number.parse().ok()?);
        } else if let Some(number) = fact.strip_prefix("align ") {
            align = Some(number.parse().ok()?);
        } else {
            always = Some(fact.strip_suffix(" always there")?.parse().ok()?);
        }
    }
    let entry = Entry { kind, layout: size.zip(align), always, parts: Vec::new() };
    Some((name.to_owned(), entry))
}

fn part_of(line: &str) -> Option<Part> {
    let (at, line) = match line.strip_prefix('@') {
        None => (None, line),
        Some(rest) => {
            let (at, rest) = rest.split_once(' ')?;
            (Some(at.parse().ok()?), rest)
        }
    };
    let (name, of) = line.split_once(": ").unwrap_or((line, ""));
    Some(Part { name: name.to_owned(), of: of.to_owned(), at })
}
