//! What a registry costs at the start of a thousand plugins: a host without one, with a new
//! one, and with one that knows them, in turns. The last line is one JSON object.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use plugbay_loader::Probe;
use plugbay_loader::registry::{Registry, SqliteRegistry};
use plugbay_tests::measure::median;
use plugbay_tests::{Folder, piece_of, shipped};
use serde_json::json;

const PLUGINS: usize = 1000;
const ROUNDS: usize = 5;

fn main() {
    let folder = Folder::new();
    let library = fs::read(shipped("plugbay-fixture-piece")).unwrap();
    for number in 0..PLUGINS {
        let id = format!("p{number:03}");
        folder.write(&format!("{id}.so"), piece_of(&library, &id, "1.0.0", ""));
    }
    let database = folder.beside("registry.db");
    let opened =
        || -> Arc<dyn Registry> { Arc::new(SqliteRegistry::open(&database).unwrap().registry) };
    start(&folder, None);
    let mut series: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        series[0].push(start(&folder, None));
        series[1].push(start(&folder, Some(opened())));
        series[2].push(start(&folder, Some(opened())));
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.beside(&format!("registry.db{end}")));
        }
    }
    let [without, new, known] = series.map(median);
    let round = |number: f64| (number * 100.0).round() / 100.0;
    println!(
        "{}",
        json!({
            "bench": "recording",
            "plugins": PLUGINS,
            "start_ms": round(without),
            "new_registry_ms": round(new),
            "known_registry_ms": round(known),
            "new_ratio": round(new / without),
            "known_ratio": round(known / without),
        })
    );
}

/// Milliseconds of a start.
fn start(folder: &Folder, registry: Option<Arc<dyn Registry>>) -> f64 {
    let mut builder = folder.host().probe(Probe::Never);
    if let Some(registry) = registry {
        builder = builder.registry(registry);
    }
    let host = builder.build().unwrap();
    let begin = Instant::now();
    let report = host.start().unwrap();
    let took = begin.elapsed();
    assert_eq!(report.active.len(), PLUGINS);
    took.as_secs_f64() * 1e3
}
