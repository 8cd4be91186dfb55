//! Does docs/ABI.md, which people read, say what the ledger says?

use crate::compare::Finding;
use crate::layouts::FOREIGN;
use crate::ledger::{Entry, Kind, Ledger};

/// What the page does not say, or says wrongly. Of the types that the interface defines
/// itself; abi_stable documents its own. `releases` are the ones before, the oldest first.
pub fn differences(page: &str, tree: &Ledger, releases: &[Ledger]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, entry) in tree.entries.iter().filter(|(name, entry)| is_own(name, entry.kind)) {
        let Some(told) = told_of(page, name) else {
            findings.push(Finding {
                what: format!("docs/ABI.md does not have the {} `{name}`", entry.kind),
                expected: format!(
                    "a row of `{name}` in a table, or a table after a line that begins with it"
                ),
                found: "neither".to_owned(),
                help: "write it there, with its fields or methods and since when they are there"
                    .to_owned(),
            });
            continue;
        };
        findings.extend(of_one(name, entry, &told, &|part| since(name, part, tree, releases)));
    }
    let version = tree.interface.to_string();
    if !page.lines().any(|line| line.starts_with(&format!("| {version} |"))) {
        findings.push(Finding {
            what: "docs/ABI.md does not say what is new".to_owned(),
            expected: format!("a row of {version} in its table of changes"),
            found: "none".to_owned(),
            help: "write there what has come, and what older libraries and hosts do without it"
                .to_owned(),
        });
    }
    findings
}

fn of_one(
    name: &str,
    entry: &Entry,
    told: &[Row<'_>],
    since: &dyn Fn(&str) -> String,
) -> Vec<Finding> {
    let (mut findings, word) = (Vec::new(), entry.kind.part());
    for part in entry.parts.iter().filter(|part| !part.name.starts_with(['_', '0'])) {
        let Some(row) = told.iter().find(|row| row.names.contains(&part.name.as_str())) else {
            findings.push(Finding {
                what: format!("docs/ABI.md does not have the {word} `{}` of `{name}`", part.name),
                expected: format!("`{part}` where it tells of `{name}`"),
                found: format!("{} rows without it", told.len()),
                help: "write it there, and what it is for in the table of changes".to_owned(),
            });
            continue;
        };
        let (right, told) = (since(&part.name), row.since);
        if told.is_some_and(|told| told != right) {
            findings.push(Finding {
                what: format!("docs/ABI.md is wrong about the {word} `{}` of `{name}`", part.name),
                expected: format!("since {right}, as the ledgers in docs/abi say"),
                found: format!("since {}", told.unwrap_or_default()),
                help: "correct it there".to_owned(),
            });
        }
    }
    // A row of a struct names its types as well.
    let named = told.iter().filter(|row| row.since.is_some()).flat_map(|row| &row.names);
    let unknown = named.filter(|name| !entry.parts.iter().any(|part| part.name == **name));
    findings.extend(unknown.map(|unknown| Finding {
        what: format!("docs/ABI.md has a {word} `{unknown}` of `{name}`, and the tree does not"),
        expected: format!("the {word}s of the {} `{name}`", entry.kind),
        found: format!("`{unknown}` beside them"),
        help: "take it out, or give it the name that it has".to_owned(),
    }));
    findings
}

/// The first version that has it, as the page writes versions.
fn since(name: &str, part: &str, tree: &Ledger, releases: &[Ledger]) -> String {
    let has = |ledger: &&Ledger| {
        let entry = ledger.entries.get(name);
        entry.is_some_and(|entry| entry.parts.iter().any(|one| one.name == part))
    };
    let before = releases.iter().filter(|one| one.interface.major == tree.interface.major);
    let version = &before.clone().find(has).unwrap_or(tree).interface;
    format!("{}.{}", version.major, version.minor)
}

/// Not abi_stable's, no group of names, and no trait object: its methods are an entry
/// of their own.
fn is_own(name: &str, kind: Kind) -> bool {
    matches!(kind, Kind::Prefix | Kind::Object | Kind::Struct | Kind::Enum | Kind::Union)
        && !(name.starts_with(FOREIGN) || name.contains(' ') || name.ends_with("_TO"))
}

/// A row of a table that tells of a type.
struct Row<'a> {
    names: Vec<&'a str>,
    since: Option<&'a str>,
}

/// What the page tells of this type: its own row, or the table after a line that begins
/// with its name.
fn told_of<'a>(page: &'a str, name: &str) -> Option<Vec<Row<'a>>> {
    let mark = format!("`{name}`");
    let row = page.lines().find(|line| line.starts_with(&format!("| {mark} |")));
    if let Some(row) = row {
        return Some(vec![Row { names: spans(row), since: None }]);
    }
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&mark)).peekable();
    lines.peek()?;
    let table =
        lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |row: &'a str| {
        let mut cells = row.trim_matches(['|', ' ']).split(" | ");
        let names = spans(cells.next().unwrap_or_default());
        let is_version = |cell: &&str| cell.starts_with(|sign: char| sign.is_ascii_digit());
        Row { names, since: cells.find(is_version) }
    };
    Some(table.map(row).collect())
}

/// The names that pairs of backticks begin with.
fn spans(line: &str) -> Vec<&str> {
    let no_name = |sign: char| !sign.is_alphanumeric() && sign != '_';
    let words = line.split('`').skip(1).step_by(2);
    words.map(|word| word.split(no_name).next().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
`Root`, a table: fields are added at its end.

| field | since | type |
| --- | --- | --- |
| `activate` | 1.0 | `fn(HostBox)` |
| `enter`, `hold` | 1.2 | `fn(u8)` |

## Data

| `Fault` | `kind: FaultKind`, `code`, `message: RString` |

| version | change |
| 1.2.0 | `Root` has `enter`. |
";

    const TREE: &str = "\
interface 1.2.0

prefix Root: 1 always there
    activate: fn(HostBox)
    enter: fn(u8)
    hold: fn(u8)

struct Fault: size 8, align 8
    @0 kind: FaultKind
    @1 code: u8
    @2 message: RString

struct abi_stable::RString: size 32, align 8
    @0 inner: RVec<u8>
";

    const BEFORE: &str = "\
interface 1.0.0

prefix Root: 1 always there
    activate: fn(HostBox)
";

    fn said(page: &str, tree: &str) -> Vec<String> {
        let (tree, before) = (tree.parse().unwrap(), BEFORE.parse().unwrap());
        differences(page, &tree, &[before]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn all_that_crosses_is_named_where_its_type_is_told_of() {
        assert_eq!(said(PAGE, TREE), [""; 0]);
        let more = format!("{TREE}\nprefix Links: 1 always there\n    enter: fn()\n");
        assert_eq!(said(PAGE, &more), ["docs/ABI.md does not have the prefix `Links`"]);
        assert_eq!(
            said(PAGE, &TREE.replace("    hold", "    leave: fn(u8)\n    hold")),
            ["docs/ABI.md does not have the field `leave` of `Root`"]
        );
        // Named elsewhere is not named there.
        assert_eq!(
            said(&PAGE.replace("`code`", "`kode`"), TREE),
            ["docs/ABI.md does not have the field `code` of `Fault`"]
        );
        assert_eq!(
            said(&PAGE.replace("| 1.2.0", "| 1.1.0"), TREE),
            ["docs/ABI.md does not say what is new"]
        );
    }

    #[test]
    fn nothing_else_is_named_and_versions_are_right() {
        assert_eq!(
            said(PAGE, &TREE.replace("    hold: fn(u8)\n", "")),
            ["docs/ABI.md has a field `hold` of `Root`, and the tree does not"]
        );
        assert_eq!(
            said(&PAGE.replace("| 1.0 |", "| 1.1 |"), TREE),
            ["docs/ABI.md is wrong about the field `activate` of `Root`"]
        );
    }
}
