use std::time::{Duration, Instant};

use plugbay_interface::prelude::*;

use crate::store::{Entry, Store};

/// All entries, as they go from one generation to the next.
///
/// Times are what is left, not when: an `Instant` means nothing outside of the
/// process that made it. The time that the handoff itself takes is not counted.
#[data]
pub struct State {
    entries: Vec<Saved>,
}

#[data]
struct Saved {
    key: String,
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_nanoseconds: Option<u64>,
}

impl State {
    /// What `store` holds at `now`.
    pub fn of(store: &Store, now: Instant) -> Self {
        let saved = store.entries().map(|(key, entry)| Saved {
            key: key.to_string(),
            value: Value::clone(&entry.value),
            ttl_nanoseconds: entry.expires.map(|expires| {
                // 584 years fit; what was already over goes on being over.
                let left = expires.saturating_duration_since(now).as_nanos();
                u64::try_from(left).unwrap_or(u64::MAX)
            }),
        });
        Self { entries: saved.collect() }
    }

    /// Puts it into `store`.
    pub fn restore(self, store: &mut Store, now: Instant) {
        for Saved { key, value, ttl_nanoseconds } in self.entries {
            let expires =
                ttl_nanoseconds.and_then(|left| now.checked_add(Duration::from_nanos(left)));
            store.put(key.into(), Entry { value: value.into(), expires });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugbay_interface::serde_json;

    #[test]
    fn entries_and_what_is_left_of_their_time_go_across() {
        let then = Instant::now();
        let mut old = Store::new(10);
        old.set("a".into(), json!({"x": [1, null]}), None).unwrap();
        old.set("b".into(), json!(7), Some(then + Duration::from_secs(10))).unwrap();
        let text = serde_json::to_string(&State::of(&old, then + Duration::from_secs(4))).unwrap();

        let later = then + Duration::from_secs(100);
        let mut new = Store::new(10);
        serde_json::from_str::<State>(&text).unwrap().restore(&mut new, later);
        new.remove_expired(later + Duration::from_millis(5_999));
        assert_eq!(new.get("a").map(|value| value["x"].clone()), Some(json!([1, null])));
        assert_eq!(new.get("b"), Some(&json!(7).into()));
        new.remove_expired(later + Duration::from_secs(6));
        assert_eq!((new.len(), new.get("b")), (1, None));
    }

    #[test]
    fn a_lower_limit_loses_nothing() {
        let now = Instant::now();
        let mut old = Store::new(3);
        for key in ["a", "b", "c"] {
            old.set(key.into(), json!(0), None).unwrap();
        }
        let mut new = Store::new(1);
        State::of(&old, now).restore(&mut new, now);
        assert_eq!(new.len(), 3);
        assert_eq!(new.set("d".into(), json!(0), None).unwrap_err().code(), "full");
    }
}
