use super::*;

/// A release with one entry of each kind.
const RELEASE: &str = "\
interface 1.1.0
machine 64-bit, little-endian

struct Fault: size 40, align 8
    @0 kind: u8
    @8 code: RString

enum Maybe: size 16, align 8
    Some: u64
    None

prefix Root: 2 always there
    activate: extern \"C\" fn(HostBox)
    set_level: extern \"C\" fn(u8)
    set_hooks: extern \"C\" fn(HooksRef)

object Instance: 1 always there
    call: unsafe extern \"C\" fn(RRef<()>, RStr) -> RString borrowing '_ '_

contract the table of a contract
    @8 first: fn first() -> () since .0

names the keys of the manifest
    id
    name
";

fn ledger(text: &str) -> Ledger {
    text.parse().unwrap()
}

/// The release as the next minor version, with this in the place of that.
fn changed(that: &str, this: &str) -> Vec<Finding> {
    changed_as("1.2.0", that, this)
}

fn changed_as(version: &str, that: &str, this: &str) -> Vec<Finding> {
    assert!(RELEASE.contains(that), "{that}");
    let tree = RELEASE.replacen(that, this, 1).replace("1.1.0", version);
    compare(&ledger(RELEASE), &ledger(&tree))
}

/// One finding, which says this of that.
#[track_caller]
fn assert_break(findings: &[Finding], what: &str) {
    let [finding] = findings else { panic!("{findings:?}") };
    assert_eq!(finding.what, what);
    assert!(!finding.expected.is_empty() && !finding.found.is_empty());
    assert!(finding.help.contains("this is interface 2.0.0"), "{}", finding.help);
    assert!(finding.expected.contains("as in interface 1.1.0"), "{}", finding.expected);
}

#[test]
fn a_ledger_reads_as_it_was_written() {
    let release = ledger(RELEASE);
    assert_eq!(ledger(&release.to_string()), release);
    assert_eq!(release.entries.len(), 6);
    for wrong in ["    part: u8", "strukt Fault", "struct Fault: bytes 4", "interface 1"] {
        assert!(wrong.parse::<Ledger>().unwrap_err().contains("line 1 is no line"), "{wrong}");
    }
}

#[test]
fn the_trees_own_ledger_reads_as_it_was_written_and_is_no_break() {
    let tree = crate::tree::ledger();
    assert_eq!(ledger(&tree.to_string()), tree);
    assert_eq!(compare(&tree, &tree), []);
    for (name, entry) in &tree.entries {
        let mut names: Vec<_> = entry.parts.iter().map(|part| &part.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), entry.parts.len(), "a part of {name} cannot be found by its name");
    }
}

#[test]
fn the_same_is_no_break_in_any_version_from_then_on() {
    for version in ["1.1.0", "1.1.1", "1.2.0", "1.10.3", "2.0.0"] {
        assert_eq!(changed_as(version, "kind", "kind"), []);
    }
    let findings = changed_as("1.0.9", "kind", "kind");
    assert_eq!(findings[0].what, "interface/Cargo.toml goes back");
}

#[test]
fn another_major_version_has_nothing_in_common() {
    assert_eq!(changed_as("2.0.0", "    @0 kind: u8\n", ""), []);
}

#[test]
fn what_crosses_by_value_does_not_change() {
    assert_break(
        &changed("    @8 code: RString\n", ""),
        "the struct `Fault`: the field `code` is gone",
    );
    assert_break(
        &changed("@0 kind: u8\n    @8 code: RString", "@0 code: RString\n    @32 kind: u8"),
        "the struct `Fault`: its fields are in another order",
    );
    assert_break(
        &changed("    @8 code", "    @4 new: u32\n    @8 code"),
        "the struct `Fault`: the field `new` stands before `code`",
    );
    assert_break(
        &changed("@0 kind: u8", "@0 kind: u16"),
        "the struct `Fault`: the field `kind` is something else",
    );
    assert_break(
        &changed("@8 code", "@16 code"),
        "the struct `Fault`: the field `code` lies elsewhere",
    );
    assert_break(
        &changed("code: RString\n", "code: RString\n    @40 new: u8\n"),
        "the struct `Fault`: it has a new field, and crosses by value",
    );
    assert_break(&changed("size 40", "size 48"), "the struct `Fault`: it is laid out otherwise");
    assert_break(
        &changed("    None\n", "    None\n    Both\n"),
        "the enum `Maybe`: it has a new variant, and crosses by value",
    );
    assert_break(
        &changed("struct Fault", "union Fault"),
        "the union `Fault`: it is another kind of thing",
    );
}

#[test]
fn what_grows_grows_at_its_end() {
    let hooks = "    set_hooks: extern \"C\" fn(HooksRef)\n";
    assert_eq!(changed(hooks, &format!("{hooks}    later: extern \"C\" fn()\n")), []);
    assert_break(
        &changed(hooks, &format!("    later: extern \"C\" fn()\n{hooks}")),
        "the prefix `Root`: the field `later` stands before `set_hooks`",
    );
    assert_break(&changed(hooks, ""), "the prefix `Root`: the field `set_hooks` is gone");
    assert_break(
        &changed(hooks, "    set_hook: extern \"C\" fn(HooksRef)\n"),
        "the prefix `Root`: the field `set_hooks` is gone",
    );
    assert_break(
        &changed("fn(u8)", "fn(u16)"),
        "the prefix `Root`: the field `set_level` is something else",
    );
    assert_break(
        &changed("Root: 2", "Root: 3"),
        "the prefix `Root`: `#[sabi(last_prefix_field)]` stands at another field",
    );
    assert_break(
        &changed("RString borrowing '_ '_", "RString borrowing '_"),
        "the object `Instance`: the method `call` is something else",
    );
    assert_break(
        &changed("@8 first", "@8 zeroth: fn zeroth() -> () since .0\n    @16 first"),
        "the table of a contract: the method `zeroth` stands before `first`",
    );
    assert_eq!(changed("since .0\n", "since .0\n    @16 second: fn second() -> () since .1\n"), []);
}

#[test]
fn names_may_come_and_do_not_go() {
    assert_eq!(changed("    id\n", "    also\n    id\n    later\n"), []);
    let [finding] = &changed("    id\n", "")[..] else { panic!() };
    assert_eq!(finding.what, "the keys of the manifest: `id` is gone");
}

#[test]
fn types_may_come_and_do_not_go() {
    assert_eq!(changed("\nenum Maybe", "\nstruct Also: size 1, align 1\n\nenum Maybe"), []);
    let findings = changed("\nenum Maybe: size 16, align 8\n    Some: u64\n    None\n", "");
    assert_eq!(findings[0].what, "the enum `Maybe` is gone");
}

#[test]
fn an_addition_wants_a_later_minor_version() {
    let key = ("    id\n", "    id\n    later\n");
    for version in ["1.1.0", "1.1.4"] {
        let [finding] = &changed_as(version, key.0, key.1)[..] else { panic!() };
        assert_eq!(finding.what, "interface 1.1.0 is released, and this tree has more than it");
        assert_eq!(finding.expected, "version 1.2.0 in interface/Cargo.toml");
        assert!(finding.found.ends_with("the name `later` of the keys of the manifest"));
    }
    assert_eq!(changed_as("1.2.0", key.0, key.1), []);
    assert_eq!(changed_as("1.1.0", "\nenum", "\nstruct Also: size 1, align 1\n\nenum").len(), 1);
}

#[test]
fn all_that_is_broken_is_told_and_not_only_the_first() {
    let tree = RELEASE.replace("kind", "sort").replace("set_level", "level");
    assert_eq!(compare(&ledger(RELEASE), &ledger(&tree)).len(), 2);
}

#[test]
fn what_is_made_of_a_broken_type_is_not_told_beside_it() {
    let release = format!("{RELEASE}\nstruct abi_stable::RVec<Fault>: size 32, align 8\n");
    let wake = release.replace("size 32", "size 40");
    let [finding] = &compare(&ledger(&release), &ledger(&wake))[..] else { panic!() };
    assert!(finding.what.contains("abi_stable::RVec<Fault>"), "{}", finding.what);
    let both = wake.replace("kind: u8", "kind: u16");
    let [finding] = &compare(&ledger(&release), &ledger(&both))[..] else { panic!() };
    assert!(finding.what.contains("the field `kind`"), "{}", finding.what);
}
