use plugbay_interface::prelude::*;

use crate::Batch;

/// Makes batches of batches, one by one, so processors can be chained: what one gives the
/// next one takes.
#[service(id = "plugbay.data-processor", version = "1.0")]
pub trait DataProcessor: Send + Sync {
    /// Takes one step on one batch. `step` is in the provider's language: a filter, an
    /// expression, the name of a model. It is the same for all batches of a run, so a
    /// provider may keep what it has made of it.
    ///
    /// Rows may be changed, added and removed; a batch without rows is an answer, too.
    /// The columns may differ from batch to batch where the rows do.
    ///
    /// # Errors
    ///
    /// When the step is wrong, or does not fit the batch.
    fn process(&self, step: &str, batch: Batch) -> Result<Batch, Error>;
}
