use std::marker::PhantomData;

use abi_stable::std_types::RResult;

use super::ServiceFuture;
use crate::Error;
use crate::abi::FaultBox;
use crate::crossing::Crossing;
use crate::guard::light;

/// What a method of a contract gives: a `Result<T, Error>`. A call can always fail,
/// since the plugin may panic or be gone.
#[diagnostic::on_unimplemented(
    message = "a method of a contract gives `Result<T, Error>`, and not `{Self}`",
    label = "the error is `plugbay_interface::Error`: a call can always fail, as the plugin may \
             panic or be gone"
)]
pub trait Outcome {
    /// What it gives when all goes well.
    type Value;
}

impl<T> Outcome for Result<T, Error> {
    type Value = T;
}

/// What a method gives, as it crosses.
pub type Answer<T> = RResult<<T as Crossing>::Abi, FaultBox>;

/// An object that an asynchronous call borrows; crosses as its pointer.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub struct Object<'call>(*const (), PhantomData<&'call ()>);

impl Object<'_> {
    /// Whoever uses the pointer says why it is valid.
    #[inline(always)]
    pub fn new(pointer: *const ()) -> Self {
        Self(pointer, PhantomData)
    }

    /// The object.
    #[inline(always)]
    pub fn pointer(self) -> *const () {
        self.0
    }
}

/// Runs a method, on the side that is called.
#[inline(always)]
pub fn answer<T: Crossing>(body: impl FnOnce() -> Result<T, Error>) -> Answer<T> {
    light(|| body()?.into_abi())
}

/// Makes an asynchronous method's future, on the side that is called.
#[inline(always)]
pub fn start<'a, T: Crossing>(
    body: impl FnOnce() -> Result<ServiceFuture<'a, T>, Error>,
) -> RResult<ServiceFuture<'a, T>, FaultBox> {
    light(body)
}

/// What came of a method, on the side that called.
///
/// # Errors
///
/// The method's, and what its result is when it cannot be read.
#[inline(always)]
#[track_caller]
pub fn receive<T: Crossing>(answer: Answer<T>) -> Result<T, Error> {
    match answer {
        RResult::ROk(abi) => T::from_abi(abi),
        RResult::RErr(fault) => Err(fault.into()),
    }
}
