//! Secrets out of what is printed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::document::HIDDEN;

/// Shorter ones stand in too many words that are no secrets.
const SHORTEST: usize = 4;

/// Takes secrets out of texts: a plugin's messages and logs.
///
/// Every occurrence of a secret of four characters or more is replaced by `***`: as it
/// is, and with any of its characters escaped as in JSON (`\n`, `\u00e4`) or
/// percent-encoded as in URLs (`%C3%A4`, also `+` for a space). Where occurrences
/// overlap, all that they cover is replaced.
///
/// Not found are secrets that were changed in another way: cut in pieces, hashed, in
/// Base64, escaped twice.
///
/// The secrets are overwritten with zeros when this is dropped.
#[derive(Clone, Default)]
pub struct Scrubber {
    secrets: Vec<Zeroizing<String>>,
}

impl Scrubber {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kept: Vec<Zeroizing<String>> = Vec::new();
        for secret in secrets {
            let long = secret.chars().count() >= SHORTEST;
            if long && !kept.iter().any(|known| known.as_str() == secret) {
                kept.push(Zeroizing::new(secret.to_owned()));
            }
        }
        Self { secrets: kept }
    }

    /// Puts the secrets of two together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = self.secrets.iter().chain(&other.secrets);
        Self::new(both.map(|secret| secret.as_str()))
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The text without secrets; borrowed if it has none.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut covered: Vec<Range<usize>> = Vec::new();
        for secret in &self.secrets {
            let Some(first) = secret.chars().next() else { continue };
            for (start, c) in text.char_indices() {
                if !may_begin(c, first) {
                    continue;
                }
                if let Some(end) = end_of(secret, text, start) {
                    covered.push(start..end);
                }
            }
        }
        if covered.is_empty() {
            return Cow::Borrowed(text);
        }
        covered.sort_by_key(|range| range.start);
        let mut scrubbed = String::with_capacity(text.len());
        let mut done = 0;
        for range in covered {
            // What overlaps is replaced once.
            if range.start >= done {
                scrubbed.push_str(text.get(done..range.start).unwrap_or_default());
                scrubbed.push_str(HIDDEN);
            }
            done = done.max(range.end);
        }
        scrubbed.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(scrubbed)
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({} secrets)", self.secrets.len())
    }
}

fn may_begin(found: char, first: char) -> bool {
    found == first || found == '%' || found == '\\' || found == '+' && first == ' '
}

/// Where the secret ends that begins at `start`, the furthest of several ends. All
/// ways to read the text are followed at once, as `%25` may be itself or a `%`.
fn end_of(secret: &str, text: &str, start: usize) -> Option<usize> {
    let mut places = vec![start];
    for wanted in secret.chars() {
        let mut next = Vec::new();
        for place in places {
            let rest = text.get(place..).unwrap_or_default();
            for length in [plain(rest, wanted), percent(rest, wanted), json(rest, wanted)] {
                if let Some(end) =
                    length.map(|length| place + length).filter(|end| !next.contains(end))
                {
                    next.push(end);
                }
            }
        }
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    places.into_iter().max()
}

fn plain(text: &str, wanted: char) -> Option<usize> {
    (text.starts_with(wanted) || wanted == ' ' && text.starts_with('+')).then(|| match wanted {
        ' ' => 1,
        other => other.len_utf8(),
    })
}

/// Each byte of the character as `%` and two digits.
fn percent(text: &str, wanted: char) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut length = 0;
    for byte in wanted.encode_utf8(&mut bytes).bytes() {
        let digits = text.get(length..length + 3)?.strip_prefix('%')?;
        if u8::from_str_radix(digits, 16).ok()? != byte {
            return None;
        }
        length += 3;
    }
    Some(length)
}

/// As in a JSON text: short escapes, and `\u` with four digits once or twice.
fn json(text: &str, wanted: char) -> Option<usize> {
    let escaped = text.strip_prefix('\\')?;
    let short = match wanted {
        '"' | '\\' | '/' | '\'' => Some(wanted),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    };
    if short.is_some_and(|short| escaped.starts_with(short)) {
        return Some(2);
    }
    let mut units = [0; 2];
    let mut length = 0;
    for unit in wanted.encode_utf16(&mut units) {
        let digits = text.get(length..length + 6)?.strip_prefix("\\u")?;
        if u16::from_str_radix(digits, 16).ok()? != *unit {
            return None;
        }
        length += 6;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrub(secrets: &[&str], text: &str) -> String {
        Scrubber::new(secrets.iter().copied()).scrub(text).into_owned()
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
        assert_eq!(scrub(&["hunter2"], "hunter2, (hunter2) hunter22"), "***, (***) ***2");
        assert_eq!(scrub(&["hunter2"], "hunter"), "hunter");
        assert_eq!(scrub(&["abc"], "abc is too short to tell"), "abc is too short to tell");
        assert_eq!(scrub(&["äöü1"], "xäöü1y"), "x***y");
        assert!(matches!(Scrubber::new(["abcd"]).scrub("nothing"), Cow::Borrowed(_)));
        assert_eq!(format!("{:?}", Scrubber::new(["abcd"])), "Scrubber(1 secrets)");
    }

    #[test]
    fn secrets_that_overlap_leave_nothing() {
        assert_eq!(scrub(&["abcd", "cdef"], "-abcdef-"), "-***-");
        assert_eq!(scrub(&["abcdef", "bcde"], "-abcdef-"), "-***-");
        assert_eq!(scrub(&["aaaa"], "-aaaaaa-"), "-***-");
        assert_eq!(scrub(&["abcd"], "abcdabcd"), "******");
    }

    #[test]
    fn escaped_secrets_are_replaced_as_well() {
        let secret = "a\"b\\c/ä\n😀 %25";
        let json = serde_json::to_string(secret).unwrap();
        assert_eq!(scrub(&[secret], &json), "\"***\"");
        assert_eq!(scrub(&[secret], r#"a\"b\\c\/\u00e4\n\uD83D\ude00 %25"#), "***");
        assert_eq!(scrub(&[secret], "?x=a%22b%5cc%2F%C3%A4%0A%F0%9F%98%80+%2525&y"), "?x=***&y");
        assert_eq!(scrub(&[secret], "a%22b%5Cc/%c3%a4%0a😀%20%25"), "***");
        assert_eq!(scrub(&["%41%42"], "%41%42 %2541%2542 AB"), "*** *** AB");
    }

    proptest! {
        #[test]
        fn no_secret_is_left_and_nothing_else_is_taken(
            secret in "[a-c%\\\\\"ä +]{4,6}", texts in prop::collection::vec("[x-z%\\\\ä ]{0,5}", 1..4)
        ) {
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let json = serde_json::to_string(&secret).unwrap();
            for form in [secret.as_str(), &encoded, json.trim_matches('"')] {
                let scrubbed = scrub(&[&secret], &texts.join(form));
                if form.len() > 3 && texts.len() > 1 && !form.ends_with('\\') {
                    prop_assert!(!scrubbed.contains(form), "{scrubbed}");
                }
            }
            let text = texts.join("");
            if !text.contains(['%', '\\']) {
                prop_assert_eq!(scrub(&["q-none"], &text), text);
            }
        }

        #[test]
        fn any_text_is_scrubbed_without_a_panic(secret in ".{4,8}", text in ".{0,40}") {
            let _ = scrub(&[&secret], &format!("{text}{secret}%{text}\\u{text}"));
        }
    }
}
