use std::cmp::Ordering;

use jaq_json::Val;

use super::Json;
use crate::meter::check;

/// jq's order over all values: null, false, true, numbers, strings, arrays,
/// objects. The engine's own cannot be interrupted, and arrays that contain the
/// same array twice, thirty levels deep, have a thousand million elements.
pub fn compare(left: &Val, right: &Val) -> Ordering {
    check();
    match (left, right) {
        (Val::Bool(left), Val::Bool(right)) => left.cmp(right),
        (Val::Num(left), Val::Num(right)) => left.cmp(right),
        (Val::TStr(left) | Val::BStr(left), Val::TStr(right) | Val::BStr(right)) => left.cmp(right),
        (Val::Arr(left), Val::Arr(right)) => {
            let mut pairs = left.iter().zip(right.iter()).map(|(l, r)| compare(l, r));
            let different = pairs.find(|order| order.is_ne());
            different.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            let mut left: Vec<_> = left.iter().collect();
            let mut right: Vec<_> = right.iter().collect();
            left.sort_by(|(l, _), (r, _)| compare(l, r));
            right.sort_by(|(l, _), (r, _)| compare(l, r));
            let keys = || left.iter().zip(&right).map(|((l, _), (r, _))| compare(l, r));
            let values = || left.iter().zip(&right).map(|((_, l), (_, r))| compare(l, r));
            keys()
                .find(|order| order.is_ne())
                .unwrap_or_else(|| left.len().cmp(&right.len()))
                .then_with(|| values().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Whether two values are equal; NaN is not even equal to itself.
pub fn equal(left: &Val, right: &Val) -> bool {
    check();
    match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(left), Val::Bool(right)) => left == right,
        (Val::Num(left), Val::Num(right)) => left == right,
        (Val::TStr(left) | Val::BStr(left), Val::TStr(right) | Val::BStr(right)) => left == right,
        (Val::Arr(left), Val::Arr(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(l, r)| equal(l, r))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| equal(l, r)))
        }
        _ => false,
    }
}

fn rank(val: &Val) -> u8 {
    match val {
        Val::Null => 0,
        Val::Bool(_) => 1,
        Val::Num(_) => 2,
        Val::BStr(_) | Val::TStr(_) => 3,
        Val::Arr(_) => 4,
        Val::Obj(_) => 5,
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.val, &other.val)
    }
}

impl Eq for Json {}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Json {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.val, &other.val)
    }
}
