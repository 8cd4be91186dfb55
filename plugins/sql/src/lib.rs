//! SQL over files as a plugin: SQLite's engine, with CSV and JSON lines files as
//! virtual tables that are read row by row.
//!
//! Every call has a connection of its own, in memory, and leaves nothing behind.

mod batches;
mod cell;
mod config;
mod csv_file;
mod database;
mod failure;
mod json_file;
mod query;
mod service;
mod source;
mod stream;
mod tables;
mod virtual_table;

use plugbay_contracts::DataSource;
use plugbay_interface::prelude::*;

use crate::config::Config;
use crate::query::{Answer, Query};
use crate::tables::{Listing, Sources};

/// The plugin. It holds nothing but its configuration.
pub struct Sql {
    config: Config,
}

#[plugin]
impl Plugin for Sql {
    type Config = Config;
    type State = ();

    fn activate(_context: Context, config: Config, _state: Option<()>) -> Result<Self, Error> {
        Ok(Self { config: config.checked()? })
    }

    fn commands(&self) -> Commands<Self> {
        commands().on("query", Self::query).on("tables", Self::tables)
    }

    fn services(&self) -> Services<Self> {
        services().offer::<dyn DataSource>()
    }
}

impl Sql {
    fn query(&self, query: Query) -> Result<Answer, Error> {
        query::run(query, &self.config)
    }

    fn tables(&self, sources: Sources) -> Result<Listing, Error> {
        tables::list(&sources, &self.config)
    }
}
