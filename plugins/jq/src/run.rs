use std::collections::BTreeMap;
use std::sync::Arc;

use jaq_core::{Ctx, Exn, Filter, Vars};
use plugbay_interface::prelude::*;
use plugbay_interface::serde::Deserialize;

use crate::cache::Cache;
use crate::compile::{compiled, variables};
use crate::config::Config;
use crate::json::{Fault, Json, Unwritable, to_value};
use crate::meter::{Limits, Stop, within};
use crate::native::{Steps, Table};

/// What `filter` takes.
#[data]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub filter: String,
    pub input: Value,
    #[serde(default)]
    pub args: BTreeMap<String, Value>,
    pub limit: Option<usize>,
}

/// What `filter` gives.
#[data]
#[derive(Debug)]
pub struct Outputs {
    pub outputs: Vec<Value>,
}

/// Runs a filter.
pub fn filter(request: Request, config: &Config, cache: &Cache) -> Result<Outputs, Error> {
    let Request { filter, input, args, limit } = request;
    let limits = config.limits();
    let run = || {
        let mut outputs = Vec::new();
        let limit = limit.unwrap_or(usize::MAX);
        let program = Program::new(&filter, &args, cache)?;
        program.run(&input, limit, config.max_outputs, &mut outputs)?;
        Ok(Outputs { outputs })
    };
    within(&limits, run).unwrap_or_else(|stop| Err(explain(stop, &limits)))
}

/// Runs a filter on each of the inputs, under one limit of time and memory for all, and
/// gives the outputs of all. Each input may have `max_outputs`.
pub fn each(
    filter: &str,
    inputs: Vec<Value>,
    config: &Config,
    cache: &Cache,
) -> Result<Vec<Value>, Error> {
    let limits = config.limits();
    let run = || {
        let mut outputs = Vec::with_capacity(inputs.len());
        let program = Program::new(filter, &BTreeMap::new(), cache)?;
        for input in &inputs {
            let most = outputs.len() + config.max_outputs;
            program.run(input, usize::MAX, most, &mut outputs)?;
        }
        Ok(outputs)
    };
    within(&limits, run).unwrap_or_else(|stop| Err(explain(stop, &limits)))
}

/// A filter with the values of its variables.
struct Program {
    filter: Arc<Filter<Steps>>,
    values: Vec<Json>,
}

impl Program {
    fn new(text: &str, arguments: &BTreeMap<String, Value>, cache: &Cache) -> Result<Self, Error> {
        let variables = variables(arguments.keys().map(String::as_str))?;
        let compile = || compiled(text, &variables);
        let filter = cache.get(text, &variables, compile).map_err(|mistakes| {
            let lines: Vec<_> = mistakes
                .iter()
                .map(|mistake| format!("{}:{}: {}", mistake.line, mistake.column, mistake.message))
                .collect();
            Error::new("compile", format!("the filter does not compile: {}", lines.join("; ")))
        })?;
        let mut values = Vec::with_capacity(arguments.len());
        for value in arguments.values() {
            values.push(Json::deserialize(value)?);
        }
        Ok(Self { filter, values })
    }

    /// Appends the outputs for one input: the first `limit`, and an error where there are
    /// then more than `most`.
    fn run(
        &self,
        input: &Value,
        limit: usize,
        most: usize,
        outputs: &mut Vec<Value>,
    ) -> Result<(), Error> {
        let context = Ctx::<Steps>::new(Table(&self.filter.lut), Vars::new(self.values.clone()));
        let begin = outputs.len();
        if limit == 0 {
            return Ok(());
        }
        for output in self.filter.id.run((context, Json::deserialize(input)?)) {
            match output {
                Ok(Json { val: output, .. }) => {
                    if outputs.len() >= most {
                        let message = format!(
                            "the filter has more than {} outputs, which is `max_outputs`; ask for \
                             fewer with `limit`, or collect them in one array",
                            most - begin
                        );
                        return Err(Error::new("too-many-outputs", message));
                    }
                    outputs.push(to_value(&output).map_err(|reason| unwritable(&reason))?);
                    if outputs.len() - begin >= limit {
                        break;
                    }
                }
                Err(exception) => {
                    halted(exception)?;
                    break;
                }
            }
        }
        Ok(())
    }
}

/// `halt` ends a filter, and would end the process in a program of its own.
fn halted(exception: Exn<'_, Json>) -> Result<(), Error> {
    let exception = match exception.get_err() {
        Ok(fault) => return Err(failed(fault)),
        Err(exception) => exception,
    };
    match exception.get_halt() {
        Ok(0) => Ok(()),
        Ok(code) => Err(Error::new("halted", format!("the filter halted with code {code}"))),
        Err(_) => Err(Error::message("the filter ended with `break` outside of its label")),
    }
}

fn failed(fault: Fault) -> Error {
    let message = match fault.into_val() {
        // What `error("text")` gives, without the quotes.
        text if jaq_std::ValT::is_utf8_str(&text) => {
            let bytes = jaq_std::ValT::as_bytes(&text).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        }
        value => format!("{value} (not a string)"),
    };
    Error::new("runtime", message)
}

fn unwritable(reason: &Unwritable) -> Error {
    match reason {
        Unwritable::TooDeep => Error::new("too-deep", "an output has more than 100 levels"),
        Unwritable::NoJson => Error::new("runtime", "an output holds what JSON has no form for"),
    }
}

/// A limit that was met, with what it is and how it can be moved.
pub fn explain(stop: Stop, limits: &Limits) -> Error {
    match stop {
        Stop::Time => Error::new(
            "timeout",
            format!(
                "the filter ran longer than {} s, which is `max_seconds`",
                limits.time.as_secs_f64()
            ),
        ),
        Stop::Memory => Error::new(
            "memory",
            format!(
                "the filter needs more than {} MiB, which is `max_memory_mib`",
                limits.memory >> 20
            ),
        ),
        Stop::Calls => Error::new("too-deep", "the filter calls itself too deeply"),
        Stop::Nesting => {
            Error::new("too-deep", "the filter makes a value of more than 1024 levels")
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
