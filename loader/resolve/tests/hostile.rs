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

const NEEDS: &str = "[[needs]]\nid = \"acme.store\"\nversion = \"1.0\"\n";
const OFFERS: &str = "[[services]]\nid = \"acme.store\"\nversion = \"1.0\"\n";

/// A host that allows a fiftieth of the usual work. What is decided with that was shared by
/// all who ask for the same.
fn in_little_work() -> Policy {
    let mut policy = policy();
    policy.effort /= 50;
    policy
}

fn is_undecided(told: &Told, id: &str) -> bool {
    let mut of_it = told
        .decision
        .held_back
        .iter()
        .filter(|held| told.offers[held.offer].manifest.id.as_str() == id);
    of_it.all(|held| matches!(held.reason, Reason::Undecided { .. }))
}

fn count(told: &Told, code: &str) -> usize {
    told.decision.held_back.iter().filter(|held| held.reason.code() == code).count()
}

#[test]
fn thousands_of_versions_that_need_their_own_contracts_have_reasons() {
    let versions = (0..10).map(|version| {
        let mut text = String::new();
        for it in 0..1_000 {
            writeln!(text, "[[needs]]\nid = \"a.c{it}\"\nversion = \"1.0\"").unwrap();
            writeln!(text, "[[services]]\nid = \"a.c{it}\"\nversion = \"1.{version}\"").unwrap();
        }
        offer("a", &format!("{version}.0.0"), &text)
    });
    let told = told(&versions.collect::<Vec<_>>(), &in_little_work());
    assert_eq!(count(&told, "PB0308"), 10);
    let why = &told.why()[0];
    assert!(why.ends_with("found a 9.0.0 with 1.9, a 8.0.0 with 1.8, a 7.0.0 with 1.7 and 7 more"));
}

#[test]
fn who_names_too_many_ranges_is_refused_and_what_it_names_runs() {
    let mut offers: Vec<_> = (0..500).map(|it| offer("victim", &format!("{it}.0.0"), "")).collect();
    for file in 0..4 {
        let ranges: Vec<_> =
            (0..3_000).map(|it| format!("\"victim@>={}.{file}.0, <{it}.1.0\"", it % 251)).collect();
        let text = format!("conflicts = [{}]", ranges.join(","));
        offers.push(offer(&name(file), "1.0.0", &text));
    }
    offers.push(offer("user", "1.0.0", "conflicts = [\"victim@^7\"]"));
    let told = told(&offers, &in_little_work());
    assert_eq!(told.runs(), ["user 1.0.0", "victim 499.0.0"]);
    assert!((0..4).all(|file| is_undecided(&told, &name(file))));
    assert_eq!(
        told.why()[0],
        "p00000 1.0.0: cannot be decided on: it is bound up with 500 other files or more by \
         dependencies, conflicts and kinds, more than this host follows up"
    );
}

#[test]
fn thousands_that_need_what_thousands_offer_run() {
    let users = (0..3_000).map(|it| offer(&format!("u{it:05}"), "1.0.0", NEEDS));
    let offers: Vec<_> =
        users.chain((0..3_000).map(|it| offer(&name(it), "1.0.0", OFFERS))).collect();
    let told = told(&offers, &in_little_work());
    assert_eq!(told.decision.run.len(), 6_000);
    assert_eq!(told.decision.levels.len(), 2);
    let named = told.decision.run.iter().map(|it| it.needs.len() + it.uses.len());
    assert!(named.sum::<usize>() < 3_000 * 50);
}

#[test]
fn thousands_that_offer_what_each_needs_of_another_run_behind_the_first() {
    let both = format!("{NEEDS}{OFFERS}");
    let mut offers: Vec<_> = (0..2_000).map(|it| offer(&name(it), "1.0.0", &both)).collect();
    // Nobody can be the first one.
    let circle = told(&offers, &in_little_work());
    assert_eq!(circle.decision.run.len(), 0);
    assert_eq!(count(&circle, "PB0319"), 0);
    assert!(circle.why()[0].contains("acme.store 1.0") || circle.why()[0].contains("needs it"));
    offers.push(offer("first", "1.0.0", OFFERS));
    let mut policy = in_little_work();
    policy.only = Some((0..2_000).map(|it| name(it).parse().unwrap()).collect());
    let told = told(&offers, &policy);
    assert_eq!(told.decision.run.len(), 2_001);
    assert_eq!(told.levels()[0], ["first"]);
}

#[test]
fn of_thousands_that_would_not_do_the_newest_are_told() {
    let mut offers: Vec<_> = (0..2_000).map(|it| offer("a", &format!("{it}.0.0"), "")).collect();
    let needs = "[dependencies]\na = \">=9000\"";
    offers.extend((0..2_000).map(|it| offer(&name(it), "1.0.0", needs)));
    let told = told(&offers, &in_little_work());
    assert_eq!(count(&told, "PB0307"), 2_000);
    let Reason::Dependency(missing) = &told.decision.held_back[3_000].reason else { panic!() };
    assert_eq!((missing.found.some.len(), missing.found.more), (16, 1_984));
    assert_eq!(
        told.decision.held_back[3_000].reason.to_string(),
        "needs a >=9000, found a 1999.0.0, a 1998.0.0, a 1997.0.0 and 1997 more"
    );
}

#[test]
fn a_chain_of_ten_thousand_into_a_circle_has_one_reason() {
    let next = |it: usize| if it == 9_999 { 9_998 } else { it + 1 };
    let offers: Vec<_> = (0..10_000).map(|it| needing(it, [next(it)])).collect();
    let mut policy = policy();
    // What is told is work, too.
    policy.effort /= 10;
    let told = told(&offers, &policy);
    assert_eq!((count(&told, "PB0307"), count(&told, "PB0311")), (9_998, 2));
    assert_eq!(
        told.decision.held_back[0].reason.to_string(),
        "needs p00001 ^1; p00001 1.0.0 is not run, which goes back to p09998 1.0.0: needs what \
         needs it: p09998 1.0.0 → p09999 1.0.0 → p09998 1.0.0"
    );
}

#[test]
fn thousands_of_circles_that_one_needs_are_told_apart() {
    let pairs = (0..3_000).map(|it| needing(it, [it ^ 1]));
    let offers: Vec<_> = pairs.chain([needing(3_000, 0..3_000)]).collect();
    let told = told(&offers, &in_little_work());
    assert_eq!((count(&told, "PB0307"), count(&told, "PB0311")), (1, 3_000));
}

#[test]
fn circles_are_left_by_older_versions_also_where_there_are_thousands() {
    let of = |it: usize| {
        let new = needing(it, [it ^ 1, (it + 2) % 1_000]).manifest;
        let new = new.dependencies.iter().map(|other| format!("{} = \"*\"\n", other.id));
        let new = format!("[dependencies]\n{}", new.collect::<String>());
        [offer(&name(it), "2.0.0", &new), offer(&name(it), "1.0.0", "")]
    };
    let told = told(&(0..1_000).flat_map(of).collect::<Vec<_>>(), &in_little_work());
    assert_eq!(told.decision.run.len(), 1_000);
    assert_eq!(count(&told, "PB0319"), 0);
}

#[test]
fn thousands_of_kinds_that_others_work_with_are_looked_up() {
    let list = |each: &dyn Fn(usize) -> String| (0..1_000).map(each).collect::<Vec<_>>().join(",");
    let kinds = format!("kinds = [{}]", list(&|it| format!("\"kind-{it}\"")));
    let works = format!(
        "integrates = [{},{}]",
        list(&|it| format!("{{ plugin = \"a\", kind = \"kind-{it}\" }}")),
        list(&|it| format!("{{ kind = \"kinb-{it}\" }}")),
    );
    let offers = [offer("a", "1.0.0", &kinds), offer("b", "1.0.0", &works)];
    let told = told(&offers, &in_little_work());
    assert_eq!(told.runs().len(), 2);
    let advice = told.advice();
    assert_eq!(advice.len(), 1_000);
    assert!(advice[7].ends_with("the kind kinb-7, of which nothing runs; is `kind-7` meant?"));
}

#[test]
fn what_many_words_are_missing_is_told_shortly_to_all_who_need_it() {
    let words: Vec<_> = (0..2_000).map(|it| format!("\"feature-{it}\"")).collect();
    let mut offers: Vec<_> = (1..1_000).map(|it| needing(it, [0])).collect();
    offers.push(offer(&name(0), "1.0.0", &format!("features = [{}]", words.join(","))));
    let told = told(&offers, &in_little_work());
    assert_eq!(count(&told, "PB0307"), 999);
    assert!(told.why().iter().all(|why| why.len() < 500 && why.contains(" and 1984 more")));
}

#[test]
fn of_a_version_as_long_as_a_book_few_copies_are_made() {
    let mut long = offer("base", "1.0.0", "features = [\"none\"]");
    // Which authors cannot write, but which a library may carry.
    let manifest = std::sync::Arc::make_mut(&mut long.manifest);
    manifest.version = format!("1.0.0+{}", "a".repeat(400_000)).parse().unwrap();
    let mut offers: Vec<_> =
        (0..1_000).map(|it| offer(&name(it), "1.0.0", "[dependencies]\nbase = \"*\"")).collect();
    offers.push(long);
    offers.push(offer("y", "1.0.0", "[dependencies]\nz = \"*\""));
    let told = told(&offers, &policy());
    let text: usize = told.why().iter().map(String::len).sum();
    assert!(text < 100_000_000, "{text}");
    assert!(count(&told, "PB0319") > 0 && count(&told, "PB0307") > 10);
    assert!(told.why().last().is_some_and(|why| why == "y 1.0.0: needs z, and there is none"));
}

#[test]
fn the_effort_is_for_all_parts_together_and_small_ones_keep_theirs() {
    let mut policy = policy();
    let mut offers = Vec::new();
    for group in 0..20 {
        let mut of_group = pigeons(10);
        for it in &mut of_group {
            let manifest = std::sync::Arc::make_mut(&mut it.manifest);
            let other = |id: &str| format!("g{group}{id}").parse().unwrap();
            manifest.id = other(manifest.id.as_str());
            for dependency in &mut manifest.dependencies {
                dependency.id = other(dependency.id.as_str());
            }
            manifest.sub_types = std::mem::take(&mut manifest.sub_types)
                .into_iter()
                .map(|(kind, of)| (format!("{kind}{group}"), of))
                .collect();
            manifest.kinds.iter_mut().for_each(|kind| kind.push_str(&group.to_string()));
        }
        let rule = KindRule { active: Active::SinglePer("at".into()), chain: false };
        policy.kinds.insert(format!("hole{group}"), rule);
        policy.enabled.push(format!("g{group}p99999").parse().unwrap());
        offers.extend(of_group);
    }
    offers.extend((0..100).map(|it| needing(it, if it > 0 { vec![it - 1] } else { vec![] })));
    policy.effort = 1_000_000;
    let told = told(&offers, &policy);
    assert_eq!(told.decision.run.len(), 100);
    assert_eq!(count(&told, "PB0319"), offers.len() - 100);
    // Of those that are bound up with each other, and not of all.
    let why = &told.why()[0];
    assert!(why.contains("bound up with 90 other files"), "{why}");
}
