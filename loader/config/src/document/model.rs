//! A model's values out of a document's, by serde.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::refused::Refused;
use super::tree::{Content, Entry, Node};
use crate::key_path::Step;

/// Reads a model. The error knows the innermost value that it is about.
pub(super) fn read<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Refused> {
    T::deserialize(Reader(node))
}

#[derive(Clone, Copy)]
struct Reader<'de>(&'de Node);

impl<'de> Reader<'de> {
    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match &self.0.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(truth) => visitor.visit_bool(*truth),
            Content::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(de::Error::invalid_type(Unexpected::Other("number"), &visitor)),
            },
            Content::Text(text) => visitor.visit_borrowed_str(text),
            Content::List(nodes) => visit_list(nodes, visitor),
            Content::Table(entries) => {
                visitor.visit_map(Table { entries: entries.iter(), next: None })
            }
        }
    }

    /// What serde's errors say of a value that has another type.
    fn unexpected(self) -> Unexpected<'de> {
        match &self.0.content {
            Content::Null => Unexpected::Unit,
            Content::Bool(truth) => Unexpected::Bool(*truth),
            Content::Number(_) => Unexpected::Other("number"),
            Content::Text(text) => Unexpected::Str(text),
            Content::List(_) => Unexpected::Seq,
            Content::Table(_) => Unexpected::Map,
        }
    }
}

fn visit_list<'de, V: Visitor<'de>>(nodes: &'de [Node], visitor: V) -> Result<V::Value, Refused> {
    let mut list = List { nodes: nodes.iter(), at: 0 };
    let value = visitor.visit_seq(&mut list)?;
    // A tuple stops reading where it is full.
    match list.nodes.len() {
        0 => Ok(value),
        _ => {
            let expected = format!("a list of {}", list.at);
            Err(de::Error::invalid_length(nodes.len(), &expected.as_str()))
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.visit(visitor).map_err(|error| error.at(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let value = match self.0.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        value.map_err(|error| error.at(self.0))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(self.0))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let value = match &self.0.content {
            Content::Text(word) => {
                visitor.visit_enum(IntoDeserializer::<Refused>::into_deserializer(word.as_str()))
            }
            Content::Table(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant(entry)),
                _ => Err(de::Error::invalid_value(self.unexpected(), &"a table with a single key")),
            },
            _ => Err(de::Error::invalid_type(self.unexpected(), &"a text or a table")),
        };
        value.map_err(|error| error.at(self.0))
    }

    /// A derived model would also be read from a list of its values without names.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0.content {
            Content::List(_) => {
                let error: Refused = de::Error::invalid_type(self.unexpected(), &"a table");
                Err(error.at(self.0))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

struct List<'de> {
    nodes: std::slice::Iter<'de, Node>,
    at: usize,
}

impl<'de> SeqAccess<'de> for &mut List<'de> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        let value = seed.deserialize(Reader(node)).map(Some);
        value.map_err(|error| error.at(node).inside(Step::Index(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.nodes.len())
    }
}

struct Table<'de> {
    entries: std::slice::Iter<'de, Entry>,
    next: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Table<'de> {
    type Error = Refused;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        self.next = self.entries.next();
        let Some(entry) = self.next else { return Ok(None) };
        seed.deserialize(key(entry)).map(Some).map_err(|error| error.at_key(entry))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        let Some(entry) = self.next.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        // What is converted after it was read is refused out here.
        seed.deserialize(Reader(&entry.node))
            .map_err(|error| error.at(&entry.node).inside(Step::Key(entry.key.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

fn key(entry: &Entry) -> Key<'_> {
    Key(&entry.key)
}

/// A key: a text, or a number where the model's keys are numbers.
struct Key<'de>(&'de str);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let word: StrDeserializer<'_, Refused> = self.0.into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// An enum's variant with content: a table with its name as the only key.
struct Variant<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refused> {
        let name = seed.deserialize(key(self.0)).map_err(|error| error.at_key(self.0))?;
        Ok((name, self))
    }
}

impl<'de> Variant<'de> {
    fn inside<T>(self, result: Result<T, Refused>) -> Result<T, Refused> {
        result.map_err(|error| error.at(&self.0.node).inside(Step::Key(self.0.key.clone())))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        let node = &self.0.node;
        self.inside(read::<()>(node))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refused> {
        let node = &self.0.node;
        self.inside(seed.deserialize(Reader(node)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Refused> {
        let node = &self.0.node;
        self.inside(Reader(node).deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let node = &self.0.node;
        self.inside(Reader(node).deserialize_struct("", fields, visitor))
    }
}
