//! Which known word is spelled like one that nobody knows.

use std::collections::HashMap;

/// The word that is spelled most like one, if any is. Each is looked for once, and in all
/// with a bounded effort, beyond which nothing is like anything: it is only a suggestion.
pub(crate) struct Spelling<'a> {
    known: Vec<&'a String>,
    found: HashMap<&'a str, Option<&'a String>>,
    effort: usize,
}

/// Letters compared with letters, in all.
const MOST_COMPARED: usize = 5_000_000;
/// Nobody mistypes words that are longer, in bytes.
const LONGEST: usize = 64;

impl<'a> Spelling<'a> {
    pub(crate) fn new(known: impl Iterator<Item = &'a String>) -> Self {
        let mut known: Vec<_> = known.filter(|it| it.len() <= LONGEST).collect();
        known.sort_unstable();
        known.dedup();
        Self { known, found: HashMap::new(), effort: MOST_COMPARED }
    }

    pub(crate) fn nearest(&mut self, word: &'a str) -> Option<&'a String> {
        if word.len() > LONGEST {
            return None;
        }
        if let Some(found) = self.found.get(word) {
            return *found;
        }
        let mut best: Option<(f64, &'a String)> = None;
        for known in &self.known {
            self.effort = self.effort.saturating_sub(8 + word.len() * known.len());
            if self.effort == 0 {
                break;
            }
            let alike = strsim::normalized_damerau_levenshtein(word, known);
            if alike > 0.7 && best.is_none_or(|(most, _)| alike > most) {
                best = Some((alike, known));
            }
        }
        let found = best.map(|(_, known)| known);
        self.found.insert(word, found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_words_that_are_alike_the_first_is_meant() {
        let known = ["tracker".to_owned(), "trackers".to_owned(), "renderer".to_owned()];
        let mut spelling = Spelling::new(known.iter());
        assert_eq!(spelling.nearest("trakcer"), Some(&known[0]));
        assert_eq!(spelling.nearest("source"), None);
        let long = "tracker".repeat(100_000);
        assert_eq!(spelling.nearest(&long), None);
    }

    #[test]
    fn when_the_effort_is_over_nothing_is_alike() {
        let known: Vec<_> = (0..10_000).map(|it| format!("kind-number-{it:05}")).collect();
        let words: Vec<_> = (0..10_000).map(|it| format!("kind-numbre-{it:05}")).collect();
        let mut spelling = Spelling::new(known.iter());
        assert!(spelling.nearest(&words[7]).is_some());
        assert!(words[8..].iter().filter(|word| spelling.nearest(word).is_some()).count() < 9);
    }
}
