use plugbay_interface::data;
use pulldown_cmark::{Event, Parser, TagEnd};

use crate::config::Config;
use crate::outline::push_visible;

const WORDS_A_MINUTE: usize = 200;

/// What `words` gives.
#[data]
#[derive(Debug, PartialEq)]
pub struct Words {
    /// Runs of visible characters that hold a letter or a digit.
    pub words: usize,
    /// Visible characters, white space not counted.
    pub characters: usize,
    /// At 200 words a minute, rounded up.
    pub reading_minutes: usize,
}

/// Counts what a reader sees of `text`: markup, link targets and raw HTML do not count.
pub fn words(text: &str, config: &Config) -> Words {
    let mut visible = String::with_capacity(text.len());
    for event in Parser::new_ext(text, config.options()) {
        match event {
            // The last word of a block and the first of the next are two words;
            // the two halves of `un*believ*able` are one.
            Event::End(end) if !is_inline(end) => visible.push(' '),
            event => push_visible(&mut visible, &event),
        }
    }
    let words =
        visible.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
    Words {
        words,
        characters: visible.chars().filter(|letter| !letter.is_whitespace()).count(),
        reading_minutes: words.div_ceil(WORDS_A_MINUTE),
    }
}

fn is_inline(end: TagEnd) -> bool {
    matches!(end, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> (usize, usize, usize) {
        let Words { words, characters, reading_minutes } = words(text, &Config::default());
        (words, characters, reading_minutes)
    }

    #[test]
    fn markup_does_not_count() {
        assert_eq!(count("# One\n\n[two](https://x.org) un*believ*able — `four`\n"), (4, 23, 1));
        assert_eq!(count("<div class=\"x\">\n</div>\n"), (0, 0, 0));
        assert_eq!(count(""), (0, 0, 0));
    }

    #[test]
    fn blocks_and_cells_part_words() {
        assert_eq!(count("a\n\nb\n"), (2, 2, 1));
        assert_eq!(count("| a | b |\n|---|---|\n| c | d |\n"), (4, 4, 1));
        assert_eq!(count("a\nb\n"), (2, 2, 1));
    }

    #[test]
    fn minutes_are_rounded_up() {
        assert_eq!(count(&"word ".repeat(200)).2, 1);
        assert_eq!(count(&"word ".repeat(201)).2, 2);
    }
}
