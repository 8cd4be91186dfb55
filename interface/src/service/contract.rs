use abi_stable::std_types::{RResult, RStr, RString};

use super::Description;
use crate::abi::Fault;

/// A contract, by the type-level name that `dyn Trait` is for it.
///
/// `#[service]` implements it for `dyn Renderer` when it stands on `trait Renderer`.
///
/// # Safety
///
/// `proxy` makes a value that is sound to use as the trait as long as the object and
/// the table are there.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no contract",
    note = "a contract is `dyn Trait`, with `#[service(id = \"…\", version = \"…\")]` on the trait"
)]
pub unsafe trait Contract: Send + Sync + 'static {
    /// The contract's id.
    const ID: &'static str;
    /// Versions with another one have nothing in common.
    const MAJOR: u32;
    /// Each one has the methods of those before it.
    const MINOR: u32;

    /// Implements the trait by calling into another library. Never given out by
    /// value, as it is only valid as long as that library's object is.
    type Proxy: Send + Sync + 'static;

    /// The trait, over an object of another library. Costs nothing.
    ///
    /// # Safety
    ///
    /// Both come from one [`Offer`](crate::abi::Offer) of this contract, whose
    /// description [serves](Description::serves) this library's; and the proxy is
    /// not used after that offer has ended.
    unsafe fn proxy(object: *const (), methods: *const ()) -> Self::Proxy;

    /// The contract as this library was compiled with it. Collects all types anew:
    /// some microseconds.
    fn description() -> Description;
}

/// Says that `T` implements the contract `Self`: `dyn Renderer: Implemented<T>` for
/// every `T: Renderer`.
///
/// # Safety
///
/// `METHODS` is a table as [`Offer::methods`](crate::abi::Offer::methods) says, for
/// objects of the type `T`.
#[diagnostic::on_unimplemented(
    message = "`{T}` does not implement the contract `{Self}`",
    note = "write `#[service] impl … for {T}`"
)]
pub unsafe trait Implemented<T: 'static>: Contract {
    /// The functions for objects of the type `T`.
    const METHODS: *const ();

    /// Calls a method by its name.
    ///
    /// # Safety
    ///
    /// `object` is a `T`.
    unsafe fn call(
        object: *const (),
        method: RStr<'_>,
        arguments: RStr<'_>,
    ) -> RResult<RString, Fault>;
}
