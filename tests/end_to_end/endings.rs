//! The end of a host: after a stop nothing serves, also what was busy; and a host
//! may be ended by the end of a thread, or of the process, where nobody waits for
//! the thread that waits for the host.

use std::cell::RefCell;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{self, Command};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use plugbay_loader::{Explain, Happening, Host, HostBuilder, Pin, PluginState, Role, WatchOptions};
use plugbay_tests::{Folder, Turncoat, build, mapped_below, next, until, with_embedded};
use serde_json::json;

const ID: &str = "residue";
/// Half of what a library's threads are waited for.
const SOON: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(300);

/// A host whose plugin leaves things on each thread that calls it.
fn serving() -> (Host, Folder) {
    let folder = Folder::new();
    folder.put(&build("plugbay-fixture-residue"), "residue.so");
    let host = folder.host().build().unwrap();
    host.start().unwrap();
    (host, folder)
}

fn call(host: &Host) {
    for command in ["current", "channel", "caught"] {
        host.call(ID, command, json!(null)).unwrap();
    }
    host.call(ID, "locals", json!("here")).unwrap();
}

/// It served on once, and was never ended.
#[test]
fn after_a_stop_nothing_serves_that_was_busy_and_its_state_is_kept() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let persistent = with_embedded(&library, |embedded| embedded.manifest.state_persist = true);
    let bed = Turncoat::of(persistent, "1 ok ok ok", |host| host.drain_limit(SHORT));
    bed.count();
    let plugin = bed.plugin(Turncoat::ID).unwrap();
    let (call, gate) = bed.begin_call("sleeper");
    let events = bed.events();
    let error = bed.stop().pop().unwrap().unwrap_err();
    assert_eq!(error.code(), "PB0803");
    assert!(error.to_string().contains("`wait` on thread sleeper ("), "{error}");
    assert_eq!(plugin.enter().unwrap_err().code(), "PB0904");
    assert_eq!(plugin.hold().unwrap_err().code(), "PB0904");
    assert_eq!(plugin.call("count", json!({})).unwrap_err().code(), "PB0904");
    assert_eq!(bed.call(Turncoat::ID, "count", json!({})).unwrap_err().code(), "PB0904");
    assert!(!bed.set_log_level(Turncoat::ID, log::LevelFilter::Off));
    let status = bed.plugins().remove(0);
    assert_eq!((status.state, status.calls), (PluginState::Retiring, 1));
    assert_eq!((bed.in_role(Role::Leaving), bed.mapped()), (vec![1], 1));
    // The call ends where it began, and the plugin with it.
    fs::write(gate, "").unwrap();
    assert_eq!(call.join().unwrap().unwrap(), json!("1"));
    next(&events, |happening| matches!(happening, Happening::InUse { generation: 1, .. }));
    let told = next(&events, |happening| !matches!(happening, Happening::InUse { .. })).happening;
    assert!(matches!(told, Happening::Unloaded { state_kept: true, .. }), "{told:?}");
    let told = next(&events, |_| true).happening;
    let Happening::Retired { pinned: None, failures, .. } = told else { panic!("{told:?}") };
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!((bed.plugins()[0].state, bed.mapped()), (PluginState::Unloaded, 0));
    let folder = bed.end();
    let (host, _) = folder.start();
    assert_eq!(host.call(Turncoat::ID, "get", json!({})).unwrap(), json!(1));
}

/// A file that waited for the plugin was loaded once, by a host that was stopped.
#[test]
fn after_a_stop_nothing_is_loaded() {
    let watch = |host: HostBuilder| host.drain_limit(SHORT).watch(WatchOptions::default());
    let bed = Turncoat::serving("1 ok ok ok", watch);
    let (call, gate) = bed.begin_call("sleeper");
    let events = bed.events();
    bed.put("1.1.0", "2 ok ok ok");
    next(&events, |happening| matches!(happening, Happening::Kept { .. }));
    bed.stop();
    fs::write(gate, "").unwrap();
    call.join().unwrap().unwrap();
    next(&events, |happening| matches!(happening, Happening::Retired { .. }));
    // What its thread does then, it has done when the host is gone.
    drop(bed.end());
    let told: Vec<_> = events.map(|event| event.happening).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Stop,
    Drop,
    Unload,
}

const ALL: [How; 3] = [How::Stop, How::Drop, How::Unload];

/// Ends a host when it is dropped, and gives how long that took.
struct AtEnd {
    host: Option<Host>,
    how: How,
    took: mpsc::Sender<Duration>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        let begin = Instant::now();
        end(self.host.take().unwrap(), self.how);
        let _ = self.took.send(begin.elapsed());
    }
}

fn end(host: Host, how: How) {
    match how {
        How::Stop => drop(host.stop()),
        How::Drop => {}
        How::Unload => drop(host.unload(ID).unwrap()),
    }
}

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

fn at_end(host: Host, how: How) -> mpsc::Receiver<Duration> {
    let (took, receiver) = mpsc::channel();
    AT_END.set(Some(AtEnd { host: Some(host), how, took }));
    receiver
}

/// Thread-locals are dropped in the reverse order of their first use: the
/// program's after or before what the loader has there.
#[test]
fn a_thread_local_that_holds_the_host_ends_it_at_once() {
    for how in ALL {
        for loaders_first in [true, false] {
            let (host, folder) = serving();
            let thread = thread::spawn(move || {
                if loaders_first {
                    AT_END.set(None);
                }
                call(&host);
                at_end(host, how)
            });
            let took = thread.join().unwrap().recv().unwrap();
            assert!(took < SOON, "{how:?} {loaders_first}: {took:?}");
            assert_eq!(mapped_below(&folder.beside("cache")), 0, "{how:?} {loaders_first}");
        }
    }
}

/// It waits for its turn to stop while another thread closes.
#[test]
fn a_thread_that_ends_and_waits_for_its_turn_is_not_waited_for() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    let (running, gate) = bed.begin_call("busy");
    let unload = thread::spawn({
        let host = bed.host().clone();
        move || {
            let unloaded = host.unload(Turncoat::ID).unwrap();
            (unloaded.pinned, Instant::now())
        }
    });
    let waiting = bed.until_calls_wait();
    let host = bed.host().clone();
    let (came, comes) = mpsc::channel();
    let ending = thread::spawn(move || {
        AT_END.set(None);
        // Not one that the unload lets wait.
        let _ = host.set_log_level("nobody", log::LevelFilter::Off);
        watched();
        came.send(()).unwrap();
        at_end(host, How::Stop)
    });
    comes.recv().unwrap();
    thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    fs::write(gate, "").unwrap();
    let (pinned, at) = unload.join().unwrap();
    assert_eq!(pinned, None);
    assert!(at - begin < SOON, "{:?}", at - begin);
    running.join().unwrap().unwrap();
    drop(waiting.join());
    ending.join().unwrap().recv().unwrap();
}

/// Has the loader see the end of this thread.
fn watched() {
    let (host, _folder) = serving();
    call(&host);
}

/// What the end of the process finds.
static LEFT: Mutex<Option<(Host, How, Folder)>> = Mutex::new(None);

extern "C" fn at_exit() {
    let (host, how, folder) = LEFT.lock().unwrap().take().unwrap();
    let begin = Instant::now();
    end(host, how);
    let took = begin.elapsed();
    let mapped = mapped_below(&folder.beside("cache"));
    let report = format!("{} {mapped}", took < SOON);
    fs::write(env::var_os(REPORT).unwrap(), report).unwrap();
}

const REPORT: &str = "PLUGBAY_TEST_REPORT";
const HOW: &str = "PLUGBAY_TEST_HOW";

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// The thread that ends the process runs the destructors of its thread-locals,
/// and then what is to be done at the exit.
#[test]
fn the_end_of_the_process_ends_it_at_once() {
    const TEST: &str = "the_end_of_the_process_ends_it_at_once";
    if let Some(how) = env::var_os(HOW) {
        let how = ALL.into_iter().find(|one| how == *format!("{one:?}")).unwrap();
        let (host, folder) = serving();
        call(&host);
        *LEFT.lock().unwrap() = Some((host, how, folder));
        // SAFETY: a function without arguments, which does not unwind: where it
        // panics, the process is aborted, as the test then says.
        assert_eq!(unsafe { atexit(at_exit) }, 0);
        process::exit(0);
    }
    for how in ALL {
        let folder = Folder::new();
        let report = folder.beside("report");
        let output = Command::new(env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env(HOW, format!("{how:?}"))
            .env(REPORT, &report)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{how:?}: {}: {said}", output.status);
        assert_eq!(read(&report), "true 0", "{how:?}: {said}");
    }
}

/// Unloads the plugin when it logs, which nobody should do.
struct Unloads(Mutex<Option<Host>>);

impl log::Log for Unloads {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().contains("a key's destructor")
            && let Some(host) = self.0.lock().unwrap().take()
        {
            let pin = host.unload(ID).unwrap().pinned;
            let named = matches!(&pin, Some(Pin::Threads { threads }) if threads.len() == 1);
            fs::write(env::var_os(REPORT).unwrap(), format!("{named} {pin:?}")).unwrap();
        }
    }

    fn flush(&self) {}
}

/// The library was unmapped once, and its destructor came back to nothing.
#[test]
fn a_destructor_of_the_library_that_ends_it_through_the_logger_is_waited_for() {
    const TEST: &str = "a_destructor_of_the_library_that_ends_it_through_the_logger_is_waited_for";
    static LOGGER: Unloads = Unloads(Mutex::new(None));
    if env::var_os(REPORT).is_some() {
        log::set_logger(&LOGGER).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        let (host, _folder) = serving();
        *LOGGER.0.lock().unwrap() = Some(host.clone());
        let caller = thread::spawn(move || drop(host.call(ID, "key", json!(null)).unwrap()));
        return caller.join().unwrap();
    }
    let folder = Folder::new();
    let report = folder.beside("report");
    let output = Command::new(env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(REPORT, &report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(read(&report).starts_with("true"), "{}", read(&report));
}

fn read(path: &Path) -> String {
    until(|| path.exists());
    fs::read_to_string(path).unwrap()
}
