//! Types in words, for comparing two libraries' and for people.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// A type as it crosses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeDescription {
    /// Of what crosses, in bytes.
    pub size: usize,
    /// Of what crosses, in bytes.
    pub align: usize,
    /// What it is made of.
    #[serde(flatten)]
    pub shape: Shape,
}

/// What a type is made of; the parts are names of types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Shape {
    /// Any number of one type.
    List {
        /// Of the elements.
        of: String,
    },
    /// One or none.
    Optional {
        /// Of the value.
        of: String,
    },
    /// One, behind a pointer.
    Boxed {
        /// Of the value.
        of: String,
    },
    /// Keys and values, as a list of pairs.
    Map {
        /// Of the keys.
        key: String,
        /// Of the values.
        value: String,
    },
    /// One of each.
    Tuple {
        /// In their order.
        of: Vec<String>,
    },
    /// A struct, whose fields cross in their order.
    Record {
        /// In their order.
        fields: Vec<Field>,
    },
    /// An enum, which crosses as its variant's number and that one's fields.
    Choice {
        /// In their order.
        variants: Vec<Variant>,
    },
    /// Crosses in a form that is specified elsewhere.
    Encoded {
        /// `json` or `msgpack`: bytes, which serde writes and reads, and in which fields
        /// and variants have names. Others are those of types that were made to cross
        /// by hand, for example `arrow-c-data`.
        format: String,
    },
    /// Something that this interface does not know: of a later one.
    #[serde(other)]
    Unknown,
}

/// A field of a struct or of an enum's variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name; its number where it has none.
    pub name: String,
    /// The name of its type.
    #[serde(rename = "type")]
    pub of: String,
}

impl Field {
    /// A field of that name and type.
    pub fn new(name: &str, of: impl Into<String>) -> Self {
        Self { name: name.into(), of: of.into() }
    }
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// The types that are known by their names alone, as they are described nowhere. No other
/// has one of these: two `String`s in one contract could not be told apart.
const BY_NAME: [&str; 18] = [
    "bool", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
    "f32", "f64", "char", "str", "String",
];

/// The types of one description, while they are collected.
#[derive(Debug, Default)]
pub struct Types {
    described: BTreeMap<String, TypeDescription>,
    names: HashMap<(String, TypeId), String>,
}

impl Types {
    /// Adds a type that crosses as `A`, unless it is there; its name here, which
    /// is `name` with a number if another type has that name.
    ///
    /// `shape` is asked when the name is known already, so a type may contain itself.
    pub fn add<A: 'static>(
        &mut self,
        name: &str,
        shape: impl FnOnce(&mut Self) -> Shape,
    ) -> String {
        self.add_of::<A>(name, TypeId::of::<A>(), shape)
    }

    /// As [`add`](Self::add), for a type `T` that has its `A` in common with others.
    pub fn add_encoded<T: 'static, A: 'static>(&mut self, name: &str, format: &str) -> String {
        let shape = |_: &mut Self| Shape::Encoded { format: format.into() };
        self.add_of::<A>(name, TypeId::of::<T>(), shape)
    }

    fn add_of<A>(
        &mut self,
        name: &str,
        id: TypeId,
        shape: impl FnOnce(&mut Self) -> Shape,
    ) -> String {
        let key = (name.to_owned(), id);
        if let Some(known) = self.names.get(&key) {
            return known.clone();
        }
        let taken = self.names.keys().filter(|(other, _)| other == name).count()
            + usize::from(BY_NAME.contains(&name));
        let own = if taken == 0 { name.to_owned() } else { format!("{name}#{}", taken + 1) };
        self.names.insert(key, own.clone());
        let shape = shape(self);
        let described = TypeDescription { size: size_of::<A>(), align: align_of::<A>(), shape };
        self.described.insert(own.clone(), described);
        own
    }

    /// All that was added, by name.
    pub fn into_described(self) -> BTreeMap<String, TypeDescription> {
        self.described
    }
}
