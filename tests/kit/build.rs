//! Builds packages of this workspace, each once a process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// Where cargo puts what it builds, without the profile.
pub(crate) fn target() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    match std::env::var_os("CARGO_BUILD_TARGET") {
        Some(triple) => target.join(triple),
        None => target,
    }
}

/// The library of a package, built in the dev profile.
pub fn build(package: &str) -> PathBuf {
    built(package, &[], "debug")
}

/// The worker program.
pub fn worker() -> PathBuf {
    static ONCE: Mutex<Option<PathBuf>> = Mutex::new(None);
    program("plugbay-worker", &ONCE)
}

/// The program `host-app`, with the worker beside it.
pub fn host_app() -> PathBuf {
    static ONCE: Mutex<Option<PathBuf>> = Mutex::new(None);
    worker();
    program("host-app", &ONCE)
}

fn program(name: &str, once: &Mutex<Option<PathBuf>>) -> PathBuf {
    let mut once = once.lock().unwrap_or_else(PoisonError::into_inner);
    once.get_or_insert_with(|| {
        let arguments = ["build", "-q", "-p", "plugbay-host-app", "--bin", name];
        run(Command::new(cargo()).args(arguments));
        target().join("debug").join(name)
    })
    .clone()
}

/// The library of a package, built with more arguments into a profile's folder.
pub fn built(package: &str, arguments: &[&str], profile: &str) -> PathBuf {
    static ONCE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{package} {profile}");
    once.get_or_insert_default()
        .entry(key)
        .or_insert_with(|| {
            run(Command::new(cargo()).args(["build", "-q", "-p", package]).args(arguments));
            library(&target().join(profile), package)
        })
        .clone()
}

/// The library of a package, built by the nightly compiler; none where that is
/// not installed.
pub fn build_with_nightly(package: &str) -> Option<PathBuf> {
    let (mut command, folder) = nightly()?;
    run(command.args(["-q", "-p", package]));
    Some(library(&folder.join("debug"), package))
}

/// Packages of this tree, built by one compiler in one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// By the nightly compiler, and not the project's own.
    pub nightly: bool,
    /// As it is released, and not with all checks.
    pub release: bool,
}

impl Variant {
    /// The folder with what was built; none where the compiler is not installed.
    pub fn build(self, packages: &[&str]) -> Option<PathBuf> {
        let (mut command, target) = if self.nightly {
            nightly()?
        } else {
            let mut command = Command::new(cargo());
            command.arg("build");
            (command, target())
        };
        for package in packages {
            command.args(["-p", package]);
        }
        let profile = if self.release {
            command.arg("--release");
            "release"
        } else {
            "debug"
        };
        run(command.arg("-q"));
        Some(target.join(profile))
    }
}

/// `cargo build` by the nightly compiler, and where it puts things; none where that
/// is not installed.
fn nightly() -> Option<(Command, PathBuf)> {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output().ok()?;
    if !String::from_utf8_lossy(&listed.stdout).contains("nightly") {
        return None;
    }
    let folder = target().join("nightly");
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo", "build", "--target-dir"])
        .arg(&folder)
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    Some((command, folder))
}

pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The library is called as the last word of its package.
fn library(folder: &Path, package: &str) -> PathBuf {
    let name = package.rsplit('-').next().unwrap_or(package);
    folder.join(format!("lib{name}.so"))
}

fn run(command: &mut Command) {
    let done = command.current_dir(root()).status().expect("cargo starts");
    assert!(done.success(), "{command:?}");
}

/// The library of a package, built as plugins are shipped.
pub fn shipped(package: &str) -> PathBuf {
    built(package, &["--profile", "plugin"], "plugin")
}

/// A program of the package `plugbay-host-app`, built in the release profile.
pub fn released(program: &str) -> PathBuf {
    run(Command::new(cargo()).args(["build", "-q", "--release", "-p", "plugbay-host-app"]));
    target().join("release").join(program)
}

/// Runs `tests/compare` with arguments and gives the JSON object that is the
/// last line of its output.
pub fn compare(arguments: &[&str]) -> Value {
    compared(&[], "compare", arguments)
}

/// As [`compare`], what calls into sandboxes take.
pub fn compare_sandboxes() -> Value {
    compared(&["-p", "plugbay-compare-sandboxes"], "sandboxes", &[])
}

fn compared(packages: &[&str], program: &str, arguments: &[&str]) -> Value {
    let folder = target().join("compare");
    let manifest = root().join("tests/compare/Cargo.toml");
    run(Command::new(cargo())
        .args(["build", "-q", "--release"])
        .args(packages)
        .arg("--manifest-path")
        .arg(manifest)
        .env("CARGO_TARGET_DIR", &folder));
    let output = Command::new(folder.join("release").join(program))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(last).expect("a JSON object")
}
