//! The values that filters work on: the engine's own [`Val`], wrapped so that
//! every operation is bounded.
//!
//! What is different from the engine's: operations look at the meter, nesting has
//! a limit, keys of objects are strings, and there are no byte strings.

mod engine;
mod operators;
mod order;
mod read;
mod standard;
mod write;

use std::collections::HashMap;
use std::fmt;

use jaq_json::{Rc, Val};

use crate::meter::{Stop, check, stop};

pub use write::{Unwritable, text, to_value};

/// The most arrays and objects in each other. The engine drops, compares and
/// clones by recursion, which no look at a meter can end.
const DEEPEST: u32 = 1_024;

/// The most bits of an integer: larger ones take longer to multiply than there is
/// time between two looks at the clock.
const LONGEST_INTEGER: u64 = 65_536;

/// A JSON value.
#[derive(Clone, Debug)]
pub struct Json {
    pub val: Val,
    /// At least the number of arrays and objects in each other; 0 for the rest.
    ///
    /// An upper bound, because it is not known how much of it a child has: it
    /// gets its parent's less one. It is measured when it goes beyond the limit.
    depth: u32,
}

pub type Fault = jaq_core::Error<Json>;
pub type Outcome = Result<Json, Fault>;

impl Json {
    /// A value that is neither an array nor an object.
    pub fn leaf(val: Val) -> Self {
        Self { val, depth: 0 }
    }

    /// An array or object whose children have at most `depth`.
    pub fn around(val: Val, depth: u32) -> Self {
        Self::bounded(val, depth.saturating_add(1))
    }

    /// An array or object that has at most `depth` itself.
    pub fn bounded(val: Val, depth: u32) -> Self {
        check();
        if depth <= DEEPEST {
            return Self { val, depth };
        }
        let depth = measure(&val, &mut HashMap::new());
        if depth > DEEPEST {
            stop(Stop::Nesting);
        }
        Self { val, depth }
    }

    /// A child of this value.
    pub fn child(&self, val: Val) -> Self {
        Self::part_of(self.depth, val)
    }

    /// A child of a value that has at most `depth`.
    pub fn part_of(depth: u32, val: Val) -> Self {
        let depth = match &val {
            Val::Arr(_) | Val::Obj(_) => depth.saturating_sub(1).max(1),
            _ => 0,
        };
        Self { val, depth }
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The children of an array or object in their order; an error for the rest.
    pub fn children(self) -> Result<impl Iterator<Item = Self> + 'static, Fault> {
        let length = match &self.val {
            Val::Arr(array) => array.len(),
            Val::Obj(object) => object.len(),
            _ => return Err(Fault::typ(self, "iterable (array or object)")),
        };
        Ok((0..length).filter_map(move |at| {
            check();
            let child = match &self.val {
                Val::Arr(array) => array.get(at).cloned(),
                Val::Obj(object) => object.get_index(at).map(|(_, value)| value.clone()),
                _ => None,
            };
            child.map(|child| self.child(child))
        }))
    }
}

/// How deep a value is, whose parts are at most one deeper than the limit. Each
/// part is measured once, however often it occurs.
fn measure(val: &Val, known: &mut HashMap<usize, u32>) -> u32 {
    check();
    let address = match val {
        Val::Arr(array) => Rc::as_ptr(array).addr(),
        Val::Obj(object) => Rc::as_ptr(object).addr(),
        _ => return 0,
    };
    if let Some(depth) = known.get(&address) {
        return *depth;
    }
    let deepest = match val {
        Val::Arr(array) => array.iter().map(|child| measure(child, known)).max(),
        Val::Obj(object) => object.values().map(|child| measure(child, known)).max(),
        _ => None,
    };
    let depth = deepest.unwrap_or(0).saturating_add(1);
    known.insert(address, depth);
    depth
}

/// For messages: the beginning of the JSON text.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write::beginning(&self.val))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(children: Vec<Json>) -> Json {
        children.into_iter().collect()
    }

    #[test]
    fn a_bound_that_is_too_high_is_measured() {
        // A leaf that is always taken out of something deep and wrapped again:
        // the bound grows, the value does not.
        let deep = (0..1_000).fold(array(vec![]), |inner, _| array(vec![inner]));
        let mut pair = array(vec![deep.clone(), array(vec![])]);
        for _ in 0..5_000 {
            let children: Vec<_> = pair.children().unwrap().collect();
            let [first, second] = children.try_into().unwrap();
            assert!(second.depth() <= DEEPEST);
            let wrapped = array(vec![second]).children().unwrap().next().unwrap();
            pair = array(vec![first, wrapped]);
        }
        assert_eq!(measure(&deep.val, &mut HashMap::new()), 1_001);
    }
}
