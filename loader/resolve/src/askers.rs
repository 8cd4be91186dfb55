//! Who asks for sets of files, to be told once, as soon as one of the files is there.

use std::collections::HashMap;

use crate::goals::Question;

/// Requirements that are open, by the sets that they ask for. The work is in proportion to
/// the sets and to those that ask, and not to the two multiplied.
pub(crate) struct Askers<'a> {
    question: &'a Question,
    /// By set.
    asking: HashMap<usize, Asking>,
    /// By file: the sets that it is in, of those that are asked for.
    sets_of: HashMap<usize, Vec<usize>>,
}

#[derive(Default)]
struct Asking {
    /// File and number of each requirement.
    open: Vec<(usize, usize)>,
    /// Whether a file of the set is there. Those that are open still are of the same plugin.
    begun: bool,
}

impl<'a> Askers<'a> {
    pub(crate) fn new(question: &'a Question) -> Self {
        Self { question, asking: HashMap::new(), sets_of: HashMap::new() }
    }

    /// One of what a file cannot run without.
    pub(crate) fn add(&mut self, file: usize, number: usize) {
        let set = self.question.hard_of(file)[number].set;
        let asking = self.asking.entry(set).or_insert_with(|| {
            for member in self.question.sets[set].iter() {
                self.sets_of.entry(*member).or_default().push(set);
            }
            Asking::default()
        });
        asking.open.push((file, number));
    }

    /// The requirements that a file which is there now fulfils, and none did before.
    pub(crate) fn told_by(&mut self, file: usize) -> Vec<(usize, usize)> {
        let question = self.question;
        let is_own = |(asker, number): &(usize, usize)| {
            question.hard_of(*asker)[*number].own.contains(&file)
        };
        let mut told = Vec::new();
        for set in self.sets_of.remove(&file).unwrap_or_default() {
            let Some(asking) = self.asking.get_mut(&set) else { continue };
            if asking.begun && asking.open.first().is_none_or(is_own) {
                continue;
            }
            asking.begun = true;
            let (own, others) = std::mem::take(&mut asking.open).into_iter().partition(is_own);
            asking.open = own;
            told.extend::<Vec<_>>(others);
        }
        told
    }
}
