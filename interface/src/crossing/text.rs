//! Text.

use abi_stable::std_types::RString;

use super::{Crossing, Types};
use crate::Error;

macro_rules! as_text {
    ($($text:ty),*) => { $(
        // SAFETY: a type of abi_stable's, whose layout the loader has compared with the
        // library's root, of which it is a part.
        unsafe impl Crossing for $text {
            type Abi = RString;
            // What another library has made is that library's to free.
            const SAME: bool = false;

            #[inline]
            fn into_abi(self) -> Result<RString, Error> {
                Ok(self.into())
            }

            #[inline]
            fn from_abi(abi: RString) -> Result<Self, Error> {
                // Copies what another library has allocated.
                Ok(String::from(abi).into())
            }

            fn describe(_types: &mut Types) -> String {
                "String".to_owned()
            }
        }
    )* };
}

as_text!(String, RString);
