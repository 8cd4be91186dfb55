//! The order in which a query's answer comes.

use crate::query::folded;
use crate::{PluginRecord, Query};

/// How much it counts where a word is found. A word counts by its best place only, and
/// words are added up.
mod points {
    pub(super) const WHOLE_NAME: u32 = 100;
    pub(super) const WHOLE_TAG: u32 = 60;
    pub(super) const NAME_BEGINS: u32 = 40;
    pub(super) const IN_NAME: u32 = 20;
    pub(super) const IN_TAG: u32 = 10;
    pub(super) const WORD_OF_DESCRIPTION: u32 = 5;
    pub(super) const IN_DESCRIPTION: u32 = 2;
}

/// Those of the records in which all words are found, in their order, up to the limit.
pub(crate) fn arranged(records: Vec<PluginRecord>, query: &Query) -> Vec<PluginRecord> {
    let words = query.words();
    let mut found: Vec<_> =
        records.into_iter().filter_map(|record| Some((score(&record, &words)?, record))).collect();
    found.sort_by(|(a_score, a), (b_score, b)| {
        b_score
            .cmp(a_score)
            .then_with(|| a.id.cmp(&b.id))
            .then_with(|| b.version.cmp(&a.version))
            .then_with(|| a.hash.cmp(&b.hash))
    });
    found.truncate(query.limit.unwrap_or(usize::MAX));
    found.into_iter().map(|(_, record)| record).collect()
}

/// All that words are searched for in, so that a text without a word need not be looked
/// at more closely.
#[cfg(feature = "sqlite")]
pub(crate) fn searched(record: &PluginRecord) -> String {
    let tags = record.kinds.iter().chain(&record.capabilities);
    let names = [record.id.as_str(), &record.name, &record.description];
    // No word has a line's end in it, and none goes from one text to the next.
    let texts = names.into_iter().chain(tags.map(String::as_str)).map(folded);
    texts.collect::<Vec<_>>().join("\n")
}

/// How well the words fit; nothing, where one of them is not found.
fn score(record: &PluginRecord, words: &[String]) -> Option<u32> {
    if words.is_empty() {
        return Some(0);
    }
    let names = [folded(record.id.as_str()), folded(&record.name)];
    let tags: Vec<_> =
        record.kinds.iter().chain(&record.capabilities).map(|tag| folded(tag)).collect();
    let description = folded(&record.description);
    words.iter().map(|word| score_of(word, &names, &tags, &description)).sum()
}

fn score_of(word: &str, names: &[String], tags: &[String], description: &str) -> Option<u32> {
    let name = |fits: &dyn Fn(&String) -> bool| names.iter().any(fits);
    let tag = |fits: &dyn Fn(&String) -> bool| tags.iter().any(fits);
    let mut described = description.split(|c: char| !c.is_alphanumeric());
    [
        (points::WHOLE_NAME, name(&|name| name == word)),
        (points::WHOLE_TAG, tag(&|tag| tag == word)),
        (points::NAME_BEGINS, name(&|name| name.starts_with(word))),
        (points::IN_NAME, name(&|name| name.contains(word))),
        (points::IN_TAG, tag(&|tag| tag.contains(word))),
        (points::WORD_OF_DESCRIPTION, described.any(|it| it == word)),
        (points::IN_DESCRIPTION, description.contains(word)),
    ]
    .into_iter()
    .find_map(|(points, fits)| fits.then_some(points))
}
