use plugbay_interface::data;
use pulldown_cmark::Options;

/// How Markdown is read and written.
#[data]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which Markdown it is.
    pub flavour: Flavour,
    /// Whether raw HTML passes as it stands.
    pub allow_html: bool,
    /// Whether rendered headings carry an id.
    pub heading_ids: bool,
}

/// A set of syntax.
#[data]
#[derive(Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// CommonMark and nothing else.
    Commonmark,
    /// CommonMark with tables, strikethrough, footnotes and task lists.
    Extended,
}

impl Config {
    /// The same for all commands, so that `outline` and `words` see the text
    /// that `render` shows.
    pub fn options(&self) -> Options {
        match self.flavour {
            Flavour::Commonmark => Options::empty(),
            Flavour::Extended => {
                Options::ENABLE_TABLES
                    | Options::ENABLE_STRIKETHROUGH
                    | Options::ENABLE_FOOTNOTES
                    | Options::ENABLE_TASKLISTS
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { flavour: Flavour::Extended, allow_html: true, heading_ids: false }
    }
}
