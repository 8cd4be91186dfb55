//! What happens when a plugin's file is replaced: the new one takes over, or the
//! old one serves on as if nothing had been.

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plugbay_loader::{
    CallError, Cause, Explain, Happening, Host, HostBuilder, Lease, LoadPluginError, Outcome,
    PluginHandle, Role,
};
use plugbay_tests::{
    Folder, Turncoat, build, mapped_below, misdeed, next, reloaded, root, turned, until,
    while_calling, with_embedded,
};
use serde_json::json;

const ID: &str = Turncoat::ID;
const SHORT: Duration = Duration::from_millis(300);

fn heir() -> Vec<u8> {
    fs::read(build("plugbay-fixture-heir")).unwrap()
}

fn as_it_is(host: HostBuilder) -> HostBuilder {
    host
}

fn at_once(host: HostBuilder) -> HostBuilder {
    host.probation(Duration::ZERO)
}

fn impatient(host: HostBuilder) -> HostBuilder {
    // Naming a panic's frames takes long in a debug build on a busy machine.
    host.activation_deadline(SHORT * 5).drain_limit(SHORT).backtraces(false)
}

// Taking over.

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
    until(|| !threads().contains(&"plugin turncoat".to_owned()));
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

// Going back.

#[test]
fn back_by_hand_with_the_state() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    bed.count();
    let told = bed.rollback(ID).unwrap();
    assert_eq!((told.from_generation, told.cause, told.note), (2, Cause::Rollback, None));
    assert_eq!((told.from.to_string(), told.to.to_string()), ("1.1.0".into(), "1.0.0".into()));
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 3));
    // The same bytes are not taken again, other ones are.
    assert_eq!(bed.refused(), "PB0402");
    assert_eq!(bed.rollback(ID).unwrap_err().code(), "PB1107");
    bed.replace("1.1.0", "3 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("3", 6));
    // And there is a way back from those.
    bed.rollback(ID).unwrap();
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 7));
}

#[test]
fn back_by_hand_without_state_is_the_generation_that_waits() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let stateless = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(stateless, "1 ok ok ok", as_it_is);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    let told = bed.rollback(ID).unwrap();
    assert_eq!((told.to_generation, bed.number().as_str(), bed.count()), (1, "1", 2));
    assert_eq!(bed.refused(), "PB0402");
}

/// The state of the later version is of no use to the earlier one.
#[test]
fn back_with_the_state_that_it_had_where_the_other_does_not_fit() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.put_bytes(&turned(&heir(), "2.0.0", "2 ok ok ok"));
    reloaded(bed.reload(ID));
    bed.count();
    let told = bed.rollback(ID).unwrap();
    let note = told.note.unwrap();
    assert!(note.contains("does not read states of version 2"), "{note}");
    assert_eq!((told.to_generation, bed.number().as_str(), bed.count()), (1, "1", 2));
}

#[test]
fn back_after_the_probation_from_disk() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!(bed.mapped(), 1);
    assert_eq!(bed.rollback(ID).unwrap().to_generation, 3);
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 2));
}

#[test]
fn back_after_the_host_was_started_anew() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.replace("1.1.0", "2 ok ok ok");
    let folder = bed.end();
    let (host, _) = folder.start();
    assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("2"));
    host.rollback(ID).unwrap();
    assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("1"));
}

#[test]
fn what_was_rolled_back_stays_so_when_the_host_starts_anew() {
    for probation in [Duration::ZERO, Duration::from_secs(100)] {
        let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(probation));
        bed.replace("1.1.0", "2 ok ok ok");
        bed.rollback(ID).unwrap();
        let folder = bed.end();
        let (host, report) = folder.start();
        assert_eq!(report.refused[0].error.code(), "PB0402");
        assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("1"));
    }
}

/// What serves after a rollback comes from no file of the folders.
#[test]
fn what_was_rolled_back_stays_so_when_it_is_disabled_and_enabled() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    bed.rollback(ID).unwrap();
    bed.disable(ID).unwrap();
    assert_eq!(bed.enable(ID).unwrap().manifest.version.to_string(), "1.0.0");
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 2));
    bed.unload(ID).unwrap();
    bed.load(ID).unwrap();
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 3));
}

#[test]
fn where_nothing_was_before_there_is_no_way_back() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    assert_eq!(bed.rollback(ID).unwrap_err().code(), "PB1107");
    assert_eq!(bed.rollback("nobody").unwrap_err().code(), "PB1106");
    assert_eq!(bed.rollback("No Id").unwrap_err().code(), "PB0901");
    assert_eq!(bed.count(), 1);
}

#[test]
fn too_many_panics_in_the_probation_bring_the_one_before_back() {
    back_by_itself("panic");
}

#[test]
fn too_many_troubles_in_the_probation_bring_the_one_before_back() {
    back_by_itself("trouble");
}

fn back_by_itself(command: &str) {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.allowed_troubles(3));
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    let events = bed.events();
    for _ in 0..3 {
        let _ = bed.call(ID, command, json!({}));
    }
    assert_eq!(bed.plugins()[0].generations[0].troubles, 3);
    // So many are allowed: had it wished to go back, that would come before this.
    bed.put("1.1.0", "3 ok error ok");
    bed.refused();
    next(&events, |happening| matches!(happening, Happening::Kept { .. }));
    assert_eq!(bed.number(), "2");
    let _ = bed.call(ID, command, json!({}));
    let event = next(&events, |happening| matches!(happening, Happening::Reloaded(_)));
    let Happening::Reloaded(told) = event.happening else { unreachable!() };
    let Cause::Trouble(why) = told.cause else { panic!("{:?}", told.cause) };
    assert!(why.contains("4 troubles") && why.contains("on request"), "{why}");
    assert_eq!((told.from_generation, told.to.to_string()), (2, "1.0.0".into()));
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 4));
}

#[test]
fn after_the_probation_trouble_has_no_consequences() {
    let probation = Duration::from_millis(50);
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(probation).allowed_troubles(0));
    let events = bed.events();
    bed.replace("1.1.0", "2 ok ok ok");
    next(&events, |happening| matches!(happening, Happening::Retired { generation: 1, .. }));
    let _ = bed.call(ID, "panic", json!({}));
    bed.replace("1.2.0", "3 ok ok ok");
    let told: Vec<_> = bed
        .history()
        .into_iter()
        .filter_map(|event| match event.happening {
            Happening::Reloaded(told) => Some(told.cause),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Cause::Request, Cause::Request]);
}

// What is left of the old ones.

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
        until(|| threads().contains(&"plugbay-keeper".to_owned()));
        let folder = bed.end();
        assert_eq!(mapped_below(&folder.beside("cache")), 0);
        let live = fs::read_dir(folder.beside("cache/live")).unwrap().flatten();
        assert_eq!(live.filter(|entry| entry.path().is_dir()).count(), 0);
        // The system takes a moment to forget a thread that was joined.
        until(|| threads().iter().all(|name| !name.starts_with("plug")));
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

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// The clock has no such time.
#[test]
fn a_probation_may_be_for_ever() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::MAX));
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!(bed.in_role(Role::Previous), [1]);
    bed.rollback(ID).unwrap();
    assert_eq!(bed.number(), "1");
}
