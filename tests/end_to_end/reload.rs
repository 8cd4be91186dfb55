//! What happens when a plugin's file is replaced: the new one takes over, or the
//! old one serves on as if nothing had been.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plugbay_loader::{Cause, Explain, Happening, Outcome};
use plugbay_tests::{
    Folder, Turncoat, as_it_is, at_once, build, impatient, misdeed, reloaded, thread_names, turned,
    until, while_calling, with_embedded,
};
use serde_json::json;

const ID: &str = Turncoat::ID;
const SHORT: Duration = Duration::from_millis(300);

fn heir() -> Vec<u8> {
    fs::read(build("plugbay-fixture-heir")).unwrap()
}

#[test]
fn new_code_serves_and_the_state_goes_on() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    assert_eq!((bed.number().as_str(), bed.count(), bed.count()), ("1", 1, 2));
    let told = bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!((told.from.to_string(), told.to.to_string()), ("1.0.0".into(), "1.1.0".into()));
    assert_eq!((told.from_generation, told.to_generation, told.cause), (1, 2, Cause::Request));
    assert!(told.state_bytes.unwrap() > 0 && told.times.pause.is_some(), "{:?}", told.times);
    assert_eq!((bed.number().as_str(), bed.count()), ("2", 3));
    let status = &bed.plugins()[0];
    assert_eq!((status.generation, status.manifest.version.to_string()), (2, "1.1.0".into()));
}

#[test]
fn an_older_version_takes_over_as_well_when_it_is_what_lies_there() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.replace("0.9.0", "0 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("0", 2));
}

#[test]
fn the_same_bytes_are_nothing_new() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.put("1.0.0", "1 ok ok ok");
    assert!(matches!(bed.reload(ID), Ok(Outcome::Unchanged)));
    assert_eq!(bed.generation(), 1);
}

#[test]
fn a_plugin_that_does_not_serve_is_loaded_with_what_it_had() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.unload(ID).unwrap();
    bed.put("1.1.0", "2 ok ok ok");
    assert!(matches!(bed.reload(ID), Ok(Outcome::Loaded(_))));
    assert_eq!((bed.number().as_str(), bed.count()), ("2", 2));
}

#[test]
fn all_that_changed_is_reloaded_at_once() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.put("1.1.0", "2 ok ok ok");
    bed.folder.put(&build("plugbay-plugin-kv"), "kv.so");
    let looked_at = bed.reload_all().unwrap();
    let found: Vec<_> = looked_at
        .iter()
        .map(|one| {
            (
                one.plugin.as_str(),
                matches!(one.outcome, Ok(Outcome::Reloaded(_) | Outcome::Loaded(_))),
            )
        })
        .collect();
    assert_eq!(found, [("kv", true), (ID, true)]);
    let again = bed.reload_all().unwrap();
    assert!(again.iter().all(|one| matches!(one.outcome, Ok(Outcome::Unchanged))), "{again:?}");
}

#[test]
fn a_call_ends_where_it_began() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let stateless = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(stateless, "1 ok ok ok", at_once);
    let (call, gate) = bed.begin_call("old");
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!(bed.number(), "2");
    fs::write(gate, "").unwrap();
    assert_eq!(call.join().unwrap().unwrap(), json!("1"));
}

#[test]
fn calls_wait_for_the_state_and_then_succeed_in_the_new_one() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.put("1.1.0", "2 ok hang ok");
    thread::scope(|scope| {
        let reload = scope.spawn(|| reloaded(bed.reload(ID)));
        bed.until_it_hangs_in("activate");
        let (done, ended) = mpsc::channel();
        for _ in 0..4 {
            let (done, bed) = (done.clone(), &bed);
            scope.spawn(move || done.send((bed.count(), bed.number())).unwrap());
        }
        let waiting = bed.until_calls_wait();
        assert!(ended.try_recv().is_err());
        bed.let_go();
        let mut counts: Vec<_> = (0..4).map(|_| ended.recv().unwrap()).collect();
        counts.sort();
        assert_eq!(counts, [2, 3, 4, 5].map(|count| (count, "2".to_owned())));
        waiting.join().unwrap().unwrap();
        let told = reload.join().unwrap();
        assert_eq!(told.calls_waited, 5);
        assert!(told.times.pause.unwrap() >= Duration::from_millis(100), "{:?}", told.times);
    });
}

#[test]
fn a_call_inside_of_a_call_does_not_wait_for_itself() {
    // More than a thread has marks: the rest get records of their own.
    for depth in [1, 20] {
        let bed = Turncoat::serving("1 ok ok ok", as_it_is);
        let plugin = bed.plugin(ID).unwrap();
        let mut leases: Vec<_> = (0..depth).map(|_| plugin.enter().unwrap()).collect();
        bed.put("1.1.0", "2 ok ok ok");
        let (host, waiting) = (bed.host().clone(), |bed: &Turncoat| bed.until_calls_wait());
        let reload = thread::spawn(move || reloaded(host.reload(ID)));
        let waiting = waiting(&bed);
        for _ in 0..20 {
            leases.push(plugin.enter().unwrap());
            assert_eq!(bed.number(), "1");
        }
        assert!(leases.iter().all(|lease| lease.generation() == 1) && !reload.is_finished());
        let last = leases.pop();
        leases.drain(..).for_each(drop);
        assert_eq!(bed.number(), "1");
        drop(last);
        assert_eq!(reload.join().unwrap().to_generation, 2);
        waiting.join().unwrap().unwrap();
        assert_eq!(bed.number(), "2");
    }
}

/// Its marks are all taken by leases on another plugin, or its lease is a counted one.
#[test]
fn a_call_inside_of_a_lease_without_a_mark_does_not_wait_either() {
    for counted in [false, true] {
        let bed = Turncoat::serving("1 ok ok ok", as_it_is);
        bed.folder.put(&build("plugbay-plugin-kv"), "kv.so");
        bed.load("kv").unwrap();
        let kv = bed.plugin("kv").unwrap();
        let others: Vec<_> = (0..8).map(|_| kv.enter().unwrap()).collect();
        let plugin = bed.plugin(ID).unwrap();
        let outer = (!counted).then(|| plugin.enter().unwrap());
        let held = counted.then(|| plugin.hold().unwrap());
        bed.put("1.1.0", "2 ok ok ok");
        let host = bed.host().clone();
        let reload = thread::spawn(move || reloaded(host.reload(ID)));
        let waiting = bed.until_calls_wait();
        assert_eq!(bed.number(), "1");
        let inner = plugin.enter().unwrap();
        drop((outer, held, others));
        assert_eq!(bed.number(), "1");
        drop(inner);
        reload.join().unwrap();
        waiting.join().unwrap().unwrap();
    }
}

#[test]
fn a_lease_finds_the_symbols_of_its_generation_at_any_time() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    let plugin = bed.plugin(ID).unwrap();
    let missing = |_| match plugin.enter()?.symbol("plugbay_root") {
        Some(_) => Ok(json!(null)),
        None => panic!("no symbol"),
    };
    while_calling(2, missing, || {
        for number in 2..30 {
            bed.replace("1.1.0", &format!("{number} ok ok ok"));
        }
    });
}

// Not taking over.

#[test]
fn a_file_that_is_no_plugin_any_more_changes_nothing() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    let good = fs::read(bed.folder.plugins().join("turncoat.so")).unwrap();
    for (bytes, code) in [
        (&good[..good.len() / 2], "PB0208"),
        (b"not a library".as_slice(), "PB0203"),
        (b"".as_slice(), "PB0202"),
    ] {
        bed.put_bytes(bytes);
        let (found, message) = bed.refused_with();
        assert!(found.starts_with("PB02"), "{found} instead of {code}: {message}");
        assert!(bed.refused().starts_with("PB02"));
        assert_eq!(bed.host().refused().len(), 1);
    }
    // What served all the time lies there again: nothing is wrong any more.
    bed.put_bytes(&good);
    assert!(matches!(bed.reload(ID), Ok(Outcome::Unchanged)));
    assert!(bed.host().refused().is_empty(), "{}", bed.host().refused()[0]);
}

#[test]
fn a_file_that_crashes_is_quarantined_and_changes_nothing() {
    let folder = Folder::new();
    let library = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    folder.write("misbehave.so", &library);
    let (host, _) = folder.start();
    assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(1));
    for (word, count) in [("crash", 2), ("exit", 3), ("abort", 4)] {
        folder.write("misbehave.so", misdeed(&library, word));
        assert_eq!(host.reload("misbehave").unwrap_err().code(), "PB0401");
        assert_eq!(host.reload("misbehave").unwrap_err().code(), "PB0402");
        assert_eq!(host.call("misbehave", "count", json!({})).unwrap(), json!(count));
    }
    let codes: Vec<_> = host
        .history()
        .into_iter()
        .filter_map(|event| match event.happening {
            Happening::Kept { code, .. } => Some(code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["PB0401", "PB0402"].repeat(3));
}

#[test]
fn an_activation_that_fails_changes_nothing() {
    let bed = Turncoat::serving("1 ok ok ok", impatient);
    for (number, word, code) in
        [(2, "error", "PB0601"), (3, "panic", "PB0602"), (4, "hang", "PB0603")]
    {
        bed.put("1.1.0", &format!("{number} ok {word} ok"));
        let (found, message) = bed.refused_with();
        assert_eq!(found, code, "{message}");
    }
    // The state was handed over each time, and is still here.
    assert_eq!(bed.count(), 7);
    bed.let_go();
    bed.replace("1.1.0", "5 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("5", 8));
    // The one that came too late is ended and goes.
    until(|| bed.reload(ID).is_ok() && bed.pinned().is_empty());
}

#[test]
fn a_state_that_cannot_be_saved_keeps_the_old_one() {
    for (word, code) in [("error", "PB1102"), ("panic", "PB1102"), ("huge", "PB1103")] {
        let bed = Turncoat::serving(&format!("1 {word} ok ok"), |host| host.max_state(10_000));
        bed.put("1.1.0", "2 ok ok ok");
        let (found, message) = bed.refused_with();
        assert_eq!(found, code, "{message}");
        assert_eq!(bed.refused(), code);
    }
}

#[test]
fn a_save_that_hangs_is_given_up() {
    let bed = Turncoat::serving("1 hang ok ok", impatient);
    bed.count();
    bed.put("1.1.0", "2 ok ok ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1104", "{message}");
    // It hangs in there still, so it can neither be replaced nor ended.
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1101", "{message}");
    assert!(message.contains("thread plugin turncoat"), "{message}");
    assert_eq!(bed.unload(ID).unwrap_err().code(), "PB0802");
    assert_eq!(bed.count(), 6);
    bed.let_go();
    until(|| bed.plugins()[0].calls == 0);
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("2", 7));
}

#[test]
fn a_host_ends_while_a_save_hangs() {
    let bed = Turncoat::serving("1 hang ok ok", impatient);
    bed.put("1.1.0", "2 ok ok ok");
    assert_eq!(bed.refused(), "PB1104");
    let ended = bed.stop();
    assert_eq!(ended.into_iter().next().unwrap().unwrap_err().code(), "PB0803");
    let data = bed.data();
    let folder = bed.end();
    // Its thread comes back into memory that is still there.
    fs::write(data.join("release"), "").unwrap();
    until(|| !thread_names().contains(&"plugin turncoat".to_owned()));
    drop(folder);
}

#[test]
fn a_save_that_hangs_at_the_end_costs_the_state_and_nothing_else() {
    let bed = Turncoat::serving("1 hang ok ok", impatient);
    bed.count();
    let unloaded = bed.unload(ID).unwrap();
    assert!(!unloaded.state_kept && unloaded.failures.len() == 1, "{unloaded:?}");
    let failure = &unloaded.failures[0];
    assert!(failure.starts_with("saving its state did not come to an end within"), "{failure}");
    assert!(unloaded.pinned.is_some());
    bed.let_go();
    bed.load(ID).unwrap();
    assert_eq!(bed.count(), 1);
    until(|| bed.pinned().is_empty());
}

/// It was lost with the other's result.
#[test]
fn a_deactivation_that_hangs_does_not_cost_the_state() {
    let bed = Turncoat::serving("1 ok ok ok hang", impatient);
    bed.count();
    let unloaded = bed.unload(ID).unwrap();
    assert!(unloaded.state_kept && unloaded.failures.len() == 1, "{unloaded:?}");
    let failure = &unloaded.failures[0];
    assert!(failure.starts_with("deactivation did not come to an end within"), "{failure}");
    bed.let_go();
    bed.load(ID).unwrap();
    assert_eq!(bed.count(), 2);
    until(|| bed.pinned().is_empty());
}

#[test]
fn a_state_of_another_version_is_migrated() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    for (number, word) in [(2, "error"), (3, "panic")] {
        bed.put_bytes(&turned(&heir(), "2.0.0", &format!("{number} ok ok {word}")));
        let (code, message) = bed.refused_with();
        assert!(code == "PB0601" || code == "PB0602", "{code}: {message}");
        assert!(message.contains("on request"), "{message}");
    }
    bed.put_bytes(&turned(&heir(), "2.0.0", "4 ok ok ok"));
    reloaded(bed.reload(ID));
    assert_eq!(bed.ask("origin"), json!(r#"1: {"count":5,"origin":null,"padding":""}"#));
    assert_eq!(bed.count(), 6);
    // The first version does not read what the second one saves.
    bed.put("1.0.0", "5 ok ok ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB0601");
    assert!(message.contains("does not read states of version 2"), "{message}");
}

#[test]
fn a_lease_that_is_kept_makes_the_handover_fail_and_is_named() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.drain_limit(SHORT));
    let plugin = bed.plugin(ID).unwrap();
    let (there, is_there) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let keeper = thread::Builder::new()
        .name("collector".into())
        .spawn(move || {
            let lease = plugin.hold().unwrap();
            there.send(()).unwrap();
            let _ = ends.recv();
            lease.generation()
        })
        .unwrap();
    is_there.recv().unwrap();
    bed.put("1.1.0", "2 ok ok ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1101");
    assert!(message.contains("thread collector ("), "{message}");
    end.send(()).unwrap();
    assert_eq!(keeper.join().unwrap(), 1);
    assert_eq!(reloaded(bed.reload(ID)).to, "1.1.0".parse().unwrap());
}

/// The activation has less time than that, and is not blamed.
#[test]
fn a_call_that_is_too_long_makes_the_handover_fail_and_is_named() {
    let bed = Turncoat::serving("1 ok ok ok", |host| impatient(host).drain_limit(SHORT * 2));
    let (call, gate) = bed.begin_call("sleeper");
    bed.put("1.1.0", "2 ok ok ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1101", "{message}");
    assert!(message.contains("`wait` on thread sleeper ("), "{message}");
    fs::write(gate, "").unwrap();
    assert_eq!(call.join().unwrap().unwrap(), json!("1"));
    reloaded(bed.reload(ID));
}
