use plugbay_interface::data;
use pulldown_cmark::{CowStr, Event, Parser, Tag, html};

use crate::config::Config;
use crate::outline::outline;

/// What `render` gives.
#[data]
pub struct Rendered {
    /// The body, without `<html>` and `<head>`.
    pub html: String,
}

/// Renders `text`.
pub fn render(text: &str, config: &Config) -> Rendered {
    let ids = if config.heading_ids { outline(text, config).headings } else { Vec::new() };
    let mut ids = ids.into_iter().map(|heading| heading.id);
    let events = Parser::new_ext(text, config.options()).map(|event| {
        let event = if config.allow_html { event } else { harmless(event) };
        match event {
            Event::Start(Tag::Heading { level, id, classes, attrs }) => {
                let id = ids.next().map(CowStr::from).or(id);
                Event::Start(Tag::Heading { level, id, classes, attrs })
            }
            other => other,
        }
    });
    // As a rule, markup makes a text half as long again.
    let mut html = String::with_capacity(text.len() + text.len() / 2);
    html::push_html(&mut html, events);
    Rendered { html }
}

/// Raw HTML becomes text, and a link that a browser would execute leads nowhere.
fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: checked(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: checked(dest_url), title, id })
        }
        other => other,
    }
}

/// Lets relative addresses and the schemes of documents through.
///
/// A list of the good ones, because the bad ones can be spelled in more ways
/// (`java\tscript:`) than a list of them would know.
fn checked(address: CowStr<'_>) -> CowStr<'_> {
    let scheme = match address.split_once(':') {
        Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => scheme,
        _ => return address,
    };
    let good = ["http", "https", "mailto", "tel", "ftp"];
    if good.iter().any(|name| scheme.eq_ignore_ascii_case(name)) { address } else { "".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flavour;

    fn html(text: &str, config: &Config) -> String {
        render(text, config).html
    }

    #[test]
    fn extended_syntax_is_there_by_default_and_not_in_commonmark() {
        let table = "| a |\n|---|\n| ~~b~~ |\n\n- [x] done[^1]\n\n[^1]: Note.\n";
        let extended = html(table, &Config::default());
        for tag in ["<table>", "<del>b</del>", "type=\"checkbox\"", "footnote-definition"] {
            assert!(extended.contains(tag), "{tag} in {extended}");
        }
        let config = Config { flavour: Flavour::Commonmark, ..Config::default() };
        let plain = html(table, &config);
        assert!(!plain.contains("<table>") && !plain.contains("<del>"), "{plain}");
        assert_eq!(html("# Hi", &config), "<h1>Hi</h1>\n");
    }

    #[test]
    fn raw_html_is_text_when_it_is_not_allowed() {
        let config = Config { allow_html: false, ..Config::default() };
        let text = "<script>alert(1)</script>\n\nA <b onclick=x>b</b>.\n";
        assert!(html(text, &Config::default()).contains("<script>"));
        let safe = html(text, &config);
        assert!(safe.contains("&lt;script&gt;") && safe.contains("&lt;b onclick=x&gt;"), "{safe}");
        assert!(!safe.contains("<script") && !safe.contains("<b"), "{safe}");
    }

    #[test]
    fn executable_links_lead_nowhere_when_html_is_not_allowed() {
        let config = Config { allow_html: false, ..Config::default() };
        for bad in ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "java&Tab;script:x"]
        {
            let safe = html(&format!("[a]({bad}) ![b]({bad})"), &config);
            assert!(safe.contains("href=\"\"") && safe.contains("src=\"\""), "{bad}: {safe}");
        }
        for good in ["https://x.org/a:b", "a/b.html", "#part", "?q=1:2", "mailto:a@b.c"] {
            let safe = html(&format!("[a]({good})"), &config);
            assert!(safe.contains(&format!("href=\"{good}\"")), "{good}: {safe}");
        }
    }

    #[test]
    fn rendered_ids_are_those_of_the_outline() {
        let config = Config { heading_ids: true, ..Config::default() };
        assert_eq!(html("# A\n# A\n", &config), "<h1 id=\"a\">A</h1>\n<h1 id=\"a-1\">A</h1>\n");
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let quotes = ">".repeat(20_000) + " x";
        assert!(html(&quotes, &Config::default()).contains('x'));
        let emphasis = "*a _b ".repeat(5_000) + &"_ *".repeat(5_000);
        assert!(html(&emphasis, &Config::default()).contains('b'));
    }
}
