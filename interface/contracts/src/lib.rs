//! Contracts that plugins of different authors have in common.
//!
//! | contract | what | feature |
//! | --- | --- | --- |
//! | [`Renderer`] | text to text | |
//! | [`KeyValue`] | values by key, with expiry and counters | |
//! | [`DataSource`] | tables, and queries over them, as record batches | `batches` |
//! | [`DataProcessor`] | batch in, batch out, in chains | `batches` |
//!
//! A program calls them by `host.service::<dyn Renderer>("markdown")`, another plugin by
//! `context.service::<dyn Renderer>("markdown")`; a plugin offers one as every contract:
//! the documentation of `plugbay-interface` says how. They grow by minor versions: what
//! came later has a default, so that older plugins and newer callers go together.
//!
//! Record batches cross by Arrow's [C data interface], without a copy of the values,
//! whatever version of the Arrow crates each side was built with.
//!
//! [C data interface]: https://arrow.apache.org/docs/format/CDataInterface.html

#[cfg(feature = "batches")]
mod batch;
#[cfg(feature = "batches")]
mod data_processor;
#[cfg(feature = "batches")]
mod data_source;
mod key_value;
mod renderer;

#[cfg(feature = "batches")]
pub use batch::Batch;
#[cfg(feature = "batches")]
pub use data_processor::DataProcessor;
#[cfg(feature = "batches")]
pub use data_source::{Column, DataSource, Query, Source, Table};
pub use key_value::{KeyValue, Keys};
pub use renderer::{Heading, MediaTypes, Renderer};

/// What [`Batch`] is made of.
#[cfg(feature = "batches")]
pub use {arrow_array, arrow_schema};
