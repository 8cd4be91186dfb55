//! What a call costs that goes to a plugin which may be reloaded at any moment.
//!
//! A bare C function pointer is the floor. The same function under a lease is
//! called in the same rounds; other guards and hot-lib-reloader run in a child
//! process (`tests/compare`) between them, against a bare pointer of their own.
//! The last line is one JSON object.

use std::ffi::c_void;
use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plugbay_loader::{Host, PluginHandle};
use plugbay_tests::{Folder, compare, released, shipped};
use serde_json::{Value, json};

const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(10);
/// Calls between two looks at whether the round is over.
const CHUNK: u64 = 1000;

type Answer = extern "C" fn(u64) -> u64;

fn main() {
    let folder = Folder::new();
    let library = folder.put(&shipped("plugbay-fixture-answer"), "libanswer.so");
    let host = folder.host().worker(released("plugbay-worker")).build().unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);

    let alone = measure(&host, 1, &library);
    let together = measure(&host, 2, &library);
    let round = |number: f64| (number * 100.0).round() / 100.0;
    let peers_of = |measured: &Measured, key: &str| {
        let peer = |key: &str| measured.peers[key].as_f64().unwrap();
        round(peer(key) / peer("bare_pointer_ns"))
    };
    println!(
        "{}",
        json!({
            "bench": "calls",
            "bare_pointer_ns": round(alone.bare),
            "guarded_pointer_ns": round(alone.guarded),
            "guard_ratio": round(alone.guarded / alone.bare),
            "nested_pointer_ns": round(alone.nested),
            "json_call_ns": round(alone.json),
            "threads2_bare_pointer_ns": round(together.bare),
            "threads2_guarded_pointer_ns": round(together.guarded),
            "threads2_guard_ratio": round(together.guarded / together.bare),
            "threads2_json_call_ns": round(together.json),
            "arcswap_ratio": peers_of(&alone, "arcswap_ns"),
            "rwlock_ratio": peers_of(&alone, "rwlock_parking_lot_ns"),
            "epoch_ratio": peers_of(&alone, "epoch_ns"),
            "hot_lib_reloader_ratio": peers_of(&alone, "hot_lib_reloader_ns"),
            "threads2_arcswap_ratio": peers_of(&together, "arcswap_ns"),
            "threads2_rwlock_ratio": peers_of(&together, "rwlock_parking_lot_ns"),
            "threads2_hot_lib_reloader_ratio": peers_of(&together, "hot_lib_reloader_ns"),
        })
    );
}

/// Medians, in nanoseconds a call.
struct Measured {
    bare: f64,
    guarded: f64,
    nested: f64,
    json: f64,
    peers: Value,
}

fn measure(host: &Host, threads: usize, library: &Path) -> Measured {
    let handle = host.plugin("answer").unwrap();
    let (_, bare) = look_up(&handle);
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut peers = Value::Null;
    // The first round is not counted: it faults code in.
    for round in 0..=ROUNDS {
        let results = [
            in_threads(threads, || move |argument| black_box(bare)(argument)),
            in_threads(threads, || guarded(&handle)),
            in_threads(threads, || nested(&handle)),
            in_threads(threads, || {
                |argument: u64| {
                    let sum = host.call("answer", "answer", argument.into()).unwrap();
                    sum.as_u64().unwrap()
                }
            }),
        ];
        if round > 0 {
            times.iter_mut().zip(results).for_each(|(times, result)| times.push(result));
        }
        if round == ROUNDS / 2 {
            let number = threads.to_string();
            let library = library.to_str().unwrap();
            peers = compare(&["calls", "--threads", &number, "--library", library]);
        }
    }
    let [bare, guarded, nested, json] = times.map(median);
    Measured { bare, guarded, nested, json, peers }
}

fn as_answer(symbol: *const c_void) -> Answer {
    // SAFETY: the fixture's function of that name.
    unsafe { std::mem::transmute::<*const c_void, Answer>(symbol) }
}

/// As a caller does that keeps a function of a plugin: it is looked up again
/// when another generation serves.
fn guarded(handle: &PluginHandle) -> impl FnMut(u64) -> u64 + '_ {
    let (mut generation, mut answer) = look_up(handle);
    move |argument| loop {
        let lease = handle.enter().unwrap();
        if lease.generation() == generation {
            return answer(argument);
        }
        drop(lease);
        (generation, answer) = look_up(handle);
    }
}

#[cold]
fn look_up(handle: &PluginHandle) -> (u64, Answer) {
    let lease = handle.enter().unwrap();
    (lease.generation(), as_answer(lease.symbol("answer_c").unwrap()))
}

/// The same inside of another lease, as a plugin that calls a plugin does.
fn nested(handle: &PluginHandle) -> impl FnMut(u64) -> u64 + '_ {
    let (_, answer) = look_up(handle);
    let outer = handle.enter().unwrap();
    move |argument| {
        black_box(&outer);
        let inner = handle.enter().unwrap();
        black_box(&inner);
        answer(argument)
    }
}

/// What a call takes as one of the threads sees it: the mean of the threads' own
/// means. By the clock and not by the number of calls, so that no thread is
/// without its rivals at the end.
fn in_threads<C: FnMut(u64) -> u64>(threads: usize, make: impl Fn() -> C + Sync) -> f64 {
    let over = AtomicBool::new(false);
    let together = Barrier::new(threads + 1);
    let one = || {
        let mut call = make();
        together.wait();
        let begin = Instant::now();
        let mut calls = 0;
        while !over.load(Ordering::Relaxed) {
            for argument in 0..CHUNK {
                black_box(call(black_box(argument)));
            }
            calls += CHUNK;
        }
        begin.elapsed().as_nanos() as f64 / calls as f64
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        together.wait();
        thread::sleep(ROUND);
        over.store(true, Ordering::Relaxed);
        running.into_iter().map(|thread| thread.join().unwrap()).sum::<f64>() / threads as f64
    })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
