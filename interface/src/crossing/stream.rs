//! Results that come one after the other.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};

use abi_stable::StableAbi;
use abi_stable::std_types::ROption;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, SerializeSeq, Serializer};

use super::{Crossing, Shape, Types};
use crate::Error;
use crate::guard::{light, quietly};
use crate::kept::Keep;
use crate::service::outcome::{Answer, receive};

/// What a method gives one after the other, when the caller asks for it: the batches of
/// a query, the lines of a log. An iterator of `Result<T, Error>`, which may be another
/// library's.
///
/// It has all that it needs with it, and goes on when its plugin is reloaded or ends:
/// its library stays mapped until it is dropped, and the host says so
/// (`Pin::Buffers`). After an error, and after a panic, which comes out as an error, it
/// has ended. `next` runs on the calling thread, and may block as the plugin says.
pub struct Stream<T: Crossing> {
    /// None when it has ended. A cell, as serializing it takes it.
    raw: Cell<Option<StreamAbi<T>>>,
}

/// A [`Stream`] as it crosses.
// Frozen: other libraries read it.
#[doc(hidden)]
#[repr(C)]
#[derive(StableAbi)]
#[sabi(unsafe_unconstrained(T))]
pub struct StreamAbi<T: Crossing> {
    /// The functions' own; of the library that `keep` keeps, as they are.
    state: *mut (),
    /// Writes an `Answer<Option<T>>` to the place.
    next: unsafe extern "C" fn(state: *mut (), place: *mut ()),
    drop: unsafe extern "C" fn(state: *mut ()),
    /// Dropped last. Nothing as long as it has not left its library, or has come home.
    keep: Keep,
    #[sabi(unsafe_opaque_field)] // it has no size
    gives: Gives<T>,
}

/// By a name, as StableAbi's derive takes no Rust function for a field.
type Gives<T> = PhantomData<fn() -> T>;

// SAFETY: the iterator in it is `Send`, which `Stream::new` wants, and so is what it
// gives; a shared one has nothing to call.
unsafe impl<T: Crossing> Send for StreamAbi<T> {}

impl<T: Crossing> Stream<T> {
    /// What an iterator gives. It runs on the callers' threads, one after the other,
    /// also when the plugin has ended: what it needs of the plugin it shares with it,
    /// by an `Arc`.
    pub fn new<I>(items: I) -> Self
    where
        I: IntoIterator<Item = Result<T, Error>>,
        I::IntoIter: Send + 'static,
    {
        let items = Box::new(Some(items.into_iter()));
        let raw = StreamAbi {
            state: Box::into_raw(items).cast(),
            next: next::<T, I::IntoIter>,
            drop: end::<I::IntoIter>,
            keep: Keep::nothing(),
            gives: PhantomData,
        };
        Self { raw: Cell::new(Some(raw)) }
    }
}

impl<T: Crossing> Iterator for Stream<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.raw.get_mut().as_ref()?;
        let mut answer = MaybeUninit::<Answer<Option<T>>>::uninit();
        // SAFETY: the function that belongs to this state, which only the drop ends, and
        // which writes to the place.
        let answer = unsafe {
            (raw.next)(raw.state, (&raw mut answer).cast());
            answer.assume_init()
        };
        let item = receive(answer).and_then(Option::<T>::from_abi).transpose();
        if !matches!(item, Some(Ok(_))) {
            self.raw.set(None);
        }
        item
    }
}

/// # Safety
///
/// `state` is what `new` made of an `I`, and nobody else uses it now; `place` is one
/// for an `Answer<Option<T>>`.
unsafe extern "C" fn next<T, I>(state: *mut (), place: *mut ())
where
    T: Crossing,
    I: Iterator<Item = Result<T, Error>>,
{
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *state.cast::<Option<I>>() };
    let answer: Answer<Option<T>> = light(|| {
        let item = match state.as_mut().and_then(Iterator::next) {
            Some(item) => ROption::RSome(item?.into_abi()?),
            None => ROption::RNone,
        };
        Ok(item)
    });
    if !matches!(answer, abi_stable::std_types::RResult::ROk(ROption::RSome(_))) {
        // What it held goes now, and not when its caller gets to it.
        quietly("the destructor of a stream", || drop(state.take()));
    }
    // SAFETY: the caller's promise.
    unsafe { place.cast::<Answer<Option<T>>>().write(answer) };
}

/// # Safety
///
/// `state` is what `new` made of an `I`; nobody uses it afterwards.
unsafe extern "C" fn end<I>(state: *mut ()) {
    // SAFETY: the caller's promise.
    let state = unsafe { Box::from_raw(state.cast::<Option<I>>()) };
    quietly("the destructor of a stream", || drop(state));
}

impl<T: Crossing> Drop for StreamAbi<T> {
    fn drop(&mut self) {
        // SAFETY: this one's state, which nobody uses any more. The library is there
        // until `keep` is dropped, which is next.
        unsafe { (self.drop)(self.state) };
    }
}

impl<T: Crossing> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl<T: Crossing> Serialize for Stream<T> {
    /// Reads it to its end: it is empty afterwards. Fails at the first error in it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for item in (Self { raw: Cell::new(self.raw.take()) }) {
            list.serialize_element(&item.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

impl<'de, T: Crossing> Deserialize<'de> for Stream<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|items| Self::new(items.into_iter().map(Ok)))
    }
}

// SAFETY: `repr(C)`; what it owns is called and freed through its functions, while the
// library that they are of is kept.
unsafe impl<T: Crossing> Crossing for Stream<T> {
    type Abi = StreamAbi<T>;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        match self.raw.take() {
            Some(mut raw) => {
                if raw.keep.is_nothing() {
                    raw.keep = Keep::buffer();
                }
                Ok(raw)
            }
            // One that has ended crosses as one that ends at once.
            None => Self::new(std::iter::empty()).into_abi(),
        }
    }

    fn from_abi(mut raw: Self::Abi) -> Result<Self, Error> {
        let keep = mem::replace(&mut raw.keep, Keep::nothing());
        raw.keep = keep.unless_own().unwrap_or_else(Keep::nothing);
        Ok(Self { raw: Cell::new(Some(raw)) })
    }

    fn describe(types: &mut Types) -> String {
        // What stands at the place that `next` writes to.
        let of = Option::<T>::describe(types);
        types.add::<Self::Abi>(&format!("Stream<{of}>"), |_| Shape::List { of })
    }
}
