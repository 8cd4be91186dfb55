//! The known word that somebody may have meant.

/// The one of `known` that is nearest to `word`, if any is near: about one slip of
/// the hand in three letters. Of two that are as near, the first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What is compared is of foreign lengths, and the time is their product.
    if word.len() > 100 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= 100)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_in_three_letters_is_near() {
        let known = ["precedence", "plugins", "probe"];
        assert_eq!(nearest("precedense", known), Some("precedence"));
        assert_eq!(nearest("plugin", known), Some("plugins"));
        assert_eq!(nearest("Prboe", known), Some("probe"));
        assert_eq!(nearest("socket", known), None);
        assert_eq!(nearest("drain-limit", ["drain_limit"]), Some("drain_limit"));
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
