use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Contract;
use crate::crossing::{Field, TypeDescription, Types};

/// A contract in words: what two libraries compare before one calls the other, and
/// what people are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The contract's id.
    pub id: String,
    /// Versions with another one have nothing in common.
    pub major: u32,
    /// Each one has the methods of those before it.
    pub minor: u32,
    /// The first line of the trait's documentation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// In the order of the table of functions.
    pub methods: Vec<MethodDescription>,
    /// All types that the methods name, but numbers and texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, TypeDescription>,
}

/// A method of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MethodDescription {
    /// Its name.
    pub name: String,
    /// The first line of its documentation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The minor version that it came with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since: u32,
    /// Whether it gives its result later.
    #[serde(rename = "async", default, skip_serializing_if = "std::ops::Not::not")]
    pub asynchronous: bool,
    /// In their order, with the names of their types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Field>,
    /// The name of the result's type; `()` for nothing.
    pub result: String,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How a type describes itself.
type Describe = fn(&mut Types) -> String;

/// Makes a [`Description`]: for what `#[service]` emits.
#[doc(hidden)]
#[derive(Debug)]
pub struct Described {
    description: Description,
    types: Types,
}

impl Described {
    pub fn new<C: Contract + ?Sized>(summary: &str) -> Self {
        Self {
            description: Description {
                id: C::ID.to_owned(),
                major: C::MAJOR,
                minor: C::MINOR,
                summary: summary.to_owned(),
                methods: Vec::new(),
                types: BTreeMap::new(),
            },
            types: Types::default(),
        }
    }

    /// The next method of the table. `arguments` and `result` are how each type
    /// describes itself.
    pub fn method(
        &mut self,
        name: &str,
        summary: &str,
        since: u32,
        asynchronous: bool,
        arguments: &[(&str, Describe)],
        result: Describe,
    ) {
        let arguments =
            arguments.iter().map(|(name, of)| Field::new(name, of(&mut self.types))).collect();
        let result = result(&mut self.types);
        self.description.methods.push(MethodDescription {
            name: name.to_owned(),
            summary: summary.to_owned(),
            since,
            asynchronous,
            arguments,
            result,
        });
    }

    pub fn finish(mut self) -> Description {
        self.description.types = self.types.into_described();
        self.description
    }
}
