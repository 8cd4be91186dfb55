use plugbay_contracts::{Batch, DataProcessor};
use plugbay_interface::prelude::*;

use crate::{Jq, run};

#[service]
impl DataProcessor for Jq {
    /// `step` is a filter, which runs on each row as an object. Each of its outputs is a
    /// row: one that is no object stands in the column `value`.
    fn process(&self, step: &str, batch: Batch) -> Result<Batch, Error> {
        let rows = run::each(step, batch.to_rows()?, &self.config, &self.cache)?;
        Batch::from_rows(rows)
    }
}
