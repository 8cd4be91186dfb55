//! What becomes of the processes that load libraries first. One test at a time, as they
//! tell them by whose children they are.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{self, Command};
use std::thread;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use parking_lot::Mutex;
use plugbay_loader::Explain;
use plugbay_tests::{Folder, build, misdeed, until, with_embedded, worker};
use serde_json::json;

static ALONE: Mutex<()> = Mutex::new(());

/// A library that nobody has seen yet.
fn library(id: &str) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-answer")).unwrap();
    with_embedded(&library, |embedded| embedded.manifest.id = id.parse().unwrap())
}

fn only_child_of(pid: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children = lists.collect::<Vec<_>>().join(" ");
    let children: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(children.len() < 2, "{children:?}");
    children.first().copied()
}

fn end(pid: u32, signal: &str) {
    let done = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(done.unwrap().success());
}

fn kill(pid: u32) {
    end(pid, "KILL");
}

/// Whether it has had its request, and so ends by itself: from then on it is the first
/// one to go when memory runs out.
fn is_busy(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).is_ok_and(|score| score == "1000\n")
}

/// The next child is there before it is needed. If something ends it, or the worker,
/// no library is blamed for it. With the host, all of them go.
#[test]
fn workers_and_children_may_be_ended_by_others() {
    let _alone = ALONE.lock();
    let folder = Folder::new();
    folder.write("a.so", library("answea"));
    let host = folder.host().build().unwrap();
    assert!(host.start().unwrap().refused.is_empty());
    let worker = || only_child_of(std::process::id()).unwrap();
    let waiting = || {
        let mut waiting = None;
        until(|| {
            waiting = only_child_of(worker()).filter(|child| !is_busy(*child));
            waiting.is_some()
        });
        waiting.unwrap()
    };
    for id in ["answeb", "answec"] {
        kill(waiting());
        folder.write(&format!("{id}.so"), library(id));
        host.load(id).unwrap();
        assert!(host.call(id, "answer", json!(1)).is_ok());
    }
    kill(worker());
    folder.write("d.so", library("answed"));
    host.load("answed").unwrap();
    let last = waiting();
    drop(host);
    until(|| !fs::exists(format!("/proc/{last}")).unwrap());
    assert_eq!(only_child_of(std::process::id()), None);
}

/// Memory that runs out ends the child first, and a host that is told to end is told so
/// together with all its processes.
#[test]
fn what_others_end_while_it_tries_a_library_is_not_that_librarys_doing() {
    let _alone = ALONE.lock();
    let library = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    for (victim, signal) in [("child", "KILL"), ("child", "TERM"), ("worker", "KILL")] {
        let folder = Folder::new();
        folder.write("slow.so", misdeed(&library, "slow"));
        let host = folder.host().build().unwrap();
        let loading = thread::spawn({
            let host = host.clone();
            move || host.load("misbehave").map(drop)
        });
        let (mut worker, mut child) = (None, None);
        until(|| {
            worker = only_child_of(process::id());
            child = worker.and_then(only_child_of).filter(|child| is_busy(*child));
            child.is_some()
        });
        end(if victim == "child" { child } else { worker }.unwrap(), signal);
        loading.join().unwrap().unwrap_or_else(|error| panic!("{victim} {signal}: {error}"));
        assert!(host.verdicts().quarantined().unwrap().is_empty(), "{victim} {signal}");
    }
}

/// They may not be raised, and the child wanted more than there was.
#[test]
fn limits_of_the_host_are_not_the_librarys_doing() {
    const TEST: &str = "limits_of_the_host_are_not_the_librarys_doing";
    const HERE: &str = "PLUGBAY_TEST_LIMITS";
    if env::var_os(HERE).is_some() {
        let folder = Folder::new();
        folder.write("a.so", library("answer"));
        let refused = folder.start().1.refused;
        return assert!(refused.is_empty(), "{}", refused[0]);
    }
    let _alone = ALONE.lock();
    worker();
    library("answer");
    // Blocks of 512 bytes, and KiB. Root may raise them all the same.
    let script = r#"ulimit -f 100000 && ulimit -d 3000000 || exit 9
        if [ "$(id -u)" = 0 ]; then exec setpriv --bounding-set=-sys_resource "$@"; fi
        exec "$@""#;
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(HERE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_child_that_cannot_be_made_ready_is_not_the_librarys_doing() {
    let _alone = ALONE.lock();
    let folder = Folder::new();
    // Where it looks for /dev/null there is what cannot be opened.
    let odd = folder.beside("odd");
    let _listener = UnixListener::bind(&odd).unwrap();
    let own = folder.beside("worker");
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount --bind {} /dev/null && exec {} {}'\n",
        odd.display(),
        worker().display(),
        plugbay_loader::worker::ARGUMENT,
    );
    fs::write(&own, script).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|done| done.success()) {
        return println!("not tried: this user cannot mount");
    }
    let host = folder.host().worker(own).build().unwrap();
    for id in ["answea", "answeb"] {
        folder.write("a.so", library(id));
        let error = host.load(id).unwrap_err();
        assert_eq!(error.code(), "PB0404", "{error}");
        assert!(error.to_string().contains("No such device or address"), "{error}");
    }
    assert!(host.verdicts().quarantined().unwrap().is_empty());
}

/// It asked the same worker, and left its answer to the other one.
#[test]
fn a_host_in_a_process_that_was_forked_has_workers_of_its_own() {
    let _alone = ALONE.lock();
    let folder = Folder::new();
    folder.write("a.so", library("answer"));
    let (host, report) = folder.start();
    assert!(report.refused.is_empty());
    let misbehave = fs::read(build("plugbay-fixture-misbehave")).unwrap();
    folder.write("b.so", misdeed(&misbehave, "slow"));
    // SAFETY: the child does nothing but what a program with one thread may do, and
    // ends without this one's destructors.
    let ForkResult::Parent { child } = unsafe { fork() }.unwrap() else {
        let _ = host.load("misbehave");
        // SAFETY: as above.
        unsafe { _exit(0) }
    };
    until(|| {
        let maps = |pid: u32| fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| is_busy(*pid)).any(|pid| maps(pid).contains("/misbehave-"))
    });
    kill(child.as_raw().cast_unsigned());
    waitpid(child, None).unwrap();
    // What the worker says of the one is no answer to the other.
    folder.write("b.so", misdeed(&misbehave, "crash"));
    assert_eq!(host.load("misbehave").unwrap_err().code(), "PB0401");
}

unsafe extern "C" {
    fn _exit(code: i32) -> !;
}
