//! Record batches as contracts take and give them.

mod crossing;
mod rows;
mod serialized;

use std::ops::Deref;

use arrow_array::RecordBatch;

/// How many levels rows and columns have at most: all that reads, writes and frees them
/// calls itself for each, on stacks of 2 MiB.
const DEEPEST: usize = 64;

/// A record batch that crosses without a copy: rows of columns, in Arrow's memory layout.
///
/// It derefs to a [`RecordBatch`] and is made of one. The values stay the memory of the
/// library that made them. So as long as it is there, or an array, a slice or a batch
/// that was made of it without a copy, that library stays mapped, and the host says so
/// (`Pin::Buffers`).
///
/// In JSON it is a list of objects, one for each row; in binary formats it is Arrow's IPC
/// stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch(RecordBatch);

impl Batch {
    /// The batch as the Arrow crates have it.
    pub fn into_inner(self) -> RecordBatch {
        self.0
    }
}

impl From<RecordBatch> for Batch {
    fn from(batch: RecordBatch) -> Self {
        Self(batch)
    }
}

impl From<Batch> for RecordBatch {
    fn from(batch: Batch) -> Self {
        batch.0
    }
}

impl Deref for Batch {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        &self.0
    }
}
