//! Places of values, mistakes that a caller points out, and lines that nobody sees.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use plugbay_config::document::{Document, Limits, Place, Syntax, parse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    assert!(document.point_out("/auth/pin", "no", "").to_string().contains(CANARY));
    assert!(document.point_out("/auth/user", "no", "").to_string().contains("user = 'x', pin"));
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

/// A plugin knows that its `dsn` is a secret, and the host that reads the file does not.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code)]
struct Host {
    name: String,
    plugins: Vec<String>,
    poll: Option<Pin>,
    watch: bool,
    config: BTreeMap<String, Map<String, Value>>,
}

#[test]
fn of_a_line_with_several_values_only_the_wrong_one_is_shown() {
    let host = |syntax, text: &str| {
        parse::<Host>(text.as_bytes(), syntax, Path::new("x"), Limits::default())
            .unwrap_err()
            .to_string()
    };
    let json = |more: &str| format!("{{\"config\":{{\"sql\":{{\"dsn\":\"{CANARY}\"}}}}{more}}}");
    for (syntax, text, shown) in [
        (Syntax::Json, json(",\"foo\":1"), r#"{"config":{"sql":{"dsn":***}},"foo":***}"#),
        (Syntax::Json, json(",\"name\":7"), r#"{"config":{"sql":{"dsn":***}},"name":7}"#),
        (Syntax::Json, json(",\"watch\":{}"), r#"{"config":{"sql":{"dsn":***}},"watch":{}}"#),
        (Syntax::Json, json(",\"poll\":\"x\""), r#"{"config":{"sql":{"dsn":***}},"poll":"x"}"#),
        (Syntax::Json, json(",\"watch\":true,\"watch\":1"), r#"{"config":***"#),
        (Syntax::Json, json(","), r#"{"config":***"#),
        (Syntax::Json, format!("{{\"name\":{{\"dsn\":\"{CANARY}\"}}}}"), r#"{"name":{"dsn":***}}"#),
        (Syntax::Json, format!("{{\"name\":[\"{CANARY}\",4711]}}"), r#"{"name":[***,***]}"#),
        (
            Syntax::Yaml,
            format!("{{watch: 3, config: {{sql: {{dsn: {CANARY}, at: [\"{CANARY}\"]}}}}}}"),
            "{watch: 3, config: {sql: {dsn: ***, at: [***]}}}",
        ),
        (
            Syntax::Yaml,
            format!("config: {{sql: {{a: &a {CANARY}, b: *a}}, }}\nwatch: *a"),
            "watch: *a",
        ),
        (Syntax::Toml, format!("config.sql = {{ dsn = '{CANARY}' }}\nnam = 1"), "nam = ***"),
        (
            Syntax::Toml,
            format!("config = {{ sql = {{ dsn = '{CANARY}' }}, a = true }}"),
            "config = { sql = { dsn = *** }, a = true }",
        ),
        // What belongs into a plugin's table.
        (Syntax::Toml, format!("dsn = '{CANARY}'"), "dsn = ***"),
        (Syntax::Toml, format!("[config]\ndsn = '{CANARY}'"), "dsn ***"),
        (Syntax::Yaml, format!("config:\n  sql:\n  dsn: {CANARY}\n"), "dsn ***"),
        (Syntax::Yaml, format!("config:\n  sql: {{}}\n  dsn: {CANARY}\n"), "dsn ***"),
        // What cannot be read.
        (Syntax::Toml, format!("[config.sql]\ndsn = {CANARY}"), "dsn = ***"),
        (Syntax::Toml, format!("[config.sql]\ndsn = '{CANARY}"), "dsn = ***"),
        (
            Syntax::Yaml,
            format!("config:\n  sql:\n    dsn: {CANARY}\n    dsn: {CANARY}"),
            "    dsn: ***",
        ),
        (Syntax::Yaml, format!("config: {{sql: {{dsn: {CANARY}}}"), "config: ***"),
    ] {
        let told = host(syntax, &text);
        assert!(!told.contains(CANARY) && !told.contains("4711"), "{text}\n{told}");
        assert!(told.contains(&format!(" | {shown}\n")), "{text}\n{told}");
    }
    // With one value on a line all of it is shown, as before.
    for (text, shown) in [
        ("name = 'x'\nwatch = 'yes' # for now", "2 | watch = 'yes' # for now"),
        ("[config.sql]\npool = 1\n[watch]\nx = 1", "3 | [watch]"),
        ("watch = { x = true }", "1 | watch = { x = true }"),
    ] {
        let told = host(Syntax::Toml, text);
        assert!(told.contains(shown), "{told}");
    }
}

/// With each slip of one character that a file of a few values can have.
#[test]
fn no_slip_of_the_hand_shows_a_value() {
    let (c, json) = (CANARY, r#"{"name":"x","config":{"sql":{"dsn":"CANARY","n":[1,"CANARY"]}}}"#);
    let mut refused = 0;
    for (syntax, text) in [
        (Syntax::Json, json.to_owned()),
        (Syntax::Json, json.replace(',', ",\n").replace('{', "{\n")),
        (Syntax::Yaml, "{name: x, config: {sql: {dsn: CANARY, n: [1, 'CANARY']}}}".to_owned()),
        (
            Syntax::Yaml,
            "name: x\nconfig:\n  sql:\n    dsn: CANARY\n    n:\n      - CANARY\n".to_owned(),
        ),
        (
            Syntax::Toml,
            "name = 'x'\n[config.sql]\ndsn = 'CANARY'\nn = [\n  'CANARY',\n]\n".to_owned(),
        ),
        (Syntax::Toml, "config = { sql = { dsn = 'CANARY', n = [1, 'CANARY'] } }\n".to_owned()),
    ] {
        let text = text.replace("CANARY", c);
        for at in 0..=text.len() {
            let (before, after) = text.split_at(at);
            let added = "{}[]:,='\"#-\n !&*x0".chars().map(|c| format!("{before}{c}{after}"));
            let left_out = format!("{before}{}", after.get(1..).unwrap_or_default());
            for text in added.chain([left_out]) {
                let read =
                    parse::<Host>(text.as_bytes(), syntax, Path::new("x"), Limits::default());
                let Err(error) = read else { continue };
                refused += 1;
                let told = format!("{error}\n{}", error.hint());
                // The first line has the keys on the way: some slips make one of the value.
                let told: String = told.lines().skip(1).collect();
                let is_told = told.contains("c4n4ry") || told.contains("hunter2");
                assert!(!is_told, "{text}\n{error}");
            }
        }
    }
    assert!(refused > 4_000, "{refused}");
}
