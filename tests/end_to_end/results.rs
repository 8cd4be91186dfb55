//! Results of commands that are kept by the host, and given again.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{Host, HostBuilder, ResultsStatus};
use plugbay_tests::{Folder, build, piece, reloaded, until, while_calling, with_embedded};

const ID: &str = "dial";

fn dial(version: &str) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-dial")).unwrap();
    with_embedded(&library, |embedded| {
        embedded.manifest.version = version.parse().unwrap();
        embedded.manifest.description.clear();
    })
}

fn serving_with(change: impl FnOnce(HostBuilder) -> HostBuilder) -> (Host, Folder) {
    let folder = Folder::new();
    folder.write("dial.so", dial("1.0.0"));
    let host = change(folder.host()).build().unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    (host, folder)
}

fn serving() -> (Host, Folder) {
    serving_with(|host| host)
}

#[track_caller]
fn ask(host: &Host, command: &str, arguments: Value) -> Value {
    host.call(ID, command, arguments).unwrap()
}

/// How often the plugin was asked for what may be kept.
fn asked(host: &Host) -> u64 {
    ask(host, "asked", json!(null)).as_u64().unwrap()
}

fn status(host: &Host) -> ResultsStatus {
    host.plugins()[0].results.unwrap()
}

fn hits_and_misses(host: &Host) -> (u64, u64) {
    let status = status(host);
    (status.hits, status.misses)
}

#[test]
fn the_same_question_is_asked_once_however_it_is_written_and_by_whom() {
    let (host, _folder) = serving();
    let first = ask(&host, "square", json!({ "n": 3, "padding": "ä" }));
    assert_eq!(first["square"], 9);
    let handle = host.plugin(ID).unwrap();
    for text in [
        r#"{"n":3,"padding":"ä"}"#,
        r#"{ "padding" : "\u00e4", "n" : 3 }"#,
        "{\"padding\":\"ä\",\n\"n\":3}",
    ] {
        assert_eq!(host.call_json(ID, "square", text).unwrap(), first);
        assert_eq!(handle.enter().unwrap().call_json("square", text).unwrap(), first);
    }
    assert_eq!(handle.call("square", json!({ "padding": "ä", "n": 3 })).unwrap(), first);
    assert_eq!((asked(&host), hits_and_misses(&host)), (1, (7, 1)));
    // Another one is another one, also of another command.
    assert_eq!(ask(&host, "square", json!({ "n": 4, "padding": "ä" }))["square"], 16);
    ask(&host, "slow_square", json!({ "n": 3, "padding": "ä" }));
    assert_eq!((asked(&host), hits_and_misses(&host)), (3, (7, 3)));
    assert_eq!(status(&host).entries, 3);
    // What may not be kept is not counted.
    assert_eq!(ask(&host, "size", json!(null)), json!(1));
    assert_eq!(hits_and_misses(&host), (7, 3));
}

#[test]
fn a_result_is_asked_for_again_when_its_time_is_over() {
    let (host, _folder) = serving();
    // It counts itself: the same as long as it is kept.
    until(|| ask(&host, "brief", json!({})).as_u64().unwrap() >= 4);
    let (hits, misses) = hits_and_misses(&host);
    assert!(hits > 0 && misses >= 4, "{hits} hits, {misses} misses");
    until(|| status(&host).entries == 0);
    assert_eq!(status(&host).bytes, 0);
}

#[test]
fn no_error_is_kept_and_what_a_plugin_may_refuse_reaches_it() {
    let (host, _folder) = serving();
    for count in 1..=3 {
        let error = host.call(ID, "refuse", json!({})).unwrap_err();
        assert!(error.to_string().contains("as always"), "{error}");
        assert_eq!(asked(&host), count);
    }
    ask(&host, "square", json!({ "n": 1 }));
    // Twice there: serde says no.
    let twice = host.call_json(ID, "square", r#"{"n":1,"n":1}"#).unwrap_err().to_string();
    assert!(twice.contains("duplicate field `n`"), "{twice}");
    for _ in 0..2 {
        host.call_json(ID, "square", "{").unwrap_err();
        host.call_json(ID, "square", r#"{"n":-1}"#).unwrap_err();
    }
    assert_eq!((asked(&host), status(&host).entries), (4, 1));
}

#[test]
fn so_many_and_so_many_bytes_are_kept_and_none_where_that_is_said() {
    let square = |host: &Host, n: u64| ask(host, "square", json!({ "n": n }));
    let (host, _folder) = serving_with(|host| host.result_cache(3, 1 << 20));
    for n in [1, 2, 3, 1, 4] {
        square(&host, n);
    }
    assert_eq!((asked(&host), status(&host).entries), (4, 3));
    // 2 was not asked for the longest.
    for n in [1, 3, 4] {
        square(&host, n);
    }
    assert_eq!(asked(&host), 4);
    square(&host, 2);
    assert_eq!(asked(&host), 5);

    let (host, _folder) = serving_with(|host| host.result_cache(1000, 10_000));
    for n in 0..100 {
        square(&host, n);
    }
    let ResultsStatus { entries, bytes, .. } = status(&host);
    assert!((10..=40).contains(&entries) && bytes <= 10_000, "{entries} in {bytes} bytes");
    let large = json!({ "n": 1, "padding": "x".repeat(20_000) });
    assert_eq!(ask(&host, "square", large)["square"], 1);
    assert_eq!(status(&host).entries, entries);

    for (entries, bytes) in [(0, 1 << 20), (3, 0)] {
        let (host, _folder) = serving_with(|host| host.result_cache(entries, bytes));
        square(&host, 1);
        square(&host, 1);
        assert_eq!((asked(&host), host.plugins()[0].results), (2, None));
    }
}

#[test]
fn a_plugin_that_lets_keep_nothing_has_nothing_kept() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let (host, _) = folder.start();
    for count in 1..=2 {
        assert_eq!(host.call("a", "count", json!(null)).unwrap(), json!(count));
    }
    assert_eq!(host.plugins()[0].results, None);
}

/// Under load, and whatever runs meanwhile: a call that begins when the change is over
/// is given nothing of before it.
#[test]
fn no_result_outlives_a_reload_or_a_configuration() {
    let (host, folder) = serving();
    let (generation, size) = (AtomicU64::new(1), AtomicU64::new(1));
    let call = |_| {
        let (generation, size) = (generation.load(Ordering::SeqCst), size.load(Ordering::SeqCst));
        let told = host.call(ID, "square", json!({ "n": 5 }))?;
        let number = |name: &str| told[name].as_u64().unwrap();
        assert!(number("generation") >= generation && number("size") >= size, "{told}");
        Ok(told)
    };
    let (good, bad) = while_calling(3, call, || {
        for round in 2..=40 {
            if round % 4 == 0 {
                folder.write("dial.so", dial(&format!("1.0.{round}")));
                let told = reloaded(host.reload(ID));
                generation.store(told.to_generation, Ordering::SeqCst);
            } else {
                host.configure(ID, json!({ "size": round })).unwrap();
                size.store(round, Ordering::SeqCst);
            }
            call(0).unwrap();
        }
    });
    assert!(good > 100 && bad.is_empty(), "{good} calls, {bad:?}");
    assert!(hits_and_misses(&host).0 > 0);
}

#[test]
fn a_call_that_began_before_a_change_does_not_keep_its_result_after_it() {
    let (host, folder) = serving();
    let (there, end) = (folder.beside("there"), folder.beside("end"));
    let slowly = json!({ "n": 2, "slowly": { "there": there, "until": end } });
    thread::scope(|scope| {
        let call = scope.spawn(|| ask(&host, "slow_square", slowly.clone()));
        until(|| there.exists());
        host.configure(ID, json!({ "size": 2 })).unwrap();
        fs::write(&end, "").unwrap();
        assert_eq!(call.join().unwrap()["size"], 1);
    });
    assert_eq!(status(&host).entries, 0);
    assert_eq!(ask(&host, "slow_square", slowly)["size"], 2);
    // Neither is it there when the plugin says no, which may have changed it halfway.
    host.configure(ID, json!({ "size": 3, "answer": "no" })).unwrap_err();
    assert_eq!(status(&host).entries, 0);
}

#[test]
fn nothing_is_kept_beyond_an_unload_and_a_way_back() {
    let folder = Folder::new();
    let stateless = |version: &str| {
        with_embedded(&dial(version), |embedded| embedded.manifest.state_version = 0)
    };
    folder.write("dial.so", stateless("1.0.0"));
    let (host, _) = folder.start();
    ask(&host, "square", json!({ "n": 1 }));
    folder.write("dial.so", stateless("1.1.0"));
    reloaded(host.reload(ID));
    assert_eq!(status(&host).entries, 0);
    ask(&host, "square", json!({ "n": 1 }));
    // The one that waited serves again.
    assert_eq!(host.rollback(ID).unwrap().to_generation, 1);
    assert_eq!(status(&host).entries, 0);
    assert_eq!(ask(&host, "square", json!({ "n": 1 }))["generation"], 1);
    assert_eq!(asked(&host), 2);
    host.unload(ID).unwrap();
    assert_eq!(host.plugins()[0].results, None);
    host.load(ID).unwrap();
    assert_eq!(hits_and_misses(&host), (0, 0));
}
