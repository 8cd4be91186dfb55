//! Where something is inside of a document, for people and for programs.

use std::fmt;

use crate::shown::{moves_the_cursor, word};

/// One step into a table or a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The key in a table.
    Key(String),
    /// The place in a list, from 0.
    Index(usize),
}

/// The way from a document's top to one of its values.
///
/// `Display` is for people, `plugins.sql.config.pool[0]`; [`KeyPath::pointer`] is a
/// JSON Pointer (RFC 6901), `/plugins/sql/config/pool/0`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The steps, the outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the document itself.
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// As a JSON Pointer; empty for the document itself.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&escaped(key)),
                Step::Index(at) => pointer.push_str(&at.to_string()),
            }
        }
        pointer
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// The same way one step further.
    pub(crate) fn join(&self, step: Step) -> Self {
        let mut longer = self.clone();
        longer.push(step);
        longer
    }
}

impl From<Vec<Step>> for KeyPath {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let plain = !key.is_empty()
                        && !key.contains(['.', '[', ']', '"', ' ', '`'])
                        && !key.chars().any(moves_the_cursor);
                    if plain {
                        f.write_str(key)?;
                    } else {
                        write!(f, "\"{}\"", word(key).replace('"', "\\\""))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One token of a JSON Pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The tokens of a JSON Pointer; none where the text is no pointer.
pub(crate) fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> KeyPath {
        KeyPath::from(vec![
            Step::Key("plugins".into()),
            Step::Key("a/b~".into()),
            Step::Key("x.y".into()),
            Step::Index(3),
            Step::Key("z".into()),
        ])
    }

    #[test]
    fn people_read_dots_and_programs_read_pointers() {
        assert_eq!(path().to_string(), "plugins.a/b~.\"x.y\"[3].z");
        assert_eq!(path().pointer(), "/plugins/a~1b~0/x.y/3/z");
        let hostile = KeyPath::from(vec![Step::Key("a\n\"\u{202e}".into())]);
        assert_eq!(hostile.to_string(), "\"a\\n\\\"\\u{202e}\"");
    }

    #[test]
    fn a_pointer_is_taken_apart_as_it_was_put_together() {
        let expected = ["plugins", "a/b~", "x.y", "3", "z"];
        assert_eq!(tokens(&path().pointer()).unwrap(), expected);
        assert_eq!(tokens("").unwrap(), Vec::<String>::new());
        assert_eq!(tokens("a"), None);
    }
}
