use std::io::{self, Write};

use jaq_json::{Num, Val};
use plugbay_interface::serde_json::{self, Map, Value};

use crate::meter::check;

/// The deepest output. Hosts read answers with parsers that take 128 levels, and
/// the answer around the output has some of its own.
const DEEPEST_OUTPUT: usize = 100;
/// The most bytes of a value in a message.
const LONGEST_MENTION: usize = 80;

/// Why a value cannot leave.
#[derive(Debug, PartialEq)]
pub enum Unwritable {
    TooDeep,
    NoJson,
}

/// The value as the host's JSON. Numbers beyond its range become the nearest in
/// it and NaN becomes null, as in jq.
pub fn to_value(val: &Val) -> Result<Value, Unwritable> {
    below(val, DEEPEST_OUTPUT)
}

/// The value as JSON text, on one line.
pub fn text(val: &Val) -> String {
    let mut bytes = Vec::new();
    // Writing to memory has no error, and what is written is UTF-8.
    let _ = write(val, &mut bytes);
    String::from_utf8(bytes).unwrap_or_default()
}

/// The beginning of the JSON text, for messages: a value may be larger than any
/// message, and larger than memory once shared parts are written out.
pub fn beginning(val: &Val) -> String {
    let mut bytes = Beginning(Vec::new());
    let whole = write(val, &mut bytes).is_ok();
    let text = String::from_utf8_lossy(&bytes.0).into_owned();
    if whole { text } else { text.trim_end_matches('\u{fffd}').to_owned() + "…" }
}

fn below(val: &Val, levels: usize) -> Result<Value, Unwritable> {
    check();
    Ok(match val {
        Val::Null => Value::Null,
        Val::Bool(truth) => (*truth).into(),
        Val::Num(number) => number_value(number),
        Val::TStr(text) => String::from_utf8_lossy(text).into(),
        Val::BStr(_) => return Err(Unwritable::NoJson),
        Val::Arr(array) => {
            let levels = levels.checked_sub(1).ok_or(Unwritable::TooDeep)?;
            array.iter().map(|child| below(child, levels)).collect::<Result<_, _>>()?
        }
        Val::Obj(object) => {
            let levels = levels.checked_sub(1).ok_or(Unwritable::TooDeep)?;
            let mut map = Map::new();
            for (key, child) in object.iter() {
                let Val::TStr(key) = key else { return Err(Unwritable::NoJson) };
                map.insert(String::from_utf8_lossy(key).into_owned(), below(child, levels)?);
            }
            map.into()
        }
    })
}

fn number_value(number: &Num) -> Value {
    match number {
        Num::Int(integer) => (*integer).into(),
        Num::BigInt(integer) => match u64::try_from(&**integer) {
            Ok(integer) => integer.into(),
            Err(_) => finite(jaq_std::ValT::as_f64(&Val::Num(number.clone())).unwrap_or(f64::NAN)),
        },
        Num::Float(float) => finite(*float),
        Num::Dec(text) => finite(text.parse().unwrap_or(f64::NAN)),
    }
}

fn finite(float: f64) -> Value {
    if float.is_nan() { Value::Null } else { float.clamp(f64::MIN, f64::MAX).into() }
}

fn write(val: &Val, out: &mut impl Write) -> io::Result<()> {
    check();
    match val {
        Val::Null => out.write_all(b"null"),
        Val::Bool(truth) => write!(out, "{truth}"),
        Val::Num(number @ (Num::Int(_) | Num::BigInt(_))) => write!(out, "{number}"),
        Val::Num(Num::Dec(text)) => out.write_all(text.as_bytes()),
        Val::Num(Num::Float(float)) if float.is_finite() => {
            write!(out, "{}", Num::Float(*float))
        }
        Val::Num(Num::Float(float)) => write!(out, "{}", finite(*float)),
        Val::TStr(text) | Val::BStr(text) => write_string(text, out),
        Val::Arr(array) => {
            out.write_all(b"[")?;
            for (at, child) in array.iter().enumerate() {
                if at > 0 {
                    out.write_all(b",")?;
                }
                write(child, out)?;
            }
            out.write_all(b"]")
        }
        Val::Obj(object) => {
            out.write_all(b"{")?;
            for (at, (key, child)) in object.iter().enumerate() {
                if at > 0 {
                    out.write_all(b",")?;
                }
                write(key, out)?;
                out.write_all(b":")?;
                write(child, out)?;
            }
            out.write_all(b"}")
        }
    }
}

fn write_string(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &String::from_utf8_lossy(text))?)
}

/// Takes so many bytes and refuses the rest.
struct Beginning(Vec<u8>);

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_MENTION.saturating_sub(self.0.len()).min(bytes.len());
        // None left is `Ok(0)`, which `write_all` makes an error.
        self.0.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
