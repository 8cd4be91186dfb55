//! The functions that are written in Rust: the engine's, with those replaced that
//! know only its own value type, cannot be bounded, or look out of the plugin.

use std::cmp::Ordering;

use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, DataT, Exn, Lut, Native, ValXs, data::HasLut};
use jaq_json::{Num, Val};
use plugbay_interface::serde_json;

use crate::json::{Fault, Json, Outcome, text};
use crate::meter::{check, room_for};

/// The engine's functions that are left out. `env` would show the host's
/// environment to whoever may run a filter.
const LEFT_OUT: &[&str] = &["env"];

/// Bytes that a value needs while a regular expression finds it: match, name,
/// offset and text.
const MATCH: usize = 128;
/// The least bytes of JSON text and of its value, in proportion: `[]` becomes an
/// array, `0,` a number.
const READ: usize = 24;

/// The kind of data that filters here work on.
pub struct Steps;

impl DataT for Steps {
    type V<'a> = Json;
    type Data<'a> = Table<'a>;
}

/// The table of terms. The engine asks it before every step, which makes it the
/// place to look at the meter.
#[derive(Clone)]
pub struct Table<'a>(pub &'a Lut<Steps>);

impl<'a> HasLut<'a, Steps> for Table<'a> {
    fn lut(&self) -> &'a Lut<Steps> {
        check();
        self.0
    }
}

/// Definitions in jq that stand before the filter.
pub const DEFINITIONS: &str = r"
    def matches(re; flags): bounded_for(flags) | matches_(re; flags);
    def split_matches(re; flags): bounded_for(flags) | split_matches_(re; flags);
    def split_(re; flags): bounded_for(flags) | split__(re; flags);
";

/// All functions.
pub fn functions() -> impl Iterator<Item = Fun<Steps>> {
    let renamed = |(name, arguments, function): Fun<Steps>| {
        let name = match name {
            "matches" => "matches_",
            "split_matches" => "split_matches_",
            "split_" => "split__",
            name => name,
        };
        (name, arguments, function)
    };
    jaq_core::funs()
        .chain(jaq_std::funs())
        .filter(|(name, ..)| !LEFT_OUT.contains(name))
        .map(renamed)
        .chain(own())
}

fn own() -> impl Iterator<Item = Fun<Steps>> {
    type Run = for<'a> fn(Cv<'a, Steps>) -> ValXs<'a, Json>;
    let functions: [(_, _, Run); 8] = [
        ("fromjson", v(0), |(_, input)| from_json(&input)),
        ("tojson", v(0), |(_, input)| bome(Ok(text(&input.val).into()))),
        ("length", v(0), |(_, input)| bome(input.length())),
        ("contains", v(1), |cv| unary(cv, |l, r| Ok(contains(&l.val, &r.val).into()))),
        ("has", v(1), |cv| unary(cv, |value, key| Ok(value.part(&key)?.is_some().into()))),
        ("indices", v(1), |cv| unary(cv, |value, wanted| value.indices(&wanted))),
        ("bsearch", v(1), |cv| unary(cv, |array, wanted| array.search(&wanted))),
        ("bounded_for", v(1), |cv| unary(cv, bounded_for)),
    ];
    functions.into_iter().map(run::<Steps>).map(|it: (_, _, Native<Steps>)| it)
}

/// JSON texts one behind the other, as jq reads them.
fn from_json<'a>(input: &Json) -> ValXs<'a, Json> {
    let bytes = match jaq_std::ValT::try_as_utf8_bytes(input) {
        Ok(bytes) => bytes,
        Err(fault) => return bome(Err(fault)),
    };
    room_for(bytes.len().saturating_mul(READ));
    // Not lazily: the values would borrow from a text that nobody holds.
    let mut outcomes = Vec::new();
    for outcome in serde_json::Deserializer::from_slice(bytes).into_iter::<Json>() {
        let outcome = outcome.map_err(|error| {
            Exn::from(Fault::str(format_args!("cannot parse {input} as JSON: {error}")))
        });
        let failed = outcome.is_err();
        outcomes.push(outcome);
        if failed {
            break;
        }
    }
    Box::new(outcomes.into_iter())
}

/// A match at every place is possible, and all are found before one is looked at.
fn bounded_for(input: Json, flags: Json) -> Outcome {
    let is_global = jaq_std::ValT::as_bytes(&flags).is_some_and(|flags| flags.contains(&b'g'));
    if is_global && let Some(text) = jaq_std::ValT::as_bytes(&input) {
        room_for(text.len().saturating_mul(MATCH));
    }
    Ok(input)
}

impl Json {
    fn length(self) -> Outcome {
        match &self.val {
            Val::Null => Ok(0_usize.into()),
            Val::Num(Num::Int(integer)) if *integer == isize::MIN => -self,
            Val::Num(number) if *number < Num::Int(0) => -self,
            Val::Num(_) => Ok(self),
            Val::TStr(text) => Ok(characters(text).into()),
            Val::BStr(bytes) => Ok(bytes.len().into()),
            Val::Arr(array) => Ok(array.len().into()),
            Val::Obj(object) => Ok(object.len().into()),
            Val::Bool(_) => Err(Fault::str(format_args!("{self} has no length"))),
        }
    }

    /// Where `wanted` is found: a string in a string, in characters; a run of
    /// elements or one element in an array.
    pub fn indices(self, wanted: &Self) -> Outcome {
        match (&self.val, &wanted.val) {
            (Val::Null, _) => Ok(Json::leaf(Val::Null)),
            (Val::TStr(_), Val::TStr(part)) if part.is_empty() => Ok(std::iter::empty().collect()),
            (Val::TStr(text), Val::TStr(part)) => {
                let mut character = 0_usize;
                let positions = (0..text.len()).filter_map(|at| {
                    check();
                    let rest = text.get(at..)?;
                    // A byte that goes on with a character begins none.
                    if rest.first().is_some_and(|byte| byte & 0xc0 == 0x80) {
                        return None;
                    }
                    character += 1;
                    rest.starts_with(part).then(|| Json::from(character - 1))
                });
                Ok(positions.collect())
            }
            (Val::Arr(_), Val::Arr(run)) if run.is_empty() => Ok(std::iter::empty().collect()),
            (Val::Arr(array), Val::Arr(run)) => {
                let windows = array.windows(run.len()).enumerate();
                let same = |window: &[Val]| window.iter().zip(run.iter()).all(|(l, r)| same(l, r));
                Ok(windows.filter(|(_, it)| same(it)).map(|(at, _)| Json::from(at)).collect())
            }
            (Val::Arr(array), _) => {
                let elements = array.iter().enumerate();
                let found = elements.filter(|(_, it)| same(it, &wanted.val));
                Ok(found.map(|(at, _)| Json::from(at)).collect())
            }
            _ => Err(Fault::index(self, wanted.clone())),
        }
    }

    /// The position of `wanted` in a sorted array; where it is not, -1 less the
    /// position at which it would stand.
    fn search(self, wanted: &Self) -> Outcome {
        let Val::Arr(array) = &self.val else { return Err(Fault::typ(self, "array")) };
        let wanted = Json::leaf(wanted.val.clone());
        let found = array.binary_search_by(|it| Json::leaf(it.clone()).cmp(&wanted));
        Ok(match found {
            Ok(at) => at.into(),
            Err(at) => isize::try_from(at).map_or(-1, |at| -1 - at).into(),
        })
    }
}

/// Whether `left` has all that is in `right`, in all levels; strings by parts.
fn contains(left: &Val, right: &Val) -> bool {
    check();
    match (left, right) {
        (Val::TStr(left), Val::TStr(right)) => {
            right.is_empty() || left.windows(right.len()).any(|window| window == **right)
        }
        (Val::Arr(left), Val::Arr(right)) => {
            right.iter().all(|r| left.iter().any(|l| contains(l, r)))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            right.iter().all(|(key, r)| left.get(key).is_some_and(|l| contains(l, r)))
        }
        _ => same(left, right),
    }
}

fn same(left: &Val, right: &Val) -> bool {
    matches!(Json::leaf(left.clone()).cmp(&Json::leaf(right.clone())), Ordering::Equal)
}

fn characters(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty()))
        .sum()
}
