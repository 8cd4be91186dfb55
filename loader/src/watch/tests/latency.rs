//! How long it takes from a writer's close to the change. To be run by itself:
//! `cargo test --release -p plugbay-loader latency -- --ignored --nocapture`.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use super::{Change, Watched};

const ROUNDS: usize = 2000;

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what}: median {:?}, 90 % {:?}, 99 % {:?}, most {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

#[test]
#[ignore = "a measurement"]
fn from_close_to_change() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let (mut to_event, mut to_channel) = (Vec::new(), Vec::new());
    let (mut to_change, mut renamed) = (Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        let mut file = File::create(&plugin).unwrap();
        file.write_all(&round.to_ne_bytes().repeat(512)).unwrap();
        let closing = Instant::now();
        drop(file);
        // Without a wait in every second round, so that it is not measured, too.
        let change = match round % 2 {
            0 => watched.next(),
            _ => std::iter::from_fn(|| Some(watched.changes.try_recv()))
                .find_map(Result::ok)
                .unwrap(),
        };
        let Change::Ready { seen, .. } = change else { panic!() };
        if round % 2 == 0 { &mut to_change } else { &mut to_channel }.push(closing.elapsed());
        to_event.push(seen.saturating_duration_since(closing));
    }
    let aside = watched.plugin(".a.so");
    for _ in 0..ROUNDS {
        fs::write(&aside, "bytes").unwrap();
        let renaming = Instant::now();
        fs::rename(&aside, &plugin).unwrap();
        let Change::Ready { .. } = watched.next() else { panic!() };
        renamed.push(renaming.elapsed());
    }
    show("close to event in notify's thread", to_event);
    show("close to change in the channel", to_channel);
    show("close to change received by a thread that waits", to_change);
    show("rename to change received by a thread that waits", renamed);
}
