//! Several versions of one plugin, side by side.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{
    CallError, Event, Explain, Happening, Host, Outcome, PluginState, Policy, RollbackError,
    SaveError, Stack, UnloadError, Versions, WatchOptions,
};
use plugbay_tests::{Folder, broken_piece, next, piece, until};

fn host(folder: &Folder) -> Host {
    let watched = folder.host().watch(WatchOptions::default());
    let of_sql = |policy: &mut Policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    };
    let host = watched.policy(of_sql).build().unwrap();
    host.start().unwrap();
    host
}

fn active(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    let active = plugins.iter().filter(|one| one.state == PluginState::Active);
    active.map(|one| format!("{} {}", one.name, one.manifest.version)).collect()
}

fn two() -> Folder {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", ""));
    folder
}

fn count(host: &Host, plugin: &str) -> Value {
    host.call(plugin, "count", json!({})).unwrap()
}

#[test]
fn a_caller_gets_the_versions_that_it_asks_for() {
    let folder = two();
    let host = host(&folder);
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0"]);
    // Each one counts for itself.
    assert_eq!(count(&host, "sql@^1"), 1);
    assert_eq!(count(&host, "sql@1.2"), 2);
    assert_eq!(count(&host, "sql@1"), 3);
    assert_eq!(count(&host, "sql@^2"), 1);
    // Whatever there is: the newest.
    assert_eq!(count(&host, "sql"), 2);
    assert_eq!(count(&host, "sql@>=1"), 3);
    assert_eq!(count(&host, "sql@<2"), 4);

    let error = host.call("sql@^3", "count", json!({})).unwrap_err();
    assert_eq!(error.code(), "PB0708");
    assert_eq!(error.to_string(), "no version of the plugin `sql` that is ^3 serves: 1.4.0, 2.0.0");
    let error = host.call("sql@?", "count", json!({})).unwrap_err();
    assert_eq!(error.code(), "PB0901");
    assert_eq!(error.to_string(), "the versions of `sql@?` cannot be read");
    assert_eq!(host.call("?@1", "count", json!({})).unwrap_err().code(), "PB0701");
    assert_eq!(host.plan().versions(&"sql".parse().unwrap()).count(), 2);
}

#[test]
fn each_line_goes_its_own_way_under_load() {
    let folder = two();
    let host = host(&folder);
    let events = host.events();
    let two = host.plugin("sql@2").unwrap();
    let generation = two.enter().unwrap().generation();
    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let one = host.plugin("sql@^1").unwrap();
                while !over.load(Ordering::Relaxed) {
                    one.call("count", json!({})).unwrap();
                    host.call("sql@^2", "count", json!({})).unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in ["1.5.0", "1.6.0", "1.7.0"] {
            folder.put_whole("one.so", &piece("sql", version, ""));
            next(
                &events,
                |happening| matches!(happening, Happening::Reloaded(it) if it.to.to_string() == version),
            );
        }
        // A file of its own: the newest of the line takes over.
        folder.put_whole("other.so", &piece("sql", "1.8.0", ""));
        next(
            &events,
            |happening| matches!(happening, Happening::Reloaded(it) if it.to.to_string() == "1.8.0"),
        );
        over.store(true, Ordering::Relaxed);
    });
    assert!(calls.load(Ordering::Relaxed) > 0);
    assert_eq!(active(&host), ["sql@1 1.8.0", "sql@2 2.0.0"]);
    // Its state went along, and the other line was not touched.
    assert_eq!(count(&host, "sql@1"), calls.load(Ordering::Relaxed) + 1);
    assert_eq!(two.enter().unwrap().generation(), generation);

    fs::remove_file(folder.plugins().join("two.so")).unwrap();
    next(&events, |happening| matches!(happening, Happening::Unloaded { .. }));
    assert_eq!(active(&host), ["sql@1 1.8.0"]);
    assert_eq!(host.call("sql@2", "count", json!({})).unwrap_err().code(), "PB0702");
    // Now that one is the newest that there is.
    count(&host, "sql");
}

#[test]
fn plugins_that_need_other_versions_run_side_by_side() {
    let folder = two();
    let needs = |range: &str| format!("[dependencies]\nsql = \"{range}\"\n");
    folder.write("a.so", piece("a", "1.0.0", &needs("^1")));
    folder.write("b.so", piece("b", "1.0.0", &needs("^2")));
    let host = host(&folder);
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0", "sql@1 1.4.0", "sql@2 2.0.0"]);
    let events = host.events();
    fs::remove_file(folder.plugins().join("one.so")).unwrap();
    next(
        &events,
        |happening| matches!(happening, Happening::Unloaded { plugin, .. } if plugin.as_str() == "sql"),
    );
    assert_eq!(active(&host), ["b 1.0.0", "sql@2 2.0.0"]);
    let why = host.refused();
    assert!(why[0].to_string().contains("needs sql ^1, found sql 2.0.0"), "{}", why[0]);
}

#[test]
fn one_that_does_not_come_up_leaves_the_other_line_alone() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", broken_piece("sql", "2.0.0", ""));
    let host = host(&folder);
    assert_eq!(active(&host), ["sql@1 1.4.0"]);
    assert_eq!(count(&host, "sql"), 1);
    let events = host.events();
    folder.put_whole("two.so", &piece("sql", "2.0.1", ""));
    next(&events, |happening| matches!(happening, Happening::Loaded { .. }));
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.1"]);
}

#[test]
fn who_means_one_of_several_says_which() {
    let folder = two();
    let host = host(&folder);
    let error = host.unload("sql").unwrap_err();
    assert!(matches!(error, UnloadError::Several(_)));
    assert_eq!(error.code(), "PB0909");
    assert_eq!(error.to_string(), "several versions of the plugin `sql` serve, as sql@1, sql@2");
    assert_eq!(error.hint(), "say which one, for example sql@1");
    assert!(matches!(host.rollback("sql").unwrap_err(), RollbackError::Several(_)));
    assert!(matches!(host.save("sql").unwrap_err(), SaveError::Several(_)));

    assert_eq!(host.unload("sql@1").unwrap().id.as_str(), "sql");
    assert_eq!(active(&host), ["sql@2 2.0.0"]);
    assert_eq!(host.unload("sql@^1").unwrap_err().code(), "PB0801");
    assert_eq!(host.load("sql@2").unwrap_err().code(), "PB0906");
    assert_eq!(host.load("sql@1").unwrap().name, "sql@1");
    host.unload("sql@1").unwrap();
    // What is not there yet.
    assert_eq!(host.load("sql").unwrap().name, "sql@1");

    assert_eq!(host.disable("sql@1").unwrap_err().code(), "PB0804");
    host.disable("sql").unwrap();
    assert!(active(&host).is_empty());
    assert_eq!(host.enable("sql@^2").unwrap().name, "sql@2");
    assert_eq!(active(&host), ["sql@2 2.0.0"]);
    host.enable("sql").unwrap();
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0"]);
}

#[test]
fn a_way_back_and_a_reload_are_those_of_a_line() {
    let folder = two();
    let host = host(&folder);
    let events = host.events();
    count(&host, "sql@1");
    folder.put_whole("one.so", &piece("sql", "1.5.0", ""));
    next(&events, |happening| matches!(happening, Happening::Reloaded(_)));
    let back = host.rollback("sql@1").unwrap();
    assert_eq!(back.to.to_string(), "1.4.0");
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0"]);
    assert_eq!(count(&host, "sql@1"), 2);
    assert!(matches!(host.reload("sql@2").unwrap(), Outcome::Unchanged));
}

#[test]
fn a_handle_keeps_to_the_versions_that_were_asked_for() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    let host = folder.host().build().unwrap();
    host.start().unwrap();
    let (any, one) = (host.plugin("sql").unwrap(), host.plugin("sql@^1").unwrap());
    one.call("count", json!({})).unwrap();
    // One version at a time here: the next one takes its place.
    folder.put_whole("one.so", &piece("sql", "2.0.0", ""));
    host.reload("sql").unwrap();
    assert_eq!(any.call("count", json!({})).unwrap(), 2);
    let error = one.call("count", json!({})).unwrap_err();
    assert!(matches!(error, CallError::NoVersion { .. }), "{error}");
    assert_eq!(error.to_string(), "no version of the plugin `sql` that is ^1 serves: 2.0.0");
    assert!(one.hold().is_err());
    folder.put_whole("one.so", &piece("sql", "1.9.0", ""));
    host.reload("sql").unwrap();
    assert_eq!(one.call("count", json!({})).unwrap(), 3);
}

#[test]
fn versions_have_configurations_of_their_own() {
    let folder = two();
    let host = folder
        .host()
        .policy(|policy| policy.versions = Versions::Compatible)
        .config("sql", json!({ "of": "all" }))
        .config("sql@^1", json!({ "of": "one" }))
        .build()
        .unwrap();
    host.start().unwrap();
    let of = |plugin: &str| host.call(plugin, "config", json!({})).unwrap()["of"].clone();
    assert_eq!((of("sql@1"), of("sql@2")), (json!("one"), json!("all")));
    host.configure("sql", json!({ "of": "new" })).unwrap();
    assert_eq!((of("sql@1"), of("sql@2")), (json!("one"), json!("new")));
    host.configure("sql@^1", json!({ "of": "newer" })).unwrap();
    assert_eq!((of("sql@1"), of("sql@2")), (json!("newer"), json!("new")));
}

#[test]
fn every_version_runs_where_the_policy_says_so() {
    let folder = Folder::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        folder.write(&format!("sql-{version}.so"), piece("sql", version, ""));
    }
    folder.write("kv-1.so", piece("kv", "1.0.0", ""));
    folder.write("kv-2.so", piece("kv", "2.0.0", ""));
    let only_sql = |policy: &mut Policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::All);
    };
    let host = folder.host().policy(only_sql).build().unwrap();
    host.start().unwrap();
    let expected = ["kv 2.0.0", "sql@1.0.0 1.0.0", "sql@1.1.0 1.1.0", "sql@1.2.0 1.2.0"];
    assert_eq!(active(&host), expected);
    // A name goes before what it would mean as a range.
    assert_eq!(count(&host, "sql@1.0.0"), 1);
    assert_eq!(count(&host, "sql@^1.0.0"), 1);
    assert_eq!(count(&host, "sql@1.2.0"), 2);
}

#[test]
fn a_line_that_is_in_use_leaves_the_others_alone() {
    let folder = two();
    let needs = |range: &str| format!("[dependencies]\nsql = \"{range}\"\n");
    folder.write("a.so", piece("a", "1.0.0", &needs("^1")));
    let host = folder
        .host()
        .policy(|policy| {
            policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
        })
        .drain_limit(Duration::from_millis(50))
        .build()
        .unwrap();
    host.start().unwrap();
    let all = ["a 1.0.0", "sql@1 1.4.0", "sql@2 2.0.0"];
    let held = host.plugin("sql@1").unwrap();
    let held = held.hold().unwrap();
    assert_eq!(host.unload("sql@1").unwrap_err().code(), "PB0802");
    assert_eq!(active(&host), all);
    drop(held);
    // One that needs it.
    let a = host.plugin("a").unwrap();
    let held = a.hold().unwrap();
    assert_eq!(host.unload("sql@1").unwrap_err().code(), "PB0802");
    assert_eq!(active(&host), all);
    drop(held);
    host.unload("sql@1").unwrap();
    assert_eq!(active(&host), ["sql@2 2.0.0"]);
}

#[test]
fn a_line_that_needs_another_one_comes_back_with_it() {
    let folder = Folder::new();
    let needs = |what: &str| format!("[dependencies]\n{what}\n");
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", &needs("mid = \"1\"")));
    folder.write("mid.so", piece("mid", "1.0.0", &needs("sql = \"^1\"")));
    let host = host(&folder);
    let all = ["mid 1.0.0", "sql@1 1.4.0", "sql@2 2.0.0"];
    assert_eq!(active(&host), all);
    host.unload("sql@1").unwrap();
    assert!(active(&host).is_empty());
    host.load("sql@1").unwrap();
    assert_eq!(active(&host), all);
}

#[test]
fn one_line_written_over_another_takes_nothing_away() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    let host = host(&folder);
    count(&host, "sql");
    // Broken: what serves goes on.
    folder.put_whole("one.so", &broken_piece("sql", "2.0.0", ""));
    host.reload_all().unwrap();
    assert_eq!(active(&host), ["sql@1 1.4.0"]);
    assert_eq!(count(&host, "sql"), 2);
    // Good, and needed in the version that it takes the place of.
    let user = piece("user", "1.0.0", "[dependencies]\nsql = \"^1\"\n");
    folder.put_whole("user.so", &user);
    host.reload_all().unwrap();
    folder.put_whole("one.so", &piece("sql", "2.0.1", ""));
    host.reload_all().unwrap();
    assert_eq!(active(&host), ["sql@1 1.4.0", "user 1.0.0"]);
    // Nobody needs it any more.
    fs::remove_file(folder.plugins().join("user.so")).unwrap();
    host.reload_all().unwrap();
    until(|| active(&host) == ["sql@2 2.0.1"]);
    assert_eq!(count(&host, "sql"), 1);
}

#[test]
fn while_the_newest_comes_and_goes_the_others_take_the_calls() {
    let folder = two();
    let host = host(&folder);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    count(&host, "sql");
                    count(&host, "sql@>=1");
                }
            });
        }
        for _ in 0..10 {
            host.unload("sql@2").unwrap();
            host.load("sql@2").unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn there_is_no_handle_of_versions_that_are_not_there() {
    let folder = two();
    let host = host(&folder);
    assert!(host.plugin("sql@^3").is_none());
    let events = host.events();
    folder.put_whole("three.so", &piece("sql", "3.0.0", ""));
    next(&events, |happening| matches!(happening, Happening::Loaded { .. }));
    let three = host.plugin("sql@^3").unwrap();
    assert_eq!(three.call("count", json!({})).unwrap(), 1);
    host.unload("sql@3").unwrap();
    let error = three.call("count", json!({})).unwrap_err();
    assert_eq!(error.to_string(), "the plugin `sql@3` is unloaded, so it takes no calls");
    assert_eq!(error.hint(), "let it serve again: host-app load sql@3");
    assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0"]);
}

#[test]
fn going_back_in_one_line_leaves_the_others_configuration() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", ""));
    let host = host(&folder);
    host.configure("sql", json!({ "of": 5 })).unwrap();
    host.rollback("sql@1").unwrap();
    let of = |plugin: &str| host.call(plugin, "config", json!({})).unwrap()["of"].clone();
    assert_eq!((of("sql@1"), of("sql@2")), (Value::Null, json!(5)));
    folder.put_whole("two.so", &piece("sql", "2.1.0", ""));
    host.reload("sql@2").unwrap();
    assert_eq!((of("sql@1"), of("sql@2")), (Value::Null, json!(5)));
}

#[test]
fn a_configuration_that_a_line_on_demand_would_refuse_is_not_taken() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    let schema = "activation = \"on-demand\"\n[config.schema]\nproperties.size.maximum = 10\n";
    folder.write("two.so", piece("sql", "2.0.0", schema));
    let host = host(&folder);
    assert_eq!(host.configure("sql", json!({ "size": 50 })).unwrap_err().code(), "PB1501");
    host.configure("sql@^1", json!({ "size": 50 })).unwrap();
    assert_eq!(count(&host, "sql@2"), 1);
    // Which of both is to be said, also before it is loaded.
    host.unload("sql@2").unwrap();
    host.start().unwrap();
    assert_eq!(host.unload("sql").unwrap_err().code(), "PB0909");
}

#[test]
fn a_line_begins_with_the_state_from_before_there_were_lines() {
    let folder = Folder::new();
    let keeps = "[state]\nversion = 1\npersist = true\n";
    folder.write("one.so", piece("sql", "1.4.0", keeps));
    let (before, _) = folder.start();
    before.call("sql", "count", json!({})).unwrap();
    before.stop();
    drop(before);
    let host = host(&folder);
    assert_eq!(count(&host, "sql@1"), 2);
}

#[test]
fn no_call_is_lost_where_a_file_goes_from_one_line_to_another() {
    let folder = Folder::new();
    folder.write("one.so", piece("sql", "1.4.0", ""));
    let host = host(&folder);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    count(&host, "sql");
                }
            });
        }
        for number in 1..20 {
            let version = format!("{}.0.{number}", 1 + number % 2);
            folder.put_whole("one.so", &piece("sql", &version, ""));
            host.reload_all().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_plugin_ends_with_its_file_whatever_came_from_there_before() {
    let folder = Folder::new();
    let file = folder.write("one.so", piece("sql", "1.4.0", ""));
    let host = host(&folder);
    folder.put_whole("one.so", &piece("sql", "2.0.0", ""));
    until(|| active(&host) == ["sql@2 2.0.0"]);
    folder.put_whole("one.so", b"no library");
    until(|| !host.refused().is_empty());
    fs::remove_file(file).unwrap();
    until(|| active(&host).is_empty());
}

#[test]
fn all_lines_of_a_plugin_that_is_disabled_are() {
    let folder = Folder::new();
    let on_demand = "activation = \"on-demand\"\n";
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", on_demand));
    folder.write("three.so", piece("sql", "3.0.0", on_demand));
    folder.write("four.so", piece("sql", "4.0.0", ""));
    let host = host(&folder);
    // One that has slept from the beginning, one that was loaded once, and one that ended.
    count(&host, "sql@2");
    host.unload("sql@2").unwrap();
    host.start().unwrap();
    host.unload("sql@4").unwrap();
    let states = || host.plugins().iter().map(|one| one.state).collect::<Vec<_>>();
    let (on, asleep, ended) = (PluginState::Active, PluginState::OnDemand, PluginState::Unloaded);
    assert_eq!(states(), [on, asleep, asleep, ended]);
    host.disable("sql").unwrap();
    assert_eq!(states(), [PluginState::Disabled; 4]);
    let error = host.call("sql@2", "count", json!({})).unwrap_err();
    assert_eq!(error.hint(), "let it serve again: host-app enable sql");
    host.enable("sql").unwrap();
    assert_eq!(count(&host, "sql@3"), 1);
}

/// By their names the tenth goes before the second.
#[test]
fn the_newest_of_several_says_why_none_serves() {
    let folder = Folder::new();
    folder.write("two.so", piece("sql", "2.0.0", ""));
    folder.write("ten.so", piece("sql", "10.0.0", ""));
    let host = host(&folder);
    host.unload("sql@2").unwrap();
    host.unload("sql@10").unwrap();
    let error = host.call("sql", "count", json!({})).unwrap_err();
    assert_eq!(error.to_string(), "the plugin `sql@10` is unloaded, so it takes no calls");
}

#[test]
fn events_say_which_of_several_versions_they_are_about() {
    let folder = two();
    let of_sql = |policy: &mut Policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    };
    let host = folder.host().policy(of_sql).drain_limit(Duration::from_millis(50));
    let host = host.build().unwrap();
    host.start().unwrap();
    let long = host.plugin("sql@1").unwrap().hold().unwrap();
    let events = host.events();
    host.unload("sql@2").unwrap();
    host.stop();
    drop(long);
    let ended = |happening: &Happening| matches!(happening, Happening::Unloaded { .. });
    let in_use = |happening: &Happening| matches!(happening, Happening::InUse { .. });
    let told = |event: &Event| (event.name.clone().unwrap(), event.version().unwrap().to_string());
    let of = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    let event = next(&events, ended);
    assert_eq!(told(&event), of("sql@2", "2.0.0"));
    let json = plugbay_loader::interface::serde_json::to_value(&event).unwrap();
    assert_eq!((&json["name"], &json["version"]), (&json!("sql@2"), &json!("2.0.0")));
    assert_eq!(told(&next(&events, in_use)), of("sql@1", "1.4.0"));
    assert_eq!(told(&next(&events, ended)), of("sql@1", "1.4.0"));
    let history = host.history();
    let loaded = history.iter().filter(|it| matches!(it.happening, Happening::Loaded { .. }));
    let loaded: BTreeSet<_> = loaded.map(told).collect();
    assert_eq!(loaded, [of("sql@1", "1.4.0"), of("sql@2", "2.0.0")].into());
}

/// As a stack that names it twice is told to write it.
#[test]
fn a_stack_takes_the_lines_that_are_in_its_range() {
    for written in ["'sql@>=1, <3'", "{ id = 'sql', version = '>=1, <3' }"] {
        let folder = two();
        folder.write("three.so", piece("sql", "3.0.0", ""));
        let file = folder.beside("s.toml");
        fs::write(&file, format!("plugins = [{written}]\n")).unwrap();
        let of_sql = |policy: &mut Policy| {
            policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
        };
        let host = folder.host().policy(of_sql).stack(Stack::read(&file).unwrap());
        let host = host.build().unwrap();
        host.start().unwrap();
        assert_eq!(active(&host), ["sql@1 1.4.0", "sql@2 2.0.0"]);
    }
}
