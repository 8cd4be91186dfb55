//! Secrets: read from where they are, and shown nowhere.
#![allow(missing_docs)]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use plugbay_config::document::{Limits, Syntax, parse};
use plugbay_config::schema::{
    Declared, Owner, Problem, Schema, Schemas, SecretSource, Settled, Unsettled,
};
use serde_json::{Value, json};

const CANARY: &str = "c4n4ry-hunter2";

fn schema(schema: Value) -> Schema {
    let owner = Owner::Plugin("sql".parse().unwrap());
    Schemas::new().compile(owner, &Declared::new(schema)).unwrap()
}

fn source() -> SecretSource {
    SecretSource::new("").with_variables([
        ("CANARY", CANARY),
        ("NUMBER", "00123456"),
        ("FRACTION", "1.5"),
        ("TRUTH", "true"),
        ("SHORT", "abc"),
    ])
}

/// Everything that a value lets anybody see.
fn seen(value: &(impl Debug + ToString)) -> String {
    format!("{value:?}\n{value:#?}\n{}", value.to_string())
}

#[test]
fn secrets_come_from_variables_and_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "from a file\n").unwrap();
    let of = json!({"properties": {
        "a": {"secret": true}, "b": {"type": "object", "properties": {"c": {"secret": true}}},
        "l": {"items": {"secret": true}}, "d": {"secret": true, "default": {"env": "A"}},
        "none": {"secret": true, "type": ["string", "null"]}
    }});
    let source = SecretSource::new(folder.path()).with_variables([("A", "from a variable")]);
    let given = json!({
        "a": {"env": "A"}, "b": {"c": {"file": "key"}}, "l": [{"env": "A"}], "none": null
    });
    let settled = schema(of).settle(&given, &source).unwrap();
    let shown = json!({"a": "***", "b": {"c": "***"}, "l": ["***"], "d": "***", "none": null});
    assert_eq!(*settled.shown(), shown);
    let exposed = json!({
        "a": "from a variable", "b": {"c": "from a file"}, "l": ["from a variable"],
        "d": "from a variable", "none": null
    });
    assert_eq!(*settled.expose_value(), exposed);
    assert_eq!(serde_json::from_str::<Value>(settled.expose().as_str()).unwrap(), exposed);
    let places: Vec<_> = settled.secrets().map(ToString::to_string).collect();
    assert_eq!(places, ["a", "b.c", "d", "l[0]"]);
}

#[test]
fn a_secret_is_what_the_schema_wants() {
    let of = json!({"properties": {
        "text": {"type": "string", "secret": true},
        "either": {"type": ["string", "integer"], "secret": true},
        "whole": {"type": "integer", "secret": true},
        "fraction": {"type": "number", "secret": true},
        "truth": {"secret": true, "allOf": [{"type": "boolean"}]}
    }});
    let given = json!({
        "text": {"env": "NUMBER"}, "either": {"env": "NUMBER"}, "whole": {"env": "NUMBER"},
        "fraction": {"env": "FRACTION"}, "truth": {"env": "TRUTH"}
    });
    let settled = schema(of.clone()).settle(&given, &source()).unwrap();
    let exposed = json!({
        "text": "00123456", "either": "00123456", "whole": 123456, "fraction": 1.5, "truth": true
    });
    assert_eq!(*settled.expose_value(), exposed);
    assert_eq!(settled.scrubber().scrub("00123456 and 123456 and 1.5"), "*** and *** and 1.5");

    let wrong = schema(of).settle(&json!({"whole": {"env": "CANARY"}}), &source()).unwrap_err();
    assert_eq!(wrong.problems()[0].to_string(), "`whole`: expected a whole number, found ***");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, CANARY).unwrap();
    let of = schema(json!({"properties": {"a": {"secret": true}}}));
    let settle = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        of.settle(&json!({"a": {"file": "key"}}), &SecretSource::new(folder.path())).unwrap()
    };
    assert!(settle(0o600).warnings().is_empty());
    let settled = settle(0o644);
    let [warning] = settled.warnings() else { panic!("no warning") };
    let told = format!("{} {warning}\nhelp: {}", warning.code(), warning.hint());
    let path = path.display();
    assert_eq!(
        told,
        format!(
            "PB1506 others may read the file of the secret `a` (mode 0644): {path}\n\
             help: chmod 600 '{path}'"
        )
    );
}

#[test]
fn what_is_wrong_with_secrets_is_told_with_what_to_write() {
    let of = schema(json!({"properties": {"a": {"secret": true, "minLength": 4}}}));
    let told = |value: Value| {
        let unsettled = of.settle(&json!({"a": value}), &source()).unwrap_err();
        let [problem] = unsettled.problems() else { panic!("{unsettled}") };
        format!("{} {problem}\nhelp: {}", problem.code(), problem.hint())
    };
    assert_eq!(
        told(json!("plain")),
        "PB1502 `a` is a secret, and stands here for everybody to read\n\
         help: write where it comes from: { env = \"NAME\" } or { file = \"path\" }; and take \
         what stood here for known: change it where it is used"
    );
    assert_eq!(
        told(json!({"env": "CANARY", "x": 1})),
        "PB1503 `a` does not say where the secret comes from: there is either `env` or `file`, \
         and nothing else\n\
         help: write where it comes from: { env = \"NAME\" } or { file = \"path\" }"
    );
    assert_eq!(
        told(json!({"env": "NONE"})),
        "PB1504 the secret `a` cannot be had from the variable `NONE`: it is not set\n\
         help: set it for the process of the host, or name another one"
    );
    assert!(
        told(json!({"file": "none/where"}))
            .contains("from the file none/where: it cannot be read: No such")
    );
    assert!(
        told(json!({"env": "SHORT"}))
            .contains("PB1501 `a`: expected at least 4 characters, found ***")
    );
}

#[test]
fn a_secret_that_is_not_to_be_had_hides_no_other_problem() {
    let of = schema(json!({
        "properties": {
            "a": {"secret": true, "pattern": "^x"}, "n": {"maximum": 3},
            "t": {"oneOf": [{"properties": {"s": {"secret": true, "const": "x"}}, "required": ["s"]}, {"required": ["none"]}]}
        },
        "required": ["url"]
    }));
    let given = json!({"a": {"env": "NONE"}, "n": 4, "t": {"s": {"env": "NONE"}}});
    let unsettled = of.settle(&given, &source()).unwrap_err();
    let told: Vec<_> = unsettled.problems().iter().map(Problem::to_string).collect();
    assert_eq!(
        told,
        [
            "the secret `a` cannot be had from the variable `NONE`: it is not set",
            "`n`: expected 3 or less, found 4",
            "the secret `t.s` cannot be had from the variable `NONE`: it is not set",
            "`url` is missing",
        ]
    );
}

#[test]
fn changed_secrets_are_changes() {
    let of = schema(json!({"properties": {"a": {"secret": true}, "b": {}}}));
    let settle = |given: Value, a: &str| {
        of.settle(&given, &SecretSource::new("").with_variables([("A", a), ("B", a)])).unwrap()
    };
    let given = json!({"a": {"env": "A"}, "b": 1});
    let changes = |new: &Settled, old: &Settled| {
        new.changes_since(old).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let old = settle(given.clone(), "one");
    assert_eq!(changes(&settle(given.clone(), "one"), &old), Vec::<String>::new());
    assert_eq!(changes(&settle(given, "two"), &old), ["a"]);
    // From elsewhere, and yet the same.
    assert_eq!(
        changes(&settle(json!({"a": {"env": "B"}, "b": 1}), "one"), &old),
        Vec::<String>::new()
    );
    assert_eq!(changes(&settle(json!({"b": "***"}), "one"), &old), ["a", "b"]);
}

#[test]
fn a_settled_configuration_shows_no_secret() {
    let of = schema(json!({"properties": {
        "a": {"secret": true}, "l": {"items": {"anyOf": [{"secret": true}, {}]}}, "n": {}
    }}));
    let given = json!({"a": {"env": "CANARY"}, "l": [{"env": "CANARY"}], "n": 1});
    let settled = of.settle(&given, &source()).unwrap();
    let exposed = settled.expose();
    assert!(exposed.as_str().contains(CANARY));
    for seen in [
        seen(&settled),
        serde_json::to_string(&settled).unwrap(),
        format!("{:?}", settled.clone()),
        format!("{exposed:?} {:?}", settled.expose_value()),
        format!("{:?}", settled.scrubber()),
        format!("{:?}", settled.warnings()),
        format!("{:?}", source()),
        format!("{of:?} {:?}", of.describe()),
        format!("{:?}", settled.changes_since(&settled)),
    ] {
        assert!(!seen.contains(CANARY), "{seen}");
    }
    assert_eq!(settled.to_string(), r#"{"a":"***","l":["***"],"n":1}"#);
    let message = format!("login {CANARY} failed: {{\"p\":\"{CANARY}\"}} ?p=c4n4ry%2Dhunter2");
    let scrubbed = settled.scrubber().scrub(&message).into_owned();
    assert_eq!(scrubbed, "login *** failed: {\"p\":\"***\"} ?p=***");
}

/// Schemas and what is given to them, with the secret in a place where it makes each
/// kind of error; first by reference where there may be one.
fn wrong() -> Vec<(Value, Value)> {
    let by_reference = json!({"env": "CANARY"});
    let mut cases = Vec::new();
    for rule in [
        json!({"type": "integer"}),
        json!({"type": "boolean"}),
        json!({"type": "null"}),
        json!({"maxLength": 1}),
        json!({"minLength": 100}),
        json!({"pattern": "^x"}),
        json!({"format": "ipv4"}),
        json!({"format": "email"}),
        json!({"enum": ["x"]}),
        json!({"const": "x"}),
        json!({"not": {}}),
        json!({"anyOf": [{"maxLength": 1}, {"const": 3}]}),
        json!({"oneOf": [{}, {}]}),
        json!({"allOf": [{"maxLength": 1}]}),
        json!({"if": {"minLength": 1}, "then": false}),
        json!({"contentEncoding": "base64", "contentMediaType": "application/json", "maxLength": 1}),
    ] {
        let mut secret = rule;
        secret["secret"] = json!(true);
        cases.push((json!({"properties": {"p": secret}}), json!({"p": by_reference})));
    }
    let s = json!({"secret": true});
    for (table, value) in [
        (json!({"properties": {"p": s}, "minProperties": 5}), by_reference.clone()),
        (json!({"properties": {"p": s}, "const": {}}), by_reference.clone()),
        (json!({"properties": {"p": s}, "enum": [{}]}), by_reference.clone()),
        (json!({"properties": {"p": s}, "not": {}}), by_reference.clone()),
        (json!({"properties": {"p": s}, "propertyNames": {"minLength": 3}}), by_reference.clone()),
        (json!({"properties": {"p": s}, "dependentRequired": {"p": ["q"]}}), by_reference.clone()),
        (json!({"properties": {"p": {"items": s, "minItems": 5}}}), json!([by_reference])),
        (
            json!({"properties": {"p": {"items": s, "uniqueItems": true}}}),
            json!([by_reference, by_reference]),
        ),
        (
            json!({"properties": {"p": {"items": s, "contains": {"const": 1}}}}),
            json!([by_reference]),
        ),
        (
            json!({"properties": {"p": {"unevaluatedItems": false, "prefixItems": [s]}}}),
            json!([by_reference, by_reference]),
        ),
        (
            json!({"properties": {"p": {"oneOf": [{"properties": {"q": s}}, {"required": ["q"]}]}}}),
            json!({"q": by_reference}),
        ),
        // Plain, where it must not be, and where nobody thought of it.
        (json!({"properties": {"p": s}}), json!(CANARY)),
        (json!({"properties": {"p": s}}), json!([CANARY])),
        (json!({"properties": {"p": s}}), json!({"value": CANARY})),
        (json!({"properties": {"p": s}}), json!({"env": format!("{CANARY} is no name")})),
        (json!({"properties": {"p": s}}), json!({"env": "A", "default": CANARY})),
        (json!({"properties": {"p": {"type": "object", "properties": {"q": s}}}}), json!(CANARY)),
        (json!({"properties": {"p": {"type": "object", "properties": {"q": s}}}}), json!([CANARY])),
        (json!({"properties": {"p": {"pattern": "^x", "properties": {"q": s}}}}), json!(CANARY)),
        (json!({"properties": {"p": {"enum": [1], "properties": {"q": s}}}}), json!(CANARY)),
        (
            json!({"properties": {"p": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"q": s}}]}}}),
            json!(CANARY),
        ),
        (json!({"properties": {"p": {"type": "array", "items": s}}}), json!(CANARY)),
        (
            json!({"properties": {"p": {"items": {"properties": {"q": s}}, "maxItems": 0}}}),
            json!([CANARY]),
        ),
        (json!({"properties": {"password": s}, "additionalProperties": false}), json!(CANARY)),
    ] {
        cases.push((table, json!({"p": value})));
    }
    // Another problem, on the same line.
    let beside = json!({"properties": {"p": s, "n": {"maximum": 3}}});
    cases.push((beside, json!({"p": CANARY, "n": 9})));
    cases
}

#[test]
fn no_error_shows_a_secret_in_any_syntax() {
    for (of, given) in wrong() {
        let schema = schema(of.clone());
        let unsettled: Unsettled = match schema.settle(&given, &source()) {
            Ok(settled) => panic!("{of} took {given}: {settled}"),
            Err(unsettled) => unsettled,
        };
        let mut seen = seen(&unsettled);
        for problem in unsettled.problems() {
            seen.push_str(&format!("{problem:?} {problem} {} {}", problem.hint(), problem.found()));
            seen.push_str(&problem.expected());
        }
        let toml = format!("plugin = {}", inline(&given));
        let json = json!({ "plugin": given }).to_string();
        let pretty = serde_json::to_string_pretty(&json!({ "plugin": given })).unwrap();
        for (syntax, text) in [
            (Syntax::Toml, &toml),
            (Syntax::Json, &json),
            (Syntax::Json, &pretty),
            (Syntax::Yaml, &json),
            (Syntax::Yaml, &pretty),
        ] {
            let read = parse::<Value>(text.as_bytes(), syntax, Path::new("x"), Limits::default());
            let mut document = read.unwrap();
            for wrong in unsettled.point_out(&mut document, "/plugin") {
                seen.push_str(&format!("{wrong}\n{wrong:?}\n{}", wrong.hint()));
            }
        }
        assert!(!seen.contains(CANARY), "{of} {given}\n{seen}");
    }
}

/// As an inline table of TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<_> =
                map.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[test]
fn what_a_base_keeps_secret_is_secret_however_it_is_extended() {
    let password = json!({"properties": {"password": {"secret": true}}});
    let plain = json!({"properties": {"password": {"type": "string"}}});
    for (base, own) in [
        (json!({"additionalProperties": password}), json!({"properties": {"main": plain}})),
        (json!({"unevaluatedProperties": password}), json!({"properties": {"main": plain}})),
        (
            json!({"anyOf": [{"properties": {"x": {}}}], "unevaluatedProperties": password}),
            json!({"properties": {"main": plain}, "allOf": [{"properties": {"main": {}}}]}),
        ),
        (json!({"additionalProperties": password}), json!({"patternProperties": {"": plain}})),
        (json!({"additionalProperties": password}), json!({"additionalProperties": plain})),
        (
            json!({"additionalProperties": password}),
            json!({"additionalProperties": false, "properties": {"main": plain}}),
        ),
        (json!({"patternProperties": {"^m": password}}), json!({"properties": {"main": plain}})),
        (
            json!({"patternProperties": {"^m": password}}),
            json!({"patternProperties": {"n$": plain}}),
        ),
        (json!({"properties": {"main": password}}), json!({"patternProperties": {"": plain}})),
        (json!({"properties": {"main": password}}), json!({"additionalProperties": plain})),
        (
            json!({"anyOf": [{"additionalProperties": password}]}),
            json!({"properties": {"main": plain}}),
        ),
        (
            json!({"properties": {"main": {"additionalProperties": {"secret": true}}}}),
            json!({"properties": {"main": {"$ref": "#/$defs/it"}}, "$defs": {"it": plain}}),
        ),
    ] {
        let mut schemas = Schemas::new();
        let host = Owner::Component("host".into());
        schemas.add("base".parse().unwrap(), host, &Declared::new(base.clone())).unwrap();
        let declared = Declared::new(own.clone()).extending(["base"]);
        let schema = schemas.compile(Owner::Plugin("sql".parse().unwrap()), &declared).unwrap();
        let told = schema.settle(&json!({"main": {"password": CANARY}}), &source()).unwrap_err();
        assert!(told.problems().iter().any(|problem| problem.code() == "PB1502"), "{base} {own}");
        assert!(!seen(&told).contains(CANARY));
        let given = json!({"main": {"password": {"env": "CANARY"}}});
        let settled = schema.settle(&given, &source()).unwrap();
        assert_eq!(*settled.shown(), json!({"main": {"password": "***"}}), "{base} {own}");
    }
}

#[test]
fn a_default_for_what_a_base_keeps_secret_is_refused() {
    let mut schemas = Schemas::new();
    let base = Declared::new(json!({"additionalProperties": {"secret": true}}));
    schemas.add("base".parse().unwrap(), Owner::Component("host".into()), &base).unwrap();
    let own = json!({"properties": {"x": {"type": "string", "default": CANARY}}});
    let declared = Declared::new(own).extending(["base"]);
    let error = schemas.compile(Owner::Plugin("sql".parse().unwrap()), &declared).unwrap_err();
    assert_eq!(error.code(), "PB1519");
    assert!(!seen(&error).contains(CANARY));
}
