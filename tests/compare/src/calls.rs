//! Nanoseconds a call of the same small function, under each guard.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_epoch as epoch;
use serde_json::{Value, json};

use crate::by_hand::{self, Answer};
use crate::live::{self, Live};
use crate::reload::median;

const ROUNDS: usize = 31;
/// Of one guard in one round: some 5 million bare calls. Short, so that the median is
/// of rounds that nothing else disturbed.
const ROUND: Duration = Duration::from_millis(10);
/// Calls between two looks at whether the round is over.
const CHUNK: u64 = 1000;

/// What a guard guards.
struct Plugin {
    answer: Answer,
}

/// All of them, interleaved, so that what disturbs one disturbs all.
pub fn measure(threads: u64, library: &Path) -> Result<Value, Box<dyn Error>> {
    let answer = by_hand::load(library)?;
    let swapped = ArcSwap::from_pointee(Plugin { answer });
    let std_locked = std::sync::RwLock::new(Plugin { answer });
    let parking_lot_locked = parking_lot::RwLock::new(Plugin { answer });
    let in_epoch = epoch::Atomic::new(Plugin { answer });
    let counted = Arc::new(Plugin { answer });
    let live = Live::new(&[library.to_owned(), library.to_owned()])?;
    live::watch(&live.folder());

    let mut times: [Vec<f64>; 7] = Default::default();
    // The first round is not counted: it faults code in, and hot-lib-reloader
    // loads its library in its first call.
    for round in 0..=ROUNDS {
        let results = [
            in_threads(threads, |argument| black_box(answer)(argument)),
            in_threads(threads, |argument| (swapped.load().answer)(argument)),
            in_threads(threads, |argument| {
                (std_locked.read().expect("nobody panics").answer)(argument)
            }),
            in_threads(threads, |argument| (parking_lot_locked.read().answer)(argument)),
            in_threads(threads, |argument| {
                let guard = epoch::pin();
                // SAFETY: it is never null, and stays while `in_epoch` does.
                let plugin = unsafe { in_epoch.load(Ordering::Acquire, &guard).deref() };
                (plugin.answer)(argument)
            }),
            in_threads(threads, |argument| (Arc::clone(&counted).answer)(argument)),
            in_threads(threads, crate::hot::default_settings::answer),
        ];
        if round > 0 {
            times.iter_mut().zip(results).for_each(|(times, result)| times.push(result));
        }
    }
    // SAFETY: the threads that used it have ended.
    drop(unsafe { in_epoch.into_owned() });

    let [bare, arcswap, std_rwlock, parking_lot, epoch, arc_clone, hot] =
        times.map(|times| (median(times) * 100.0).round() / 100.0);
    Ok(json!({
        "bench": "compare calls",
        "threads": threads,
        "rounds": ROUNDS,
        "bare_pointer_ns": bare,
        "arcswap_ns": arcswap,
        "rwlock_std_ns": std_rwlock,
        "rwlock_parking_lot_ns": parking_lot,
        "epoch_ns": epoch,
        "arc_clone_ns": arc_clone,
        "hot_lib_reloader_ns": hot,
    }))
}

/// What a call takes as one of the threads sees it: the mean of the threads' own
/// means. By the clock and not by the number of calls, so that no thread is
/// without its rivals at the end.
fn in_threads(threads: u64, call: impl Fn(u64) -> u64 + Sync) -> f64 {
    let over = AtomicBool::new(false);
    let together = Barrier::new(threads as usize + 1);
    let one = || {
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
        let means = running.into_iter().map(|thread| thread.join().expect("nobody panics"));
        means.sum::<f64>() / threads as f64
    })
}
