use std::time::Duration;

use super::*;

fn store() -> Store {
    Store::new(3)
}

fn get(store: &Store, key: &str) -> Option<Value> {
    store.get(key).map(|value| Value::clone(value))
}

fn set(store: &mut Store, key: &str, value: Value, expires: Option<Instant>) {
    store.set(key.into(), value, expires).unwrap();
}

#[test]
fn an_entry_goes_when_its_time_has_come_and_leaves_nothing_behind() {
    let now = Instant::now();
    let mut store = store();
    set(&mut store, "soon", json!(1), Some(now + Duration::from_secs(1)));
    set(&mut store, "late", json!(2), Some(now + Duration::from_secs(2)));
    store.remove_expired(now + Duration::from_millis(999));
    assert_eq!(store.len(), 2);
    store.remove_expired(now + Duration::from_secs(1));
    assert_eq!((get(&store, "soon"), get(&store, "late")), (None, Some(json!(2))));
    assert_eq!((store.len(), store.expiring(), store.expired()), (1, 1, 1));
}

#[test]
fn a_new_value_brings_its_own_time() {
    let now = Instant::now();
    let later = now + Duration::from_secs(60);
    let mut store = store();
    set(&mut store, "a", json!(1), Some(now));
    set(&mut store, "a", json!(2), None);
    set(&mut store, "b", json!(1), None);
    set(&mut store, "b", json!(2), Some(later));
    store.remove_expired(now);
    assert_eq!((store.len(), store.expiring()), (2, 1));
    store.remove_expired(later);
    assert_eq!((get(&store, "a"), get(&store, "b")), (Some(json!(2)), None));
}

#[test]
fn expire_sets_changes_and_takes_away_a_time() {
    let now = Instant::now();
    let mut store = store();
    set(&mut store, "a", json!(1), None);
    assert!(store.expire("a", Some(now)));
    assert!(store.expire("a", None));
    assert!(!store.expire("b", Some(now)));
    store.remove_expired(now);
    assert_eq!((store.len(), store.expiring()), (1, 0));
}

#[test]
fn a_deleted_key_does_not_expire_a_later_one_of_the_same_name() {
    let now = Instant::now();
    let mut store = store();
    set(&mut store, "a", json!(1), Some(now));
    assert_eq!(store.delete("a"), Some(json!(1).into()));
    assert_eq!(store.delete("a"), None);
    set(&mut store, "a", json!(2), None);
    store.remove_expired(now);
    assert_eq!((get(&store, "a"), store.expired()), (Some(json!(2)), 0));
}

#[test]
fn a_full_store_changes_keys_and_takes_no_new_ones() {
    let now = Instant::now();
    let mut store = store();
    for key in ["a", "b"] {
        set(&mut store, key, json!(0), None);
    }
    set(&mut store, "c", json!(0), Some(now));
    assert_eq!(store.set("d".into(), json!(0), None).unwrap_err().code(), "full");
    assert_eq!(store.increment("d".into(), 1).unwrap_err().code(), "full");
    set(&mut store, "a", json!(1), None);
    store.remove_expired(now);
    set(&mut store, "d", json!(0), None);
}

#[test]
fn increment_counts_from_nothing_keeps_the_time_and_refuses_what_is_no_integer() {
    let now = Instant::now();
    let mut store = Store::new(10);
    assert_eq!(store.increment("n".into(), 5).unwrap(), 5);
    assert_eq!(store.increment("n".into(), -7).unwrap(), -2);
    store.expire("n", Some(now));
    assert_eq!(store.increment("n".into(), 1).unwrap(), -1);
    assert_eq!(store.expiring(), 1);
    for value in [json!("1"), json!(1.5), json!(null), json!([1]), json!(u64::MAX)] {
        set(&mut store, "x", value.clone(), None);
        let error = store.increment("x".into(), 1).unwrap_err();
        assert_eq!((error.code(), get(&store, "x")), ("not-a-number", Some(value)));
    }
}

#[test]
fn an_overflow_is_an_error_and_changes_nothing() {
    let mut store = store();
    set(&mut store, "n", json!(i64::MAX), None);
    assert_eq!(store.increment("n".into(), 1).unwrap_err().code(), "overflow");
    assert_eq!(get(&store, "n"), Some(json!(i64::MAX)));
    set(&mut store, "m", json!(i64::MIN), None);
    assert_eq!(store.increment("m".into(), -1).unwrap_err().code(), "overflow");
}

#[test]
fn a_prefix_is_listed_page_by_page() {
    let mut store = Store::new(10);
    for key in ["b", "user/1", "user/2", "user/3", "v"] {
        set(&mut store, key, json!(0), None);
    }
    let page = |after, limit| store.list("user/", after, limit);
    assert_eq!(page(None, 2), (vec!["user/1".into(), "user/2".into()], true));
    assert_eq!(page(Some("user/2"), 2), (vec!["user/3".into()], false));
    assert_eq!(page(Some("a"), 9).0.len(), 3);
    assert_eq!(page(Some("z"), 9), (vec![], false));
    assert_eq!(store.list("", None, 5).0.len(), 5);
    assert!(!store.list("", None, 5).1);
    assert_eq!(store.list("", None, 0), (vec![], true));
}
