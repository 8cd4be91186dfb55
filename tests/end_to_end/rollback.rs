//! Going back to the version before: by hand, and by itself when the new one makes
//! trouble.

use std::fs;
use std::time::Duration;

use plugbay_loader::{Cause, Explain, Happening, Role};
use plugbay_tests::{Turncoat, as_it_is, at_once, build, next, reloaded, turned, with_embedded};
use serde_json::json;

const ID: &str = Turncoat::ID;

fn heir() -> Vec<u8> {
    fs::read(build("plugbay-fixture-heir")).unwrap()
}

#[test]
fn back_by_hand_with_the_state() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    bed.count();
    let told = bed.rollback(ID).unwrap();
    assert_eq!((told.from_generation, told.cause, told.note), (2, Cause::Rollback, None));
    assert_eq!((told.from.to_string(), told.to.to_string()), ("1.1.0".into(), "1.0.0".into()));
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 3));
    // The same bytes are not taken again, other ones are.
    assert_eq!(bed.refused(), "PB0402");
    assert_eq!(bed.rollback(ID).unwrap_err().code(), "PB1107");
    bed.replace("1.1.0", "3 ok ok ok");
    assert_eq!((bed.number().as_str(), bed.count()), ("3", 6));
    // And there is a way back from those.
    bed.rollback(ID).unwrap();
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 7));
}

#[test]
fn back_by_hand_without_state_is_the_generation_that_waits() {
    let library = fs::read(build("plugbay-fixture-turncoat")).unwrap();
    let stateless = with_embedded(&library, |embedded| embedded.manifest.state_version = 0);
    let bed = Turncoat::of(stateless, "1 ok ok ok", as_it_is);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    let told = bed.rollback(ID).unwrap();
    assert_eq!((told.to_generation, bed.number().as_str(), bed.count()), (1, "1", 2));
    assert_eq!(bed.refused(), "PB0402");
}

/// The state of the later version is of no use to the earlier one.
#[test]
fn back_with_the_state_that_it_had_where_the_other_does_not_fit() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    bed.count();
    bed.put_bytes(&turned(&heir(), "2.0.0", "2 ok ok ok"));
    reloaded(bed.reload(ID));
    bed.count();
    let told = bed.rollback(ID).unwrap();
    let note = told.note.unwrap();
    assert!(note.contains("does not read states of version 2"), "{note}");
    assert_eq!((told.to_generation, bed.number().as_str(), bed.count()), (1, "1", 2));
}

#[test]
fn back_after_the_probation_from_disk() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!(bed.mapped(), 1);
    assert_eq!(bed.rollback(ID).unwrap().to_generation, 3);
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 2));
}

#[test]
fn back_after_the_host_was_started_anew() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.replace("1.1.0", "2 ok ok ok");
    let folder = bed.end();
    let (host, _) = folder.start();
    assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("2"));
    host.rollback(ID).unwrap();
    assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("1"));
}

#[test]
fn what_was_rolled_back_stays_so_when_the_host_starts_anew() {
    for probation in [Duration::ZERO, Duration::from_secs(100)] {
        let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(probation));
        bed.replace("1.1.0", "2 ok ok ok");
        bed.rollback(ID).unwrap();
        let folder = bed.end();
        let (host, report) = folder.start();
        assert_eq!(report.refused[0].error.code(), "PB0402");
        assert_eq!(host.call(ID, "number", json!({})).unwrap(), json!("1"));
    }
}

/// What serves after a rollback comes from no file of the folders.
#[test]
fn what_was_rolled_back_stays_so_when_it_is_disabled_and_enabled() {
    let bed = Turncoat::serving("1 ok ok ok", at_once);
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    bed.rollback(ID).unwrap();
    bed.disable(ID).unwrap();
    assert_eq!(bed.enable(ID).unwrap().manifest.version.to_string(), "1.0.0");
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 2));
    bed.unload(ID).unwrap();
    bed.load(ID).unwrap();
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 3));
}

#[test]
fn where_nothing_was_before_there_is_no_way_back() {
    let bed = Turncoat::serving("1 ok ok ok", as_it_is);
    assert_eq!(bed.rollback(ID).unwrap_err().code(), "PB1107");
    assert_eq!(bed.rollback("nobody").unwrap_err().code(), "PB1106");
    assert_eq!(bed.rollback("No Id").unwrap_err().code(), "PB0901");
    assert_eq!(bed.count(), 1);
}

#[test]
fn too_many_panics_in_the_probation_bring_the_one_before_back() {
    back_by_itself("panic");
}

#[test]
fn too_many_troubles_in_the_probation_bring_the_one_before_back() {
    back_by_itself("trouble");
}

fn back_by_itself(command: &str) {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.allowed_troubles(3));
    bed.count();
    bed.replace("1.1.0", "2 ok ok ok");
    let events = bed.events();
    for _ in 0..3 {
        let _ = bed.call(ID, command, json!({}));
    }
    assert_eq!(bed.plugins()[0].generations[0].troubles, 3);
    // So many are allowed: had it wished to go back, that would come before this.
    bed.put("1.1.0", "3 ok error ok");
    bed.refused();
    next(&events, |happening| matches!(happening, Happening::Kept { .. }));
    assert_eq!(bed.number(), "2");
    let _ = bed.call(ID, command, json!({}));
    let event = next(&events, |happening| matches!(happening, Happening::Reloaded(_)));
    let Happening::Reloaded(told) = event.happening else { unreachable!() };
    let Cause::Trouble(why) = told.cause else { panic!("{:?}", told.cause) };
    assert!(why.contains("4 troubles") && why.contains("on request"), "{why}");
    assert_eq!((told.from_generation, told.to.to_string()), (2, "1.0.0".into()));
    assert_eq!((bed.number().as_str(), bed.count()), ("1", 4));
}

#[test]
fn after_the_probation_trouble_has_no_consequences() {
    let probation = Duration::from_millis(50);
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(probation).allowed_troubles(0));
    let events = bed.events();
    bed.replace("1.1.0", "2 ok ok ok");
    next(&events, |happening| matches!(happening, Happening::Retired { generation: 1, .. }));
    let _ = bed.call(ID, "panic", json!({}));
    bed.replace("1.2.0", "3 ok ok ok");
    let told: Vec<_> = bed
        .history()
        .into_iter()
        .filter_map(|event| match event.happening {
            Happening::Reloaded(told) => Some(told.cause),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Cause::Request, Cause::Request]);
}

/// The clock has no such time.
#[test]
fn a_probation_may_be_for_ever() {
    let bed = Turncoat::serving("1 ok ok ok", |host| host.probation(Duration::MAX));
    bed.replace("1.1.0", "2 ok ok ok");
    assert_eq!(bed.in_role(Role::Previous), [1]);
    bed.rollback(ID).unwrap();
    assert_eq!(bed.number(), "1");
}
