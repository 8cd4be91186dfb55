//! What a plugin needs and has itself, or another version of it.

mod support;

use plugbay_resolve::Versions;

use self::support::{needing_itself, offer, policy, told};

#[test]
fn what_needs_itself_is_met_by_itself() {
    let mut offers = [offer("a", "1.4.0", ""), offer("b", "1.0.0", "")];
    needing_itself(&mut offers[0], "^1", false);
    needing_itself(&mut offers[1], "*", true);
    let told = told(&offers, &policy());
    assert_eq!(told.runs(), ["a 1.4.0", "b 1.0.0"]);
    assert_eq!(told.levels(), [["a", "b"]]);
    assert!(told.decision.run.iter().all(|it| it.needs.is_empty() && it.uses.is_empty()));
    assert_eq!(told.advice(), [""; 0]);
}

#[test]
fn what_needs_another_version_of_itself_runs_where_both_can() {
    let mut offers = [offer("a", "2.0.0", ""), offer("a", "1.4.0", "")];
    needing_itself(&mut offers[0], "^1", false);
    let mut policy = policy();
    let one = told(&offers, &policy);
    assert_eq!(one.runs(), ["a 1.4.0"]);
    assert_eq!(one.why(), ["a 2.0.0: needs a ^1, found a 1.4.0, which would take its own place"]);
    let help = "a 2.0.0: use a version of a that does not need another one in its own place";
    assert_eq!(one.help(), [help]);
    policy.versions = Versions::Compatible;
    assert_eq!(told(&offers, &policy).levels(), [["a"], ["a"]]);
    assert_eq!(told(&offers[..1], &policy).why(), ["a 2.0.0: needs a ^1, and there is none"]);
}

const OFFERS: &str = "[[services]]\nid = \"acme.store\"\nversion = \"1.0\"\n";
const NEEDS: &str = "[[needs]]\nid = \"acme.store\"\nversion = \"1.0\"\n";

#[test]
fn no_version_of_a_plugin_provides_for_another_one() {
    let mut policy = policy();
    policy.versions = Versions::All;
    let both = format!("{NEEDS}{OFFERS}");
    let mut offers = vec![offer("p", "1.0.0", OFFERS), offer("p", "2.0.0", &both)];
    let alone = told(&offers, &policy);
    assert_eq!(alone.runs(), ["p 1.0.0"]);
    assert_eq!(
        alone.why(),
        ["p 2.0.0: needs acme.store 1.0, found p 2.0.0 with 1.0, p 1.0.0 with 1.0"]
    );
    // The old one is there for it, and it is there for the new one.
    offers.push(offer("q", "1.0.0", &both));
    assert_eq!(told(&offers, &policy).levels(), [["p"], ["q"], ["p"]]);
}

#[test]
fn who_offers_what_it_may_use_waits_for_all_others() {
    let may_use = format!("{NEEDS}optional = true\n{OFFERS}");
    let offers = [
        offer("a", "1.0.0", OFFERS),
        offer("p", "1.0.0", &may_use),
        offer("y", "1.0.0", ""),
        offer("z", "1.0.0", &format!("{OFFERS}[dependencies]\ny = \"*\"")),
    ];
    assert_eq!(told(&offers, &policy()).levels(), [vec!["a", "y"], vec!["z"], vec!["p"]]);
}
