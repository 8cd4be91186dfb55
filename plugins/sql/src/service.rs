use plugbay_contracts::{Batch, Column, DataSource, Query, Source, Table};
use plugbay_interface::prelude::*;

use crate::tables::{self, Sources};
use crate::{Sql, stream};

#[service]
impl DataSource for Sql {
    fn schema(&self, source: Source) -> Result<Vec<Table>, Error> {
        let sources = Sources { tables: without_options(source)?.tables };
        let tables = tables::list(&sources, &self.config)?.tables;
        let column = |name| Column { name, data_type: None };
        Ok(tables
            .into_iter()
            .map(|table| {
                let columns = table.columns.into_iter().map(column).collect();
                Table { name: table.name, columns }
            })
            .collect())
    }

    /// A query has `max_seconds` for all its rows, in which the time between two batches
    /// does not count; `max_rows` is for answers that are one piece, and not for this.
    fn query(&self, source: Source, query: Query) -> Result<Stream<Batch>, Error> {
        stream::run(without_options(source)?.tables, query, self.config.longest())
    }
}

/// There are none.
fn without_options(source: Source) -> Result<Source, Error> {
    match source.options.keys().next() {
        None => Ok(source),
        Some(name) => {
            let message = format!("`{}` is no option of sql, which has none", name.escape_debug());
            Err(Error::new("arguments", message))
        }
    }
}
