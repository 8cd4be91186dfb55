//! Several hosts with one registry, and hosts that are killed.

#![cfg(feature = "sqlite")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Stdio};

use plugbay_registry::{
    Ending, Event, EventKind, HistoryQuery, HostProcess, Limits, Query, Registry, Wish,
};
use support::child::{acknowledge, acknowledged, child, orders};
use support::{Backend, Home, begin, hash, open_at, plugin};

/// How often a host is killed, for each backend.
const KILLS: usize = 24;

fn spawn(home: &Home, test: &str, name: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = child(test, home.backend, &home.file(), name);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Does numbered things for ever, and says of each when it is kept.
#[test]
#[ignore = "run as a child"]
fn works_until_it_is_killed() {
    let Some(orders) = orders() else { return };
    let (registry, aside) = open_at(orders.backend, orders.file, Limits::default()).unwrap();
    assert_eq!(aside, []);
    let own = HostProcess::current().unwrap();
    for number in 0.. {
        let text = format!("{}-{number}", orders.name);
        let plugin_id = text.parse().unwrap();
        match number % 4 {
            0 => registry.record(&[plugin(&text, "1.0.0", number)]).unwrap(),
            1 => registry.set_wish(&plugin_id, Some(Wish::disabled())).unwrap(),
            2 => {
                let event = Event::new(plugin_id, None, EventKind::Loaded, "x".repeat(3000));
                registry.append(&[event]).unwrap();
            }
            _ => {
                let id = registry.begin_attempt(&begin(&text, number, &own)).unwrap();
                if number % 8 == 3 {
                    registry.end_attempt(id, Ending::Crashed).unwrap();
                }
            }
        }
        acknowledge(number);
    }
}

/// What there is of the numbered things.
fn there(registry: &dyn Registry) -> BTreeSet<String> {
    let plugins = registry.query(&Query::new()).unwrap();
    let wishes = registry.wishes().unwrap();
    let events = registry.history(&HistoryQuery::new()).unwrap();
    let attempts = registry.open_attempts().unwrap();
    let open = attempts.iter().map(|attempt| &attempt.begun.plugin);
    let ids = plugins.iter().map(|record| &record.id).chain(wishes.keys());
    let ids = ids.chain(events.iter().map(|event| &event.plugin)).chain(open);
    let mut there: BTreeSet<_> = ids.map(ToString::to_string).collect();
    for number in (3..4000).step_by(8) {
        let crashes = registry.crashes(&hash(number)).unwrap();
        there.extend(crashes.iter().map(|attempt| attempt.begun.plugin.to_string()));
    }
    there
}

fn what_a_killed_host_acknowledged_is_there(backend: Backend) {
    let home = Home::of(backend);
    let mut expected = BTreeSet::new();
    for kill in 0..KILLS {
        let name = format!("k{kill}");
        let (mut host, mut out) = spawn(&home, "works_until_it_is_killed", &name);
        // After a number of acknowledgements that differs each time, wherever it is then.
        let mut wanted = 1 + kill * 7 % 40;
        let mut line = String::new();
        while out.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = acknowledged(line.trim()) {
                expected.insert(format!("{name}-{number}"));
                wanted -= 1;
            }
            if wanted == 0 {
                break;
            }
            line.clear();
        }
        host.kill().unwrap();
        assert_eq!(host.wait().unwrap().signal(), Some(9));
        // What it said before it was gone counts as well.
        for line in out.lines() {
            let line = line.unwrap();
            expected.extend(acknowledged(&line).map(|number| format!("{name}-{number}")));
        }
        let there = there(&*home.open());
        let missing: Vec<_> = expected.difference(&there).collect();
        assert!(missing.is_empty(), "{backend:?}, kill {kill}: {missing:?} of {}", expected.len());
    }
    assert!(expected.len() > KILLS * 10, "{}", expected.len());
    let left = home.files().into_iter().filter(|name| name.contains("unfinished")).count();
    assert_eq!(left, 0);
}

#[test]
fn what_a_killed_host_acknowledged_is_in_the_file() {
    what_a_killed_host_acknowledged_is_there(Backend::File);
}

#[test]
fn what_a_killed_host_acknowledged_is_in_the_database() {
    what_a_killed_host_acknowledged_is_there(Backend::Sqlite);
}

/// Does so many numbered things.
#[test]
#[ignore = "run as a child"]
fn works_for_a_while() {
    let Some(orders) = orders() else { return };
    let (registry, aside) = open_at(orders.backend, orders.file, Limits::default()).unwrap();
    assert_eq!(aside, []);
    let own = HostProcess::current().unwrap();
    for number in 0..40 {
        let id = format!("{}-{number}", orders.name);
        registry.record(&[plugin(&id, "1.0.0", number)]).unwrap();
        let event = Event::new(id.parse().unwrap(), None, EventKind::Loaded, "");
        registry.append(&[event]).unwrap();
        let attempt = registry.begin_attempt(&begin(&id, number, &own)).unwrap();
        acknowledge(attempt);
        assert!(registry.end_attempt(attempt, Ending::Harmless).unwrap());
    }
}

#[test]
fn hosts_do_not_lose_each_others_changes() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let hosts: Vec<_> =
            ["a", "b", "c"].map(|name| spawn(&home, "works_for_a_while", name)).into();
        let mut attempts = Vec::new();
        for (mut host, out) in hosts {
            let lines = out.lines().map(Result::unwrap);
            attempts.extend(lines.filter_map(|line| acknowledged(&line).map(str::to_owned)));
            assert!(host.wait().unwrap().success());
        }
        let registry = home.open();
        assert_eq!(registry.query(&Query::new()).unwrap().len(), 120, "{backend:?}");
        assert_eq!(registry.history(&HistoryQuery::new()).unwrap().len(), 120);
        assert_eq!(registry.open_attempts().unwrap(), []);
        // All had different numbers.
        assert_eq!(attempts.iter().collect::<BTreeSet<_>>().len(), 120);
    }
}

/// Takes its host down.
#[test]
#[ignore = "run as a child"]
fn crashes_while_it_activates() {
    let Some(orders) = orders() else { return };
    let (registry, _) = open_at(orders.backend, orders.file, Limits::default()).unwrap();
    registry.begin_attempt(&begin("bad", 1, &HostProcess::current().unwrap())).unwrap();
    std::process::abort();
}

#[test]
fn the_next_host_knows_which_plugin_took_the_last_one_down() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        for crashes in 1..=3 {
            let (mut host, out) = spawn(&home, "crashes_while_it_activates", "");
            out.lines().for_each(drop);
            assert_eq!(host.wait().unwrap().signal(), Some(6));
            let registry = home.open();
            let dead = registry.open_attempts_of_dead().unwrap();
            let [attempt] = dead.as_slice() else { panic!("{dead:?}") };
            assert_eq!(
                (attempt.begun.plugin.as_str(), attempt.begun.process.pid),
                ("bad", host.id())
            );
            assert!(registry.end_attempt(attempt.id, Ending::Crashed).unwrap());
            assert_eq!(registry.crashes(&hash(1)).unwrap().len(), crashes);
        }
    }
}
