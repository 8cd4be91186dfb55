//! What a call by contract costs, into a plugin that may be reloaded at any moment.
//!
//! A bare C function pointer of the same library and a trait object of this program's
//! own are called in the same rounds; what others take is measured by processes of
//! their own (`tests/compare`) between them. The last line is one JSON object.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use plugbay_fixture_contract::Speaker;
use plugbay_interface::Error;
use plugbay_loader::Service;
use plugbay_tests::{Folder, compare, compare_sandboxes, released, shipped};
use serde_json::{Value, json};

const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(10);
/// Calls between two looks at the clock.
const CHUNK: u64 = 1000;

type Add = extern "C" fn(u64) -> u64;

/// What a program without plugins has: a trait object.
trait Plain {
    fn add(&self, number: u64) -> Result<u64, Error>;
    fn twice(&self, text: &str) -> Result<String, Error>;
}

struct Here {
    number: u64,
}

impl Plain for Here {
    fn add(&self, number: u64) -> Result<u64, Error> {
        Ok(number.wrapping_add(self.number))
    }

    fn twice(&self, text: &str) -> Result<String, Error> {
        Ok(format!("{text}{text}"))
    }
}

fn main() {
    let folder = Folder::new();
    folder.put(&shipped("plugbay-fixture-speaker"), "speaker.so");
    folder.put(&shipped("plugbay-fixture-asker"), "asker.so");
    let host = folder.host().worker(released("plugbay-worker")).build().unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    let speaker: Service<dyn Speaker> = host.service("speaker").unwrap();
    let plugin = host.plugin("speaker").unwrap();
    let address = plugin.enter().unwrap().symbol("add_c").unwrap();
    // SAFETY: the fixture's function of that name; it is not unloaded here.
    let bare = unsafe { std::mem::transmute::<*const std::ffi::c_void, Add>(address) };
    let plain: Box<dyn Plain> = black_box(Box::new(Here { number: 1 }));

    // Beside which the others measure their own.
    let library = shipped("plugbay-fixture-answer");
    let mut peers = (Value::Null, Value::Null);
    let mut times: [Vec<f64>; 9] = Default::default();
    // The first round is not counted: it faults code in.
    for round in 0..=ROUNDS {
        let results = [
            nanoseconds(|argument| black_box(bare)(argument)),
            nanoseconds(|argument| plain.add(argument).unwrap()),
            nanoseconds(|argument| speaker.enter().unwrap().add(argument).unwrap()),
            {
                let entered = speaker.enter().unwrap();
                nanoseconds(|argument| entered.add(argument).unwrap())
            },
            nanoseconds(|_| plain.twice(black_box("text")).unwrap().len() as u64),
            nanoseconds(|_| {
                let entered = speaker.enter().unwrap();
                entered.twice(black_box("text")).unwrap().len() as u64
            }),
            nanoseconds(|argument| ready(speaker.hold().unwrap().later(argument, 0))),
            {
                let held = speaker.hold().unwrap();
                nanoseconds(|argument| ready(held.later(argument, 0)))
            },
            // Measured by the plugin that calls.
            host.call("asker", "measure", json!(1_000_000)).unwrap().as_f64().unwrap(),
        ];
        if round == ROUNDS / 2 {
            let library = library.to_str().unwrap();
            peers = (compare(&["calls", "--library", library]), compare_sandboxes());
        }
        if round > 0 {
            times.iter_mut().zip(results).for_each(|(times, result)| times.push(result));
        }
    }
    let (native, sandboxes) = peers;
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap();
    let round = |number: f64| (number * 100.0).round() / 100.0;
    let [bare, dynamic, typed, entered, plain_string, string, held_async, asynchronous, between] =
        times.map(|times| round(median(times)));
    println!(
        "{}",
        json!({
            "bench": "services",
            "bare_pointer_ns": bare,
            "box_dyn_ns": dynamic,
            "typed_call_ns": typed,
            "entered_call_ns": entered,
            "ratio": round(typed / bare),
            "box_dyn_string_ns": plain_string,
            "string_call_ns": string,
            "async_call_ns": held_async,
            "held_async_call_ns": asynchronous,
            "plugin_to_plugin_ns": between,
            "hot_lib_reloader_ratio": round(
                number(&native, "hot_lib_reloader_ns") / number(&native, "bare_pointer_ns"),
            ),
            "wasmtime_ns": round(number(&sandboxes, "wasmtime_ns")),
            "extism_ns": round(number(&sandboxes, "extism_ns")),
        })
    );
}

/// The result of a future that is ready at once.
fn ready(future: impl Future<Output = Result<u64, Error>>) -> u64 {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.unwrap(),
        Poll::Pending => panic!("not ready"),
    }
}

/// For one call, over one round.
fn nanoseconds(mut call: impl FnMut(u64) -> u64) -> f64 {
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < ROUND {
        for argument in 0..CHUNK {
            black_box(call(black_box(argument)));
        }
        calls += CHUNK;
    }
    begin.elapsed().as_nanos() as f64 / calls as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
