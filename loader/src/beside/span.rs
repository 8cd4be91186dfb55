//! Which releases a range of versions takes: two ranges that are written otherwise may be
//! the same, as `1`, `^1.0` and `>=1, <2` are.

use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

/// From the lowest one on, up to and without another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) lowest: Version,
    pub(super) below: Option<Version>,
}

impl Span {
    /// What all parts of a range take together.
    pub(super) fn of(range: &VersionReq) -> Self {
        let mut span = Self { lowest: Version::new(0, 0, 0), below: None };
        for part in &range.comparators {
            let Self { lowest, below } = Self::of_one(part);
            span.lowest = span.lowest.max(lowest);
            span.below = match (span.below, below) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        span
    }

    fn of_one(part: &Comparator) -> Self {
        let Comparator { major, minor, patch, .. } = *part;
        let first = Version {
            major,
            minor: minor.unwrap_or(0),
            patch: patch.unwrap_or(0),
            pre: part.pre.clone(),
            build: BuildMetadata::EMPTY,
        };
        // The first one after all that begin with the numbers that are there.
        let after = match (minor, patch) {
            (None, _) => next_major(major),
            (Some(minor), None) => next_minor(major, minor),
            (Some(_), Some(_)) => next(&first),
        };
        let zero = Version::new(0, 0, 0);
        match part.op {
            Op::Greater => Self { lowest: after, below: None },
            Op::GreaterEq => Self { lowest: first, below: None },
            Op::Less => Self { lowest: zero, below: Some(first) },
            Op::LessEq => Self { lowest: zero, below: Some(after) },
            Op::Tilde => {
                let below = minor.map_or_else(|| next_major(major), |it| next_minor(major, it));
                Self { lowest: first, below: Some(below) }
            }
            Op::Caret => {
                let below = match (major, minor, patch) {
                    (0, Some(0), Some(patch)) => Version::new(0, 0, patch.saturating_add(1)),
                    (0, Some(minor), _) => next_minor(0, minor),
                    _ => next_major(major),
                };
                Self { lowest: first, below: Some(below) }
            }
            // `=1.2` and `1.2.*`.
            _ => Self { lowest: first, below: Some(after) },
        }
    }
}

fn next_major(major: u64) -> Version {
    Version::new(major.saturating_add(1), 0, 0)
}

fn next_minor(major: u64, minor: u64) -> Version {
    Version::new(major, minor.saturating_add(1), 0)
}

/// The one after this, of which a pre-release is one.
fn next(version: &Version) -> Version {
    if version.pre.is_empty() {
        return Version::new(version.major, version.minor, version.patch.saturating_add(1));
    }
    match Prerelease::new(&format!("{}.0", version.pre)) {
        Ok(pre) => Version { pre, ..version.clone() },
        Err(_) => version.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        Span::of(&text.parse().unwrap())
    }

    #[test]
    fn ranges_that_take_the_same_are_the_same() {
        for same in [
            &["1", "^1", "^1.0.0", ">=1, <2", "1.*", "~1", "=1"][..],
            &["0.3", "^0.3.0", "~0.3.0", ">=0.3, <0.4", "0.3.*"],
            &["^0.0.3", "=0.0.3", ">=0.0.3, <=0.0.3"],
            &[">1.2", ">=1.3"],
            &[">1.2.3", ">=1.2.4"],
            &["*", ">=0"],
            &["<=1.2", "<1.3"],
            &["=1.2.3-rc.1", ">=1.2.3-rc.1, <=1.2.3-rc.1"],
        ] {
            for text in same {
                assert_eq!(span(text), span(same[0]), "{text} and {}", same[0]);
            }
        }
        for (one, other) in [("^1", "^1.0.1"), (">=1", "^1"), ("^0", "^0.0"), ("=1.2.3", "~1.2.3")]
        {
            assert_ne!(span(one), span(other), "{one} and {other}");
        }
    }

    #[test]
    fn the_lowest_of_a_range_is_taken_by_it_and_the_end_is_not() {
        for text in ["1", "^0.2.3", "~1.2", ">=1.2, <3", "=1.2.3", "<2", ">0.1.2", ">=1.0.0-rc.1"] {
            let range: VersionReq = text.parse().unwrap();
            let Span { lowest, below } = Span::of(&range);
            assert!(range.matches(&lowest), "{text}: {lowest}");
            assert!(below.is_none_or(|below| !range.matches(&below)), "{text}");
        }
    }

    #[test]
    fn no_number_is_too_large() {
        let most = u64::MAX;
        for text in [format!(">{most}"), format!("^0.0.{most}"), format!("<={most}.{most}")] {
            let _ = Span::of(&text.parse().unwrap());
        }
    }
}
