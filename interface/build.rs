//! Keeps what only a build script is told: the target and the compiler. Every
//! plugin carries them in its manifest section. And a fingerprint of the ABI.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/abi");
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
    println!("cargo:rustc-env=PLUGBAY_ABI={:016x}", fingerprint(&[&target, &version]));
}

/// Of the boundary's source, and of what else its layout depends on. (abi_stable's
/// version is part of this crate's, which pins it.)
fn fingerprint(facts: &[&str]) -> u64 {
    let mut files: Vec<PathBuf> = fs::read_dir("src/abi")
        .expect("src/abi can be listed")
        .map(|entry| entry.expect("src/abi can be listed").path())
        .collect();
    files.sort();
    let sources = files.iter().map(|file| fs::read_to_string(file).expect("a source can be read"));
    let package = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let facts = facts.iter().map(ToString::to_string).chain([package]);
    // FNV-1a: no secrets, and the same in every build.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let text: Vec<String> = facts.chain(sources).collect();
    text.join("\0").bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
