//! Methods called by name, with JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use abi_stable::std_types::{RResult, RString};
use serde::de::{DeserializeOwned, Error as _, Visitor, value};
use serde::{Deserializer, Serialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use crate::Error;
use crate::abi::{Fault, FaultKind};
use crate::commands;
use crate::error::code;
use crate::guard::guard;

/// The arguments of one call, by name.
#[derive(Debug)]
pub struct Arguments<'json> {
    given: BTreeMap<Cow<'json, str>, &'json RawValue>,
}

impl<'json> Arguments<'json> {
    /// Reads a JSON object with these members, or some of them.
    ///
    /// # Errors
    ///
    /// When it is none, or has another member.
    pub fn read(json: &'json str, names: &[&str]) -> Result<Self, Error> {
        let given: BTreeMap<Cow<'json, str>, &'json RawValue> = serde_json::from_str(json)
            .map_err(|error| wrong(format!("the arguments are no JSON object: {error}")))?;
        if let Some(other) = given.keys().find(|given| !names.contains(&given.as_ref())) {
            let there_are = match names {
                [] => "this method has none".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            };
            return Err(wrong(format!("there is no argument `{other}`; {there_are}")));
        }
        Ok(Self { given })
    }

    /// The argument of that name, if it was given.
    pub fn take(&mut self, name: &str) -> Option<&'json RawValue> {
        self.given.remove(name)
    }
}

/// Reads the argument of that name. One that is an `Option` may be left out.
///
/// # Errors
///
/// When it is missing or does not fit.
pub fn read<T: DeserializeOwned>(given: Option<&RawValue>, name: &str) -> Result<T, Error> {
    match given {
        Some(json) => commands::read(json.get())
            .map_err(|error| wrong(format!("the argument `{name}` does not fit: {error}"))),
        None => {
            T::deserialize(Missing).map_err(|_| wrong(format!("the argument `{name}` is missing")))
        }
    }
}

/// What was not given: `None` for who asks for an option, as in serde's own structs, and
/// nothing for all others.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

fn wrong(message: String) -> Error {
    Error::message(message).of_kind(FaultKind::ARGUMENTS, code::ARGUMENTS)
}

/// What is said of a name that no method has.
pub fn unknown(contract: &str, method: &str, methods: &[&str]) -> Error {
    let message = format!(
        "the contract {contract} has no method `{method}`; there are: {}",
        methods.join(", ")
    );
    Error::message(message).of_kind(FaultKind::UNKNOWN_COMMAND, code::UNKNOWN_COMMAND)
}

/// A result as JSON.
///
/// # Errors
///
/// When serde cannot write it.
pub fn written(result: &impl Serialize) -> Result<RString, Error> {
    serde_json::to_string(result).map(RString::from).map_err(|error| {
        Error::new(code::RESULT, "the method's result cannot be written as JSON").caused_by(&error)
    })
}

/// Runs such a call.
pub fn dispatch(body: impl FnOnce() -> Result<RString, Error>) -> RResult<RString, Fault> {
    guard(body)
}
