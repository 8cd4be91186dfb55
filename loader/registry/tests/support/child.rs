//! Tests that are a process of their own: the test's own program once more, which runs
//! one ignored test.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Backend;

const FILE: &str = "REGISTRY_TEST_FILE";
const BACKEND: &str = "REGISTRY_TEST_BACKEND";
const NAME: &str = "REGISTRY_TEST_NAME";

/// What a child is told.
pub struct Orders {
    pub backend: Backend,
    pub file: PathBuf,
    pub name: String,
}

/// The arguments that run an ignored test.
pub fn arguments(test: &str) -> [&str; 4] {
    [test, "--exact", "--ignored", "--nocapture"]
}

/// A command that runs an ignored test.
pub fn child(test: &str, backend: Backend, file: &Path, name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(arguments(test));
    tell(&mut command, backend, file, name);
    command
}

pub fn tell(command: &mut Command, backend: Backend, file: &Path, name: &str) {
    command.env(FILE, file).env(BACKEND, format!("{backend:?}")).env(NAME, name);
}

/// What this process was told; nothing, where it is no child.
pub fn orders() -> Option<Orders> {
    let backend = env::var(BACKEND).ok()?;
    let backend = Backend::ALL.into_iter().find(|it| format!("{it:?}") == backend)?;
    // Behind what the test harness has begun to write.
    println!();
    Some(Orders { backend, file: env::var_os(FILE)?.into(), name: env::var(NAME).ok()? })
}

/// Says on standard output that something is kept.
pub fn acknowledge(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // In one piece, as this may be killed at any moment.
    out.write_all(format!("ack {what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What an output line acknowledges.
pub fn acknowledged(line: &str) -> Option<&str> {
    line.strip_prefix("ack ")
}
