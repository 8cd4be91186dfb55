//! What a plugin that serves can rely on, and what its callers can.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugbay_loader::{CallError, Explain, PluginState, UnloadError};
use plugbay_tests::{Folder, build, build_with_nightly, serving, with_embedded};
use serde_json::json;

const FIXTURE: &str = "plugbay-fixture-misbehave";

#[test]
fn a_command_takes_and_gives_json() {
    let host = serving(FIXTURE, json!({}));
    let value = json!({"text": "ä\u{0}\u{1f600}", "n": [1, -2.5, null, {"deep": [[]]}]});
    assert_eq!(host.call("misbehave", "echo", value.clone()).unwrap(), value);
}

#[test]
fn an_error_keeps_code_causes_and_place() {
    let host = serving(FIXTURE, json!({}));
    let error = host.call("misbehave", "fail", json!({})).unwrap_err();
    let CallError::Failed { failure, .. } = &error else { panic!("{error:?}") };
    assert_eq!(failure.code, "no-number");
    assert_eq!(failure.causes, ["invalid digit found in string"]);
    assert!(failure.place.as_ref().unwrap().contains("misbehave/src/lib.rs:"), "{failure:?}");
    assert_eq!(
        error.to_string(),
        "`misbehave:fail` failed: the answer cannot be computed: invalid digit found in string"
    );
}

#[test]
fn wrong_arguments_unknown_commands_and_unknown_plugins_are_told_apart() {
    let host = serving(FIXTURE, json!({}));
    let code = |plugin, command, arguments| {
        let error = host.call(plugin, command, arguments).unwrap_err();
        (error.code(), error.hint(), error.to_string())
    };
    let (found, _, message) = code("misbehave", "panic", json!({"message": 3}));
    assert_eq!(found, "PB0704");
    assert!(
        message.contains("`message`: invalid type: integer `3`, expected a string"),
        "{message}"
    );
    let (found, hint, _) = code("misbehave", "dance", json!({}));
    assert_eq!(found, "PB0703");
    assert!(hint.contains("echo, fail"), "{hint}");
    let (found, hint, _) = code("nobody", "echo", json!({}));
    assert_eq!((found, hint.as_str()), ("PB0701", "there are: misbehave"));
}

#[test]
fn a_panic_is_an_error_and_the_plugin_serves_on() {
    let host = serving(FIXTURE, json!({}));
    for _ in 0..3 {
        let error = host.call("misbehave", "panic", json!({"message": "ouch"})).unwrap_err();
        let CallError::Panicked { failure, .. } = error else { panic!("{error:?}") };
        assert_eq!(failure.message, "ouch");
        assert!(failure.place.unwrap().contains("misbehave/src/lib.rs:"));
        assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
    }
}

#[test]
fn a_panic_brings_its_frames_when_asked() {
    let folder = Folder::new();
    folder.put(&build(FIXTURE), "misbehave.so");
    for wanted in [false, true] {
        let host = folder.host().backtraces(wanted).build().unwrap();
        host.start().unwrap();
        let error = host.call("misbehave", "panic", json!({"message": "ouch"})).unwrap_err();
        let frames = &error.failure().unwrap().backtrace;
        assert_eq!(frames.is_empty(), !wanted, "{frames:#?}");
        if wanted {
            assert!(frames[0].contains("misbehave::inner_panic at "), "{frames:#?}");
            assert!(frames[0].contains("misbehave/src/lib.rs:"), "{frames:#?}");
            assert!(frames.len() < 20, "{frames:#?}");
        }
    }
}

#[test]
fn a_panic_on_a_thread_of_the_plugin_harms_nobody() {
    let host = serving(FIXTURE, json!({}));
    assert_eq!(host.call("misbehave", "spawn_panic", json!({})).unwrap(), json!(true));
}

#[test]
fn the_context_says_who_and_where() {
    let host = serving(FIXTURE, json!({"activate": "serve"}));
    let told = host.call("misbehave", "where_am_i", json!({})).unwrap();
    let data = host.folder.beside("data").join("misbehave");
    assert_eq!(told["id"], "misbehave");
    assert_eq!(told["generation"], 1);
    assert_eq!(told["data_dir"], data.to_str().unwrap());
    assert_eq!(told["configuration"], json!({"activate": "serve"}));
    assert!(data.is_dir());
}

#[test]
fn many_threads_call_one_plugin_at_once() {
    let host = serving(FIXTURE, json!({}));
    thread::scope(|scope| {
        for thread in 0..8 {
            let host = &host;
            scope.spawn(move || {
                for n in 0..500 {
                    let value = json!([thread, n]);
                    assert_eq!(host.call("misbehave", "echo", value.clone()).unwrap(), value);
                    host.call("misbehave", "count", json!({})).unwrap();
                }
            });
        }
    });
    assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(8 * 500 + 1));
}

#[test]
fn hosts_in_one_process_do_not_know_of_each_other() {
    let folder = Folder::new();
    folder.put(&build(FIXTURE), "misbehave.so");
    let (one, _) = folder.start();
    let (two, _) = folder.start();
    let count = |host: &plugbay_loader::Host| host.call("misbehave", "count", json!({})).unwrap();
    assert_eq!(count(&one), json!(1));
    assert_eq!(count(&one), json!(2));
    assert_eq!(count(&two), json!(1));
    drop(one);
    assert_eq!(count(&two), json!(2));
}

#[test]
fn an_unloaded_plugin_takes_no_calls_and_comes_back_with_its_state() {
    let host = serving(FIXTURE, json!({}));
    let count = || host.call("misbehave", "count", json!({}));
    assert_eq!(count().unwrap(), json!(1));
    let unloaded = host.unload("misbehave").unwrap();
    assert!(unloaded.state_kept && unloaded.failures.is_empty(), "{unloaded:?}");
    assert_eq!(count().unwrap_err().code(), "PB0702");
    assert_eq!(host.plugins()[0].state, PluginState::Unloaded);
    assert_eq!(host.unload("misbehave").unwrap_err().code(), "PB0801");
    let status = host.load("misbehave").unwrap();
    assert_eq!((status.state, status.generation), (PluginState::Active, 2));
    assert_eq!(count().unwrap(), json!(2));
    assert_eq!(host.load("misbehave").unwrap_err().code(), "PB0906");
}

#[test]
fn a_disabled_plugin_stays_out_of_every_start_until_it_is_enabled() {
    let host = serving(FIXTURE, json!({}));
    host.call("misbehave", "count", json!({})).unwrap();
    host.disable("misbehave").unwrap();
    let report = host.start().unwrap();
    assert_eq!(report.refused[0].error.code(), "PB0305");
    let error = host.call("misbehave", "count", json!({})).unwrap_err();
    assert_eq!(error.to_string(), "the plugin `misbehave` is disabled, so it takes no calls");
    host.enable("misbehave").unwrap();
    assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(2));
}

/// It was an error, and the good file was loaded.
#[test]
fn a_plugin_that_was_refused_can_be_disabled() {
    let library = fs::read(build(FIXTURE)).unwrap();
    let bad = with_embedded(&library, |embedded| {
        embedded.manifest.host = ">=99".parse().unwrap();
        embedded.manifest.description.clear();
    });
    let folder = Folder::new();
    folder.write("misbehave.so", &bad);
    let (host, report) = folder.start();
    assert_eq!(report.refused[0].error.code(), "PB0301");
    let disabled = host.disable("misbehave").unwrap();
    assert_eq!((disabled.id.as_str(), disabled.generation), ("misbehave", 0));
    assert_eq!(host.disable("nobody").unwrap_err().code(), "PB0801");
    folder.write("misbehave.so", &library);
    assert_eq!(host.start().unwrap().refused[0].error.code(), "PB0305");
    let error = host.call("misbehave", "echo", json!(1)).unwrap_err();
    assert_eq!(error.to_string(), "the plugin `misbehave` is disabled, so it takes no calls");
    host.enable("misbehave").unwrap();
    assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
    // To enable it is not in vain because its file is bad just then.
    host.disable("misbehave").unwrap();
    folder.write("misbehave.so", &bad);
    assert_eq!(host.enable("misbehave").unwrap_err().code(), "PB0301");
    assert_eq!(host.plugins()[0].state, PluginState::Unloaded);
    folder.write("misbehave.so", &library);
    assert!(host.start().unwrap().refused.is_empty());
    assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
}

#[test]
fn an_unload_waits_for_calls_and_gives_up_in_time() {
    let folder = Folder::new();
    folder.put(&build(FIXTURE), "misbehave.so");
    let host = folder.host().drain_limit(Duration::from_millis(200)).build().unwrap();
    host.start().unwrap();
    let gate = folder.beside("gate");
    thread::scope(|scope| {
        let call = scope.spawn(|| host.call("misbehave", "wait", json!({"path": gate})));
        while host.plugins()[0].calls == 0 {
            thread::yield_now();
        }
        let busy = host.unload("misbehave").unwrap_err();
        let UnloadError::Busy { holders, .. } = &busy else { panic!("{busy}") };
        assert_eq!(holders[0].command.as_deref(), Some("wait"), "{busy}");
        // It serves on as if nothing had been.
        assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
        fs::write(&gate, "").unwrap();
        call.join().unwrap().unwrap();
    });
    host.unload("misbehave").unwrap();
}

#[test]
fn unloading_under_load_fails_no_call_in_another_way_than_said() {
    let host = serving(FIXTURE, json!({}));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match host.call("misbehave", "echo", json!("x")) {
                        Ok(value) => assert_eq!(value, json!("x")),
                        Err(error) => assert_eq!(error.code(), "PB0702", "{error}"),
                    }
                }
            });
        }
        for _ in 0..20 {
            host.unload("misbehave").unwrap();
            host.load("misbehave").unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_plugin_of_another_compiler_serves() {
    let Some(library) = build_with_nightly(FIXTURE) else {
        println!("not tried: no nightly toolchain is installed here");
        return;
    };
    let folder = Folder::new();
    folder.put(&library, "misbehave.so");
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let rustc = &host.plugins()[0].facts.rustc;
    assert!(rustc.contains("nightly"), "{rustc}");
    assert_eq!(host.call("misbehave", "echo", json!([1, 2])).unwrap(), json!([1, 2]));
    let error = host.call("misbehave", "panic", json!({"message": "over there"})).unwrap_err();
    assert_eq!(error.failure().unwrap().message, "over there");
    let unloaded = host.unload("misbehave").unwrap();
    assert!(unloaded.failures.is_empty());
    assert_eq!(unloaded.pinned, None);
}

#[test]
fn a_host_may_be_too_old_for_a_plugin() {
    let library = fs::read(build(FIXTURE)).unwrap();
    let folder = Folder::new();
    let needs = |needs: &str| {
        with_embedded(&library, |embedded| {
            embedded.manifest.host = needs.parse().unwrap();
            // Room for the longer requirement.
            embedded.manifest.description.clear();
        })
    };
    folder.write("misbehave.so", needs(">=2, <3"));
    let version = |version: &str| folder.host().version(version.parse().unwrap()).build().unwrap();
    let report = version("1.9.0").start().unwrap();
    assert_eq!(report.refused[0].error.code(), "PB0301");
    assert!(report.refused[0].to_string().contains("needs a host >=2, <3, this host is 1.9.0"));
    assert!(version("2.0.0-rc.1").start().unwrap().refused.is_empty());
}

#[test]
fn the_newest_of_several_versions_runs() {
    let library = fs::read(build(FIXTURE)).unwrap();
    let folder = Folder::new();
    for version in ["0.1.0", "0.2.0", "0.0.1"] {
        folder.write(
            &format!("{version}.so"),
            with_embedded(&library, |embedded| {
                embedded.manifest.version = version.parse().unwrap();
            }),
        );
    }
    let (host, report) = folder.start();
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "0.2.0");
    assert_eq!(report.refused.len(), 2);
}

#[test]
fn a_stopped_host_takes_no_calls() {
    let serving = serving(FIXTURE, json!({}));
    let outcomes = serving.stop();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(serving.call("misbehave", "echo", json!(1)).unwrap_err().code(), "PB0904");
    assert_eq!(serving.start().unwrap_err().code(), "PB0904");
    assert_eq!(serving.load("misbehave").unwrap_err().code(), "PB0904");
}

#[test]
fn a_panic_that_the_plugin_caught_is_not_the_next_calls() {
    let host = serving(FIXTURE, json!({}));
    host.call("misbehave", "caught_panic", json!({})).unwrap();
    let error = host.call("misbehave", "resume", json!({"message": "second"})).unwrap_err();
    assert_eq!(error.failure().unwrap().message, "second");
}

#[test]
fn copies_of_a_host_that_was_killed_are_removed_by_the_next() {
    let folder = Folder::new();
    folder.put(&build(FIXTURE), "misbehave.so");
    let live = folder.beside("cache/live");
    let dead = live.join("1-dead");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    fs::write(dead.join("old-1.so"), "").unwrap();
    let (one, _) = folder.start();
    let (_two, _) = folder.start();
    assert!(!dead.exists());
    // And those that live keep theirs.
    assert_eq!(
        fs::read_dir(&live).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
        2
    );
    assert_eq!(one.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
}
