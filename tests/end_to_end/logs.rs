//! A plugin's log macros reach the host's logger. One test, as a process has
//! one logger.

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use plugbay_tests::{Folder, build};
use serde_json::json;

struct Keep(Mutex<Vec<(Level, String, String)>>);

static KEEP: Keep = Keep(Mutex::new(Vec::new()));

impl Log for Keep {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // As `RUST_LOG=warn,misbehave=debug` would.
        let most = if metadata.target() == "misbehave" { Level::Debug } else { Level::Warn };
        metadata.level() <= most
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.target().to_owned(), record.args().to_string());
            self.0.lock().push(line);
        }
    }

    fn flush(&self) {}
}

fn levels() -> Vec<Level> {
    KEEP.0.lock().drain(..).filter(|(_, target, _)| target == "misbehave").map(|l| l.0).collect()
}

#[test]
fn log_lines_arrive_with_the_plugins_id_at_the_hosts_level() {
    use Level::{Debug, Error, Info, Warn};
    log::set_logger(&KEEP).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let folder = Folder::new();
    folder.put(&build("plugbay-fixture-misbehave"), "misbehave.so");
    let (host, _) = folder.start();
    assert_eq!(levels(), [Debug], "activation logs one line");

    host.call("misbehave", "log", json!({})).unwrap();
    assert_eq!(levels(), [Error, Warn, Info, Debug]);

    assert!(host.set_log_level("misbehave", LevelFilter::Error));
    host.call("misbehave", "log", json!({})).unwrap();
    assert_eq!(levels(), [Error]);

    host.call("misbehave", "spawn_panic", json!({})).unwrap();
    let lines: Vec<_> = KEEP.0.lock().drain(..).collect();
    assert!(
        lines.iter().any(|(level, target, text)| *level == Error
            && target == "misbehave"
            && text.starts_with("thread 'doomed' panicked at ")
            && text.ends_with(": on my own")),
        "{lines:?}"
    );

    host.unload("misbehave").unwrap();
    assert!(!host.set_log_level("misbehave", LevelFilter::Trace));

    let host = folder.host().log_level("misbehave", LevelFilter::Off).build().unwrap();
    host.start().unwrap();
    host.call("misbehave", "log", json!({})).unwrap();
    assert!(levels().is_empty());
}
