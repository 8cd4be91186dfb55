//! What is being loaded, on standard error, when it takes a while.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plugbay_loader::{Phase, Progress};

/// Shorter than this is not worth a flicker.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows itself when it lives longer than half a second, and only on a terminal.
pub struct Bar {
    bar: ProgressBar,
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::hidden();
        let (over, ends) = channel();
        let shown = bar.clone();
        let thread = thread::Builder::new().name("progress".into()).spawn(move || {
            if ends.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let style = ProgressStyle::with_template("{spinner} {msg} {pos}/{len} ({elapsed})");
                shown.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Self { bar, over: Some(over), thread: thread.ok() }
    }

    /// How far it is; to be called from any thread.
    pub fn reporter(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let bar = self.bar.clone();
        move |Progress { phase, done, total, .. }| {
            let doing = if phase == Phase::Verify { "checking" } else { "loading" };
            set(&bar, doing, done, total);
        }
    }

    /// As `reporter`, where nothing is loaded.
    pub fn checked(&self, done: usize, total: usize) {
        set(&self.bar, "checking", done, total);
    }
}

fn set(bar: &ProgressBar, doing: &'static str, done: usize, total: usize) {
    bar.set_message(doing);
    bar.update(|state| {
        state.set_len(total as u64);
        state.set_pos(done as u64);
    });
}

impl Drop for Bar {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
