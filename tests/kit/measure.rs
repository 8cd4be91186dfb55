//! What benchmarks have in common.

use std::ffi::OsStr;
use std::process::Command;

/// The one in the middle.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The number that this program prints when it is started anew with these arguments: in a
/// process of its own, as what is mapped already makes the next mapping slower.
pub fn in_child(arguments: &[&OsStr]) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(arguments).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}
