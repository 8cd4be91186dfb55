//! Which plugins run, in real folders, while they come, change, fail and go.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::{
    Active, Cause, Events, Explain, Happening, Host, KindRule, Lock, PluginState, Policy, Profile,
    WatchOptions,
};
use plugbay_tests::{Folder, broken_piece, next, piece};

fn needs(others: &[(&str, &str)]) -> String {
    let lines = others.iter().map(|(id, range)| format!("{id} = \"{range}\"\n"));
    format!("[dependencies]\n{}", lines.collect::<String>())
}

fn kind(name: &str) -> String {
    format!("kinds = [\"{name}\"]\n")
}

fn active(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    let active = plugins.iter().filter(|one| one.state == PluginState::Active);
    active.map(|one| format!("{} {}", one.manifest.id, one.manifest.version)).collect()
}

fn refused(host: &Host) -> Vec<String> {
    let refused = host.refused();
    let mut lines: Vec<String> = refused
        .iter()
        .map(|one| {
            let (id, version) = one.plugin.clone().unwrap();
            format!("{id} {version}: {}: {}", one.error.code(), one.reason())
        })
        .collect();
    lines.sort();
    lines
}

fn watched(folder: &Folder, policy: impl FnOnce(&mut Policy)) -> (Host, Events) {
    let host = folder.host().watch(WatchOptions::default()).policy(policy).build().unwrap();
    host.start().unwrap();
    let events = host.events();
    (host, events)
}

fn single(kind: &str) -> impl FnOnce(&mut Policy) {
    move |policy| {
        let rule = KindRule { active: Active::Single, chain: false };
        policy.kinds.insert(kind.to_owned(), rule);
    }
}

fn wait_for_loaded(events: &Events, id: &str) {
    next(
        events,
        |happening| matches!(happening, Happening::Loaded { plugin, .. } if plugin.as_str() == id),
    );
}

#[test]
fn what_is_needed_is_activated_first() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1"), ("c", "1")])));
    folder.write("b.so", piece("b", "1.0.0", &needs(&[("c", "^1.2")])));
    folder.write("c.so", piece("c", "1.2.0", ""));
    let (host, report) = folder.start();
    assert!(report.refused.is_empty());
    let generations: BTreeMap<_, _> =
        host.plugins().iter().map(|one| (one.manifest.id.to_string(), one.generation)).collect();
    assert!(generations["c"] < generations["b"] && generations["b"] < generations["a"]);
    let ended = host.stop();
    let order: Vec<_> = ended.into_iter().map(|one| one.unwrap().id.to_string()).collect();
    assert_eq!(order, ["a", "b", "c"]);
}

#[test]
fn whoever_needs_one_that_fails_does_not_run_and_says_so() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    folder.write("b.so", piece("b", "1.0.0", &needs(&[("c", "1")])));
    folder.write("c.so", broken_piece("c", "1.0.0", ""));
    folder.write("d.so", piece("d", "1.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    assert_eq!(active(&host), ["d 1.0.0"]);
    let reason = "PB0601: activation failed: this piece does not come up";
    assert_eq!(
        refused(&host),
        [
            format!(
                "a 1.0.0: PB0307: needs b ^1; b 1.0.0 is not run: needs c ^1; c 1.0.0 is not run: \
                 does not come up: {reason}"
            ),
            format!(
                "b 1.0.0: PB0307: needs c ^1; c 1.0.0 is not run: does not come up: \
                 {reason}"
            ),
            format!("c 1.0.0: {reason}"),
        ]
    );
    // Mended, all three come up.
    folder.put_whole("c.so", &piece("c", "1.0.1", ""));
    wait_for_loaded(&events, "a");
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0", "c 1.0.1", "d 1.0.0"]);
    assert_eq!(refused(&host), [""; 0]);
}

#[test]
fn what_needs_a_file_that_goes_ends_before_it_and_comes_back_with_it() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    let b = folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    host.call("a", "count", json!(null)).unwrap();
    fs::remove_file(&b).unwrap();
    let event = next(&events, |it| matches!(it, Happening::Unloaded { .. }));
    let Happening::Unloaded { plugin, cause, .. } = event.happening else { unreachable!() };
    assert_eq!(plugin.as_str(), "a");
    assert_eq!(cause, Cause::Decision("needs b ^1, and there is none".into()));
    next(&events, |it| matches!(it, Happening::Unloaded { plugin, .. } if plugin.as_str() == "b"));
    let error = host.call("a", "count", json!(null)).unwrap_err();
    assert_eq!(error.code(), "PB0702");
    folder.put_whole("b.so", &piece("b", "1.0.3", ""));
    wait_for_loaded(&events, "a");
    // With the state that it had.
    assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(2));
}

#[test]
fn a_new_version_that_another_plugin_could_not_go_on_with_is_not_taken() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    folder.put_whole("b.so", &piece("b", "2.0.0", ""));
    let event = next(&events, |it| matches!(it, Happening::Kept { .. }));
    let Happening::Kept { code, reason, help, .. } = event.happening else { unreachable!() };
    assert_eq!(code, "PB0320");
    assert_eq!(reason, "a 1.0.0, which runs, needs b ^1");
    assert!(help.starts_with("first replace a, or end it: host-app unload a"), "{help}");
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    assert_eq!(refused(&host), ["b 2.0.0: PB0320: a 1.0.0, which runs, needs b ^1"]);
    // Also when it was looked at again.
    assert_eq!(host.reload("b").unwrap_err().code(), "PB0320");
    assert_eq!(refused(&host), ["b 2.0.0: PB0320: a 1.0.0, which runs, needs b ^1"]);
    // When nobody needs the old one any more, it is taken.
    folder.put_whole("a.so", &piece("a", "1.1.0", &needs(&[("b", "*")])));
    next(
        &events,
        |it| matches!(it, Happening::Reloaded(reloaded) if reloaded.plugin.as_str() == "a"),
    );
    assert_eq!(active(&host), ["a 1.1.0", "b 2.0.0"]);
    assert_eq!(refused(&host), [""; 0]);
}

#[test]
fn a_new_version_that_lacks_something_is_not_taken() {
    let folder = Folder::new();
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    folder.put_whole("b.so", &piece("b", "2.0.0", &needs(&[("nobody", "1")])));
    let event = next(&events, |it| matches!(it, Happening::Kept { .. }));
    let Happening::Kept { code, reason, .. } = event.happening else { unreachable!() };
    assert_eq!((code.as_str(), reason.as_str()), ("PB0307", "needs nobody ^1, and there is none"));
    assert_eq!(active(&host), ["b 1.0.0"]);
    folder.put_whole("nobody.so", &piece("nobody", "1.0.0", ""));
    next(&events, |it| matches!(it, Happening::Reloaded(_)));
    assert_eq!(active(&host), ["b 2.0.0", "nobody 1.0.0"]);
}

#[test]
fn an_older_version_that_is_needed_runs_beside_a_newer_file() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    folder.write("b-1.so", piece("b", "1.4.0", ""));
    folder.write("b-2.so", piece("b", "2.0.0", ""));
    let (host, _) = folder.start();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.4.0"]);
    assert_eq!(refused(&host), ["b 2.0.0: PB0312: a 1.0.0 needs b ^1, so version 1.4.0 runs"]);
    // Without the one that needs it, the newer one takes over, with the state.
    host.call("b", "count", json!(null)).unwrap();
    host.disable("a").unwrap();
    assert_eq!(active(&host), ["b 2.0.0"]);
    assert_eq!(host.call("b", "count", json!(null)).unwrap(), json!(2));
    host.enable("a").unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.4.0"]);
    assert_eq!(host.call("b", "count", json!(null)).unwrap(), json!(3));
}

#[test]
fn of_a_kind_of_which_one_runs_the_preferred_one_takes_the_place() {
    let folder = Folder::new();
    folder.write("m.so", piece("m", "1.0.0", &kind("tracker")));
    let (host, events) = watched(&folder, |policy| {
        single("tracker")(policy);
        policy.precedence.insert("tracker".into(), vec!["w".parse().unwrap()]);
    });
    assert_eq!(active(&host), ["m 1.0.0"]);
    host.call("m", "count", json!(null)).unwrap();
    folder.put_whole("w.so", &piece("w", "0.1.0", &kind("tracker")));
    wait_for_loaded(&events, "w");
    assert_eq!(active(&host), ["w 0.1.0"]);
    assert_eq!(
        refused(&host),
        ["m 1.0.0: PB0310: one tracker runs at a time, and w 0.1.0 runs: it goes before it by \
             precedence"]
    );
    fs::remove_file(folder.plugins().join("w.so")).unwrap();
    wait_for_loaded(&events, "m");
    assert_eq!(host.call("m", "count", json!(null)).unwrap(), json!(2));
}

#[test]
fn one_that_takes_a_place_and_does_not_come_up_gives_it_back() {
    let folder = Folder::new();
    folder.write("m.so", piece("m", "1.0.0", &kind("tracker")));
    let (host, events) = watched(&folder, |policy| {
        single("tracker")(policy);
        policy.precedence.insert("tracker".into(), vec!["w".parse().unwrap()]);
    });
    host.call("m", "count", json!(null)).unwrap();
    folder.put_whole("w.so", &broken_piece("w", "0.1.0", &kind("tracker")));
    wait_for_loaded(&events, "m");
    assert_eq!(host.call("m", "count", json!(null)).unwrap(), json!(2));
    assert_eq!(refused(&host), ["w 0.1.0: PB0601: activation failed: this piece does not come up"]);
}

#[test]
fn who_unloads_one_ends_those_that_need_it_and_who_loads_it_brings_them_back() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, _) = folder.start();
    assert_eq!(host.unload("b").unwrap().id.as_str(), "b");
    assert_eq!(active(&host), [""; 0]);
    let why = "a 1.0.0: PB0307: needs b ^1; b 1.0.0 is not run: was unloaded by hand";
    assert_eq!(refused(&host), [why]);
    let error = host.load("a").unwrap_err();
    assert_eq!(error.code(), "PB0307");
    host.load("b").unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    assert_eq!(refused(&host), [""; 0]);
}

#[test]
fn one_plugin_is_loaded_with_what_it_needs_and_nothing_else() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    folder.write("b.so", piece("b", "1.0.0", ""));
    folder.write("c.so", piece("c", "1.0.0", ""));
    let host = folder.host().build().unwrap();
    host.load("a").unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    let only = folder.host().name("other").only("a").build().unwrap();
    only.start().unwrap();
    assert_eq!(active(&only), ["a 1.0.0", "b 1.0.0"]);
}

#[test]
fn with_a_lock_only_what_it_names_runs_also_later() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let lock: Lock = folder.start().0.plan().lock();
    let (host, events) = watched(&folder, |policy| {
        policy.lock = Some(lock);
        policy.locked = true;
    });
    assert_eq!(active(&host), ["a 1.0.0"]);
    folder.put_whole("a.so", &piece("a", "1.1.0", ""));
    let event = next(&events, |it| matches!(it, Happening::Kept { .. }));
    let Happening::Kept { code, .. } = event.happening else { unreachable!() };
    assert_eq!(code, "PB0314");
    assert_eq!(active(&host), ["a 1.0.0"]);
}

/// A stack of eight with kinds, conflicts, dependencies and two versions, changed while it is
/// called. Those that no change concerns serve without a gap.
#[test]
fn a_stack_runs_as_its_plan_says_through_changes_under_load() {
    let folder = Folder::new();
    let source =
        |name: &str| format!("kinds = [{{ id = \"data_source\", source = \"{name}\" }}]\n");
    folder.write("postgres.so", piece("postgres", "1.0.0", &source("postgres")));
    folder.write("s3.so", piece("s3", "1.0.0", &source("s3")));
    folder.write("base-1.so", piece("base", "1.4.0", ""));
    folder.write("base-2.so", piece("base", "2.0.0", ""));
    let platform = "kinds = [{ id = \"ml_platform\", platform = \"cloud\" }]\n";
    let sagemaker = format!("{platform}{}", needs(&[("base", "1"), ("s3", "1")]));
    folder.write("sagemaker.so", piece("sagemaker", "1.0.0", &sagemaker));
    let databricks = format!("conflicts = [\"sagemaker\"]\n{}", kind("monitoring"));
    folder.write("databricks.so", piece("databricks", "0.9.0", &databricks));
    folder.write("mlflow.so", piece("mlflow", "2.0.0", &kind("experiment_tracker")));
    folder.write("wandb.so", piece("wandb", "1.0.0", &kind("experiment_tracker")));
    let clean = format!("{}{}", kind("data_processor"), needs(&[("postgres", "^1")]));
    folder.write("clean.so", piece("clean", "1.0.0", &clean));
    let (host, events) = watched(&folder, |policy| policy.kinds = Profile::MachineLearning.kinds());
    let plan_and_host_agree = |host: &Host| {
        let plan = host.plan();
        let planned: Vec<_> = plan.run().map(|offer| offer.name().to_string()).collect();
        assert_eq!(active(host), planned);
    };
    plan_and_host_agree(&host);
    assert_eq!(
        active(&host),
        [
            "base 1.4.0",
            "clean 1.0.0",
            "mlflow 2.0.0",
            "postgres 1.0.0",
            "s3 1.0.0",
            "sagemaker 1.0.0"
        ]
    );

    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for id in ["postgres", "s3", "clean"] {
            let (host, over, calls) = (&host, &over, &calls);
            scope.spawn(move || {
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let asked = host.call(id, "count", json!(null)).unwrap().as_u64().unwrap();
                    assert!(asked == last + 1, "{id}: {asked} after {last}");
                    last = asked;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changes = || {
            // A new version of one that is called, and of one that is needed.
            folder.put_whole("postgres.so", &piece("postgres", "1.1.0", &source("postgres")));
            next(
                &events,
                |it| matches!(it, Happening::Reloaded(it) if it.plugin.as_str() == "postgres"),
            );
            // One that is preferred to what runs.
            host.enable("wandb").unwrap();
            assert_eq!(host.call("wandb", "count", json!(null)).unwrap(), json!(1));
            fs::remove_file(folder.plugins().join("mlflow.so")).unwrap();
            // The one that needs the older version goes: the newer one takes over.
            fs::remove_file(folder.plugins().join("sagemaker.so")).unwrap();
            next(
                &events,
                |it| matches!(it, Happening::Reloaded(it) if it.plugin.as_str() == "base"),
            );
            wait_for_loaded(&events, "databricks");
            // It comes back: it needs the older version, and goes before the other one.
            folder.put_whole("sagemaker.so", &piece("sagemaker", "1.0.1", &sagemaker));
            wait_for_loaded(&events, "sagemaker");
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(changes));
        over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    plan_and_host_agree(&host);
    assert_eq!(
        active(&host),
        [
            "base 1.4.0",
            "clean 1.0.0",
            "postgres 1.1.0",
            "s3 1.0.0",
            "sagemaker 1.0.1",
            "wandb 1.0.0"
        ]
    );
    assert!(calls.load(Ordering::Relaxed) > 0);
}

#[test]
fn an_older_version_does_not_take_over_because_the_newer_file_fails() {
    let folder = Folder::new();
    folder.write("a-1.so", piece("a", "1.0.0", ""));
    folder.write("a-2.so", piece("a", "2.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    let kept = |it: &Happening| matches!(it, Happening::Kept { .. });
    for bad in [
        broken_piece("a", "2.1.0", ""),
        piece("a", "2.2.0", &needs(&[("nobody", "1")])),
        b"garbage".to_vec(),
    ] {
        folder.put_whole("a-2.so", &bad);
        next(&events, kept);
        assert_eq!(active(&host), ["a 2.0.0"]);
        // Something else that happens makes no difference.
        folder.put_whole("other.so", &piece("other", "1.0.0", ""));
        wait_for_loaded(&events, "other");
        assert_eq!(active(&host), ["a 2.0.0", "other 1.0.0"]);
        fs::remove_file(folder.plugins().join("other.so")).unwrap();
        next(&events, |it| matches!(it, Happening::Unloaded { .. }));
    }
    // What it came from is gone, though it was broken by then.
    fs::remove_file(folder.plugins().join("a-2.so")).unwrap();
    next(&events, |it| matches!(it, Happening::Reloaded(_)));
    assert_eq!(active(&host), ["a 1.0.0"]);
}

#[test]
fn a_plugin_with_two_versions_can_be_unloaded() {
    let folder = Folder::new();
    folder.write("a-1.so", piece("a", "1.0.0", ""));
    folder.write("a-2.so", piece("a", "2.0.0", ""));
    let (host, _) = folder.start();
    host.unload("a").unwrap();
    assert_eq!(active(&host), [""; 0]);
    host.load("a").unwrap();
    assert_eq!(active(&host), ["a 2.0.0"]);
}

#[test]
fn what_needs_others_ends_first_also_where_they_need_more_of_the_host() {
    let folder = Folder::new();
    folder.write("base.so", piece("base", "1.0.0", "features = [\"gpu\"]"));
    folder.write("mid.so", piece("mid", "1.0.0", &needs(&[("base", "1")])));
    folder.write("zed.so", piece("zed", "1.0.0", &needs(&[("mid", "1")])));
    let gpu = |policy: &mut Policy| {
        policy.features.insert("gpu".into());
    };
    let host = folder.host().policy(gpu).build().unwrap();
    host.start().unwrap();
    let ended = host.stop();
    let order: Vec<_> = ended.into_iter().map(|one| one.unwrap().id.to_string()).collect();
    assert_eq!(order, ["zed", "mid", "base"]);
}

#[test]
fn one_refused_overwrite_does_not_keep_others_from_changing() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", &needs(&[("a", "1")])));
    folder.write("c.so", piece("c", "1.0.0", &needs(&[("b", "1")])));
    folder.write("z.so", piece("z", "1.0.0", ""));
    let (host, events) = watched(&folder, |_| {});
    folder.put_whole("a.so", &piece("a", "2.0.0", ""));
    next(&events, |it| matches!(it, Happening::Kept { .. }));
    folder.put_whole("z.so", &piece("z", "2.0.0", ""));
    next(&events, |it| matches!(it, Happening::Reloaded(_)));
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0", "c 1.0.0", "z 2.0.0"]);
}

#[test]
fn single_plugins_of_a_folder_that_was_never_started_stay_single() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", &needs(&[("b", "1")])));
    for id in ["b", "c", "z"] {
        folder.write(&format!("{id}.so"), piece(id, "1.0.0", ""));
    }
    let host = folder.host().build().unwrap();
    host.load("a").unwrap();
    host.load("z").unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0", "z 1.0.0"]);
    host.unload("a").unwrap();
    assert_eq!(active(&host), ["b 1.0.0", "z 1.0.0"]);
}

/// The one that had been there served for ever, without a file, and kept its rivals out.
#[test]
fn half_of_another_plugin_and_then_the_whole_of_it_ends_the_one_that_was_there() {
    let on_demand = "activation = \"on-demand\"\n";
    for more in ["", on_demand] {
        let more = format!("{}{more}", kind("tracker"));
        let folder = Folder::new();
        let path = folder.write("x.so", piece("a", "2.0.0", &more));
        let host = folder.host().policy(|policy| {
            let rule = KindRule { active: Active::Single, chain: false };
            policy.kinds.insert("tracker".into(), rule);
        });
        let host = host.build().unwrap();
        host.start().unwrap();
        let other = piece("b", "1.0.0", &more);
        fs::write(&path, &other[..other.len() / 2]).unwrap();
        host.reload_all().unwrap();
        host.call("a", "count", json!({})).unwrap();
        fs::write(&path, &other).unwrap();
        host.reload_all().unwrap();
        assert_eq!(host.call("a", "count", json!({})).unwrap_err().code(), "PB0702");
        assert_eq!(refused(&host), Vec::<String>::new());
        host.call("b", "count", json!({})).unwrap();
        assert_eq!(active(&host), ["b 1.0.0"]);
    }
}
