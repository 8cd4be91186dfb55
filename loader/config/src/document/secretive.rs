//! Words by which a line looks as if it had a secret on it.

use std::ops::Range;

use super::place::line_around;
use crate::key_path::{KeyPath, Step};

const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
    "accesskey",
    "access_key",
];

/// Whether the line of a place, or the way to it, names something secret. A guess: a
/// message that hides too much still has the place, and one that hides too little
/// ends up in a log.
pub(super) fn looks_secret(text: &str, span: &Range<usize>, path: &KeyPath) -> bool {
    let line = text.get(line_around(text, span.start)).unwrap_or_default();
    is_secretive(line)
        || path.steps().iter().any(|step| match step {
            Step::Key(key) => is_secretive(key),
            Step::Index(_) => false,
        })
}

/// Whether a word, for example a key, names something secret: `db_password`, `Api-Key`. A
/// guess.
pub fn is_secretive(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace('-', "_");
    WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for secret in ["db_PASSWORD = 3", "API-Key: x", "  clientSecret: y", "{\"accessKey\": 1"] {
            assert!(is_secretive(secret), "{secret}");
        }
        for other in ["pool = 3", "key = \"x\"", "passes = 3", "pass_rows = true"] {
            assert!(!is_secretive(other), "{other}");
        }
    }
}
