//! What plugins and hosts log.

use std::sync::{Mutex, PoisonError};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Keeps all that is logged in this process from now on. Once in a process.
pub fn keep_what_is_logged() {
    log::set_logger(&Logger).expect("the first logger");
    log::set_max_level(log::LevelFilter::Info);
}

/// What was logged since, a line each.
pub fn logged() -> String {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
}
