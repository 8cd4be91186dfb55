//! One configuration over another.

use serde_json::{Map, Value};

/// Lays `near` over `far`: tables key by key, also inside of each other; anything else as a
/// whole.
///
/// What says where a secret is, `{ env = "NAME" }` or `{ file = "path" }`, is one value, so
/// that of two places one remains. Documents are at most 64 deep, and so is this.
pub(crate) fn lay_over(far: &mut Map<String, Value>, near: &Map<String, Value>) {
    for (key, value) in near {
        match (far.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above))
                if !is_source(below) && !is_source(above) =>
            {
                lay_over(below, above);
            }
            _ => drop(far.insert(key.clone(), value.clone())),
        }
    }
}

/// Whether a table says where a secret is.
pub(crate) fn is_source(table: &Map<String, Value>) -> bool {
    let mut entries = table.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => matches!(key.as_str(), "env" | "file") && value.is_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_laid_over_each_other_and_the_place_of_a_secret_is_one_value() {
        let far = json!({
            "pool": { "size": 5, "wait": 3 }, "hosts": ["a", "b"], "password": { "env": "A" },
            "mode": "fast",
        });
        let near = json!({
            "pool": { "size": 10 }, "hosts": ["c"], "password": { "file": "x" }, "mode": { "a": 1 },
        });
        let (Value::Object(mut far), Value::Object(near)) = (far, near) else { panic!() };
        lay_over(&mut far, &near);
        let expected = json!({
            "pool": { "size": 10, "wait": 3 }, "hosts": ["c"], "password": { "file": "x" },
            "mode": { "a": 1 },
        });
        assert_eq!(Value::Object(far), expected);
    }
}
