//! jq as a plugin: the jaq engine behind limits that a filter cannot break.
//!
//! A filter is a program, so it may run for ever, recurse without end or ask for
//! all memory there is, and a stack overflow or a failed allocation would end the
//! host. Three things prevent that:
//!
//! * `meter` counts what an evaluation uses and ends it by unwinding;
//! * `json` is a value type of our own, because the engine's has operations that
//!   cannot be stopped (`"x" * 1e12`) and recursions that cannot be bounded;
//! * `native` replaces the engine's functions that work on such values.

mod cache;
mod compile;
mod config;
mod json;
mod meter;
mod native;
mod run;
mod service;

use plugbay_contracts::DataProcessor;
use plugbay_interface::prelude::*;

use crate::cache::Cache;
use crate::compile::{Check, Checked};
use crate::config::Config;
use crate::run::{Outputs, Request};

/// The plugin.
pub struct Jq {
    config: Config,
    cache: Cache,
}

#[plugin]
impl Plugin for Jq {
    type Config = Config;
    type State = ();

    fn activate(_context: Context, config: Config, _state: Option<()>) -> Result<Self, Error> {
        Ok(Self { config: config.checked()?, cache: Cache::default() })
    }

    fn commands(&self) -> Commands<Self> {
        commands().on("filter", Self::filter).on("check", Self::check)
    }

    fn services(&self) -> Services<Self> {
        services().offer::<dyn DataProcessor>()
    }
}

impl Jq {
    fn filter(&self, request: Request) -> Result<Outputs, Error> {
        run::filter(request, &self.config, &self.cache)
    }

    fn check(&self, request: Check) -> Result<Checked, Error> {
        compile::check(&request, &self.config)
    }
}
