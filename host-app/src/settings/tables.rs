//! What stands at the top of the config file: the host's own keys, and tables that plugins
//! may register.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plugbay_loader::config::document::Document;
use plugbay_loader::config::nearest;
use plugbay_loader::{Explain, Manifest, check_extension};
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::places::pointer;
use super::{File, Settings};
use crate::exit::{Exit, Failure};

/// The host's own keys: those of [`File`], as its reader names them. What else stands in
/// the file is somebody else's, or a mistake.
pub fn own_keys() -> &'static [&'static str] {
    match File::deserialize(AskForKeys) {
        Err(Keys(keys)) => keys,
        Ok(_) => &[],
    }
}

/// Has nothing to read; its error is what was asked for.
struct AskForKeys;

#[derive(Debug)]
struct Keys(&'static [&'static str]);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing is read here")
    }
}

impl std::error::Error for Keys {}

impl de::Error for Keys {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for AskForKeys {
    type Error = Keys;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Keys> {
        Err(Keys(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Keys> {
        Err(Keys(keys))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

/// A config file: what the host reads, and the rest.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) file: File,
    pub(super) others: BTreeMap<String, Value>,
}

/// The tables for plugins, and where they stand.
#[derive(Debug, Default)]
pub(super) struct Tables {
    values: BTreeMap<String, Value>,
    document: Option<Document<()>>,
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Top)
    }
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Whole, A::Error> {
        let mut others = BTreeMap::new();
        let own = OwnKeys { map, others: &mut others };
        let file = File::deserialize(MapAccessDeserializer::new(own))?;
        Ok(Whole { file, others })
    }
}

/// The host's own keys alone; the others are put aside.
struct OwnKeys<'a, A> {
    map: A,
    others: &'a mut BTreeMap<String, Value>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OwnKeys<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let own = own_keys();
        while let Some(key) = self.map.next_key::<String>()? {
            if own.contains(&key.as_str()) {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            let value = self.map.next_value()?;
            self.others.insert(key, value);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl Tables {
    /// What is no table is nothing that a plugin can register.
    pub(super) fn new(
        others: BTreeMap<String, Value>,
        document: Option<Document<()>>,
    ) -> Result<Self, Failure> {
        let tables = Self { values: others, document };
        match tables.values.iter().find(|(_, value)| !value.is_object()) {
            Some((name, _)) => Err(tables.unknown(name, &BTreeSet::new())),
            None => Ok(tables),
        }
    }

    /// The file that they stand in.
    pub(super) fn document(&self) -> Option<&Document<()>> {
        self.document.as_ref()
    }

    /// That nobody knows a key, and which may be meant.
    fn unknown(&self, name: &str, registered: &BTreeSet<&str>) -> Failure {
        let known = || own_keys().iter().copied().chain(registered.iter().copied());
        let meant = nearest(name, known()).map(|word| format!("; did you mean `{word}`?"));
        let message =
            format!("there is no key `{}` here{}", short(name), meant.unwrap_or_default());
        let known: Vec<_> = known().map(|key| format!("`{key}`")).collect();
        let hint = format!(
            "correct it, take it out, or add the plugin that registers it; known here: {}",
            known.join(", ")
        );
        let told = match &self.document {
            Some(document) => {
                document.point_out_key(&pointer(&[name]), message, hint.clone()).to_string()
            }
            None => message,
        };
        Failure::new("PB1003", Exit::Failed, told, hint)
    }
}

impl Settings {
    /// The tables that the host does not read itself, by name.
    pub fn tables(&self) -> &BTreeMap<String, Value> {
        &self.tables.values
    }

    /// Whether each of them is registered by one of these plugins, and is what the first of
    /// those takes.
    ///
    /// What is wrong with a plugin's schema is no mistake in this file, and neither is a
    /// secret that another process has.
    pub fn check_tables(&self, manifests: &[&Manifest]) -> Result<(), Failure> {
        let registered: BTreeSet<&str> =
            manifests.iter().flat_map(|it| it.host_config.keys()).map(String::as_str).collect();
        for (name, value) in self.tables() {
            let first = manifests.iter().find(|it| it.host_config.contains_key(name));
            let Some(owner) = first else { return Err(self.tables.unknown(name, &registered)) };
            let others = manifests.iter().copied();
            let checked = check_extension(owner, name, value, others, &self.secrets());
            let Err(error) = checked else { continue };
            let Some(unsettled) = error.unsettled() else { continue };
            if unsettled.problems().iter().all(|problem| problem.code() == "PB1504") {
                continue;
            }
            let told = self.point_out(&[name], &error).unwrap_or_else(|| error.to_string());
            let told = format!("{told}\nThe plugin `{}` registers this table.", owner.id);
            return Err(Failure::new(error.code(), Exit::Failed, told, error.hint()));
        }
        Ok(())
    }
}

fn short(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}
