//! What crosses as itself.

use std::time::Duration;

use serde_json::Value;

use super::{Crossing, Field, Shape, Types};
use crate::Error;
use crate::error::code;

macro_rules! as_itself {
    ($($name:ty),*) => { $(
        // SAFETY: the same type on both sides, with a layout that the platform's
        // C interface fixes (the 128-bit integers: since Rust 1.77), for a target
        // that the manifest compares.
        unsafe impl Crossing for $name {
            type Abi = Self;
            const SAME: bool = true;

            #[inline(always)]
            fn into_abi(self) -> Result<Self, Error> {
                Ok(self)
            }

            #[inline(always)]
            fn from_abi(abi: Self) -> Result<Self, Error> {
                Ok(abi)
            }

            fn describe(_types: &mut Types) -> String {
                stringify!($name).to_owned()
            }
        }
    )* };
}

as_itself!(bool, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, ());

// SAFETY: crosses as a number; which numbers are characters is looked at.
unsafe impl Crossing for char {
    type Abi = u32;
    // Not every `u32` is one.
    const SAME: bool = false;

    #[inline(always)]
    fn into_abi(self) -> Result<u32, Error> {
        Ok(self.into())
    }

    #[inline(always)]
    fn from_abi(abi: u32) -> Result<Self, Error> {
        Self::from_u32(abi)
            .ok_or_else(|| Error::new(code::CROSSING, format!("{abi} is no character's number")))
    }

    fn describe(_types: &mut Types) -> String {
        "char".to_owned()
    }
}

/// A [`Duration`] as it crosses.
#[doc(hidden)]
#[repr(C)]
pub struct DurationAbi {
    seconds: u64,
    nanoseconds: u32,
}

// SAFETY: `repr(C)`, of numbers.
unsafe impl Crossing for Duration {
    type Abi = DurationAbi;
    const SAME: bool = false;

    #[inline(always)]
    fn into_abi(self) -> Result<DurationAbi, Error> {
        Ok(DurationAbi { seconds: self.as_secs(), nanoseconds: self.subsec_nanos() })
    }

    #[inline(always)]
    fn from_abi(abi: DurationAbi) -> Result<Self, Error> {
        if abi.nanoseconds >= 1_000_000_000 {
            return Err(Error::new(code::CROSSING, "a second has fewer nanoseconds"));
        }
        Ok(Self::new(abi.seconds, abi.nanoseconds))
    }

    fn describe(types: &mut Types) -> String {
        types.add::<DurationAbi>("Duration", |_| Shape::Record {
            fields: vec![Field::new("seconds", "u64"), Field::new("nanoseconds", "u32")],
        })
    }
}

// SAFETY: the promise of `RString`.
unsafe impl Crossing for Value {
    type Abi = abi_stable::std_types::RString;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        Ok(self.to_string().into())
    }

    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        Ok(serde_json::from_str(&abi)?)
    }

    fn describe(types: &mut Types) -> String {
        types.add::<Self::Abi>("Json", |_| Shape::Encoded { format: "json".into() })
    }
}
