//! A stage is what its plugin offers: a source, a processor, or a renderer of one column.

use std::path::Path;
use std::sync::Arc;

use plugbay_contracts::arrow_array::{Array, RecordBatch, StringArray};
use plugbay_contracts::{Batch, DataProcessor, DataSource, Query, Renderer, Source};
use plugbay_loader::interface::Error;
use plugbay_loader::{CallError, Host, Service, ServiceError};
use serde_json::json;

use super::rows::Rows;
use crate::args::{Pipe, Stage};
use crate::exit::{Exit, Failure};
use crate::terminal::one_line;

/// What makes services of stages.
pub struct Stages<'a> {
    pub host: &'a Host,
    /// What is said of a plugin that there is not.
    pub nowhere: &'a dyn Fn(&str) -> Failure,
    pub verbose: bool,
}

/// Where rows come from.
pub enum Begin {
    Stream { stage: String, stream: Box<dyn Iterator<Item = Result<Batch, Error>>> },
    Rows(Rows),
}

/// What is done with each batch.
pub struct Step<'a> {
    stage: &'a Stage,
    with: With,
}

enum With {
    Processor(Service<dyn DataProcessor>),
    /// The column is the stage's text.
    Renderer(Service<dyn Renderer>),
}

/// Without `--input`.
pub fn no_source() -> Failure {
    Failure::new(
        "PB1028",
        Exit::Usage,
        "there is nothing to read from",
        "begin with a source, for example 'sql:SELECT …', or give --input FILE",
    )
}

impl Stages<'_> {
    /// The first stage.
    pub fn source(&self, stage: &Stage, pipe: &Pipe) -> Result<Begin, Failure> {
        let service = match self.host.service::<dyn DataSource>(&stage.plugin) {
            Ok(service) => service,
            Err(error) => return Err(self.refused(stage, error, "a source", "the first stage")),
        };
        let tables = pipe.tables.iter().map(|table| (table.name.clone(), table.path.clone()));
        let source = Source { tables: tables.collect(), ..Source::default() };
        let entered = service.enter().map_err(|error| self.unfit(*error))?;
        let stream = entered.query(source, Query::new(&stage.text));
        let stream = Box::new(stream.map_err(|error| failed(&stage.plugin, &error))?);
        Ok(Begin::Stream { stage: stage.plugin.clone(), stream })
    }

    /// Any other.
    pub fn step<'a>(&self, stage: &'a Stage) -> Result<Step<'a>, Failure> {
        let processor = match self.host.service::<dyn DataProcessor>(&stage.plugin) {
            Ok(service) => return Ok(Step { stage, with: With::Processor(service) }),
            Err(error) => error,
        };
        match self.host.service::<dyn Renderer>(&stage.plugin) {
            Ok(service) => Ok(Step { stage, with: With::Renderer(service) }),
            // The one that it offers, but otherwise, says more than that there is none.
            Err(renderer) => {
                let error = if matches!(renderer, ServiceError::Differs { .. }) {
                    renderer
                } else {
                    processor
                };
                Err(self.refused(
                    stage,
                    error,
                    "a processor or a renderer",
                    "a stage behind the first",
                ))
            }
        }
    }

    fn refused(&self, stage: &Stage, error: ServiceError, wanted: &str, place: &str) -> Failure {
        match &error {
            ServiceError::Plugin(CallError::UnknownPlugin { .. }) => (self.nowhere)(&stage.plugin),
            ServiceError::NotOffered { plugin, version, offers, .. } => {
                let offers =
                    if offers.is_empty() { "no contract".to_owned() } else { offers.join(", ") };
                Failure::new(
                    "PB1401",
                    Exit::Failed,
                    format!("{place} is {wanted}, and {plugin} {version} offers {offers}"),
                    "see which plugin offers what: host-app services",
                )
            }
            _ => self.unfit(error),
        }
    }

    fn unfit(&self, error: ServiceError) -> Failure {
        let details = error.details().filter(|_| self.verbose).map(str::to_owned);
        let mut failure = match &error {
            ServiceError::Plugin(error) => Failure::of_call(error),
            _ => error.into(),
        };
        if let Some(details) = details {
            failure.message.push_str(&format!("\n{details}"));
        }
        failure
    }
}

impl Begin {
    /// Rows of a file, or of standard input for `-`.
    pub fn rows(path: &Path) -> Result<Self, Failure> {
        Rows::open(path).map(Self::Rows)
    }
}

impl Iterator for Begin {
    type Item = Result<Batch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Stream { stage, stream } => {
                stream.next().map(|batch| batch.map_err(|error| failed(stage, &error)))
            }
            Self::Rows(rows) => rows.next(),
        }
    }
}

impl Step<'_> {
    /// Takes this step on one batch.
    pub fn take(&self, batch: Batch) -> Result<Batch, Failure> {
        let Stage { plugin, text } = self.stage;
        let gone = |error: Box<ServiceError>| Failure::from(*error);
        match &self.with {
            With::Processor(service) => {
                let processed =
                    service.call(|service| service.process(text, batch)).map_err(gone)?;
                processed.map_err(|error| failed(plugin, &error))
            }
            // Without rows, a processor may not know which columns there would be.
            With::Renderer(_) if batch.num_rows() == 0 => Ok(batch),
            With::Renderer(service) => {
                let column = texts(plugin, text, &batch)?;
                let entered = service.enter().map_err(gone)?;
                let mut rendered = Vec::with_capacity(column.len());
                for cell in column.iter() {
                    let cell = cell.map(|cell| entered.render(cell)).transpose();
                    rendered.push(cell.map_err(|error| failed(plugin, &error))?);
                }
                replaced(&batch, text, StringArray::from_iter(rendered))
                    .map_err(|error| failed(plugin, &error))
            }
        }
    }
}

/// The column that is to be rendered.
fn texts(plugin: &str, column: &str, batch: &RecordBatch) -> Result<StringArray, Failure> {
    let wrong = |message: String| {
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| one_line(field.name())).collect();
        let help =
            format!("name a column of texts: {plugin}:COLUMN; there are: {}", names.join(", "));
        Failure::new("PB1029", Exit::Usage, message, help)
    };
    let shown = one_line(column);
    let found = batch.column_by_name(column);
    let found = found.ok_or_else(|| wrong(format!("there is no column `{shown}` to render")))?;
    if found.data_type().is_null() {
        // In all of these rows.
        return Ok(StringArray::new_null(found.len()));
    }
    let texts = found.as_any().downcast_ref::<StringArray>();
    texts.cloned().ok_or_else(|| {
        wrong(format!("the column `{shown}` is {} and no text to render", found.data_type()))
    })
}

/// The same batch with other values in one column.
fn replaced(batch: &RecordBatch, column: &str, by: StringArray) -> Result<Batch, Error> {
    let by: Arc<dyn Array> = Arc::new(by);
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, values)| {
        let values = if field.name() == column { &by } else { values };
        (field.name(), values.clone(), true)
    });
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?.into())
}

/// What a plugin said.
fn failed(plugin: &str, error: &Error) -> Failure {
    let mut message = format!("{plugin} failed: {error}");
    for cause in error.causes() {
        message.push_str(&format!("; {cause}"));
    }
    let failure =
        json!({ "code": error.code(), "message": error.to_string(), "causes": error.causes() });
    Failure {
        failure: Some(failure),
        ..Failure::new("PB1030", Exit::Failed, message, "do what its message says")
    }
}
