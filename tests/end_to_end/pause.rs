//! How long calls wait for a state that changes hands, at most.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use plugbay_loader::{Cause, Explain, Happening, HostBuilder, WatchOptions};
use plugbay_tests::{Turncoat, build, next, turned, until};
use serde_json::json;

const ID: &str = Turncoat::ID;
const SHORT: Duration = Duration::from_millis(300);
/// Far from what a call waits for without a limit on the pause, and far enough
/// from the limit for a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// Nothing else is short.
fn short_pause(host: HostBuilder) -> HostBuilder {
    host.pause_limit(SHORT)
}

#[test]
fn calls_do_not_wait_longer_for_a_version_that_hangs_in_activate() {
    let bed = Turncoat::serving("1 ok ok ok", short_pause);
    bed.count();
    bed.put("1.1.0", "2 ok hang ok");
    thread::scope(|scope| {
        let reload = scope.spawn(|| bed.reload(ID));
        bed.until_it_hangs_in("activate");
        let begin = Instant::now();
        // With the state that it had handed over.
        assert_eq!((bed.count(), bed.number().as_str()), (2, "1"));
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        let error = reload.join().unwrap().unwrap_err();
        assert_eq!(error.code(), "PB1108");
        assert!(error.to_string().contains("not ready 300ms after calls had begun"), "{error}");
        assert!(error.hint().contains("pause_limit"), "{}", error.hint());
    });
    let kept = bed.history().pop().unwrap().happening;
    let Happening::Kept { code, generation: 1, times, .. } = kept else { panic!("{kept:?}") };
    let pause = times.pause.unwrap();
    assert!(code == "PB1108" && pause >= SHORT && pause < SOON, "{code} {pause:?}");
    // It comes too late, and never serves.
    bed.let_go();
    until(|| bed.pinned().is_empty());
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 3));
    bed.replace("1.2.0", "3 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("3", 4));
}

#[test]
fn nor_for_a_state_that_is_not_saved() {
    let bed = Turncoat::serving("1 hang ok ok", short_pause);
    bed.put("1.1.0", "2 ok ok ok");
    let begin = Instant::now();
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB1104", "{message}");
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    bed.let_go();
}

#[test]
fn nor_for_a_save_by_hand() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let persistent = plugbay_tests::with_embedded(&library, |embedded| {
        embedded.manifest.state_persist = true;
    });
    let bed = Turncoat::of(persistent, "1 hang ok ok", short_pause);
    let begin = Instant::now();
    assert_eq!(bed.save(ID).unwrap_err().code(), "PB1104");
    assert_eq!(bed.count(), 1);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    bed.let_go();
}

/// The calls are named, and not the new version.
#[test]
fn nor_for_calls_that_run() {
    let bed = Turncoat::serving("1 ok ok ok", short_pause);
    let (call, gate) = bed.begin_call("sleeper");
    bed.put("1.1.0", "2 ok ok ok");
    let begin = Instant::now();
    let (code, message) = bed.refused_with();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert_eq!(code, "PB1101", "{message}");
    assert!(message.contains("after 300ms: `wait` on thread sleeper ("), "{message}");
    fs::write(gate, "").unwrap();
    call.join().unwrap().unwrap();
}

/// They waited once until its library was closed, and that waits for its threads.
#[test]
fn nor_for_the_end_of_a_version_that_failed() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    bed.put("1.1.0", "2 ok linger ok");
    let (code, message) = bed.refused_with();
    assert_eq!(code, "PB0601", "{message}");
    let told = bed.history().into_iter().rev().find_map(|event| match event.happening {
        Happening::Kept { times, .. } => times.pause,
        _ => None,
    });
    assert!(told.unwrap() < Duration::from_secs(1), "{told:?}");
    assert_eq!(bed.pinned().len(), 1);
    bed.let_go();
    until(|| bed.reload_all().is_ok() && bed.pinned().is_empty());
}

/// Each attempt lets calls wait; it was made twice a second.
#[test]
fn a_file_that_was_too_slow_is_not_tried_again_by_itself() {
    for (old, new, expected) in
        [("1 ok ok ok", "2 ok hang ok", "PB1108"), ("1 error ok ok", "2 ok ok ok", "PB1102")]
    {
        let watch = |host: HostBuilder| short_pause(host).watch(WatchOptions::default());
        let bed = Turncoat::serving(old, watch);
        let events = bed.events();
        bed.put("1.1.0", new);
        next(&events, |happening| matches!(happening, Happening::Kept { .. }));
        // What the same thread does, after it has looked again.
        bed.folder.put(&build("plugbay-plugin-kv"), "kv.so");
        next(&events, |happening| matches!(happening, Happening::Loaded { .. }));
        bed.folder.write("nothing.so", "nothing");
        next(&events, |happening| matches!(happening, Happening::Refused { .. }));
        let kept: Vec<_> = bed
            .history()
            .into_iter()
            .filter_map(|event| match event.happening {
                Happening::Kept { code, cause: Cause::File, .. } => Some(code),
                _ => None,
            })
            .collect();
        assert_eq!(kept, [expected]);
        bed.let_go();
        // Other bytes are.
        if expected == "PB1108" {
            bed.folder.write("turncoat.so", turned_library("1.2.0", "3 ok ok ok"));
            next(&events, |happening| matches!(happening, Happening::Reloaded(_)));
            assert_eq!(bed.call(ID, "number", json!({})).unwrap(), json!("3"));
        }
    }
}

fn turned_library(version: &str, words: &str) -> Vec<u8> {
    turned(&fs::read(build("plugbay-fixture-turncoat")).unwrap(), version, words)
}
