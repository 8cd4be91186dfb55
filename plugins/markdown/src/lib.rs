//! Markdown as a plugin: [`pulldown_cmark`] behind three commands and the contract
//! `plugbay.renderer`.

mod config;
mod outline;
mod render;
mod service;
mod words;

use plugbay_contracts::Renderer;
use plugbay_interface::prelude::*;

use crate::config::Config;
use crate::outline::{Outline, outline};
use crate::render::{Rendered, render};
use crate::words::{Words, words};

/// The plugin. It holds nothing but its configuration.
pub struct Markdown {
    config: Config,
}

/// What every command takes.
#[data]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[plugin]
impl Plugin for Markdown {
    type Config = Config;
    type State = ();

    fn activate(_context: Context, config: Config, _state: Option<()>) -> Result<Self, Error> {
        Ok(Self { config })
    }

    fn commands(&self) -> Commands<Self> {
        commands().on("render", Self::render).on("outline", Self::outline).on("words", Self::words)
    }

    fn services(&self) -> Services<Self> {
        services().offer::<dyn Renderer>()
    }
}

impl Markdown {
    fn render(&self, arguments: Text) -> Result<Rendered, Error> {
        Ok(render(&arguments.text, &self.config))
    }

    fn outline(&self, arguments: Text) -> Result<Outline, Error> {
        Ok(outline(&arguments.text, &self.config))
    }

    fn words(&self, arguments: Text) -> Result<Words, Error> {
        Ok(words(&arguments.text, &self.config))
    }
}
