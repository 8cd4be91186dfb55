//! Whatever is done, all registries answer alike. The durable ones are now and then
//! closed and opened once more.

#![cfg(feature = "sqlite")]

mod support;

use jiff::Timestamp;
use plugbay_registry::{
    Attempt, AttemptId, Begin, Doing, Ending, Event, EventKind, Health, HeldBack, HistoryQuery,
    HostProcess, Limits, Mark, MemoryRegistry, Offered, PluginRecord, Query, Reason, RecordKey,
    Registry, Selector, Status, Verdict, Wish,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use support::{Backend, Home, hash};

/// Something that a host does.
#[derive(Debug, Clone)]
enum Action {
    Record(Vec<PluginRecord>),
    Mark(Vec<Mark>),
    Forget(Vec<RecordKey>),
    Query(Query),
    Wish(String, Option<Wish>),
    Append(Vec<Event>),
    History(HistoryQuery),
    /// With which key, and by which of the processes.
    Begin(RecordKey, usize),
    /// The one that was begun so long ago.
    End(usize, bool),
    Crashes(u64),
    HoldBack(HeldBack),
    Release(Selector),
    Reopen,
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["table", "Table", "tables", "render", "ÄÖ", "äö", "x_y", "%", ""]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => "[a-c \\x00-\\x20]{0,4}",
    ]
}

fn ids() -> impl Strategy<Value = String> {
    select(vec!["a", "table-2"]).prop_map(str::to_owned)
}

fn versions() -> impl Strategy<Value = String> {
    select(vec!["1.10.0", "1.9.0", "2.0.0-rc.1", "1.9.0+b1"]).prop_map(str::to_owned)
}

fn keys() -> impl Strategy<Value = RecordKey> {
    (ids(), versions(), 0..2_u64)
        .prop_map(|(id, version, number)| support::key(&id, &version, number))
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0..5_i64, select(vec![0, 1, 999_999_999, 500_000_000]))
        .prop_map(|(second, nanosecond)| Timestamp::new(second * 100_000_000, nanosecond).unwrap())
}

fn statuses() -> impl Strategy<Value = Status> {
    select(vec!["active", "refused", "gone", "of a later version"])
        .prop_map(|word| word.to_owned().into())
}

fn reasons() -> impl Strategy<Value = Reason> {
    (any::<bool>(), words()).prop_map(|(coded, text)| match coded {
        true => Reason::of_error("PB0206", text),
        false => Reason::new(text),
    })
}

fn contracts() -> impl Strategy<Value = (String, String)> {
    (select(vec!["a.b", "a.c"]), select(vec!["1.0", "1.2", "2.0"]))
        .prop_map(|(id, version)| (id.to_owned(), version.to_owned()))
}

fn records() -> impl Strategy<Value = PluginRecord> {
    let tags = || vec(words(), 0..3);
    (
        (keys(), words(), words(), tags(), tags(), vec(contracts(), 0..3)),
        (statuses(), option::of(reasons()), any::<bool>(), 0..3_u64, times(), times()),
        (words(), vec(any::<u8>(), 0..6)),
    )
        .prop_map(|((key, name, description, kinds, capabilities, contracts), rest, odd)| {
            use std::os::unix::ffi::OsStringExt;
            let path = std::ffi::OsString::from_vec(odd.1).into();
            let mut record = PluginRecord::new(key.id, key.version, key.hash, path);
            (record.name, record.description) = (name, description);
            (record.kinds, record.capabilities) = (kinds, capabilities);
            let offered = contracts.into_iter();
            record.contracts = offered
                .map(|(id, version)| Offered::new(id.parse().unwrap(), version.parse().unwrap()))
                .collect();
            let attributes = [(odd.0, "it".to_owned())].into();
            record.sub_types = [("kind".to_owned(), attributes)].into();
            (record.status, record.reason) = (rest.0, rest.1);
            record.verdict = if rest.2 { Verdict::Survived } else { Verdict::Unknown };
            record.health = match rest.3 {
                0 => Health::default(),
                count => Health::troubled(count, "trouble"),
            };
            (record.created, record.updated) = (rest.4, rest.5);
            record
        })
}

fn marks() -> impl Strategy<Value = Mark> {
    (keys(), statuses(), option::of(reasons()), any::<bool>(), times()).prop_map(
        |(key, status, reason, more, at)| {
            let mut mark = Mark::new(key, status);
            mark.reason = reason;
            mark.verdict = more.then_some(Verdict::Quarantined);
            mark.health = more.then(|| Health::troubled(9, "more"));
            mark.at = at;
            mark
        },
    )
}

fn queries() -> impl Strategy<Value = Query> {
    let range = select(vec!["*", "^1", ">=1.10, <3", ">=2.0.0-alpha", "=1.9.0"]);
    (
        option::weighted(0.15, ids()),
        option::weighted(0.1, words()),
        option::weighted(0.15, range),
        option::weighted(0.1, 0..3_u64),
        option::weighted(0.15, vec(words(), 1..3)),
        option::weighted(0.15, vec(words(), 1..3)),
        (
            option::weighted(0.3, vec(contracts(), 1..3)),
            option::weighted(0.2, vec(statuses(), 1..3)),
        ),
        option::weighted(0.3, vec(words(), 0..3)),
        option::weighted(0.3, 0..4_usize),
    )
        .prop_map(
            |(
                id,
                attribute,
                range,
                number,
                kinds,
                capabilities,
                (contracts, statuses),
                text,
                limit,
            )| {
                let mut query = Query::new();
                query.id = id.map(|id| id.parse().unwrap());
                query.versions = range.map(|range| range.parse().unwrap());
                query.hash = number.map(hash);
                query.sub_types = attribute
                    .map(|attribute| ["kind".into(), attribute, "it".into()])
                    .into_iter()
                    .collect();
                // Mostly little, so that something is found.
                query.kinds = kinds.unwrap_or_default();
                query.capabilities = capabilities.unwrap_or_default();
                let wanted = contracts.unwrap_or_default().into_iter();
                query.contracts = wanted
                    .map(|(id, version)| (id.parse().unwrap(), version.parse().unwrap()))
                    .collect();
                query.statuses = statuses.unwrap_or_default();
                query.text = text.map(|words| words.join(" "));
                query.limit = limit;
                query
            },
        )
}

fn events() -> impl Strategy<Value = Event> {
    let kind = select(vec!["loaded", "crashed", "of a later version"]);
    (ids(), option::of(versions()), kind, words(), times()).prop_map(
        |(id, version, kind, text, time)| {
            let version = version.map(|version| version.parse().unwrap());
            let kind = EventKind::from(kind.to_owned());
            let mut event = Event::new(id.parse().unwrap(), version, kind, text);
            event.time = time;
            event
        },
    )
}

fn pasts() -> impl Strategy<Value = HistoryQuery> {
    let kind = select(vec!["loaded", "crashed"]).prop_map(|kind| EventKind::from(kind.to_owned()));
    (option::of(ids()), vec(kind, 0..2), option::of(times()), option::of(0..5_usize)).prop_map(
        |(plugin, kinds, since, limit)| {
            let mut query = HistoryQuery::new();
            query.plugin = plugin.map(|id| id.parse().unwrap());
            (query.kinds, query.since, query.limit) = (kinds, since, limit);
            query
        },
    )
}

fn wishes() -> impl Strategy<Value = Wish> {
    (option::of(select(vec!["^1", "*"])), any::<bool>(), times()).prop_map(|(range, on, since)| {
        let range = range.map(|range| range.parse().unwrap());
        let mut wish = if on { Wish::enabled(range) } else { Wish::disabled() };
        wish.since = since;
        wish
    })
}

fn held() -> impl Strategy<Value = HeldBack> {
    (keys(), reasons(), times()).prop_map(|(key, reason, since)| {
        let mut held = HeldBack::new(key, reason);
        held.since = since;
        held
    })
}

fn selectors() -> impl Strategy<Value = Selector> {
    prop_oneof![
        Just(Selector::All),
        (0..3_u64).prop_map(|number| Selector::Hash(hash(number))),
        ids().prop_map(|id| Selector::Plugin(id.parse().unwrap())),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => vec(records(), 0..4).prop_map(Action::Record),
        2 => vec(marks(), 0..3).prop_map(Action::Mark),
        1 => vec(keys(), 0..3).prop_map(Action::Forget),
        4 => queries().prop_map(Action::Query),
        2 => (ids(), option::of(wishes())).prop_map(|(id, wish)| Action::Wish(id, wish)),
        2 => vec(events(), 0..4).prop_map(Action::Append),
        2 => pasts().prop_map(Action::History),
        4 => (keys(), 0..3_usize).prop_map(|(key, process)| Action::Begin(key, process)),
        3 => (0..4_usize, any::<bool>()).prop_map(|(ago, crashed)| Action::End(ago, crashed)),
        2 => (0..3_u64).prop_map(Action::Crashes),
        2 => held().prop_map(Action::HoldBack),
        1 => selectors().prop_map(Action::Release),
        1 => Just(Action::Reopen),
    ]
}

/// All that can be seen.
#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Count(usize),
    Records(Vec<PluginRecord>),
    Events(Vec<Event>),
    Attempt(AttemptId),
    WasOpen(bool),
    Attempts(Vec<Attempt>),
    HeldBack(Vec<HeldBack>),
}

fn act(
    registry: &dyn Registry,
    action: &Action,
    processes: &[HostProcess; 3],
    begun: &[AttemptId],
) -> Answer {
    match action {
        Action::Record(records) => registry.record(records).map(|()| Answer::Nothing),
        Action::Mark(marks) => registry.mark(marks).map(Answer::Count),
        Action::Forget(keys) => registry.forget(keys).map(Answer::Count),
        Action::Query(query) => registry.query(query).map(Answer::Records),
        Action::Wish(id, wish) => {
            registry.set_wish(&id.parse().unwrap(), wish.clone()).map(|()| Answer::Nothing)
        }
        Action::Append(events) => registry.append(events).map(|()| Answer::Nothing),
        Action::History(query) => registry.history(query).map(Answer::Events),
        Action::Begin(key, process) => {
            let mut begin = Begin::new(key.clone(), Doing::Calling, processes[*process].clone());
            begin.since = Timestamp::UNIX_EPOCH;
            registry.begin_attempt(&begin).map(Answer::Attempt)
        }
        Action::End(ago, crashed) => {
            let Some(id) = begun.iter().rev().nth(*ago) else { return Answer::Nothing };
            let ending = if *crashed { Ending::Crashed } else { Ending::Harmless };
            registry.end_attempt(*id, ending).map(Answer::WasOpen)
        }
        Action::Crashes(number) => registry.crashes(&hash(*number)).map(Answer::Attempts),
        Action::HoldBack(held) => registry.hold_back(held).map(|()| Answer::Nothing),
        Action::Release(selector) => registry.release(selector).map(Answer::HeldBack),
        Action::Reopen => Ok(Answer::Nothing),
    }
    .unwrap()
}

fn all_of(registry: &dyn Registry) -> impl PartialEq + std::fmt::Debug {
    (
        all_but_open_of(registry),
        registry.open_attempts().unwrap(),
        registry.open_attempts_of_dead().unwrap(),
    )
}

fn all_but_open_of(registry: &dyn Registry) -> impl PartialEq + std::fmt::Debug {
    let crashes = registry.all_crashes().unwrap().into_iter().map(|it| it.begun);
    (
        registry.query(&Query::new()).unwrap(),
        registry.wishes().unwrap(),
        registry.history(&HistoryQuery::new()).unwrap(),
        registry.held_back().unwrap(),
        crashes.collect::<Vec<_>>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_registries_answer_alike(actions in vec(actions(), 1..60)) {
        let alive = HostProcess::current().unwrap();
        let dead = HostProcess { started: alive.started + 1, ..alive.clone() };
        let of_before = HostProcess { boot: "another boot".into(), ..alive.clone() };
        let processes = [alive, dead, of_before];
        let limits = Limits::default().history(6).crashes(3);
        let homes = Backend::ALL.map(|backend| Home { limits: limits.clone(), ..Home::of_short_life(backend) });
        let mut registries = homes.each_ref().map(Home::open);
        let mut begun = Vec::new();
        for action in &actions {
            if matches!(action, Action::Reopen) {
                let mut homes = homes.iter();
                registries = registries.map(|registry| homes.next().unwrap().again(registry));
            }
            let [model, others @ ..] = &registries;
            let expected = act(&**model, action, &processes, &begun);
            for (registry, home) in others.iter().zip(&homes[1..]) {
                let answer = act(&**registry, action, &processes, &begun);
                prop_assert_eq!(&answer, &expected, "{:?} {:?}", home.backend, action);
            }
            if let Answer::Attempt(id) = expected {
                begun.push(id);
            }
        }
        let mut homes = homes.iter();
        let [model, others @ ..] =
            registries.map(|registry| homes.next().unwrap().again(registry));
        for registry in others {
            prop_assert_eq!(all_of(&*registry), all_of(&*model));
            let copy = MemoryRegistry::copy_of(&*registry).unwrap();
            prop_assert_eq!(all_but_open_of(&copy), all_but_open_of(&*model));
        }
    }
}
