use std::collections::BTreeMap;
use std::path::Path;

use plugbay_interface::prelude::*;

use crate::config::Config;
use crate::database::Database;
use crate::source::Source;
use crate::virtual_table::quoted;

/// What `tables` takes.
#[data]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub tables: BTreeMap<String, String>,
}

/// What `tables` gives.
#[data]
#[derive(Debug)]
pub struct Listing {
    pub tables: Vec<Table>,
}

/// One table.
#[data]
#[derive(Debug, PartialEq)]
pub struct Table {
    /// As it is written in SQL.
    pub name: String,
    pub path: String,
    pub format: String,
    pub columns: Vec<String>,
}

/// Lists what a query over `sources` could read.
pub fn list(sources: &Sources, config: &Config) -> Result<Listing, Error> {
    let database = Database::open(&sources.tables, config.longest())?;
    let mut tables = Vec::new();
    for (name, path) in &sources.tables {
        let source = Source::open(Path::new(path))?;
        let table = |name: String, columns| Table {
            name,
            path: path.clone(),
            format: source.format().into(),
            columns,
        };
        match &source {
            Source::Csv(_) | Source::Json(_) => {
                tables.push(table(written(name), source.columns().to_vec()));
            }
            Source::Sqlite(_) => {
                for (inner, columns) in inside(&database, name)? {
                    tables.push(table(format!("{}.{}", written(name), written(&inner)), columns));
                }
            }
        }
    }
    Ok(Listing { tables })
}

/// The tables and views of an attached file, with their columns.
fn inside(database: &Database, schema: &str) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let sql = format!(
        "SELECT t.name, c.name FROM {}.sqlite_schema AS t, pragma_table_xinfo(t.name, ?1) AS c \
         WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY t.name, c.cid",
        quoted(schema)
    );
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut read = || {
        let mut statement = database.connection.prepare(&sql)?;
        let mut rows = statement.query([schema])?;
        while let Some(row) = rows.next()? {
            tables.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        Ok(())
    };
    read().map_err(|error| database.explain(&error))?;
    Ok(tables)
}

/// A name as SQL needs it: quoted where it is no plain word.
fn written(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { quoted(name) }
}
