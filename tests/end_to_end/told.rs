//! Plugins that are told what became of the services that they need.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use plugbay_fixture_contract::Gossips;
use plugbay_loader::{Explain, Happening, Host, HostBuilder, Role, UnloadError};
use plugbay_tests::{Folder, build, reloaded, until, with_embedded, with_section};
use serde_json::{Value, json};

/// The version of the speaker with this number.
fn speaker(number: u64) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-speaker")).unwrap();
    with_section(&library, ".answer", &number.to_ne_bytes())
}

/// A speaker under another id, with a precedence.
fn rival(id: &str, precedence: i32) -> Vec<u8> {
    with_embedded(&speaker(7), |embedded| {
        embedded.manifest.description.clear();
        embedded.manifest.id = id.parse().unwrap();
        embedded.manifest.services[0].precedence = precedence;
    })
}

/// One whose manifest says that it offers this version of the contract.
fn offering(number: u64, version: &str) -> Vec<u8> {
    with_embedded(&speaker(number), |embedded| {
        embedded.manifest.services[0].version = version.parse().unwrap();
    })
}

/// The one that keeps what it is told, under an id and in a version.
fn gossip(id: &str, version: u64) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-gossip")).unwrap();
    with_embedded(&library, |embedded| {
        embedded.manifest.description.clear();
        embedded.manifest.id = id.parse().unwrap();
        embedded.manifest.version = format!("{version}.0.0").parse().unwrap();
    })
}

struct Bed {
    folder: Folder,
    host: Host,
}

impl Bed {
    fn new() -> Self {
        Self::with(|_, host| host)
    }

    fn with(change: impl FnOnce(&Folder, HostBuilder) -> HostBuilder) -> Self {
        let folder = Folder::new();
        let host = change(&folder, folder.host()).build().unwrap();
        Self { folder, host }
    }

    fn start(self) -> Self {
        let report = self.host.start().unwrap();
        assert!(report.refused.is_empty(), "{}", report.refused[0]);
        self
    }

    /// Puts a file there whole.
    fn put(&self, id: &str, library: Vec<u8>) {
        let aside = self.folder.beside("next.so");
        fs::write(&aside, library).unwrap();
        fs::rename(aside, self.folder.plugins().join(format!("{id}.so"))).unwrap();
    }

    fn load(&self, id: &str, library: Vec<u8>) {
        self.put(id, library);
        self.host.load(id).unwrap();
    }

    fn replace(&self, id: &str, library: Vec<u8>) {
        self.put(id, library);
        reloaded(self.host.reload(id));
    }

    fn heard(&self, id: &str) -> Vec<String> {
        serde_json::from_value(self.host.call(id, "heard", Value::Null).unwrap()).unwrap()
    }

    /// Waits until it has heard that, and nothing else.
    #[track_caller]
    fn hears(&self, id: &str, all: &[&str]) {
        let in_words = |short: &&str| {
            let (plugin, what) = short.split_once(' ').unwrap();
            let contract =
                if plugin.contains("sp") { "test.speaker 1.1" } else { "test.gossip 1.0" };
            match what.split_once(' ') {
                Some((what, version)) => format!("test.speaker {version} of {plugin}: {what}"),
                None => format!("{contract} of {plugin}: {what}"),
            }
        };
        let all: Vec<String> = all.iter().map(in_words).collect();
        let begin = Instant::now();
        loop {
            let heard = self.heard(id);
            if heard == all {
                return;
            }
            let late = begin.elapsed() > Duration::from_secs(30);
            assert!(!late && all.starts_with(&heard), "{heard:#?} in place of {all:#?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many threads are telling somebody something.
    fn tellers(&self) -> usize {
        let plugins = self.host.plugins();
        let generations = plugins.iter().flat_map(|plugin| &plugin.generations);
        let holders = generations.flat_map(|generation| &generation.holders);
        holders.filter(|holder| holder.command.as_deref() == Some("service_changed")).count()
    }
}

#[test]
fn what_appears_is_replaced_and_goes_is_told() {
    let bed = Bed::new().start();
    bed.load("gossip", gossip("gossip", 1));
    bed.load("speaker", speaker(1));
    bed.hears("gossip", &["speaker appeared"]);
    bed.replace("speaker", speaker(2));
    bed.hears("gossip", &["speaker appeared", "speaker replaced"]);
    bed.host.unload("speaker").unwrap();
    let so_far = ["speaker appeared", "speaker replaced", "speaker gone"];
    bed.hears("gossip", &so_far);
    // One that nobody has declared to need.
    bed.folder.put(&build("plugbay-plugin-kv"), "kv.so");
    bed.host.load("kv").unwrap();
    bed.host.enable("speaker").unwrap();
    bed.host.disable("speaker").unwrap();
    bed.hears("gossip", &[&so_far[..], &["speaker appeared", "speaker gone"]].concat());
}

/// None of them found another one in `activate`.
#[test]
fn those_that_start_together_are_told_of_each_other() {
    let bed = Bed::new();
    bed.put("gossip", gossip("gossip", 1));
    bed.put("chatty", gossip("chatty", 1));
    bed.put("speaker", speaker(1));
    bed.put("spb", rival("spb", 5));
    bed.put("spa", rival("spa", -5));
    let bed = bed.start();
    // Whom it may call is activated before it.
    assert_eq!(bed.host.call("gossip", "found", Value::Null).unwrap(), json!(3));
    let speakers = ["spb appeared", "speaker appeared", "spa appeared"];
    bed.hears("gossip", &[&speakers[..], &["chatty appeared"]].concat());
    bed.hears("chatty", &[&speakers[..], &["gossip appeared"]].concat());
}

#[test]
fn a_version_of_the_contract_that_is_too_old_is_as_good_as_gone() {
    let bed = Bed::new();
    bed.put("gossip", gossip("gossip", 1));
    bed.put("speaker", offering(1, "1.0"));
    let bed = bed.start();
    let all = ["speaker appeared 1.2", "speaker replaced 1.3", "speaker gone 1.3"];
    for (number, version) in [(1, "1.2"), (2, "1.3"), (3, "2.0")] {
        bed.replace("speaker", offering(number + 1, version));
        bed.hears("gossip", &all[..usize::try_from(number).unwrap()]);
    }
    // What it was told was true.
    assert_eq!(bed.host.call("gossip", "looked", Value::Null).unwrap(), json!([1, 1, 0]));
}

#[test]
fn a_new_generation_is_told_of_all_that_there_is() {
    let bed = Bed::new().start();
    bed.load("speaker", speaker(1));
    bed.load("gossip", gossip("gossip", 1));
    assert_eq!(bed.host.call("gossip", "found", Value::Null).unwrap(), json!(1));
    bed.hears("gossip", &["speaker appeared"]);
    bed.replace("speaker", speaker(2));
    bed.replace("gossip", gossip("gossip", 2));
    bed.hears("gossip", &["speaker appeared"]);
    bed.host.disable("gossip").unwrap();
    bed.replace("speaker", speaker(3));
    bed.host.enable("gossip").unwrap();
    bed.replace("speaker", speaker(4));
    bed.hears("gossip", &["speaker appeared", "speaker replaced"]);
}

#[test]
fn a_generation_that_comes_back_is_told_what_has_changed() {
    let bed = Bed::new().start();
    bed.load("speaker", speaker(1));
    bed.load("spb", rival("spb", 1));
    bed.load("gossip", gossip("gossip", 1));
    bed.hears("gossip", &["spb appeared", "speaker appeared"]);
    bed.replace("gossip", gossip("gossip", 2));
    bed.replace("speaker", speaker(2));
    bed.host.unload("spb").unwrap();
    bed.load("spc", rival("spc", 1));
    bed.hears(
        "gossip",
        &["spb appeared", "speaker appeared", "speaker replaced", "spb gone", "spc appeared"],
    );
    bed.host.rollback("gossip").unwrap();
    bed.host.unload("spc").unwrap();
    // The provider goes back, too.
    bed.host.rollback("speaker").unwrap();
    let there = ["spb appeared", "speaker appeared"];
    let changed = ["spb gone", "spc appeared", "speaker replaced", "spc gone", "speaker replaced"];
    bed.hears("gossip", &[&there[..], &changed].concat());
}

/// What the host's history says, all of it and nothing else.
#[test]
fn each_change_is_told_once_and_in_its_order() {
    let bed = Bed::with(|_, host| host.probation(Duration::ZERO)).start();
    bed.load("gossip", gossip("gossip", 1));
    for turn in 0..8 {
        bed.load("speaker", speaker(turn));
        bed.load("spa", rival("spa", 0));
        for number in 1..6 {
            bed.replace("speaker", speaker(turn + number));
        }
        bed.host.unload("speaker").unwrap();
        bed.host.unload("spa").unwrap();
    }
    let happened = bed.host.history();
    let told: Vec<_> = happened
        .iter()
        .filter(|event| event.happening.plugin().is_some_and(|id| id.as_str() != "gossip"))
        .filter_map(|event| match &event.happening {
            Happening::Loaded { plugin, .. } => Some(format!("{plugin} appeared")),
            Happening::Reloaded(reloaded) => Some(format!("{} replaced", reloaded.plugin)),
            Happening::Unloaded { plugin, .. } => Some(format!("{plugin} gone")),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 8 * 9);
    bed.hears("gossip", &told.iter().map(String::as_str).collect::<Vec<_>>());
    until(|| bed.tellers() == 0);
}

/// The slow one holds up nobody but itself, and is waited for as a call is.
#[test]
fn one_that_hears_slowly_holds_up_nobody() {
    let bed = Bed::with(|folder, host| {
        let config = json!({"until": folder.beside("gossip.go")});
        host.config("gossip", config).drain_limit(Duration::from_millis(200))
    });
    bed.put("gossip", gossip("gossip", 1));
    bed.put("chatty", gossip("chatty", 1));
    let bed = bed.start();
    bed.load("speaker", speaker(1));
    until(|| bed.folder.beside("gossip.there").exists());
    bed.replace("speaker", speaker(2));
    bed.host.unload("speaker").unwrap();
    let all = ["gossip appeared", "speaker appeared", "speaker replaced", "speaker gone"];
    bed.hears("chatty", &all);
    bed.hears("gossip", &[]);
    until(|| bed.tellers() == 1);
    // What it is doing is told where it is in the way.
    match bed.host.unload("gossip").unwrap_err() {
        UnloadError::Busy { holders, .. } => {
            assert_eq!(holders[0].command.as_deref(), Some("service_changed"));
            assert_eq!(holders[0].thread, "plugbay-tell");
            assert!(holders[0].held_for.is_some());
        }
        other => panic!("{other}"),
    }
    // Another generation takes over nevertheless; the old one ends when it has heard.
    bed.replace("gossip", gossip("gossip", 2));
    bed.hears("chatty", &[&all[..], &["gossip replaced"]].concat());
    until(|| bed.tellers() == 2);
    fs::write(bed.folder.beside("gossip.go"), "").unwrap();
    bed.hears("gossip", &["chatty appeared"]);
    until(|| bed.tellers() == 0);
    let generations = |id: &str| {
        let status = bed.host.plugins().into_iter().find(|one| one.manifest.id.as_str() == id);
        status.unwrap().generations
    };
    // It was not told the rest, as it does not serve; it waits for its probation's end.
    let [serving, previous] = &generations("gossip")[..] else { panic!("two generations") };
    assert_eq!((serving.role, previous.role), (Role::Serving, Role::Previous));
    assert!(previous.holders.is_empty());
    bed.host.rollback("gossip").unwrap();
    bed.hears(
        "gossip",
        &["chatty appeared", "speaker appeared", "speaker replaced", "speaker gone"],
    );
    bed.host.unload("gossip").unwrap();
}

#[test]
fn one_that_panics_is_in_trouble_and_is_told_on() {
    let bed = Bed::with(|_, host| {
        host.config("gossip", json!({"how": "panic"})).config("chatty", json!({"how": "error"}))
    });
    bed.put("gossip", gossip("gossip", 1));
    bed.put("chatty", gossip("chatty", 1));
    let bed = bed.start();
    bed.load("speaker", speaker(1));
    bed.host.unload("speaker").unwrap();
    bed.hears("gossip", &["chatty appeared", "speaker appeared", "speaker gone"]);
    bed.hears("chatty", &["gossip appeared", "speaker appeared", "speaker gone"]);
    let troubles = |id: &str| {
        let status = bed.host.plugins().into_iter().find(|one| one.manifest.id.as_str() == id);
        status.unwrap().generations[0].troubles
    };
    until(|| troubles("gossip") == 3);
    assert_eq!(troubles("chatty"), 0);
}

#[test]
fn too_many_panics_over_what_it_is_told_bring_the_one_before_back() {
    let bed =
        Bed::with(|_, host| host.config("gossip", json!({"how": "panic"})).allowed_troubles(2));
    bed.put("gossip", gossip("gossip", 1));
    bed.put("speaker", speaker(1));
    let bed = bed.start();
    let first = bed.host.plugin("gossip").unwrap().enter().unwrap().generation();
    bed.replace("gossip", gossip("gossip", 2));
    bed.host.unload("speaker").unwrap();
    bed.load("speaker", speaker(2));
    let serving = || bed.host.plugin("gossip").unwrap().enter().map(|lease| lease.generation());
    until(|| serving().is_ok_and(|generation| generation == first));
}

/// Each asks all others while it is told of one of them, and they ask it.
#[test]
fn circles_of_calls_end_and_hold_up_no_reload() {
    let ids = ["gossip", "chatty", "newsy"];
    let bed = Bed::with(|_, host| {
        let host = host.probation(Duration::ZERO);
        ids.iter().fold(host, |host, id| host.config(*id, json!({"how": "ask"})))
    });
    ids.iter().for_each(|id| bed.put(id, gossip(id, 1)));
    let bed = bed.start();
    for version in 2..12 {
        for id in ids {
            // One with a state to hand over waits for those that are in the middle of it.
            let library = with_embedded(&gossip(id, version), |embedded| {
                embedded.manifest.state_version = 1;
            });
            bed.replace(id, library);
        }
    }
    until(|| bed.tellers() == 0);
    for id in ids {
        let asked = bed.host.service::<dyn Gossips>(id).unwrap().enter().unwrap().pass_on(3);
        assert_eq!(asked.unwrap(), 2 + 4 + 8);
    }
    for ended in bed.host.stop() {
        assert_eq!(ended.unwrap().failures, [""; 0]);
    }
}

/// Not of those either that are ended a little earlier.
#[test]
fn when_the_host_stops_nobody_is_told() {
    let bed = Bed::with(|folder, host| host.config("zz", json!({"until": folder.beside("zz.go")})));
    let (go, there) = (bed.folder.beside("zz.go"), bed.folder.beside("zz.there"));
    fs::write(&go, "").unwrap();
    bed.put("zz", gossip("zz", 1));
    let speakers = ["spa", "spb", "spc", "spd", "spe", "spf", "spg", "sph"];
    speakers.iter().for_each(|id| bed.put(id, rival(id, 0)));
    let bed = bed.start();
    bed.hears("zz", &speakers.map(|id| format!("{id} appeared")).each_ref().map(String::as_str));
    until(|| bed.tellers() == 0);
    fs::remove_file(&there).unwrap();
    for ended in bed.host.stop() {
        ended.unwrap();
    }
    assert!(!there.exists());
}

/// A thread that hangs in the plugin is left where it is.
#[test]
fn a_host_ends_while_somebody_is_told() {
    let bed = Bed::with(|folder, host| {
        let config = json!({"until": folder.beside("gossip.go")});
        host.config("gossip", config).drain_limit(Duration::from_millis(50))
    });
    bed.put("gossip", gossip("gossip", 1));
    bed.put("speaker", speaker(1));
    let bed = bed.start();
    until(|| bed.folder.beside("gossip.there").exists());
    let Bed { folder, host } = bed;
    let left = host.stop().into_iter().filter_map(Result::err).map(|left| left.code());
    assert_eq!(left.collect::<Vec<_>>(), ["PB0803"]);
    drop(host);
    fs::write(folder.beside("gossip.go"), "").unwrap();
    until(|| {
        !fs::read_dir("/proc/self/task").unwrap().any(|task| {
            let comm = fs::read_to_string(task.unwrap().path().join("comm"));
            comm.is_ok_and(|name| name == "plugbay-tell\n")
        })
    });
}
