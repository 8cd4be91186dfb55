//! An unloaded plugin's library is really gone, whatever it has left on threads,
//! and nothing crashes, then or later.
//!
//! The plugin is called from the test's own thread and from one that lives on.

use std::ffi::c_void;
use std::fs;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use object::{Object, ObjectSection};
use plugbay_loader::{Explain, Host, Pin};
use plugbay_tests::{Folder, build, until};
use serde_json::{Value, json};

const FIXTURE: &str = "plugbay-fixture-residue";
const ID: &str = "residue";

/// A host with the plugin, and a thread that calls it and outlives it.
struct Bed {
    folder: Folder,
    host: Host,
    worker: Worker,
}

impl Bed {
    fn new() -> Self {
        let bed = Self::with(json!({}));
        bed.host.start().unwrap();
        bed
    }

    /// Not started yet.
    fn with(mut config: Value) -> Self {
        let folder = Folder::new();
        folder.put(&build(FIXTURE), "residue.so");
        config["journal"] = json!(folder.beside("journal"));
        let host = folder.host().config(ID, config).build().unwrap();
        Self { folder, host, worker: Worker::new() }
    }

    fn call(&self, command: &str, arguments: Value) -> Value {
        self.host.call(ID, command, arguments).unwrap()
    }

    fn call_on_worker(&self, command: &'static str, arguments: Value) {
        let host = self.host.clone();
        self.worker.run(move || drop(host.call(ID, command, arguments).unwrap()));
    }

    /// Calls on both threads.
    fn call_on_both(&self, command: &'static str) {
        self.call(command, json!("test"));
        self.call_on_worker(command, json!("worker"));
    }

    /// Unloads, and the library must be gone.
    #[track_caller]
    fn unload(&self) {
        assert_eq!(self.mapped(), 1);
        let unloaded = self.host.unload(ID).unwrap();
        assert!(unloaded.failures.is_empty(), "{:?}", unloaded.failures);
        assert_eq!(unloaded.pinned, None);
        assert_eq!(self.mapped(), 0);
        assert!(self.host.pinned().is_empty());
        // The private copy has gone with it.
        let live = self.folder.beside("cache/live");
        let copies = fs::read_dir(live)
            .unwrap()
            .flatten()
            .filter_map(|dir| fs::read_dir(dir.path()).ok())
            .flatten()
            .flatten()
            .filter(|file| file.file_name() != "lock")
            .count();
        assert_eq!(copies, 0);
    }

    fn load(&self) {
        self.host.load(ID).unwrap();
    }

    /// How many libraries are mapped from this test's cache.
    fn mapped(&self) -> usize {
        let cache = self.folder.beside("cache").to_string_lossy().into_owned();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut files: Vec<_> =
            maps.lines().filter_map(|line| line.find(&cache).map(|at| &line[at..])).collect();
        files.dedup();
        files.len()
    }

    /// What destructors wrote, and forgets it.
    fn journal(&self) -> Vec<String> {
        let path = self.folder.beside("journal");
        let lines = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        lines.lines().map(str::to_owned).collect()
    }
}

/// A thread that does what it is told until it is dropped.
struct Worker {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

type Task = (Box<dyn FnOnce() + Send>, mpsc::Sender<()>);

impl Worker {
    fn new() -> Self {
        let (tasks, receiver) = mpsc::channel::<Task>();
        let thread = thread::spawn(move || {
            for (task, done) in receiver {
                task();
                let _ = done.send(());
            }
        });
        Self { tasks: Some(tasks), thread: Some(thread) }
    }

    fn run(&self, task: impl FnOnce() + Send + 'static) {
        let (done, wait) = mpsc::channel();
        self.tasks.as_ref().unwrap().send((Box::new(task), done)).unwrap();
        wait.recv().expect("the task panicked");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.tasks.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// Each object of one thread was destroyed once, the last one first.
///
/// The `child` is made by the destructor of `parent`, on the thread that runs
/// it: on the object's own one if `at_its_end`, else perhaps on another one,
/// where it may be there already.
#[track_caller]
fn assert_destroyed(journal: &[String], generation: u64, on: &str, at_its_end: bool) {
    let name = |what| format!("{generation} {on} {what}");
    let mut lines = of(journal, on);
    if !at_its_end {
        lines.retain(|line| **line != name("child"));
        assert_eq!(lines, [&name("parent"), &name("second"), &name("first")]);
    } else {
        assert_eq!(lines, [&name("parent"), &name("child"), &name("second"), &name("first")]);
    }
}

/// The lines that speak of one thread.
fn of<'a>(journal: &'a [String], on: &str) -> Vec<&'a String> {
    journal.iter().filter(|line| line.split(' ').nth(1) == Some(on)).collect()
}

/// Calls, unloads and loads again, a few times.
fn unmapped_after(command: &'static str) {
    let bed = Bed::new();
    for _ in 0..5 {
        bed.call_on_both(command);
        bed.unload();
        bed.load();
    }
    bed.unload();
}

#[test]
fn thread_locals_are_destroyed_once_and_in_order_when_it_is_unloaded() {
    let bed = Bed::new();
    for generation in 1..6 {
        bed.call_on_both("locals");
        bed.call_on_both("locals");
        assert!(bed.journal().is_empty());
        bed.unload();
        let journal = bed.journal();
        assert_destroyed(&journal, generation, "test", false);
        assert_destroyed(&journal, generation, "worker", false);
        assert_destroyed(&journal, generation, "deactivation", true);
        // The child of the thread that ran what the other two have left.
        assert_eq!(journal.len(), 4 + 3 + 3 + 1, "{journal:#?}");
        bed.load();
    }
    bed.unload();
    drop(bed.journal());
    let Bed { folder, worker, .. } = bed;
    drop(worker);
    // Nothing is left for the end of the thread.
    assert!(!folder.beside("journal").exists());
}

#[test]
fn thread_locals_are_destroyed_when_their_thread_ends_and_not_again() {
    let bed = Bed::new();
    let host = bed.host.clone();
    thread::spawn(move || host.call(ID, "locals", json!("short")).unwrap()).join().unwrap();
    let journal = bed.journal();
    assert_destroyed(&journal, 1, "short", true);
    bed.unload();
    assert!(of(&bed.journal(), "short").is_empty());
}

#[test]
fn the_handle_of_the_current_thread() {
    unmapped_after("current");
}

#[test]
fn contended_locks() {
    unmapped_after("locks");
}

#[test]
fn channels() {
    unmapped_after("channel");
}

#[test]
fn joined_threads() {
    unmapped_after("joined");
}

#[test]
fn a_detached_thread_that_ends_by_itself_is_waited_for() {
    let bed = Bed::new();
    for generation in 1..4 {
        bed.call("detached", json!(null));
        bed.unload();
        let mut journal = bed.journal();
        let done = journal.iter().position(|line| line.ends_with("detached is done")).unwrap();
        journal.drain(..=done);
        assert_destroyed(&journal, generation, "detached", true);
        bed.load();
    }
}

#[test]
fn a_runtime_of_tokio() {
    unmapped_after("tokio");
}

#[test]
fn a_pool_of_rayon() {
    unmapped_after("rayon");
}

#[test]
fn caught_panics() {
    unmapped_after("caught");
}

#[test]
fn backtraces_with_names() {
    unmapped_after("backtrace");
}

#[test]
fn threads_that_end_while_it_is_unloaded() {
    let bed = Bed::new();
    let mut at_their_end = 0;
    for generation in 1..60 {
        let (ready, is_ready) = mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (host, ready) = (bed.host.clone(), ready.clone());
                thread::spawn(move || {
                    host.call(ID, "locals", json!(format!("t{number}"))).unwrap();
                    host.call(ID, "current", json!(null)).unwrap();
                    ready.send(()).unwrap();
                })
            })
            .collect();
        (0..4).for_each(|_| is_ready.recv().unwrap());
        bed.unload();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let journal = bed.journal();
        for number in 0..4 {
            assert_destroyed(&journal, generation, &format!("t{number}"), false);
        }
        at_their_end +=
            journal.iter().filter(|line| line.ends_with("child")).count().saturating_sub(1);
        bed.load();
    }
    println!("{at_their_end} threads ran them at their end");
}

#[test]
fn a_thread_that_is_in_the_middle_of_ending_is_waited_for() {
    let bed = Bed::new();
    for generation in 1..4 {
        let host = bed.host.clone();
        let thread = thread::spawn(move || drop(host.call(ID, "key", json!(null)).unwrap()));
        // The destructor of a key takes its time; then the library goes.
        let journal = bed.folder.beside("journal");
        let begun = |text: String| text.contains("key begins");
        until(|| fs::read_to_string(&journal).is_ok_and(begun));
        bed.unload();
        let lines = bed.journal();
        assert_eq!(lines[0], format!("{generation} key begins"));
        assert!(lines.contains(&"key ends".into()), "{lines:#?}");
        thread.join().unwrap();
        bed.load();
    }
}

#[test]
fn a_thread_that_does_not_end_is_named_and_its_library_is_closed_later() {
    let bed = Bed::new();
    let path = bed.folder.beside("end");
    bed.call("until", json!({ "path": path }));
    bed.call_on_both("locals");
    let begin = Instant::now();
    let pin = bed.host.unload(ID).unwrap().pinned.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    let Pin::Threads { threads } = &pin else { panic!("{pin}") };
    assert_eq!(threads.len(), 1);
    assert_eq!(threads[0].name, "residue-until");
    assert!(pin.to_string().contains("`residue-until` ("), "{pin}");
    assert_eq!(bed.host.plugins()[0].pinned, [(1, pin.clone())]);
    assert_eq!(bed.mapped(), 1);
    // What still runs keeps what it uses.
    assert!(of(&bed.journal(), "worker").is_empty());

    // It does not stand in the way of the next, and stays pinned until it can go.
    bed.load();
    assert_eq!(bed.host.pinned()[0].pin, pin);
    assert_eq!((bed.mapped(), bed.host.plugins()[0].pinned.len()), (2, 1));
    fs::write(path, "").unwrap();
    let begin = Instant::now();
    while bed.mapped() > 1 {
        assert!(begin.elapsed() < Duration::from_secs(30));
        bed.host.unload(ID).unwrap();
        bed.load();
    }
    assert!(bed.host.plugins()[0].pinned.is_empty());
    assert_destroyed(&bed.journal(), 1, "worker", false);
    bed.unload();
}

#[test]
fn a_pool_for_ever_is_named() {
    let bed = Bed::new();
    bed.call("global_rayon", json!(null));
    let pin = bed.host.unload(ID).unwrap().pinned.unwrap();
    assert!(matches!(pin, Pin::Threads { .. }), "{pin}");
}

#[test]
fn a_signal_handler_is_named() {
    let bed = Bed::new();
    bed.call("signal", json!(true));
    let pin = bed.host.unload(ID).unwrap().pinned.unwrap();
    assert_eq!(pin, Pin::SignalHandlers { signals: vec!["SIGUSR2".into()] });
    assert_eq!(bed.mapped(), 1);
    // It has run on, and the next generation takes the handler away.
    bed.load();
    bed.call("signal", json!(false));
    assert_eq!(bed.mapped(), 2);
    assert_eq!(bed.host.unload(ID).unwrap().pinned, None);
    assert_eq!(bed.mapped(), 0);
}

#[test]
fn a_destructor_that_hangs_is_told_and_its_library_is_closed_later() {
    let folder = Folder::new();
    folder.put(&build(FIXTURE), "residue.so");
    let host = folder.host().activation_deadline(Duration::from_secs(1)).build().unwrap();
    host.start().unwrap();
    let end = folder.beside("end");
    let worker = Worker::new();
    let (there, path) = (host.clone(), end.clone());
    worker.run(move || drop(there.call(ID, "stubborn", json!({ "path": path })).unwrap()));
    assert_eq!(host.unload(ID).unwrap().pinned, Some(Pin::ThreadLocals));
    host.load(ID).unwrap();
    assert!(matches!(host.pinned()[0].pin, Pin::Threads { .. }));
    // Not before its object is done with, which is on that thread.
    let ending = thread::spawn(move || drop(worker));
    // Tried again, and not closed.
    host.start().unwrap();
    assert!(!host.pinned().is_empty() && !ending.is_finished());
    fs::write(end, "").unwrap();
    ending.join().unwrap();
    let begin = Instant::now();
    while !host.pinned().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30));
        host.start().unwrap();
    }
    assert_eq!(host.unload(ID).unwrap().pinned, None);
}

#[test]
fn a_library_that_is_marked_to_stay_says_so() {
    let bed = Bed::with(json!({}));
    let mut library = fs::read(build(FIXTURE)).unwrap();
    let (start, size) = {
        let file = object::File::parse(&*library).unwrap();
        file.section_by_name(".dynamic").unwrap().file_range().unwrap()
    };
    const FLAGS_1: u64 = 0x6fff_fffb;
    const NODELETE: u8 = 8;
    let entries = library[start as usize..(start + size) as usize].chunks_mut(16);
    entries
        .filter(|entry| entry[..8] == FLAGS_1.to_le_bytes())
        .for_each(|entry| entry[8] |= NODELETE);
    bed.folder.write("residue.so", library);
    bed.host.start().unwrap();
    bed.call_on_both("locals");
    assert_eq!(bed.host.unload(ID).unwrap().pinned, Some(Pin::NoDelete));
    // It is at its end all the same.
    assert_destroyed(&bed.journal(), 1, "worker", false);
}

#[test]
fn one_that_was_never_activated() {
    for how in ["fail", "panic"] {
        let bed = Bed::with(json!({ "activate": how }));
        for _ in 0..3 {
            let report = bed.host.start().unwrap();
            assert!(report.refused[0].error.code().starts_with("PB060"));
            assert_eq!(bed.mapped(), 0);
            assert!(bed.host.pinned().is_empty());
        }
        assert_eq!(of(&bed.journal(), "activation").len(), if how == "fail" { 12 } else { 0 });
    }
}

#[test]
fn an_end_of_the_host_closes_all() {
    let bed = Bed::new();
    bed.call_on_both("locals");
    bed.call_on_both("channel");
    let Bed { folder, host, worker } = bed;
    drop(host);
    assert!(
        !fs::read_to_string("/proc/self/maps")
            .unwrap()
            .contains(&*folder.plugins().parent().unwrap().to_string_lossy())
    );
    drop(worker);
}

/// All that can go, again and again, with nothing that grows.
fn rounds(count: usize) {
    let bed = Bed::new();
    let mut lines = 0;
    let all = ["locals", "current", "locks", "channel", "joined", "tokio", "rayon", "caught"];
    for _ in 0..count {
        for command in all {
            bed.call_on_both(command);
        }
        bed.call("detached", json!(null));
        bed.unload();
        lines += bed.journal().len();
        // On this thread and the worker, with one child; three threads, twice;
        // at the end; and on the detached one, which says one thing more.
        assert_eq!(lines, 7 + 3 * 2 * 4 + 4 + 5);
        lines = 0;
        bed.load();
    }
    bed.unload();
}

#[test]
fn two_hundred_rounds() {
    rounds(200);
}

#[test]
#[ignore = "takes minutes: scripts/test --long"]
fn five_thousand_rounds() {
    rounds(5000);
}

unsafe extern "C" {
    fn pthread_key_create(key: *mut u32, destructor: extern "C" fn(*mut c_void)) -> i32;
    fn pthread_setspecific(key: u32, value: *mut c_void) -> i32;
}

type Work = Box<dyn FnOnce() + Send>;

/// What is done in the destructor of a key, when the thread-locals and the keys of the
/// standard library are gone.
struct AtTheEnd {
    key: u32,
    work: Option<Work>,
    again: bool,
}

extern "C" fn at_the_end(value: *mut c_void) {
    // SAFETY: the box that `on_a_thread_at_its_end` has made.
    let mut value = unsafe { Box::from_raw(value.cast::<AtTheEnd>()) };
    if std::mem::take(&mut value.again) {
        // SAFETY: the key's value, which is a box again at its next destructor.
        unsafe { pthread_setspecific(value.key, Box::into_raw(value).cast()) };
    } else {
        value.work.take().unwrap()();
    }
}

/// Runs `before` on a thread, and `work` at the very end of it.
fn on_a_thread_at_its_end(before: impl FnOnce() + Send + 'static, work: Work) {
    let thread = thread::spawn(move || {
        let mut key = 0;
        // SAFETY: a place for the key, and a destructor for its values.
        assert_eq!(unsafe { pthread_key_create(&raw mut key, at_the_end) }, 0);
        let value = Box::new(AtTheEnd { key, work: Some(work), again: true });
        // SAFETY: the key that was just made.
        assert_eq!(unsafe { pthread_setspecific(key, Box::into_raw(value).cast()) }, 0);
        before();
    });
    thread.join().unwrap();
}

/// A panic there ends the process, and what lies in thread-locals goes with the thread.
#[test]
fn calls_at_the_very_end_of_a_thread() {
    for command in ["locals", "current", "channel", "locks"] {
        for first in [true, false] {
            let bed = Bed::new();
            let (host, other) = (bed.host.clone(), bed.host.clone());
            let before = move || {
                if !first {
                    host.call(ID, command, json!("before")).unwrap();
                }
            };
            let (done, is_done) = mpsc::channel();
            let work = move || {
                // Its thread-locals may be gone, too, which it says then.
                let called = other.call(ID, command, json!("end")).is_ok();
                done.send((called, other.plugin(ID).unwrap().hold().is_ok())).unwrap();
            };
            on_a_thread_at_its_end(before, Box::new(work));
            let (called, held) = is_done.recv().unwrap();
            assert!(held && (called || !first), "{command}");
            if command == "locals" {
                assert_destroyed(&bed.journal(), 1, if first { "end" } else { "before" }, true);
            }
            if first {
                bed.unload();
            } else {
                // What the C library was given too late it keeps, and the library with it.
                let pinned = bed.host.unload(ID).unwrap().pinned;
                assert!(pinned.is_none_or(|pin| pin == Pin::StillMapped), "{command}");
            }
        }
    }
}
