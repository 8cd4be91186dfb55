//! The host's own thread: takes files that changed, ends probations, goes back to
//! an earlier generation when one is in trouble, and ends what was still in use
//! when it should have ended. It is started when there is something to keep, and ends with the host.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};

use crate::host::Inner;
use crate::seat::Seat;
use crate::watch::Change;

/// When to look again at what a panic has kept from being done.
const AFTER_A_PANIC: Duration = Duration::from_millis(500);

/// What the keeper is asked for.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Look when there is something to do next.
    Look,
    /// Go back from this generation to the one before.
    RollBack { plugin: Seat, generation: u64, reason: String },
    /// Listen to these changes of files from now on.
    Watch(Receiver<Change>),
    /// A file changed.
    Take(Change),
    /// The host ends.
    End,
}

/// Starts the thread. It holds nothing of the host while it waits.
pub(crate) fn start(host: Weak<Inner>, wishes: Receiver<Wish>) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("plugbay-keeper".into()).spawn(move || keep(&host, &wishes))
}

fn keep(host: &Weak<Inner>, wishes: &Receiver<Wish>) {
    let mut next: Option<Instant> = None;
    let mut changes: Receiver<Change> = never();
    loop {
        let time = next.map_or_else(never, at);
        let wish = select! {
            recv(wishes) -> wish => wish.unwrap_or(Wish::End),
            recv(changes) -> change => match change {
                Ok(change) => Wish::Take(change),
                // Watching has ended.
                Err(_) => {
                    changes = never();
                    Wish::Look
                }
            },
            recv(time) -> _ => Wish::Look,
        };
        let Some(host) = host.upgrade() else { return };
        let wish = match wish {
            Wish::End => return,
            Wish::Watch(watched) => {
                changes = watched;
                Wish::Look
            }
            wish => wish,
        };
        // The program's callback and logger run here, and may panic: that is not to be
        // the end of all watching and going back.
        let done = catch_unwind(AssertUnwindSafe(|| fulfil(&host, wish)));
        next = done.unwrap_or_else(|_| {
            let _ = catch_unwind(|| log::error!("a callback or logger of the program panicked"));
            Some(Instant::now() + AFTER_A_PANIC)
        });
    }
}

/// Does what is wished, and gives when to look next.
fn fulfil(host: &Inner, wish: Wish) -> Option<Instant> {
    match wish {
        Wish::RollBack { plugin, generation, reason } => {
            host.roll_back_in_trouble(&plugin, generation, reason);
        }
        Wish::Take(change) => host.changed(change),
        Wish::Look | Wish::Watch(_) | Wish::End => {}
    }
    host.sweep()
}
