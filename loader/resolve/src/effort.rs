//! How much work is left to be done.

use std::cell::Cell;

/// Steps that may still be taken. They are counted and not timed, so that the same folder
/// is decided the same on every machine.
#[derive(Debug)]
pub(crate) struct Effort(Cell<u64>);

impl Effort {
    pub(crate) fn new(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes some steps; none where they are more than are left.
    pub(crate) fn spend(&self, steps: usize) -> Option<()> {
        let left = self.0.get().checked_sub(steps as u64)?;
        self.0.set(left);
        Some(())
    }
}
