//! What every registry does, in all three of them. Between what is changed and what is
//! seen then, the durable ones are closed and opened once more.

#![cfg(feature = "sqlite")]

mod support;

use std::thread;

use jiff::{SignedDuration, Timestamp};
use plugbay_registry::{
    Doing, Ending, Event, EventKind, Health, HeldBack, HistoryQuery, HostProcess, Mark,
    PluginRecord, Query, Reason, Selector, Status, Verdict, Wish,
};
use support::{Backend, Home, a_dead_process, begin, hash, key, names, plugin};

macro_rules! in_every_registry {
    ($($test:ident)+) => {
        mod memory { $(#[test] fn $test() { super::$test(super::Home::of(super::Backend::Memory)) })+ }
        mod file { $(#[test] fn $test() { super::$test(super::Home::of(super::Backend::File)) })+ }
        mod sqlite { $(#[test] fn $test() { super::$test(super::Home::of(super::Backend::Sqlite)) })+ }
    };
}

in_every_registry! {
    a_new_one_is_empty
    a_record_is_found_as_it_was_recorded
    a_record_keeps_the_time_of_the_first_one
    of_one_key_the_last_record_counts
    the_same_version_built_twice_has_two_records
    marks_change_what_became_of_plugins
    what_is_forgotten_leaves_everything_else
    queries_take_what_fits_in_all_they_say
    answers_are_sorted_by_id_and_newest_version
    ranges_take_a_pre_release_only_if_they_name_one
    contracts_are_found_in_versions_that_have_all_that_is_needed
    words_are_searched_for_everywhere_and_the_best_come_first
    words_are_no_patterns
    wishes_are_kept_apart_from_records
    history_is_told_from_the_end
    history_is_bounded
    a_smaller_bound_holds_from_the_next_event_on
    attempts_are_open_until_they_end
    attempts_are_begun_together_and_end_by_themselves
    attempts_end_together
    numbers_of_attempts_do_not_come_back
    an_open_attempt_of_a_dead_process_counts_as_a_crash
    crashes_are_bounded
    what_is_held_back_is_so_until_it_is_released
    a_release_leaves_attempts_of_those_who_live
    words_of_later_versions_are_kept
    a_thousand_plugins_are_one_batch
    threads_do_not_lose_each_others_changes
}

fn all() -> Query {
    Query::new()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000).unwrap() - SignedDuration::from_secs(seconds)
}

fn a_new_one_is_empty(home: Home) {
    let registry = home.open();
    registry.record(&[]).unwrap();
    registry.append(&[]).unwrap();
    assert_eq!(registry.mark(&[]).unwrap() + registry.forget(&[]).unwrap(), 0);
    let registry = home.again(registry);
    assert_eq!(registry.query(&all()).unwrap(), []);
    assert!(registry.wishes().unwrap().is_empty());
    assert_eq!(registry.history(&HistoryQuery::new()).unwrap(), []);
    assert_eq!(registry.open_attempts().unwrap(), []);
    assert_eq!(registry.crashes(&hash(1)).unwrap(), []);
    assert_eq!(registry.held_back().unwrap(), []);
    assert_eq!(registry.release(&Selector::All).unwrap(), []);
}

fn a_record_is_found_as_it_was_recorded(home: Home) {
    let registry = home.open();
    let mut record = plugin("markdown", "1.2.0-rc.1+build.7", 1);
    record.status = Status::Refused;
    record.reason = Some(Reason::of_error("PB0206", "every user may change the file"));
    record.verdict = Verdict::Survived;
    record.health = Health::troubled(3, "it did not answer");
    record.created = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
    let mut bare =
        PluginRecord::new("a".parse().unwrap(), "0.0.0".parse().unwrap(), hash(2), "".into());
    bare.name = String::new();
    registry.record(&[record.clone(), bare.clone()]).unwrap();
    let registry = home.again(registry);
    assert_eq!(registry.query(&all()).unwrap(), [bare, record]);
}

fn a_record_keeps_the_time_of_the_first_one(home: Home) {
    let registry = home.open();
    let mut first = plugin("a", "1.0.0", 1);
    first.created = ago(50);
    registry.record(&[first]).unwrap();
    let registry = home.again(registry);
    let mut second = plugin("a", "1.0.0", 1);
    (second.created, second.updated) = (ago(10), ago(9));
    registry.record(&[second]).unwrap();
    let found = home.again(registry).query(&all()).unwrap();
    assert_eq!((found[0].created, found[0].updated), (ago(50), ago(9)));
}

fn of_one_key_the_last_record_counts(home: Home) {
    let registry = home.open();
    let (mut first, mut second) = (plugin("a", "1.0.0", 1), plugin("a", "1.0.0", 1));
    (first.name, second.name) = ("First".into(), "Second".into());
    second.kinds = vec!["store".into(), "store".into()];
    registry.record(&[first, second]).unwrap();
    let registry = home.again(registry);
    assert_eq!(registry.query(&all()).unwrap()[0].name, "Second");
    assert_eq!(registry.query(&all().kind("store")).unwrap().len(), 1);
    assert_eq!(registry.query(&all().kind("renderer")).unwrap(), []);
    assert_eq!(registry.query(&all().text("first")).unwrap(), []);
}

fn the_same_version_built_twice_has_two_records(home: Home) {
    let registry = home.open();
    registry.record(&[plugin("a", "1.0.0", 2), plugin("a", "1.0.0", 1)]).unwrap();
    let registry = home.again(registry);
    let hashes: Vec<_> = registry.query(&all()).unwrap().iter().map(|it| it.hash).collect();
    assert_eq!(hashes, [hash(1), hash(2)]);
    assert_eq!(names(&registry.query(&all().hash(hash(2))).unwrap()), ["a 1.0.0"]);
}

fn marks_change_what_became_of_plugins(home: Home) {
    let registry = home.open();
    let mut held = plugin("held", "1.0.0", 1);
    held.verdict = Verdict::Survived;
    held.health = Health::troubled(1, "once");
    let mut well = plugin("well", "1.0.0", 2);
    well.reason = Some(Reason::new("it was refused before"));
    registry.record(&[held, well]).unwrap();
    let mut mark = Mark::new(key("held", "1.0.0", 1), Status::HeldBack);
    mark.reason = Some(Reason::of_error("PB0401", "it crashed"));
    mark.verdict = Some(Verdict::Quarantined);
    mark.health = Some(Health::troubled(2, "twice"));
    mark.at = ago(0);
    let known = registry.mark(&[
        mark,
        Mark::new(key("well", "1.0.0", 2), Status::Active),
        Mark::new(key("well", "1.0.0", 3), Status::Gone),
    ]);
    assert_eq!(known.unwrap(), 2);
    let registry = home.again(registry);
    let found = registry.query(&all()).unwrap();
    let [held, well] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&held.status, &held.verdict), (&Status::HeldBack, &Verdict::Quarantined));
    assert_eq!(held.reason, Some(Reason::of_error("PB0401", "it crashed")));
    assert_eq!((held.health.troubles, held.updated), (2, ago(0)));
    assert_eq!((&well.status, &well.reason), (&Status::Active, &None));
    assert!(well.health.is_ok());
    assert_eq!(names(&registry.query(&all().status(Status::HeldBack)).unwrap()), ["held 1.0.0"]);
    // What is not said stays.
    registry.mark(&[Mark::new(key("held", "1.0.0", 1), Status::Active)]).unwrap();
    let held = &registry.query(&all()).unwrap()[0];
    assert_eq!((&held.verdict, held.health.troubles), (&Verdict::Quarantined, 2));
}

fn what_is_forgotten_leaves_everything_else(home: Home) {
    let registry = home.open();
    registry.record(&[plugin("a", "1.0.0", 1), plugin("a", "2.0.0", 2)]).unwrap();
    registry.set_wish(&"a".parse().unwrap(), Some(Wish::disabled())).unwrap();
    let removed = registry.forget(&[key("a", "1.0.0", 1), key("a", "1.0.0", 9)]);
    assert_eq!(removed.unwrap(), 1);
    let registry = home.again(registry);
    assert_eq!(names(&registry.query(&all().kind("renderer")).unwrap()), ["a 2.0.0"]);
    assert_eq!(registry.wishes().unwrap().len(), 1);
    assert_eq!(registry.forget(&[key("a", "1.0.0", 1)]).unwrap(), 0);
}

fn queries_take_what_fits_in_all_they_say(home: Home) {
    let registry = home.open();
    let mut store = plugin("store", "1.0.0", 1);
    (store.kinds, store.status) = (vec!["store".into(), "source".into()], Status::Active);
    let mut both = plugin("both", "2.1.0", 2);
    (both.kinds, both.status) = (vec!["store".into(), "renderer".into()], Status::Gone);
    both.capabilities.push("fast".into());
    registry.record(&[store, both, plugin("plain", "1.5.0", 3)]).unwrap();
    let registry = home.again(registry);
    let found = |query: Query| names(&registry.query(&query).unwrap());
    assert_eq!(found(all().kind("store")), ["both 2.1.0", "store 1.0.0"]);
    assert_eq!(found(all().kind("store").kind("renderer")), ["both 2.1.0"]);
    assert_eq!(found(all().kind("Store")), [""; 0]);
    assert_eq!(found(all().sub_type("renderer", "format", "html")).len(), 3);
    assert_eq!(found(all().sub_type("renderer", "format", "html").kind("source")), ["store 1.0.0"]);
    assert_eq!(found(all().sub_type("renderer", "html", "format")), [""; 0]);
    assert_eq!(found(all().sub_type("store", "format", "html")), [""; 0]);
    assert_eq!(found(all().kind("renderer").capability("tables")), ["both 2.1.0", "plain 1.5.0"]);
    assert_eq!(found(all().capability("tables").capability("fast")), ["both 2.1.0"]);
    assert_eq!(
        found(all().status(Status::Active).status(Status::Gone)),
        ["both 2.1.0", "store 1.0.0"]
    );
    assert_eq!(found(all().status(Status::Unloaded).kind("store")), [""; 0]);
    assert_eq!(found(all().versions("1".parse().unwrap())), ["plain 1.5.0", "store 1.0.0"]);
    assert_eq!(found(all().id("store".parse().unwrap())), ["store 1.0.0"]);
    let newer = all().id("store".parse().unwrap()).versions(">1.0.0".parse().unwrap());
    assert_eq!(found(newer), [""; 0]);
}

fn answers_are_sorted_by_id_and_newest_version(home: Home) {
    let registry = home.open();
    let versions = ["1.9.0", "1.10.0", "1.10.0-rc.1", "0.2.0"];
    let mut records: Vec<_> = versions.iter().map(|version| plugin("b", version, 1)).collect();
    records.push(plugin("a", "0.1.0", 1));
    registry.record(&records).unwrap();
    let registry = home.again(registry);
    let sorted = ["a 0.1.0", "b 1.10.0", "b 1.10.0-rc.1", "b 1.9.0", "b 0.2.0"];
    assert_eq!(names(&registry.query(&all()).unwrap()), sorted);
    assert_eq!(names(&registry.query(&all().limit(2)).unwrap()), sorted[..2]);
    assert_eq!(registry.query(&all().limit(0)).unwrap(), []);
}

fn ranges_take_a_pre_release_only_if_they_name_one(home: Home) {
    let registry = home.open();
    registry.record(&[plugin("a", "1.1.0-rc.1", 1), plugin("a", "1.0.0", 1)]).unwrap();
    let registry = home.again(registry);
    let found =
        |range: &str| names(&registry.query(&all().versions(range.parse().unwrap())).unwrap());
    assert_eq!(found(">=1.0.0"), ["a 1.0.0"]);
    assert_eq!(found(">=1.1.0-beta"), ["a 1.1.0-rc.1"]);
}

fn contracts_are_found_in_versions_that_have_all_that_is_needed(home: Home) {
    let registry = home.open();
    let mut none = plugin("none", "1.0.0", 2);
    none.contracts.clear();
    registry.record(&[plugin("offers", "1.0.0", 1), none]).unwrap();
    let registry = home.again(registry);
    let found = |id: &str, version: &str| {
        let query = all().contract(id.parse().unwrap(), version.parse().unwrap());
        registry.query(&query).unwrap().len()
    };
    assert_eq!(found("plugbay.renderer", "1.0"), 1);
    assert_eq!(found("plugbay.renderer", "1.2"), 1);
    assert_eq!(found("plugbay.renderer", "1.3"), 0);
    assert_eq!(found("plugbay.renderer", "2.0"), 0);
    assert_eq!(found("plugbay.render", "1.0"), 0);
}

fn words_are_searched_for_everywhere_and_the_best_come_first(home: Home) {
    let registry = home.open();
    let with = |id: &str, name: &str, description: &str, kind: &str| {
        let mut record = plugin(id, "1.0.0", 1);
        (record.name, record.description) = (name.into(), description.into());
        record.kinds = vec![kind.into()];
        record.capabilities = vec!["Größe".into()];
        record
    };
    registry
        .record(&[
            with("a-described", "A", "Makes a table out of it", "other"),
            with("b-kind", "B", "", "table"),
            with("c-table-name", "C", "", "other"),
            with("d", "Table", "", "other"),
            with("e", "E", "tablets", "other"),
            with("z-nothing", "Z", "", "other"),
        ])
        .unwrap();
    let registry = home.again(registry);
    let found = |text: &str| -> Vec<_> {
        let found = registry.query(&all().text(text)).unwrap();
        found.iter().map(|record| record.id.to_string()).collect()
    };
    assert_eq!(found("TABLE"), ["d", "b-kind", "c-table-name", "a-described", "e"]);
    assert_eq!(found(" out\n table "), ["a-described"]);
    assert_eq!(found("table nowhere"), [""; 0]);
    assert_eq!(found("gRÖSSE"), [""; 0], "letters are compared, not spellings");
    assert_eq!(found("gRÖßE").len(), 6);
    assert_eq!(found("  ").len(), 6);
    let best = registry.query(&all().text("table").limit(1)).unwrap();
    assert_eq!(best[0].id.as_str(), "d");
    assert_eq!(registry.query(&all().text("table").kind("table")).unwrap().len(), 1);
}

fn words_are_no_patterns(home: Home) {
    let registry = home.open();
    let mut odd = plugin("odd", "1.0.0", 1);
    odd.description = "100% a_b 'quoted' * \"or\" x\0y".into();
    registry.record(&[odd, plugin("even", "1.0.0", 2)]).unwrap();
    let registry = home.again(registry);
    for word in ["%", "a_b", "'quoted'", "*", "\"or\"", "x\0y"] {
        assert_eq!(names(&registry.query(&all().text(word)).unwrap()), ["odd 1.0.0"], "{word:?}");
    }
    for word in ["_dd", "od%", "e*n", "OR 1=1"] {
        assert_eq!(registry.query(&all().text(word)).unwrap(), [], "{word:?}");
    }
}

fn wishes_are_kept_apart_from_records(home: Home) {
    let registry = home.open();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let on = Wish::enabled(Some("^1.2".parse().unwrap()));
    registry.set_wish(&a, Some(Wish::disabled())).unwrap();
    registry.set_wish(&b, Some(Wish::disabled())).unwrap();
    registry.set_wish(&a, Some(on.clone())).unwrap();
    registry.set_wish(&b, None).unwrap();
    registry.set_wish(&b, None).unwrap();
    let registry = home.again(registry);
    assert_eq!(registry.wishes().unwrap(), [(a, on)].into());
    assert_eq!(registry.query(&all()).unwrap(), []);
}

fn event(plugin: &str, kind: EventKind, number: i64) -> Event {
    let version = (number % 2 == 0).then(|| "1.0.0".parse().unwrap());
    let mut event = Event::new(plugin.parse().unwrap(), version, kind, format!("{number}\n\0"));
    event.time = ago(1000 - number);
    event
}

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.text.trim_end_matches("\n\0")).collect()
}

fn history_is_told_from_the_end(home: Home) {
    let registry = home.open();
    let events = [
        event("a", EventKind::Loaded, 1),
        event("b", EventKind::Loaded, 2),
        event("a", EventKind::Crashed, 3),
    ];
    registry.append(&events).unwrap();
    registry.append(&[event("a", EventKind::Loaded, 4)]).unwrap();
    let registry = home.again(registry);
    let found = |query: HistoryQuery| {
        let events = registry.history(&query).unwrap();
        texts(&events).join(" ")
    };
    let all = HistoryQuery::new;
    assert_eq!(found(all()), "4 3 2 1");
    assert_eq!(found(all().of("a".parse().unwrap())), "4 3 1");
    assert_eq!(found(all().kind(EventKind::Crashed)), "3");
    assert_eq!(found(all().kind(EventKind::Crashed).kind(EventKind::Loaded).limit(2)), "4 3");
    assert_eq!(found(all().since(ago(997))), "4 3");
    assert_eq!(
        registry.history(&all().since(ago(997)).limit(1)).unwrap()[0].version,
        Some("1.0.0".parse().unwrap())
    );
    assert_eq!(registry.history(&all()).unwrap()[1], events[2]);
}

fn history_is_bounded(mut home: Home) {
    home.limits = home.limits.history(10);
    let registry = home.open();
    for number in 0..30 {
        registry.append(&[event("a", EventKind::Loaded, number)]).unwrap();
    }
    let many: Vec<_> = (30..45).map(|number| event("a", EventKind::Loaded, number)).collect();
    registry.append(&many).unwrap();
    let registry = home.again(registry);
    let kept = registry.history(&HistoryQuery::new()).unwrap();
    assert_eq!(texts(&kept).join(" "), "44 43 42 41 40 39 38 37 36 35");
}

fn a_smaller_bound_holds_from_the_next_event_on(mut home: Home) {
    if home.backend == Backend::Memory {
        return;
    }
    let registry = home.open();
    let many: Vec<_> = (0..8).map(|number| event("a", EventKind::Loaded, number)).collect();
    registry.append(&many).unwrap();
    home.limits = home.limits.history(3);
    let registry = home.again(registry);
    registry.append(&[event("a", EventKind::Loaded, 8)]).unwrap();
    let registry = home.again(registry);
    assert_eq!(texts(&registry.history(&HistoryQuery::new()).unwrap()), ["8", "7", "6"]);
}

fn attempts_are_open_until_they_end(home: Home) {
    let registry = home.open();
    let own = HostProcess::current().unwrap();
    let begun = begin("a", 1, &own);
    let first = registry.begin_attempt(&begun).unwrap();
    let second = registry.begin_attempt(&begin("b", 2, &own)).unwrap();
    let third = registry.begin_attempt(&begin("c", 3, &own)).unwrap();
    assert!(registry.end_attempt(second, Ending::Harmless).unwrap());
    assert!(!registry.end_attempt(second, Ending::Harmless).unwrap());
    let registry = home.again(registry);
    let open = registry.open_attempts().unwrap();
    assert_eq!(open.iter().map(|it| it.id).collect::<Vec<_>>(), [first, third]);
    assert_eq!((&open[0].begun, &open[0].begun.doing), (&begun, &Doing::Activating));
    assert_eq!(registry.open_attempts_of_dead().unwrap(), []);
    assert_eq!(registry.crashes(&hash(1)).unwrap(), []);
    assert!(registry.end_attempt(first, Ending::Crashed).unwrap());
    assert!(!registry.end_attempt(first, Ending::Crashed).unwrap());
    assert!(!registry.end_attempt(first, Ending::Harmless).unwrap());
    let registry = home.again(registry);
    assert_eq!(registry.open_attempts().unwrap().len(), 1);
    let crashes = registry.crashes(&hash(1)).unwrap();
    assert_eq!((crashes.len(), crashes[0].crashed, &crashes[0].begun), (1, true, &begun));
}

fn attempts_are_begun_together_and_end_by_themselves(home: Home) {
    let registry = home.open();
    let own = HostProcess::current().unwrap();
    assert_eq!(registry.begin_attempts(&[]).unwrap(), []);
    let single = registry.begin_attempt(&begin("a", 1, &own)).unwrap();
    let together = [begin("b", 2, &own), begin("c", 3, &own), begin("d", 4, &own)];
    let ids = registry.begin_attempts(&together).unwrap();
    let registry = home.again(registry);
    assert!(registry.end_attempt(ids[1], Ending::Harmless).unwrap());
    let open = registry.open_attempts().unwrap();
    let open: Vec<_> = open.iter().map(|it| (it.id, it.begun.plugin.as_str())).collect();
    assert_eq!(open, [(single, "a"), (ids[0], "b"), (ids[2], "d")]);
    let next = registry.begin_attempt(&begin("e", 5, &own)).unwrap();
    assert!(next > ids[2]);
}

fn attempts_end_together(home: Home) {
    let registry = home.open();
    let own = HostProcess::current().unwrap();
    let begun: Vec<_> = (0..4).map(|number| begin("a", number, &own)).collect();
    let ids = registry.begin_attempts(&begun).unwrap();
    assert_eq!(registry.end_attempts(&[], Ending::Harmless).unwrap(), 0);
    assert_eq!(registry.end_attempts(&ids[..2], Ending::Harmless).unwrap(), 2);
    // One of them has ended before.
    assert_eq!(registry.end_attempts(&ids[1..3], Ending::Crashed).unwrap(), 1);
    let registry = home.again(registry);
    let open: Vec<_> = registry.open_attempts().unwrap().iter().map(|it| it.id).collect();
    assert_eq!(open, [ids[3]]);
    let crashes: Vec<_> = registry.all_crashes().unwrap().iter().map(|it| it.id).collect();
    assert_eq!(crashes, [ids[2]]);
}

fn numbers_of_attempts_do_not_come_back(home: Home) {
    let own = HostProcess::current().unwrap();
    let mut registry = home.open();
    let mut numbers = Vec::new();
    // In the file backend as many as make it write its journal anew, more than once.
    let each = if home.backend == Backend::File { 800 } else { 40 };
    for _ in 0..2 {
        for number in 0..each {
            let id = registry.begin_attempt(&begin("a", number, &own)).unwrap();
            assert!(registry.end_attempt(id, Ending::Harmless).unwrap());
            numbers.push(id);
        }
        registry = home.again(registry);
    }
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(registry.open_attempts().unwrap(), []);
}

fn an_open_attempt_of_a_dead_process_counts_as_a_crash(home: Home) {
    let registry = home.open();
    let (own, dead) = (HostProcess::current().unwrap(), a_dead_process());
    let lives = registry.begin_attempt(&begin("a", 1, &own)).unwrap();
    let first = registry.begin_attempt(&begin("a", 1, &dead)).unwrap();
    let second = registry.begin_attempt(&begin("b", 1, &dead)).unwrap();
    let other = registry.begin_attempt(&begin("b", 2, &dead)).unwrap();
    let registry = home.again(registry);
    let ids = |attempts: Vec<plugbay_registry::Attempt>| -> Vec<_> {
        attempts.iter().map(|it| it.id).collect()
    };
    assert_eq!(ids(registry.open_attempts_of_dead().unwrap()), [first, second, other]);
    assert_eq!(ids(registry.crashes(&hash(1)).unwrap()), [second, first]);
    // Whether that was said already makes no difference.
    assert!(registry.end_attempt(first, Ending::Crashed).unwrap());
    assert_eq!(ids(registry.crashes(&hash(1)).unwrap()), [second, first]);
    // And that somebody else killed the host does.
    assert!(registry.end_attempt(second, Ending::Harmless).unwrap());
    let registry = home.again(registry);
    assert_eq!(ids(registry.crashes(&hash(1)).unwrap()), [first]);
    assert_eq!(ids(registry.open_attempts_of_dead().unwrap()), [other]);
    assert_eq!(ids(registry.open_attempts().unwrap()), [lives, other]);
}

fn crashes_are_bounded(mut home: Home) {
    home.limits = home.limits.crashes(3);
    let registry = home.open();
    let own = HostProcess::current().unwrap();
    for number in 0..6 {
        let id = registry.begin_attempt(&begin("a", number % 2, &own)).unwrap();
        registry.end_attempt(id, Ending::Crashed).unwrap();
    }
    let registry = home.again(registry);
    let count = |number| registry.crashes(&hash(number)).unwrap().len();
    assert_eq!((count(0), count(1)), (1, 2));
}

fn what_is_held_back_is_so_until_it_is_released(home: Home) {
    let registry = home.open();
    let dead = a_dead_process();
    let held = |id: &str, number: u64, since: i64| {
        let mut held =
            HeldBack::new(key(id, "1.0.0", number), Reason::of_error("PB0401", "crashed"));
        held.since = ago(since);
        held
    };
    let (a, b, c) = (held("a", 1, 30), held("b", 2, 10), held("b", 3, 20));
    for it in [&held("a", 1, 99), &a, &b, &c] {
        registry.hold_back(it).unwrap();
    }
    registry.begin_attempt(&begin("b", 3, &dead)).unwrap();
    let id = registry.begin_attempt(&begin("a", 1, &dead)).unwrap();
    registry.end_attempt(id, Ending::Crashed).unwrap();
    let registry = home.again(registry);
    assert_eq!(registry.held_back().unwrap(), [b.clone(), c.clone(), a.clone()]);
    assert_eq!(registry.release(&Selector::Hash(hash(1))).unwrap(), [a]);
    assert_eq!(registry.release(&Selector::Hash(hash(1))).unwrap(), []);
    assert_eq!(registry.crashes(&hash(1)).unwrap(), []);
    let registry = home.again(registry);
    assert_eq!(registry.crashes(&hash(3)).unwrap().len(), 1);
    assert_eq!(registry.release(&Selector::Plugin("b".parse().unwrap())).unwrap(), [b, c.clone()]);
    assert_eq!(
        (registry.crashes(&hash(3)).unwrap(), registry.open_attempts().unwrap()),
        (vec![], vec![])
    );
    registry.hold_back(&c).unwrap();
    assert_eq!(registry.release(&Selector::All).unwrap(), [c]);
    assert_eq!(home.again(registry).held_back().unwrap(), []);
}

fn a_release_leaves_attempts_of_those_who_live(home: Home) {
    let registry = home.open();
    let id = registry.begin_attempt(&begin("a", 1, &HostProcess::current().unwrap())).unwrap();
    registry.release(&Selector::All).unwrap();
    let registry = home.again(registry);
    assert!(registry.end_attempt(id, Ending::Crashed).unwrap());
    assert_eq!(registry.crashes(&hash(1)).unwrap().len(), 1);
}

fn words_of_later_versions_are_kept(home: Home) {
    let registry = home.open();
    let mut record = plugin("a", "1.0.0", 1);
    record.status = String::from("resting").into();
    registry.record(&[record.clone()]).unwrap();
    registry.append(&[event("a", String::from("rested").into(), 0)]).unwrap();
    let registry = home.again(registry);
    assert_eq!(registry.query(&all().status(record.status.clone())).unwrap(), [record]);
    assert_eq!(registry.history(&HistoryQuery::new()).unwrap()[0].kind.as_str(), "rested");
}

fn a_thousand_plugins_are_one_batch(home: Home) {
    let registry = home.open();
    let id = |number| format!("plugin-{number:04}");
    let records: Vec<_> = (0..1000).map(|number| plugin(&id(number), "1.0.0", number)).collect();
    registry.record(&records).unwrap();
    let marks: Vec<_> =
        records.iter().map(|record| Mark::new(record.key(), Status::Active)).collect();
    assert_eq!(registry.mark(&marks).unwrap(), 1000);
    let registry = home.again(registry);
    let active = registry.query(&all().kind("renderer").status(Status::Active)).unwrap();
    assert_eq!(active.len(), 1000);
    assert_eq!(active[999].id.as_str(), id(999));
}

fn threads_do_not_lose_each_others_changes(home: Home) {
    let registry = home.open();
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let registry = &registry;
            scope.spawn(move || {
                for number in 0..20 {
                    registry.record(&[plugin(name, &format!("1.0.{number}"), number)]).unwrap();
                    registry.append(&[event(name, EventKind::Loaded, number as i64)]).unwrap();
                }
            });
        }
    });
    let registry = home.again(registry);
    assert_eq!(registry.query(&all()).unwrap().len(), 80);
    let events = registry.history(&HistoryQuery::new().of("c".parse().unwrap())).unwrap();
    assert!(events.iter().map(|event| event.time).is_sorted_by(|a, b| a > b));
    assert_eq!(events.len(), 20);
}
