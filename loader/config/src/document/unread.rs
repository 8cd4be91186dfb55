//! What may be shown of a file that could not be read: nobody knows what in it is a value.

use std::ops::Range;

use super::Syntax;
use super::excerpt::excerpt;
use super::place::line_around;

/// The line with its first key, as far as it can be told, and `***` for what is behind it,
/// unless that is punctuation.
pub(super) fn excerpt_unread(text: &str, span: &Range<usize>, syntax: Syntax) -> String {
    let line = line_around(text, span.start);
    let written = text.get(line.clone()).unwrap_or_default();
    if !has_value(written) || syntax == Syntax::Toml && is_header(written) {
        return excerpt(text, span, &[]);
    }
    let end = line.start + up_to_value(written, syntax);
    let rest = end..line.end;
    if !has_value(text.get(rest.clone()).unwrap_or_default()) {
        return excerpt(text, span, &[]);
    }
    let span = if span.start < end { span.start..span.end.min(end) } else { rest.clone() };
    excerpt(text, &span, &[rest])
}

/// Whether there is more than punctuation.
fn has_value(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !c.is_ascii_punctuation())
}

/// `[config.sql]`, perhaps without its end.
fn is_header(line: &str) -> bool {
    let name = line.trim_start_matches('[');
    let name = name.trim_end().trim_end_matches(']');
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_bare);
    line.starts_with('[') && is_name
}

/// How much of a line is a key with what stands around it: nothing where it may be the
/// middle of a text.
fn up_to_value(line: &str, syntax: Syntax) -> usize {
    let is_around = |c: char| c.is_whitespace() || matches!(c, '{' | '[' | ',' | '-');
    let inner = line.trim_start_matches(is_around);
    let key = match inner.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            inner.get(1..).and_then(|rest| rest.find(quote)).map_or(0, |end| end + 2)
        }
        _ => {
            let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            inner.find(|c| !is_bare(c)).unwrap_or(inner.len())
        }
    };
    let (key, rest) = inner.split_at_checked(key).unwrap_or_default();
    let sign = if syntax == Syntax::Toml { '=' } else { ':' };
    let after = rest.trim_start();
    let Some(value) = after.strip_prefix(sign).filter(|_| !key.is_empty()) else { return 0 };
    // Behind a colon `//host` is an address, and `=` behind a word may be the end of base64.
    let is_apart = match syntax {
        _ if key.starts_with(['"', '\'']) || rest != after => true,
        Syntax::Toml => has_value(value),
        Syntax::Yaml | Syntax::Json => {
            value.is_empty() || value.starts_with([' ', '\t', '{', '[', '"', '\''])
        }
    };
    // With `,` or `]` next, it is an entry of a list, and the sign a slip.
    let is_apart = is_apart && !value.trim_start().starts_with([',', ']', '}']);
    if is_apart { line.len() - value.trim_start().len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(syntax: Syntax, text: &str, at: usize) -> String {
        let shown = excerpt_unread(text, &(at..at), syntax);
        shown.lines().skip(1).map(|line| line.get(4..).unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_key_is_shown_and_no_value() {
        for (syntax, text, expected) in [
            (Syntax::Toml, "port = ten", "port = ***"),
            (Syntax::Toml, "port=ten # x", "port=***"),
            (Syntax::Toml, "a.'b c' = 1", "***"),
            (Syntax::Toml, "'b c' = { d = 1 }", "'b c' = ***"),
            (Syntax::Toml, "port = [", "port = ["),
            (Syntax::Toml, "[config.sql", "[config.sql"),
            (Syntax::Toml, "[[a]]", "[[a]]"),
            (Syntax::Toml, "[ 'hunter2' ]", "***"),
            (Syntax::Toml, "[1234]", "***"),
            (Syntax::Toml, "  'hunter2',", "***"),
            (Syntax::Toml, "aHVudGVyMg==", "***"),
            (Syntax::Toml, "'''", "'''"),
            (Syntax::Yaml, "  port: 1", "  port: ***"),
            (Syntax::Yaml, "- {name: x, dsn: hunter2", "- {name: ***"),
            (Syntax::Yaml, "- hunter2", "***"),
            (Syntax::Yaml, "postgres://hunter2", "***"),
            (Syntax::Yaml, "sql:", "sql:"),
            (Syntax::Json, r#"{"a":{"b":"hunter2"}"#, r#"{"a":***"#),
            (Syntax::Json, r#"["hunter2","#, "***"),
            (Syntax::Json, r#"  "hunter2":]"#, "***"),
            (Syntax::Json, "}}", "}}"),
        ] {
            let shown = shown(syntax, text, text.len());
            assert_eq!(shown.lines().next(), Some(expected), "{text}");
        }
    }

    #[test]
    fn marks_stand_where_the_place_is_or_is_hidden() {
        let text = "x = 1\nport = ten, ";
        for (at, marks) in [(6, "^"), (11, "     ^"), (13, "       ^^^"), (18, "       ^^^")] {
            assert_eq!(shown(Syntax::Toml, text, at), format!("port = ***\n{marks}"), "{at}");
        }
    }
}
