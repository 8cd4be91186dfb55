use std::marker::PhantomData;

use abi_stable::std_types::RResult;

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

    /// The same by its own name.
    fn of(outcome: Result<Self::Value, Error>) -> Self;

    /// The same by its own name.
    ///
    /// # Errors
    ///
    /// If it is one.
    fn outcome(self) -> Result<Self::Value, Error>;
}

impl<T> Outcome for Result<T, Error> {
    type Value = T;

    #[inline(always)]
    fn of(outcome: Self) -> Self {
        outcome
    }

    #[inline(always)]
    fn outcome(self) -> Self {
        self
    }
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
pub fn answer<T>(body: impl FnOnce() -> Result<T, Error>) -> RResult<T, FaultBox> {
    light(body)
}

/// What came of a method, on the side that called.
///
/// # Errors
///
/// The method's.
#[inline(always)]
#[track_caller]
pub fn receive<T>(answer: RResult<T, FaultBox>) -> Result<T, Error> {
    match answer {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(fault) => Err(fault.into()),
    }
}
