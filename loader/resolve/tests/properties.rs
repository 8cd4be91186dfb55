//! Random folders against a solver that is slow and obviously right.

mod support;

use std::collections::BTreeSet;

use plugbay_manifest::{Conflict, Manifest, Need, takes};
use plugbay_resolve::{
    Active, Exclusion, KindRule, Member, Members, Offer, Policy, Reason, Versions, decide,
};
use proptest::prelude::*;
use proptest::sample::subsequence;

use self::support::{id, needing_itself, offer, policy, shown};

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
const RANGES: [&str; 4] = ["*", "^1", "^2", ">=1.1"];
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "2.0.0", "2.1.0"];

/// One plugin file, as its author would write it.
fn file() -> impl Strategy<Value = (usize, usize, Offer)> {
    let dependency = (0..IDS.len(), 0..RANGES.len(), prop::bool::weighted(0.3));
    let conflict = prop_oneof![
        (0..IDS.len(), 0..RANGES.len())
            .prop_map(|(id, range)| format!("{}@{}", IDS[id], RANGES[range])),
        Just("kind:k".to_owned()),
        Just("capability:w".to_owned()),
    ];
    let kind = prop_oneof![
        Just("\"k\"".to_owned()),
        Just("\"s\"".to_owned()),
        Just("{ id = \"p\", of = \"x\" }".to_owned()),
        Just("{ id = \"p\", of = \"y\" }".to_owned()),
    ];
    (
        0..IDS.len(),
        0..VERSIONS.len(),
        prop::collection::vec(dependency, 0..3),
        prop::collection::vec(conflict, 0..2),
        prop::option::weighted(0.5, kind),
        prop::bool::weighted(0.2),
        (
            prop::option::weighted(0.3, 0..2_u32),
            prop::option::weighted(0.3, (0..2_u32, any::<bool>())),
            prop::option::weighted(0.1, (0..RANGES.len(), any::<bool>())),
        ),
    )
        .prop_map(|(own, version, dependencies, conflicts, kind, capable, others)| {
            let (offers, needs, itself) = others;
            let conflicts: Vec<_> = conflicts.iter().map(|one| format!("\"{one}\"")).collect();
            let mut text = format!("conflicts = [{}]\n", conflicts.join(", "));
            text += &format!("kinds = [{}]\n", kind.unwrap_or_default());
            if capable {
                text += "capabilities = [\"w\"]\n";
            }
            text += "[dependencies]\n";
            let mut named = BTreeSet::from([own]);
            for (other, range, optional) in dependencies {
                if named.insert(other) {
                    let (id, range) = (IDS[other], RANGES[range]);
                    text += &format!("{id} = {{ version = \"{range}\", optional = {optional} }}\n");
                }
            }
            if let Some(minor) = offers {
                text += &format!("[[services]]\nid = \"t.c\"\nversion = \"1.{minor}\"\n");
            }
            if let Some((minor, optional)) = needs {
                text += &format!(
                    "[[needs]]\nid = \"t.c\"\nversion = \"1.{minor}\"\noptional = {optional}\n"
                );
            }
            let mut offer = offer(IDS[own], VERSIONS[version], &text);
            if let Some((range, optional)) = itself {
                needing_itself(&mut offer, RANGES[range], optional);
            }
            (own, version, offer)
        })
}

fn folder() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(file(), 1..9).prop_map(|files| {
        let mut seen = BTreeSet::new();
        let files = files.into_iter().filter(|(own, version, _)| seen.insert((*own, *version)));
        files.map(|(_, _, offer)| offer).collect()
    })
}

fn a_policy() -> impl Strategy<Value = Policy> {
    let versions = prop_oneof![
        4 => Just(Versions::One),
        1 => Just(Versions::Compatible),
        1 => Just(Versions::All)
    ];
    let ids = || subsequence(IDS.to_vec(), 0..3).prop_shuffle();
    let conflicts = prop::collection::vec((0..IDS.len(), 0..IDS.len()), 0..2);
    let disabled = subsequence(IDS.to_vec(), 0..2);
    (versions, ids(), ids(), ids(), disabled, conflicts).prop_map(
        |(versions, first, second, enabled, disabled, conflicts)| {
            let mut policy = policy();
            policy.versions = versions;
            let single = KindRule { active: Active::Single, chain: false };
            let per = KindRule { active: Active::SinglePer("of".into()), chain: false };
            policy.kinds = [("s".into(), single), ("p".into(), per)].into();
            let list = |ids: Vec<&str>| ids.into_iter().map(id).collect();
            policy.precedence = [("s".into(), list(first)), ("k".into(), list(second))].into();
            policy.enabled = enabled.into_iter().map(|id| id.parse().unwrap()).collect();
            policy.disabled = disabled.into_iter().map(id).collect();
            let apart = |(one, other): (usize, usize)| Exclusion {
                one: id(IDS[one]),
                other: id(IDS[other]),
                by: "the stack t".into(),
            };
            policy.conflicts = conflicts.into_iter().filter(|(a, b)| a != b).map(apart).collect();
            policy
        },
    )
}

/// Some plugins in some versions, and perhaps all of a kind.
fn a_stack() -> impl Strategy<Value = Members> {
    let kind = prop::option::weighted(0.2, prop_oneof![Just("k"), Just("s"), Just("p")]);
    let member = (0..IDS.len(), 0..IDS.len(), 0..RANGES.len(), kind);
    let kinds = subsequence(vec!["k".to_owned(), "s".to_owned()], 0..2);
    (prop::collection::vec(member, 0..4), kinds).prop_map(|(members, kinds)| Members {
        stack: "t".into(),
        plugins: members
            .into_iter()
            .map(|(first, second, range, kind)| Member {
                ids: vec![id(IDS[first]), id(IDS[second])],
                version: RANGES[range].parse().unwrap(),
                kind: kind.map(ToOwned::to_owned),
                only_with: Vec::new(),
            })
            .collect(),
        kinds: kinds.into_iter().collect(),
    })
}

/// Those of the stack's plugins that this one is.
fn as_members<'a>(
    own: &Manifest,
    offers: &[Offer],
    policy: &'a Policy,
) -> impl Iterator<Item = &'a Member> {
    let plugins = policy.members.iter().flat_map(|members| &members.plugins);
    let is_there =
        |id: &plugbay_manifest::PluginId| offers.iter().any(|offer| offer.manifest.id == *id);
    plugins.filter(move |member| member.ids.iter().find(|id| is_there(id)) == Some(&own.id))
}

fn is_member(own: &Manifest, offers: &[Offer], policy: &Policy) -> bool {
    as_members(own, offers, policy).next().is_some()
        || policy.members.iter().any(|it| own.kinds.iter().any(|kind| it.kinds.contains(kind)))
}

/// Whether nothing is against it whatever the others do.
fn may_run(offer: &Offer, offers: &[Offer], policy: &Policy) -> bool {
    let own = &offer.manifest;
    !policy.disabled.contains(&own.id)
        && as_members(own, offers, policy).all(|member| {
            takes(&member.version, &own.version)
                && member.kind.as_ref().is_none_or(|kind| own.kinds.contains(kind))
        })
}

/// Whether one file of a set lacks nothing that it needs in another set.
fn has_all(manifest: &Manifest, others: &[&Manifest]) -> bool {
    let dependencies = manifest.dependencies.iter().filter(|it| !it.optional).all(|dependency| {
        let by_itself =
            dependency.id == manifest.id && takes(&dependency.version, &manifest.version);
        by_itself
            || others
                .iter()
                .any(|it| it.id == dependency.id && takes(&dependency.version, &it.version))
    });
    let needs = manifest.needs.iter().filter(|it| !it.optional).all(|need| {
        let mut others = others.iter().filter(|it| it.id != manifest.id);
        others.any(|it| it.services.iter().any(|service| service.satisfies(need)))
    });
    dependencies && needs
}

/// Whether one could fulfil something that the other cannot run without.
fn uses(user: &Manifest, other: &Manifest) -> bool {
    let depends = user.dependencies.iter().any(|dependency| {
        let by_itself = dependency.id == user.id && takes(&dependency.version, &user.version);
        !dependency.optional
            && !by_itself
            && dependency.id == other.id
            && takes(&dependency.version, &other.version)
    });
    let needs = user.needs.iter().any(|need| {
        !need.optional
            && other.id != user.id
            && other.services.iter().any(|service| service.satisfies(need))
    });
    depends || needs
}

fn excludes(one: &Manifest, other: &Manifest, policy: &Policy) -> bool {
    let same_place = one.id == other.id
        && policy.line_of(&one.id, &one.version) == policy.line_of(&other.id, &other.version);
    let says_so = |one: &Manifest, other: &Manifest| {
        one.conflicts.iter().any(|conflict| match conflict {
            Conflict::Plugin(selector) => selector.has(&other.id, &other.version),
            Conflict::Kind(kind) => other.kinds.contains(kind),
            Conflict::Capability(word) => other.capabilities.contains(word),
            _ => false,
        })
    };
    let both =
        |kind: &str| one.kinds.iter().chain(&other.kinds).filter(|it| *it == kind).count() == 2;
    let same_type = || one.sub_types.get("p") == other.sub_types.get("p");
    let is_said = policy.conflicts.iter().any(|said| {
        let (a, b) = (&said.one, &said.other);
        *a == one.id && *b == other.id || *a == other.id && *b == one.id
    });
    same_place
        || is_said
        || says_so(one, other)
        || says_so(other, one)
        || both("s")
        || both("p") && same_type()
}

/// Whether these can run together, and be activated one after the other.
fn is_good(set: &[&Manifest], policy: &Policy) -> bool {
    let clash = |at: usize| set[at + 1..].iter().any(|other| excludes(set[at], other, policy));
    if (0..set.len()).any(clash) {
        return false;
    }
    let (mut up, mut left): (Vec<&Manifest>, Vec<&Manifest>) = (Vec::new(), set.to_vec());
    loop {
        let (next, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|it| has_all(it, &up));
        if next.is_empty() {
            return later.is_empty();
        }
        up.extend(next);
        left = later;
    }
}

/// The places that can be taken, as (files, newest first), in the order of what goes
/// before what.
fn places(offers: &[Offer], policy: &Policy) -> Vec<Vec<usize>> {
    let mut places: Vec<Vec<usize>> = Vec::new();
    let mut files: Vec<usize> = (0..offers.len()).collect();
    files.retain(|file| may_run(&offers[*file], offers, policy));
    files.sort_by(|a, b| offers[*b].name().version.cmp(&offers[*a].name().version));
    for file in files {
        let line = |file: usize| {
            let name = offers[file].name();
            (policy.line_of(&name.id, &name.version), name.id)
        };
        match places.iter_mut().find(|place| line(place[0]) == line(file)) {
            Some(place) => place.push(file),
            None => places.push(vec![file]),
        }
    }
    places.sort_by_key(|place| {
        let newest = offers[place[0]].name();
        let by_hand = policy.enabled.iter().any(|it| it.id == newest.id);
        let position = |file: &usize| {
            let kinds = &offers[*file].manifest.kinds;
            let lists = policy.precedence.iter().filter(|(kind, _)| kinds.contains(kind));
            lists.filter_map(|(_, list)| list.iter().position(|id| *id == newest.id)).min()
        };
        let position = place.iter().filter_map(position).min().unwrap_or(usize::MAX);
        let member = place.iter().any(|file| is_member(&offers[*file].manifest, offers, policy));
        (!member, !by_hand, position, std::cmp::Reverse(newest.version), newest.id)
    });
    places
}

/// The best set, by looking at all of them.
fn slowly(offers: &[Offer], policy: &Policy) -> BTreeSet<usize> {
    let places = places(offers, policy);
    let sets = (0..1_u32 << offers.len()).map(|number| {
        (0..offers.len()).filter(|file| number >> file & 1 == 1).collect::<BTreeSet<_>>()
    });
    let good = sets.filter(|set| {
        if !set.iter().all(|file| may_run(&offers[*file], offers, policy)) {
            return false;
        }
        let manifests: Vec<&Manifest> = set.iter().map(|file| &*offers[*file].manifest).collect();
        is_good(&manifests, policy)
    });
    let worth = |set: &BTreeSet<usize>| {
        let runs: Vec<bool> =
            places.iter().map(|place| place.iter().any(|file| set.contains(file))).collect();
        let versions: Vec<bool> = places.iter().flatten().map(|file| set.contains(file)).collect();
        (runs, versions)
    };
    good.max_by_key(worth).unwrap_or_default()
}

/// Whether a reason that names others is true of what runs.
fn is_true(reason: &Reason, own: &Manifest, run: &[&Manifest], policy: &Policy) -> bool {
    let running = |name: &plugbay_resolve::Name| {
        run.iter().find(|it| it.id == name.id && it.version == name.version)
    };
    match reason {
        Reason::Disabled => policy.disabled.contains(&own.id),
        Reason::Older { newer, .. } => {
            *newer > own.version && run.iter().any(|it| it.id == own.id && it.version == *newer)
        }
        Reason::TooNew { chosen, by, .. } => {
            let older = run.iter().find(|it| it.id == own.id && it.version == *chosen);
            *chosen < own.version
                && older.zip(running(by)).is_some_and(|(older, by)| {
                    let does = |it: &Manifest, need: &Need| {
                        it.services.iter().any(|service| service.satisfies(need))
                    };
                    by.dependencies.iter().any(|it| {
                        it.id == own.id
                            && takes(&it.version, chosen)
                            && !takes(&it.version, &own.version)
                    }) || by.needs.iter().any(|need| does(older, need) && !does(own, need))
                })
        }
        Reason::Dependency(missing) => own.dependencies.iter().any(|dependency| {
            let text = format!("{} {}", dependency.id, dependency.version);
            let plain = dependency.id.to_string();
            (missing.wants == text || missing.wants == plain)
                && !run.iter().any(|it| {
                    let own_line = policy.line_of(&own.id, &own.version);
                    let own_place =
                        it.id == own.id && policy.line_of(&it.id, &it.version) == own_line;
                    it.id == dependency.id && takes(&dependency.version, &it.version) && !own_place
                })
                && !(dependency.id == own.id && takes(&dependency.version, &own.version))
        }),
        Reason::Need(missing) => own.needs.iter().any(|need| {
            missing.wants == format!("{} {}", need.id, need.version)
                && !run.iter().any(|it| {
                    it.id != own.id && it.services.iter().any(|service| service.satisfies(need))
                })
        }),
        Reason::Conflict { with, .. } | Reason::Kind { with, .. } => {
            running(with).is_some_and(|with| excludes(own, with, policy))
        }
        Reason::Circle { members, .. } => {
            members.len() > 1 && members[0].id == own.id && members[0].version == own.version
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_best_set_runs_and_every_reason_is_true(offers in folder(), policy in a_policy()) {
        let decision = decide(&offers, &[], &policy);
        let run: BTreeSet<usize> = decision.run.iter().map(|chosen| chosen.offer).collect();
        prop_assert_eq!(&run, &slowly(&offers, &policy), "{}", shown(&offers, &policy));

        let manifests: Vec<&Manifest> = run.iter().map(|file| &*offers[*file].manifest).collect();
        prop_assert_eq!(run.len() + decision.held_back.len(), offers.len());
        for held in &decision.held_back {
            let own = &offers[held.offer].manifest;
            let reason = &held.reason;
            prop_assert!(is_true(reason, own, &manifests, &policy), "{}: {reason}\n{}", own.id, shown(&offers, &policy));
        }

        // Each has what it needs in the levels before its own.
        let mut up: Vec<&Manifest> = Vec::new();
        for level in &decision.levels {
            let level: Vec<&Manifest> = level.iter().map(|file| &*offers[*file].manifest).collect();
            prop_assert!(level.iter().all(|it| has_all(it, &up)));
            up.extend(level);
        }
        prop_assert_eq!(up.len(), run.len());
    }

    #[test]
    fn with_little_effort_what_runs_can_run_and_every_reason_is_true_or_says_so(
        offers in folder(),
        policy in a_policy(),
        effort in 0..3_000_u64,
    ) {
        let mut policy = policy;
        policy.effort = effort;
        let decision = decide(&offers, &[], &policy);
        let run: Vec<&Manifest> =
            decision.run.iter().map(|chosen| &*offers[chosen.offer].manifest).collect();
        prop_assert!(is_good(&run, &policy));
        prop_assert_eq!(run.len() + decision.held_back.len(), offers.len());
        for held in &decision.held_back {
            let (own, reason) = (&offers[held.offer].manifest, &held.reason);
            let is_told = matches!(reason, Reason::Undecided { .. });
            prop_assert!(is_told || is_true(reason, own, &run, &policy), "{}: {reason}\n{}", own.id, shown(&offers, &policy));
        }
    }

    #[test]
    fn of_a_stack_the_best_set_of_members_runs_and_what_they_need(
        offers in folder(),
        mut policy in a_policy(),
        members in a_stack(),
    ) {
        policy.members = Some(members);
        let decision = decide(&offers, &[], &policy);
        let run: BTreeSet<usize> = decision.run.iter().map(|chosen| chosen.offer).collect();
        // Of the best set those that are members, and what they need, step by step.
        let best = slowly(&offers, &policy);
        let is_own = |file: &usize| is_member(&offers[*file].manifest, &offers, &policy);
        let mut kept: BTreeSet<usize> = best.iter().copied().filter(is_own).collect();
        loop {
            let needed = best.iter().copied().filter(|file| {
                kept.iter().any(|user| uses(&offers[*user].manifest, &offers[*file].manifest))
            });
            let more: BTreeSet<usize> = needed.chain(kept.iter().copied()).collect();
            if more == kept {
                break;
            }
            kept = more;
        }
        prop_assert_eq!(&run, &kept, "{}\n{:?}", shown(&offers, &policy), policy.members);
        prop_assert_eq!(run.len() + decision.held_back.len(), offers.len());
        let all: Vec<&Manifest> = best.iter().map(|file| &*offers[*file].manifest).collect();
        for held in &decision.held_back {
            let (own, reason) = (&offers[held.offer].manifest, &held.reason);
            let is_true = match reason {
                Reason::NotMember { .. } => !is_member(own, &offers, &policy),
                _ if !is_member(own, &offers, &policy) => false,
                Reason::StackVersion { .. } | Reason::StackKind { .. } => {
                    !may_run(&offers[held.offer], &offers, &policy)
                }
                _ => is_true(reason, own, &all, &policy),
            };
            prop_assert!(is_true, "{}: {reason}\n{}", own.id, shown(&offers, &policy));
        }
    }

    #[test]
    fn the_order_of_the_files_does_not_matter(
        (offers, shuffled) in folder().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        policy in a_policy(),
    ) {
        let told = |offers: &[Offer]| {
            let told = support::told(offers, &policy);
            (told.runs(), told.why(), told.levels().into_iter().map(|mut level| {
                level.sort();
                level
            }).collect::<Vec<_>>())
        };
        prop_assert_eq!(told(&offers), told(&shuffled), "{}", shown(&offers, &policy));
    }

    #[test]
    fn what_runs_is_decided_the_same_when_the_rest_is_gone(
        offers in folder(),
        policy in a_policy(),
    ) {
        let decision = decide(&offers, &[], &policy);
        let left: Vec<Offer> =
            decision.run.iter().map(|chosen| offers[chosen.offer].clone()).collect();
        prop_assert_eq!(decide(&left, &[], &policy).run.len(), left.len());
    }
}
