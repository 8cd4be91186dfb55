//! Times as people write them: `60s`, `5m`, `1h 30m`.

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A year.
const MOST: u64 = 365 * 86_400_000;

/// A time in milliseconds: whole numbers with units, the largest unit first; not nothing,
/// and at most a year. Or what is wrong with it.
pub(super) fn millis(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{}` is no time: give whole numbers with units, for example 60s, 5m or 1h 30m (ms, \
             s, m, h, d)",
            text.escape_debug()
        )
    };
    let (mut rest, mut sum, mut smaller_than) = (text.trim_matches(' '), 0_u64, u64::MAX);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |sign| !sign.is_ascii_digit());
        let (word, after) = split(after, |sign| !sign.is_ascii_lowercase());
        let unit = UNITS.iter().find(|(name, _)| *name == word).map(|(_, unit)| *unit);
        let unit = unit.filter(|unit| *unit < smaller_than).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        // What is more than fits is more than a year.
        sum = sum.saturating_add(number.saturating_mul(unit));
        smaller_than = unit;
        rest = after.trim_start_matches(' ');
    }
    match sum {
        0 => Err(format!("`{text}` is no time to keep anything: 1ms at least")),
        MOST.. if sum > MOST => Err(format!("`{text}` is too long: 365d at most")),
        _ => Ok(sum),
    }
}

/// Before and from the first sign that is it.
fn split(text: &str, is_it: impl Fn(char) -> bool) -> (&str, &str) {
    text.find(is_it).map_or((text, ""), |at| text.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sums_of_numbers_with_units() {
        for (text, time) in [
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("0h 1s", 1000),
            (" 1s ", 1000),
            ("365d", MOST),
        ] {
            assert_eq!(millis(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_said_so() {
        for (text, says) in [
            ("", "no time:"),
            ("60", "no time:"),
            ("s", "no time:"),
            ("-1s", "no time:"),
            ("1.5s", "no time:"),
            ("1 s", "no time:"),
            ("1S", "no time:"),
            ("1min", "no time:"),
            ("1s 1m", "no time:"),
            ("1s 1s", "no time:"),
            ("1s,", "no time:"),
            ("99999999999999999999s", "no time:"),
            ("1\n", "no time:"),
            ("ä", "no time:"),
            ("0s", "1ms at least"),
            ("366d", "365d at most"),
            ("18446744073709551615d", "365d at most"),
        ] {
            let wrong = millis(text).unwrap_err();
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }
}
