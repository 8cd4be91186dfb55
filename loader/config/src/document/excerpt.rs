//! One line of a file, with marks under a place in it.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use super::place::{line_around, place_of};
use super::tree::Node;
use crate::shown::{moves_the_cursor, word};

/// How much of a line is shown, in columns of a terminal.
const WIDEST: usize = 100;
/// How much of it at least stands before the place, where it is cut.
const BEFORE: usize = 30;
/// What stands where a secret may be.
pub(crate) const HIDDEN: &str = "***";

/// The line around the beginning of `span`, in the look of the parsers' own errors:
///
/// ```text
///   |
/// 3 | pool = "ten"
///   |        ^^^^^
/// ```
///
/// For each of the values that are to be hidden, in the file's order, `***` is shown.
pub(super) fn excerpt(text: &str, span: &Range<usize>, hide: &[Range<usize>]) -> String {
    let line = line_around(text, span.start);
    let start = span.start.clamp(line.start, line.end);
    let end = span.end.clamp(start, line.end);
    let part = |part: Range<usize>| without(text, part, hide);
    let (before, marked, after) = (part(line.start..start), part(start..end), part(end..line.end));

    let marked = first_columns(&marked, WIDEST - BEFORE);
    let room = WIDEST.saturating_sub(marked.columns);
    let wide: usize = before.chars().map(columns).sum();
    let before = last_columns(&before, if wide <= room { wide } else { BEFORE.min(room) });
    let after = if marked.cut {
        Cut { shown: String::new(), columns: 0, cut: false }
    } else {
        first_columns(&after, room.saturating_sub(before.columns))
    };
    let source = format!(
        "{}{}{}{}{}",
        if before.cut { "…" } else { "" },
        before.shown,
        marked.shown,
        after.shown,
        if marked.cut || after.cut { "…" } else { "" }
    );
    let indent = before.columns + usize::from(before.cut);
    framed(text, span, source.trim_end(), indent, marked.columns)
}

/// The excerpt of a file that was read, in which no value is shown but the one that is marked:
/// a whole file may be one line, and what else is on it is nothing for a log. It may be a
/// plugin's, and a secret that only that plugin's schema knows as one.
pub(super) fn excerpt_of_one(text: &str, span: &Range<usize>, tree: &Node) -> String {
    let mut others = tree.values_in(&line_around(text, span.start));
    others.retain(|value| value != span);
    excerpt(text, span, &others)
}

/// A part of a text with `***` for what is in it of these values.
fn without(text: &str, part: Range<usize>, values: &[Range<usize>]) -> String {
    let (mut kept, mut at) = (String::new(), part.start);
    for value in values {
        let (start, end) = (value.start.clamp(at, part.end), value.end.clamp(at, part.end));
        if start < end {
            kept.push_str(text.get(at..start).unwrap_or_default());
            kept.push_str(HIDDEN);
            at = end;
        }
    }
    kept.push_str(text.get(at..part.end).unwrap_or_default());
    kept
}

/// The same without the line's content: of a key its name, of a value nothing.
pub(super) fn hidden(text: &str, span: &Range<usize>, key: Option<&Range<usize>>) -> String {
    let line = line_around(text, span.start);
    let key = key.filter(|key| key.start >= line.start && key.end <= line.end);
    let name = key.and_then(|key| text.get(key.clone())).map(|key| first_columns(key, 60).shown);
    match (name, key) {
        (Some(name), Some(key)) if key == span => {
            let width = name.chars().map(columns).sum();
            framed(text, span, &format!("{name} {HIDDEN}"), 0, width)
        }
        (Some(name), _) => {
            let width: usize = name.chars().map(columns).sum();
            framed(text, span, &format!("{name} {HIDDEN}"), width + 1, HIDDEN.len())
        }
        _ => framed(text, span, HIDDEN, 0, HIDDEN.len()),
    }
}

fn framed(text: &str, span: &Range<usize>, source: &str, indent: usize, width: usize) -> String {
    let line = place_of(text, span.start).line;
    let gutter = " ".repeat(line.to_string().len());
    let (before, marks) = (" ".repeat(indent), "^".repeat(width.max(1)));
    format!("{gutter} |\n{line} | {source}\n{gutter} | {before}{marks}")
}

struct Cut {
    shown: String,
    columns: usize,
    /// Whether something is left out.
    cut: bool,
}

fn first_columns(text: &str, most: usize) -> Cut {
    let mut cut = Cut { shown: String::new(), columns: 0, cut: false };
    for c in text.chars() {
        let wide = columns(c);
        if cut.columns + wide > most {
            cut.cut = true;
            break;
        }
        cut.columns += wide;
        cut.shown.push_str(&printed(c));
    }
    cut
}

fn last_columns(text: &str, most: usize) -> Cut {
    let mut cut = Cut { shown: String::new(), columns: 0, cut: false };
    let mut kept = Vec::new();
    for c in text.chars().rev() {
        let wide = columns(c);
        if cut.columns + wide > most {
            cut.cut = true;
            break;
        }
        cut.columns += wide;
        kept.push(printed(c));
    }
    cut.shown = kept.into_iter().rev().collect();
    cut
}

/// A tab is one space, so that the marks stand where they should.
fn printed(c: char) -> String {
    if c == '\t' { " ".into() } else { word(c.encode_utf8(&mut [0; 4])) }
}

fn columns(c: char) -> usize {
    if c == '\t' || !moves_the_cursor(c) { c.width().unwrap_or(1) } else { printed(c).len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, what: &str) -> String {
        let start = text.find(what).unwrap();
        excerpt(text, &(start..start + what.len()), &[])
    }

    #[test]
    fn marks_stand_under_the_place() {
        assert_eq!(marked("a = 1\n\tb = 22 # x\n", "22"), "  |\n2 |  b = 22 # x\n  |      ^^");
        assert_eq!(marked("名 = 'x'\r\n", "'x'"), "  |\n1 | 名 = 'x'\n  |      ^^^");
        assert_eq!(excerpt("a = ", &(4..4), &[]), "  |\n1 | a =\n  |     ^");
        assert_eq!(marked("x = [\n1,\n]", "[\n1,\n]"), "  |\n1 | x = [\n  |     ^");
        assert_eq!(excerpt("", &(7..9), &[]), "  |\n1 | \n  | ^");
    }

    #[test]
    fn controls_are_shown_and_counted() {
        assert_eq!(marked("\x1b[2J = 1", "1"), "  |\n1 | \\u{1b}[2J = 1\n  |             ^");
    }

    #[test]
    fn what_is_hidden_is_cut_out_before_behind_and_inside_of_the_marks() {
        let text = "a = 'old\nx', b = [22, 3], c = 4444\n";
        let hide = [4..11, 18..20, 22..23, 30..34];
        let shown = "  |\n2 | ***, b = [***, ***], c = ***\n  |          ^^^^^^^^^^";
        assert_eq!(excerpt(text, &(17..24), &hide), shown);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{} = HERE, {}", "k".repeat(500), "v".repeat(500));
        let shown = marked(&text, "HERE");
        for line in shown.lines() {
            assert!(line.chars().count() <= WIDEST + 6, "{line}");
        }
        let (source, marks) = (shown.lines().nth(1).unwrap(), shown.lines().nth(2).unwrap());
        assert!(source.starts_with("1 | …kkk") && source.ends_with("vvv…"), "{source}");
        let at = marks.chars().position(|c| c == '^').unwrap();
        assert_eq!(source.chars().skip(at).take(4).collect::<String>(), "HERE");
        let long = format!("k = \"{}\"", "x".repeat(1_000_000));
        assert!(marked(&long, long.get(4..).unwrap()).len() < 400);
    }

    #[test]
    fn what_is_hidden_leaves_a_keys_name_only() {
        let text = "x = 1, password = \"hunter2\"\n";
        let (key, value) = (7..15, 18..27);
        assert_eq!(hidden(text, &value, Some(&key)), "  |\n1 | password ***\n  |          ^^^");
        assert_eq!(hidden(text, &key, Some(&key)), "  |\n1 | password ***\n  | ^^^^^^^^");
        assert_eq!(hidden(text, &value, None), "  |\n1 | ***\n  | ^^^");
    }
}
