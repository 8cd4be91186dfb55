//! What a host runs for one purpose: of the crate `plugbay_stack`, and what a host makes of
//! it.
//!
//! ```no_run
//! use plugbay_loader::Host;
//! use plugbay_loader::stack::Stack;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stack = Stack::read("research.toml".as_ref())?;
//! let host = Host::builder().plugin_dir("plugins.d").stack(stack).build()?;
//! # Ok(()) }
//! ```

use std::borrow::Borrow;

use plugbay_interface::manifest::PluginId;
use plugbay_resolve::Name;

pub use plugbay_stack::*;

use crate::error::Explain;
use crate::report::Refusal;
use crate::resolve::{Plan, one_line};

impl Explain for StackError {
    fn code(&self) -> &'static str {
        StackError::code(self)
    }

    fn hint(&self) -> String {
        StackError::hint(self)
    }
}

/// Says what a stack misses in a plan, which was made under a policy that it was written into
/// ([`Stack::apply`]). `refused` is what was refused besides: files that are broken, wrongly
/// configured or in quarantine; what the plan says itself may be among it.
pub fn check<R: Borrow<Refusal>>(stack: &Stack, plan: &Plan, refused: &[R]) -> Checked {
    let refused = refused.iter().map(Borrow::borrow);
    let of_others = refused.filter(|it| !matches!(it.error, crate::Error::Resolve(_)));
    let refused: Vec<Refused> = of_others.filter_map(known).collect();
    let facts = Facts { offers: plan.offers(), decision: plan.decision(), refused: &refused };
    stack.check(&facts)
}

/// What is known to be a plugin.
fn known(refusal: &Refusal) -> Option<Refused> {
    let (id, version): (PluginId, _) = refusal.plugin.clone()?;
    Some(Refused {
        name: Name { id, version },
        code: refusal.error.code().to_owned(),
        // A configuration can be wrong in several places, one to a line.
        reason: match &refusal.error {
            crate::Error::Config(_) => refusal.reason(),
            _ => one_line(refusal),
        },
        help: refusal.error.hint(),
    })
}
