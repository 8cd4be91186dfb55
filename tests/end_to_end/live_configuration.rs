//! Configurations that a plugin takes while it serves.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use plugbay_interface::Blame;
use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{
    ConfigureError, Error, Explain, Happening, Host, HostBuilder, LoadPluginError, Outcome, Refusal,
};
use plugbay_tests::{
    Folder, build, keep_what_is_logged, logged, next, reloaded, until, while_calling, with_embedded,
};

const ID: &str = "dial";

/// The fixture in another version, with a state or without one.
fn dial(version: &str, stateful: bool) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-dial")).unwrap();
    with_embedded(&library, |embedded| {
        embedded.manifest.version = version.parse().unwrap();
        embedded.manifest.state_version = u32::from(stateful);
        embedded.manifest.description.clear();
    })
}

fn serving_with(stateful: bool, change: impl FnOnce(HostBuilder) -> HostBuilder) -> (Host, Folder) {
    let folder = Folder::new();
    folder.write("dial.so", dial("1.0.0", stateful));
    let host = folder.host().config(ID, json!({ "size": 1 })).secrets_from(folder.beside(""));
    let host = change(host).build().unwrap();
    let report = host.start().unwrap();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    (host, folder)
}

fn serving(stateful: bool) -> (Host, Folder) {
    serving_with(stateful, |host| host)
}

#[track_caller]
fn ask(host: &Host, command: &str) -> Value {
    host.call(ID, command, json!(null)).unwrap()
}

fn generation(host: &Host) -> u64 {
    host.plugins()[0].generation
}

#[track_caller]
fn taken_live(outcome: Result<Outcome, LoadPluginError>) {
    assert!(matches!(outcome, Ok(Outcome::Configured(_))), "{outcome:?}");
}

#[track_caller]
fn not_taken(outcome: Result<Outcome, LoadPluginError>) -> std::sync::Arc<Refusal> {
    match outcome {
        Err(LoadPluginError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn why(refusal: &Refusal) -> &ConfigureError {
    match &refusal.error {
        Error::Configure(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_holds_for_every_call_that_begins_afterwards_and_no_call_is_lost() {
    let (host, _folder) = serving(true);
    let events = host.events();
    // What is about to hold, and what does.
    let (most, least) = (AtomicU64::new(1), AtomicU64::new(1));
    let call = |_| {
        let at_least = least.load(Ordering::SeqCst);
        let size = host.call(ID, "size", json!(null))?;
        let found = size.as_u64().unwrap();
        assert!(found >= at_least && found <= most.load(Ordering::SeqCst), "{found}");
        Ok(size)
    };
    let (good, bad) = while_calling(3, call, || {
        for size in 2..=200 {
            most.store(size, Ordering::SeqCst);
            taken_live(host.configure(ID, json!({ "size": size })));
            least.store(size, Ordering::SeqCst);
            assert_eq!(ask(&host, "size"), json!(size));
        }
    });
    assert!(good > 200 && bad.is_empty(), "{good} calls, {bad:?}");
    assert_eq!(generation(&host), 1);
    let Happening::Configured(told) = events.into_iter().next().unwrap().happening else {
        panic!("another event")
    };
    assert_eq!((told.plugin.as_str(), told.generation), (ID, 1));
    assert!(told.times.configure.is_some());
    assert!(matches!(host.configure(ID, json!({ "size": 200 })), Ok(Outcome::Unchanged)));
}

#[test]
fn a_call_that_runs_is_not_waited_for() {
    let (host, folder) = serving(true);
    let (there, end) = (folder.beside("there"), folder.beside("end"));
    thread::scope(|scope| {
        let call = scope.spawn(|| host.call(ID, "wait", json!({ "there": there, "until": end })));
        until(|| there.exists());
        taken_live(host.configure(ID, json!({ "size": 7 })));
        fs::write(&end, "").unwrap();
        assert_eq!(call.join().unwrap().unwrap(), json!(7));
    });
}

#[test]
fn what_it_cannot_take_live_it_takes_by_a_reload_with_its_state() {
    let (host, folder) = serving(true);
    ask(&host, "count");
    taken_live(host.configure(ID, json!({ "size": 2 })));
    let told = reloaded(host.configure(ID, json!({ "size": 3, "url": "there" })));
    assert_eq!((told.from_generation, told.to_generation), (1, 2));
    assert_eq!((ask(&host, "sizes"), ask(&host, "count")), (json!([3]), json!(2)));

    // What was taken last is what later generations are constructed with.
    taken_live(host.configure(ID, json!({ "size": 4, "url": "there" })));
    folder.write("dial.so", dial("1.1.0", true));
    reloaded(host.reload(ID));
    assert_eq!(ask(&host, "sizes"), json!([4]));
    taken_live(host.configure(ID, json!({ "size": 5, "url": "there" })));
    host.unload(ID).unwrap();
    host.load(ID).unwrap();
    assert_eq!((ask(&host, "sizes"), ask(&host, "count")), (json!([5]), json!(3)));
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_is_not_shown_to_it() {
    let (host, _folder) = serving(true);
    let refusal = not_taken(host.configure(ID, json!({ "size": "large" })));
    assert_eq!(refusal.error.code(), "PB1501");
    assert_eq!(ask(&host, "sizes"), json!([1]));
    // Defaults are filled in.
    taken_live(host.configure(ID, json!({ "size": 9, "answer": "live" })));
    taken_live(host.configure(ID, json!({})));
    assert_eq!(ask(&host, "sizes"), json!([1, 9, 1]));
}

#[test]
fn whatever_it_says_no_with_the_old_one_holds_and_no_secret_is_told() {
    keep_what_is_logged();
    let (host, folder) = serving(true);
    fs::write(folder.beside("password"), "correct horse\n").unwrap();
    let asked = |answer: &str| {
        let password = json!({ "file": "password" });
        host.configure(ID, json!({ "size": 2, "answer": answer, "password": password }))
    };
    let refusal = not_taken(asked("no"));
    assert_eq!(refusal.error.code(), "PB1521");
    assert_eq!(refusal.path, folder.plugins().join("dial.so"));
    assert_eq!(refusal.plugin.as_ref().unwrap().0.as_str(), ID);
    let error = why(&refusal);
    assert_eq!(error.blame(), Blame::Plugin);
    let failure = error.failure().unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("locked", "*** does not open here")
    );

    let refusal = not_taken(asked("your_fault"));
    assert_eq!((why(&refusal).blame(), refusal.error.code()), (Blame::Host, "PB1521"));
    assert!(refusal.error.hint().contains("correct the plugin's configuration"));

    let refusal = not_taken(asked("panic"));
    assert_eq!((why(&refusal).blame(), refusal.error.code()), (Blame::Plugin, "PB1522"));
    assert!(refusal.reason().contains("*** is too much (at "), "{}", refusal.reason());

    let status = &host.plugins()[0];
    assert_eq!((status.generation, status.generations[0].troubles), (1, 1));
    assert_eq!(ask(&host, "sizes"), json!([1]));
    // As if it had never been: what is constructed anew has the old one, too.
    folder.write("dial.so", dial("1.1.0", true));
    reloaded(host.reload(ID));
    assert_eq!(ask(&host, "sizes"), json!([1]));

    // One that is taken has secrets as well, and those before it are not forgotten.
    fs::write(folder.beside("other"), "battery staple\n").unwrap();
    taken_live(asked("live"));
    let error = host.call(ID, "password", json!(null)).unwrap_err().to_string();
    assert!(error.contains("***") && !error.contains("horse"), "{error}");
    let other = json!({ "size": 2, "password": { "file": "other" } });
    taken_live(host.configure(ID, other));
    let error = host.call(ID, "password", json!(null)).unwrap_err().to_string();
    assert!(error.contains("***") && !error.contains("staple"), "{error}");

    let told: Vec<_> = host.history().into_iter().map(|event| event.happening).collect();
    let codes: Vec<_> = told
        .iter()
        .filter_map(|it| match it {
            Happening::NotConfigured { code, .. } => Some(code.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["PB1521", "PB1521", "PB1522"]);
    let logged = logged();
    assert!(logged.contains("asked to take ***"), "{logged}");
    let all = format!("{logged}\n{told:?}");
    assert!(!all.contains("horse") && !all.contains("staple"), "{all}");
}

#[test]
fn panics_over_configurations_count_as_those_of_calls_do() {
    let (host, folder) = serving_with(true, |host| host.allowed_troubles(1));
    folder.write("dial.so", dial("1.1.0", true));
    reloaded(host.reload(ID));
    let events = host.events();
    for _ in 0..2 {
        not_taken(host.configure(ID, json!({ "answer": "panic" })));
    }
    let event = next(&events, |it| matches!(it, Happening::Reloaded(_)));
    let Happening::Reloaded(told) = event.happening else { unreachable!() };
    assert_eq!(told.to.to_string(), "1.0.0");
    assert_eq!(ask(&host, "sizes"), json!([1]));
}

#[test]
fn one_that_is_taken_too_late_is_taken_back_and_holds_up_no_call() {
    let limit = Duration::from_secs(1);
    let (host, folder) = serving_with(false, |host| host.activation_deadline(limit));
    let release = folder.beside("release");
    let late = json!({ "size": 2, "answer": "wait", "release": release });
    let size = || ask(&host, "size");
    let refusal = thread::scope(|scope| {
        let configuring = scope.spawn(|| not_taken(host.configure(ID, late.clone())));
        until(|| in_use_by(&host).contains("`configure` on thread plugin dial"));
        assert_eq!(size(), json!(1));
        configuring.join().unwrap()
    });
    assert_eq!((refusal.error.code(), why(&refusal).blame()), ("PB1523", Blame::Plugin));
    // It still is at it.
    let refusal = not_taken(host.configure(ID, json!({ "size": 3 })));
    assert_eq!(refusal.error.code(), "PB1524");
    assert_eq!(size(), json!(1));
    fs::write(release, "").unwrap();
    until(|| ask(&host, "sizes") == json!([1, 2, 1]));
    until(|| in_use_by(&host).is_empty());
    taken_live(host.configure(ID, json!({ "size": 3 })));
    assert_eq!(ask(&host, "sizes"), json!([1, 2, 1, 3]));
}

/// The uses of it that are no calls of this thread.
fn in_use_by(host: &Host) -> String {
    let holders = host.plugins()[0].generations[0].holders.clone();
    holders.iter().map(ToString::to_string).collect()
}

#[test]
fn one_that_is_too_late_and_not_taken_back_is_what_it_has_until_the_next_change() {
    let limit = Duration::from_secs(1);
    let (host, folder) = serving_with(true, |host| host.activation_deadline(limit));
    reloaded(host.configure(ID, json!({ "size": 1, "answer": "reload" })));
    let release = folder.beside("release");
    let late = json!({ "size": 2, "answer": "wait", "release": release });
    assert_eq!(not_taken(host.configure(ID, late)).error.code(), "PB1523");
    fs::write(release, "").unwrap();
    until(|| ask(&host, "size") == json!(2));
    until(|| in_use_by(&host).is_empty());
    // The same as before, and another one than it has.
    reloaded(host.configure(ID, json!({ "size": 1, "answer": "reload" })));
    assert_eq!(ask(&host, "sizes"), json!([1]));
}

#[test]
fn the_version_before_comes_back_with_the_configuration_that_holds() {
    for stateful in [true, false] {
        let (host, folder) = serving(stateful);
        folder.write("dial.so", dial("1.1.0", stateful));
        reloaded(host.reload(ID));
        taken_live(host.configure(ID, json!({ "size": 6 })));
        let told = host.rollback(ID).unwrap();
        assert_eq!((told.to.to_string(), told.note), ("1.0.0".into(), None));
        assert_eq!(ask(&host, "sizes"), json!([6]), "stateful: {stateful}");
        // And goes on with it.
        assert!(matches!(host.configure(ID, json!({ "size": 6 })), Ok(Outcome::Unchanged)));
        taken_live(host.configure(ID, json!({ "size": 7 })));
        assert_eq!(ask(&host, "sizes"), json!([6, 7]));
    }
}

#[test]
fn a_version_before_that_does_not_take_it_comes_back_with_what_it_had() {
    let folder = Folder::new();
    let narrow = with_embedded(&dial("1.0.0", false), |embedded| {
        let schema = embedded.manifest.config_schema.as_mut().unwrap();
        schema["properties"]["size"]["maximum"] = json!(5);
    });
    folder.write("dial.so", narrow);
    let host = folder.host().config(ID, json!({ "size": 1 })).build().unwrap();
    host.start().unwrap();
    folder.write("dial.so", dial("1.1.0", false));
    reloaded(host.reload(ID));
    taken_live(host.configure(ID, json!({ "size": 6 })));
    let told = host.rollback(ID).unwrap();
    let note = told.note.unwrap();
    assert!(
        note.contains("with the configuration that it had, as the configuration does not fit"),
        "{note}"
    );
    assert_eq!((told.to_generation, ask(&host, "sizes")), (1, json!([1])));
    // What is asked for then is compared with what it has.
    taken_live(host.configure(ID, json!({ "size": 5 })));
}

#[test]
fn a_reload_that_was_made_for_a_configuration_is_gone_back_from_whatever_was_taken_since() {
    for stateful in [true, false] {
        let (host, _folder) = serving(stateful);
        taken_live(host.configure(ID, json!({ "size": 2 })));
        reloaded(host.configure(ID, json!({ "size": 3, "url": "there" })));
        taken_live(host.configure(ID, json!({ "size": 4, "url": "there" })));
        host.rollback(ID).unwrap();
        assert_eq!(ask(&host, "size"), json!(2), "stateful: {stateful}");
        assert!(matches!(host.configure(ID, json!({ "size": 2 })), Ok(Outcome::Unchanged)));
    }
    // Nothing was replaced, so there is nothing to go back to.
    let (host, _folder) = serving(true);
    taken_live(host.configure(ID, json!({ "size": 2 })));
    assert_eq!(host.rollback(ID).unwrap_err().code(), "PB1107");
    assert_eq!(ask(&host, "size"), json!(2));
}
