use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use plugbay_loader::{printable, worker};

use super::Check;

/// The first with `pidfd_open`, by which a worker waits for its child.
const OLDEST_KERNEL: (u64, u64) = (5, 3);
/// A library takes no descriptor once it is mapped; a start with a full folder
/// on all processors, and 64 clients, do.
const FEW_FILES: u64 = 256;

pub fn kernel() -> Check {
    const WHAT: &str = "kernel";
    let path = "/proc/sys/kernel/osrelease";
    let release = match fs::read_to_string(path) {
        Ok(release) => release.trim().to_owned(),
        Err(error) => {
            let cure = "mount /proc: after an unload, its maps tell whether the library is gone";
            return Check::problem(WHAT, format!("{path} cannot be read: {error}"), cure);
        }
    };
    let (major, minor) = OLDEST_KERNEL;
    match version(&release) {
        Some(version) if version < OLDEST_KERNEL => {
            let cure = format!("use Linux {major}.{minor} or later: trying libraries needs it");
            Check::problem(WHAT, format!("Linux {release}"), cure)
        }
        Some(_) => Check::ok(WHAT, format!("Linux {release}")),
        None => {
            let cure = format!("see that it is Linux {major}.{minor} or later");
            Check::warning(WHAT, format!("Linux {release}, which is no version"), cure)
        }
    }
}

fn version(release: &str) -> Option<(u64, u64)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub fn open_files() -> Check {
    const WHAT: &str = "open files";
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft < FEW_FILES => {
            Check::warning(WHAT, format!("{soft} at most"), "allow more: ulimit -n 1024")
        }
        Ok((soft, _)) => Check::ok(WHAT, format!("{soft} at most")),
        Err(error) => Check::warning(WHAT, format!("the limit is not known: {error}"), "ulimit -n"),
    }
}

/// Whether the program that tries libraries is there, and answers.
pub fn worker() -> Check {
    const WHAT: &str = "worker";
    let program = match std::env::current_exe() {
        Ok(own) => own.with_file_name("plugbay-worker"),
        Err(error) => {
            let found = format!("this program does not know where it lies: {error}");
            return Check::warning(WHAT, found, "mount /proc");
        }
    };
    let path = printable(&program);
    if !program.is_file() {
        let found = format!("there is no {path}: libraries are loaded without being tried first");
        return Check::warning(WHAT, found, "put plugbay-worker beside host-app");
    }
    match ask(&program) {
        Ok(()) => Check::ok(WHAT, path),
        Err(reason) => {
            let cure = "install plugbay-worker and host-app anew, of one version";
            Check::problem(WHAT, format!("{path} does not work: {reason}"), cure)
        }
    }
}

/// It answers everything with a line of JSON, even what is no request.
fn ask(program: &Path) -> Result<(), String> {
    let mut child = Command::new(program)
        .arg(worker::ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let answer = converse(&mut child);
    let _ = child.kill();
    let _ = child.wait();
    match serde_json::from_str::<serde_json::Value>(&answer?) {
        Ok(_) => Ok(()),
        Err(_) => Err("its answer is not understood".to_owned()),
    }
}

fn converse(child: &mut Child) -> Result<String, String> {
    let (Some(mut requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("it has no standard input or output".to_owned());
    };
    requests.write_all(b"{}\n").map_err(|error| error.to_string())?;
    let (sender, receiver) = channel();
    let reader = thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(answers).read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
    });
    let answer = receiver.recv_timeout(Duration::from_secs(5));
    drop(requests);
    let line = match answer {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("it does not answer".to_owned()),
    };
    let _ = reader.join();
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_as_numbers() {
        assert_eq!(version("5.10.0-18-amd64"), Some((5, 10)));
        assert_eq!(version("6.18-rc1"), Some((6, 18)));
        assert!(version("5.10.0") > version("5.3.0"));
        assert_eq!(version("unknown"), None);
    }
}
