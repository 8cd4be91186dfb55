//! Files that were made to do harm end with an error, soon and without overflow.
#![allow(missing_docs)]

use std::path::Path;
use std::time::Instant;

use plugbay_config::document::{Limits, ReadError, Syntax, parse};
use proptest::prelude::*;
use serde_json::Value;

fn outcome(syntax: Syntax, text: &[u8]) -> Result<Value, ReadError> {
    parse::<Value>(text, syntax, Path::new("x"), Limits::default()).map(|read| read.into_value())
}

fn told(syntax: Syntax, text: &str) -> String {
    outcome(syntax, text.as_bytes()).unwrap_err().to_string()
}

fn nested(begin: &str, middle: &str, end: &str, deep: usize) -> String {
    format!("{}{middle}{}", begin.repeat(deep), end.repeat(deep))
}

#[test]
fn sixty_four_levels_are_read_and_sixty_five_are_not() {
    let texts = |deep: usize| {
        [
            (Syntax::Toml, format!("a = {}", nested("[", "", "]", deep - 1))),
            (Syntax::Toml, format!("a = {}1{}", "{b = ".repeat(deep - 1), "}".repeat(deep - 1))),
            (Syntax::Toml, format!("{} = 1", vec!["a"; deep].join("."))),
            (Syntax::Toml, format!("[{}]", vec!["a"; deep - 1].join("."))),
            (Syntax::Yaml, nested("[", "", "]", deep)),
            (Syntax::Yaml, nested("{a: ", "1", "}", deep)),
            (Syntax::Yaml, format!("{}1", "- ".repeat(deep))),
            (Syntax::Json, nested("[", "", "]", deep)),
            (Syntax::Json, nested("{\"a\":", "1", "}", deep)),
        ]
    };
    for (syntax, text) in texts(64) {
        assert!(outcome(syntax, text.as_bytes()).is_ok(), "{syntax} {text}");
    }
    for (syntax, text) in texts(65) {
        let told = told(syntax, &text);
        assert!(told.contains("more than 64 deep"), "{syntax} {told}");
    }
}

#[test]
fn no_depth_overflows_a_small_stack() {
    let read = || {
        for deep in [1_000, 100_000] {
            for (syntax, text) in [
                (Syntax::Toml, format!("a = {}", "[".repeat(deep))),
                (Syntax::Toml, format!("a = {}", nested("[", "", "]", deep))),
                (Syntax::Toml, format!("a = {}", "{a=".repeat(deep))),
                (Syntax::Toml, format!("{} = 1", vec!["a"; deep].join("."))),
                (Syntax::Toml, format!("[{}]", vec!["a"; deep].join("."))),
                (Syntax::Toml, format!("[[{}]]", vec!["a"; deep].join("."))),
                (Syntax::Yaml, "[".repeat(deep)),
                (Syntax::Yaml, "{a: ".repeat(deep)),
                (Syntax::Yaml, "- ".repeat(deep)),
                (Syntax::Yaml, "? ".repeat(deep)),
                (Syntax::Yaml, "a: &a ".repeat(deep)),
                (Syntax::Yaml, nested("[", "", "]", deep)),
                (Syntax::Json, "[".repeat(deep)),
                (Syntax::Json, "{\"a\":".repeat(deep)),
                (Syntax::Json, nested("[", "", "]", deep)),
            ] {
                assert!(outcome(syntax, text.as_bytes()).is_err(), "{syntax} {deep}");
            }
        }
        // As deep as TOML goes in each of its three ways at once.
        let keys = vec!["a"; 79].join(".");
        let text = format!("[{keys}]\n{keys} = {}", nested("[", "", "]", 79));
        assert!(told(Syntax::Toml, &text).contains("deep"));
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(read).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_billion_laughs_end_with_an_error() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![last; 9].join(", ")));
    }
    assert!(told(Syntax::Yaml, &text).contains("with its aliases written out"));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), ["*a"; 3].join(", "));
    assert!(told(Syntax::Yaml, &long).contains("with its aliases written out"));

    let zeros = vec!["0"; 250_000].join(",");
    let keepers = nested("&a [", &zeros, "]", 60);
    assert!(told(Syntax::Yaml, &keepers).contains("more than 1048576 bytes"));
}

#[test]
fn aliases_do_not_get_around_the_depth() {
    let mut text = format!("a0: &a0 {}\n", nested("[", "", "]", 40));
    text.push_str(&format!("b: {}\n", nested("[", "*a0", "]", 40)));
    assert!(told(Syntax::Yaml, &text).contains("more than 64 deep"));
}

#[test]
fn a_full_file_of_anything_is_read_in_time() {
    let full = |piece: &str| piece.repeat(1_000_000 / piece.len());
    let keys = |mid: &str| (0..60_000).map(|at| format!("k{at}{mid}1\n")).collect::<String>();
    for (syntax, text) in [
        (Syntax::Toml, keys(" = ")),
        (Syntax::Toml, full("[[a]]\n")),
        (Syntax::Toml, format!("a = [{}]", full("1,"))),
        (Syntax::Toml, format!("a = \"\"\"{}", full("\\"))),
        (Syntax::Toml, full("\"")),
        (Syntax::Toml, full("=")),
        (Syntax::Toml, full("[")),
        (Syntax::Toml, full("#")),
        (Syntax::Toml, full("a.")),
        (Syntax::Yaml, keys(": ")),
        (Syntax::Yaml, full("- a\n")),
        (Syntax::Yaml, full("[")),
        (Syntax::Yaml, format!("[{}", full("a,"))),
        (Syntax::Yaml, full("? ")),
        (Syntax::Yaml, full("?\n")),
        (Syntax::Yaml, full("- ")),
        (Syntax::Yaml, full("-\n")),
        (Syntax::Yaml, full(" ")),
        (Syntax::Yaml, full("\t")),
        (Syntax::Yaml, full("&a ")),
        (Syntax::Yaml, full("&a [")),
        (Syntax::Yaml, full("!")),
        (Syntax::Yaml, full("%YAML 1.2\n")),
        (Syntax::Yaml, full("\n")),
        (Syntax::Yaml, full("#\n")),
        (Syntax::Yaml, full("\"")),
        (Syntax::Yaml, full("'")),
        (Syntax::Yaml, full("\"a\": ")),
        (Syntax::Yaml, full("a ")),
        (Syntax::Yaml, full("a\n ")),
        (Syntax::Yaml, full(":")),
        (Syntax::Yaml, full("*a")),
        (Syntax::Yaml, full("{a,")),
        (Syntax::Yaml, full(",")),
        (Syntax::Yaml, full("---\n")),
        (Syntax::Yaml, format!("a: |\n{}", full(" \n"))),
        (Syntax::Yaml, format!("a: >\n{}", full("  a\n"))),
        (Syntax::Yaml, format!("a: \"{}\"", full("\\x41"))),
        (Syntax::Yaml, format!("a: [{}]", full("{},"))),
        (Syntax::Json, format!("[{}1]", full("1,"))),
        (Syntax::Json, format!("{}[{}1]{}", "[".repeat(63), full("1,"), "]".repeat(63))),
        (Syntax::Json, full("\"\\")),
        (Syntax::Json, format!("\"{}\"", full("\\u0041"))),
        (Syntax::Json, full("[]")),
        (Syntax::Json, full("1")),
        (Syntax::Json, format!("0.{}", full("1"))),
    ] {
        let begin = Instant::now();
        let _ = outcome(syntax, text.as_bytes());
        // A hundred times what a debug build needs; a minute where time is squared.
        let name: String = text.chars().take(20).collect();
        println!("{syntax} {name:?}: {:?}", begin.elapsed());
        assert!(begin.elapsed().as_secs() < 20, "{syntax} {name:?}: {:?}", begin.elapsed());
    }
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for syntax in [Syntax::Toml, Syntax::Yaml, Syntax::Json] {
            if let Err(error) = outcome(syntax, &bytes) {
                prop_assert!(error.to_string().lines().count() <= 6, "{}", error);
            }
        }
    }

    #[test]
    fn no_text_out_of_marks_causes_a_panic(text in "[\\[\\]{}:,'\"\\\\|>&*!%@#?\\-= \n\tae0.ä\u{0}\u{feff}~<]{0,60}") {
        for syntax in [Syntax::Toml, Syntax::Yaml, Syntax::Json] {
            if let Err(error) = outcome(syntax, text.as_bytes()) {
                prop_assert!(error.to_string().lines().count() <= 6, "{}", error);
            }
        }
    }
}
