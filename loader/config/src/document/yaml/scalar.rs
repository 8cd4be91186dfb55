//! The core schema of YAML 1.2.2 (chapter 10.3): what a plain word stands for. `no`,
//! `on` and `1_000` are texts, and so are dates.

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use crate::document::tree::{Content, Malformed, fraction, whole};
use crate::key_path::KeyPath;

/// What a scalar stands for. A number that is none for JSON is an error.
pub(super) fn content(
    text: &str,
    style: ScalarStyle,
    span: &Range<usize>,
    path: &KeyPath,
) -> Result<Content, Malformed> {
    if style != ScalarStyle::Plain {
        return Ok(Content::Text(text.to_owned()));
    }
    let too_large = || Malformed::number_too_large(span.clone(), path);
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Err(Malformed::not_finite(span.clone(), path)),
        _ if is_infinity(text) => return Err(Malformed::not_finite(span.clone(), path)),
        _ if is_whole(text) => Content::Number(whole(text).ok_or_else(too_large)?),
        _ if is_fraction(text) => Content::Number(fraction(text).ok_or_else(too_large)?),
        _ => match radix(text) {
            Some((digits, radix)) => {
                let number = u64::from_str_radix(digits, radix).map_err(|_| too_large())?;
                Content::Number(number.into())
            }
            None => Content::Text(text.to_owned()),
        },
    })
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_whole(text: &str) -> bool {
    is_digits(unsigned(text))
}

fn is_infinity(text: &str) -> bool {
    matches!(unsigned(text), ".inf" | ".Inf" | ".INF")
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_fraction(text: &str) -> bool {
    let (mantissa, exponent) = match unsigned(text).split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned(text), None),
    };
    let good_mantissa = match mantissa.split_once('.') {
        Some(("", after)) => is_digits(after),
        Some((before, after)) => is_digits(before) && (after.is_empty() || is_digits(after)),
        None => is_digits(mantissa),
    };
    good_mantissa && exponent.is_none_or(|exponent| is_digits(unsigned(exponent)))
}

/// `0o` and octal digits, or `0x` and hexadecimal ones, without a sign.
fn radix(text: &str) -> Option<(&str, u32)> {
    let (digits, radix) = match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => (digits, 8),
        (_, Some(digits)) => (digits, 16),
        _ => return None,
    };
    let good = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    good.then_some((digits, radix))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::document::tree::Node;

    fn read(text: &str) -> Result<Value, Malformed> {
        let content = content(text, ScalarStyle::Plain, &(0..0), &KeyPath::default())?;
        Ok(Node::new(0..0, content).value())
    }

    #[test]
    fn words_stand_for_what_yaml_1_2_says() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("nULL", json!("nULL")),
            ("True", json!(true)),
            ("tRUE", json!("tRUE")),
            ("no", json!("no")),
            ("on", json!("on")),
            ("y", json!("y")),
            ("12", json!(12)),
            ("-12", json!(-12)),
            ("+12", json!(12)),
            ("-0", json!(0)),
            ("010", json!(10)),
            ("0o10", json!(8)),
            ("0o8", json!("0o8")),
            ("0xfF", json!(255)),
            ("-0x1", json!("-0x1")),
            ("0b1", json!("0b1")),
            ("1_000", json!("1_000")),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            (".", json!(".")),
            ("1e3", json!(1000.0)),
            ("1e", json!("1e")),
            ("e3", json!("e3")),
            ("+.5E-1", json!(0.05)),
            ("18446744073709551615", json!(u64::MAX)),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
            ("2026-01-02", json!("2026-01-02")),
            ("190:20:30", json!("190:20:30")),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text:?}");
        }
        for text in
            [".nan", "-.inf", "+.INF", "18446744073709551616", "1e999", "0xfffffffffffffffff"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_a_text() {
        for style in [ScalarStyle::SingleQuoted, ScalarStyle::DoubleQuoted, ScalarStyle::Literal] {
            let content = content("true", style, &(0..0), &KeyPath::default()).unwrap();
            assert_eq!(Node::new(0..0, content).value(), json!("true"));
        }
    }
}
