//! What a stack misses in a decision.

mod support;

use std::sync::Arc;

use plugbay_manifest::source::{CrateDefaults, Source};
use plugbay_resolve::{Name, Offer, Policy, Versions, decide};
use plugbay_stack::{Checked, Facts, Refused, Stack};
use semver::Version;
use support::{Files, stack};

/// `id version`, and more lines of its `plugin.toml`.
fn offers(files: &[(&str, &str)]) -> Vec<Offer> {
    let offers = files.iter().map(|(name, more)| {
        let (id, version) = name.split_once(' ').unwrap();
        let text = format!("id = \"{id}\"\nversion = \"{version}\"\n{more}");
        let source = Source::parse(&text, &CrateDefaults::default()).unwrap();
        Offer {
            path: format!("/plugins/{id}-{version}.so").into(),
            rank: 0,
            hash: name.to_string(),
            manifest: Arc::new(source.manifest().clone()),
        }
    });
    offers.collect()
}

/// What is said of a stack in YAML, with files, one of which is refused with a code.
fn checked(text: &str, files: &[(&str, &str)], refused: &[(&str, &str, &str)]) -> Checked {
    checked_stack(&stack("yaml", text), files, refused)
}

fn checked_stack(stack: &Stack, files: &[(&str, &str)], refused: &[(&str, &str, &str)]) -> Checked {
    let offers = offers(files);
    let mut policy = Policy::new(Version::new(1, 0, 0));
    policy.disabled.insert("off".parse().unwrap());
    policy.versions_of.insert("both".parse().unwrap(), Versions::Compatible);
    stack.apply(&mut policy);
    let refused: Vec<_> = refused
        .iter()
        .map(|(id, version, code)| Refused {
            name: Name { id: id.parse().unwrap(), version: version.parse().unwrap() },
            code: (*code).to_owned(),
            reason: "as it is".into(),
            help: "mend it".into(),
        })
        .collect();
    for refused in &refused {
        let line = policy.line_of(&refused.name.id, &refused.name.version);
        policy.failed.insert((refused.name.id.clone(), line), "refused".into());
    }
    let decision = decide(&offers, &[], &policy);
    stack.check(&Facts { offers: &offers, decision: &decision, refused: &refused })
}

/// `code member: message`, and the notes.
fn told(text: &str, files: &[(&str, &str)], refused: &[(&str, &str, &str)]) -> Vec<String> {
    let Checked { findings, notes, .. } = checked(text, files, refused);
    let findings = findings.iter().map(|finding| format!("{} {finding}", finding.code()));
    findings.chain(notes.iter().map(|note| format!("note: {note}"))).collect()
}

#[test]
fn a_stack_that_is_whole_has_nothing_to_say() {
    let files = [("a 1.0.0", "kinds = [\"k\"]\n[dependencies]\nb = \"*\""), ("b 1.0.0", "")];
    assert_eq!(told("plugins: [{name: a, type: k}, {kind: k}]", &files, &[]), [""; 0]);
}

#[test]
fn each_fault_has_a_code() {
    let files = [
        ("a 1.0.0", "[dependencies]\nnobody = \"*\""),
        ("b 1.0.0", "kinds = [\"k\"]"),
        ("c 1.0.0", ""),
        ("d 1.0.0", "conflicts = [\"c\"]"),
        ("off 1.0.0", ""),
        ("wrong 1.0.0", ""),
        ("broken 1.0.0", ""),
    ];
    let refused = [
        ("wrong", "1.0.0", "PB1501"),
        ("broken", "1.0.0", "PB0401"),
        ("foreign", "1.0.0", "PB0212"),
    ];
    for (text, expected) in [
        ("plugins: [cc]", "PB1711 cc: there is no such plugin; is `c` meant?"),
        ("plugins: [{kind: kk}]", "PB1712 kk: there is no plugin of this kind; is `k` meant?"),
        ("plugins: [c@^2]", "PB1713 c: no version ^2 is there, found 1.0.0"),
        (
            "plugins: [c, d]",
            "PB1714 d: d 1.0.0: conflicts with c 1.0.0, which runs: its id comes first, and nothing \
             else decides",
        ),
        (
            "plugins: [c, b]\nconflicts: [[c, b]]",
            "PB1714 c: c 1.0.0: by the stack s, does not run beside b 1.0.0, which runs: its id \
             comes first, and nothing else decides",
        ),
        ("plugins: ['b (x)']", "PB1715 b: the stack takes it as x, and b 1.0.0 is k"),
        (
            "plugins: [{name: c, type: x, optional: true}]",
            "PB1715 c: the stack takes it as x, and c 1.0.0 is of no kind",
        ),
        ("plugins: [wrong]", "PB1716 wrong: PB1501: as it is"),
        ("plugins: [off]", "PB1717 off: it is disabled"),
        ("plugins: {c: {dependencies: [b]}, b: {enabled: false}}", "PB1717 b: it is disabled"),
        ("components: [X Y]", "PB1718 X Y: nobody knows this component"),
        ("components: [cc]", "PB1718 cc: nobody knows this component; is `c` meant?"),
        ("plugins: [a]", "PB1719 a: PB0307: needs nobody, and there is none"),
        ("plugins: [broken]", "PB1719 broken: PB0401: as it is"),
        ("plugins: [foreign]", "PB1719 foreign: PB0212: as it is"),
        (
            "plugins: [{name: gone, optional: true}, c]",
            "note: gone is optional, and does not run: there is no such plugin",
        ),
        (
            "plugins: {c: {optional: true, dependencies: [gone]}}",
            "note: gone is what c depends on, which is optional, and does not run: there is no such \
             plugin",
        ),
        ("plugins: [c-plugin]", "note: c-plugin stands for the plugin c"),
        (
            "plugins: [c]\nprecedence: {k: [cd, b]}",
            "note: `precedence` names cd, which is not there; is `c` meant?",
        ),
    ] {
        assert_eq!(told(text, &files, &refused), [expected], "{text}");
    }
}

#[test]
fn every_finding_says_what_to_do() {
    let files = [("off 1.0.0", ""), ("c 1.0.0", ""), ("b 1.0.0", "")];
    for (text, help) in [
        ("plugins: [gone]", "optional = true"),
        ("plugins: {c: {dependencies: [gone]}}", "take it out of what c depends on"),
        ("plugins: [off]", "host-app enable off"),
        ("plugins: {c: {dependencies: [b]}, b: {enabled: false}}", "take `enabled = false` out"),
        ("plugins: [c, b]\nconflicts: [[c, b]]", "out of the stack s"),
    ] {
        let checked = checked(text, &files, &[]);
        assert!(checked.findings[0].hint().contains(help), "{}", checked.findings[0].hint());
    }
}

#[test]
fn what_is_wrong_with_one_of_two_versions_side_by_side_is_told() {
    let files = [("both 1.0.0", ""), ("both 2.0.0", "")];
    let refused = [("both", "2.0.0", "PB1501")];
    let said = told("plugins: [both]", &files, &refused);
    assert_eq!(said, ["PB1716 both: PB1501: as it is"]);
    assert!(told("plugins: [both]", &files, &[]).is_empty());
}

#[test]
fn one_member_in_two_spellings_is_whole_and_a_second_plugin_is_told() {
    let files = Files::new(&[
        ("near.yaml", "extends: far.yaml\nplugins: [snow]\n"),
        ("far.yaml", "plugins: [snow-plugin, c]\nconflicts: [[snow-plugin, gone]]\n"),
        ("both.yaml", "plugins: {snow: {dependencies: [snow-plugin]}}\n"),
    ]);
    let told = |stack: &str, offers: &[(&str, &str)]| {
        let stack = files.read(stack).unwrap();
        let Checked { findings, notes, .. } = checked_stack(&stack, offers, &[]);
        (findings.iter().map(ToString::to_string).collect::<Vec<_>>(), notes)
    };
    let c = ("c 1.0.0", "");
    assert_eq!(
        told("near.yaml", &[("snow 1.0.0", ""), c]),
        (vec![], vec!["`conflicts` names gone, which is not there".into()])
    );
    let gone = vec!["snow: there is no such plugin".to_owned()];
    // That it is not there is told once, and not of `conflicts` again.
    let (findings, notes) = told("near.yaml", &[c]);
    assert_eq!((&findings, notes.len()), (&gone, 1), "{notes:?}");
    assert!(notes[0].starts_with("`conflicts` names gone"), "{notes:?}");

    let both = [("snow 1.0.0", ""), ("snow-plugin 1.0.0", ""), c];
    let (_, notes) = told("near.yaml", &both);
    let other = "snow and snow-plugin are one member, snow, and the plugin snow-plugin is another";
    assert!(
        notes[0].starts_with(other) && notes[0].contains("`dependencies` of snow"),
        "{notes:?}"
    );
    assert_eq!(told("both.yaml", &both), (vec![], vec![]));

    let (findings, notes) = told("near.yaml", &[("snow-plugin 1.0.0", ""), c]);
    assert_eq!(findings, gone);
    assert!(notes[0].ends_with("call it snow-plugin in every file"), "{notes:?}");
}
