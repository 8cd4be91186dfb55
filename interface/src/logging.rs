//! The plugin's `log` macros reach the host's logger.
//!
//! Every library has `log` statics of its own, so every generation sets a logger
//! once and takes the host out of it when it ends.

use std::sync::{Arc, PoisonError, RwLock};

use log::{LevelFilter, Log, Metadata, Record};

use crate::abi::{HostBox, LogRecord};

static FORWARD: Forward = Forward { host: RwLock::new(None) };

struct Forward {
    host: RwLock<Option<Arc<HostBox>>>,
}

pub(crate) fn connect(host: Arc<HostBox>) {
    set_level(host.log_level());
    *FORWARD.host.write().unwrap_or_else(PoisonError::into_inner) = Some(host);
    // Fails where the plugin set a logger of its own, which then stays.
    let _ = log::set_logger(&FORWARD);
}

pub(crate) fn disconnect() {
    log::set_max_level(LevelFilter::Off);
    let host = FORWARD.host.write().unwrap_or_else(PoisonError::into_inner).take();
    drop(host);
}

pub(crate) fn set_level(level: u8) {
    let filter = LevelFilter::iter().nth(level.into()).unwrap_or(LevelFilter::Trace);
    log::set_max_level(filter);
}

/// Tells the host that a call panicked which it does not see itself.
pub(crate) fn report_trouble(what: &str) {
    let host = FORWARD.host.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(host) = host {
        host.report_trouble(what.into());
    }
}

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Cloned out, so that formatting, which is the plugin's code and may
        // log again, runs without the lock.
        let host = self.host.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(host) = host {
            let message = record.args().to_string();
            host.log(LogRecord {
                level: record.level() as u8,
                line: record.line().unwrap_or(0),
                message: message.as_str().into(),
                target: record.target().into(),
                file: record.file().unwrap_or_default().into(),
                more: "".into(),
            });
        }
    }

    fn flush(&self) {}
}
