//! The same work on many items, on as many threads as the machine runs at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::on_thread::Changing;

/// Applies `work` to every item and returns the results in the items' order.
/// Blocks until all are done; the threads end with it.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    // One item is what a drop into a running host brings, and asking how many
    // threads there may be reads files.
    let threads = match items.len() {
        0 | 1 => 1,
        most => thread::available_parallelism().map_or(1, usize::from).min(most),
    };
    if threads < 2 {
        return items.into_iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let cells: Vec<_> = items.into_iter().map(|item| Mutex::new((Some(item), None::<R>))).collect();
    let take_turns = || {
        // Who called this waits for all of it.
        let _changing = Changing::begins();
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let item = cell.lock().0.take();
            let result = item.map(&work);
            cell.lock().1 = result;
        }
    };
    thread::scope(|scope| {
        // This thread is one of them, so that it also goes without any other.
        for _ in 1..threads {
            let _ =
                thread::Builder::new().name("plugbay-start".into()).spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
    cells.into_iter().filter_map(|cell| cell.into_inner().1).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_items() {
        let squares = super::map((0..1000u64).collect(), |n| n * n);
        assert_eq!(squares, (0..1000u64).map(|n| n * n).collect::<Vec<_>>());
    }
}
