use plugbay_interface::prelude::*;

/// Makes a text of a text: a page of Markdown, a report of a template.
#[service(id = "plugbay.renderer", version = "1.1")]
pub trait Renderer: Send + Sync {
    /// What it reads and what it writes.
    fn media_types(&self) -> Result<MediaTypes, Error>;

    /// Renders a text. The same text gives the same result, until the plugin's
    /// configuration changes.
    ///
    /// # Errors
    ///
    /// The plugin's own, when the text is none that it can read.
    fn render(&self, text: &str) -> Result<String, Error>;

    /// The headings of a text, in their order.
    ///
    /// # Errors
    ///
    /// `unsupported` by renderers that know of none.
    #[since("1.1")]
    fn outline(&self, _text: &str) -> Result<Vec<Heading>, Error> {
        Err(Error::unsupported())
    }
}

/// What a renderer reads and writes, as media types: `text/markdown`, `text/html`.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypes {
    /// What it reads.
    pub from: String,
    /// What it writes.
    pub to: String,
}

/// A heading.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// From 1, the outermost.
    pub level: u8,
    /// Without markup.
    pub text: String,
    /// Its anchor, unique in the text; empty where there is none.
    #[serde(default)]
    pub id: String,
}
