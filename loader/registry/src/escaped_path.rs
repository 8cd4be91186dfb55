//! Paths as text, none of whose bytes is lost: a byte that is not part of UTF-8 is
//! written as `\xff`, and a backslash as `\\`. All other paths are written as they are.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

/// The path as text.
pub(crate) fn escape(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!(r"\x{byte:02x}")));
    }
    text
}

/// The path that a text stands for. A backslash that begins nothing stands for itself,
/// as somebody may have written the text by hand.
pub(crate) fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = escaped(after).unwrap_or((b'\\', 0));
        bytes.push(byte);
        rest = after.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes).into()
}

/// The byte that stands behind a backslash, and in how many.
fn escaped(text: &str) -> Option<(u8, usize)> {
    if text.starts_with('\\') {
        return Some((b'\\', 1));
    }
    let digits = text.strip_prefix('x')?.get(..2)?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plain).map(|byte| (byte, 3))
}

/// A path as it can be shown: on one line, without what moves the cursor.
pub(crate) fn printable(path: &Path) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::new();
    for c in escape(path).chars() {
        match c.is_control() || turns(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&escape(path))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(unescape(&String::deserialize(from)?))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_path_survives(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let path = Path::new(OsStr::from_bytes(&bytes));
            prop_assert_eq!(unescape(&escape(path)), path);
        }

        #[test]
        fn every_text_is_a_path(text in r"[\\xf0ä+]{0,12}") {
            let path = unescape(&text);
            prop_assert_eq!(unescape(&escape(&path)), path);
        }
    }

    #[test]
    fn usual_paths_are_readable() {
        let path = Path::new(OsStr::from_bytes(b"/pl\xc3\xb6ts/a\\b\xff.so"));
        assert_eq!(escape(path), r"/plöts/a\\b\xff.so");
        assert_eq!(unescape(r"C:\plots\x+1"), Path::new(r"C:\plots\x+1"));
        assert_eq!(printable(Path::new("/a\n\u{202e}b")), r"/a\n\u{202e}b");
    }
}
