use std::fmt;

use jaq_json::{Map, Num, Val};
use plugbay_interface::serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Json;
use crate::meter::check;

/// From any format that serde reads: the input of a call, or JSON text.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::leaf(Val::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::leaf(Val::Num(Num::from_integral(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::leaf(Val::Num(Num::from_integral(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.to_owned().into())
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let (mut array, mut depth) = (Vec::new(), 0);
        while let Some(child) = sequence.next_element::<Json>()? {
            check();
            depth = depth.max(child.depth());
            array.push(child.val);
        }
        Ok(Json::around(Val::Arr(array.into()), depth))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let (mut object, mut depth) = (Map::default(), 0);
        while let Some((key, child)) = map.next_entry::<String, Json>()? {
            check();
            depth = depth.max(child.depth());
            object.insert(Val::utf8_str(key), child.val);
        }
        Ok(Json::around(Val::obj(object), depth))
    }
}
