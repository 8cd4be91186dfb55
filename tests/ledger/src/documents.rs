//! Does docs/ABI.md, which people read, name all that the ledger has?

use crate::compare::Finding;
use crate::layouts::FOREIGN;
use crate::ledger::{Kind, Ledger};

/// What the page does not name. Of the types that the interface defines itself;
/// abi_stable documents its own.
pub fn missing(page: &str, tree: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, entry) in &tree.entries {
        let own = match entry.kind {
            Kind::Prefix | Kind::Object | Kind::Struct | Kind::Enum => !is_foreign(name),
            _ => false,
        };
        if !own {
            continue;
        }
        let Some(named) = names_of(page, name) else {
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
        let parts = entry.parts.iter().filter(|part| !part.name.starts_with(['_', '0']));
        for part in parts.filter(|part| !named.contains(&part.name.as_str())) {
            findings.push(Finding {
                what: format!(
                    "docs/ABI.md does not have the {} `{}` of `{name}`",
                    entry.kind.part(),
                    part.name
                ),
                expected: format!("`{part}` where it tells of `{name}`"),
                found: format!("{} others there", named.len()),
                help: "write it there, with what it is for in the table of changes".to_owned(),
            });
        }
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

/// abi_stable's own, groups of names, and trait objects, whose methods are an entry of
/// their own.
fn is_foreign(name: &str) -> bool {
    name.starts_with(FOREIGN) || name.contains(' ') || name.ends_with("_TO")
}

/// What the page names where it tells of this type.
fn names_of<'a>(page: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mark = format!("`{name}`");
    let row = page
        .lines()
        .find(|line| line.trim_start_matches("| ").starts_with(&mark) && line.starts_with('|'));
    if let Some(row) = row {
        return Some(spans(row));
    }
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&mark)).peekable();
    lines.peek()?;
    let table =
        lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    Some(table.flat_map(|row| spans(row.split(" | ").next().unwrap_or_default())).collect())
}

/// What stands between backticks, up to the first sign that no name has.
fn spans(line: &str) -> Vec<&str> {
    let words = line.split('`').skip(1).step_by(2);
    words
        .map(|word| {
            word.split(|sign: char| !sign.is_alphanumeric() && sign != '_')
                .next()
                .unwrap_or_default()
        })
        .collect()
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

    fn said(page: &str, tree: &str) -> Vec<String> {
        let tree = tree.parse().unwrap();
        missing(page, &tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn all_that_crosses_is_named_where_its_type_is_told_of() {
        assert_eq!(said(PAGE, TREE), [""; 0]);
        assert_eq!(
            said(PAGE, &TREE.replace("    hold", "    leave")),
            ["docs/ABI.md does not have the field `leave` of `Root`"]
        );
        // Named elsewhere is not named there.
        assert_eq!(
            said(&PAGE.replace("`code`", "`kode`"), TREE),
            ["docs/ABI.md does not have the field `code` of `Fault`"]
        );
        assert_eq!(
            said(PAGE, &TREE.replace("struct Fault", "struct Wanted")),
            ["docs/ABI.md does not have the struct `Wanted`"]
        );
        assert_eq!(
            said(&PAGE.replace("| 1.2.0", "| 1.1.0"), TREE),
            ["docs/ABI.md does not say what is new"]
        );
    }
}
