use plugbay_contracts::{Heading, MediaTypes, Renderer};
use plugbay_interface::prelude::*;

use crate::Markdown;
use crate::outline::outline;
use crate::render::render;

#[service]
impl Renderer for Markdown {
    fn media_types(&self) -> Result<MediaTypes, Error> {
        Ok(MediaTypes { from: "text/markdown".into(), to: "text/html".into() })
    }

    fn render(&self, text: &str) -> Result<String, Error> {
        Ok(render(text, &self.config).html)
    }

    fn outline(&self, text: &str) -> Result<Vec<Heading>, Error> {
        let headings = outline(text, &self.config).headings.into_iter();
        Ok(headings.map(|one| Heading { level: one.level, text: one.text, id: one.id }).collect())
    }
}
