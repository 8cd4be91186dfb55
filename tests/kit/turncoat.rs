//! A host that serves the fixture `turncoat`, in as many versions as a test wants.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{
    CallError, Event, Events, Explain, Happening, Host, HostBuilder, LoadPluginError, Outcome,
    Reloaded, Role,
};

use crate::{Folder, build, turned};

/// How long a test waits for what must happen.
const LONG: Duration = Duration::from_secs(30);
/// How long a call takes that must be waiting for something.
const WAITING: Duration = Duration::from_millis(100);

/// A host with all as it is.
pub fn as_it_is(host: HostBuilder) -> HostBuilder {
    host
}

/// A host without probations: the version before ends at once.
pub fn at_once(host: HostBuilder) -> HostBuilder {
    host.probation(Duration::ZERO)
}

/// A host that waits for little: calls for 0.3 s, activations for 1.5 s.
pub fn impatient(host: HostBuilder) -> HostBuilder {
    const SHORT: Duration = Duration::from_millis(300);
    // Naming a panic's frames takes long in a debug build on a busy machine.
    host.activation_deadline(SHORT * 5).drain_limit(SHORT).backtraces(false)
}

/// The host and its folder.
pub struct Turncoat {
    host: Host,
    /// The folder; dropped after the host.
    pub folder: Folder,
    library: Vec<u8>,
}

impl Deref for Turncoat {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Turncoat {
    /// The plugin's id.
    pub const ID: &str = "turncoat";

    /// Serves version 1.0.0 with these words (see [`turned`]).
    pub fn serving(words: &str, change: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let library = std::fs::read(build("plugbay-fixture-turncoat")).expect("a library");
        Self::of(library, words, change)
    }

    /// As `serving`, of other bytes.
    pub fn of(
        library: Vec<u8>,
        words: &str,
        change: impl FnOnce(HostBuilder) -> HostBuilder,
    ) -> Self {
        let folder = Folder::new();
        let host = change(folder.host()).build().expect("a host");
        let this = Self { host, folder, library };
        this.put("1.0.0", words);
        let report = this.host.start().expect("a start");
        assert!(report.refused.is_empty(), "{}", report.refused[0]);
        this
    }

    /// Drops the host, and gives what it leaves.
    pub fn end(self) -> Folder {
        let Self { host, folder, .. } = self;
        drop(host);
        folder
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Puts a version into the folder, in the place of the one there.
    pub fn put(&self, version: &str, words: &str) -> PathBuf {
        self.put_bytes(&turned(&self.library, version, words))
    }

    /// Puts other bytes there. In one step, as a careful writer does.
    pub fn put_bytes(&self, bytes: &[u8]) -> PathBuf {
        let aside = self.folder.beside("aside");
        std::fs::write(&aside, bytes).expect("written");
        let path = self.folder.plugins().join("turncoat.so");
        std::fs::rename(aside, &path).expect("renamed");
        path
    }

    /// Puts a version there that must take over.
    #[track_caller]
    pub fn replace(&self, version: &str, words: &str) -> Reloaded {
        self.put(version, words);
        reloaded(self.host.reload(Self::ID))
    }

    /// Reloads what must be refused while the old one serves on; the code.
    #[track_caller]
    pub fn refused(&self) -> &'static str {
        self.refused_with().0
    }

    /// As `refused`, with the message.
    #[track_caller]
    pub fn refused_with(&self) -> (&'static str, String) {
        let before = (self.generation(), self.number(), self.count());
        let error = self.host.reload(Self::ID).expect_err("a refusal");
        let after = (self.generation(), self.number(), self.count());
        assert_eq!(after, (before.0, before.1, before.2 + 1), "{error}");
        let told = self.host.history().into_iter().rev().find_map(|event| match event.happening {
            Happening::Kept { code, generation, .. } => Some((code, generation)),
            _ => None,
        });
        assert_eq!(told, Some((error.code().to_owned(), before.0)));
        (error.code(), error.to_string())
    }

    /// Calls a command that must succeed.
    #[track_caller]
    pub fn ask(&self, command: &str) -> Value {
        self.host.call(Self::ID, command, json!({})).expect("a result")
    }

    /// Adds one to the state.
    #[track_caller]
    pub fn count(&self) -> u64 {
        self.ask("count").as_u64().expect("a number")
    }

    /// The number in the file that serves.
    #[track_caller]
    pub fn number(&self) -> String {
        self.ask("number").as_str().expect("text").to_owned()
    }

    /// The generation that serves.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.host.plugin(Self::ID).expect("a plugin").enter().expect("a lease").generation()
    }

    /// The generations in this role.
    pub fn in_role(&self, role: Role) -> Vec<u64> {
        let plugins = self.host.plugins();
        let all = plugins.iter().flat_map(|plugin| &plugin.generations);
        all.filter(|one| one.role == role).map(|one| one.generation).collect()
    }

    /// The plugin's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.beside("data").join(Self::ID)
    }

    /// Waits until the plugin hangs in `place`.
    pub fn until_it_hangs_in(&self, place: &str) {
        let file = self.data().join(format!("{place}-hangs"));
        until(|| file.exists());
    }

    /// Lets it go on, there and wherever it would hang from now on.
    pub fn let_go(&self) {
        std::fs::create_dir_all(self.data()).expect("a folder");
        std::fs::write(self.data().join("release"), "").expect("written");
    }

    /// Begins a call of `wait` on a thread, and comes back when it runs. It ends
    /// when the file is there that is given.
    pub fn begin_call(&self, name: &str) -> (JoinHandle<Result<Value, CallError>>, PathBuf) {
        let (there, gate) = (
            self.folder.beside(&format!("{name}-there")),
            self.folder.beside(&format!("{name}-go")),
        );
        let host = self.host.clone();
        let arguments = json!({"there": there, "until": gate});
        let call = thread::Builder::new()
            .name(name.into())
            .spawn(move || host.call(Self::ID, "wait", arguments))
            .expect("a thread");
        until(|| there.exists());
        (call, gate)
    }

    /// Comes back when calls wait, because a state is being handed over. Gives
    /// the thread whose call is waiting.
    pub fn until_calls_wait(&self) -> JoinHandle<Result<Value, CallError>> {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < LONG, "no call waits");
            let (done, is_done) = mpsc::channel();
            let host = self.host.clone();
            let call = thread::spawn(move || {
                let outcome = host.call(Self::ID, "get", json!({}));
                let _ = done.send(());
                outcome
            });
            if is_done.recv_timeout(WAITING).is_err() {
                return call;
            }
            drop(call.join());
        }
    }

    /// How many libraries are mapped from this test's cache.
    pub fn mapped(&self) -> usize {
        mapped_below(&self.folder.beside("cache"))
    }
}

/// How many libraries below a folder are mapped.
pub fn mapped_below(folder: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the map");
    let folder = format!("{}/", folder.display());
    let mut files: Vec<_> =
        maps.lines().filter_map(|line| line.find(&folder).map(|at| &line[at..])).collect();
    files.sort_unstable();
    files.dedup();
    files.len()
}

/// What a reload that must have worked says.
#[track_caller]
pub fn reloaded(outcome: Result<Outcome, LoadPluginError>) -> Reloaded {
    match outcome {
        Ok(Outcome::Reloaded(reloaded)) => *reloaded,
        other => panic!("{other:?}"),
    }
}

/// Waits for a condition that nobody tells of.
#[track_caller]
pub fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "it does not come to that");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The first event that is looked for.
#[track_caller]
pub fn next(events: &Events, mut is_it: impl FnMut(&Happening) -> bool) -> Event {
    let end = Instant::now() + LONG;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let event = events.next_within(left).expect("an event");
        if is_it(&event.happening) {
            return event;
        }
    }
}

/// Calls `call` on so many threads, over and over, while `work` runs. Gives how
/// often it succeeded, and what else it said.
pub fn while_calling(
    threads: usize,
    call: impl Fn(usize) -> Result<Value, CallError> + Sync,
    work: impl FnOnce(),
) -> (u64, Vec<CallError>) {
    let (over, good) = (AtomicBool::new(false), AtomicU64::new(0));
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let bad = thread::scope(|scope| {
        let (over, good, call) = (&over, &good, &call);
        let one = |thread| {
            move || {
                let mut bad = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    match call(thread) {
                        Ok(_) => drop(good.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => bad.push(error),
                    }
                }
                bad
            }
        };
        let callers: Vec<_> = (0..threads).map(|thread| scope.spawn(one(thread))).collect();
        // They end even if the work panics.
        let end = End(over);
        work();
        drop(end);
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    (good.into_inner(), bad)
}

/// The names that the system has for the threads of this process.
pub fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}
