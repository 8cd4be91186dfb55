//! `+`, `-`, `*`, `/`, `%`: the engine's, behind a question for room.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use jaq_core::ops::Math;
use jaq_json::{Map, Num, Rc, Val};

use super::order::compare;
use super::{Fault, Json, LONGEST_INTEGER, Outcome};
use crate::meter::{check, room_for};

/// Bytes of an element of an array and of a member of an object, with what the
/// tree around them needs.
const ELEMENT: usize = size_of::<Val>();
const MEMBER: usize = 96;

impl Add for Json {
    type Output = Outcome;

    fn add(self, other: Self) -> Outcome {
        check();
        match (&self.val, &other.val) {
            (Val::Null, _) => return Ok(other),
            (_, Val::Null) => return Ok(self),
            (Val::Num(left), Val::Num(right)) => {
                short_enough(bits(left).max(bits(right)).saturating_add(1))?;
            }
            (Val::TStr(left), Val::TStr(right)) => room_for(left.len() + right.len()),
            (Val::Arr(left), Val::Arr(right)) => room_for((left.len() + right.len()) * ELEMENT),
            (Val::Obj(left), Val::Obj(right)) => room_for((left.len() + right.len()) * MEMBER),
            _ => return Err(Fault::math(self, Math::Add, other)),
        }
        let depth = self.depth().max(other.depth());
        done(self.val + other.val, depth)
    }
}

impl Sub for Json {
    type Output = Outcome;

    fn sub(self, other: Self) -> Outcome {
        check();
        match (&self.val, &other.val) {
            (Val::Num(left), Val::Num(right)) => {
                short_enough(bits(left).max(bits(right)).saturating_add(1))?;
                done(self.val - other.val, 0)
            }
            (Val::Arr(left), Val::Arr(right)) => {
                let mut unwanted: Vec<_> = right.iter().collect();
                unwanted.sort_by(|l, r| compare(l, r));
                let wanted =
                    |child: &&Val| unwanted.binary_search_by(|it| compare(it, child)).is_err();
                let rest: Vec<_> = left.iter().filter(wanted).cloned().collect();
                Ok(Json::bounded(Val::Arr(rest.into()), self.depth()))
            }
            _ => Err(Fault::math(self, Math::Sub, other)),
        }
    }
}

impl Mul for Json {
    type Output = Outcome;

    fn mul(self, other: Self) -> Outcome {
        check();
        match (&self.val, &other.val) {
            (Val::Num(left), Val::Num(right)) => {
                short_enough(bits(left).saturating_add(bits(right)))?;
            }
            (Val::TStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text)) => {
                let times = match times {
                    Num::Int(times) => usize::try_from(*times).unwrap_or(0),
                    Num::BigInt(_) if is_positive(times) => usize::MAX,
                    Num::BigInt(_) => 0,
                    Num::Float(_) | Num::Dec(_) => return Err(Fault::math(self, Math::Mul, other)),
                };
                room_for(text.len().saturating_mul(times));
            }
            (Val::Obj(left), Val::Obj(right)) => {
                let merged = merge(left.clone(), right);
                return Ok(Json::bounded(Val::Obj(merged), self.depth().max(other.depth())));
            }
            _ => return Err(Fault::math(self, Math::Mul, other)),
        }
        done(self.val * other.val, 0)
    }
}

impl Div for Json {
    type Output = Outcome;

    fn div(self, other: Self) -> Outcome {
        check();
        match (&self.val, &other.val) {
            (Val::Num(_), Val::Num(_)) => done(self.val / other.val, 0),
            (Val::TStr(text), Val::TStr(separator)) => {
                // Each part is a value with a handle on the text.
                let parts = text.len() / separator.len().max(1) + 1;
                room_for(parts.saturating_mul(ELEMENT + 40));
                done(self.val / other.val, 1)
            }
            _ => Err(Fault::math(self, Math::Div, other)),
        }
    }
}

impl Rem for Json {
    type Output = Outcome;

    fn rem(self, other: Self) -> Outcome {
        check();
        match (&self.val, &other.val) {
            (Val::Num(_), Val::Num(Num::Int(0))) if jaq_std::ValT::is_int(&self.val) => {
                Err(Fault::math(self, Math::Rem, other))
            }
            (Val::Num(_), Val::Num(_)) => done(self.val % other.val, 0),
            _ => Err(Fault::math(self, Math::Rem, other)),
        }
    }
}

impl Neg for Json {
    type Output = Outcome;

    fn neg(self) -> Outcome {
        match &self.val {
            Val::Num(_) => done(-self.val, 0),
            _ => Err(Fault::typ(self, "number")),
        }
    }
}

/// `left` with `right` over it, in all levels. What is shared with other values
/// is copied, so there is a look at the meter for each object.
fn merge(mut left: Rc<Map>, right: &Map) -> Rc<Map> {
    room_for((left.len() + right.len()) * MEMBER);
    let members = Rc::make_mut(&mut left);
    for (key, new) in right {
        let merged = match (members.get_mut(key), new) {
            (Some(Val::Obj(old)), Val::Obj(new)) => Val::Obj(merge(std::mem::take(old), new)),
            _ => new.clone(),
        };
        members.insert(key.clone(), merged);
    }
    left
}

fn is_positive(number: &Num) -> bool {
    *number > Num::Int(0)
}

fn bits(number: &Num) -> u64 {
    match number {
        Num::BigInt(integer) => integer.bits(),
        _ => 64,
    }
}

fn short_enough(bits: u64) -> Result<(), Fault> {
    if bits <= LONGEST_INTEGER {
        return Ok(());
    }
    Err(Fault::str(format_args!("an integer of more than {LONGEST_INTEGER} bits")))
}

/// What the engine gave. It has no error for the operands that were let through.
fn done(outcome: jaq_json::ValR, depth: u32) -> Outcome {
    match outcome {
        Ok(val) => Ok(Json::bounded(val, depth)),
        Err(_) => Err(Fault::str("the operation is not defined for these values")),
    }
}
