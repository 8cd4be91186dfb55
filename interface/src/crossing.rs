//! What may stand in a contract: types that cross between two libraries, and later
//! between two processes.

pub(crate) mod borrowed;
mod buffer;
mod collections;
pub(crate) mod growing;
mod plain;
mod stream;
mod text;
mod types;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

pub use crate::kept::Keep;
pub use buffer::Buffer;
pub use stream::Stream;
pub use types::{Field, Shape, TypeDescription, Types, Variant};

/// A type whose values cross between a host and a plugin: results of a contract's
/// methods, and arguments.
///
/// | type | crosses as | cost |
/// | --- | --- | --- |
/// | `bool`, integers, floats, `char`, `()` | itself (`char` as a `u32`) | none |
/// | `String`, `Vec<T>`, `Box<T>` of plain `T`; `RString`, `RVec<T>`, `RBox<T>` | `RString`, `RVec`, `RBox` | the side that receives copies the bytes once; the side that sends does not |
/// | [`Buffer<T>`](Buffer) of plain `T` | itself | none, whatever the size; its library stays mapped as long as it is there |
/// | [`Stream<T>`](Stream) | itself: each item when the receiver asks for it | that of its items; as `Buffer` |
/// | `Option<T>`, tuples up to four | `ROption`, `Tuple2`… | that of their parts |
/// | `Vec<T>` of other `T` | `RVec` | each element by itself, and one allocation on each side |
/// | `HashMap`, `BTreeMap`, `HashSet`, `BTreeSet` | a list | built anew on the side that receives |
/// | `Duration` | seconds and nanoseconds | none |
/// | [`serde_json::Value`] | JSON text | written and read |
/// | a type under [`#[shared]`](crate::shared) | its fields, in their order | that of its fields |
/// | a type under `#[shared(growing)]` | encoded | written and read |
///
/// *Plain* is what crosses as itself: numbers, and `#[shared]` structs of them.
///
/// Everything but buffers and streams is the receiver's own when the call has returned: nothing of
/// it is left in the library that made it.
///
/// Not to be implemented by hand without need; for what the table lacks, wrap it in
/// a struct under `#[shared]` whose fields are in the table.
///
/// # Safety
///
/// `Abi` has the same layout in all libraries that describe it equally (through
/// [`describe`](Self::describe)), whatever compiler they were built with: `repr(C)`,
/// no references, no `Drop` but one that goes through a function pointer of the
/// library that made the value. What [`from_abi`](Self::from_abi) gives needs nothing of
/// that library, unless it holds a [`Keep`] of it. Where `SAME` is `true`, `Self` and `Abi` have the
/// same layout, and any value of the one is one of the other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross between a host and a plugin",
    label = "cannot cross",
    note = "what crosses: bool, numbers, String, Vec, Option, Box, tuples, maps, Duration, and \
            structs and enums of those under `#[shared]`",
    note = "a type of your own: put `#[plugbay_interface::shared]` on it; a borrowed argument: \
            `&str`, or `&[T]` of numbers"
)]
pub unsafe trait Crossing: Serialize + DeserializeOwned + Send + Sized + 'static {
    /// What crosses.
    type Abi: 'static;

    /// Whether `Self` and `Abi` have the same layout and the same values.
    const SAME: bool;

    /// Makes of a value what crosses. On the side that sends.
    ///
    /// # Errors
    ///
    /// Only of types that cross encoded: when serde cannot write the value.
    fn into_abi(self) -> Result<Self::Abi, Error>;

    /// Makes a value of what has crossed. On the side that receives.
    ///
    /// # Errors
    ///
    /// [`code::CROSSING`](crate::code::CROSSING), when it is no value of this type:
    /// a `char` that is none, or an encoding that cannot be read.
    fn from_abi(abi: Self::Abi) -> Result<Self, Error>;

    /// Adds the type to a description, with all that it is made of; its name there.
    fn describe(types: &mut Types) -> String;
}

/// A type that a contract's methods take: what is [`Crossing`], and `&str`, `&[T]`,
/// `RStr<'_>` and `RSlice<'_, T>` of plain `T`, which are lent for the call and cost
/// nothing.
///
/// # Safety
///
/// As for [`Crossing`]; `Abi` may borrow what `Self` borrows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a contract's method",
    label = "cannot cross",
    note = "borrowed arguments are `&str`, and `&[T]` of numbers or `#[shared]` structs of them; \
            all others are given by value"
)]
pub unsafe trait Argument: Sized {
    /// What crosses.
    type Abi;
    /// The same with memory of its own, for callers that have but text.
    type Owned: Crossing;

    /// As [`Crossing::into_abi`].
    ///
    /// # Errors
    ///
    /// As there.
    fn into_abi(self) -> Result<Self::Abi, Error>;

    /// As [`Crossing::from_abi`].
    ///
    /// # Errors
    ///
    /// As there.
    fn from_abi(abi: Self::Abi) -> Result<Self, Error>;

    /// As [`Crossing::describe`].
    fn describe(types: &mut Types) -> String;
}

// SAFETY: the promise of `Crossing`.
unsafe impl<T: Crossing> Argument for T {
    type Abi = <T as Crossing>::Abi;
    type Owned = T;

    #[inline(always)]
    fn into_abi(self) -> Result<Self::Abi, Error> {
        Crossing::into_abi(self)
    }

    #[inline(always)]
    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        Crossing::from_abi(abi)
    }

    fn describe(types: &mut Types) -> String {
        <T as Crossing>::describe(types)
    }
}

/// An argument that is lent from its owned form.
pub trait Lend<'a>: Argument {
    /// Borrows it.
    fn lend(owned: &'a Self::Owned) -> Self;
}
