//! What a stack names runs, and nothing else but what that needs.

mod support;

use plugbay_resolve::{Active, Exclusion, KindRule, Member, Members, Policy};

use self::support::{id, offer, policy, told};

/// `id`, `id@range`, `id|id` and `id as kind`.
fn member(text: &str) -> Member {
    let (text, kind) = match text.split_once(" as ") {
        Some((text, kind)) => (text, Some(kind.to_owned())),
        None => (text, None),
    };
    let (ids, range) = text.split_once('@').unwrap_or((text, "*"));
    let (ids, version) = (ids.split('|').map(id).collect(), range.parse().unwrap());
    Member { ids, version, kind, only_with: Vec::new() }
}

fn stack(members: &[&str]) -> Policy {
    let plugins = members.iter().map(|text| member(text)).collect();
    let mut policy = policy();
    policy.members = Some(Members { stack: "ml".into(), plugins, kinds: [].into() });
    policy
}

fn apart(one: &str, other: &str) -> Exclusion {
    Exclusion { one: id(one), other: id(other), by: "the stack ml".into() }
}

#[test]
fn only_members_run_and_what_they_need() {
    let offers = [
        offer("a", "1.0.0", "[dependencies]\nb = \"1\""),
        offer("b", "1.0.0", ""),
        offer("c", "1.0.0", ""),
    ];
    let told = told(&offers, &stack(&["a"]));
    assert_eq!(told.runs(), ["a 1.0.0", "b 1.0.0"]);
    assert_eq!(told.why(), ["c 1.0.0: is no member of the stack ml, and none of them needs it"]);
}

#[test]
fn no_one_else_takes_a_members_place_not_even_by_hand() {
    let tracker = "kinds = [\"tracker\"]";
    let offers = [offer("old", "1.0.0", tracker), offer("new", "9.0.0", tracker)];
    let mut policy = stack(&["old"]);
    policy.kinds.insert("tracker".into(), KindRule { active: Active::Single, chain: false });
    policy.precedence.insert("tracker".into(), vec![id("new")]);
    policy.enabled = vec!["new".parse().unwrap()];
    assert_eq!(told(&offers, &policy).runs(), ["old 1.0.0"]);
    policy.members = None;
    assert_eq!(told(&offers, &policy).runs(), ["new 9.0.0"]);
}

#[test]
fn what_a_member_excludes_is_told_to_who_needs_it() {
    let tracker = "kinds = [\"tracker\"]";
    let offers = [
        offer("a", "1.0.0", tracker),
        offer("b", "9.0.0", tracker),
        offer("c", "1.0.0", "[dependencies]\nb = \"*\""),
    ];
    let mut policy = stack(&["a", "c"]);
    policy.kinds.insert("tracker".into(), KindRule { active: Active::Single, chain: false });
    // Of two that cannot run together the one that goes before runs.
    policy.precedence.insert("tracker".into(), vec![id("a")]);
    let told = told(&offers, &policy);
    assert_eq!(told.runs(), ["a 1.0.0"]);
    assert_eq!(
        told.why(),
        [
            "b 9.0.0: is no member of the stack ml, and none of them needs it",
            "c 1.0.0: needs b; b 9.0.0 is not run: one tracker runs at a time, and a 1.0.0 runs: \
             it is a member of the stack"
        ]
    );
}

#[test]
fn a_member_runs_in_the_versions_and_as_the_kind_that_the_stack_says() {
    let offers = [
        offer("a", "1.4.0", ""),
        offer("a", "2.0.0", ""),
        offer("b", "1.0.0", "kinds = [\"source\"]"),
    ];
    let told = told(&offers, &stack(&["a@^1", "b as tracker"]));
    assert_eq!(told.runs(), ["a 1.4.0"]);
    assert_eq!(
        told.why(),
        [
            "a 2.0.0: the stack ml takes versions ^1 of it only",
            "b 1.0.0: the stack ml takes it as tracker, and it is source",
        ]
    );
    let codes: Vec<_> = told.decision.held_back.iter().map(|it| it.reason.code()).collect();
    assert_eq!(codes, ["PB0322", "PB0323"]);
}

#[test]
fn of_several_ids_the_first_that_is_there_counts() {
    let both = [offer("a-plugin", "1.0.0", ""), offer("a", "1.0.0", "")];
    let stack = stack(&["a-plugin|a"]);
    assert_eq!(told(&both, &stack).runs(), ["a-plugin 1.0.0"]);
    assert_eq!(told(&both[1..], &stack).runs(), ["a 1.0.0"]);
}

#[test]
fn what_only_another_one_depends_on_is_a_member_where_that_one_is_there() {
    let both = [offer("a", "1.0.0", ""), offer("b", "1.0.0", "")];
    let mut stack = stack(&["a", "b"]);
    stack.members.as_mut().unwrap().plugins[0].only_with = vec![id("b")];
    assert_eq!(told(&both, &stack).runs(), ["a 1.0.0", "b 1.0.0"]);
    assert_eq!(told(&both[..1], &stack).runs(), [""; 0]);
}

#[test]
fn a_kind_can_be_a_member_whoever_is_of_it() {
    let offers = [offer("a", "1.0.0", "kinds = [\"tracker\"]"), offer("b", "1.0.0", "")];
    let mut policy = stack(&[]);
    policy.members.as_mut().unwrap().kinds.insert("tracker".into());
    assert_eq!(told(&offers, &policy).runs(), ["a 1.0.0"]);
}

#[test]
fn a_conflict_that_a_third_one_tells_of_holds_both_ways_and_names_him() {
    let offers = [offer("a", "1.0.0", ""), offer("b", "1.0.0", "")];
    for conflict in [apart("a", "b"), apart("b", "a")] {
        let mut policy = stack(&["a", "b"]);
        policy.conflicts = vec![conflict];
        let told = told(&offers, &policy);
        assert_eq!(told.runs(), ["a 1.0.0"]);
        assert_eq!(
            told.why(),
            ["b 1.0.0: by the stack ml, does not run beside a 1.0.0, which runs: its id comes \
              first, and nothing else decides"]
        );
        let held = &told.decision.held_back[0];
        assert_eq!(held.reason.code(), "PB0309");
        assert!(told.help()[0].contains("the conflict between them, out of the stack ml"));
    }
}

/// The help was to put in what was there.
#[test]
fn where_a_version_is_there_that_the_stack_takes_the_help_says_so() {
    let offers = [offer("a", "1.4.0", ""), offer("a", "2.0.0", "")];
    let policy = stack(&["a@^1"]);
    let both = told(&offers, &policy);
    assert_eq!(both.runs(), ["a 1.4.0"]);
    let widen = "widen the range in the stack ml";
    let there = "a 2.0.0: a version that the stack takes is there; for this one, ";
    let there = format!("{there}{widen}");
    assert_eq!(both.help(), [there]);
    let lacks = told(&offers[1..], &policy);
    assert_eq!(lacks.help(), [format!("a 2.0.0: put such a version into the folder, or {widen}")]);
}
