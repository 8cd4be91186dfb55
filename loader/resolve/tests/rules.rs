//! What each rule does, and what is said of those that do not run.

mod support;

use plugbay_resolve::{Active, Held, KindRule, Line, Lock, Profile, Versions};

use self::support::{id, offer, policy, refused, told, told_with};

fn single() -> KindRule {
    KindRule { active: Active::Single, chain: false }
}

#[test]
fn the_newest_of_several_versions_runs() {
    let told = told(&[offer("sql", "1.4.0", ""), offer("sql", "2.0.0", "")], &policy());
    assert_eq!(told.runs(), ["sql 2.0.0"]);
    assert_eq!(told.why(), ["sql 1.4.0: 2.0.0 is newer, in /plugins/sql-2.0.0.so"]);
}

#[test]
fn an_older_version_runs_where_another_plugin_needs_it() {
    let told = told(
        &[
            offer("sql", "1.4.0", ""),
            offer("sql", "2.0.0", ""),
            offer("kv", "1.0.0", "[dependencies]\nsql = \"^1\""),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["kv 1.0.0", "sql 1.4.0"]);
    assert_eq!(told.why(), ["sql 2.0.0: kv 1.0.0 needs sql ^1, so version 1.4.0 runs"]);
    assert_eq!(told.levels(), [["sql"], ["kv"]]);
}

#[test]
fn what_is_missing_is_told_with_what_there_is() {
    let offers = [
        offer("kv", "2.0.0", "[dependencies]\nsql = \"^2\""),
        offer("sql", "1.4.0", ""),
        offer("report", "1.0.0", "[dependencies]\nkv = \"2\""),
        offer("lone", "1.0.0", "[dependencies]\nnobody = \"*\""),
    ];
    let refused = [
        refused("sql", "2.0.0", "built for interface 0.3.0"),
        refused("sql", "3.0.0", "is not what is needed"),
    ];
    let told = told_with(&offers, &refused, &policy());
    assert_eq!(told.runs(), ["sql 1.4.0"]);
    assert_eq!(
        told.why(),
        [
            "kv 2.0.0: needs sql ^2, found sql 1.4.0; sql 2.0.0 is refused: built for interface \
             0.3.0",
            "lone 1.0.0: needs nobody, and there is none",
            "report 1.0.0: needs kv ^2; kv 2.0.0 is not run: needs sql ^2, found sql 1.4.0; sql \
             2.0.0 is refused: built for interface 0.3.0",
        ]
    );
}

#[test]
fn the_end_of_a_chain_of_reasons_is_told() {
    let mut policy = policy();
    policy.disabled.insert(id("d"));
    let told = told(
        &[
            offer("a", "1.0.0", "[dependencies]\nb = \"1\""),
            offer("b", "1.0.0", "[dependencies]\nc = \"1\""),
            offer("c", "1.0.0", "[dependencies]\nd = \"1\""),
            offer("d", "1.0.0", ""),
        ],
        &policy,
    );
    assert_eq!(told.runs(), [""; 0]);
    assert_eq!(
        told.why(),
        [
            "a 1.0.0: needs b ^1; b 1.0.0 is not run, which goes back to c 1.0.0: needs d ^1; d \
             1.0.0 is not run: is disabled",
            "b 1.0.0: needs c ^1; c 1.0.0 is not run: needs d ^1; d 1.0.0 is not run: is disabled",
            "c 1.0.0: needs d ^1; d 1.0.0 is not run: is disabled",
            "d 1.0.0: is disabled",
        ]
    );
}

#[test]
fn an_optional_dependency_is_activated_first_or_done_without() {
    let wants = "[dependencies]\nz = { version = \"^2\", optional = true }";
    let told_of =
        |version: &str| told(&[offer("a", "1.0.0", wants), offer("z", version, "")], &policy());
    assert_eq!(told_of("2.1.0").levels(), [["z"], ["a"]]);
    let other = told_of("1.0.0");
    assert_eq!(other.levels(), [["a", "z"]]);
    assert_eq!(other.advice(), ["a 1.0.0 could use z ^2, and does without: z 1.0.0 runs"]);
    assert_eq!(told(&[offer("a", "1.0.0", wants)], &policy()).runs(), ["a 1.0.0"]);
}

const OFFERS_STORE: &str = "[[services]]\nid = \"acme.store\"\nversion = \"1.2\"";

#[test]
fn a_contract_that_is_needed_must_be_offered_by_another_plugin() {
    let needs = "[[needs]]\nid = \"acme.store\"\nversion = \"1.3\"";
    let itself = "[[services]]\nid = \"acme.store\"\nversion = \"1.3\"";
    let told = told(
        &[
            offer("app", "1.0.0", needs),
            offer("old", "1.0.0", OFFERS_STORE),
            offer("own", "1.0.0", &format!("{needs}\n{itself}")),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["old 1.0.0"]);
    let why = told.why();
    assert_eq!(
        why[0],
        "app 1.0.0: needs acme.store 1.3; own 1.0.0 is not run: needs acme.store 1.3, found old \
         1.0.0 with 1.2, own 1.0.0 with 1.3"
    );
    let alone = self::support::told(&[offer("app", "1.0.0", needs)], &policy());
    let help = "app 1.0.0: put another plugin that offers acme.store 1.3 into a plugins folder";
    assert_eq!(alone.help(), [help]);
    let new = offer("new", "1.0.0", itself);
    let told = self::support::told(&[offer("app", "1.0.0", needs), new], &policy());
    assert_eq!(told.levels(), [["new"], ["app"]]);
}

#[test]
fn a_circle_is_printed() {
    let on = |id: &str| format!("[dependencies]\n{id} = \"*\"");
    let told = told(
        &[
            offer("a", "1.0.0", &on("b")),
            offer("b", "1.0.0", &on("c")),
            offer("c", "1.0.0", &on("a")),
            offer("d", "1.0.0", &on("c")),
            offer("e", "1.0.0", ""),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["e 1.0.0"]);
    assert_eq!(
        told.why(),
        [
            "a 1.0.0: needs what needs it: a 1.0.0 → b 1.0.0 → c 1.0.0 → a 1.0.0",
            "b 1.0.0: needs what needs it: b 1.0.0 → c 1.0.0 → a 1.0.0 → b 1.0.0",
            "c 1.0.0: needs what needs it: c 1.0.0 → a 1.0.0 → b 1.0.0 → c 1.0.0",
            "d 1.0.0: needs c; c 1.0.0 is not run: needs what needs it: c 1.0.0 → a 1.0.0 → b \
             1.0.0 → c 1.0.0",
        ]
    );
}

#[test]
fn a_circle_is_left_by_an_older_version() {
    let told = told(
        &[
            offer("a", "1.0.0", ""),
            offer("a", "2.0.0", "[dependencies]\nb = \"*\""),
            offer("b", "1.0.0", "[dependencies]\na = \"*\""),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["a 1.0.0", "b 1.0.0"]);
    assert_eq!(told.levels(), [["a"], ["b"]]);
}

#[test]
fn contracts_that_plugins_may_call_of_each_other_are_no_circle() {
    let both = |other: &str, own: &str| {
        format!(
            "[[services]]\nid = \"a.{own}\"\nversion = \"1.0\"\n\
             [[needs]]\nid = \"a.{other}\"\nversion = \"1.0\"\noptional = true"
        )
    };
    let told = told(
        &[offer("x", "1.0.0", &both("y", "x")), offer("y", "1.0.0", &both("x", "y"))],
        &policy(),
    );
    assert_eq!(told.levels(), [["x", "y"]]);
}

#[test]
fn conflicts_hold_whoever_declares_them() {
    let declared = "conflicts = [\"sagemaker@^2\"]";
    for (first, second) in [(declared, ""), ("", "conflicts = [\"databricks\"]")] {
        let told = told(
            &[offer("databricks", "2.0.0", first), offer("sagemaker", "2.0.0", second)],
            &policy(),
        );
        assert_eq!(told.runs(), ["databricks 2.0.0"]);
        let words = if first.is_empty() { "conflicts with" } else { "is in conflict with" };
        assert_eq!(
            told.why(),
            [format!(
                "sagemaker 2.0.0: {words} databricks 2.0.0, which runs: its id comes first, and \
                 nothing else decides"
            )]
        );
    }
    let told =
        told(&[offer("databricks", "2.0.0", declared), offer("sagemaker", "1.0.0", "")], &policy());
    assert_eq!(told.runs().len(), 2);
}

#[test]
fn a_conflict_with_a_kind_or_a_capability_is_with_all_others() {
    let all = "kinds = [\"ml\"]\nconflicts = [\"kind:ml\"]";
    let told = told(
        &[
            offer("a", "1.0.0", all),
            offer("b", "1.0.0", "kinds = [\"ml\"]"),
            offer("c", "1.0.0", "capabilities = [\"gpu\"]"),
            offer("d", "1.0.0", "conflicts = [\"capability:gpu\"]"),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["a 1.0.0", "c 1.0.0"]);
    assert_eq!(
        told.why(),
        [
            "b 1.0.0: is in conflict (as kind:ml) with a 1.0.0, which runs: its id comes first, \
             and nothing else decides",
            "d 1.0.0: conflicts with capability:gpu, and so with c 1.0.0, which runs: its id comes \
             first, and nothing else decides",
        ]
    );
}

#[test]
fn one_of_a_kind_runs_and_precedence_says_which() {
    let kind = "kinds = [\"tracker\"]";
    let offers = [
        offer("mlflow", "2.0.0", kind),
        offer("wandb", "1.0.0", kind),
        offer("aim", "2.0.0", kind),
    ];
    let mut policy = policy();
    policy.kinds.insert("tracker".into(), single());
    let first = told(&offers, &policy);
    assert_eq!(first.runs(), ["aim 2.0.0"]);
    assert_eq!(
        first.why(),
        [
            "mlflow 2.0.0: one tracker runs at a time, and aim 2.0.0 runs: its id comes first, and \
             nothing else decides",
            "wandb 1.0.0: one tracker runs at a time, and aim 2.0.0 runs: its version is higher, \
             and no precedence is set",
        ]
    );
    policy.precedence.insert("tracker".into(), vec![id("wandb"), id("mlflow")]);
    let second = told(&offers, &policy);
    assert_eq!(second.runs(), ["wandb 1.0.0"]);
    assert!(second.why()[0].ends_with("wandb 1.0.0 runs: it goes before it by precedence"));
    policy.enabled.push("mlflow".parse().unwrap());
    let third = told(&offers, &policy);
    assert_eq!(third.runs(), ["mlflow 2.0.0"]);
    assert!(third.why()[0].ends_with("mlflow 2.0.0 runs: it was enabled by hand"));
}

/// The help was to enable the other one, which it was already.
#[test]
fn of_two_that_were_enabled_by_hand_the_help_is_to_choose() {
    let mut policy = policy();
    policy.kinds.insert("tracker".into(), single());
    policy.enabled = vec!["mlflow".parse().unwrap(), "wandb".parse().unwrap()];
    let of = |version: &str| {
        let kind = "kinds = [\"tracker\"]";
        [offer("mlflow", "1.0.0", kind), offer("wandb", version, kind)]
    };
    let by_id = told(&of("1.0.0"), &policy);
    assert_eq!(
        by_id.why(),
        ["wandb 1.0.0: one tracker runs at a time, and mlflow 1.0.0 runs: both were enabled by \
          hand, and its id comes first"]
    );
    assert_eq!(
        by_id.help(),
        ["wandb 1.0.0: choose one of them: host-app disable mlflow, or name wandb first in \
          [precedence] tracker"]
    );
    let by_version = told(&of("2.0.0"), &policy);
    assert!(by_version.why()[0].ends_with("both were enabled by hand, and its version is higher"));
    policy.precedence.insert("tracker".into(), vec![id("mlflow")]);
    let by_precedence = told(&of("2.0.0"), &policy);
    let why = "both were enabled by hand, and it goes before it by precedence";
    assert!(by_precedence.why()[0].ends_with(why), "{:?}", by_precedence.why());
    // Without a kind there is no precedence.
    policy.kinds.clear();
    let mut apart = of("1.0.0");
    apart[1] = offer("wandb", "1.0.0", "conflicts = [\"mlflow\"]");
    let apart = told(&apart, &policy);
    assert_eq!(apart.help(), ["wandb 1.0.0: choose one of them: host-app disable mlflow"]);
}

/// The help was what decides between plugins, and both are one.
#[test]
fn of_two_versions_of_one_plugin_the_help_is_to_enable_one() {
    let mut policy = policy();
    policy.versions = Versions::Compatible;
    policy.kinds.insert("data_source".into(), single());
    let kind = "kinds = [\"data_source\"]";
    let offers = [offer("sql", "1.4.0", kind), offer("sql", "2.0.0", kind)];
    for enabled in [&[][..], &["sql"]] {
        policy.enabled = enabled.iter().map(|it| it.parse().unwrap()).collect();
        let told = told(&offers, &policy);
        assert_eq!(
            told.why(),
            ["sql 1.4.0: one data_source runs at a time, and sql 2.0.0 runs: its version is \
              higher"]
        );
        let help = "sql 1.4.0: take it in the place of the other version with: host-app enable \
                    'sql@=1.4.0', or remove the other file";
        assert_eq!(told.help(), [help]);
    }
    policy.enabled = vec!["sql@=1.4.0".parse().unwrap()];
    assert_eq!(told(&offers, &policy).runs(), ["sql 1.4.0"]);
}

/// Another version of it ran, so it seemed to be done.
#[test]
fn the_help_for_what_is_missing_names_the_version_that_is_to_run() {
    let offers = [
        offer("a", "1.0.0", "[dependencies]\nsql = \"2\""),
        offer("b", "1.0.0", "[dependencies]\nweb = \"*\""),
        offer("sql", "1.4.0", ""),
        offer("sql", "2.0.0", ""),
        offer("web", "1.0.0", ""),
    ];
    let mut policy = policy();
    policy.enabled = vec!["sql@1".parse().unwrap()];
    policy.disabled = [id("web")].into();
    let told = told(&offers, &policy);
    assert!(told.runs().contains(&"sql 1.4.0".to_owned()));
    let help = told.help();
    for wanted in [
        "a 1.0.0: first let sql ^2 run: enable every version with: host-app enable sql",
        "b 1.0.0: first let web run: let it run with: host-app enable web",
    ] {
        assert!(help.contains(&wanted.to_owned()), "{help:?}");
    }
}

#[test]
fn who_needs_an_older_version_is_told_how_that_would_run_as_well() {
    let files = |newer: &str| {
        [
            offer("new", "1.0.0", &format!("[dependencies]\nsql = \"={newer}\"")),
            offer("old", "1.0.0", "[dependencies]\nsql = \"~1.4\""),
            offer("sql", "1.4.0", ""),
            offer("sql", newer, ""),
        ]
    };
    for (newer, rule, versions) in
        [("2.0.0", "compatible", Versions::Compatible), ("1.5.0", "all", Versions::All)]
    {
        let mut policy = policy();
        policy.enabled = vec!["new".parse().unwrap()];
        let help = format!(
            "old 1.0.0: first let sql ~1.4 run: let it run beside {newer}, with sql = \"{rule}\" in \
             [versions_of] of the host's configuration, or in its place, with: host-app enable \
             'sql@=1.4.0'"
        );
        assert_eq!(told(&files(newer), &policy).help()[0], help);
        policy.versions_of.insert(id("sql"), versions);
        let both = told(&files(newer), &policy);
        assert_eq!(both.runs(), ["new 1.0.0", "old 1.0.0", "sql 1.4.0", &format!("sql {newer}")]);
    }
}

#[test]
fn one_of_each_sub_type_runs() {
    let source = |name: &str| format!("kinds = [{{ id = \"data_source\", source = \"{name}\" }}]");
    let mut policy = policy();
    policy.kinds = Profile::MachineLearning.kinds();
    let told = told(
        &[
            offer("a", "1.0.0", &source("postgres")),
            offer("b", "1.0.0", &source("postgres")),
            offer("c", "1.0.0", &source("s3")),
            offer("d", "1.0.0", "kinds = [\"data_source\"]"),
            offer("e", "1.0.0", "kinds = [\"data_source\"]"),
        ],
        &policy,
    );
    assert_eq!(told.runs(), ["a 1.0.0", "c 1.0.0", "d 1.0.0"]);
    assert!(
        told.why()[0].starts_with("b 1.0.0: one data_source of source postgres runs at a time")
    );
    assert!(
        told.why()[1]
            .starts_with("e 1.0.0: one data_source that does not say its source runs at a time")
    );
}

#[test]
fn a_chain_has_an_order() {
    let kind = "kinds = [\"data_processor\"]";
    let mut policy = policy();
    policy.kinds = Profile::MachineLearning.kinds();
    policy.precedence.insert("data_processor".into(), vec![id("clean"), id("join")]);
    let offers =
        [offer("add", "1.0.0", kind), offer("join", "1.0.0", kind), offer("clean", "1.0.0", kind)];
    let told = told(&offers, &policy);
    let members = &told.decision.chains["data_processor"];
    let ids: Vec<_> = members.iter().map(|file| offers[*file].manifest.id.as_str()).collect();
    assert_eq!(ids, ["clean", "join", "add"]);
}

#[test]
fn what_goes_before_another_is_told_also_where_a_third_one_needs_it() {
    let told = told(
        &[
            offer("a", "9.0.0", "[dependencies]\nz = \"*\""),
            offer("y", "2.0.0", "conflicts = [\"z\"]"),
            offer("z", "1.0.0", ""),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["a 9.0.0", "z 1.0.0"]);
    assert_eq!(told.why(), ["y 2.0.0: conflicts with z 1.0.0, which runs: a 9.0.0 needs it"]);
}

#[test]
fn who_excludes_what_it_needs_is_told_so() {
    let told = told(
        &[
            offer("a", "1.0.0", "conflicts = [\"c\"]\n[dependencies]\nb = \"*\""),
            offer("b", "1.0.0", "[dependencies]\nc = \"*\""),
            offer("c", "1.0.0", ""),
        ],
        &policy(),
    );
    assert_eq!(told.runs(), ["b 1.0.0", "c 1.0.0"]);
    assert_eq!(
        told.why(),
        ["a 1.0.0: conflicts with c 1.0.0, which runs: b 1.0.0 needs it, which this one needs"]
    );
}

#[test]
fn several_versions_run_where_the_policy_allows() {
    let offers = [
        offer("sql", "1.4.0", "deprecated = \"use 2.x\""),
        offer("sql", "1.3.0", ""),
        offer("sql", "2.0.0", ""),
        offer("kv", "1.0.0", "[dependencies]\nsql = \"^1\""),
    ];
    let mut policy = policy();
    policy.versions_of.insert(id("sql"), Versions::Compatible);
    let some = told(&offers, &policy);
    assert_eq!(some.runs(), ["kv 1.0.0", "sql 1.4.0", "sql 2.0.0"]);
    assert_eq!(some.advice(), ["sql 1.4.0 is deprecated: use 2.x"]);
    policy.versions = Versions::All;
    policy.versions_of.clear();
    assert_eq!(told(&offers, &policy).runs().len(), 4);
}

#[test]
fn who_enables_a_version_gets_it() {
    let mut policy = policy();
    policy.enabled.push("sql@^1".parse().unwrap());
    let told = told(&[offer("sql", "1.4.0", ""), offer("sql", "2.0.0", "")], &policy);
    assert_eq!(told.runs(), ["sql 1.4.0"]);
    assert_eq!(told.why(), ["sql 2.0.0: was enabled in versions ^1 only"]);
}

#[test]
fn what_the_host_has_not_is_named() {
    let mut policy = policy();
    policy.features.insert("events".into());
    let told = told(
        &[
            offer("a", "1.0.0", "features = [\"events\", \"storage\", \"gpu\"]"),
            offer("b", "1.0.0", "host = \">=3\""),
            offer("c", "1.0.0", "features = [\"events\"]"),
        ],
        &policy,
    );
    assert_eq!(
        told.why(),
        [
            "a 1.0.0: needs `storage`, `gpu` of its host, which this one does not have",
            "b 1.0.0: needs a host >=3, this host is 1.0.0",
        ]
    );
}

#[test]
fn a_kind_that_a_strict_host_does_not_know_is_refused_with_a_suggestion() {
    let mut policy = policy();
    policy.kinds = Profile::MachineLearning.kinds();
    policy.only_known_kinds = true;
    let told = told(&[offer("a", "1.0.0", "kinds = [\"experiment_traker\"]")], &policy);
    assert_eq!(
        told.why(),
        ["a 1.0.0: is of the kind `experiment_traker`, which this host does not know"]
    );
    assert!(told.help()[0].contains("`experiment_tracker` is meant"));
}

#[test]
fn integration_points_are_advice_or_errors() {
    let works_with =
        "integrates = [{ plugin = \"mlflow\", kind = \"tracker\" }, { kind = \"trakcer\" }]";
    let bridge = offer("bridge", "1.0.0", works_with);
    let alone = told(&[bridge.clone(), offer("t", "1.0.0", "kinds = [\"tracker\"]")], &policy());
    assert_eq!(
        alone.advice(),
        [
            "bridge 1.0.0 works with mlflow, which does not run",
            "bridge 1.0.0 works with the kind trakcer, of which nothing runs; is `tracker` meant?",
        ]
    );
    let wrong = told(&[bridge, offer("mlflow", "2.0.0", "kinds = [\"registry\"]")], &policy());
    assert_eq!(wrong.runs(), ["mlflow 2.0.0"]);
    assert_eq!(
        wrong.why(),
        ["bridge 1.0.0: works with mlflow 2.0.0 as tracker, which is registry"]
    );
    let help = "use the version of mlflow that bridge was made for, or leave bridge out";
    assert_eq!(wrong.help(), [format!("bridge 1.0.0: {help}")]);
}

#[test]
fn one_that_failed_takes_those_with_it_that_need_it() {
    let mut policy = policy();
    policy.failed.insert((id("sql"), Line::Whole), "PB0601: no database".into());
    policy.held.insert(
        "x 1.0.0 ".into(),
        Held { reason: "took the host down twice".into(), help: "host-app release x".into() },
    );
    let told = told(
        &[
            offer("sql", "1.0.0", ""),
            offer("kv", "1.0.0", "[dependencies]\nsql = \"1\""),
            offer("x", "1.0.0", ""),
        ],
        &policy,
    );
    assert_eq!(
        told.why(),
        [
            "kv 1.0.0: needs sql ^1; sql 1.0.0 is not run: does not come up: PB0601: \
             no database",
            "sql 1.0.0: does not come up: PB0601: no database",
            "x 1.0.0: took the host down twice",
        ]
    );
}

#[test]
fn with_a_lock_nothing_else_runs() {
    let offers = [offer("sql", "1.4.0", ""), offer("sql", "2.0.0", ""), offer("new", "1.0.0", "")];
    let mut policy = policy();
    policy.lock = Some(Lock::of(&offers[..1]));
    assert_eq!(told(&offers, &policy).runs(), ["new 1.0.0", "sql 2.0.0"]);
    policy.locked = true;
    let told = told(&offers, &policy);
    assert_eq!(told.runs(), ["sql 1.4.0"]);
    assert_eq!(
        told.why(),
        [
            "new 1.0.0: is not what the lock names, which is nothing of this plugin",
            "sql 2.0.0: is not what the lock names, which is version 1.4.0 with hash sql 1.4.0 ",
        ]
    );
}

#[test]
fn of_two_files_of_one_version_the_locked_one_is_taken_then_by_folder() {
    let (mut one, mut two) = (offer("sql", "1.0.0", ""), offer("sql", "1.0.0", ""));
    (one.path, two.path) = ("/a/sql.so".into(), "/b/sql.so".into());
    (one.rank, two.rank) = (1, 0);
    one.hash = "other".into();
    let offers = [one.clone(), two];
    let mut policy = policy();
    let by_folder = told(&offers, &policy);
    assert_eq!(by_folder.decision.run[0].offer, 1);
    assert_eq!(
        by_folder.why(),
        ["sql 1.0.0: has the same id and version as /b/sql.so, but other bytes"]
    );
    policy.lock = Some(Lock::of([&one]));
    assert_eq!(told(&offers, &policy).decision.run[0].offer, 0);
}

#[test]
fn only_what_is_asked_for_runs_and_what_it_needs() {
    let mut policy = policy();
    policy.only = Some([id("kv"), id("gone")].into());
    let told = told(
        &[
            offer("kv", "1.0.0", "[dependencies]\nsql = \"1\""),
            offer("sql", "1.0.0", ""),
            offer("jq", "1.0.0", ""),
            offer("gone", "1.0.0", "[dependencies]\nnobody = \"1\""),
        ],
        &policy,
    );
    assert_eq!(told.runs(), ["kv 1.0.0", "sql 1.0.0"]);
    assert_eq!(told.why(), ["gone 1.0.0: needs nobody ^1, and there is none"]);
}
