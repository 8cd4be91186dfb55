//! Contracts: traits that a host and its plugins, or two plugins, share.
//!
//! [`#[service]`](macro@crate::service) makes a trait one. What it makes of it, and what
//! each of its rules is for, stands at the macro; here is what all contracts have
//! in common.

mod change;
mod compare;
mod contract;
mod description;
pub(crate) mod dispatch;
mod future;
pub(crate) mod link;
mod offers;
pub(crate) mod outcome;
mod waker;

pub use change::{Change, ServiceChange};
pub use compare::Mismatch;
pub use contract::{Contract, Implemented};
pub use description::{Described, Description, MethodDescription};
pub use future::ServiceFuture;
pub use link::{Entered, Held, Service};
pub use offers::{Services, services};
pub use outcome::Outcome;

pub(crate) use waker::Head;
