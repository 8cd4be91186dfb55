//! Which plugins of a folder run together, in which version and order, and why not the
//! others: one decision, made before any plugin code runs.
//!
//! Pure: no file is read and no clock asked, and the same input gives the same answer in
//! whatever order it comes. [`decide`] takes what is known of files ([`Offer`]) and what a
//! host wants of them ([`Policy`]).

mod advice;
mod choose;
mod decide;
mod goals;
mod lock;
mod members;
mod offer;
mod order;
mod policy;
mod profile;
mod reason;
mod search;
mod sift;
mod why;

pub use advice::Advice;
pub use decide::{Chosen, Decision, HeldBack, decide};
pub use lock::{Entry, Lock, LockError};
pub use members::{Exclusion, Member, Members};
pub use offer::{Name, Offer, Refused};
pub use policy::{Active, Held, KindRule, Line, Policy, Versions};
pub use profile::{Profile, UnknownProfile};
pub use reason::{Because, Missing, Reason, Why};
