//! What is lent for the time of a call.

use abi_stable::std_types::{RSlice, RStr, RString, RVec};
use serde::Serialize;

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
    fn lend(owned: &'a mut Option<RString>) -> Option<Self> {
        owned.as_ref().map(RString::as_rstr)
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
    fn lend(owned: &'a mut Option<String>) -> Option<Self> {
        owned.as_deref()
    }
}

/// Elements can be lent only as they are.
const fn assert_same<T: Crossing>() {
    assert!(
        T::SAME,
        "only slices of what crosses as itself can be lent: numbers, and `#[shared]` structs of \
         them; give the others by value, as a `Vec`"
    );
}

// SAFETY: as above; that the elements are the same was asserted where it is used.
unsafe impl<'a, T: Crossing + Serialize + Sync> Argument for RSlice<'a, T> {
    type Abi = RSlice<'a, T>;
    type Owned = RVec<T>;

    #[inline(always)]
    fn into_abi(self) -> Result<RSlice<'a, T>, Error> {
        const { assert_same::<T>() };
        Ok(self)
    }

    #[inline(always)]
    fn from_abi(abi: RSlice<'a, T>) -> Result<Self, Error> {
        const { assert_same::<T>() };
        Ok(abi)
    }

    fn describe(types: &mut Types) -> String {
        format!("[{}]", T::describe(types))
    }
}

impl<'a, T: Crossing + Sync> Lend<'a> for RSlice<'a, T> {
    fn lend(owned: &'a mut Option<RVec<T>>) -> Option<Self> {
        owned.as_ref().map(|items| items.as_rslice())
    }
}

// SAFETY: as above.
unsafe impl<'a, T: Crossing + Serialize + Sync> Argument for &'a [T] {
    type Abi = RSlice<'a, T>;
    type Owned = Vec<T>;

    #[inline(always)]
    fn into_abi(self) -> Result<RSlice<'a, T>, Error> {
        const { assert_same::<T>() };
        Ok(self.into())
    }

    #[inline(always)]
    fn from_abi(abi: RSlice<'a, T>) -> Result<Self, Error> {
        const { assert_same::<T>() };
        Ok(abi.as_slice())
    }

    fn describe(types: &mut Types) -> String {
        format!("[{}]", T::describe(types))
    }
}

impl<'a, T: Crossing + Sync> Lend<'a> for &'a [T] {
    fn lend(owned: &'a mut Option<Vec<T>>) -> Option<Self> {
        owned.as_deref()
    }
}
