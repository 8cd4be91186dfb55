//! What `#[service]` and `#[shared]` make of contracts.

use std::any::type_name;
use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use plugbay_interface::crossing::{Argument, Buffer, Crossing, Field, Shape, Stream};
use plugbay_interface::manifest::{Need, Provided};
use plugbay_interface::prelude::*;
use plugbay_interface::service::{Contract, Description, Implemented, MethodDescription};

use crate::ledger::{Entry, Kind, Part};
use crate::manifest::keys;

/// A frozen struct: how its fields lie is part of every contract that names it.
#[shared]
pub struct Frozen {
    small: u8,
    number: u64,
    text: String,
    maybe: Option<u32>,
}

/// A struct that can be lent in slices.
#[shared]
#[derive(Clone, Copy)]
pub struct Point {
    x: f32,
    y: f32,
}

/// A frozen enum.
#[shared]
pub enum Choice {
    Nothing,
    One(u16),
    Named { text: String, flag: bool },
}

/// One that may grow.
#[shared(growing)]
pub struct Growing {
    number: u64,
}

/// One that may grow.
#[shared(growing)]
pub enum Event {
    Began,
    Moved {
        to: String,
    },
    #[fallback]
    Other,
}

/// Has an example of each rule: what a table of functions has in it.
#[service(id = "plugbay.ledger", version = "1.2")]
pub trait Reference: Send + Sync {
    fn numbers(&self, flag: bool, number: u64, float: f64) -> Result<char, Error>;
    fn texts(&self, lent: &str, moved: RString, own: String) -> Result<String, Error>;
    fn slices(&self, bytes: &[u8], points: &[Point]) -> Result<Vec<u8>, Error>;
    fn frozen(&self, frozen: Frozen, choice: Choice) -> Result<Option<Frozen>, Error>;
    fn growing(&self, growing: Growing) -> Result<Vec<Event>, Error>;
    fn maps(&self, map: HashMap<String, u8>) -> Result<BTreeSet<u32>, Error>;
    fn boxed(&self, boxed: Box<Frozen>, pair: (u8, String)) -> Result<Duration, Error>;
    fn kept(&self, buffer: Buffer<u8>) -> Result<Stream<Buffer<u64>>, Error>;
    fn nothing(&self) -> Result<(), Error>;
    async fn later(&self, lent: &str) -> Result<Value, Error>;
    #[since("1.2")]
    fn latest(&self) -> Result<(), Error> {
        Ok(())
    }
    #[since("1.1")]
    fn in_between(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Has a table of functions, and is never called.
struct Nobody;

#[service]
impl Reference for Nobody {
    fn numbers(&self, _: bool, _: u64, _: f64) -> Result<char, Error> {
        Err(Error::unsupported())
    }
    fn texts(&self, _: &str, _: RString, _: String) -> Result<String, Error> {
        Err(Error::unsupported())
    }
    fn slices(&self, _: &[u8], _: &[Point]) -> Result<Vec<u8>, Error> {
        Err(Error::unsupported())
    }
    fn frozen(&self, _: Frozen, _: Choice) -> Result<Option<Frozen>, Error> {
        Err(Error::unsupported())
    }
    fn growing(&self, _: Growing) -> Result<Vec<Event>, Error> {
        Err(Error::unsupported())
    }
    fn maps(&self, _: HashMap<String, u8>) -> Result<BTreeSet<u32>, Error> {
        Err(Error::unsupported())
    }
    fn boxed(&self, _: Box<Frozen>, _: (u8, String)) -> Result<Duration, Error> {
        Err(Error::unsupported())
    }
    fn kept(&self, _: Buffer<u8>) -> Result<Stream<Buffer<u64>>, Error> {
        Err(Error::unsupported())
    }
    fn nothing(&self) -> Result<(), Error> {
        Err(Error::unsupported())
    }
    async fn later(&self, _: &str) -> Result<Value, Error> {
        Err(Error::unsupported())
    }
}

/// All that can be said of them.
pub fn entries() -> BTreeMap<String, Entry> {
    let description = <dyn Reference>::description();
    let table = <dyn Reference as Implemented<Nobody>>::METHODS;
    // SAFETY: a table begins with the number of its functions.
    let count = unsafe { table.cast::<usize>().read() };
    let mut found = BTreeMap::from([
        crossings(),
        table_of(&description, count),
        keys::<Description>("a contract's description"),
        keys::<MethodDescription>("a method in a description"),
        keys::<Field>("an argument or field in a description"),
        keys::<Provided>("`services` in the manifest"),
        keys::<Need>("`needs` in the manifest"),
    ]);
    let types = description.types.into_iter().map(|(name, of)| {
        let parts = parts_of(of.shape);
        let layout = Some((of.size, of.align));
        let entry = Entry { kind: Kind::Struct, layout, always: None, parts };
        (format!("`{name}` in a contract"), entry)
    });
    found.extend(types);
    found
}

fn table_of(description: &Description, count: usize) -> (String, Entry) {
    let method = |(at, method): (usize, &MethodDescription)| Part {
        name: method.name.clone(),
        of: format!("{} since .{}", method, method.since),
        at: Some((at + 1) * size_of::<usize>()),
    };
    let parts: Vec<_> = description.methods.iter().enumerate().map(method).collect();
    assert_eq!(parts.len(), count, "the table has as many functions as it says");
    let entry = Entry { kind: Kind::Contract, layout: None, always: None, parts };
    ("the table of the contract plugbay.ledger".to_owned(), entry)
}

fn parts_of(shape: Shape) -> Vec<Part> {
    let part = |name: &str, of: String| Part { name: name.to_owned(), of, at: None };
    let field = |field: Field| Part { name: field.name, of: field.of, at: None };
    match shape {
        Shape::List { of } => vec![part("list of", of)],
        Shape::Optional { of } => vec![part("optional", of)],
        Shape::Boxed { of } => vec![part("boxed", of)],
        Shape::Map { key, value } => vec![part("map from", key), part("to", value)],
        Shape::Tuple { of } => {
            of.into_iter().enumerate().map(|(at, of)| part(&at.to_string(), of)).collect()
        }
        Shape::Record { fields } => fields.into_iter().map(field).collect(),
        Shape::Encoded { format } => vec![part("encoded as", format)],
        Shape::Choice { variants } => {
            let variant = |variant: plugbay_interface::crossing::Variant| {
                let fields: Vec<_> = variant.fields.into_iter().map(field).collect();
                let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
                part(&variant.name, fields.join(", "))
            };
            variants.into_iter().map(variant).collect()
        }
        other => vec![part("something else", format!("{other:?}"))],
    }
}

/// What types cross as, with size and alignment.
fn crossings() -> (String, Entry) {
    macro_rules! as_what {
        ($($given:ty),* $(,)?) => { [$(
            (stringify!($given).to_owned(), of::<<$given as Argument>::Abi>()),
        )*] };
    }
    fn of<T>() -> String {
        format!(
            "{}, size {}, align {}",
            without_paths(type_name::<T>()),
            size_of::<T>(),
            align_of::<T>()
        )
    }
    fn returned<T: Crossing>() -> String {
        use abi_stable::std_types::RResult;
        use plugbay_interface::abi::FaultBox;
        of::<RResult<T::Abi, FaultBox>>()
    }
    let mut all = Vec::from(as_what![
        (),
        bool,
        u8,
        u16,
        u32,
        u64,
        u128,
        usize,
        i8,
        i16,
        i32,
        i64,
        i128,
        isize,
        f32,
        f64,
        char,
        &str,
        &[u8],
        &[Point],
        RStr<'static>,
        RSlice<'static, u8>,
        RString,
        String,
        RVec<u8>,
        Vec<u8>,
        Vec<String>,
        Box<u64>,
        Option<u8>,
        Option<String>,
        (u8, u16),
        (u8, u16, u32),
        (u8, u16, u32, u64),
        HashMap<String, u8>,
        BTreeMap<String, u8>,
        BTreeSet<u32>,
        Duration,
        Value,
        Growing,
        Event,
        Buffer<u8>,
        Stream<u8>,
    ]);
    all.push(("a result of ()".to_owned(), returned::<()>()));
    all.push(("a result of u64".to_owned(), returned::<u64>()));
    all.push(("a result of String".to_owned(), returned::<String>()));
    all.push(("a result of Frozen".to_owned(), returned::<Frozen>()));
    ("what types cross as in a contract".to_owned(), Entry::names(all))
}

/// The compiler's name of a type, without modules and lifetimes.
fn without_paths(name: &str) -> String {
    let name = name.replace("'_, ", "").replace("<'_>", "");
    let word = |word: &str| word.rsplit("::").next().unwrap_or_default().to_owned();
    name.split_inclusive(['<', '>', '(', ')', ',', ' ', '[', ']']).map(word).collect()
}
