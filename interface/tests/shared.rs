//! Data of an author's own, on its way across and back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plugbay_interface::crossing::{Crossing, Shape, Types};
use plugbay_interface::prelude::*;

/// There and back.
fn through<T: Crossing>(value: T) -> Result<T, Error> {
    T::from_abi(value.into_abi()?)
}

#[shared]
#[derive(Debug, Clone, PartialEq)]
struct Heading {
    level: u8,
    text: String,
    below: Vec<Heading>,
    r#type: Option<Box<Mark>>,
}

#[shared]
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    None,
    Number(u16),
    Both { word: RString, marks: Vec<Mark> },
}

#[shared]
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    small: u8,
    x: f64,
    y: f64,
}

#[shared]
#[derive(Debug, PartialEq)]
struct Line(Point, Point);

#[shared]
#[derive(Debug, PartialEq)]
struct Unit;

fn heading() -> Heading {
    let mark = Mark::Both { word: "w".into(), marks: vec![Mark::None, Mark::Number(7)] };
    let below = Heading { level: 2, text: "two".into(), below: vec![], r#type: None };
    Heading { level: 1, text: "one".into(), below: vec![below], r#type: Some(Box::new(mark)) }
}

#[test]
fn structs_and_enums_come_out_as_they_went_in() {
    assert_eq!(through(heading()).unwrap(), heading());
    assert_eq!(through(Unit).unwrap(), Unit);
    assert_eq!(through((1, 'x', Mark::None)).unwrap(), (1, 'x', Mark::None));
    let map = HashMap::from([("a".to_owned(), heading())]);
    assert_eq!(through(map.clone()).unwrap(), map);
    let set = BTreeSet::from([3, 1]);
    assert_eq!(through(set.clone()).unwrap(), set);
    let json = json!({"any": [1, null]});
    assert_eq!(through(json.clone()).unwrap(), json);
}

#[test]
fn structs_of_numbers_cross_as_themselves() {
    const { assert!(Point::SAME && Line::SAME && !Heading::SAME) };
    let point = Point { small: 1, x: 2.0, y: 3.0 };
    let points = RVec::from(vec![point; 100]);
    let before = points.as_ptr();
    let crossed = points.into_abi().unwrap();
    assert_eq!(crossed.as_ptr().cast(), before);
    assert_eq!(RVec::<Point>::from_abi(crossed).unwrap()[99], point);
}

#[test]
fn what_is_no_value_of_the_type_is_an_error() {
    assert!(char::from_abi(0xD800).is_err());
    assert_eq!(serde_json::Value::from_abi("{".into()).unwrap_err().code(), "failed");
}

#[test]
fn types_describe_themselves_down_to_the_numbers() {
    let mut types = Types::default();
    assert_eq!(Heading::describe(&mut types), "Heading");
    assert_eq!(other::Heading::describe(&mut types), "Heading#2");
    let types = types.into_described();
    let Shape::Record { fields } = &types["Heading"].shape else { panic!("{types:?}") };
    let fields: Vec<_> = fields.iter().map(|field| (&*field.name, &*field.of)).collect();
    assert_eq!(
        fields,
        [
            ("level", "u8"),
            ("text", "String"),
            ("below", "Vec<Heading>"),
            ("type", "Option<Box<Mark>>")
        ]
    );
    let Shape::Choice { variants } = &types["Mark"].shape else { panic!("{types:?}") };
    assert_eq!(variants[2].fields[1].of, "Vec<Mark>");
    assert!(types.contains_key("Option<Box<Mark>>") && types.contains_key("Heading#2"));
}

mod other {
    #[plugbay_interface::shared]
    pub struct Heading(pub u8);
}

/// The same types at two times.
mod growing {
    use super::*;

    pub mod first {
        use super::*;

        #[shared(growing)]
        #[derive(Debug, Clone, PartialEq)]
        pub struct Options {
            pub width: u16,
        }

        #[shared(growing)]
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            #[fallback]
            Unknown,
            Started,
            #[serde(rename = "Ended")]
            Done {
                code: i32,
            },
        }
    }

    pub mod later {
        use super::*;

        #[shared(growing)]
        #[derive(Debug, Clone, PartialEq)]
        pub struct Options {
            pub width: u16,
            #[serde(default)]
            pub theme: Option<String>,
        }

        #[shared(growing)]
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            #[fallback]
            Unknown,
            Started,
            Ended {
                code: i32,
                #[serde(default)]
                message: String,
            },
            Moved(BTreeMap<String, Vec<u8>>, f64),
            Paused,
        }
    }

    fn between<A: Crossing, B: Crossing<Abi = A::Abi>>(value: A) -> Result<B, Error> {
        B::from_abi(value.into_abi()?)
    }

    #[test]
    fn a_field_that_came_later_has_its_default() {
        let old = first::Options { width: 80 };
        let new: later::Options = between(old.clone()).unwrap();
        assert_eq!(new, later::Options { width: 80, theme: None });
        let new = later::Options { width: 90, theme: Some("dark".into()) };
        assert_eq!(between::<_, first::Options>(new).unwrap(), first::Options { width: 90 });
    }

    #[test]
    fn a_variant_that_came_later_is_the_fallback_wherever_it_stands() {
        let moved = later::Event::Moved([("x".into(), vec![1, 2])].into(), f64::NAN);
        let ended = later::Event::Ended { code: 3, message: "m".into() };
        let events =
            vec![moved, ended, later::Event::Paused, later::Event::Started, later::Event::Unknown];
        let expected = {
            use first::Event::{Done, Started, Unknown};
            [Unknown, Done { code: 3 }, Unknown, Started, Unknown]
        };
        let json = serde_json::to_string(&events).unwrap().replace("null", "0.5");
        assert_eq!(serde_json::from_str::<Vec<first::Event>>(&json).unwrap(), expected);
        for (event, expected) in events.into_iter().zip(expected) {
            assert_eq!(between::<_, first::Event>(event).unwrap(), expected);
        }
        let old = first::Event::Done { code: 1 };
        let new = later::Event::Ended { code: 1, message: String::new() };
        assert_eq!(between::<_, later::Event>(old).unwrap(), new);
    }

    #[test]
    fn a_known_variant_that_does_not_fit_is_no_fallback() {
        let error =
            serde_json::from_str::<first::Event>(r#"{"Ended": {"code": "x"}}"#).unwrap_err();
        assert!(error.to_string().contains("invalid type"), "{error}");
        assert!(serde_json::from_str::<first::Event>("{}").is_err());
        assert!(serde_json::from_str::<first::Event>(r#"{"A": 1, "B": 2}"#).is_err());
        let error = first::Options::from_abi(RVec::from(vec![0xc1])).unwrap_err();
        assert_eq!(error.code(), plugbay_interface::code::CROSSING);
        assert_eq!(error.to_string(), "what came is no Options");
    }
}
