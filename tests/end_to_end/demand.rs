//! Plugins that are loaded when they are called for the first time.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plugbay_fixture_contract::Speaker;
use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::manifest::Activation;
use plugbay_loader::{CallError, Explain, Happening, Host, Outcome, PluginState, WatchOptions};
use plugbay_tests::{Folder, block_on, broken_piece, build, next, piece, until, with_embedded};

const ON_DEMAND: &str = "activation = \"on-demand\"\n";

fn states(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    plugins.iter().map(|one| format!("{} {}", one.name, one.state)).collect()
}

fn count(host: &Host, plugin: &str) -> Result<Value, CallError> {
    host.call(plugin, "count", json!({}))
}

/// What was loaded, in order, when it is so many; a call may be faster than what is told.
fn all_loaded(host: &Host, count: usize) -> Vec<String> {
    until(|| loaded(host).len() >= count);
    loaded(host)
}

fn loaded(host: &Host) -> Vec<String> {
    let history = host.history();
    let loaded = history.iter().filter_map(|event| match &event.happening {
        Happening::Loaded { plugin, version, .. } => Some(format!("{plugin} {version}")),
        _ => None,
    });
    loaded.collect()
}

/// A fixture's library, which is loaded on demand.
fn on_demand(package: &str) -> Vec<u8> {
    let library = fs::read(build(package)).unwrap();
    with_embedded(&library, |embedded| {
        embedded.manifest.activation = Activation::OnDemand;
        // Room for that.
        embedded.manifest.description.clear();
        for command in embedded.manifest.commands.values_mut() {
            command.summary.clear();
        }
    })
}

#[test]
fn the_first_calls_load_it_once() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, report) = folder.start();
    assert_eq!(states(&host), ["a on demand", "b active"]);
    assert_eq!(report.on_demand[0].manifest.commands.len(), 4);
    assert_eq!(report.on_demand[0].generation, 0);
    assert_eq!(loaded(&host), ["b 1.0.0"]);

    let begin = Barrier::new(8);
    let counts: BTreeSet<u64> = thread::scope(|scope| {
        let call = || {
            begin.wait();
            count(&host, "a").unwrap().as_u64().unwrap()
        };
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(counts, (1..=8).collect());
    assert_eq!(all_loaded(&host, 2), ["b 1.0.0", "a 1.0.0"]);
    assert_eq!(states(&host), ["a active", "b active"]);
}

#[test]
fn what_is_needed_is_loaded_with_those_that_need_it() {
    let folder = Folder::new();
    let needs = |id: &str| format!("[dependencies]\n{id} = \"*\"\n");
    folder.write("a.so", piece("a", "1.0.0", &needs("b")));
    folder.write("b.so", piece("b", "1.0.0", ON_DEMAND));
    folder.write("c.so", piece("c", "1.0.0", &format!("{ON_DEMAND}{}", needs("d"))));
    folder.write("d.so", piece("d", "1.0.0", &format!("{ON_DEMAND}{}", needs("e"))));
    folder.write("e.so", piece("e", "1.0.0", ON_DEMAND));
    folder.write("f.so", piece("f", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    assert_eq!(loaded(&host), ["b 1.0.0", "a 1.0.0"]);
    count(&host, "c").unwrap();
    assert_eq!(all_loaded(&host, 5)[2..], ["e 1.0.0", "d 1.0.0", "c 1.0.0"]);
    assert!(states(&host).contains(&"f on demand".to_owned()));
}

#[test]
fn its_contracts_are_known_before_it_is_loaded() {
    let folder = Folder::new();
    folder.write("speaker.so", on_demand("plugbay-fixture-speaker"));
    let (host, _) = folder.start();
    assert_eq!(host.contracts()[0].providers[0].plugin.as_str(), "speaker");
    assert!(loaded(&host).is_empty());
    let speaker = host.services::<dyn Speaker>().best().unwrap();
    assert_eq!(speaker.enter().unwrap().count().unwrap(), 1);
    assert_eq!(all_loaded(&host, 1).len(), 1);
}

#[test]
fn a_plugin_that_is_loaded_on_demand_loads_what_it_calls() {
    let folder = Folder::new();
    folder.write("speaker.so", on_demand("plugbay-fixture-speaker"));
    folder.write("asker.so", on_demand("plugbay-fixture-asker"));
    let (host, _) = folder.start();
    assert!(loaded(&host).is_empty());
    assert_eq!(host.call("asker", "count", json!(null)).unwrap(), 1);
    assert_eq!(all_loaded(&host, 2).len(), 2);
}

#[test]
fn a_file_that_changes_or_goes_before_the_first_call() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let host = folder.host().watch(WatchOptions::default()).build().unwrap();
    host.start().unwrap();
    let events = host.events();
    folder.put_whole("a.so", &piece("a", "2.0.0", ON_DEMAND));
    match host.reload("a").unwrap() {
        Outcome::OnDemand(status) => assert_eq!(status.manifest.version.to_string(), "2.0.0"),
        // It was seen by the watcher already.
        other => assert!(matches!(other, Outcome::Unchanged), "{other:?}"),
    }
    assert_eq!(host.plugins()[0].manifest.version.to_string(), "2.0.0");
    folder.write("b.so", piece("b", "1.0.0", ""));
    next(&events, |happening| matches!(happening, Happening::Loaded { .. }));
    assert_eq!(states(&host), ["a on demand", "b active"]);
    fs::remove_file(folder.plugins().join("a.so")).unwrap();
    fs::remove_file(folder.plugins().join("b.so")).unwrap();
    next(&events, |happening| matches!(happening, Happening::Unloaded { .. }));
    host.reload_all().unwrap();
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0701");
    folder.put_whole("a.so", &piece("a", "3.0.0", ON_DEMAND));
    host.reload_all().unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
    assert_eq!(all_loaded(&host, 2), ["b 1.0.0", "a 3.0.0"]);
}

/// Takes away what hosts have copied.
fn remove_copies(folder: &Folder) {
    let live = fs::read_dir(folder.beside("cache/live")).unwrap().flatten();
    let files = live.filter_map(|it| fs::read_dir(it.path()).ok()).flatten().flatten();
    for copy in files.map(|it| it.path()).filter(|it| it.extension().is_some()) {
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn a_file_that_is_being_written_and_has_no_copy_is_looked_at_again_by_the_next_call() {
    let folder = Folder::new();
    let (old, new) = (piece("a", "1.0.0", ON_DEMAND), piece("a", "2.0.0", ON_DEMAND));
    let path = folder.write("a.so", &old);
    let needs = format!("{ON_DEMAND}[dependencies]\na = \"*\"\n");
    folder.write("b.so", piece("b", "1.0.0", &needs));
    // Nobody watches.
    let (host, _) = folder.start();
    remove_copies(&folder);
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(&new[..new.len() / 2]).unwrap();
    for plugin in ["a", "b"] {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let error = count(&host, plugin).unwrap_err();
                    assert_eq!(error.code(), if plugin == "a" { "PB0223" } else { "PB0702" });
                });
            }
        });
    }
    // Whoever wrote it has gone away in between.
    drop(writer);
    let a = host.plugin("a").unwrap();
    assert_eq!(block_on(a.hold_async()).unwrap_err().code(), "PB0210");
    assert_eq!(states(&host), ["a on demand", "b on demand"]);
    let told = host.history();
    let told = told.iter().filter(|it| matches!(it.happening, Happening::Refused { .. }));
    assert_eq!(told.count(), 2);
    fs::write(&path, &new).unwrap();
    assert_eq!(count(&host, "b").unwrap(), 1);
    assert_eq!(a.enter().unwrap().manifest().version.to_string(), "2.0.0");
    assert!(host.refused().is_empty());
}

#[test]
fn one_that_does_not_come_up_says_so_to_all_that_wait() {
    let folder = Folder::new();
    folder.write("a.so", broken_piece("a", "1.0.0", ON_DEMAND));
    let (host, report) = folder.start();
    assert!(report.refused.is_empty());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let error = count(&host, "a").unwrap_err();
                assert_eq!(error.code(), "PB0601", "{error}");
                assert!(error.to_string().contains("this piece does not come up"), "{error}");
            });
        }
    });
    assert_eq!(host.refused().len(), 1);
    folder.put_whole("a.so", &piece("a", "1.0.1", ON_DEMAND));
    host.reload("a").unwrap();
    assert_eq!(states(&host), ["a on demand"]);
    assert_eq!(count(&host, "a").unwrap(), 1);
}

#[test]
fn by_hand() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    // Loaded without waiting for a call, and with its state on demand again.
    assert_eq!(host.load("a").unwrap().state, PluginState::Active);
    count(&host, "a").unwrap();
    assert!(host.unload("a").unwrap().state_kept);
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0702");
    host.start().unwrap();
    assert_eq!(states(&host), ["a on demand"]);
    assert_eq!(count(&host, "a").unwrap(), 2);

    // Before it was loaded.
    let (host, _) = folder.start();
    assert_eq!(host.unload("a").unwrap().generation, 0);
    assert_eq!(states(&host), ["a unloaded"]);
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0702");
    host.disable("a").unwrap();
    host.start().unwrap();
    assert_eq!(states(&host), ["a disabled"]);
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0702");
    assert_eq!(host.enable("a").unwrap().state, PluginState::OnDemand);
    host.disable("a").unwrap();
    host.enable("a").unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
}

/// Between a call that found it unloaded and its answer it was put to sleep, which is no reason
/// to refuse a call.
#[test]
fn a_call_while_it_is_unloaded_is_told_so_although_it_sleeps_by_then() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut told = BTreeSet::new();
                    while !over.load(Ordering::Relaxed) {
                        told.extend(count(&host, "a").err().map(|error| error.to_string()));
                    }
                    told
                })
            })
            .collect();
        for _ in 0..100 {
            let _ = host.unload("a");
            host.start().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for told in callers.into_iter().flat_map(|caller| caller.join().unwrap()) {
            assert!(!told.contains("is on demand"), "{told}");
        }
    });
}

#[test]
fn a_host_that_ends_turns_away_who_would_load_it() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    let a = host.plugin("a").unwrap();
    host.stop();
    assert_eq!(count(&host, "a").unwrap_err().code(), "PB0904");
    assert_eq!(a.call("count", json!({})).unwrap_err().code(), "PB0904");
}

#[test]
fn a_future_waits_for_it() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    let a = host.plugin("a").unwrap();
    assert_eq!(block_on(a.hold_async()).unwrap().generation(), 1);
}

#[test]
fn a_callback_that_panics_keeps_no_call_waiting() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let panics = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callback = {
        let panics = panics.clone();
        move |_| assert!(!panics.load(std::sync::atomic::Ordering::SeqCst), "a callback")
    };
    let host = folder.host().on_progress(callback).build().unwrap();
    host.start().unwrap();
    panics.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(count(&host, "a").is_err());
    assert!(count(&host, "a").is_err());
    panics.store(false, std::sync::atomic::Ordering::SeqCst);
    host.start().unwrap();
    assert_eq!(count(&host, "a").unwrap(), 1);
}

#[test]
fn a_callback_of_a_start_that_calls_it_is_turned_away() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    for name in ["b", "c", "d"] {
        folder.write(&format!("{name}.so"), piece(name, "1.0.0", ""));
    }
    let own: std::sync::Arc<std::sync::OnceLock<plugbay_loader::PluginHandle>> =
        std::sync::Arc::default();
    let callback = {
        let own = own.clone();
        move |_| {
            if let Some(a) = own.get() {
                assert_eq!(a.call("count", json!({})).unwrap_err().code(), "PB0702");
            }
        }
    };
    let host = folder.host().on_progress(callback).build().unwrap();
    host.start().unwrap();
    assert!(own.set(host.plugin("a").unwrap()).is_ok());
    for name in ["b", "c", "d"] {
        host.unload(name).unwrap();
    }
    host.start().unwrap();
    assert_eq!(states(&host)[0], "a on demand");
}

/// A waker that asks the host, as an executor's may.
struct Asks(Host, std::sync::mpsc::Sender<usize>);

impl std::task::Wake for Asks {
    fn wake(self: std::sync::Arc<Self>) {
        let _ = self.1.send(self.0.plugins().len());
    }
}

#[test]
fn who_is_woken_by_it_may_ask_the_host() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    let (host, _) = folder.start();
    let a = host.plugin("a").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let waker = std::task::Waker::from(std::sync::Arc::new(Asks(host.clone(), tell)));
    let mut held = std::pin::pin!(a.hold_async());
    let mut context = std::task::Context::from_waker(&waker);
    assert!(std::future::Future::poll(held.as_mut(), &mut context).is_pending());
    assert_eq!(told.recv().unwrap(), 1);
    assert!(std::future::Future::poll(held.as_mut(), &mut context).is_ready());
}
