//! Under reloads, no call fails and none is lost: what a counter says in the end
//! is how many calls succeeded.

use std::fs;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use plugbay_loader::{Explain, Host, Outcome};
use plugbay_tests::{Folder, Turncoat, build, reloaded, while_calling, with_embedded};
use serde_json::json;

const ID: &str = Turncoat::ID;

/// The callers of one test keep all processors busy, so it is one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts on threads while `work` runs, and compares.
#[track_caller]
fn exactly(bed: &Turncoat, threads: usize, work: impl FnOnce()) {
    let begin = bed.count();
    let (good, bad) = while_calling(threads, |_| bed.call(ID, "count", json!({})), work);
    assert!(bad.is_empty(), "{} of {good}: {}", bad.len(), bad[0]);
    assert!(good > 100, "{good}");
    assert_eq!(bed.count(), begin + good + 1);
}

/// Lets two versions replace each other.
fn back_and_forth(bed: &Turncoat, times: usize) {
    for round in 0..times {
        let version = if round % 2 == 0 { "2.0.0" } else { "1.0.0" };
        let number = if round % 2 == 0 { "2 ok ok ok" } else { "1 ok ok ok" };
        bed.replace(version, number);
    }
}

fn through_reloads(times: usize) {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::ZERO));
    exactly(&bed, 6, || back_and_forth(&bed, times));
}

#[test]
fn through_reloads_of_the_fixture() {
    let _alone = alone();
    through_reloads(70);
}

#[test]
#[ignore = "takes minutes: scripts/test --long"]
fn through_thousands_of_reloads() {
    let _alone = alone();
    through_reloads(3000);
}

#[test]
fn through_reloads_with_the_previous_generation_kept() {
    let _alone = alone();
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    exactly(&bed, 4, || back_and_forth(&bed, 40));
}

#[test]
fn through_reloads_without_membarrier() {
    let _alone = alone();
    const WHO: &str = "PLUGBAY_TEST_WITHOUT_MEMBARRIER";
    if std::env::var_os(WHO).is_some() {
        return through_reloads(40);
    }
    let name = "through_reloads_without_membarrier";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(WHO, "1")
        .env("PLUGBAY_NO_MEMBARRIER", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn through_reloads_of_kv() {
    let _alone = alone();
    let folder = Folder::new();
    let library = fs::read(build("plugbay-plugin-kv")).unwrap();
    let versions = ["0.1.1", "0.1.2"].map(|version| {
        with_embedded(&library, |embedded| {
            embedded.manifest.version = version.parse().unwrap();
            embedded.manifest.description.clear();
        })
    });
    let put = |version: &[u8]| {
        fs::write(folder.beside("aside"), version).unwrap();
        fs::rename(folder.beside("aside"), folder.plugins().join("kv.so")).unwrap();
    };
    put(&versions[0]);
    let host = folder.host().probation(Duration::ZERO).build().unwrap();
    host.start().unwrap();
    const THREADS: usize = 6;
    let increment = |thread: usize| {
        host.call("kv", "increment", json!({"key": format!("thread {thread}")}))?;
        host.call("kv", "increment", json!({"key": "all"}))
    };
    let (good, bad) = while_calling(THREADS, increment, || {
        for round in 1..=40 {
            put(&versions[round % 2]);
            reloaded(host.reload("kv"));
        }
    });
    assert!(bad.is_empty(), "{}", bad[0]);
    let value = |key: &str| {
        host.call("kv", "get", json!({"key": key})).unwrap()["value"].as_u64().unwrap_or(0)
    };
    assert_eq!(value("all"), good);
    let each: u64 = (0..THREADS).map(|thread| value(&format!("thread {thread}"))).sum();
    assert_eq!(each, good);
}

#[test]
fn through_reloads_that_fail() {
    let _alone = alone();
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::ZERO));
    exactly(&bed, 4, || {
        for round in 0..12 {
            bed.put("2.0.0", "2 ok error ok");
            assert_eq!(bed.reload(ID).unwrap_err().code(), "PB0601");
            bed.put("2.0.0", "2 ok panic ok");
            assert_eq!(bed.reload(ID).unwrap_err().code(), "PB0602");
            bed.put_bytes(b"\x7fELF");
            bed.reload(ID).unwrap_err();
            bed.replace("3.0.0", &format!("{round} ok ok ok"));
        }
    });
}

#[test]
fn through_rollbacks() {
    let _alone = alone();
    let bed = Turncoat::serving("0 ok ok ok", |host| host);
    exactly(&bed, 4, || {
        for round in 1..20 {
            let new = bed.replace("2.0.0", &format!("{round} ok ok ok"));
            let back = bed.rollback(ID).unwrap();
            assert_eq!(back.from_generation, new.to_generation);
            assert_eq!((back.note.as_deref(), back.state_bytes.is_some()), (None, true));
        }
    });
    assert_eq!(bed.number(), "0");
}

#[test]
fn through_being_disabled_and_enabled() {
    let _alone = alone();
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    let begin = bed.count();
    let (good, bad) = while_calling(
        4,
        |_| bed.call(ID, "count", json!({})),
        || {
            for round in 2..22 {
                let unloaded = bed.disable(ID).unwrap();
                assert!(unloaded.state_kept && unloaded.failures.is_empty(), "{unloaded:?}");
                bed.enable(ID).unwrap();
                bed.replace("2.0.0", &format!("{round} ok ok ok"));
            }
        },
    );
    let others: Vec<_> = bad.iter().filter(|error| error.code() != "PB0702").collect();
    assert!(others.is_empty(), "{}", others[0]);
    assert_eq!(bed.count(), begin + good + 1);
}

#[test]
fn in_two_hosts_at_once() {
    let _alone = alone();
    let beds = [0, 1].map(|_| Turncoat::serving("1 ok ok ok", |host| host));
    thread::scope(|scope| {
        for bed in &beds {
            scope.spawn(|| exactly(bed, 2, || back_and_forth(bed, 40)));
        }
    });
    // Each has counted its own.
    for bed in &beds {
        assert_eq!(bed.generation(), 41);
    }
}

#[test]
fn while_everything_is_looked_at_by_others() {
    let _alone = alone();
    let bed = Turncoat::serving("1 ok ok ok", |host| host);
    exactly(&bed, 2, || {
        let (_, bad) = while_calling(
            1,
            |_| {
                assert_eq!(bed.plugins().len(), 1);
                drop((
                    bed.history(),
                    bed.pinned(),
                    bed.host().refused(),
                    format!("{:?}", bed.host()),
                ));
                let lease = bed.plugin(ID).unwrap().hold().map(|lease| lease.generation());
                lease.map(|generation| json!(generation)).map_err(|error| *error)
            },
            || back_and_forth(&bed, 40),
        );
        assert!(bad.is_empty(), "{}", bad[0]);
    });
}

/// Without state there is nothing to wait for.
#[test]
fn a_plugin_without_state_makes_no_call_wait() {
    let _alone = alone();
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let library = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(library, "1 ok ok ok", |host| host);
    let mut waited = Vec::new();
    let (good, bad) = while_calling(
        4,
        |_| bed.call(ID, "count", json!({})),
        || {
            for number in 2..40 {
                let reloaded = bed.replace("1.0.0", &format!("{number} ok ok ok"));
                waited.push((reloaded.calls_waited, reloaded.times.pause, reloaded.state_bytes));
            }
        },
    );
    assert!(bad.is_empty() && good > 100, "{good} {bad:?}");
    assert!(waited.iter().all(|waited| *waited == (0, None, None)), "{waited:?}");
}

#[test]
fn while_the_host_is_stopped_all_calls_end() {
    let _alone = alone();
    for _ in 0..10 {
        let bed = Turncoat::serving("1 ok ok ok", |host| host);
        let host: &Host = bed.host();
        let (_, bad) = while_calling(
            4,
            |_| bed.call(ID, "count", json!({})),
            || {
                thread::scope(|scope| {
                    let reloads = scope.spawn(|| {
                        for number in 2.. {
                            bed.put("2.0.0", &format!("{number} ok ok ok"));
                            match host.reload(ID) {
                                Ok(Outcome::Reloaded(_)) => {}
                                Ok(other) => panic!("{other:?}"),
                                Err(error) => return error,
                            }
                        }
                        unreachable!("numbers end")
                    });
                    // A few reloads have happened.
                    let events = host.events();
                    events.take(6).for_each(drop);
                    for ended in host.stop() {
                        assert!(ended.unwrap().failures.is_empty());
                    }
                    assert_eq!(reloads.join().unwrap().code(), "PB0904");
                });
            },
        );
        let others: Vec<_> = bad.iter().filter(|error| error.code() != "PB0904").collect();
        assert!(others.is_empty(), "{}", others[0]);
    }
}
