//! Where the versions of a range lie among all, without asking each.

use plugbay_manifest::takes;
use semver::{Op, Version, VersionReq};

use crate::offer::Offer;

/// Major, minor and patch.
type Core = (u64, u64, u64);

/// Those of some files of one plugin, the newest first, whose versions could be in a range:
/// the others are not.
pub(crate) fn near<'a>(range: &VersionReq, offers: &[Offer], files: &'a [usize]) -> &'a [usize] {
    let (first, last) = ends(range);
    let core = |file: &usize| core_of(&offers[*file].manifest.version);
    let from = files.partition_point(|file| core(file) > last);
    let to = files.partition_point(|file| core(file) >= first);
    files.get(from..to).unwrap_or_default()
}

/// Those whose versions are in it.
pub(crate) fn within<'a>(
    range: &'a VersionReq,
    offers: &'a [Offer],
    files: &'a [usize],
) -> impl Iterator<Item = usize> + 'a {
    let near = near(range, offers, files).iter().copied();
    near.filter(move |file| takes(range, &offers[*file].manifest.version))
}

fn core_of(version: &Version) -> Core {
    (version.major, version.minor, version.patch)
}

/// The first and the last version that a range could have.
fn ends(range: &VersionReq) -> (Core, Core) {
    const MAX: u64 = u64::MAX;
    let mut ends = ((0, 0, 0), (MAX, MAX, MAX));
    for it in &range.comparators {
        let least = (it.major, it.minor.unwrap_or(0), it.patch.unwrap_or(0));
        let most = (it.major, it.minor.unwrap_or(MAX), it.patch.unwrap_or(MAX));
        let (first, last) = match (it.op, it.minor, it.patch) {
            (Op::Greater | Op::GreaterEq, ..) => (least, ends.1),
            (Op::Less | Op::LessEq, ..) => (ends.0, most),
            (Op::Exact | Op::Wildcard, ..) => (least, most),
            (Op::Tilde, minor, _) => (least, (it.major, minor.unwrap_or(MAX), MAX)),
            (Op::Caret, Some(0), Some(patch)) if it.major == 0 => (least, (0, 0, patch)),
            (Op::Caret, Some(minor), _) if it.major == 0 => (least, (0, minor, MAX)),
            (Op::Caret, ..) => (least, (it.major, MAX, MAX)),
            // What this version knows nothing of.
            _ => ends,
        };
        ends = (ends.0.max(first), ends.1.min(last));
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_version_of_a_range_lies_beyond_its_ends(
            comparators in prop::collection::vec(
                (
                    prop::sample::select(vec!["=", ">", ">=", "<", "<=", "~", "^", ""]),
                    "[0-2](\\.([0-2](\\.[0-2](-[ab])?)?|\\*))?",
                ),
                0..3,
            ),
            version in "[0-2]\\.[0-2]\\.[0-2](-[ab])?",
        ) {
            let parts: Vec<_> = comparators.iter().map(|(op, of)| format!("{op}{of}")).collect();
            let range = parts.join(", ");
            let range: VersionReq = range.parse().unwrap_or(VersionReq::STAR);
            let version: Version = version.parse().unwrap();
            let (first, last) = ends(&range);
            if takes(&range, &version) {
                prop_assert!(first <= core_of(&version) && core_of(&version) <= last, "{range}");
            }
        }
    }
}
