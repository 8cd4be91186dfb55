//! Mistakes in configuration files, as somebody reads them who would rather not.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use plugbay_config::document::{Limits, ReadError, Syntax, parse, read};
use plugbay_manifest::PluginId;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code)]
struct Host {
    plugins: BTreeMap<PluginId, Plugin>,
    precedence: Vec<String>,
    probe: Option<Probe>,
    port: Option<u16>,
    watch: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Plugin {
    file: String,
    #[serde(default)]
    config: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Probe {
    IfPossible,
    Required,
    Every {
        #[allow(dead_code)]
        seconds: u8,
    },
}

fn error(syntax: Syntax, text: &str) -> ReadError {
    match parse::<Host>(text.as_bytes(), syntax, Path::new("host.conf"), Limits::default()) {
        Ok(document) => panic!("{text:?} was taken: {:?}", document.value()),
        Err(error) => error,
    }
}

/// The whole message, and the help after it.
fn told(syntax: Syntax, text: &str) -> String {
    let error = error(syntax, text);
    assert_eq!(error.code(), "PB1003");
    format!("{error}\nhelp: {}\n", error.hint())
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_eq!(
        told(Syntax::Toml, "port = 1\n\nprecedense = []\n"),
        "the config file host.conf is wrong at line 3, column 1, `precedense`
  |
3 | precedense = []
  | ^^^^^^^^^^
there is no key `precedense` here; did you mean `precedence`?
help: correct it, or take it out; known here: `plugins`, `precedence`, `probe`, `port` and `watch`
"
    );
    assert_eq!(
        told(Syntax::Json, "{\n  \"plugins\": {\n    \"sql\": { \"fil\": 3 }\n  }\n}\n"),
        "the config file host.conf is wrong at line 3, column 14, `plugins.sql.fil`
  |
3 |     \"sql\": { \"fil\": *** }
  |              ^^^^^
there is no key `fil` here; did you mean `file`?
help: correct it, or take it out; known here: `file` and `config`
"
    );
    assert_eq!(
        told(Syntax::Yaml, "plugins:\n  sql:\n    file: x\n    zebra: 1\n"),
        "the config file host.conf is wrong at line 4, column 5, `plugins.sql.zebra`
  |
4 |     zebra: ***
  |     ^^^^^
there is no key `zebra` here
help: correct it, or take it out; known here: `file` and `config`
"
    );
}

#[test]
fn another_type_is_told_with_what_is_expected() {
    assert_eq!(
        told(Syntax::Toml, "[plugins]\nsql = { file = 3 }\n"),
        "the config file host.conf is wrong at line 2, column 16, `plugins.sql.file`
  |
2 | sql = { file = 3 }
  |                ^
expected a text, found 3
help: write a value of that kind
"
    );
    assert_eq!(
        told(Syntax::Yaml, "watch: no\n"),
        "the config file host.conf is wrong at line 1, column 8, `watch`
  |
1 | watch: no
  |        ^^
expected `true` or `false`, found a text
help: write true or false, without quotes; `yes`, `no`, `on` and `off` are texts
"
    );
    assert_eq!(
        told(Syntax::Json, "{\"port\": 70000}"),
        "the config file host.conf is wrong at line 1, column 10, `port`
  |
1 | {\"port\": 70000}
  |          ^^^^^
expected a whole number from 0 to 65,535, found 70000
help: write a value of that kind
"
    );
}

#[test]
fn a_missing_key_is_told_at_its_table() {
    let texts = [
        (
            Syntax::Toml,
            "port = 1\n[plugins.sql]\nconfig = 1\n",
            "line 2, column 1",
            "[plugins.sql]",
        ),
        (Syntax::Yaml, "plugins:\n  sql:\n    config: 1\n", "line 2, column 3", "  sql:"),
        (Syntax::Json, "{\"plugins\":\n{\"sql\": {}}}", "line 2, column 9", "{\"sql\": {}}}"),
    ];
    for (syntax, text, place, line) in texts {
        let told = told(syntax, text);
        for part in [place, line, "`plugins.sql`", "the key `file` is missing here"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_told_in_every_syntax() {
    for (syntax, text, column) in [
        (Syntax::Toml, "port = 1\nport = 2\n", 1),
        (Syntax::Yaml, "port: 1\nport: 2\n", 1),
        (Syntax::Json, "{\"port\": 1,\n \"port\": 2}", 2),
        (Syntax::Json, "{\"port\": 1,\n \"po\\u0072t\": 2}", 2),
    ] {
        let told = told(syntax, text);
        assert!(told.contains(&format!("line 2, column {column}")), "{told}");
        assert!(told.contains("the key `port` is there twice\nhelp: take one"), "{told}");
    }
}

#[test]
fn syntax_errors_have_their_place() {
    for (syntax, text, place, words) in [
        (Syntax::Toml, "a = [1,\n", "line 1, column 8", "expected `]`"),
        (Syntax::Toml, "port == 1", "line 1, column 7", "extra `=`"),
        (Syntax::Json, "{\"port\": 1,}", "line 1, column 12", "expected a key in double quotes"),
        (Syntax::Json, "{\"port\" 1}", "line 1, column 9", "expected `:`"),
        (Syntax::Json, "{} x", "line 1, column 4", "trailing characters"),
        (Syntax::Json, "", "line 1, column 1", "the file ends in the middle"),
        (Syntax::Json, "{\"probe\": \"a\nb\"}", "line 1, column 12", "no line breaks"),
        (Syntax::Json, "{\n\n\"probe\": \"ä\\ud800\"}", "line 3", "escape"),
        (Syntax::Yaml, "a: [", "line 1, column 5", "did not find expected node"),
        (Syntax::Yaml, "a: b: c", "line 1, column 5", "not allowed"),
        (Syntax::Yaml, "ä: 1\nb: *c", "line 2, column 4", "unknown anchor"),
    ] {
        let told = told(syntax, text);
        assert!(told.contains(place) && told.contains(words), "{told}");
    }
}

#[test]
fn numbers_that_json_has_not_are_told() {
    for (syntax, text) in [
        (Syntax::Toml, "plugins.s.file = 'x'\nplugins.s.config = [1, nan]"),
        (Syntax::Toml, "plugins.s.file = 'x'\nplugins.s.config = [1, -inf]"),
        (Syntax::Yaml, "plugins: {s: {file: x,\n config: [1, .nan]}}"),
        (Syntax::Yaml, "plugins: {s: {file: x,\n config: [1, +.inf]}}"),
    ] {
        let told = told(syntax, text);
        for part in ["line 2", "`plugins.s.config[1]`", "infinity and not-a-number"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    for (syntax, text) in [
        (Syntax::Toml, "port = 18446744073709551616"),
        (Syntax::Toml, "port = 1e999"),
        (Syntax::Json, "{\"port\": -9223372036854775809}"),
        (Syntax::Json, "{\"port\": 1e999}"),
        (Syntax::Yaml, "port: 18446744073709551616"),
        (Syntax::Yaml, "port: 0xfffffffffffffffff"),
    ] {
        assert!(told(syntax, text).contains("this number does not fit"), "{text}");
    }
}

#[test]
fn what_yaml_surprises_with_is_refused() {
    for (text, words) in [
        ("port: !!int 3", "tags (`!name`) are not read"),
        ("! port: 3", "tags (`!name`) are not read"),
        ("plugins: !x {}", "tags (`!name`) are not read"),
        ("precedence: !x []", "tags (`!name`) are not read"),
        ("port: 1\n---\nport: 2", "a second document begins here"),
        ("? [a]\n: 3", "a key must be a text"),
        ("~: 3", "a key must be a text"),
        ("? *a\n: 3", "unknown anchor"),
        ("precedence: &a []\n? *a\n: 3", "a key must be a text"),
        ("<<: {port: 1}", "`<<` merges tables in YAML 1.1"),
        ("precedence: &a [*a]", "inside of what it stands for"),
    ] {
        assert!(told(Syntax::Yaml, text).contains(words), "{text}: {}", told(Syntax::Yaml, text));
    }
}

#[test]
fn words_that_the_model_chooses_from_are_listed() {
    let told = told(Syntax::Toml, "probe = 'requird'");
    assert!(told.contains("expected one of `if-possible`, `required` and `every`"), "{told}");
    assert!(told.contains("did you mean `required`?"), "{told}");
    let inside = error(Syntax::Toml, "probe = { every = { seconds = 300 } }").to_string();
    assert!(inside.contains("`probe.every.seconds`") && inside.contains("to 255, found 300"));
    let model = error(Syntax::Toml, "[plugins.'../x']\nfile = ''").to_string();
    assert!(model.contains("`../x` is no plugin id"), "{model}");
}

#[test]
fn a_list_is_no_table_though_it_has_as_many_values() {
    for text in ["[{}, [], null, 1, true]", "{\"plugins\": {\"s\": [\"x\", 1]}}"] {
        let told = told(Syntax::Json, text);
        assert!(told.contains("expected a table, found a list"), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let error = |path: &Path| read::<Host>(path, Limits::default()).unwrap_err();

    let missing = error(&path("none.toml"));
    assert_eq!((missing.code(), missing.hint().as_str()), ("PB1002", "name one that is there"));
    assert!(matches!(missing, ReadError::Unreadable { .. }));

    std::fs::create_dir(path("folder.toml")).unwrap();
    assert!(matches!(error(&path("folder.toml")), ReadError::NotAFile { .. }));

    let ini = error(&path("host.ini"));
    assert!(ini.to_string().contains("does not tell its syntax") && ini.hint().contains(".yaml"));

    std::fs::write(path("large.json"), vec![b' '; (1 << 20) + 1]).unwrap();
    let large = error(&path("large.json"));
    assert!(large.to_string().ends_with("large.json has more than 1048576 bytes"), "{large}");

    std::fs::write(path("latin.toml"), b"a = 1\nb = '\xe4'\n").unwrap();
    let latin = error(&path("latin.toml")).to_string();
    assert!(latin.contains("line 2, column 6") && latin.contains("not UTF-8"), "{latin}");

    std::fs::write(path("good.yml"), "port: 7\n").unwrap();
    let good = read::<Host>(&path("good.yml"), Limits::default()).unwrap();
    assert_eq!((good.value().port, good.syntax()), (Some(7), Syntax::Yaml));
}
