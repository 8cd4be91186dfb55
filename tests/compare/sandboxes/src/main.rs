//! What a call into a WebAssembly sandbox takes: one that adds a number to its argument.
//!
//! `wasmtime` calls a typed function of an instance; `extism` calls a plugin with eight
//! bytes and gets eight back. Each is used as its documentation shows it, with the module
//! compiled and instantiated beforehand. The last line is one JSON object, in nanoseconds.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use extism::{Manifest, Plugin, Wasm};
use serde_json::json;
use wasmtime::{Engine, Instance, Module, Store};

const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(10);
/// Calls between two looks at the clock.
const CHUNK: u64 = 100;

const WASMTIME: &str = r#"(module
    (func (export "add") (param i64) (result i64)
        (i64.add (local.get 0) (i64.const 1))))"#;

const EXTISM: &str = r#"(module
    (import "extism:host/env" "input_load_u64" (func $load (param i64) (result i64)))
    (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
    (import "extism:host/env" "store_u64" (func $store (param i64 i64)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (memory (export "memory") 1)
    (func (export "add") (result i32)
        (local $place i64)
        (local.set $place (call $alloc (i64.const 8)))
        (call $store (local.get $place) (i64.add (call $load (i64.const 0)) (i64.const 1)))
        (call $output (local.get $place) (i64.const 8))
        (i32.const 0)))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(WASMTIME)?)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let add = instance.get_typed_func::<u64, u64>(&mut store, "add")?;

    let manifest = Manifest::new([Wasm::data(wat::parse_str(EXTISM)?)]);
    let mut plugin = Plugin::new(&manifest, [], false)?;

    let mut wasmtime = |number| add.call(&mut store, number).unwrap_or_default();
    let mut extism = |number: u64| {
        let given = number.to_le_bytes();
        let result = plugin.call::<&[u8], &[u8]>("add", &given).unwrap_or_default();
        result.try_into().map(u64::from_le_bytes).unwrap_or_default()
    };
    if wasmtime(41) != 42 || extism(41) != 42 {
        return Err("a sandbox cannot add".into());
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    // The first round is not counted: it faults code in.
    for round in 0..=ROUNDS {
        let results = (nanoseconds(&mut wasmtime), nanoseconds(&mut extism));
        if round > 0 {
            first.push(results.0);
            second.push(results.1);
        }
    }
    println!("{}", json!({ "wasmtime_ns": median(first), "extism_ns": median(second) }));
    Ok(())
}

/// For one call, over one round.
fn nanoseconds(call: &mut impl FnMut(u64) -> u64) -> f64 {
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
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (middle * 100.0).round() / 100.0
}
