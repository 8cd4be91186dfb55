//! How long a decision takes, and how much memory: of folders as they are, and of those
//! that were made to be hard. One to a process, since the memory is that of the process:
//! `cargo run --release -p plugbay-resolve --example measure_decisions -- 5000-providers`; without a
//! name, all of them, one after the other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use plugbay_manifest::source::{CrateDefaults, Source};
use plugbay_resolve::{KindRule, Offer, Policy, Profile, decide};
use semver::Version;

type Folder = fn(&mut Policy) -> Vec<Offer>;

const FOLDERS: &[(&str, Folder)] = &[
    ("usual", |_| usual(false)),
    ("usual-hard", |policy| {
        policy.kinds = Profile::MachineLearning.kinds();
        usual(true)
    }),
    ("many-needs", |_| {
        let versions = (0..20).map(|version| {
            let needs = (0..5_000).fold(String::new(), |mut text, it| {
                writeln!(text, "[[needs]]\nid = \"a.c{it}\"\nversion = \"1.0\"").unwrap();
                writeln!(text, "[[services]]\nid = \"a.c{it}\"\nversion = \"0.{version}\"")
                    .unwrap();
                text
            });
            offer("a", version, &needs)
        });
        versions.collect()
    }),
    ("many-ranges", |_| {
        let mut offers: Vec<_> = (0..1_000).map(|version| offer("victim", version, "")).collect();
        offers.extend((0..10).map(|file| {
            let ranges = (0..10_000).map(|it| {
                let (low, high) = (it % 997, 1 + it / 10);
                format!("\"victim@>={low}.0.{file}, <{high}.{it}.0\"")
            });
            let ranges: Vec<_> = ranges.collect();
            offer(&format!("p{file}"), 1, &format!("conflicts = [{}]", ranges.join(",")))
        }));
        offers
    }),
    ("5000-providers", |_| {
        let users = (0..5_000).map(|it| offer(&format!("u{it}"), 1, NEEDS));
        users.chain((0..5_000).map(|it| offer(&format!("p{it}"), 1, OFFERS))).collect()
    }),
    ("5000-own-providers", |_| {
        let both = format!("{NEEDS}optional = true\n{OFFERS}");
        (0..5_000).map(|it| offer(&format!("p{it}"), 1, &both)).collect()
    }),
    ("5000-providers-in-a-circle", |_| {
        let both = format!("{NEEDS}{OFFERS}");
        (0..5_000).map(|it| offer(&format!("p{it}"), 1, &both)).collect()
    }),
    ("found-thousands", |_| {
        let mut offers: Vec<_> = (0..5_000).map(|version| offer("a", version, "")).collect();
        let needs = "[dependencies]\na = \">=9000\"";
        offers.extend((0..5_000).map(|it| offer(&format!("u{it}"), 1, needs)));
        offers
    }),
    ("chain-into-a-circle", |_| {
        let next = |it: usize| if it == 9_999 { 9_998 } else { it + 1 };
        (0..10_000).map(|it| needing(it, &[next(it)])).collect()
    }),
    ("many-circles", |_| {
        let pairs = (0..6_000).map(|it| needing(it, &[it ^ 1]));
        let all: Vec<_> = (0..6_000).collect();
        pairs.chain([needing(6_000, &all)]).collect()
    }),
    ("many-integrates", |_| {
        let kinds: Vec<_> = (0..1_000).map(|it| format!("\"kind-{it}\"")).collect();
        let works: Vec<_> =
            (0..1_000).map(|it| format!("{{ plugin = \"a\", kind = \"kind-{it}\" }}")).collect();
        let any: Vec<_> = (0..1_000).map(|it| format!("{{ kind = \"kinb-{it}\" }}")).collect();
        let kinds = format!("kinds = [{}]", kinds.join(","));
        let works = format!("integrates = [{},{}]", works.join(","), any.join(","));
        let all = (0..50).map(|version| offer("a", version, &kinds));
        all.chain((0..20).map(|it| offer(&format!("b{it}"), 1, &works))).collect()
    }),
    ("many-enabled", |policy| {
        let versions: Vec<_> = (0..5_000).map(|version| offer("a", version, "")).collect();
        policy.enabled = (0..5_000).map(|it| format!("a@={it}.1.0").parse().unwrap()).collect();
        policy.lock = Some(plugbay_resolve::Lock::of(&versions));
        versions
    }),
    ("many-copies", |_| {
        let copy = |it: usize| Offer {
            path: format!("/plugins/{it}.so").into(),
            ..offer("a", 1, "kinds = [\"k\"]")
        };
        (0..20_000).map(copy).collect()
    }),
    // Many of a kind of which one runs, and each needs what runs to need that.
    ("own-needs", |policy| {
        policy.kinds = [("k".into(), rule("\"single\""))].into();
        let held = (0..1_000).map(|it| {
            let other = if it % 2 == 0 { 5_000 } else { 6_000 };
            let mut text = String::from("kinds = [\"k\"]\n[dependencies]\n");
            writeln!(text, "p{:05} = \"*\"", other + it % 900).unwrap();
            offer(&format!("p{it:05}"), 9, &text)
        });
        let chain = (5_000..7_000).map(|it| {
            let next = if it % 1_000 == 999 { "zzz".into() } else { format!("p{:05}", it + 1) };
            offer(&format!("p{it:05}"), 1, &format!("[dependencies]\n{next} = \"*\""))
        });
        held.chain(chain).chain([offer("zzz", 1, "kinds = [\"k\"]")]).collect()
    }),
    ("conflicts-of-all", |_| {
        let kind = "kinds = [\"k\"]\n";
        let all = (0..5_000).map(|it| offer(&format!("p{it:05}"), 2, kind));
        let users = (0..5_000)
            .map(|it| offer(&format!("u{it:05}"), 3, &format!("[dependencies]\np{it:05} = \"*\"")));
        let against = (0..5_000).map(|it| {
            let text = format!("conflicts = [\"kind:k\"]\n[dependencies]\np{it:05} = \"*\"");
            offer(&format!("c{it:05}"), 9, &text)
        });
        all.chain(users).chain(against).collect()
    }),
    ("too-new", |_| {
        let mut offers: Vec<_> = (0..300).map(|version| offer("a", version, "")).collect();
        offers.extend((0..300).map(|it| {
            let range = format!("[dependencies]\na = \">=0, <{}\"", 3 + it);
            offer(&format!("u{it:05}"), 1, &range)
        }));
        offers
    }),
    ("long-reasons", |_| {
        let words: Vec<_> = (0..20_000).map(|it| format!("\"feature-{it}\"")).collect();
        let base = offer("base", 1, &format!("features = [{}]", words.join(",")));
        let needs = "[dependencies]\nbase = \"*\"";
        (0..10_000).map(|it| offer(&format!("u{it:05}"), 1, needs)).chain([base]).collect()
    }),
    ("long-versions", |_| {
        let mut base = offer("base", 1, "features = [\"none\"]");
        let manifest = Arc::make_mut(&mut base.manifest);
        manifest.version = format!("1.1.0+{}", "a".repeat(900_000)).parse().unwrap();
        let needs = "[dependencies]\nbase = \"*\"";
        (0..10_000).map(|it| offer(&format!("u{it:05}"), 1, needs)).chain([base]).collect()
    }),
    ("many-parts", |_| {
        let of =
            |it: usize| [offer(&format!("p{it:05}"), 1, ""), offer(&format!("p{it:05}"), 2, "")];
        (0..10_000).flat_map(of).collect()
    }),
    ("versions-of-providers", |policy| {
        policy.versions = plugbay_resolve::Versions::All;
        let both = format!("{NEEDS}{OFFERS}");
        let all = (0..3_000).map(|it| offer(&format!("p{}", it % 3), it, &both));
        all.chain([offer("first", 1, OFFERS)]).collect()
    }),
    ("only-some", |policy| {
        let both = format!("{NEEDS}{OFFERS}");
        policy.only = Some((0..5_000).map(|it| format!("p{it}").parse().unwrap()).collect());
        let all = (0..5_000).map(|it| offer(&format!("p{it}"), 1, &both));
        all.chain([offer("first", 1, OFFERS)]).collect()
    }),
    ("needs-of-what-is-out", |_| {
        let many = |what: &str| {
            (0..2_000).fold(String::from("features = [\"none\"]\n"), |mut text, it| {
                writeln!(text, "[[{what}]]\nid = \"a.c{it}\"\nversion = \"1.0\"").unwrap();
                text
            })
        };
        let out = (0..50).map(|it| offer(&format!("p{it}"), 1, &many("services")));
        let needs = |it: usize| {
            let text = format!("[[needs]]\nid = \"a.c{}\"\nversion = \"1.0\"", it % 2_000);
            offer(&format!("u{it}"), 1, &text)
        };
        out.chain((0..5_000).map(needs)).collect()
    }),
    ("circles-with-ways-out", |_| {
        // Each pair waits for each other, unless an older version runs.
        let of = |it: usize| {
            let other = |it: usize| format!("[dependencies]\np{:05} = \"*\"", it ^ 1);
            let next = format!("{}\np{:05} = \"*\"", other(it), (it + 2) % 4_000);
            [offer(&format!("p{it:05}"), 2, &next), offer(&format!("p{it:05}"), 1, "")]
        };
        (0..4_000).flat_map(of).collect()
    }),
    ("many-pigeons", |policy| {
        let rules = (0..40).map(|group| (format!("hole{group}"), rule("{ single-per = \"at\" }")));
        policy.kinds = rules.collect();
        (0..40).flat_map(|group| pigeons(policy, group)).collect()
    }),
    ("pigeons", |policy| {
        policy.kinds = [("hole0".into(), rule("{ single-per = \"at\" }"))].into();
        pigeons(policy, 0)
    }),
];

fn rule(text: &str) -> KindRule {
    let rules: BTreeMap<String, KindRule> = toml::from_str(&format!("it = {text}")).unwrap();
    rules["it"].clone()
}

/// More of them than holes: no method of this kind finds that out soon.
fn pigeons(policy: &mut Policy, group: usize) -> Vec<Offer> {
    policy.enabled.push(format!("all{group}").parse().unwrap());
    let hole = |at: usize| format!("kinds = [{{ id = \"hole{group}\", at = \"{at}\" }}]");
    let pigeon = |it: usize| format!("p{group}-{it:05}");
    let each = |it| (0..11).map(move |at| offer(&pigeon(it), at, &hole(at)));
    let mut offers: Vec<_> = (0..12).flat_map(each).collect();
    let all = (0..12).fold("[dependencies]\n".to_owned(), |mut text, it| {
        writeln!(text, "{} = \"*\"", pigeon(it)).unwrap();
        text
    });
    offers.push(offer(&format!("all{group}"), 1, &all));
    offers
}

const NEEDS: &str = "[[needs]]\nid = \"acme.store\"\nversion = \"1.0\"\n";
const OFFERS: &str = "[[services]]\nid = \"acme.store\"\nversion = \"1.0\"\n";

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = names.first() else {
        let own = std::env::current_exe().unwrap();
        for (name, _) in FOLDERS {
            Command::new(&own).arg(name).status().unwrap();
        }
        return;
    };
    let (_, folder) = FOLDERS.iter().find(|(it, _)| it == name).expect("one of the folders");
    let mut policy = Policy::new(Version::new(1, 0, 0));
    let offers = folder(&mut policy);
    let before = memory();
    let begin = Instant::now();
    let decision = decide(&offers, &[], &policy);
    let mut times = vec![begin.elapsed()];
    if times[0].as_millis() < 100 {
        times.extend((0..20).map(|_| {
            let begin = Instant::now();
            decide(&offers, &[], &policy);
            begin.elapsed()
        }));
    }
    times.sort();
    let mut codes = BTreeMap::<_, usize>::new();
    for held in &decision.held_back {
        *codes.entry(held.reason.code()).or_default() += 1;
    }
    println!(
        "{name}: {:.1?}, {} of {} run, {codes:?}; memory at most {} MB, {before} MB before",
        times[times.len() / 2],
        decision.run.len(),
        offers.len(),
        memory(),
    );
}

/// The most that this process has had, in MB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() / 1024
}

fn offer(id: &str, major: usize, more: &str) -> Offer {
    let text = format!("id = \"{id}\"\nversion = \"{major}.1.0\"\n{more}");
    let source = Source::parse(&text, &CrateDefaults::default()).unwrap();
    Offer {
        path: format!("/plugins/{id}-{major}.so").into(),
        rank: 0,
        hash: format!("{id} {major}"),
        manifest: Arc::new(source.manifest().clone()),
    }
}

fn needing(number: usize, others: &[usize]) -> Offer {
    let text = others.iter().fold("[dependencies]\n".to_owned(), |mut text, other| {
        writeln!(text, "p{other:05} = \"1\"").unwrap();
        text
    });
    offer(&format!("p{number:05}"), 1, &text)
}

/// A thousand plugins, 5,000 dependencies; hard: in two versions each, of which some need
/// the older one, with kinds and conflicts.
fn usual(hard: bool) -> Vec<Offer> {
    let mut offers = Vec::new();
    for number in 0..1_000_usize {
        let mut text = "[dependencies]\n".to_owned();
        for other in
            [3, 17, 31, 64, 99].map(|step| number + step).into_iter().filter(|it| *it < 1_000)
        {
            let range = if number % 7 == 0 && hard { "1" } else { "*" };
            writeln!(text, "p{other:05} = \"{range}\"").unwrap();
        }
        let id = format!("p{number:05}");
        if hard {
            let (source, platform) = (number * 7919 % 700, number * 104_729 % 20);
            let head = format!(
                "kinds = [{{ id = \"data_source\", source = \"s{source}\" }}]\n\
                 conflicts = [\"p{platform:05}@^2\"]\n"
            );
            offers.push(offer(&id, 2, &format!("{head}{text}")));
        }
        offers.push(offer(&id, 1, &text));
    }
    offers
}
