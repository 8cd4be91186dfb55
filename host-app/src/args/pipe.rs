use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::words::{Stage, Table};

/// What `pipe` takes.
#[derive(Debug, Clone, Args)]
pub struct Pipe {
    /// The stages, for example 'sql:SELECT * FROM people' 'jq:select(.age > 40)'
    #[arg(value_name = "ID:TEXT", required = true)]
    pub stages: Vec<Stage>,
    /// A table for the source: its name, and where it is; repeatable
    #[arg(long = "table", short, value_name = "NAME=PATH", conflicts_with = "input")]
    pub tables: Vec<Table>,
    /// Read JSON lines from a file, or from standard input for -, in the place of a source
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Print at most so many rows
    #[arg(long, short = 'n', value_name = "ROWS")]
    pub limit: Option<u64>,
    /// Where a plugin offers another form of a contract than is needed, print both
    #[arg(long, short)]
    pub verbose: bool,
}
