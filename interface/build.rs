//! Keeps what only a build script is told: the target and the compiler. Every
//! plugin carries them in its manifest section.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    println!("cargo:rustc-env=PLUGBAY_TARGET={target}");
    println!("cargo:rustc-env=PLUGBAY_RUSTC={}", version.trim());
}
