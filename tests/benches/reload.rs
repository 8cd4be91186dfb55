//! From the finished write of a file to the first call that its code answers, and
//! what callers notice of thousands of reloads.
//!
//! The floor is the same swap by hand, without watching and without safety; it
//! and the peers run in child processes (`tests/compare`) on the same files, in
//! the same run. The last line is one JSON object.

use std::ffi::c_void;
use std::fs;
use std::hint::black_box;
use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plugbay_loader::{Event, Events, Happening, Host, PluginHandle, Probe, Times, WatchOptions};
use plugbay_tests::{Folder, compare, released, shipped, with_embedded, with_section};
use serde_json::json;

const ROUNDS: usize = 41;
/// Between two writes, as the peers have it.
const PAUSE: Duration = Duration::from_millis(120);
const RELOADS: u64 = 2000;
const CALLERS: usize = 4;
const CALLS: u64 = 50_000_000;
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = extern "C" fn(u64) -> u64;

fn main() {
    let library = fs::read(shipped("plugbay-fixture-answer")).unwrap();
    let large = with_ballast(&library);
    let round = |number: f64| (number * 1000.0).round() / 1000.0;

    let scratch = tempfile::tempdir().unwrap();
    let small = Series::new(&library);
    let big = Series::new(&large);
    let files = |library: &[u8], name: &str| {
        [1, 2].map(|number| {
            let path = scratch.path().join(format!("{name}{number}.so"));
            fs::write(&path, numbered(library, number)).unwrap();
            path
        })
    };
    let small_files = files(&library, "small");
    let large_files = files(&large, "large");

    let (mut known, mut probed, mut large_known, mut large_probed) =
        (vec![], vec![], vec![], vec![]);
    let (mut floor, mut large_floor) = (vec![], vec![]);
    let (mut known_times, mut probed_times) = (vec![], vec![]);
    // Interleaved, so that what disturbs one disturbs all. The large files come after
    // all small ones, as the system still writes them to the disk a good while later.
    for _ in 0..3 {
        let rounds = ROUNDS / 3 + 1;
        floor.push(floor_of(&small_files, rounds));
        small.told();
        known.extend(small.known(rounds));
        known_times.extend(small.told());
        probed.extend(small.probed(rounds));
        probed_times.extend(small.told());
        floor.push(floor_of(&small_files, rounds));
    }
    for _ in 0..3 {
        let rounds = ROUNDS / 6 + 1;
        large_floor.push(floor_of(&large_files, rounds));
        large_known.extend(big.known(rounds));
        large_probed.extend(big.probed(rounds));
        large_floor.push(floor_of(&large_files, rounds));
    }
    let peers = peers(&small_files);
    let [floor, known, probed] = [floor, known, probed].map(median);
    let [large_floor, large_known, large_probed] =
        [large_floor, large_known, large_probed].map(median);
    let stress = stress(&library);
    let (pause, save) = stateful_pause();
    println!(
        "{}",
        json!({
            "bench": "reload",
            "file_kib": library.len() / 1024,
            "floor_ms": round(floor),
            "known_file_ms": round(known),
            "probed_file_ms": round(probed),
            "ratio_to_floor": round(known / floor),
            "known_split_us": split(&known_times),
            "probed_split_us": split(&probed_times),
            "large_file_kib": large.len() / 1024,
            "large_floor_ms": round(large_floor),
            "large_known_file_ms": round(large_known),
            "large_probed_file_ms": round(large_probed),
            "large_ratio_to_floor": round(large_known / large_floor),
            "hot_lib_reloader_default_ms": peers["hot_lib_reloader_default_ms"],
            "hot_lib_reloader_best_ms": peers["hot_lib_reloader_best_ms"],
            "hot_lib_reloader_busy_reloads": peers["hot_lib_reloader_busy_reloads"],
            "hot_lib_reloader_busy_writes": peers["hot_lib_reloader_busy_writes"],
            "reloads": stress.reloads,
            "callers": CALLERS,
            "calls": stress.calls,
            "failed": stress.failed,
            "wrong": stress.wrong,
            "longest_stall_us": stress.longest_stall_us,
            "stress_seconds": round(stress.seconds),
            "stateful_pause_us": round(pause),
            "stateful_save_us": round(save),
        })
    );
}

/// The library, whose function adds this number.
fn numbered(library: &[u8], number: u64) -> Vec<u8> {
    with_section(library, ".answer", &number.to_ne_bytes())
}

/// The library with 25 MB that are in the file and not in memory, as debug
/// information is.
fn with_ballast(library: &[u8]) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let mut seed = 1_u64;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    });
    fs::write(path("ballast"), noise.take(25 << 20).collect::<Vec<_>>()).unwrap();
    fs::write(path("in.so"), library).unwrap();
    let section = format!(".ballast={}", path("ballast").display());
    let done = std::process::Command::new("objcopy")
        .args(["--add-section", &section])
        .args([path("in.so"), path("out.so")])
        .status()
        .unwrap();
    assert!(done.success());
    fs::read(path("out.so")).unwrap()
}

fn floor_of([a, b]: &[PathBuf; 2], rounds: usize) -> f64 {
    let rounds = rounds.to_string();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let said = compare(&[
        "reload",
        "--library",
        a,
        "--library",
        b,
        "--rounds",
        &rounds,
        "--only",
        "floor",
    ]);
    said["floor_ms"].as_f64().unwrap()
}

fn peers([a, b]: &[PathBuf; 2]) -> serde_json::Value {
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let mut all = serde_json::Map::new();
    for series in ["hot-lib-reloader-default", "hot-lib-reloader-best", "hot-lib-reloader-busy"] {
        let said =
            compare(&["reload", "--library", a, "--library", b, "--rounds", "7", "--only", series]);
        all.extend(said.as_object().unwrap().clone());
    }
    all.into()
}

/// A host that watches a folder with the plugin in it.
struct Served {
    folder: Folder,
    host: Host,
    handle: PluginHandle,
}

impl Served {
    fn new(library: &[u8]) -> Self {
        let folder = Folder::new();
        folder.write("libanswer.so", numbered(library, 1));
        let host = folder
            .host()
            .worker(released("plugbay-worker"))
            .probe(Probe::Required)
            .watch(WatchOptions::default())
            .build()
            .unwrap();
        let report = host.start().unwrap();
        assert!(report.refused.is_empty(), "{}", report.refused[0]);
        let handle = host.plugin("answer").unwrap();
        Self { folder, host, handle }
    }

    /// Puts a version into the folder by a rename, and says when that began: the
    /// thread that renames may well not run again before the host has reloaded.
    /// Over no other file, because some file systems then write the new one to
    /// the disk first, which is nobody's time here.
    fn put(&self, content: &[u8]) -> Instant {
        let (aside, path) =
            (self.folder.beside("next.so"), self.folder.plugins().join("libanswer.so"));
        fs::write(&aside, content).unwrap();
        fs::remove_file(&path).unwrap();
        let begin = Instant::now();
        fs::rename(aside, path).unwrap();
        begin
    }
}

struct Series {
    served: Served,
    library: Vec<u8>,
    next: AtomicU64,
    events: Events,
}

impl Series {
    fn new(library: &[u8]) -> Self {
        let served = Served::new(library);
        let events = served.host.events();
        Self { served, library: library.to_vec(), next: AtomicU64::new(100), events }
    }

    /// Milliseconds until a caller sees files whose content was loaded before.
    fn known(&self, rounds: usize) -> Vec<f64> {
        for number in [2, 1] {
            self.until_seen(number);
        }
        (0..rounds).map(|round| self.until_seen(2 - (round as u64 & 1))).collect()
    }

    /// The same for files that nobody has ever seen.
    fn probed(&self, rounds: usize) -> Vec<f64> {
        (0..rounds).map(|_| self.until_seen(self.next.fetch_add(1, Ordering::Relaxed))).collect()
    }

    /// What the host says of the reloads since it was asked last.
    fn told(&self) -> Vec<Times> {
        let of = |event: Event| match event.happening {
            Happening::Reloaded(reloaded) => Some(reloaded.times),
            _ => None,
        };
        iter::from_fn(|| self.events.next_within(Duration::ZERO)).filter_map(of).collect()
    }

    fn until_seen(&self, number: u64) -> f64 {
        let content = numbered(&self.library, number);
        thread::sleep(PAUSE);
        let handle = &self.served.handle;
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let mut call = caller(handle);
                let begin = Instant::now();
                while call(0) != number {
                    assert!(begin.elapsed() < PATIENCE, "{number} does not come");
                }
                Instant::now()
            });
            let written = self.served.put(&content);
            caller.join().unwrap().saturating_duration_since(written).as_secs_f64() * 1000.0
        })
    }
}

/// Where the time went: medians, in microseconds.
fn split(times: &[Times]) -> serde_json::Value {
    let middle = |part: fn(&Times) -> Option<Duration>| {
        let micros = times.iter().filter_map(part).map(|it| it.as_secs_f64() * 1e6);
        median(micros.collect()).round()
    };
    json!({
        "detect": middle(|times| times.detect),
        "verify": middle(|times| times.verify),
        "probe": middle(|times| times.probe),
        "load": middle(|times| times.load),
        "activate": middle(|times| times.activate),
    })
}

/// Keeps the function of the generation that serves, as a program would.
fn caller(handle: &PluginHandle) -> impl FnMut(u64) -> u64 + '_ {
    let mut known: Option<(u64, Answer)> = None;
    move |argument| {
        let lease = handle.enter().unwrap();
        let answer = match known {
            Some((generation, answer)) if generation == lease.generation() => answer,
            _ => {
                let symbol = lease.symbol("answer_c").unwrap();
                // SAFETY: the fixture's function of that name.
                let answer = unsafe { std::mem::transmute::<*const c_void, Answer>(symbol) };
                known = Some((lease.generation(), answer));
                answer
            }
        };
        answer(argument)
    }
}

struct Stress {
    reloads: u64,
    calls: u64,
    failed: u64,
    wrong: u64,
    longest_stall_us: u64,
    seconds: f64,
}

/// More callers than cores that never rest, while one version follows the other.
fn stress(library: &[u8]) -> Stress {
    let served = Served::new(library);
    let over = AtomicBool::new(false);
    let [calls, failed, wrong, stall] = [(); 4].map(|()| AtomicU64::new(0));
    let begin = Instant::now();
    let mut reloads = 0;
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut call = caller(&served.handle);
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    for argument in 0..64_u64 {
                        let version = call(black_box(argument)).wrapping_sub(argument);
                        // Whoever has seen a version never sees an earlier one.
                        if version < last || version > 1_000_000 {
                            wrong.fetch_add(1, Ordering::Relaxed);
                        }
                        last = version;
                    }
                    let took = u64::try_from(begin.elapsed().as_micros()).unwrap();
                    stall.fetch_max(took, Ordering::Relaxed);
                    // By way of the host's own front door, too.
                    if calls.fetch_add(64, Ordering::Relaxed) % 65_536 == 0
                        && served.host.call("answer", "answer", json!(0)).is_err()
                    {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let events = served.host.events();
        let mut number = 1000;
        while reloads < RELOADS || calls.load(Ordering::Relaxed) < CALLS {
            number += 1;
            served.put(&numbered(library, number));
            let mut reloaded = false;
            while !reloaded {
                let event = events.next_within(PATIENCE).expect("an event");
                reloaded = matches!(event.happening, Happening::Reloaded(_));
                if matches!(event.happening, Happening::Kept { .. } | Happening::Refused { .. }) {
                    failed.fetch_add(1, Ordering::Relaxed);
                    reloaded = true;
                }
            }
            reloads += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    Stress {
        reloads,
        calls: calls.into_inner(),
        failed: failed.into_inner(),
        wrong: wrong.into_inner(),
        longest_stall_us: stall.into_inner(),
        seconds: begin.elapsed().as_secs_f64(),
    }
}

/// Microseconds that calls of kv wait at most, with 1,000 entries, and how many
/// of those it saves. Medians.
fn stateful_pause() -> (f64, f64) {
    let library = fs::read(shipped("plugbay-plugin-kv")).unwrap();
    let version = |minor: usize| {
        with_embedded(&library, |embedded| {
            embedded.manifest.version = format!("9.{minor}.0").parse().unwrap();
            embedded.manifest.description.clear();
        })
    };
    let folder = Folder::new();
    folder.write("libkv.so", version(0));
    let host = folder.host().worker(released("plugbay-worker")).build().unwrap();
    host.start().unwrap();
    for number in 0..1000 {
        let arguments = json!({"key": format!("key {number}"), "by": number});
        host.call("kv", "increment", arguments).unwrap();
    }
    let (mut pauses, mut saves) = (vec![], vec![]);
    for minor in 1..=ROUNDS {
        folder.write("libkv.so", version(minor));
        let plugbay_loader::Outcome::Reloaded(reloaded) = host.reload("kv").unwrap() else {
            panic!("not reloaded");
        };
        pauses.push(reloaded.times.pause.unwrap().as_secs_f64() * 1e6);
        saves.push(reloaded.times.save.unwrap().as_secs_f64() * 1e6);
    }
    (median(pauses), median(saves))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
