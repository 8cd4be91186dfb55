use std::fmt;

/// The first few of several things, and how many more there are: manifests may name
/// thousands, and one message of many is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The first ones, 16 at most.
    pub some: Vec<String>,
    /// How many there are besides.
    pub more: usize,
}

/// Those that are kept.
pub(crate) const MOST_KEPT: usize = 16;
/// Those that are shown in a line.
const MOST_SHOWN: usize = 12;

impl Excerpt {
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a String>) -> Self {
        let mut all = all.into_iter();
        let some = all.by_ref().take(MOST_KEPT).cloned().collect();
        Self { some, more: all.count() }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.some.is_empty()
    }

    /// `a, b and 7 more`: the first ones, each as `each` writes it.
    pub(crate) fn shown(&self, most: usize, each: impl Fn(&str) -> String) -> String {
        let (some, rest) = self.some.split_at(self.some.len().min(most));
        let some: Vec<_> = some.iter().map(|one| each(one)).collect();
        match rest.len() + self.more {
            0 => some.join(", "),
            more => format!("{} and {more} more", some.join(", ")),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(MOST_SHOWN, ToOwned::to_owned))
    }
}
