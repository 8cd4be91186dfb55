//! What is kept, in the orders in which it goes: what has ended at once, and where there
//! is too much, what was not used for the longest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::Most;

/// What one of them takes beside its texts: the bookkeeping here, about.
const BESIDE: usize = 256;

/// A command by its number, and canonical arguments.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) command: usize,
    pub(super) arguments: Box<str>,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: HashMap<Arc<Question>, Entry>,
    /// By when each was used last, in the order of `next`.
    by_use: BTreeMap<u64, Arc<Question>>,
    /// By when each ends; of several at once, by the number that they came with.
    by_end: BTreeMap<(Instant, u64), Arc<Question>>,
    next: u64,
    bytes: usize,
    /// How often all was forgotten.
    epoch: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<str>,
    used: u64,
    end: (Instant, u64),
    bytes: usize,
}

impl Kept {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was answered, and is used now.
    pub(super) fn find(&mut self, question: &Question) -> Option<Arc<str>> {
        let used = self.number();
        let entry = self.entries.get_mut(question)?;
        let before = std::mem::replace(&mut entry.used, used);
        let answer = entry.answer.clone();
        if let Some(question) = self.by_use.remove(&before) {
            self.by_use.insert(used, question);
        }
        Some(answer)
    }

    /// Keeps an answer, in the place of an earlier one. What is larger than all that may be
    /// is not kept; else others go for it.
    pub(super) fn keep(&mut self, question: Question, answer: Arc<str>, end: Instant, most: Most) {
        self.remove(&question);
        let texts = question.arguments.len().saturating_add(answer.len());
        let bytes = texts.saturating_add(BESIDE);
        if bytes > most.bytes || most.entries == 0 {
            return;
        }
        while self.entries.len() >= most.entries || self.bytes.saturating_add(bytes) > most.bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
        let used = self.number();
        let (question, end) = (Arc::new(question), (end, used));
        self.by_use.insert(used, question.clone());
        self.by_end.insert(end, question.clone());
        self.bytes += bytes;
        self.entries.insert(question, Entry { answer, used, end, bytes });
    }

    pub(super) fn drop_what_ended(&mut self, now: Instant) {
        while let Some(first) = self.by_end.first_entry()
            && first.key().0 <= now
        {
            let question = first.remove();
            self.remove(&question);
        }
    }

    /// Drops all. Gives it.
    pub(super) fn forget(&mut self) -> Self {
        let epoch = self.epoch.wrapping_add(1);
        std::mem::replace(self, Self { epoch, ..Self::default() })
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.by_use.remove(&entry.used);
            self.by_end.remove(&entry.end);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn question(command: usize, arguments: &str) -> Question {
        Question { command, arguments: arguments.into() }
    }

    fn keep(kept: &mut Kept, arguments: &str, answer: &str, end: Instant, most: Most) {
        kept.keep(question(0, arguments), answer.into(), end, most);
        kept.check();
    }

    impl Kept {
        /// The orders are about the same entries, and the bytes are theirs.
        fn check(&self) {
            assert_eq!(self.by_use.len(), self.entries.len());
            assert_eq!(self.by_end.len(), self.entries.len());
            assert_eq!(self.bytes, self.entries.values().map(|it| it.bytes).sum::<usize>());
        }

        fn has(&mut self, arguments: &str) -> bool {
            self.find(&question(0, arguments)).is_some()
        }
    }

    #[test]
    fn what_was_not_used_for_the_longest_goes_first() {
        let end = Instant::now() + Duration::from_secs(60);
        let most = Most { entries: 2, bytes: 10_000 };
        let mut kept = Kept::default();
        keep(&mut kept, "a", "1", end, most);
        keep(&mut kept, "b", "2", end, most);
        assert!(kept.has("a"));
        keep(&mut kept, "c", "3", end, most);
        assert_eq!(["a", "b", "c"].map(|it| kept.has(it)), [true, false, true]);
        // Another command with the same arguments is another question.
        assert!(kept.find(&question(1, "a")).is_none());
        keep(&mut kept, "a", "4", end, most);
        assert_eq!(kept.find(&question(0, "a")).as_deref(), Some("4"));
        assert_eq!(kept.len(), 2);
        kept.check();
    }

    #[test]
    fn bytes_are_counted_and_what_is_too_large_alone_pushes_nothing_out() {
        let end = Instant::now() + Duration::from_secs(60);
        let most = Most { entries: 100, bytes: 3 * (BESIDE + 10) };
        let mut kept = Kept::default();
        for arguments in ["a", "b", "c"] {
            keep(&mut kept, arguments, "123456789", end, most);
        }
        assert_eq!((kept.len(), kept.bytes()), (3, most.bytes));
        keep(&mut kept, "d", &"x".repeat(most.bytes), end, most);
        assert_eq!(kept.len(), 3);
        // Instead of one it takes two.
        keep(&mut kept, "e", &"x".repeat(20), end, most);
        assert_eq!(["a", "b", "c", "e"].map(|it| kept.has(it)), [false, false, true, true]);
        assert!(kept.bytes() <= most.bytes);
        // A larger answer to the same question is not the old one.
        keep(&mut kept, "e", &"x".repeat(most.bytes), end, most);
        assert!(!kept.has("e") && kept.has("c"));
    }

    #[test]
    fn each_goes_when_its_time_is_over() {
        let begin = Instant::now();
        let (soon, later) = (begin + Duration::from_secs(1), begin + Duration::from_secs(2));
        let most = Most { entries: 100, bytes: 10_000 };
        let mut kept = Kept::default();
        keep(&mut kept, "later", "1", later, most);
        keep(&mut kept, "soon", "2", soon, most);
        keep(&mut kept, "as soon", "3", soon, most);
        kept.drop_what_ended(soon - Duration::from_nanos(1));
        assert_eq!(kept.len(), 3);
        kept.drop_what_ended(soon);
        kept.check();
        assert_eq!(["later", "soon", "as soon"].map(|it| kept.has(it)), [true, false, false]);
        kept.drop_what_ended(later);
        assert_eq!((kept.len(), kept.bytes()), (0, 0));
    }

    #[test]
    fn forgetting_is_counted() {
        let mut kept = Kept::default();
        let most = Most { entries: 1, bytes: 10_000 };
        keep(&mut kept, "a", "1", Instant::now() + Duration::from_secs(60), most);
        let epoch = kept.epoch();
        assert_eq!(kept.forget().len(), 1);
        assert_eq!((kept.len(), kept.bytes()), (0, 0));
        assert_ne!(kept.epoch(), epoch);
    }
}
