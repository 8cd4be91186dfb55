//! What the engine asks of a value: reading and changing its parts.

use std::ops::Range;

use jaq_core::path::Opt;
use jaq_core::{Exn, ValT, ValX};
use jaq_json::{Map, Rc, Val};

use super::{Fault, Json, Outcome, text};
use crate::meter::{check, room_for};

type Children = Box<dyn Iterator<Item = Outcome>>;
type Members = Box<dyn Iterator<Item = Result<(Json, Json), Fault>>>;

const ITERABLE: &str = "iterable (array or object)";
const SLICEABLE: &str = "rangeable (array or string)";
/// The most characters of a number in JSON text or in a filter.
const LONGEST_NUMBER: usize = 20_000;

impl ValT for Json {
    fn from_num(number: &str) -> Outcome {
        if number.len() > LONGEST_NUMBER {
            let message = format_args!("a number has at most {LONGEST_NUMBER} characters");
            return Err(Fault::str(message));
        }
        match Val::from_num(number) {
            Ok(val) => Ok(Json::leaf(val)),
            Err(_) => Err(Fault::str(format_args!("`{number}` is no number"))),
        }
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(members: I) -> Outcome {
        let (mut object, mut depth) = (Map::default(), 0);
        for (key, value) in members {
            check();
            depth = depth.max(value.depth());
            object.insert(checked_key(key)?.val, value.val);
        }
        Ok(Json::around(Val::obj(object), depth))
    }

    fn key_values(self) -> Members {
        let keys: Box<dyn Iterator<Item = Json>> = match &self.val {
            Val::Arr(array) => Box::new((0..array.len()).map(Json::from)),
            Val::Obj(object) => {
                let object = object.clone();
                Box::new((0..object.len()).filter_map(move |at| {
                    object.get_index(at).map(|(key, _)| Json::leaf(key.clone()))
                }))
            }
            _ => return Box::new(std::iter::once(Err(Fault::typ(self, ITERABLE)))),
        };
        match self.children() {
            Ok(children) => Box::new(keys.zip(children).map(Ok)),
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        }
    }

    fn values(self) -> Children {
        match self.children() {
            Ok(children) => Box::new(children.map(Ok)),
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        }
    }

    fn index(self, index: &Self) -> Outcome {
        Ok(self.part(index)?.unwrap_or_else(|| Json::leaf(Val::Null)))
    }

    fn range(self, range: Range<Option<&Self>>) -> Outcome {
        check();
        match &self.val {
            Val::Null => return Ok(self),
            Val::Arr(_) | Val::TStr(_) => {}
            _ => return Err(Fault::typ(self, SLICEABLE)),
        }
        let range = bounds(range)?;
        if let Val::Arr(array) = &self.val {
            room_for(array.len() * size_of::<Val>());
        }
        let depth = self.depth();
        match self.val.range(range.start.as_ref()..range.end.as_ref()) {
            Ok(val) => Ok(Json::bounded(val, depth)),
            Err(_) => Err(Fault::str("this slice does not exist")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match &self.val {
            Val::Arr(_) => {
                let children = self.children()?.flat_map(change);
                children.collect::<Result<Json, Exn<'a, Self>>>()
            }
            Val::Obj(object) => {
                let keys = object.clone();
                let (mut changed, mut depth) = (Map::default(), 0);
                for (key, child) in keys.keys().zip(self.children()?) {
                    if let Some(child) = change(child).next().transpose()? {
                        depth = depth.max(child.depth());
                        changed.insert(key.clone(), child.val);
                    }
                }
                Ok(Json::around(Val::obj(changed), depth))
            }
            _ => opt.fail(self, |value| Exn::from(Fault::typ(value, ITERABLE))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        check();
        match (&self.val, &index.val) {
            (Val::TStr(_) | Val::Arr(_), Val::Obj(slice)) => {
                let bound = |name: &str| slice.get(&Val::utf8_str(name.to_owned())).cloned();
                let (start, end) = (bound("start").map(Json::leaf), bound("end").map(Json::leaf));
                self.map_range(start.as_ref()..end.as_ref(), opt, change)
            }
            (Val::Obj(_), Val::TStr(_)) => change_member(self, index, change),
            (Val::Arr(_), Val::Num(_)) => change_element(self, index, opt, change),
            // As in jq, null takes the form that the index asks for.
            (Val::Null, Val::TStr(_)) => {
                change_member(Json::around(Val::obj(Map::default()), 0), index, change)
            }
            (Val::Null, Val::Num(_)) => {
                change_element(Json::around(Val::Arr(Rc::default()), 0), index, opt, change)
            }
            _ => {
                let fault = Fault::index(self.clone(), index.clone());
                opt.fail(self, |_| Exn::from(fault))
            }
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<Option<&Self>>,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        check();
        if !matches!(self.val, Val::Arr(_) | Val::TStr(_)) {
            return opt.fail(self, |value| Exn::from(Fault::typ(value, SLICEABLE)));
        }
        // Three pieces put together again: before, changed, behind.
        let (start, end) = (range.start, range.end);
        let cut = |from: Option<&Json>, to: Option<&Json>| self.clone().range(from..to);
        let zero = Json::from(0_usize);
        let pieces = || {
            let middle = cut(start, end)?;
            let is_set =
                |bound: &Option<&Json>| bound.is_some_and(|it| !matches!(it.val, Val::Null));
            let before = cut(Some(&zero), if is_set(&start) { start } else { Some(&zero) })?;
            // Where the end stands before the start, nothing is between them.
            let behind_from = length(&before) + length(&middle);
            let behind = cut(Some(&Json::from(behind_from)), None)?;
            Ok::<_, Fault>((before, middle, behind))
        };
        let (before, middle, behind) = match pieces() {
            Ok(pieces) => pieces,
            Err(fault) => return opt.fail(self, |_| Exn::from(fault)),
        };
        let Some(changed) = change(middle).next().transpose()? else {
            return Ok((before + behind)?);
        };
        let fits = matches!(
            (&self.val, &changed.val),
            (Val::Arr(_), Val::Arr(_)) | (Val::TStr(_), Val::TStr(_))
        );
        if !fits {
            let kind = if matches!(self.val, Val::Arr(_)) { "array" } else { "string" };
            return Err(Exn::from(Fault::typ(changed, kind)));
        }
        Ok(((before + changed)? + behind)?)
    }

    fn as_bool(&self) -> bool {
        !matches!(self.val, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self.val {
            Val::TStr(_) => self,
            _ => text(&self.val).into(),
        }
    }
}

impl From<Range<Option<Json>>> for Json {
    fn from(range: Range<Option<Json>>) -> Self {
        let (mut object, mut depth) = (Map::default(), 0);
        for (name, bound) in [("start", range.start), ("end", range.end)] {
            if let Some(bound) = bound {
                depth = depth.max(bound.depth());
                object.insert(Val::utf8_str(name.to_owned()), bound.val);
            }
        }
        Json::around(Val::obj(object), depth)
    }
}

impl Json {
    /// The part at `index`: a member, an element, a slice, or the positions of an
    /// array in an array. `None` where there is none.
    pub fn part(self, index: &Self) -> Result<Option<Self>, Fault> {
        check();
        match (&self.val, &index.val) {
            (Val::Null, _) => Ok(None),
            (Val::Obj(object), Val::TStr(_)) => {
                Ok(object.get(&index.val).map(|child| self.child(child.clone())))
            }
            (Val::Arr(array), Val::Num(_)) => {
                let element = position(index, array.len())?.and_then(|at| array.get(at));
                Ok(element.map(|child| self.child(child.clone())))
            }
            (Val::Arr(_), Val::Arr(_)) => Ok(Some(self.indices(index)?)),
            (Val::Arr(_) | Val::TStr(_), Val::Obj(slice)) => {
                let bound = |name: &str| slice.get(&Val::utf8_str(name.to_owned())).cloned();
                let (start, end) = (bound("start").map(Json::leaf), bound("end").map(Json::leaf));
                self.range(start.as_ref()..end.as_ref()).map(Some)
            }
            _ => Err(Fault::index(self, index.clone())),
        }
    }
}

/// Changes a member in place where nobody else has the object; the old value is
/// taken out meanwhile, so that the same holds for what is in it.
fn change_member<'a, I: Iterator<Item = ValX<'a, Json>>>(
    mut object: Json,
    key: &Json,
    change: impl Fn(Json) -> I,
) -> ValX<'a, Json> {
    let mut depth = object.depth();
    let Val::Obj(members) = &mut object.val else { return Ok(object) };
    room_to_own(members, members.len() * size_of::<(Val, Val)>());
    let members = Rc::make_mut(members);
    let old = members.get_mut(&key.val).map(std::mem::take).unwrap_or_default();
    match change(Json::part_of(depth, old)).next().transpose()? {
        Some(new) => {
            depth = depth.max(new.depth().saturating_add(1));
            members.insert(key.val.clone(), new.val);
        }
        None => drop(members.shift_remove(&key.val)),
    }
    Ok(Json::bounded(object.val, depth))
}

/// The same for an element. As in jq, an array grows to hold a new last one.
fn change_element<'a, I: Iterator<Item = ValX<'a, Json>>>(
    mut array: Json,
    index: &Json,
    opt: Opt,
    change: impl Fn(Json) -> I,
) -> ValX<'a, Json> {
    let mut depth = array.depth();
    let Val::Arr(elements) = &mut array.val else { return Ok(array) };
    let at = match position(index, elements.len()) {
        Ok(Some(at)) => at,
        Ok(None) => {
            let message = format_args!("index {index} out of bounds").to_string();
            return opt.fail(array, |_| Exn::from(Fault::str(message)));
        }
        Err(fault) => return opt.fail(array, |_| Exn::from(fault)),
    };
    room_to_own(elements, elements.len() * size_of::<Val>());
    let elements = Rc::make_mut(elements);
    let old = elements.get_mut(at).map(std::mem::take).unwrap_or_default();
    match change(Json::part_of(depth, old)).next().transpose()? {
        Some(new) => {
            depth = depth.max(new.depth().saturating_add(1));
            if at >= elements.len() {
                room_for(at.saturating_mul(size_of::<Val>()));
                elements.resize(at, Val::Null);
                elements.push(new.val);
            } else if let Some(slot) = elements.get_mut(at) {
                *slot = new.val;
            }
        }
        None if at < elements.len() => drop(elements.remove(at)),
        None => {}
    }
    Ok(Json::bounded(array.val, depth))
}

/// Asks for room where `Rc::make_mut` is going to copy.
fn room_to_own<T>(shared: &Rc<T>, bytes: usize) {
    if Rc::strong_count(shared) > 1 {
        room_for(bytes);
    }
}

fn checked_key(key: Json) -> Outcome {
    match key.val {
        Val::TStr(_) => Ok(key),
        _ => Err(Fault::typ(key, "object key, which is a string")),
    }
}

/// Where an index points to, which may be behind the end; negative ones count
/// from the end, and there is nothing before the start.
fn position(index: &Json, length: usize) -> Result<Option<usize>, Fault> {
    if !jaq_std::ValT::is_int(index) {
        return Err(Fault::typ(index.clone(), "integer"));
    }
    // An integer that does not fit is beyond both ends.
    let Some(index) = jaq_std::ValT::as_isize(index) else { return Ok(None) };
    Ok(match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(index.unsigned_abs()),
    })
}

/// Bounds of a slice as the engine takes them: integers or nothing.
fn bounds(range: Range<Option<&Json>>) -> Result<Range<Option<Val>>, Fault> {
    let bound = |bound: Option<&Json>| match bound {
        Some(bound) if matches!(bound.val, Val::Null) => Ok(None),
        Some(bound) if jaq_std::ValT::is_int(bound) => Ok(Some(bound.val.clone())),
        Some(bound) => Err(Fault::typ(bound.clone(), "integer")),
        None => Ok(None),
    };
    Ok(bound(range.start)?..bound(range.end)?)
}

fn length(json: &Json) -> usize {
    match &json.val {
        Val::Arr(array) => array.len(),
        Val::TStr(text) => text.utf8_chunks().map(characters).sum(),
        _ => 0,
    }
}

fn characters(chunk: std::str::Utf8Chunk<'_>) -> usize {
    chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty())
}
