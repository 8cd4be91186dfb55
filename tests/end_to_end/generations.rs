//! What is left of generations that were replaced, what is told of it, and when it ends.

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use plugbay_loader::{
    CallError, Explain, Happening, Host, Lease, LoadPluginError, PluginHandle, Role, Workspace,
};
use plugbay_tests::{
    Folder, Turncoat, as_it_is, at_once, build, mapped_below, next, reloaded, root, thread_names,
    turned, until, with_embedded,
};
use serde_json::json;

const ID: &str = Turncoat::ID;
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn old_generations_in_use_are_listed_and_end_with_their_use() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let stateless = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(stateless, "1 ok ok ok", |host| at_once(host).drain_limit(SHORT));
    let (call, gate) = bed.begin_call("sleeper");
    let events = bed.events();
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!((bed.in_role(Role::Serving), bed.in_role(Role::Leaving)), (vec![2], vec![1]));
    let status = &bed.plugins()[0];
    assert_eq!(status.calls, 1);
    let holder = &status.generations[1].holders[0];
    assert_eq!((holder.thread.as_str(), holder.command.as_deref()), ("sleeper", Some("wait")));
    assert!(holder.held_for.unwrap() > Duration::ZERO);
    assert!(fs::exists(format!("/proc/self/task/{}", holder.tid)).unwrap());
    let event = next(&events, |happening| matches!(happening, Happening::InUse { .. }));
    let Happening::InUse { generation, holders, .. } = event.happening else { unreachable!() };
    assert_eq!((generation, holders[0].thread.as_str()), (1, "sleeper"));
    assert_eq!(bed.mapped(), 2);
    fs::write(gate, "").unwrap();
    let event = next(&events, |happening| matches!(happening, Happening::Retired { .. }));
    let Happening::Retired { generation, pinned, failures, .. } = event.happening else {
        unreachable!()
    };
    assert_eq!((generation, pinned, failures), (1, None, Vec::new()));
    assert_eq!((bed.mapped(), bed.in_role(Role::Leaving)), (1, vec![]));
    assert_eq!(call.join().unwrap().unwrap(), json!("1"));
}

#[test]
fn the_one_before_waits_for_the_end_of_the_probation() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::from_secs(1)));
    let events = bed.events();
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!((bed.mapped(), bed.in_role(Role::Previous)), (2, vec![1]));
    let told = next(&events, |happening| matches!(happening, Happening::Retired { .. }));
    let Happening::Retired { generation, pinned, .. } = told.happening else { unreachable!() };
    assert_eq!((generation, pinned), (1, None));
    assert_eq!((bed.mapped(), bed.in_role(Role::Previous)), (1, vec![]));
}

/// A lease in a thread-local of the host's, which is dropped with the thread:
/// before or after what the loader has there.
#[test]
fn a_lease_may_be_dropped_by_the_end_of_its_thread() {
    thread_local! {
        static KEPT: RefCell<Option<Lease<'static>>> = const { RefCell::new(None) };
    }
    for lease_first in [true, false] {
        let bed = Turncoat::serving("1 ok ok ok", |host| host.drain_limit(SHORT));
        // Never dropped, so that a lease may live as long as a thread-local.
        let plugin: &'static PluginHandle = Box::leak(Box::new(bed.plugin(ID).unwrap()));
        let thread = thread::spawn(move || {
            if lease_first {
                KEPT.with_borrow_mut(|kept| *kept = None);
            }
            let lease = plugin.enter().unwrap();
            KEPT.with_borrow_mut(|kept| *kept = Some(lease));
        });
        thread.join().unwrap();
        assert_eq!(bed.plugins()[0].calls, 0);
        bed.replace("1.1.0", "2 ok ok ok");
        for ended in bed.stop() {
            ended.unwrap();
        }
    }
}

/// It is nobody's to take back.
#[test]
fn a_lease_that_was_forgotten_keeps_its_generation_for_ever() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.drain_limit(SHORT));
    let plugin = bed.plugin(ID).unwrap();
    let forgetful = move || std::mem::forget(plugin.enter().unwrap());
    thread::Builder::new().name("forgetful".into()).spawn(forgetful).unwrap().join().unwrap();
    bed.put("1.1.0", "2 ok ok ok");
    let (code, message) = bed.refused_with();
    assert!(code == "PB1101" && message.contains("thread forgetful ("), "{code}: {message}");
    drop(bed.end());
    // Nobody else's: a generation at the same address once counted as in use.
    for _ in 0..10 {
        let other = Turncoat::serving("1 ok ok ok", |host| host.drain_limit(SHORT));
        other.replace("1.1.0", "2 ok ok ok");
    }
}

#[test]
fn only_so_many_generations_may_be_in_memory() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let stateless = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(stateless, "1 ok ok ok", |host| at_once(host).max_generations(3));
    let plugin = bed.plugin(ID).unwrap();
    let mut kept = Vec::new();
    for number in 2..4 {
        kept.push(plugin.hold().unwrap());
        bed.replace("1.1.0", &format!("{number} ok ok ok"));
    }
    bed.put("1.1.0", "9 ok ok ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1105");
    assert!(message.contains("3 generations"), "{message}");
    let events = bed.events();
    drop(kept.pop());
    next(&events, |happening| matches!(happening, Happening::Retired { generation: 2, .. }));
    reloaded(bed.reload(ID));
    assert_eq!(bed.number(), "9");
}

/// Libraries of the first interface stay mapped, so they can only be reloaded so often.
#[test]
fn libraries_that_stay_mapped_count() {
    let frozen = root().join("tests/frozen/1.0.0").join(env!("PLUGBAY_TEST_TARGET"));
    let Ok(library) = fs::read(frozen.join("libmisbehave.so")) else {
        return println!("not tried: nothing was frozen for this target");
    };
    let folder = Folder::new();
    let put = |version: &str| {
        let bytes = with_embedded(&library, |embedded| {
            embedded.manifest.version = version.parse().unwrap();
            embedded.manifest.description.clear();
        });
        fs::write(folder.beside("aside"), bytes).unwrap();
        fs::rename(folder.beside("aside"), folder.plugins().join("misbehave.so")).unwrap();
    };
    put("1.0.1");
    let host = at_once(folder.host()).max_generations(3).build().unwrap();
    host.start().unwrap();
    let count = || host.call("misbehave", "count", json!({})).unwrap();
    assert_eq!(count(), json!(1));
    for (version, expected) in [("1.0.2", 2), ("1.0.3", 3)] {
        put(version);
        reloaded(host.reload("misbehave"));
        assert_eq!(count(), json!(expected));
    }
    put("1.0.4");
    assert_eq!(host.reload("misbehave").unwrap_err().code(), "PB1105");
    assert_eq!(count(), json!(4));
}

#[test]
fn the_history_has_no_gaps() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    let events = bed.events();
    for number in 2..20 {
        bed.replace("1.1.0", &format!("{number} ok ok ok"));
        bed.put("1.1.0", &format!("{number} ok error ok"));
        bed.refused();
    }
    bed.unload(ID).unwrap();
    let numbers: Vec<_> = bed.history().iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    drop(bed.end());
    let told: Vec<_> = events.map(|event| event.number).collect();
    assert_eq!(told, (2..=numbers.len() as u64).collect::<Vec<_>>());
}

/// Whoever hears that a plugin serves can call it.
#[test]
fn an_event_comes_after_what_it_tells() {
    for _ in 0..10 {
        let folder = Folder::new();
        folder.put(&build("plugbay-fixture-turncoat"), "turncoat.so");
        let host = folder.host().build().unwrap();
        let (events, caller) = (host.events(), host.clone());
        let told = thread::spawn(move || {
            next(&events, |happening| matches!(happening, Happening::Loaded { .. }));
            caller.call(ID, "count", json!({})).map_err(|error| error.to_string())
        });
        host.start().unwrap();
        assert_eq!(told.join().unwrap(), Ok(json!(1)));
    }
}

// The end of a host.

#[test]
fn the_last_clone_leaves_nothing_behind() {
    // In a process of its own, whose threads are known.
    const WHO: &str = "PLUGBAY_TEST_LAST_CLONE";
    if std::env::var_os(WHO).is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["the_last_clone_leaves_nothing_behind", "--exact", "--nocapture"])
            .env(WHO, "1")
            .output()
            .unwrap();
        return assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for _ in 0..10 {
        let bed = Turncoat::serving("1 ok ok ok", as_it_is);
        bed.replace("1.1.0", "2 ok ok ok");
        assert_eq!(bed.in_role(Role::Previous), [1]);
        until(|| thread_names().contains(&"plugbay-keeper".to_owned()));
        let folder = bed.end();
        assert_eq!(mapped_below(&folder.beside("cache")), 0);
        // The copies are the next host's, and nobody has them.
        assert_eq!(Workspace::count_abandoned(&folder.beside("cache/live")).unwrap(), 1);
        // The system takes a moment to forget a thread that was joined.
        until(|| thread_names().iter().all(|name| !name.starts_with("plug")));
    }
}

#[test]
fn a_host_is_dropped_while_its_plugin_is_called() {
    for _ in 0..20 {
        let bed = Turncoat::serving("1 ok ok ok", as_it_is);
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let host: Host = bed.host().clone();
                thread::spawn(move || {
                    for _ in 0..50 {
                        match host.call(ID, "count", json!({})) {
                            Ok(_) | Err(CallError::NotActive { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        bed.replace("1.1.0", "2 ok ok ok");
        // The last of the callers ends the host.
        drop(bed.end());
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
}

#[test]
fn two_versions_in_one_folder_and_the_newer_one_counts() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    bed.folder.write("turncoat-2.so", turned(&library, "1.1.0", "2 ok ok ok"));
    reloaded(bed.reload(ID));
    assert_eq!(bed.number(), "2");
    fs::remove_file(bed.folder.plugins().join("turncoat-2.so")).unwrap();
    reloaded(bed.reload(ID));
    assert_eq!(bed.number(), "1");
    fs::remove_file(bed.folder.plugins().join("turncoat.so")).unwrap();
    let error = bed.reload(ID).unwrap_err();
    assert!(matches!(error, LoadPluginError::NotFound { .. }), "{error}");
    assert_eq!(bed.number(), "1");
}

#[test]
fn an_older_version_does_not_take_over_because_the_newer_file_broke() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let newer = bed.folder.write("turncoat-2.so", turned(&library, "1.1.0", "2 ok ok ok"));
    reloaded(bed.reload(ID));
    // Aside, as it is with a writer who does not rename.
    fs::remove_file(&newer).unwrap();
    fs::write(&newer, &library[..library.len() / 2]).unwrap();
    let code = bed.refused();
    let looked_at = bed.reload_all().unwrap();
    assert_eq!(looked_at.len(), 1, "{looked_at:?}");
    assert_eq!(looked_at[0].outcome.as_ref().unwrap_err().code(), code);
    assert_eq!(bed.number(), "2");
}

/// With no probation the old one ends at once, and that is told last.
#[test]
fn events_come_in_the_order_of_what_they_tell() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.replace("1.1.0", "2 ok ok ok");
    bed.rollback(ID).unwrap();
    bed.unload(ID).unwrap();
    let told: Vec<_> = bed
        .history()
        .into_iter()
        .map(|event| match event.happening {
            Happening::Loaded { generation, .. } => format!("loaded {generation}"),
            Happening::Reloaded(told) => format!("reloaded {}", told.to_generation),
            Happening::Retired { generation, .. } => format!("retired {generation}"),
            Happening::Unloaded { generation, .. } => format!("unloaded {generation}"),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = "loaded 1, reloaded 2, retired 1, reloaded 3, retired 2, unloaded 3, retired 3";
    assert_eq!(told.join(", "), expected);
}
