//! Folders that were made to be hard end with an answer or a refusal.

mod support;

use std::fmt::Write;

use plugbay_resolve::{Active, KindRule, Offer, Policy, Reason};

use self::support::{Told, offer, policy, told};

fn name(number: usize) -> String {
    format!("p{number:05}")
}

fn needing(number: usize, others: impl IntoIterator<Item = usize>) -> Offer {
    let mut text = "[dependencies]\n".to_owned();
    for other in others {
        writeln!(text, "{} = \"1\"", name(other)).unwrap();
    }
    offer(&name(number), "1.0.0", &text)
}

#[test]
fn a_chain_of_ten_thousand_is_ten_thousand_levels() {
    let offers: Vec<_> =
        (0..10_000).map(|it| needing(it, (it < 9_999).then_some(it + 1))).collect();
    let told = told(&offers, &policy());
    assert_eq!(told.decision.levels.len(), 10_000);
    assert_eq!(told.decision.levels[0], [9_999]);
}

#[test]
fn a_chain_of_ten_thousand_that_ends_nowhere_has_one_reason() {
    let offers: Vec<_> = (0..10_000).map(|it| needing(it, [it + 1])).collect();
    let told = told(&offers, &policy());
    assert!(told.decision.run.is_empty());
    let why = told.decision.held_back[0].reason.to_string();
    assert_eq!(
        why,
        "needs p00001 ^1; p00001 1.0.0 is not run, which goes back to p09999 1.0.0: needs p10000 \
         ^1, and there is none"
    );
}

#[test]
fn a_circle_of_ten_thousand_is_told_shortly() {
    let offers: Vec<_> = (0..10_000).map(|it| needing(it, [(it + 1) % 10_000])).collect();
    let told = told(&offers, &policy());
    assert!(told.decision.run.is_empty());
    let why = told.decision.held_back[7].reason.to_string();
    assert!(why.starts_with("needs what needs it: p00007 1.0.0 → p00008 1.0.0"), "{why}");
    assert!(why.len() < 500, "{why}");
}

#[test]
fn wide_diamonds_are_levels() {
    // 40 layers of 50, each needing all of the layer below: 100,000 dependencies.
    let offers: Vec<_> = (0..2_000)
        .map(|it| {
            let below = (it / 50 + 1) * 50;
            needing(it, if below < 2_000 { below..below + 50 } else { 0..0 })
        })
        .collect();
    let told = told(&offers, &policy());
    assert_eq!(told.decision.levels.len(), 40);
}

#[test]
fn thousands_of_versions_are_tried_until_one_fits() {
    // Only the oldest of `b` goes with any `a`, which nobody knows before.
    let mut offers = Vec::new();
    for version in 0..2_000 {
        let needs = format!("[dependencies]\nb = \"={version}.0.0\"");
        offers.push(offer("a", &format!("{version}.0.0"), &needs));
        let needs = if version > 0 { "[dependencies]\nc = \"2\"" } else { "" };
        offers.push(offer("b", &format!("{version}.0.0"), needs));
    }
    offers.push(offer("c", "1.0.0", ""));
    let told = told(&offers, &policy());
    assert_eq!(told.runs(), ["a 0.0.0", "b 0.0.0", "c 1.0.0"]);
}

#[test]
fn a_thousand_of_a_kind_of_which_one_runs() {
    let mut policy = policy();
    policy.kinds.insert("k".into(), KindRule { active: Active::Single, chain: false });
    let kind = "kinds = [\"k\"]\nconflicts = [\"kind:k\"]";
    let offers: Vec<_> = (0..3_000).map(|it| offer(&name(it), "1.0.0", kind)).collect();
    let told = told(&offers, &policy);
    assert_eq!(told.runs(), ["p00000 1.0.0"]);
    assert!(told.why()[0].contains("one k runs at a time, and p00000 1.0.0 runs"));
}

/// More pigeons than holes: no method of this kind finds that out soon. Each pigeon has a
/// version for each hole, and the last one needs all of them.
fn pigeons(count: usize) -> Vec<Offer> {
    let mut offers = Vec::new();
    for pigeon in 0..count {
        for hole in 0..count - 1 {
            let text = format!("kinds = [{{ id = \"hole\", at = \"{hole}\" }}]");
            offers.push(offer(&name(pigeon), &format!("1.{hole}.0"), &text));
        }
    }
    let mut all = needing(99_999, 0..count);
    all.hash = "all".into();
    offers.push(all);
    offers
}

fn with_holes() -> Policy {
    let mut policy = policy();
    let rule = KindRule { active: Active::SinglePer("at".into()), chain: false };
    policy.kinds.insert("hole".into(), rule);
    policy.enabled.push("p99999".parse().unwrap());
    policy
}

#[test]
fn what_is_too_much_is_refused_and_leaves_the_others_alone() {
    let mut offers = pigeons(12);
    offers.push(offer("alone", "1.0.0", ""));
    let Told { decision, offers } = told(&offers, &with_holes());
    let run: Vec<_> = decision.run.iter().map(|it| offers[it.offer].name().to_string()).collect();
    assert_eq!(run, ["alone 1.0.0"]);
    assert_eq!(decision.held_back.len(), offers.len() - 1);
    assert!(decision.held_back.iter().all(|it| matches!(it.reason, Reason::Undecided { .. })));
    let few = told(&pigeons(5), &with_holes());
    assert!(few.why().last().is_some_and(|why| why.starts_with("p99999 1.0.0: needs p0000")));
}
