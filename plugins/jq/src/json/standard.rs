//! What the engine's standard library asks of a value.

use jaq_json::{Num, Val};

use super::Json;
use crate::meter::check;

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::leaf(Val::Bool(value))
    }
}

impl From<isize> for Json {
    fn from(value: isize) -> Self {
        Self::leaf(value.into())
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::leaf(value.into())
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::leaf(Val::Num(Num::Float(value)))
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::leaf(Val::utf8_str(value))
    }
}

/// Every array that a filter makes is made here.
impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(children: I) -> Self {
        let mut depth = 0;
        let array: Vec<_> = children
            .into_iter()
            .map(|child| {
                check();
                depth = depth.max(child.depth());
                child.val
            })
            .collect();
        Self::around(Val::Arr(array.into()), depth)
    }
}

impl jaq_std::ValT for Json {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        match &self.val {
            Val::Arr(_) => {
                let again = self.clone();
                self.children().map(Iterator::collect).map_err(|_| again)
            }
            _ => Err(self),
        }
    }

    fn is_int(&self) -> bool {
        self.val.is_int()
    }

    fn as_isize(&self) -> Option<isize> {
        self.val.as_isize()
    }

    fn as_f64(&self) -> Option<f64> {
        self.val.as_f64()
    }

    fn is_utf8_str(&self) -> bool {
        self.val.is_utf8_str()
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        self.val.as_bytes()
    }

    fn as_sub_str(&self, part: &[u8]) -> Self {
        Self::leaf(self.val.as_sub_str(part))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::leaf(Val::from_utf8_bytes(bytes))
    }
}
