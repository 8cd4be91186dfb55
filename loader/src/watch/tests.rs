//! Real writers, each at its own pace: at the moment when a file is told as ready,
//! its bytes are whole.

mod folders;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tempfile::TempDir;

use super::{Change, WatchOptions, Watcher};

/// How long a change may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary folder, a plugins folder in it, and a watcher.
struct Watched {
    // Before the folder: the watcher goes first.
    watcher: Watcher,
    changes: Receiver<Change>,
    plugins: PathBuf,
    /// Beside the plugins folder, and on the same file system.
    outside: PathBuf,
    begin: Instant,
    sentinels: usize,
    _dir: TempDir,
}

/// What was told of one file between two moments.
#[derive(Debug, Default)]
struct Told {
    /// The file's bytes when it was told as ready, each time.
    ready: Vec<Vec<u8>>,
    gone: usize,
    rescans: usize,
}

impl Watched {
    fn new() -> Self {
        Self::with(WatchOptions::default(), "plugins")
    }

    /// With a plugins folder at this path below the temporary one; it is made if
    /// it has no slash.
    fn with(options: WatchOptions, folder: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join(folder);
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        if !folder.contains('/') {
            fs::create_dir(&plugins).unwrap();
        }
        let begin = Instant::now();
        let (watcher, changes) = Watcher::start(vec![plugins.clone()], options).unwrap();
        Self { watcher, changes, plugins, outside, begin, sentinels: 0, _dir: dir }
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.plugins.join(name)
    }

    fn next(&self) -> Change {
        match self.changes.recv_timeout(PATIENCE) {
            Ok(Change::Problem { error, .. }) => panic!("{error}"),
            Ok(change) => {
                assert!(self.begin <= change.seen() && change.seen() <= Instant::now());
                change
            }
            Err(error) => panic!("nothing was told: {error}"),
        }
    }

    /// Waits until a file is told as ready; returns its bytes at that moment.
    fn ready(&self, path: &Path) -> Vec<u8> {
        loop {
            if let Change::Ready { path: ready, .. } = self.next()
                && ready == path
            {
                return fs::read(path).unwrap();
            }
        }
    }

    fn gone(&self, path: &Path) -> Instant {
        loop {
            if let Change::Gone { path: gone, seen } = self.next()
                && gone == path
            {
                return seen;
            }
        }
    }

    fn rescan(&self) -> Vec<PathBuf> {
        loop {
            if let Change::Rescan { unfinished, .. } = self.next() {
                return unfinished;
            }
        }
    }

    /// All that is told of a file while a writer runs, and until what comes after
    /// it is told: events come in the order of what happened.
    fn told_during(&mut self, path: &Path, writer: impl FnOnce() + Send) -> Told {
        let sentinel = self.sentinel();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                // The sentinel in any case: the other side waits for it.
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(writer));
                fs::write(&sentinel, "sentinel").unwrap();
                result
            });
            let is_sentinel =
                |change: &Change| matches!(change, Change::Ready { path, .. } if *path == sentinel);
            let told = self.told_until(path, is_sentinel);
            if let Err(panic) = writer.join().unwrap() {
                std::panic::resume_unwind(panic);
            }
            told
        })
    }

    /// As [`told_during`](Self::told_during), for writers that are to be told of:
    /// where the kernel tells of a close before the writer is gone, the file is
    /// looked at again a moment later, and the sentinel may be faster.
    fn told_of(&mut self, path: &Path, writer: impl FnOnce() + Send) -> Told {
        let told = self.told_during(path, writer);
        if told.ready.is_empty() { self.told_after_grace(path) } else { told }
    }

    fn told_by_now(&mut self, path: &Path) -> Told {
        self.told_during(path, || {})
    }

    /// All that is told until a file that is removed now counts as removed, and so
    /// would every other that was removed before.
    fn told_after_grace(&mut self, path: &Path) -> Told {
        let sentinel = self.sentinel();
        fs::write(&sentinel, "sentinel").unwrap();
        fs::remove_file(&sentinel).unwrap();
        self.told_until(
            path,
            |change| matches!(change, Change::Gone { path, .. } if *path == sentinel),
        )
    }

    fn sentinel(&mut self) -> PathBuf {
        self.sentinels += 1;
        self.plugin(&format!("sentinel-{}.so", self.sentinels))
    }

    fn told_until(&self, path: &Path, end: impl Fn(&Change) -> bool) -> Told {
        let mut told = Told::default();
        loop {
            let change = self.next();
            if end(&change) {
                return told;
            }
            match change {
                Change::Ready { path: ready, .. } if ready == path => {
                    told.ready.push(fs::read(path).unwrap());
                }
                Change::Gone { path: gone, .. } if gone == path => told.gone += 1,
                Change::Rescan { .. } => told.rescans += 1,
                _ => {}
            }
        }
    }

    /// Runs a writer of one file and looks at all that is told of it meanwhile:
    /// that it is ready, never that it is gone, and each time with the bytes that
    /// the writer leaves. Returns how often it was ready.
    fn is_whole_each_time(&mut self, path: &Path, writer: &mut Command) -> usize {
        let mut told = self.told_during(path, || run(writer));
        if told.ready.is_empty() {
            // Its writer's last close has no event here.
            told.ready.push(self.ready(path));
        }
        let whole = fs::read(path).unwrap();
        let lengths: Vec<_> = told.ready.iter().map(Vec::len).collect();
        let all_whole = told.ready.iter().all(|bytes| *bytes == whole);
        assert!(all_whole, "{writer:?}: of {} bytes, {lengths:?} were there", whole.len());
        assert_eq!(told.gone, 0, "{writer:?}");
        told.ready.len()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Bytes as many as a library has, different for each seed.
fn library(seed: u8) -> Vec<u8> {
    (0..3_000_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

/// Whether a tool is there; a test that needs it and has it not says so.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no {tool} here");
    }
    found
}
