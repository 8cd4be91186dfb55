//! From file to active: one plugin dropped into a running host, and a start
//! with a thousand.
//!
//! The floor, a bare `dlopen` of the same files, runs in the same call, and so do
//! the two steps that nobody can leave out: writing a copy and hashing. Each
//! series has a process of its own, because what is mapped already makes the
//! next mapping slower. The last line is one JSON object.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use plugbay_loader::{Host, Probe};
use plugbay_tests::measure::{in_child, median};
use plugbay_tests::{released, shipped, with_embedded};
use serde_json::json;

const MANY: usize = 1000;
const SINGLES: usize = 120;
/// Not counted: the first ones fault the code in.
const WARM_UP: usize = 20;

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

fn bench() {
    let library = fs::read(shipped("plugbay-plugin-kv")).unwrap();
    let worker = released("plugbay-worker");
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name: &str, count: usize| {
        let folder = scratch.path().join(name);
        fs::create_dir(&folder).unwrap();
        for number in 0..count {
            let copy = with_embedded(&library, |embedded| {
                embedded.manifest.id = format!("n{number}").parse().unwrap();
                // Ids are longer than the one that was there.
                embedded.manifest.description.clear();
            });
            fs::write(folder.join(format!("lib{number:04}.so")), copy).unwrap();
        }
        folder
    };
    let some = folder("some", WARM_UP + SINGLES);
    let many = folder("many", MANY);

    let new_cache = || tempfile::tempdir_in(scratch.path()).unwrap();
    let in_child = |what: &str, folder: &Path, cache: &Path| {
        in_child(&[
            OsStr::new("measure"),
            what.as_ref(),
            folder.as_ref(),
            cache.as_ref(),
            worker.as_ref(),
        ])
    };
    let cold = |what: &str, folder: &Path| in_child(what, folder, new_cache().path());
    let warm_cache = scratch.path().join("warm");
    in_child("single-probed", &some, &warm_cache);
    in_child("start", &many, &warm_cache);
    // Interleaved, so that what disturbs one disturbs all.
    let mut singles: [Vec<f64>; 7] = Default::default();
    let mut starts: [Vec<f64>; 3] = Default::default();
    for _ in 0..5 {
        singles[0].push(cold("single-dlopen", &some));
        singles[1].push(cold("single-unprobed", &some));
        singles[2].push(cold("single-probed", &some));
        singles[3].push(in_child("single-probed", &some, &warm_cache));
        singles[4].push(cold("single-copy", &some));
        singles[5].push(cold("single-hash", &some));
        singles[6].push(cold("first-probed", &some));
        starts[0].push(cold("loop", &many));
        starts[1].push(in_child("start", &many, &warm_cache));
        starts[2].push(cold("start", &many));
    }
    let [dlopen, unprobed, probed, warm, copy, hash, first] = singles.map(median);
    let [loop_ms, warm_ms, cold_ms] = starts.map(|times| median(times) / 1000.0);
    let round = |number: f64| (number * 10.0).round() / 10.0;
    eprintln!("medians: of {SINGLES} files in each of 5 processes, and of 5 starts");
    println!(
        "{}",
        json!({
            "bench": "load",
            "dlopen_us": round(dlopen),
            "cold_unprobed_us": round(unprobed),
            "cold_probed_us": round(probed),
            "warm_us": round(warm),
            "copy_us": round(copy),
            "hash_us": round(hash),
            "first_probed_us": round(first),
            "file_kib": library.len() / 1024,
            "n": MANY,
            "dlopen_loop_ms": round(loop_ms),
            "start_warm_ms": round(warm_ms),
            "start_cold_ms": round(cold_ms),
            "start_warm_ratio": round(warm_ms / loop_ms),
        })
    );
}

/// One figure, in microseconds: of a whole folder, or the median of its files.
fn measure(what: &str, folder: &Path, cache: &Path, worker: &Path) -> f64 {
    let files = files(folder);
    fs::create_dir_all(cache).unwrap();
    let host = |probe| host(folder, cache, worker, probe);
    match what {
        "loop" => timed(|| files.iter().for_each(|file| open(file))),
        "start" => {
            let host = host(Probe::Required);
            timed(|| {
                let report = host.start().unwrap();
                assert!(report.refused.is_empty(), "{}", report.refused[0]);
                assert_eq!(report.active.len(), files.len());
            })
        }
        "first-probed" => {
            let host = host(Probe::Required);
            timed(|| drop(host.load_file(&files[0]).unwrap()))
        }
        "single-dlopen" => each(&files, open),
        "single-unprobed" => {
            let host = host(Probe::Never);
            each(&files, |file| drop(host.load_file(file).unwrap()))
        }
        "single-probed" => {
            let host = host(Probe::Required);
            each(&files, |file| drop(host.load_file(file).unwrap()))
        }
        "single-copy" => {
            let mut number = 0;
            each(&files, |file| {
                number += 1;
                fs::write(cache.join(number.to_string()), fs::read(file).unwrap()).unwrap();
            })
        }
        "single-hash" => each(&files, |file| {
            let content = fs::read(file).unwrap();
            std::hint::black_box(blake3::hash(&content));
        }),
        _ => panic!("{what}"),
    }
}

fn open(file: &Path) {
    // SAFETY: the project's own plugin; its constructors do nothing.
    let library = unsafe { libloading::Library::new(file) }.unwrap();
    // SAFETY: the symbol is only looked up.
    unsafe { library.get::<*const ()>("plugbay_root") }.unwrap();
    std::mem::forget(library);
}

/// A host whose end is not waited for: the process ends with it.
fn host(folder: &Path, cache: &Path, worker: &Path, probe: Probe) -> std::mem::ManuallyDrop<Host> {
    let host = Host::builder()
        .plugin_dir(folder)
        .cache_dir(cache)
        .data_dir(cache.join("data"))
        .worker(worker)
        .probe(probe)
        .build()
        .unwrap();
    std::mem::ManuallyDrop::new(host)
}

fn each(files: &[PathBuf], mut work: impl FnMut(&Path)) -> f64 {
    let times = files.iter().map(|file| timed(|| work(file))).skip(WARM_UP).collect();
    median(times)
}

fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e6
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
