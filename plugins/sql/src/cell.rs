use std::borrow::Cow;

use plugbay_interface::serde_json;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};

/// One value of a file's row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'row> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'row, str>),
}

impl<'row> Cell<'row> {
    /// What a CSV field means: nothing where it is empty, a number where JSON
    /// would read one and it fits, text otherwise.
    ///
    /// JSON's grammar, because it leaves `007`, `+49 30`, `1.` and `nan` alone:
    /// codes and telephone numbers keep their zeros. An integer beyond 64 bits
    /// stays text for the same reason.
    pub fn of_field(field: &'row str) -> Self {
        if field.is_empty() {
            return Cell::Null;
        }
        match number(field) {
            Some(number) => number,
            None => Cell::Text(field.into()),
        }
    }

    /// What a JSON value means: booleans are 1 and 0, arrays and objects their
    /// own JSON text, as in SQLite's JSON functions.
    pub fn of_json(json: &'row str) -> Self {
        match json.as_bytes().first() {
            Some(b'n') | None => Cell::Null,
            Some(b't') => Cell::Integer(1),
            Some(b'f') => Cell::Integer(0),
            Some(b'"') => match serde_json::from_str::<String>(json) {
                Ok(text) => Cell::Text(text.into()),
                // Half of a surrogate pair: valid JSON, and no text.
                Err(_) => Cell::Text(json.into()),
            },
            Some(b'[' | b'{') => Cell::Text(json.into()),
            Some(_) => number(json)
                .or_else(|| json.parse().ok().map(Cell::Real))
                .unwrap_or_else(|| Cell::Text(json.into())),
        }
    }
}

fn number(text: &str) -> Option<Cell<'static>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_at(digits.bytes().take_while(u8::is_ascii_digit).count());
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if rest.is_empty() {
        return text.parse().ok().map(Cell::Integer);
    }
    let rest = match rest.strip_prefix('.') {
        Some(rest) => {
            let fraction = rest.bytes().take_while(u8::is_ascii_digit).count();
            if fraction == 0 {
                return None;
            }
            rest.split_at(fraction).1
        }
        None => rest,
    };
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    text.parse::<f64>().ok().filter(|real| real.is_finite()).map(Cell::Real)
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Integer(integer) => ToSqlOutput::Owned(Value::Integer(*integer)),
            Cell::Real(real) => ToSqlOutput::Owned(Value::Real(*real)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_number_where_json_would_read_one() {
        for (field, integer) in [("0", 0), ("-7", -7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(Cell::of_field(field), Cell::Integer(integer), "{field}");
        }
        for (field, real) in [("1.50", 1.5), ("-0.0", 0.0), ("1e3", 1000.0), ("2.5E-1", 0.25)] {
            assert_eq!(Cell::of_field(field), Cell::Real(real), "{field}");
        }
        let texts = [
            "007",
            "-01",
            "+49",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x10",
            "nan",
            "inf",
            "-",
            " 1",
            "1 ",
            "9223372036854775808",
            "1e999",
            "1,5",
            "12:30",
            "2024-01-01",
        ];
        for text in texts {
            assert_eq!(Cell::of_field(text), Cell::Text(text.into()), "{text}");
        }
        assert_eq!(Cell::of_field(""), Cell::Null);
    }

    #[test]
    fn json_values_have_one_cell_each() {
        let text = |text: &'static str| Cell::Text(text.into());
        for (json, cell) in [
            ("null", Cell::Null),
            ("true", Cell::Integer(1)),
            ("false", Cell::Integer(0)),
            ("-3", Cell::Integer(-3)),
            ("18446744073709551615", Cell::Real(18_446_744_073_709_551_615.0)),
            ("\"a\\n\"", text("a\n")),
            ("\"\\ud800\"", text("\"\\ud800\"")),
            ("[1, 2]", text("[1, 2]")),
            ("{}", text("{}")),
        ] {
            assert_eq!(Cell::of_json(json), cell, "{json}");
        }
    }
}
