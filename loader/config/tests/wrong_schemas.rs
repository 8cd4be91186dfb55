//! Schemas that are wrong or made to do harm are refused when they are made.
#![allow(missing_docs)]

use std::time::Instant;

use plugbay_config::schema::{
    Declared, Owner, Problem, Schema, SchemaError, Schemas, SecretSource,
};
use serde_json::{Map, Value, json};

fn compile(schema: Value) -> Result<Schema, SchemaError> {
    let mut schemas = Schemas::new();
    let base = Declared::new(json!({"properties": {"a": {"maximum": 3}}}));
    schemas.add("base".parse().unwrap(), Owner::Component("x".into()), &base).unwrap();
    schemas.compile(Owner::Plugin("sql".parse().unwrap()), &Declared::new(schema))
}

fn error(schema: Value) -> SchemaError {
    match compile(schema.clone()) {
        Ok(_) => panic!("{schema} was taken"),
        Err(error) => error,
    }
}

#[test]
fn a_schema_that_is_none_is_told_with_owner_place_and_rule() {
    for (schema, place, told) in [
        (json!({"type": "objekt"}), "/type", "\"array\", \"boolean\""),
        (json!({"properties": {"a": {"minimum": "x"}}}), "/properties/a/minimum", "a number"),
        (json!({"required": "x"}), "/required", "a list"),
        (json!({"properties": {"a/b": {"enum": 3}}}), "/properties/a~1b/enum", "a list"),
        (json!({"allOf": []}), "/allOf", "at least 1 entry"),
        (json!({"multipleOf": 0}), "/multipleOf", "more than 0"),
        (json!({"pattern": "("}), "/pattern", "this pattern is not read"),
        (json!({"items": {"pattern": "(?=a)"}}), "/items/pattern", "this pattern is not read"),
        (json!({"patternProperties": {"(a)\\1": {}}}), "/patternProperties", "not read"),
        (json!({"pattern": "((a{1000}){1000}){100}"}), "/pattern", "this pattern is too large"),
        (json!(3), "its top", "a schema is a table, `true` or `false`"),
    ] {
        let error = error(schema);
        assert_eq!(error.code(), "PB1510", "{error}");
        let begin = format!("the schema of the plugin `sql` is wrong at {place}: ");
        assert!(error.to_string().starts_with(&begin), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let SchemaError::Invalid { rule, .. } = error(json!({"items": {"minimum": []}})) else {
        panic!("another error");
    };
    assert_eq!(rule, "minimum");
}

#[test]
fn what_is_not_read_is_refused_and_not_passed_over() {
    for (schema, keyword) in [
        (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "$schema"),
        (json!({"properties": {"a": {"$id": "x"}}}), "$id"),
        (json!({"$defs": {"a": {"$anchor": "x"}}}), "$anchor"),
        (json!({"items": {"$dynamicRef": "#x"}}), "$dynamicRef"),
        (json!({"dependencies": {}}), "dependencies"),
    ] {
        let error = error(schema);
        assert_eq!(error.code(), "PB1511", "{error}");
        assert!(error.to_string().contains(&format!("uses `{keyword}` at /")), "{error}");
    }
    for good in [
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://a/b"}),
        // Under keywords that hold data, these are data.
        json!({"default": {"$id": 1, "$ref": "x"}, "examples": [{"$anchor": 1}], "const": {"$ref": 1}}),
        json!({"properties": {"$id": {}, "$ref": {"default": 1}, "dependencies": {}}}),
        json!(true),
        json!(false),
    ] {
        assert!(compile(good.clone()).is_ok(), "{good}");
    }
}

#[test]
fn references_lead_nowhere_but_to_schemas_that_are_given() {
    for reference in [
        "http://localhost/x",
        "https://json-schema.org/draft/2020-12/schema",
        "file:///etc/passwd",
        "/etc/passwd",
        "x.json/y",
        "#name",
        "#/nowhere",
        "#/default",
        "#/properties/a/enum/0",
        "base#/properties/none",
        "#/%ff",
    ] {
        let schema = json!({
            "properties": {"a": {"enum": [{}]}, "b": {"$ref": reference}}, "default": {}
        });
        let error = error(schema);
        assert_eq!(error.code(), "PB1512", "{error}");
        assert!(error.to_string().contains("at /properties/b/$ref"), "{error}");
    }
    for reference in ["#/properties/a", "base", "base#", "base#/properties/a"] {
        let schema = json!({"properties": {"a": {}, "b": {"$ref": reference}}});
        assert!(compile(schema).is_ok(), "{reference}");
    }
}

#[test]
fn defaults_that_do_not_fit_are_told() {
    let told = |schema: Value| {
        let error = error(schema);
        assert_eq!(error.code(), "PB1518", "{error}");
        error.to_string()
    };
    assert_eq!(
        told(json!({"properties": {"a": {"type": "integer", "default": "x"}}})),
        "the schema of the plugin `sql` has a default for `a` that does not fit: expected a whole \
         number, found a text"
    );
    for (schema, part) in [
        (json!({"properties": {"a": {"$ref": "base#/properties/a", "default": 9}}}), "3 or less"),
        (
            json!({"properties": {"t": {"default": {"n": 9}, "properties": {"n": {"maximum": 3}}}}}),
            "for `t` that does not fit: `n`: expected 3 or less, found 9",
        ),
        (
            json!({"properties": {"t": {"default": {}, "required": ["n"]}}}),
            "for `t` that does not fit: `n` is missing",
        ),
        (
            json!({"properties": {"l": {"items": {"properties": {"n": {"type": "null", "default": 1}}}}}}),
            "for `l.items.n`",
        ),
        (json!({"additionalProperties": {"maximum": 1, "default": 2}}), "for `*`"),
    ] {
        let told = told(schema);
        assert!(told.contains(part), "{told}");
    }
    // A default of the base's that the own rule does not take any more.
    let mut schemas = Schemas::new();
    let base = Declared::new(json!({"properties": {"a": {"default": 9}}}));
    schemas.add("base".parse().unwrap(), Owner::Component("x".into()), &base).unwrap();
    let own = Declared::new(json!({"properties": {"a": {"maximum": 3}}})).extending(["base"]);
    let error = schemas.compile(Owner::Plugin("sql".parse().unwrap()), &own).unwrap_err();
    assert_eq!(error.code(), "PB1518");
    let good = json!({"properties": {"t": {
        "default": {}, "properties": {"n": {"default": 1}}, "required": ["n"]
    }}});
    assert!(compile(good).is_ok());
}

#[test]
fn secrets_that_would_give_themselves_away_are_refused() {
    for schema in [
        json!({"properties": {"p": {"secret": true, "default": "plain"}}}),
        json!({"properties": {"p": {"secret": true, "default": {"env": "A", "file": "b"}}}}),
        json!({"properties": {"p": {"secret": "yes"}}}),
        json!({"properties": {"p": {"secret": true, "type": "object"}}}),
        json!({"properties": {"p": {"secret": true, "type": ["string", "array"]}}}),
        json!({"properties": {"t": {
            "default": {"p": "plain"}, "properties": {"p": {"secret": true}}
        }}}),
        json!({"properties": {"p": {"default": "plain", "allOf": [{"$ref": "#/$defs/s"}]}},
            "$defs": {"s": {"secret": true}}}),
    ] {
        let error = error(schema);
        assert_eq!(error.code(), "PB1519", "{error}");
        assert!(!error.to_string().contains("plain"), "{error}");
    }
    let good = json!({"properties": {"p": {"secret": true, "default": {"env": "A"}}}});
    assert!(compile(good).is_ok());
}

fn nested(schema: Value, deep: usize) -> Value {
    (0..deep).fold(schema, |inner, _| json!({"items": inner}))
}

fn doubling(make: impl Fn(Value) -> Value, times: usize) -> Value {
    let mut definitions = Map::new();
    for at in 0..times {
        definitions.insert(format!("a{at}"), make(json!({"$ref": format!("#/$defs/a{}", at + 1)})));
    }
    definitions.insert(format!("a{times}"), json!({"type": "integer"}));
    json!({"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": definitions})
}

#[test]
fn schemas_that_would_take_without_end_are_refused() {
    let circle = error(json!({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}));
    assert_eq!(circle.code(), "PB1513");
    assert!(circle.to_string().contains("`/properties/a"), "{circle}");
    let patterns: Map<_, _> = (0..101).map(|at| (format!("^{at}$"), json!({}))).collect();
    let mut large = Map::new();
    for at in 0..11_000 {
        large.insert(at.to_string(), json!(true));
    }
    for schema in [
        json!({"$ref": "#"}),
        json!({"not": {"$ref": "#"}}),
        doubling(|next| json!({"allOf": [next, next]}), 40),
        doubling(|next| json!({"oneOf": [next, {"not": next}]}), 40),
        doubling(|next| json!({"default": {}, "properties": {"y": next, "z": next}}), 40),
        nested(json!({}), 70),
        json!({"patternProperties": patterns}),
        json!({"properties": large}),
    ] {
        let begin = Instant::now();
        let error = error(schema);
        assert_eq!(error.code(), "PB1513", "{error}");
        assert!(begin.elapsed().as_secs() < 5, "{error}: {:?}", begin.elapsed());
    }
    // Deep beyond everything, as no file is: as deep as a test's stack can drop.
    assert!(matches!(compile(nested(json!({}), 1_000)), Err(SchemaError::TooCostly { .. })));
}

/// Each by itself is small, and every one of many tables has all of its keys.
#[test]
fn one_large_table_in_the_place_of_many_of_a_base_is_refused() {
    let tables = |table: Value| (0..400).map(|at| (format!("t{at}"), table.clone())).collect();
    let with = |tables: Map<String, Value>| json!({ "properties": tables });
    let closed = with(tables(json!({ "additionalProperties": false })));
    let names: Map<_, _> = (0..2_000).map(|at| (format!("k{at}"), json!(true))).collect();
    let mut own = with(tables(json!({ "$ref": "#/$defs/large" })));
    own["$defs"] = json!({ "large": { "properties": names } });
    let mut schemas = Schemas::new();
    let base = "closed".parse().unwrap();
    schemas.add(base, Owner::Component("x".into()), &Declared::new(closed)).unwrap();
    let mut declared = Declared::new(own);
    declared.extends = vec!["closed".parse().unwrap()];
    let error = schemas.compile(Owner::Plugin("sql".parse().unwrap()), &declared).unwrap_err();
    assert_eq!(error.code(), "PB1513");
    assert!(error.to_string().contains("described by several schemas"), "{error}");
}

#[test]
fn schemas_that_double_with_the_configuration_are_stopped_in_time() {
    let again = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
    let own_default = (0..30).fold(json!(1), |inner, _| json!({"x": inner}));
    let schema = json!({"properties": {"x": again, "big": {"$ref": "#", "default": own_default}}});
    assert_eq!(error(schema).code(), "PB1513");

    let schema = compile(json!({"properties": {"x": again}})).unwrap();
    let nested = |deep: usize| (0..deep).fold(json!(1), |inner, _| json!({"x": inner}));
    let source = SecretSource::new("");
    assert!(schema.settle(&nested(8), &source).is_ok());
    for deep in [30, 63, 64, 65, 500] {
        let begin = Instant::now();
        let unsettled = schema.settle(&nested(deep), &source).unwrap_err();
        assert!(matches!(unsettled.problems(), [Problem::TooMuch]), "{unsettled}");
        assert_eq!(unsettled.code(), "PB1505");
        assert!(begin.elapsed().as_secs() < 5);
    }
}

#[test]
fn a_wide_schema_on_a_wide_configuration_is_stopped_in_time() {
    let rules = vec![json!({"minimum": 0}); 900];
    let schema = compile(json!({"additionalProperties": {"allOf": rules}})).unwrap();
    let table = |keys: usize| (0..keys).map(|at| (at.to_string(), json!(1))).collect::<Map<_, _>>();
    let source = SecretSource::new("");
    for (keys, fits) in [(100, true), (1_000, true), (50_000, false)] {
        let begin = Instant::now();
        assert_eq!(schema.settle(&Value::Object(table(keys)), &source).is_ok(), fits, "{keys}");
        assert!(begin.elapsed().as_secs() < 10, "{keys}: {:?}", begin.elapsed());
    }
}

#[test]
fn the_tallest_schema_on_the_deepest_configuration_overflows_no_stack() {
    let work = || {
        for tall in [1, 3, 6, 14, 30] {
            let mut definitions = Map::new();
            for at in 0..tall {
                let next = json!({"$ref": format!("#/$defs/a{}", at + 1)});
                definitions.insert(format!("a{at}"), json!({"allOf": [next]}));
            }
            let last = json!({"properties": {"x": {"$ref": "#/$defs/a0"}}, "minProperties": 1});
            definitions.insert(format!("a{tall}"), last);
            let schema = compile(json!({"$ref": "#/$defs/a0", "$defs": definitions})).unwrap();
            for deep in [5, 10, 20, 40, 63] {
                let value = (0..deep).fold(json!({}), |inner, _| json!({"x": inner}));
                assert!(schema.settle(&value, &SecretSource::new("")).is_err());
            }
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn patterns_take_linear_time_on_any_text() {
    let schema = compile(json!({"properties": {"a": {"pattern": "^(a+)+$"}}})).unwrap();
    let begin = Instant::now();
    let given = json!({"a": format!("{}b", "a".repeat(500_000))});
    let unsettled = schema.settle(&given, &SecretSource::new("")).unwrap_err();
    assert!(begin.elapsed().as_secs() < 5);
    assert!(unsettled.to_string().len() < 400, "{unsettled}");
}

#[test]
fn many_problems_are_told_as_far_as_anybody_reads() {
    let schema = compile(json!({"additionalProperties": {"type": "integer"}})).unwrap();
    let given: Map<_, _> = (0..5_000).map(|at| (format!("k{at:04}"), json!(""))).collect();
    let unsettled = schema.settle(&Value::Object(given), &SecretSource::new("")).unwrap_err();
    assert_eq!((unsettled.problems().len(), unsettled.has_more()), (100, true));
    assert!(unsettled.to_string().contains("more than 100 problems"));
}
