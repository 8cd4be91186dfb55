//! Places of values, mistakes that a caller points out, and lines that nobody sees.
#![allow(missing_docs)]

use std::path::Path;

use plugbay_config::document::{Document, Limits, Place, Syntax, parse};
use serde::Deserialize;
use serde_json::{Value, json};

const CANARY: &str = "c4n4ry-hunter2";

fn document(syntax: Syntax, text: &str) -> Document<Value> {
    parse(text.as_bytes(), syntax, Path::new("host.conf"), Limits::default()).unwrap()
}

const TOML: &str = "port = 1\n\n[plugins.sql.config]\npool = [\n  10,\n  { a = 20 },\n]\n";
const YAML: &str =
    "port: 1\n\nplugins:\n  sql:\n    config:\n      pool:\n        - 10\n        - a: 20\n";
const JSON: &str =
    "{\"port\": 1,\n\"plugins\": {\"sql\": {\"config\":\n{\"pool\": [10, {\"a\": 20}]}}}}";

#[test]
fn every_value_has_its_place() {
    for (syntax, text, expected) in [
        (Syntax::Toml, TOML, [(3, 14), (4, 1), (5, 3), (6, 5)]),
        (Syntax::Yaml, YAML, [(5, 5), (6, 7), (7, 11), (8, 11)]),
        (Syntax::Json, JSON, [(2, 21), (3, 2), (3, 11), (3, 16)]),
    ] {
        let document = document(syntax, text);
        let pointers = ["", "/pool", "/pool/0", "/pool/1/a"];
        for (pointer, (line, column)) in pointers.iter().zip(expected) {
            let place = document.place(&format!("/plugins/sql/config{pointer}"));
            assert_eq!(place, Some(Place { line, column }), "{syntax} {pointer}");
        }
        for nowhere in
            ["/plugins/sql/config/pol", "/plugins/sql/config/pool/2", "plugins", "/port/x"]
        {
            assert_eq!(document.place(nowhere), None, "{nowhere}");
        }
        let value = json!({"port": 1, "plugins": {"sql": {"config": {"pool": [10, {"a": 20}]}}}});
        assert_eq!((document.json(), document.value()), (value.clone(), &value));
    }
}

#[test]
fn a_callers_mistake_looks_like_all_others() {
    let document = document(Syntax::Toml, TOML);
    let wrong = document.point_out("/plugins/sql/config/pool/0", "expected 5 at most", "lower it");
    assert_eq!(
        wrong.to_string(),
        "the config file host.conf is wrong at line 5, column 3, `plugins.sql.config.pool[0]`
  |
5 |   10,
  |   ^^
expected 5 at most"
    );
    assert_eq!((wrong.code(), wrong.hint().as_str()), ("PB1003", "lower it"));
    assert_eq!(wrong.path().pointer(), "/plugins/sql/config/pool/0");
}

#[test]
fn what_is_not_there_is_pointed_out_at_its_table() {
    for (syntax, text, place, line) in [
        (
            Syntax::Toml,
            TOML,
            "line 3, column 14",
            "3 | [plugins.sql.config]\n  |              ^^^^^^",
        ),
        (Syntax::Yaml, YAML, "line 5, column 5", "5 |     config:\n  |     ^^^^^^"),
        (Syntax::Json, JSON, "line 2, column 21", "\"config\":\n  |                     ^^^^^^^^"),
    ] {
        let wrong = document(syntax, text).point_out("/plugins/sql/config/url", "is missing", "");
        let told = wrong.to_string();
        assert!(told.contains(place) && told.contains("`plugins.sql.config.url`"), "{told}");
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn a_line_with_a_hidden_value_is_never_shown() {
    let text = format!(
        "auth = {{ user = 'x', pin = '{CANARY}' }}\nother = 1\nlong = '''\na\n{CANARY}\n'''\n"
    );
    let mut document = document(Syntax::Toml, &text);
    assert!(document.point_out("/auth/user", "no", "").to_string().contains(CANARY));
    document.hide("/auth/pin");
    document.hide("/long");
    for pointer in ["/auth/pin", "/auth/user", "/auth", "/auth/nothing", "/long", ""] {
        let wrong = document.point_out(pointer, "no", "");
        let shown = format!("{wrong}\n{wrong:?}");
        assert!(!shown.contains(CANARY) && shown.contains("***"), "{shown}");
    }
    assert!(document.point_out("/other", "no", "").to_string().contains("other = 1"));
    assert!(!format!("{document:?}").contains(CANARY));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Access {
    password: Option<u16>,
    token: Option<Word>,
    pins: Option<Pin>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    None,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pin;

impl TryFrom<String> for Pin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("`{text}` is no pin"))
    }
}

#[test]
fn what_looks_like_a_secret_is_not_shown() {
    for (syntax, text) in [
        (Syntax::Toml, format!("password = '{CANARY}'")),
        (Syntax::Toml, format!("pasword = '{CANARY}'")),
        (Syntax::Toml, format!("db_secret = '{CANARY}'")),
        (Syntax::Toml, format!("token = '{CANARY}'")),
        (Syntax::Toml, format!("password = '{CANARY}")),
        (Syntax::Toml, format!("password = {CANARY}")),
        (Syntax::Toml, format!("password = 'a'\npassword = '{CANARY}'")),
        (Syntax::Json, format!("{{\"password\": \"{CANARY}\", \"x\": 1}}")),
        (Syntax::Json, format!("{{\"x\": 1, \"password\": \"{CANARY}\"}}")),
        (Syntax::Json, format!("{{\"password\": \"{CANARY}\",}}")),
        (Syntax::Yaml, format!("password: !secret {CANARY}")),
        (Syntax::Yaml, format!("password: [{CANARY}, b: c: d")),
        (Syntax::Yaml, format!("password:\n  {CANARY}")),
    ] {
        let error = parse::<Access>(text.as_bytes(), syntax, Path::new("x"), Limits::default())
            .unwrap_err();
        let shown = format!("{error}\n{error:?}\n{}", error.hint());
        assert!(!shown.contains(CANARY), "{text}\n{shown}");
    }
}

#[test]
fn a_redacted_mistake_keeps_place_and_key_alone() {
    let text = format!("pins = '{CANARY}'");
    let error = parse::<Access>(text.as_bytes(), Syntax::Toml, Path::new("x"), Limits::default());
    let plugbay_config::document::ReadError::Wrong(wrong) = error.unwrap_err() else {
        panic!("another error");
    };
    assert!(wrong.to_string().contains(CANARY));
    let wrong = wrong.redacted();
    assert_eq!(
        wrong.to_string(),
        "the config file x is wrong at line 1, column 8, `pins`
  |
1 | pins ***
  |      ^^^
this value is refused"
    );
    assert!(!format!("{wrong:?}").contains(CANARY));
}
