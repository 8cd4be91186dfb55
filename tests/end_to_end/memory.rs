//! What reloads leave in memory. Alone in its process, which it measures.

use std::fs;
use std::time::Duration;

use plugbay_tests::Turncoat;

/// What a reload leaves is what the plugin's own statics leave.
#[test]
fn memory_does_not_grow_with_reloads() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::ZERO));
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let reload = |times: u32| {
        for number in 0..times {
            bed.replace("1.1.0", &format!("{} ok ok ok", number % 2));
            bed.count();
        }
    };
    // So that the history has all it keeps.
    reload(500);
    let before = resident();
    reload(500);
    let grown = resident().saturating_sub(before);
    println!("{grown} KiB in 500 reloads");
    assert!(grown < 500 * 4, "{grown} KiB in 500 reloads");
}
