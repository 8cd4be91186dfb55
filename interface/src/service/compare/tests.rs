//! Pairs of contracts with one id, as careless authors make them.

use super::Mismatch;
use crate::service::{Contract, Description};

/// A contract in a module of its own, so that the type's names are free.
macro_rules! contract {
    ($name:ident, $version:literal, { $($types:item)* } { $($methods:tt)* }) => {
        mod $name {
            use crate::prelude::*;

            $($types)*

            #[service(id = "test.pair", version = $version)]
            #[allow(dead_code)]
            pub trait Pair: Send + Sync {
                $($methods)*
            }
        }
    };
}

contract!(first, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
});

contract!(grown, "1.2", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    #[since("1.2")]
    fn last(&self) -> Result<u8, Error> { Err(Error::unsupported()) }
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
    #[since("1.1")]
    fn more(&self, wide: bool) -> Result<(), Error> { let _ = wide; Err(Error::unsupported()) }
});

contract!(wide, "1.0", { #[shared] pub struct Head { level: u16, text: String } #[shared] pub enum Kind { One, Two } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
});

contract!(longer, "1.0", { #[shared] pub struct Head { level: u8, text: String, id: u8 } #[shared] pub enum Kind { One, Two } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
});

contract!(choosy, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two, Three } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
});

contract!(turned, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, y: u32, x: u32) -> Result<(), Error>;
});

contract!(waits, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    async fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
});

contract!(short, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
});

contract!(other_order, "1.0", { #[shared] pub struct Head { level: u8, text: String } #[shared] pub enum Kind { One, Two } } {
    fn move_to(&self, x: u32, y: u32) -> Result<(), Error>;
    fn heads(&self, text: &str, kind: Kind) -> Result<Vec<Head>, Error>;
});

contract!(second, "2.0", {} {
    fn heads(&self, text: &str) -> Result<String, Error>;
});

fn of<C: Contract + ?Sized>() -> Description {
    // As it comes from another library.
    serde_json::from_str(&serde_json::to_string(&C::description()).unwrap()).unwrap()
}

fn difference(there: &Description) -> String {
    there.serves(&of::<dyn first::Pair>()).unwrap_err().to_string()
}

#[test]
fn older_and_newer_sides_serve_each_other() {
    let (first, grown) = (of::<dyn first::Pair>(), of::<dyn grown::Pair>());
    let names: Vec<_> = grown.methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(names, ["heads", "move_to", "more", "last"]);
    assert_eq!(first.serves(&grown), Ok(()));
    assert_eq!(grown.serves(&first), Ok(()));
    assert_eq!(grown.serves(&grown), Ok(()));
}

#[test]
fn what_differs_is_said_in_words() {
    for (there, words) in [
        (
            of::<dyn wide::Pair>(),
            "test.pair is another one there than here: `heads`: the field `level` of `Head` is \
             `u16` there and `u8` here",
        ),
        (
            of::<dyn longer::Pair>(),
            "test.pair is another one there than here: `heads`: `Head` has a field `id` there and \
             not here",
        ),
        (
            of::<dyn choosy::Pair>(),
            "test.pair is another one there than here: `heads`: `Kind` has a variant `Three` there \
             and not here",
        ),
        (
            of::<dyn turned::Pair>(),
            "test.pair is another one there than here: `move_to`: takes its arguments in another \
             order there than here",
        ),
        (
            of::<dyn waits::Pair>(),
            "test.pair is another one there than here: `heads`: async there and not async here",
        ),
        (
            of::<dyn short::Pair>(),
            "both sides know test.pair 1.0, but not as the same: `move_to` is here and not there",
        ),
        (
            of::<dyn other_order::Pair>(),
            "both sides know test.pair 1.0, but not as the same: where there is `move_to` there, \
             there is `heads` here",
        ),
        (
            of::<dyn second::Pair>(),
            "test.pair has version 2.0 there and 1.0 here, and versions with another first number \
             have nothing in common",
        ),
    ] {
        assert_eq!(difference(&there), words);
    }
}

#[test]
fn both_sides_words_are_there_for_those_who_ask() {
    let mismatch = of::<dyn waits::Pair>().serves(&of::<dyn first::Pair>()).unwrap_err();
    assert!(matches!(mismatch, Mismatch::Method { .. }));
    assert_eq!(
        mismatch.details().unwrap(),
        "here:  fn heads(text: str, kind: Kind) -> Vec<Head>\n\
         there: async fn heads(text: str, kind: Kind) -> Vec<Head>"
    );
}

#[test]
fn a_description_that_contradicts_itself_is_refused() {
    let first = of::<dyn first::Pair>();
    let mut hostile = first.clone();
    hostile.methods[0].since = 7;
    assert!(difference(&hostile).contains("`heads` is of a later version"));
    let mut hostile = first.clone();
    hostile.minor = 7;
    hostile.methods[0].since = 7;
    assert!(difference(&hostile).contains("a later method comes before an earlier one"));
    let mut hostile = first.clone();
    hostile.types.clear();
    assert!(difference(&hostile).contains("only one side says what"));
    let mut hostile = first.clone();
    hostile.types.get_mut("Head").unwrap().size += 8;
    assert!(difference(&hostile).contains("bytes in steps of"));
}

/// Two types of one name that change places.
#[test]
fn a_type_may_have_the_name_of_one_that_everybody_knows() {
    contract!(before, "1.0", { use std::string::String as Text; #[shared] pub struct String { wide: (u64, u64) } } {
        fn text(&self, text: Text) -> Result<(), Error>;
        fn own(&self, own: String) -> Result<(), Error>;
    });
    contract!(behind, "1.0", { use std::string::String as Text; #[shared] pub struct String { wide: (u64, u64) } } {
        fn text(&self, text: String) -> Result<(), Error>;
        fn own(&self, own: Text) -> Result<(), Error>;
    });
    let (before, behind) = (of::<dyn before::Pair>(), of::<dyn behind::Pair>());
    assert!(before.serves(&before).is_ok());
    let said = behind.serves(&before).unwrap_err().to_string();
    assert!(said.contains("the argument `text` is `String#2` there and `String` here"), "{said}");
}

/// Both sides may be what a library has written.
#[test]
fn types_inside_of_each_other_without_end_are_refused() {
    let mut deep = of::<dyn first::Pair>();
    let mut last = deep.types["Head"].clone();
    for at in 0..100_000 {
        let name = |at| format!("T{at}");
        last.shape = crate::crossing::Shape::Boxed { of: name(at + 1) };
        deep.types.insert(name(at), last.clone());
    }
    deep.methods[0].result = "T0".into();
    let said = deep.serves(&deep).unwrap_err().to_string();
    assert!(said.contains("is inside of more than 256 types"), "{said}");
}
