//! Schemas that hold for a value through themselves, or through too many others: a
//! validator would take without end, or more stack than there is.

use super::graph::Part;

/// How many schemas in a row may hold for one value, each through the one before.
const TALLEST: u64 = 64;
/// How many schemas may hold for one value, those through others counted each time.
const WIDEST: u64 = 1_000;

/// That no schema holds for a value through itself, and that not too many do.
pub(super) fn look(parts: &[Part]) -> Result<(), String> {
    #[derive(Clone, Copy)]
    enum State {
        New,
        Open,
        Done { height: u64, count: u64 },
    }
    let mut states = vec![State::New; parts.len()];
    for start in 0..parts.len() {
        // Each with how many of its neighbours were looked at.
        let mut path = vec![(start, 0_usize)];
        while let Some((id, next)) = path.last_mut() {
            let id = *id;
            let Some(part) = parts.get(id) else { break };
            if *next == 0 && matches!(states.get(id), Some(State::Done { .. })) {
                path.pop();
                continue;
            }
            let neighbours = || part.refers.iter().chain(&part.all_of).chain(&part.perhaps);
            if let Some(neighbour) = neighbours().nth(*next).copied() {
                *next += 1;
                if let Some(state) = states.get_mut(id) {
                    *state = State::Open;
                }
                match states.get(neighbour) {
                    Some(State::Open) => {
                        return Err(format!(
                            "{} holds for a value only if it holds for that value",
                            written_place(&part.pointer)
                        ));
                    }
                    Some(State::New) => path.push((neighbour, 0)),
                    _ => {}
                }
                continue;
            }
            let (mut height, mut count) = (0, 1_u64);
            for neighbour in neighbours() {
                if let Some(State::Done { height: high, count: many }) = states.get(*neighbour) {
                    height = height.max(*high);
                    count = count.saturating_add(*many);
                }
            }
            height += 1;
            if height > TALLEST || count > WIDEST {
                return Err(format!(
                    "more than {TALLEST} schemas in a row, or {WIDEST} in all, hold for a \
                     value at {}",
                    written_place(&part.pointer)
                ));
            }
            if let Some(state) = states.get_mut(id) {
                *state = State::Done { height, count };
            }
            path.pop();
        }
    }
    Ok(())
}

/// A place of the joined document as an author knows it.
fn written_place(pointer: &str) -> String {
    let rest = pointer.strip_prefix("/$defs/source").unwrap_or(pointer);
    match rest.strip_prefix('.') {
        Some(base) => match base.split_once('/') {
            Some((id, place)) => format!("`/{place}` of `{id}`"),
            None => format!("the top of `{base}`"),
        },
        None if rest.is_empty() => "its top".into(),
        None => format!("`{rest}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use crate::schema::graph::Graph;

    #[test]
    fn circles_that_end_deeper_are_taken_and_others_are_not() {
        for good in [
            json!({"properties": {"next": {"$ref": "#"}}}),
            json!({"items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}),
            json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {}}}),
        ] {
            assert!(Graph::new(good.clone(), &[]).is_ok(), "{good}");
        }
        for bad in [
            json!({"$ref": "#"}),
            json!({"anyOf": [{"$ref": "#"}]}),
            json!({"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"if": {"$ref": "#"}}}}),
            json!({"items": {"$ref": "#/items"}}),
            json!({"dependentSchemas": {"a": {"$ref": "#"}}}),
        ] {
            let why = Graph::new(bad.clone(), &[]).unwrap_err();
            assert!(why.contains("only if it holds"), "{bad}: {why}");
        }
    }

    #[test]
    fn schemas_that_double_themselves_are_too_many() {
        let doubled = |times: usize| {
            let mut definitions = Map::new();
            for at in 0..times {
                let next = json!({"$ref": format!("#/$defs/a{}", at + 1)});
                definitions.insert(format!("a{at}"), json!({"allOf": [next, next]}));
            }
            definitions.insert(format!("a{times}"), json!({}));
            Graph::new(json!({"$ref": "#/$defs/a0", "$defs": definitions}), &[])
        };
        assert!(doubled(7).is_ok());
        assert!(doubled(12).unwrap_err().contains("in all"));
        assert!(doubled(1_000).unwrap_err().contains("in a row"));
    }
}
