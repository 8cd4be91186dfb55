//! Memory that crosses without a copy.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use abi_stable::StableAbi;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::borrowed::assert_lent;
use super::{Crossing, Shape, Types};
use crate::Error;
use crate::guard::quietly;
use crate::kept::Keep;

/// Numbers, or `#[shared]` structs of them, that cross to the other side without a copy,
/// however many there are: a file's bytes, an image, an embedding.
///
/// It derefs to a slice, cannot be changed, and is cheap to clone. The memory stays that
/// of the library which made it. So as long as another one has any clone of it, a retired
/// generation of that library stays mapped, and the host says so (`Pin::Buffers`); what is to be kept for long is better copied, with `to_vec`.
pub struct Buffer<T = u8> {
    raw: BufferAbi<T>,
}

/// A [`Buffer`] as it crosses.
// Frozen: other libraries read it.
#[doc(hidden)]
#[repr(C)]
#[derive(StableAbi)]
pub struct BufferAbi<T> {
    /// The first of `length` values; not null, and aligned.
    start: *const T,
    length: usize,
    /// What the two functions take; of the library that `keep` keeps, as they are.
    owner: *const (),
    /// One more that will call `release`. From any thread, as is the other one.
    share: unsafe extern "C" fn(owner: *const ()),
    /// Frees the memory, if this was the last one.
    release: unsafe extern "C" fn(owner: *const ()),
    /// Dropped last. Nothing as long as it has not left its library, or has come home.
    keep: Keep,
}

impl<T> BufferAbi<T> {
    fn received(mut self) -> Self {
        let keep = mem::replace(&mut self.keep, Keep::nothing());
        self.keep = keep.unless_own().unwrap_or_else(Keep::nothing);
        self
    }
}

impl<T: Crossing + Sync> Buffer<T> {
    /// What `owner` has, which is dropped when the last clone is: a mapped file, an
    /// array of another library. `Vec` is one that has its own way here, `From`.
    pub fn from_owner<O>(owner: O) -> Self
    where
        O: AsRef<[T]> + Send + Sync + 'static,
    {
        const { assert_lent::<T>() };
        // Its slice is asked for where it stays.
        let owner = Arc::new(owner);
        let values: *const [T] = (*owner).as_ref();
        let raw = BufferAbi {
            start: values.cast(),
            length: values.len(),
            owner: Arc::into_raw(owner).cast(),
            share: share::<O>,
            release: release::<O>,
            keep: Keep::nothing(),
        };
        Self { raw }
    }
}

unsafe extern "C" fn share<O>(owner: *const ()) {
    // SAFETY: what `from_owner` made of an `O`, and somebody has a count of it.
    unsafe { Arc::increment_strong_count(owner.cast::<O>()) };
}

unsafe extern "C" fn release<O>(owner: *const ()) {
    // SAFETY: what `from_owner` made of an `O`; the count is given up.
    let owner = unsafe { Arc::from_raw(owner.cast::<O>()) };
    quietly("the destructor of a buffer's owner", || drop(owner));
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the values of the owner, which is there until `release`; of a type
        // that is described equally on both sides.
        unsafe { slice::from_raw_parts(self.raw.start, self.raw.length) }
    }
}

impl<T> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let BufferAbi { start, length, owner, share, release, ref keep } = self.raw;
        let keep = keep.clone();
        // SAFETY: this one has a count of it.
        unsafe { share(owner) };
        Self { raw: BufferAbi { start, length, owner, share, release, keep } }
    }
}

impl<T> Drop for BufferAbi<T> {
    fn drop(&mut self) {
        // SAFETY: this one's count, which nobody uses any more. The library is there
        // until `keep` is dropped, which is next.
        unsafe { (self.release)(self.owner) };
    }
}

// SAFETY: it reads values that are `Sync`, of an owner that is `Send` and `Sync`.
unsafe impl<T: Sync> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T: Crossing + Sync> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self::from_owner(values)
    }
}

impl<T: Crossing + Sync> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Crossing + Sync> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Buffer<T> {}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    /// The first values, as there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        let mut list = f.debug_list();
        list.entries(self.iter().take(SHOWN));
        if self.len() > SHOWN { list.finish_non_exhaustive() } else { list.finish() }
    }
}

impl<T: Serialize> Serialize for Buffer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Crossing + Sync> Deserialize<'de> for Buffer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

// SAFETY: `repr(C)`; what it owns is freed through its functions, while the library
// that they are of is kept.
unsafe impl<T: Crossing + Sync> Crossing for Buffer<T> {
    type Abi = BufferAbi<T>;
    // `Abi` cannot be cloned or shared.
    const SAME: bool = false;

    #[inline]
    fn into_abi(mut self) -> Result<Self::Abi, Error> {
        if self.raw.keep.is_nothing() {
            self.raw.keep = Keep::buffer();
        }
        Ok(self.raw)
    }

    #[inline]
    fn from_abi(raw: Self::Abi) -> Result<Self, Error> {
        const { assert_lent::<T>() };
        Ok(Self { raw: raw.received() })
    }

    fn describe(types: &mut Types) -> String {
        let of = T::describe(types);
        types.add::<Self::Abi>(&format!("Buffer<{of}>"), |_| Shape::List { of })
    }
}
