//! Text.

use abi_stable::std_types::RString;

use super::{Crossing, Types};
use crate::Error;

// SAFETY: a type of abi_stable's, whose layout the loader has compared with the
// library's root, of which it is a part.
unsafe impl Crossing for RString {
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
        "String".to_owned()
    }
}

// SAFETY: as above.
unsafe impl Crossing for String {
    type Abi = RString;
    const SAME: bool = false;

    #[inline]
    fn into_abi(self) -> Result<RString, Error> {
        Ok(self.into())
    }

    /// Copies what another library has allocated.
    #[inline]
    fn from_abi(abi: RString) -> Result<Self, Error> {
        Ok(abi.into())
    }

    fn describe(_types: &mut Types) -> String {
        "String".to_owned()
    }
}
