use std::collections::HashMap;

use plugbay_interface::data;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::config::Config;

/// The headings of a text, in its order.
#[data]
#[derive(Debug, PartialEq)]
pub struct Outline {
    /// One entry a heading.
    pub headings: Vec<Heading>,
}

/// One heading.
#[data]
#[derive(Debug, PartialEq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its text without markup.
    pub text: String,
    /// An anchor that no other heading of the text has.
    pub id: String,
}

/// Finds the headings of `text`.
pub fn outline(text: &str, config: &Config) -> Outline {
    let mut headings = Vec::new();
    let mut ids = Ids::default();
    let mut open: Option<(u8, String)> = None;
    for event in Parser::new_ext(text, config.options()) {
        match (event, &mut open) {
            (Event::Start(Tag::Heading { level, .. }), _) => {
                open = Some((level as u8, String::new()));
            }
            (Event::End(TagEnd::Heading(_)), _) => {
                if let Some((level, text)) = open.take() {
                    let text = text.trim().to_owned();
                    headings.push(Heading { level, id: ids.unique(&text), text });
                }
            }
            (event, Some((_, text))) => push_visible(text, &event),
            _ => {}
        }
    }
    Outline { headings }
}

/// Appends what a reader sees of an event inside a block.
pub fn push_visible(text: &mut String, event: &Event<'_>) {
    match event {
        Event::Text(piece) | Event::Code(piece) => text.push_str(piece),
        Event::SoftBreak | Event::HardBreak => text.push(' '),
        _ => {}
    }
}

/// Makes anchors the way code hosts do: lower case, spaces as `-`, punctuation
/// left out, and a number behind one that was there before.
#[derive(Default)]
struct Ids {
    /// The ids given so far, each with the highest number that stands behind it.
    taken: HashMap<String, usize>,
}

impl Ids {
    fn unique(&mut self, text: &str) -> String {
        let mut slug = String::with_capacity(text.len());
        for letter in text.chars().flat_map(char::to_lowercase) {
            if letter.is_alphanumeric() || matches!(letter, '-' | '_') {
                slug.push(letter);
            } else if letter.is_whitespace() {
                slug.push('-');
            }
        }
        if slug.is_empty() {
            slug.push_str("section");
        }
        let mut id = slug.clone();
        // Remembered, because counting from 1 each time takes minutes for a
        // text of a hundred thousand equal headings.
        let mut number = self.taken.get(&slug).copied().unwrap_or(0);
        while self.taken.contains_key(&id) {
            number += 1;
            id = format!("{slug}-{number}");
        }
        self.taken.insert(slug, number);
        self.taken.entry(id.clone()).or_insert(0);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        outline(text, &Config::default()).headings.into_iter().map(|heading| heading.id).collect()
    }

    #[test]
    fn headings_lose_their_markup() {
        let found = outline("# A *b* `c`\n\nSub\n---\n", &Config::default());
        let heading =
            |level, text: &str, id: &str| Heading { level, text: text.into(), id: id.into() };
        assert_eq!(found.headings, [heading(1, "A b c", "a-b-c"), heading(2, "Sub", "sub")]);
    }

    #[test]
    fn equal_headings_have_different_ids() {
        assert_eq!(
            ids("# Same\n# Same\n# Same-1\n# Same\n"),
            ["same", "same-1", "same-1-1", "same-2"]
        );
    }

    #[test]
    fn a_heading_without_letters_still_has_an_id() {
        assert_eq!(ids("# !\n#\n## Größe ändern?\n"), ["section", "section-1", "größe-ändern"]);
    }

    #[test]
    fn many_equal_headings_take_no_more_than_a_moment() {
        let found = ids(&"# Same\n".repeat(100_000));
        assert_eq!(found.last().map(String::as_str), Some("same-99999"));
    }

    #[test]
    fn a_hash_in_code_is_no_heading() {
        assert!(ids("```\n# no\n```\n").is_empty());
    }
}
