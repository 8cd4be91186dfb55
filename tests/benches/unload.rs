//! What a thousand reloads leave behind: libraries, mappings and memory.
//!
//! Each generation is called from the main thread and from one that lives on, and
//! leaves there what a library can: thread-locals with destructors, channels,
//! threads joined and detached, the handle of the current thread. The last line
//! is one JSON object.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use plugbay_loader::{Host, Probe};
use plugbay_tests::{released, shipped};
use serde_json::json;

const RELOADS: usize = 1000;
/// Not counted: allocators and tables grow to their size.
const WARM_UP: usize = 200;

fn main() {
    let library = shipped("plugbay-fixture-residue");
    let scratch = tempfile::tempdir().unwrap();
    let plugins = scratch.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(library, plugins.join("libresidue.so")).unwrap();
    let host = Host::builder()
        .plugin_dir(&plugins)
        .cache_dir(scratch.path().join("cache"))
        .data_dir(scratch.path().join("data"))
        .worker(released("plugbay-worker"))
        .probe(Probe::Required)
        .build()
        .unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);

    let (calls, receiver) = mpsc::channel();
    let there = host.clone();
    let worker = thread::spawn(move || {
        for done in receiver {
            use_all(&there);
            let _: Result<(), mpsc::SendError<()>> = mpsc::Sender::send(&done, ());
        }
    });
    let mut unloads = Vec::new();
    let mut round = || {
        use_all(&host);
        let (done, wait) = mpsc::channel();
        calls.send(done).unwrap();
        wait.recv().unwrap();
        let begin = Instant::now();
        let unloaded = host.unload("residue").unwrap();
        unloads.push(begin.elapsed());
        assert!(unloaded.failures.is_empty(), "{:?}", unloaded.failures);
        host.load("residue").unwrap();
    };
    (0..WARM_UP).for_each(|_| round());
    let before = (rss_kib(), mappings());
    (0..RELOADS).for_each(|_| round());
    let after = (rss_kib(), mappings());
    // What the C library keeps for later: stacks of ended threads, and pools of
    // its allocator, up to a limit of each.
    let pools = |maps: &[String]| maps.iter().filter(|line| !line.contains('/')).count() as i64;
    host.unload("residue").unwrap();
    let cache = scratch.path().join("cache").to_string_lossy().into_owned();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapped_left = maps.lines().filter(|line| line.contains(&cache)).count();
    let pinned = host.pinned().len();
    drop(calls);
    worker.join().unwrap();
    drop(host);

    unloads.drain(..WARM_UP);
    unloads.sort();
    let at = |percent: usize| micros(unloads[(unloads.len() - 1) * percent / 100]);
    println!(
        "{}",
        json!({
            "bench": "unload",
            "reloads": RELOADS,
            "mapped_left": mapped_left,
            "pinned": pinned,
            "rss_growth_kib": after.0 - before.0,
            "maps_growth": after.1.len() as i64 - before.1.len() as i64,
            "maps_growth_pools": pools(&after.1) - pools(&before.1),
            "unload_median_us": at(50),
            "unload_p99_us": at(99),
        })
    );
}

fn use_all(host: &Host) {
    for command in ["locals", "current", "channel", "joined"] {
        host.call("residue", command, json!("bench")).unwrap();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

fn rss_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn mappings() -> Vec<String> {
    fs::read_to_string("/proc/self/maps").unwrap().lines().map(str::to_owned).collect()
}
