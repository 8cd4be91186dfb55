//! Which plugins of a folder run together, in which version and order, and why not the
//! others: one decision, made before any plugin code runs.
//!
//! Pure: no file is read and no clock asked, and the same input gives the same answer in
//! whatever order it comes. [`decide`] takes what is known of files ([`Offer`]) and what a
//! host wants of them ([`Policy`]).

mod admit;
mod advice;
mod asked;
mod askers;
mod choose;
mod decide;
mod effort;
mod excerpt;
mod goals;
mod index;
mod lock;
mod members;
mod missing;
mod offer;
mod order;
mod parts;
mod policy;
mod pose;
mod profile;
mod range;
mod reason;
mod running;
mod search;
mod sift;
mod spelling;
mod why;

pub use advice::Advice;
pub use decide::{Chosen, Decision, HeldBack, decide};
pub use excerpt::Excerpt;
pub use lock::{Entry, Lock, LockError};
pub use members::{Exclusion, Member, Members};
pub use missing::{Because, Missing};
pub use offer::{Name, Offer, Refused};
pub use policy::{Active, Held, KindRule, Line, Policy, Versions};
pub use profile::{Profile, UnknownProfile};
pub use reason::{Reason, Then, Why};
