//! Patterns of schemas: ECMA 262's, as far as an engine reads them whose time is
//! linear. Look-around and back references are not.

use regex::{Regex, RegexBuilder};

/// How much memory a pattern may take, in bytes, compiled and at work.
pub(super) const SIZE: usize = 1 << 20;

/// The pattern as the validator has it, or what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = jsonschema_regex::to_rust_regex(pattern)
        .map_err(|()| String::from("this pattern is not read"))?;
    RegexBuilder::new(&translated).size_limit(SIZE).dfa_size_limit(SIZE).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "this pattern is too large".into(),
            _ => "this pattern is not read".into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_could_take_without_end_are_refused() {
        assert!(compile("^[a-z]+\\d{1,3}$").unwrap().is_match("ab12"));
        for bad in ["(", "(?=a)b", "(?<!a)b", "(a)\\1", "((a{1000}){1000}){100}"] {
            assert!(compile(bad).is_err(), "{bad}");
        }
        // Takes backtracking engines longer than a life.
        assert!(!compile("^(a+)+$").unwrap().is_match(&format!("{}b", "a".repeat(100_000))));
    }
}
