use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plugbay_loader::printable;
use serde::Deserialize;

use crate::exit::{Exit, Failure};

/// How a crate is built.
#[derive(Debug)]
pub struct Cargo {
    pub release: bool,
    /// What else cargo is given.
    pub arguments: Vec<OsString>,
}

/// What a build came to.
#[derive(Debug)]
pub enum Built {
    /// A library; `fresh` where cargo had nothing to do.
    Library { path: PathBuf, fresh: bool, time: Duration },
    /// Cargo has said why on standard error.
    Failed { time: Duration },
}

/// The cargo that runs, if one does.
#[derive(Debug, Default)]
pub struct Running(Mutex<Option<Pid>>);

impl Running {
    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        // Under the lock it has not been waited for, so the number is its own.
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = kill(pid, Signal::SIGINT);
        }
    }
}

/// What cargo says of an artifact; its other messages are of no interest.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Target {
    #[serde(default)]
    crate_types: Vec<String>,
}

impl Cargo {
    /// Builds the crate in a folder; what cargo has to say goes to standard error.
    pub fn build(&self, dir: &Path, running: &Running) -> Result<Built, Failure> {
        let begin = Instant::now();
        // The one that started this, where there is one.
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&program);
        command.arg("build").arg("--message-format=json-render-diagnostics");
        if self.release {
            command.arg("--release");
        }
        command.args(&self.arguments).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let message = format!("cargo cannot be started ({})", program.display());
            Failure::io("PB1025", message, &error, "install it: https://rustup.rs")
        })?;
        let set = |pid| *running.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
        set(i32::try_from(child.id()).ok().map(Pid::from_raw));
        let libraries = child.stdout.take().map(libraries).unwrap_or_default();
        let mut pid = running.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait();
        *pid = None;
        drop(pid);
        let time = begin.elapsed();
        if !status.is_ok_and(|status| status.success()) {
            return Ok(Built::Failed { time });
        }
        let (path, fresh) = choose(libraries, &dir.join("Cargo.toml"))?;
        Ok(Built::Library { path, fresh, time })
    }
}

/// A library that cargo told of: whose manifest it is from, its file, and
/// whether it was there already.
type Artifact = (PathBuf, PathBuf, bool);

fn libraries(messages: ChildStdout) -> Vec<Artifact> {
    BufReader::new(messages)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Message>(&line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| message.target.crate_types.iter().any(|kind| kind == "cdylib"))
        .filter_map(|message| {
            let extension = std::env::consts::DLL_EXTENSION;
            let is_library =
                |file: &PathBuf| file.extension().is_some_and(|found| found == extension);
            let file = message.filenames.into_iter().find(is_library)?;
            Some((message.manifest_path, file, message.fresh))
        })
        .collect()
}

/// The crate's own library; of a workspace, the only one.
fn choose(mut libraries: Vec<Artifact>, manifest: &Path) -> Result<(PathBuf, bool), Failure> {
    if libraries.iter().any(|(of, ..)| of == manifest) {
        libraries.retain(|(of, ..)| of == manifest);
    }
    let several = libraries.len() > 1;
    match libraries.pop() {
        Some((_, file, fresh)) if !several => Ok((file, fresh)),
        Some(_) => Err(Failure::new(
            "PB1026",
            Exit::Failed,
            format!("cargo built several libraries from {}", printable(manifest)),
            "name the plugin's crate: host-app dev PATH",
        )),
        None => Err(Failure::new(
            "PB1026",
            Exit::Failed,
            format!("cargo built no library from {}", printable(manifest)),
            "set crate-type = [\"cdylib\"] under [lib] in its Cargo.toml",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_own_library_is_chosen_or_the_only_one() {
        let of = |manifest: &str, file: &str| (manifest.into(), file.into(), false);
        let own = Path::new("/own/Cargo.toml");
        let chosen = |libraries: Vec<Artifact>| {
            choose(libraries, own).map(|(path, _)| path).map_err(|failure| failure.code)
        };
        let both = vec![of("/own/Cargo.toml", "/t/libown.so"), of("/dep/Cargo.toml", "/t/d.so")];
        assert_eq!(chosen(both), Ok("/t/libown.so".into()));
        assert_eq!(chosen(vec![of("/one/Cargo.toml", "/t/1.so")]), Ok("/t/1.so".into()));
        assert_eq!(chosen(Vec::new()), Err("PB1026".into()));
        let others = vec![of("/one/Cargo.toml", "/t/1.so"), of("/two/Cargo.toml", "/t/2.so")];
        assert_eq!(chosen(others), Err("PB1026".into()));
    }
}
