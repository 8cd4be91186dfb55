//! Plugins that are called by contract, as a trait.

use std::fs;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use plugbay_fixture_contract::Speaker;
use plugbay_interface::crossing::Stream;
use plugbay_loader::{
    Explain, Happening, Held, Host, HostBuilder, Pin, Service, WatchOptions, full_message,
};
use plugbay_tests::{
    Folder, block_on, build, mapped_below, reloaded, until, while_calling, with_embedded,
    with_section,
};
use serde_json::{Value, json};

const ID: &str = "speaker";

/// The version of the fixture with this number.
fn version(number: u64) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-speaker")).unwrap();
    with_section(&library, ".answer", &number.to_ne_bytes())
}

/// One that offers another contract, whatever its manifest says.
fn other(number: u64) -> Vec<u8> {
    let (mut library, from) = (version(number), b"test.speaker");
    let found = library.windows(from.len()).enumerate().filter(|(_, bytes)| bytes == from);
    // In the manifest it is in quotes.
    let places = found.map(|(at, _)| at).filter(|at| library[at - 1] != b'"');
    for at in places.collect::<Vec<_>>() {
        library[at..at + from.len()].copy_from_slice(b"test.another");
    }
    library
}

struct Bed {
    folder: Folder,
    host: Host,
    speaker: Service<dyn Speaker>,
}

impl Bed {
    fn new() -> Self {
        Self::with(|host| host.probation(Duration::ZERO))
    }

    fn with(change: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let folder = Folder::new();
        folder.write("speaker.so", version(1));
        let host = change(folder.host()).build().unwrap();
        assert!(host.start().unwrap().refused.is_empty());
        let speaker = host.service(ID).unwrap();
        Self { folder, host, speaker }
    }

    fn put(&self, library: Vec<u8>) {
        let aside = self.folder.beside("next.so");
        fs::write(&aside, library).unwrap();
        fs::rename(aside, self.folder.plugins().join("speaker.so")).unwrap();
    }

    fn replace(&self, number: u64) {
        self.put(version(number));
        reloaded(self.host.reload(ID));
    }
}

#[test]
fn values_go_both_ways() {
    let bed = Bed::new();
    let speaker = bed.speaker.enter().unwrap();
    assert_eq!(speaker.add(41).unwrap(), 42);
    assert_eq!(speaker.twice("ab").unwrap(), "abab");
    assert_eq!(speaker.name().unwrap(), "speaker 1");
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    assert_eq!(speaker.pass(bytes.clone()).unwrap(), bytes);
    assert_eq!(bed.speaker.call(|speaker| speaker.add(1)).unwrap().unwrap(), 2);
}

#[test]
fn errors_and_panics_come_with_what_they_say() {
    let bed = Bed::new();
    let speaker = bed.speaker.enter().unwrap();
    let error = speaker.fail("error").unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("no", "it was told to fail"));
    assert!(!error.is_panic() && error.origin().unwrap().contains("speaker/src/lib.rs:"));
    let error = speaker.fail("panic").unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("it was told to panic"), "{error}");
    speaker.fail("not").unwrap();
}

#[test]
fn a_handle_lives_through_reloads_and_the_state_goes_on() {
    let bed = Bed::new();
    assert_eq!(bed.speaker.enter().unwrap().count().unwrap(), 1);
    let kept = bed.speaker.clone();
    for number in 2..10 {
        bed.replace(number);
        let speaker = kept.enter().unwrap();
        assert_eq!((speaker.add(0).unwrap(), speaker.count().unwrap()), (number, number));
        assert_eq!(speaker.generation(), number);
    }
}

#[test]
fn all_calls_under_reloads_are_answered_and_counted() {
    let bed = Bed::new();
    let last = AtomicU64::new(0);
    let call = |_| {
        let before = last.load(Ordering::SeqCst);
        let speaker = bed.speaker.enter().unwrap();
        let number = speaker.add(0).unwrap();
        assert!(number >= before, "{number} after {before}");
        last.fetch_max(number, Ordering::SeqCst);
        Ok(json!(speaker.count().unwrap()))
    };
    let (calls, _) = while_calling(4, call, || (2..60).for_each(|number| bed.replace(number)));
    assert_eq!(bed.speaker.enter().unwrap().count().unwrap(), calls + 1);
    until(|| mapped_below(&bed.folder.beside("cache")) == 1);
}

#[test]
fn what_is_not_there_is_told() {
    let bed = Bed::new();
    let error = bed.host.service::<dyn Speaker>("nobody").unwrap_err();
    assert_eq!(error.code(), "PB0701");
    bed.folder.put(&build("plugbay-plugin-kv"), "kv.so");
    bed.host.load("kv").unwrap();
    let error = bed.host.service::<dyn Speaker>("kv").unwrap_err();
    assert_eq!(error.code(), "PB1401");
    assert!(error.to_string().contains("does not offer test.speaker 1"), "{error}");
    bed.host.disable(ID).unwrap();
    let error = bed.speaker.enter().unwrap_err();
    assert_eq!(error.code(), "PB0702");
    assert!(bed.speaker.hold().is_err());
    bed.host.enable(ID).unwrap();
    assert_eq!(bed.speaker.enter().unwrap().add(1).unwrap(), 2);
}

/// Who has asked for a contract goes on being served.
#[test]
fn a_version_without_the_contract_does_not_take_over() {
    let bed = Bed::new();
    bed.speaker.enter().unwrap().count().unwrap();
    bed.put(other(2));
    let error = bed.host.reload(ID).unwrap_err();
    assert_eq!(error.code(), "PB1404", "{error}");
    assert_eq!(bed.speaker.enter().unwrap().count().unwrap(), 2);
    // Nobody is called there that could not be: by hand it can be put in its place.
    bed.host.unload(ID).unwrap();
    bed.host.load(ID).unwrap();
    assert_eq!(bed.speaker.enter().unwrap_err().code(), "PB1401");
}

#[test]
fn a_call_may_take_its_time() {
    let bed = Bed::new();
    let held = bed.speaker.hold().unwrap();
    assert_eq!(held.later(1, 0).wait().unwrap(), 2);
    assert_eq!(held.later(1, 20).wait().unwrap(), 2);
    // On another thread than the one that began it.
    let (sender, receiver) = mpsc::channel();
    let speaker = bed.speaker.clone();
    thread::spawn(move || {
        let held = speaker.hold().unwrap();
        sender.send(held.later(5, 5).wait()).unwrap();
    });
    assert_eq!(receiver.recv().unwrap().unwrap(), 6);
}

/// A future that is not done holds its generation; dropping it lets go.
#[test]
fn a_future_holds_its_generation_until_it_is_dropped() {
    let bed =
        Bed::with(|host| host.probation(Duration::ZERO).drain_limit(Duration::from_millis(300)));
    let held = bed.speaker.hold().unwrap();
    let mut future = Box::pin(held.later(1, 60_000));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
    bed.put(version(2));
    assert_eq!(bed.host.reload(ID).unwrap_err().code(), "PB1101");
    drop(future);
    drop(held);
    reloaded(bed.host.reload(ID));
    assert_eq!(bed.speaker.enter().unwrap().add(0).unwrap(), 2);
}

/// Taken by several threads at once and given back by another one, while the state
/// goes from one generation to the next.
#[test]
fn what_many_hold_under_reloads_is_answered_and_given_back() {
    let bed = Bed::new();
    let (sender, receiver) = mpsc::channel::<(Held<dyn Speaker>, mpsc::Sender<()>)>();
    let back = thread::spawn(move || {
        for (held, done) in receiver {
            drop(held);
            done.send(()).unwrap();
        }
    });
    let call = |_| {
        let held = bed.speaker.hold().unwrap();
        let number = held.later(0, 0).wait().unwrap();
        assert_eq!(number, held.generation());
        // Waited for: who still has one gets the next beside it, also when others wait.
        let (done, given_back) = mpsc::channel();
        sender.send((held, done)).unwrap();
        given_back.recv().unwrap();
        Ok(json!(number))
    };
    while_calling(4, call, || (2..40).for_each(|number| bed.replace(number)));
    drop(sender);
    back.join().unwrap();
    until(|| mapped_below(&bed.folder.beside("cache")) == 1);
}

#[test]
fn too_many_panics_in_the_probation_bring_the_one_before_back() {
    let bed = Bed::with(|host| host.allowed_troubles(2));
    bed.replace(2);
    for _ in 0..3 {
        let speaker = bed.speaker.enter().unwrap();
        assert!(speaker.fail("panic").unwrap_err().is_panic());
    }
    until(|| bed.speaker.enter().unwrap().add(0).unwrap() == 1);
}

#[test]
fn by_name_with_json() {
    let bed = Bed::new();
    let call = |command: &str, arguments| bed.host.call(ID, command, arguments);
    assert_eq!(call("test.speaker:add", json!({"number": 41})).unwrap(), json!(42));
    assert_eq!(call("test.speaker:name", json!({})).unwrap(), json!("speaker 1"));
    let later = json!({"number": 1, "milliseconds": 5});
    assert_eq!(call("test.speaker:later", later).unwrap(), json!(2));
    let error = call("test.speaker:add", json!({"numbr": 41})).unwrap_err();
    assert_eq!(error.code(), "PB0704");
    assert!(
        error.to_string().contains("there is no argument `numbr`; there are: number"),
        "{error}"
    );
    let error = call("test.speaker:sing", json!({})).unwrap_err();
    assert_eq!(error.code(), "PB0703");
    assert!(error.hint().contains("test.speaker:twice"), "{}", error.hint());
    assert_eq!(call("test.other:add", json!({})).unwrap_err().code(), "PB0703");
    let error = call("test.speaker:fail", json!({"how": "panic"})).unwrap_err();
    assert_eq!(error.code(), "PB0706");
}

/// The same library under another id, with another precedence.
fn rival(id: &str, precedence: i32, capabilities: &[&str]) -> Vec<u8> {
    with_embedded(&version(7), |embedded| {
        embedded.manifest.id = id.parse().unwrap();
        embedded.manifest.services[0].precedence = precedence;
        let capabilities = capabilities.iter().map(ToString::to_string);
        embedded.manifest.services[0].capabilities = capabilities.collect();
    })
}

#[test]
fn who_is_asked_where_several_offer_the_same() {
    let bed = Bed::new();
    let ask = || bed.host.services::<dyn Speaker>();
    bed.folder.write("zz.so", rival("zz", 5, &[]));
    bed.folder.write("aa.so", rival("aa", 0, &["sings"]));
    bed.host.load("zz").unwrap();
    bed.host.load("aa").unwrap();
    assert_eq!(ask().best().unwrap().plugin().as_str(), "zz");
    let all = ask().all();
    let ids: Vec<_> = all.iter().map(|service| service.plugin().as_str()).collect();
    assert_eq!(ids, ["zz", "aa", "speaker"]);
    assert_eq!(ask().capability("twice").best().unwrap().plugin().as_str(), "speaker");
    assert_eq!(ask().since(1).capability("sings").all().len(), 1);
    let error = ask().capability("flies").best().unwrap_err();
    assert_eq!(error.code(), "PB1403");
    assert_eq!(
        error.to_string(),
        "no plugin that serves offers test.speaker 1.0, capable of `flies`: zz is not capable of \
         `flies`; aa is not capable of `flies`; speaker is not capable of `flies`"
    );
    assert!(ask().since(2).best().unwrap_err().to_string().contains("zz offers 1.1"));
    bed.host.unload("zz").unwrap();
    assert_eq!(ask().best().unwrap().plugin().as_str(), "aa");
    let [contract] = &bed.host.contracts()[..] else { panic!("one contract") };
    let providers: Vec<_> = contract.providers.iter().map(|one| one.plugin.as_str()).collect();
    assert_eq!((contract.id.as_str(), contract.major), ("test.speaker", 1));
    assert_eq!(providers, ["aa", "speaker"]);
}

#[test]
fn one_that_is_still_to_come_is_waited_for() {
    let folder = Folder::new();
    let host = folder.host().build().unwrap();
    host.start().unwrap();
    let ask = host.services::<dyn Speaker>();
    assert_eq!(ask.wait(Duration::from_millis(10)).unwrap_err().code(), "PB1403");
    let (there, folder) = (host.clone(), &folder);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ask.wait(Duration::from_secs(30)));
        folder.write("speaker.so", version(1));
        there.load(ID).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().enter().unwrap().add(1).unwrap(), 2);
    });
}

impl Bed {
    fn with_asker(self) -> Self {
        self.folder.put(&build("plugbay-fixture-asker"), "asker.so");
        self.host.load("asker").unwrap();
        self
    }

    fn ask(&self, command: &str, arguments: Value) -> Value {
        self.host.call("asker", command, arguments).unwrap()
    }
}

#[test]
fn a_plugin_calls_another_one_through_its_reloads() {
    let bed = Bed::new().with_asker();
    assert_eq!(bed.ask("add", json!(41)), json!(42));
    for number in 2..6 {
        bed.replace(number);
        assert_eq!(bed.ask("add", json!(0)), json!(number));
    }
    assert_eq!(bed.host.contracts()[0].consumers[0].as_str(), "asker");
    bed.folder.write("zz.so", rival("zz", 5, &[]));
    bed.host.load("zz").unwrap();
    assert_eq!(bed.ask("names", json!({})), json!(["speaker 7", "speaker 5"]));
}

#[test]
fn chains_of_calls_under_reloads_of_both_are_answered_and_counted() {
    let bed = Bed::new().with_asker();
    let asker = fs::read(build("plugbay-fixture-asker")).unwrap();
    let count = |_| bed.host.call("asker", "count", json!({}));
    let (calls, failed) = while_calling(4, count, || {
        for number in 2..40 {
            bed.replace(number);
            // The one that calls is replaced, too.
            let other = with_embedded(&asker, |embedded| {
                embedded.manifest.version = format!("{}.0.0", 2 + number % 2).parse().unwrap();
            });
            let aside = bed.folder.beside("asker.so");
            fs::write(&aside, other).unwrap();
            fs::rename(aside, bed.folder.plugins().join("asker.so")).unwrap();
            reloaded(bed.host.reload("asker"));
        }
    });
    assert!(failed.is_empty(), "{}", failed[0]);
    assert_eq!(bed.speaker.enter().unwrap().count().unwrap(), calls + 1);
    until(|| mapped_below(&bed.folder.beside("cache")) == 2);
}

#[test]
fn what_goes_wrong_between_plugins_is_told_by_its_names() {
    let bed = Bed::new().with_asker();
    let wrong = |command: &str, arguments| {
        bed.host.call("asker", command, arguments).unwrap_err().to_string()
    };
    let said = wrong("undeclared", json!({}));
    assert!(said.contains("write [[needs]] with id = \"test.undeclared\""), "{said}");
    assert_eq!(bed.ask("best", json!({})), json!("speaker"));
    assert!(wrong("fail", json!("error")).contains("it was told to fail"));
    assert!(wrong("fail", json!("panic")).contains("it was told to panic"));
    bed.host.disable(ID).unwrap();
    let said = wrong("add", json!(1));
    assert!(said.contains("the plugin `speaker` is disabled"), "{said}");
    bed.host.enable(ID).unwrap();
    assert_eq!(bed.ask("add", json!(1)), json!(2));
}

#[test]
fn a_plugin_that_holds_another_one_is_waited_for() {
    let bed = Bed::with(|host| host.drain_limit(Duration::from_millis(300))).with_asker();
    bed.ask("hold", json!(true));
    bed.put(version(2));
    let error = bed.host.reload(ID).unwrap_err();
    assert_eq!(error.code(), "PB1101");
    assert!(full_message(&error).contains("the plugin asker, since a call on thread"), "{error}");
    bed.ask("hold", json!(false));
    reloaded(bed.host.reload(ID));
    // Its end gives back what it holds.
    bed.ask("hold", json!(true));
    bed.host.unload("asker").unwrap();
    bed.replace(3);
}

/// The speaker with this number, as this version of the plugin.
fn as_version(number: u64, version_of_it: &str) -> Vec<u8> {
    with_embedded(&version(number), |embedded| {
        embedded.manifest.version = version_of_it.parse().unwrap();
        embedded.manifest.description.clear();
    })
}

/// The range was looked at once, and a later version of the seat was called all the same.
#[test]
fn a_service_keeps_to_the_versions_that_were_asked_for() {
    let folder = Folder::new();
    folder.write("speaker.so", as_version(1, "1.0.0"));
    let host = folder.host().probation(Duration::ZERO).build().unwrap();
    host.start().unwrap();
    let (any, one) = (host.service("speaker").unwrap(), host.service("speaker@^1").unwrap());
    let add = |speaker: &Service<dyn Speaker>| speaker.enter().unwrap().add(0).unwrap();
    let put = |number, version| {
        folder.put_whole("speaker.so", &as_version(number, version));
        reloaded(host.reload("speaker"));
    };
    put(2, "1.5.0");
    assert_eq!((add(&any), add(&one)), (2, 2));
    put(3, "2.0.0");
    assert_eq!(add(&any), 3);
    let fresh = host.service::<dyn Speaker>("speaker@^1").unwrap_err();
    let said = "no version of the plugin `speaker` that is ^1 serves: 2.0.0";
    assert_eq!((fresh.code(), fresh.to_string().as_str()), ("PB0708", said));
    let refused = one.enter().map(drop).unwrap_err();
    assert_eq!((refused.code(), refused.to_string().as_str()), ("PB0708", said));
    assert_eq!(one.hold().map(drop).unwrap_err().to_string(), said);
    assert_eq!(block_on(one.hold_async()).map(drop).unwrap_err().to_string(), said);
    assert!(!host.set_log_level("speaker@^1", log::LevelFilter::Info));
    put(4, "1.6.0");
    assert_eq!((add(&any), add(&one)), (4, 4));
    assert!(host.set_log_level("speaker@^1", log::LevelFilter::Info));
}

#[test]
fn a_plugin_calls_the_versions_that_it_depends_on() {
    let folder = Folder::new();
    folder.write("speaker.so", as_version(1, "1.0.0"));
    let asker = with_embedded(&fs::read(build("plugbay-fixture-asker")).unwrap(), |embedded| {
        let one = json!({"id": "speaker", "version": "^1", "optional": true});
        embedded.manifest.dependencies.push(serde_json::from_value(one).unwrap());
        embedded.manifest.description.clear();
        embedded.manifest.commands.values_mut().for_each(|it| it.summary.clear());
    });
    folder.write("asker.so", asker);
    let host = folder.host().probation(Duration::ZERO).build().unwrap();
    host.start().unwrap();
    let add = || host.call("asker", "add", json!(0));
    assert_eq!(add().unwrap(), json!(1));
    let put = |number, version| {
        folder.put_whole("speaker.so", &as_version(number, version));
        reloaded(host.reload("speaker"));
    };
    put(2, "2.0.0");
    let said = add().unwrap_err().to_string();
    assert!(said.contains("that is ^1 serves: 2.0.0"), "{said}");
    put(3, "1.2.0");
    assert_eq!(add().unwrap(), json!(3));
}

/// One thread that always has calls under way, as an executor's: no moment comes at which
/// it holds nothing, unless those that begin wait for the new generation.
#[test]
fn an_executor_that_is_never_idle_lets_a_state_be_handed_over() {
    let bed = Bed::with(|host| host.probation(Duration::ZERO).pause_limit(Duration::from_secs(30)));
    let (speaker, over) = (bed.speaker.clone(), AtomicBool::new(false));
    let call = || {
        let speaker = &speaker;
        Box::pin(async move {
            let held = speaker.hold_async().await.unwrap();
            let generation = held.generation();
            assert_eq!(held.later(0, 20).await.unwrap(), generation);
            held.count().unwrap()
        })
    };
    thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let (mut calls, mut running, mut last) = (0, Vec::new(), Instant::now());
            while !over.load(Ordering::SeqCst) || !running.is_empty() {
                // One begins in the middle of another one.
                let next = last.elapsed() >= Duration::from_millis(5);
                if next && running.len() < 16 && !over.load(Ordering::SeqCst) {
                    running.push(call());
                    last = Instant::now();
                }
                let mut context = Context::from_waker(Waker::noop());
                running.retain_mut(|one| match one.as_mut().poll(&mut context) {
                    Poll::Ready(_) => {
                        calls += 1;
                        false
                    }
                    Poll::Pending => true,
                });
                thread::yield_now();
            }
            calls
        });
        until(|| !bed.host.plugins()[0].generations[0].holders.is_empty());
        (2..6).for_each(|number| bed.replace(number));
        over.store(true, Ordering::SeqCst);
        let calls: u64 = calls.join().unwrap();
        assert_eq!(bed.speaker.enter().unwrap().count().unwrap(), calls + 1);
    });
}

/// Wakes only when there is something to be had.
#[test]
fn who_awaits_a_handover_is_woken_at_its_end() {
    let bed = Bed::with(|host| host.probation(Duration::ZERO).pause_limit(Duration::from_secs(30)));
    let held = bed.speaker.hold().unwrap();
    bed.put(version(2));
    thread::scope(|scope| {
        let reload = scope.spawn(|| reloaded(bed.host.reload(ID)));
        // The door is shut when somebody has to wait.
        let waits = loop {
            let mut waits = Box::pin(bed.speaker.hold_async());
            match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(held) => drop(held),
                Poll::Pending => break waits,
            }
        };
        // One that is dropped is nobody's any more.
        drop(waits);
        let waits = scope.spawn(|| block_on(bed.speaker.hold_async()).unwrap().generation());
        drop(held);
        reload.join().unwrap();
        assert_eq!(waits.join().unwrap(), 2);
    });
    bed.host.unload(ID).unwrap();
    assert_eq!(block_on(bed.speaker.hold_async()).unwrap_err().code(), "PB0702");
}

/// It may be woken until the other plugin has dropped it.
#[test]
fn a_waker_that_another_plugin_keeps_keeps_its_library() {
    let bed = Bed::new().with_asker();
    bed.ask("poll", json!(1500));
    let unloaded = bed.host.unload("asker").unwrap();
    assert_eq!(unloaded.pinned, Some(Pin::Wakers { count: 1 }));
    until(|| bed.host.pinned().is_empty());
    assert_eq!(mapped_below(&bed.folder.beside("cache")), 1);
}

/// How long the attempts let them wait is a matter of `trying_again.rs`, and tested there.
#[test]
fn the_others_are_served_while_a_long_call_by_contract_holds_up_a_takeover() {
    let bed =
        Bed::with(|host| host.watch(WatchOptions::default()).drain_limit(Duration::from_secs(1)));
    let events = bed.host.events();
    let (numbers, last) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let speaker = bed.speaker.clone();
    let waits = std::iter::from_fn(move || {
        let _ = begun.send(());
        last.recv().ok().map(Ok)
    });
    let long = thread::spawn(move || speaker.call(|it| it.sum(Stream::new(waits))));
    begins.recv().unwrap();
    bed.folder.put_whole("speaker.so", &version(2));
    plugbay_tests::next(&events, |it| matches!(it, Happening::Kept { .. }));
    // The others go on with what serves, through the attempts that are made meanwhile.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        assert_eq!(bed.speaker.call(|it| it.add(1)).unwrap().unwrap(), 2);
    }
    numbers.send(1_u64).unwrap();
    drop(numbers);
    assert_eq!(long.join().unwrap().unwrap().unwrap(), 1);
    until(|| bed.speaker.call(|it| it.add(1)).unwrap().unwrap() == 3);
}
