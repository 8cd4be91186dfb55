use std::collections::BTreeMap;

use plugbay_interface::prelude::*;

use crate::Batch;

/// Tables, and queries over them.
///
/// A source is named in each call, and nothing is open between calls: a reload loses
/// nothing, and nobody can forget to close anything. What opening costs, the provider may
/// keep to itself from one call to the next.
#[service(id = "plugbay.data-source", version = "1.0")]
pub trait DataSource: Send + Sync {
    /// The tables of a source, with their columns. Opens it, so it is also the way to
    /// find out whether that works.
    ///
    /// # Errors
    ///
    /// When the source cannot be opened; the message names the location.
    fn schema(&self, source: Source) -> Result<Vec<Table>, Error>;

    /// Runs a query, and gives its rows batch by batch, as they are asked for: a result
    /// may be larger than the memory. There is always a first batch, empty where there
    /// are no rows, as it has the columns. All batches have the same columns.
    ///
    /// The stream may be kept, and goes on when the plugin is reloaded; what it reads
    /// stays open until it is dropped.
    ///
    /// # Errors
    ///
    /// When the query is wrong; and, as the last item of the stream, what happens while
    /// rows are read.
    fn query(&self, source: Source, query: Query) -> Result<Stream<Batch>, Error>;
}

/// Where data is.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// Names of tables, and where each is: a path, or what else the provider knows.
    #[serde(default)]
    pub tables: BTreeMap<String, String>,
    /// What else the provider wants to know.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
}

/// What is asked.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// In the provider's language.
    pub text: String,
    /// For the placeholders in the text, in their order.
    #[serde(default)]
    pub parameters: Vec<Value>,
    /// At most so many rows; the provider may have a limit of its own.
    #[serde(default)]
    pub limit: Option<u64>,
    /// At most so many rows in one batch; 8,192 where nothing is said.
    #[serde(default)]
    pub batch_rows: Option<u32>,
}

impl Query {
    /// A query without parameters and limits.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A table of a source.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// As it is written in a query.
    pub name: String,
    /// In their order.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as Arrow names it, for example `Int64` or `Utf8`; none where only the
    /// rows tell.
    #[serde(default)]
    pub data_type: Option<String>,
}
