//! Which of a thousand plugins run: the decision alone, and a start with all that it
//! orders, beside a bare `dlopen` of the same files.
//!
//! Each series has a process of its own, because what is mapped already makes the next
//! mapping slower. The last line is one JSON object.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plugbay_loader::manifest::source::{CrateDefaults, Source};
use plugbay_loader::{Host, Offer, Policy, Probe, Profile};
use plugbay_resolve::decide;
use plugbay_tests::measure::{in_child, median};
use plugbay_tests::{piece_of, released, shipped};
use serde_json::json;

const PLUGINS: usize = 1000;
const DEPENDENCIES: usize = 5000;

/// Counts what the host has, and not what plugins have, whose allocator is their own.
struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HEAP.fetch_add(size, Ordering::Relaxed);
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("measure") => {
            let [what, folder, cache, worker] = &arguments[2..6] else { panic!("{arguments:?}") };
            let [folder, cache, worker] = [folder, cache, worker].map(Path::new);
            println!("{}", measure(what, folder, cache, worker));
        }
        _ => bench(),
    }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        // Knuth's linear congruence, of which the upper bits are good enough here.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// The id, and the rest of the manifest, of a thousand plugins: each needs five of those
/// after it.
fn plugins() -> Vec<(String, String)> {
    let mut chance = Chance(1);
    let each = DEPENDENCIES / PLUGINS;
    // The last ones have fewer after them, and others have more for that.
    let mut left = DEPENDENCIES;
    (0..PLUGINS)
        .map(|number| {
            let after = PLUGINS - number - 1;
            let count =
                if number < PLUGINS - 10 { (each + usize::from(number < 50)).min(left) } else { 0 };
            let mut others = std::collections::BTreeSet::new();
            while others.len() < count.min(after) {
                others.insert(number + 1 + chance.below(after.min(100)));
            }
            left -= others.len();
            let mut text = "[dependencies]\n".to_owned();
            for other in others {
                writeln!(text, "p{other:04} = \"^1.{}\"", chance.below(2)).unwrap();
            }
            (format!("p{number:04}"), text)
        })
        .collect()
}

/// As hard as folders are: two versions of each, of which some need the older one, kinds,
/// conflicts.
fn offers(hard: bool) -> Vec<Offer> {
    let mut chance = Chance(2);
    let mut offers = Vec::new();
    for (id, more) in plugins() {
        let mut put = |version: &str, more: &str| {
            let text = format!("id = \"{id}\"\nversion = \"{version}\"\n{more}");
            let source = Source::parse(&text, &CrateDefaults::default()).unwrap();
            offers.push(Offer {
                path: format!("{id}-{version}.so").into(),
                rank: 0,
                hash: format!("{id}-{version}"),
                manifest: Arc::new(source.manifest().clone()),
            });
        };
        if hard {
            let platform = chance.below(20);
            let head = format!(
                "kinds = [{{ id = \"data_source\", source = \"s{}\" }}]\n\
                 conflicts = [\"p{platform:04}@^2\"]\n",
                chance.below(700)
            );
            put("2.0.0", &format!("{head}{more}"));
            put("1.1.0", &more);
        } else {
            put("1.1.0", &more);
        }
    }
    offers
}

fn bench() {
    let easy = offers(false);
    let hard = offers(true);
    let dependencies: usize = easy.iter().map(|offer| offer.manifest.dependencies.len()).sum();
    let mut policy = Policy::new(semver::Version::new(1, 0, 0));
    let resolve_ms = median_of(21, || {
        let decision = decide(&easy, &[], &policy);
        assert_eq!(decision.run.len(), PLUGINS);
    });
    policy.kinds = Profile::MachineLearning.kinds();
    let mut run = 0;
    let hard_ms = median_of(21, || run = decide(&hard, &[], &policy).run.len());

    let library = fs::read(shipped("plugbay-fixture-piece")).unwrap();
    let worker = released("plugbay-worker");
    let scratch = tempfile::tempdir().unwrap();
    let [eager, lazy] = ["plugins", "lazy"].map(|name| scratch.path().join(name));
    for (folder, head) in [(&eager, ""), (&lazy, "activation = \"on-demand\"\n")] {
        fs::create_dir(folder).unwrap();
        for (id, more) in plugins() {
            let plugin = piece_of(&library, &id, "1.1.0", &format!("{head}{more}"));
            fs::write(folder.join(format!("{id}.so")), plugin).unwrap();
        }
    }
    let in_child = |what: &str| {
        let folder = if what == "lazy" { &lazy } else { &eager };
        // Two programs: each finds what its last start has left.
        let cache = folder.with_extension("cache");
        let measure = OsStr::new("measure");
        in_child(&[measure, what.as_ref(), folder.as_ref(), cache.as_ref(), worker.as_ref()])
    };
    in_child("start");
    in_child("lazy");
    let mut series: [Vec<f64>; 4] = Default::default();
    for _ in 0..5 {
        series[0].push(in_child("loop"));
        series[1].push(in_child("start"));
        series[2].push(in_child("heap"));
        series[3].push(in_child("lazy"));
    }
    let [loop_ms, start_ms, heap, lazy_ms] = series.map(median);
    let round = |number: f64| (number * 100.0).round() / 100.0;
    println!(
        "{}",
        json!({
            "bench": "resolve",
            "plugins": PLUGINS,
            "dependencies": dependencies,
            "resolve_ms": round(resolve_ms),
            "hard_files": hard.len(),
            "hard_run": run,
            "hard_resolve_ms": round(hard_ms),
            "start_1000_ms": round(start_ms),
            "dlopen_loop_ms": round(loop_ms),
            "start_ratio": round(start_ms / loop_ms),
            "lazy_start_ms": round(lazy_ms),
            "lazy_ratio": round(lazy_ms / loop_ms),
            "heap_per_idle_plugin_kib": round(heap),
        })
    );
}

/// Milliseconds, or KiB for each plugin.
fn measure(what: &str, folder: &Path, cache: &Path, worker: &Path) -> f64 {
    fs::create_dir_all(cache).unwrap();
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    if what == "loop" {
        return timed(|| files.iter().for_each(|file| open(file)));
    }
    let host = Host::builder()
        .plugin_dir(folder)
        .cache_dir(cache)
        .data_dir(cache.join("data"))
        .worker(worker)
        .probe(Probe::Required)
        .build()
        .unwrap();
    // Its end is not waited for: the process ends with it.
    let host = std::mem::ManuallyDrop::new(host);
    let before = HEAP.load(Ordering::Relaxed);
    let time = timed(|| {
        let report = host.start().unwrap();
        assert!(report.refused.is_empty(), "{}", report.refused[0]);
        let there = if what == "lazy" { &report.on_demand } else { &report.active };
        assert_eq!(there.len(), files.len());
    });
    if what != "heap" {
        return time;
    }
    let heap = HEAP.load(Ordering::Relaxed) - before;
    heap as f64 / 1024.0 / files.len() as f64
}

fn open(file: &Path) {
    // SAFETY: the project's own fixture; its constructors do nothing.
    let library = unsafe { libloading::Library::new(file) }.unwrap();
    // SAFETY: the symbol is only looked up.
    unsafe { library.get::<*const ()>("plugbay_root") }.unwrap();
    std::mem::forget(library);
}

fn median_of(times: usize, mut work: impl FnMut()) -> f64 {
    median((0..times).map(|_| timed(&mut work)).collect())
}

fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e3
}
