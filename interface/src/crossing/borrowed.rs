//! What is lent for the time of a call.

use abi_stable::std_types::{RSlice, RStr, RString, RVec};

use super::{Argument, Crossing, Lend, Types};
use crate::Error;

// SAFETY: a type of abi_stable's, whose layout the loader has compared with the
// library's root, of which it is a part.
unsafe impl<'a> Argument for RStr<'a> {
    type Abi = RStr<'a>;
    type Owned = RString;

    #[inline(always)]
    fn into_abi(self) -> Result<RStr<'a>, Error> {
        Ok(self)
    }

    #[inline(always)]
    fn from_abi(abi: RStr<'a>) -> Result<Self, Error> {
        Ok(abi)
    }

    fn describe(_types: &mut Types) -> String {
        "str".to_owned()
    }
}

impl<'a> Lend<'a> for RStr<'a> {
    fn lend(owned: &'a RString) -> Self {
        owned.as_rstr()
    }
}

// SAFETY: as above.
unsafe impl<'a> Argument for &'a str {
    type Abi = RStr<'a>;
    type Owned = String;

    #[inline(always)]
    fn into_abi(self) -> Result<RStr<'a>, Error> {
        Ok(self.into())
    }

    #[inline(always)]
    fn from_abi(abi: RStr<'a>) -> Result<Self, Error> {
        Ok(abi.as_str())
    }

    fn describe(_types: &mut Types) -> String {
        "str".to_owned()
    }
}

impl<'a> Lend<'a> for &'a str {
    fn lend(owned: &'a String) -> Self {
        owned
    }
}

/// Elements can be lent only as they are. The macro asks as well, with a better place.
#[doc(hidden)]
#[track_caller]
pub const fn assert_lent<T: Crossing>() {
    assert!(
        T::SAME,
        "only slices of what crosses as itself can be lent: numbers, and `#[shared]` structs of \
         them; give the others by value, as a `Vec`"
    );
}

// SAFETY: as above; that the elements are the same was asserted where it is used.
unsafe impl<'a, T: Crossing + Sync> Argument for RSlice<'a, T> {
    type Abi = RSlice<'a, T>;
    type Owned = RVec<T>;

    #[inline(always)]
    fn into_abi(self) -> Result<RSlice<'a, T>, Error> {
        const { assert_lent::<T>() };
        Ok(self)
    }

    #[inline(always)]
    fn from_abi(abi: RSlice<'a, T>) -> Result<Self, Error> {
        const { assert_lent::<T>() };
        Ok(abi)
    }

    fn describe(types: &mut Types) -> String {
        format!("[{}]", T::describe(types))
    }
}

impl<'a, T: Crossing + Sync> Lend<'a> for RSlice<'a, T> {
    fn lend(owned: &'a RVec<T>) -> Self {
        owned.as_rslice()
    }
}

// SAFETY: as above.
unsafe impl<'a, T: Crossing + Sync> Argument for &'a [T] {
    type Abi = RSlice<'a, T>;
    type Owned = Vec<T>;

    #[inline(always)]
    fn into_abi(self) -> Result<RSlice<'a, T>, Error> {
        const { assert_lent::<T>() };
        Ok(self.into())
    }

    #[inline(always)]
    fn from_abi(abi: RSlice<'a, T>) -> Result<Self, Error> {
        const { assert_lent::<T>() };
        Ok(abi.as_slice())
    }

    fn describe(types: &mut Types) -> String {
        format!("[{}]", T::describe(types))
    }
}

impl<'a, T: Crossing + Sync> Lend<'a> for &'a [T] {
    fn lend(owned: &'a Vec<T>) -> Self {
        owned
    }
}
