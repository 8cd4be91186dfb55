//! From the finished write of a new library to the first call that it answers.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::by_hand::{self, Pointer};
use crate::dynamic::{self, Plugins};
use crate::hot::{best_settings, default_settings};
use crate::live::{self, Live};

const BUSY_CALLERS: u64 = 4;
const BUSY: Duration = Duration::from_secs(10);
/// Longer than the slowest debounce, so that each write could be seen.
const BUSY_WRITE_EVERY: Duration = Duration::from_secs(1);
/// After this a reload counts as missed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be measured by itself.
#[derive(Clone, Copy, ValueEnum)]
pub enum Series {
    /// Copy, dlopen, dlsym, store: no watching, no safety
    Floor,
    /// hot-lib-reloader at its default, a debounce of 500 ms
    HotLibReloaderDefault,
    /// hot-lib-reloader at a debounce of 1 ms
    HotLibReloaderBest,
    /// hot-lib-reloader at its default under 4 threads that always call
    HotLibReloaderBusy,
    /// dynamic_reload at its documentation's debounce of 2 s
    DynamicReloadDefault,
    /// dynamic_reload at a debounce of 1 ms
    DynamicReloadBest,
}

/// One series is measured here; more have a process each, because the watchers
/// of one never end and disturb the next.
pub fn measure(
    libraries: &[PathBuf; 2],
    rounds: u64,
    only: &[Series],
) -> Result<Value, Box<dyn Error>> {
    let mut object = Map::new();
    object.insert("bench".into(), json!("compare reload"));
    object.insert("rounds".into(), json!(rounds));
    object.insert("library_bytes".into(), json!(std::fs::metadata(&libraries[0])?.len()));
    match only {
        [one] => object.extend(one.measure(libraries, rounds)?),
        [] => object.extend(in_children(libraries, rounds, Series::value_variants())?),
        some => object.extend(in_children(libraries, rounds, some)?),
    }
    Ok(Value::Object(object))
}

/// The middle one.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn in_children(
    libraries: &[PathBuf; 2],
    rounds: u64,
    what: &[Series],
) -> Result<Map<String, Value>, Box<dyn Error>> {
    let mut all = Map::new();
    for series in what {
        let name = series.to_possible_value().ok_or("a series without a name")?;
        eprintln!("{}", name.get_name());
        let output = Command::new(std::env::current_exe()?)
            .args(["reload", "--rounds", &rounds.to_string(), "--only", name.get_name()])
            .arg("--library")
            .arg(&libraries[0])
            .arg("--library")
            .arg(&libraries[1])
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}: {said}", name.get_name(), output.status).into());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().ok_or("a child that says nothing")?;
        all.extend(serde_json::from_str::<Map<String, Value>>(last)?);
    }
    Ok(all)
}

impl Series {
    fn measure(
        self,
        libraries: &[PathBuf; 2],
        rounds: u64,
    ) -> Result<Map<String, Value>, Box<dyn Error>> {
        let live = Live::new(libraries)?;
        live::watch(&live.folder());
        match self {
            Self::Floor => {
                let pointer = Arc::new(Pointer::new(by_hand::load(&live.library())?));
                let called = pointer.clone();
                let answers = caller(move || called.call(0));
                let mut number = 0;
                let swap = |library: &Path| {
                    number += 1;
                    pointer.swap(library, &live.beside(&format!("copy-{number}.so")))
                };
                reloads("floor", &live, rounds, Duration::ZERO, &answers, swap)
            }
            Self::HotLibReloaderDefault => {
                let answers = caller(|| default_settings::answer(0));
                let tick = Duration::from_millis(500) / 4;
                reloads("hot_lib_reloader_default", &live, rounds, tick, &answers, watched)
            }
            Self::HotLibReloaderBest => {
                let answers = caller(|| best_settings::answer(0));
                let tick = Duration::from_millis(1) / 4;
                reloads("hot_lib_reloader_best", &live, rounds, tick, &answers, watched)
            }
            Self::HotLibReloaderBusy => busy(&live),
            Self::DynamicReloadDefault => {
                let mut plugins = Plugins::new(&live, dynamic::DEFAULT)?;
                let answers = caller(move || plugins.call());
                let tick = dynamic::DEFAULT / 4;
                reloads("dynamic_reload_default", &live, rounds, tick, &answers, watched)
            }
            Self::DynamicReloadBest => {
                let mut plugins = Plugins::new(&live, dynamic::BEST)?;
                let answers = caller(move || plugins.call());
                let tick = dynamic::BEST / 4;
                reloads("dynamic_reload_best", &live, rounds, tick, &answers, watched)
            }
        }
    }
}

/// What is done after a write for those that see it themselves.
fn watched(_library: &Path) -> Result<(), Box<dyn Error>> {
    Ok(())
}

/// A thread that calls without a pause, and says when the answer is another one.
fn caller(mut call: impl FnMut() -> u64 + Send + 'static) -> Receiver<(u64, Instant)> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut seen = 0;
        loop {
            let answer = call();
            if answer != seen {
                let now = Instant::now();
                seen = answer;
                if sender.send((answer, now)).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

fn reloads(
    name: &str,
    live: &Live,
    rounds: u64,
    tick: Duration,
    answers: &Receiver<(u64, Instant)>,
    mut after_write: impl FnMut(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<Map<String, Value>, Box<dyn Error>> {
    let (mut seen, _) = answers.recv_timeout(PATIENCE)?;
    let mut times = Vec::new();
    let mut missed = 0;
    for round in 0..rounds {
        // The peers look at a fixed beat, from the moment on at which they
        // started. Writes come evenly spread over it, in golden steps; a write
        // right after the last reload would always meet it at the same place.
        let phase = (round as f64 * 0.618_034).fract();
        thread::sleep(Duration::from_millis(100) + tick.mul_f64(phase));
        let next = 3 - seen;
        let written = live.put(next)?;
        after_write(&live.library())?;
        match await_answer(next, answers) {
            Ok(served) => {
                seen = next;
                times.push((served - written).as_secs_f64() * 1e3);
            }
            Err(RecvTimeoutError::Timeout) => missed += 1,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("{name}: the caller has died").into());
            }
        }
    }
    let milliseconds =
        if times.is_empty() { None } else { Some((median(times) * 1e3).round() / 1e3) };
    let mut found = Map::new();
    found.insert(format!("{name}_ms"), json!(milliseconds));
    found.insert(format!("{name}_missed"), json!(missed));
    Ok(found)
}

fn await_answer(
    wanted: u64,
    answers: &Receiver<(u64, Instant)>,
) -> Result<Instant, RecvTimeoutError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // dynamic_reload answers nothing where a reload fails.
        let (answer, when) = answers.recv_timeout(left)?;
        if answer == wanted {
            return Ok(when);
        }
    }
}

/// Reloads that happen while several threads call, of one write a second.
fn busy(live: &Live) -> Result<Map<String, Value>, Box<dyn Error>> {
    let answers: Vec<_> =
        (0..BUSY_CALLERS).map(|_| caller(|| default_settings::answer(0))).collect();
    for answers in &answers {
        answers.recv_timeout(PATIENCE)?;
    }
    let end = Instant::now() + BUSY;
    let mut writes = 0;
    while Instant::now() < end {
        writes += 1;
        live.put(if writes % 2 == 1 { 2 } else { 1 })?;
        thread::sleep(BUSY_WRITE_EVERY);
    }
    let mut found = Map::new();
    found.insert("hot_lib_reloader_busy_callers".into(), json!(BUSY_CALLERS));
    found.insert("hot_lib_reloader_busy_seconds".into(), json!(BUSY.as_secs()));
    found.insert("hot_lib_reloader_busy_writes".into(), json!(writes));
    found.insert("hot_lib_reloader_busy_reloads".into(), json!(default_settings::version()));
    Ok(found)
}
