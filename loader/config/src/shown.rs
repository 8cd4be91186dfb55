//! Foreign text, made safe to print.

use std::path::Path;

/// Foreign text on one line: what would move the cursor or turn the writing around
/// is escaped.
pub fn word(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if moves_the_cursor(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Foreign text on one line of at most `most` characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let begin: String = characters.by_ref().take(most).collect();
    let mut shown = word(&begin);
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A path on one line, with invalid UTF-8 escaped.
pub fn path(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        shown.push_str(&word(chunk.valid()));
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Controls, and the marks that change the direction of writing.
pub fn moves_the_cursor(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `a`, `b` and `c`, each in backquotes; at most 12 of them.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|name| format!("`{}`", short(name, 60))).collect();
    match words.as_slice() {
        [] => "none".into(),
        [only] => only.clone(),
        [begin @ .., last] if words.len() <= 12 => format!("{} and {last}", begin.join(", ")),
        _ => {
            let begin = words.get(..12).unwrap_or_default().join(", ");
            format!("{begin} and {} more", words.len().saturating_sub(12))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_its_line_and_short() {
        assert_eq!(word("a\n\x1b[2J\u{202e}ä"), "a\\n\\u{1b}[2J\\u{202e}ä");
        assert_eq!(short("äöü", 3), "äöü");
        assert_eq!(short("äöüß", 3), "äöü…");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let hostile = Path::new(std::ffi::OsStr::from_bytes(b"a\xff\n"));
            assert_eq!(path(hostile), "a\\xff\\n");
        }
    }

    #[test]
    fn lists_read_as_a_sentence_and_end() {
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert!(listed(["x"; 40]).ends_with("`x` and 28 more"));
    }
}
