use std::fmt;
use std::ops::Range;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Where a byte of the text is; where the text ends if it has no such byte.
pub(super) fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..floor(text, offset)).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    Place { line, column }
}

/// The bytes of the line in which a byte of the text is, without its end.
pub(super) fn line_around(text: &str, offset: usize) -> Range<usize> {
    let offset = floor(text, offset);
    let start = text.get(..offset).unwrap_or_default().rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    start..start + line.strip_suffix('\r').unwrap_or(line).len()
}

fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_the_end_is_a_place() {
        let text = "ä = 1\r\nßb\n";
        assert_eq!(place_of(text, 0), Place { line: 1, column: 1 });
        assert_eq!(place_of(text, 1), Place { line: 1, column: 1 });
        assert_eq!(place_of(text, 3), Place { line: 1, column: 3 });
        assert_eq!(place_of(text, 10), Place { line: 2, column: 2 });
        assert_eq!(place_of(text, 12), Place { line: 3, column: 1 });
        assert_eq!(place_of(text, 99), Place { line: 3, column: 1 });
        assert_eq!(text.get(line_around(text, 5)), Some("ä = 1"));
        assert_eq!(text.get(line_around(text, 99)), Some(""));
    }
}
