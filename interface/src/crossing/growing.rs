//! Types that get fields and variants: they cross as bytes, in which everything has
//! its name.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use abi_stable::std_types::RVec;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Deserializer, Serialize, forward_to_deserialize_any};

use crate::Error;
use crate::error::code;

/// What such a type crosses as: MessagePack, structs and enums with names.
#[doc(hidden)]
pub type Encoded = RVec<u8>;

/// Writes one.
///
/// # Errors
///
/// When serde cannot.
#[doc(hidden)]
pub fn encode<T: Serialize>(name: &str, value: &T) -> Result<Encoded, Error> {
    rmp_serde::to_vec_named(value).map(Encoded::from).map_err(|error| {
        Error::new(code::CROSSING, format!("a {name} cannot be encoded")).caused_by(&error)
    })
}

/// Reads one.
///
/// # Errors
///
/// When it is none.
#[doc(hidden)]
#[expect(clippy::needless_pass_by_value)] // it is at its end
pub fn decode<T: DeserializeOwned>(name: &str, encoded: Encoded) -> Result<T, Error> {
    rmp_serde::from_slice(&encoded).map_err(|error| {
        Error::new(code::CROSSING, format!("what came is no {name}")).caused_by(&error)
    })
}

/// An enum under `#[shared(growing)]`, as serde reads it by itself.
#[doc(hidden)]
pub trait Growing: Sized {
    /// Serde's own function.
    ///
    /// # Errors
    ///
    /// When it is no such enum, or has another variant.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Reads an enum, and gives `None` for a variant that it does not have.
///
/// # Errors
///
/// When it is none, or when the content of a known variant does not fit.
#[doc(hidden)]
pub fn known_variant<'de, T: Growing, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Variants { known: names_of::<T>(), of: PhantomData })
}

/// The names of its variants, as serde writes them.
fn names_of<T: Growing>() -> &'static [&'static str] {
    let names = Cell::new(&[][..]);
    // It asks for a variant, and is told that there is none.
    let _ = T::read(Asked { names: &names });
    names.get()
}

/// A deserializer that has nothing, and notes what it is asked for.
struct Asked<'cell> {
    names: &'cell Cell<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("there is nothing"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.names.set(variants);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variants<T> {
    known: &'static [&'static str],
    of: PhantomData<T>,
}

impl<'de, T: Growing> Visitor<'de> for Variants<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a variant, or a map of that name to its content")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Option<T>, E> {
        if !self.known.contains(&name) {
            return Ok(None);
        }
        T::read(StrDeserializer::new(name)).map(Some)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        if self.known.contains(&name.as_str()) {
            return T::read(MapAccessDeserializer::new(Named { name: Some(name), map })).map(Some);
        }
        map.next_value::<IgnoredAny>()?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(None),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }
}

/// A map whose first key has been read already.
struct Named<A> {
    name: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Named<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.name.take() {
            Some(name) => seed.deserialize(name.into_deserializer()).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
