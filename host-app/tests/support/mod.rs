//! The real program, in folders of its own.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use plugbay_tests::{Folder, build, with_embedded};
use serde_json::Value;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a host says when it listens.
const LISTENS: [&str; 2] = ["Listening on", "\"started\""];

/// A user's home, as far as host-app sees one.
pub struct Home {
    pub folder: Folder,
}

/// What a command said.
pub struct Said {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.exit, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// It ended with this exit code, an error code and a help.
    #[track_caller]
    pub fn failed(self, exit: i32, code: &str) -> Self {
        assert_eq!(self.exit, exit, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(&format!("error[{code}]: ")), "{}", self.stderr);
        assert!(self.stderr.contains("\n  help: "), "{}", self.stderr);
        self
    }
}

impl Home {
    /// Without a plugin.
    pub fn empty() -> Self {
        let folder = Folder::new();
        for name in ["cache", "data", "config", "runtime"] {
            std::fs::create_dir(folder.beside(name)).unwrap();
        }
        Self { folder }
    }

    /// With the fixture, which is the plugin `misbehave`.
    pub fn new() -> Self {
        let home = Self::empty();
        home.folder.put(&fixture(), "misbehave.so");
        home
    }

    /// The program with the home's plugins folder in the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("host-app"));
        command
            .args(arguments)
            .env("XDG_CACHE_HOME", self.folder.beside("cache"))
            .env("XDG_DATA_HOME", self.folder.beside("data"))
            .env("XDG_CONFIG_HOME", self.folder.beside("config"))
            .env("XDG_RUNTIME_DIR", self.folder.beside("runtime"))
            .env("PLUGBAY_PLUGIN_PATH", self.folder.plugins())
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    pub fn say(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.say(&[arguments, &["--json"]].concat()).json()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.beside("runtime").join("plugbay/host.sock")
    }

    /// Puts the fixture there as another version, as a whole.
    pub fn put_version(&self, version: &str) {
        let changed = with_embedded(&std::fs::read(fixture()).unwrap(), |embedded| {
            embedded.manifest.version = version.parse().unwrap();
        });
        self.replace(&changed);
    }

    /// Writes the fixture's file aside and renames it.
    pub fn replace(&self, content: &[u8]) {
        let aside = self.folder.write(".aside", content);
        std::fs::rename(aside, self.folder.plugins().join("misbehave.so")).unwrap();
    }

    /// A command that goes on, once it has said one of these words.
    pub fn start(&self, arguments: &[&str], words: &[&str]) -> Running {
        Running::start(&mut self.command(arguments), words)
    }

    /// `host-app run`, once it listens.
    pub fn run(&self, arguments: &[&str]) -> Running {
        self.start(&[&["run"], arguments].concat(), &LISTENS)
    }
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn fixture() -> PathBuf {
    build("plugbay-fixture-misbehave")
}

/// A running host; killed when it is dropped.
pub struct Running {
    pub child: Child,
    /// What it said until it listened.
    pub table: String,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(command: &mut Command, words: &[&str]) -> Self {
        Self::spawn(command.stderr(Stdio::inherit()), words)
    }

    /// `host-app run`, once it listens, with what it logs in a file.
    pub fn start_with_log(command: &mut Command, log: &Path) -> Self {
        Self::spawn(command.stderr(std::fs::File::create(log).unwrap()), &LISTENS)
    }

    fn spawn(command: &mut Command, words: &[&str]) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut running = Self { child, table: String::new(), lines };
        while !words.iter().any(|words| running.table.contains(words)) {
            let line = running.next_line().expect("it ended before it began");
            running.table.push_str(&line);
            running.table.push('\n');
        }
        running
    }

    /// The next line of its output; none at its end.
    pub fn next_line(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// The next line with these words in it.
    #[track_caller]
    pub fn line_with(&self, words: &str) -> String {
        loop {
            let line = self.next_line().unwrap_or_else(|| panic!("it did not say `{words}`"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Whether it says something soon.
    pub fn says_more(&self) -> bool {
        self.lines.recv_timeout(Duration::from_millis(300)).is_ok()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Its exit, and what it said after it listened.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        while let Some(line) = self.next_line() {
            rest.push_str(&line);
            rest.push('\n');
        }
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|metadata| metadata.uid() == 0)
}
