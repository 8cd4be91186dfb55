//! Schemas that extend others.
#![allow(missing_docs)]

use plugbay_config::schema::{BaseId, Declared, Owner, Schema, SchemaError, Schemas, SecretSource};
use serde_json::{Value, json};

fn component() -> Owner {
    Owner::Component("database".into())
}

fn plugin(id: &str) -> Owner {
    Owner::Plugin(id.parse().unwrap())
}

fn id(id: &str) -> BaseId {
    id.parse().unwrap()
}

fn pool() -> Value {
    json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 4},
            "url": {"type": "string"},
            "log": {
                "type": "object",
                "properties": {"level": {"enum": ["debug", "info"], "default": "info"}},
                "additionalProperties": false
            },
            "hosts": {
                "type": "array",
                "items": {"properties": {"name": {"minLength": 1}}, "additionalProperties": false}
            },
            "env": {"additionalProperties": {"maxLength": 8, "secret": true}},
            "tags": {"patternProperties": {"^x-": {"type": "string", "maxLength": 2}}}
        },
        "required": ["url"],
        "additionalProperties": false
    })
}

/// Bases in the order given, each with what it extends.
fn with(bases: &[(&str, Value, &[&str])]) -> Schemas {
    let mut schemas = Schemas::new();
    for (name, schema, extends) in bases {
        let declared = Declared::new(schema.clone()).extending(extends.iter().copied());
        schemas.add(id(name), component(), &declared).unwrap();
    }
    schemas
}

fn compile(schemas: &Schemas, schema: Value, extends: &[&str]) -> Result<Schema, SchemaError> {
    schemas.compile(plugin("sql"), &Declared::new(schema).extending(extends.iter().copied()))
}

fn settled(schema: &Schema, given: Value) -> Result<Value, String> {
    match schema.settle(&given, &SecretSource::new("")) {
        Ok(settled) => Ok(settled.shown().clone()),
        Err(unsettled) => Err(unsettled.to_string()),
    }
}

fn told(error: &SchemaError) -> String {
    format!("{} {error}\nhelp: {}", error.code(), error.hint())
}

#[test]
fn properties_are_inherited_added_and_given_other_defaults() {
    let own = json!({"properties": {
        "size": {"default": 5, "maximum": 8},
        "path": {"default": "a.db"},
        "log": {"properties": {"file": {"default": "log"}}},
        "hosts": {"items": {"properties": {"port": {"default": 1}}}}
    }});
    let schema = compile(&with(&[("pool", pool(), &[])]), own, &["pool"]).unwrap();
    let given = json!({"url": "x", "hosts": [{"name": "a"}]});
    let expected = json!({
        "url": "x", "size": 5, "path": "a.db", "log": {"level": "info", "file": "log"},
        "hosts": [{"name": "a", "port": 1}]
    });
    assert_eq!(settled(&schema, given).unwrap(), expected);
    // Both hold.
    let broken =
        settled(&schema, json!({"size": 0, "log": {"level": "x"}, "hosts": [{"name": ""}]}));
    let broken = broken.unwrap_err();
    for part in [
        "`size`: expected 1 or more, found 0",
        "`url` is missing",
        "`log.level`: expected \"debug\" or \"info\", found \"x\"",
        "`hosts[0].name`: expected at least 1 character, found 0",
    ] {
        assert!(broken.contains(part), "{part}\n{broken}");
    }
    assert!(settled(&schema, json!({"url": "x", "size": 9})).unwrap_err().contains("8 or less"));
}

#[test]
fn a_closed_base_is_closed_for_what_nobody_names() {
    let own = json!({"properties": {
        "path": {},
        "log": {"properties": {"file": {}}},
        "hosts": {"items": {"properties": {"port": {}}}}
    }});
    let schema = compile(&with(&[("pool", pool(), &[])]), own, &["pool"]).unwrap();
    let good = json!({
        "url": "", "path": 1, "log": {"file": 1}, "hosts": [{"port": 1, "name": "x"}]
    });
    assert!(settled(&schema, good).is_ok());
    let bad = json!({"url": "", "pat": 1, "log": {"fil": 1}, "hosts": [{"nam": 1}]});
    let told = settled(&schema, bad).unwrap_err();
    for part in [
        "there is no key `pat`; did you mean `path`?",
        "there is no key `log.fil`; did you mean `file`?",
        "there is no key `hosts[0].nam`; did you mean `name`?",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn rules_for_further_keys_hold_for_what_others_name() {
    let schemas = with(&[
        ("a", json!({"properties": {"x": {}}, "additionalProperties": {"type": "integer"}}), &[]),
        (
            "b",
            json!({"patternProperties": {"^y": {}}, "unevaluatedProperties": {"maximum": 5}}),
            &[],
        ),
    ]);
    let own = json!({"properties": {"own": {}}, "patternProperties": {"^p": {"minimum": 2}}});
    let schema = compile(&schemas, own, &["a", "b"]).unwrap();
    assert!(settled(&schema, json!({"x": "", "y1": 9, "own": 5, "p": 3, "z": 0})).is_ok());
    for (given, told) in [
        (json!({"z": "text"}), "`z`: expected a whole number"),
        (json!({"z": 9}), "`z`: expected 5 or less"),
        (json!({"own": "text"}), "`own`: expected a whole number"),
        (json!({"own": 9}), "`own`: expected 5 or less"),
        (json!({"x": 9}), "`x`: expected 5 or less"),
        (json!({"y1": ""}), "`y1`: expected a whole number"),
        (json!({"p": ""}), "`p`: expected a whole number"),
        (json!({"p": 9}), "`p`: expected 5 or less"),
        (json!({"p": 1}), "`p`: expected 2 or more"),
    ] {
        let why = settled(&schema, given).unwrap_err();
        assert!(why.contains(told), "{told}\n{why}");
    }
}

#[test]
fn tables_by_any_name_are_extended_by_name_and_by_any_name() {
    let part = json!({"properties": {"n": {"default": 1}}, "additionalProperties": false});
    let schemas = with(&[("base", json!({"additionalProperties": part}), &[])]);
    let more = json!({"properties": {"m": {"default": 2}}});
    let named = json!({"properties": {"main": more}});
    let schema = compile(&schemas, named, &["base"]).unwrap();
    let expected = json!({"main": {"n": 1, "m": 2}, "other": {"n": 1}});
    assert_eq!(settled(&schema, json!({"main": {}, "other": {}})).unwrap(), expected);
    assert!(settled(&schema, json!({"other": {"m": 1}})).is_err());
    assert!(settled(&schema, json!({"main": {"o": 1}})).is_err());
    let any = compile(&schemas, json!({"additionalProperties": more}), &["base"]).unwrap();
    let expected = json!({"other": {"n": 1, "m": 2}});
    assert_eq!(settled(&any, json!({"other": {}})).unwrap(), expected);
}

#[test]
fn keys_are_added_to_a_closed_base_by_name_wherever_they_are_named() {
    for closed in ["additionalProperties", "unevaluatedProperties"] {
        let base = json!({
            "properties": {"a": {}}, "allOf": [{"properties": {"b": {"type": "integer"}}}],
            closed: false
        });
        let own = json!({
            "$ref": "#/$defs/c",
            "allOf": [{"properties": {"d": {}}}],
            "oneOf": [{"properties": {"e": {"type": "string"}}, "required": ["e"]}, {"required": ["f"]}],
            "if": {"properties": {"asked": {"const": 1}}},
            "then": {"properties": {"g": {}}},
            "$defs": {"c": {"properties": {"c": {}}}, "not here": {"properties": {"h": {}}}}
        });
        let schema = compile(&with(&[("base", base, &[])]), own, &["base"]).unwrap();
        let given = json!({"a": 1, "c": 1, "d": 1, "e": "", "g": 1});
        assert_eq!(settled(&schema, given.clone()), Ok(given), "{closed}");
        for key in ["asked", "h"] {
            let told = settled(&schema, json!({"e": "", key: 1})).unwrap_err();
            assert!(told.contains(&format!("there is no key `{key}`")), "{closed} {told}");
        }
    }
    // What a base has a rule for, and refuses, is nothing new.
    let base = json!({"allOf": [{"properties": {"b": {}}}], "additionalProperties": false});
    let own = json!({"properties": {"b": {}}});
    let error = compile(&with(&[("base", base, &[])]), own, &["base"]).unwrap_err();
    assert!(told(&error).starts_with("PB1514"), "{error}");
    let asked = json!({
        "anyOf": [{"properties": {"b": {}}}, {}], "additionalProperties": false
    });
    let own = json!({"properties": {"b": {}}});
    let schema = compile(&with(&[("base", asked, &[])]), own, &["base"]).unwrap();
    let told = settled(&schema, json!({"b": 1})).unwrap_err();
    assert!(told.contains("no key `b`"), "{told}");
}

#[test]
fn an_extending_schema_that_closes_takes_what_its_bases_know() {
    let schemas = with(&[
        ("top", json!({"properties": {"a": {}}, "patternProperties": {"^p": {}}}), &[]),
        ("middle", json!({"properties": {"b": {}}, "unevaluatedProperties": false}), &["top"]),
        ("other", json!({"patternProperties": {"^q": {}}}), &[]),
    ]);
    let schema = compile(&schemas, json!({"properties": {"c": {}}}), &["middle", "other"]).unwrap();
    assert!(settled(&schema, json!({"a": 1, "b": 1, "c": 1, "p": 1})).is_ok());
    for key in ["q", "z"] {
        let told = settled(&schema, json!({key: 1})).unwrap_err();
        assert!(told.contains(&format!("there is no key `{key}`")), "{told}");
    }
    let own = json!({"additionalProperties": false});
    let schema = compile(&schemas, own, &["top", "other"]).unwrap();
    assert!(settled(&schema, json!({"a": 1, "p": 1, "q": 1})).is_ok());
    assert!(settled(&schema, json!({"z": 1})).is_err());
}

#[test]
fn what_would_open_a_closed_base_is_told_with_both_rules() {
    let part = |closed: &str| json!({"properties": {"a": {}}, "patternProperties": {"^p": {}}, closed: false});
    let rule = |own: Value, closed: &str| {
        let base = json!({
            "properties": {"t": part(closed), "l": {"items": part(closed)}},
            "patternProperties": {"^m": part(closed)}
        });
        match compile(&with(&[("base", base, &[])]), own.clone(), &["base"]) {
            Err(SchemaError::Loosened { property, own_rule, base_rule, .. }) => {
                assert_eq!(base_rule, format!("{closed}: false"), "{own}");
                Some((property, own_rule))
            }
            Err(other) => panic!("{own}: {other}"),
            Ok(_) => None,
        }
    };
    for closed in ["additionalProperties", "unevaluatedProperties"] {
        for (opening, told) in [
            (json!({"patternProperties": {"^x": {}}}), "patternProperties: {\"^x\": {}}"),
            (json!({"additionalProperties": true}), "additionalProperties: true"),
            (
                json!({"unevaluatedProperties": {"type": "string"}}),
                "unevaluatedProperties: {\"type\":\"string\"}",
            ),
        ] {
            for own in [
                opening.clone(),
                json!({"allOf": [opening]}),
                json!({"anyOf": [{}, opening]}),
                json!({"oneOf": [{"allOf": [opening]}, {}]}),
                json!({"if": {}, "then": opening}),
                json!({"if": {}, "else": opening}),
                json!({"if": opening}),
                json!({"dependentSchemas": {"a": opening}}),
                json!({"$ref": "#/$defs/it"}),
            ] {
                let whole = |mut place: Value| {
                    place["$defs"] = json!({"it": opening});
                    place
                };
                for (property, own) in [
                    ("t", whole(json!({"properties": {"t": own}}))),
                    ("t", whole(json!({"anyOf": [{"properties": {"t": own}}]}))),
                    ("l.items", whole(json!({"properties": {"l": {"items": own}}}))),
                    ("*", whole(json!({"patternProperties": {"^m": own}}))),
                    ("m1", whole(json!({"properties": {"m1": own}}))),
                ] {
                    let found = rule(own.clone(), closed);
                    assert_eq!(found, Some((property.into(), told.into())), "{own}");
                }
            }
        }
        // These add no key, or only by name.
        for own in [
            json!({"patternProperties": {"^p": {"type": "integer"}}}),
            json!({"not": {"patternProperties": {"^x": {}}}}),
            json!({"properties": {"b": {"additionalProperties": true}}}),
            json!({"additionalProperties": false, "unevaluatedProperties": false}),
            json!({"$ref": "base#/properties/t"}),
        ] {
            assert_eq!(rule(json!({"properties": {"t": own}}), closed), None, "{own}");
        }
    }
}

#[test]
fn a_pattern_of_a_bases_base_may_be_used_again() {
    let schemas = with(&[
        ("top", json!({"patternProperties": {"^p": {"maximum": 5}}}), &[]),
        ("middle", json!({"additionalProperties": false}), &["top"]),
    ]);
    let own = json!({"patternProperties": {"^p": {"maximum": 3}}});
    let schema = compile(&schemas, own, &["middle"]).unwrap();
    assert!(settled(&schema, json!({"p": 3})).is_ok());
    assert!(settled(&schema, json!({"p": 4})).is_err());
}

#[test]
fn bases_extend_bases_and_the_nearer_default_counts() {
    let schemas = with(&[
        (
            "top",
            json!({"properties": {"a": {"default": "top", "maxLength": 9}, "b": {"default": "top"}}}),
            &[],
        ),
        (
            "left",
            json!({"properties": {"a": {"default": "left"}, "c": {"default": "left"}}}),
            &["top"],
        ),
        (
            "right",
            json!({"properties": {"a": {"default": "right"}, "b": {"default": "right"}, "c": {"default": "right"}}}),
            &["top"],
        ),
    ]);
    let read = |extends: &[&str]| {
        settled(&compile(&schemas, json!({}), extends).unwrap(), json!({})).unwrap()
    };
    assert_eq!(read(&["left", "right"]), json!({"a": "left", "b": "right", "c": "left"}));
    assert_eq!(read(&["right", "left"]), json!({"a": "right", "b": "right", "c": "right"}));
    // Named first, and yet what others extend.
    assert_eq!(read(&["top", "left"]), json!({"a": "left", "b": "top", "c": "left"}));
    assert_eq!(read(&["left", "left"]), read(&["left"]));
    let told =
        settled(&compile(&schemas, json!({}), &["left"]).unwrap(), json!({"a": "more than nine"}));
    assert!(told.unwrap_err().contains("at most 9 characters"));
}

#[test]
fn a_reference_to_a_base_is_to_the_whole_base() {
    let schemas = with(&[
        ("part", json!({"properties": {"n": {"default": 1}}, "additionalProperties": false}), &[]),
        ("whole", json!({"properties": {"m": {"default": 2}}}), &["part"]),
    ]);
    let own = json!({"properties": {
        "w": {"$ref": "whole", "default": {}},
        "n": {"$ref": "part#/properties/n"},
        "l": {"$ref": "#/$defs/a%20b~1c"}
    }, "$defs": {"a b/c": {"default": 3}}});
    let schema = compile(&schemas, own, &[]).unwrap();
    let expected = json!({"w": {"n": 1, "m": 2}, "n": 1, "l": 3});
    assert_eq!(settled(&schema, json!({})).unwrap(), expected);
    assert!(settled(&schema, json!({"w": {"x": 1}})).unwrap_err().contains("no key `w.x`"));
}

#[test]
fn a_base_that_is_nothing_but_a_reference_is_looked_through() {
    let closed = json!({
        "$ref": "#/$defs/it", "description": "It.",
        "$defs": {"it": {"properties": {"a": {"default": 1}}, "additionalProperties": false}}
    });
    let schemas = with(&[("base", closed, &[])]);
    let schema =
        compile(&schemas, json!({"properties": {"b": {"default": 2}}}), &["base"]).unwrap();
    assert_eq!(settled(&schema, json!({})).unwrap(), json!({"a": 1, "b": 2}));
    assert!(settled(&schema, json!({"c": 1})).is_err());
}

#[test]
fn schemas_that_refer_to_themselves_are_extended_all_the_way_down() {
    let tree = json!({
        "properties": {"name": {"type": "string"}, "children": {"items": {"$ref": "#"}}},
        "additionalProperties": false
    });
    let own = json!({
        "properties": {"size": {"default": 1}, "children": {"items": {"$ref": "#"}}}
    });
    let schema = compile(&with(&[("tree", tree, &[])]), own, &["tree"]).unwrap();
    let given = json!({"children": [{"name": "a", "children": [{"name": "b"}]}]});
    let expected = json!({"size": 1, "children": [
        {"name": "a", "size": 1, "children": [{"name": "b", "size": 1}]}
    ]});
    assert_eq!(settled(&schema, given).unwrap(), expected);
    let told = settled(&schema, json!({"children": [{"children": [{"name": 3}]}]})).unwrap_err();
    assert!(told.contains("`children[0].children[0].name`: expected a text, found 3"), "{told}");
}

#[test]
fn what_would_loosen_a_base_is_told_with_both_rules() {
    let schemas = with(&[("pool", pool(), &[])]);
    let error = |own: Value| compile(&schemas, own, &["pool"]).unwrap_err();
    assert_eq!(
        told(&error(json!({"properties": {"size": {"maximum": 20}}}))),
        "PB1514 the schema of the plugin `sql` loosens `size`: it has `maximum: 20`, and the base \
         schema `pool` of the host's component `database` has `maximum: 10`\n\
         help: write a rule that is as strict, or none: the base's holds anyway"
    );
    let open = error(json!({"additionalProperties": true})).to_string();
    assert!(open.contains("`sql` loosens the configuration itself: it has"), "{open}");
    for (own, property, rule) in [
        (json!({"type": ["object", "null"]}), "", "type: [\"object\",\"null\"]"),
        (json!({"additionalProperties": true}), "", "additionalProperties: true"),
        (
            json!({"properties": {"log": {"properties": {"level": {"enum": ["debug", "trace"]}}}}}),
            "log.level",
            "enum: [\"debug\",\"trace\"]",
        ),
        (
            json!({"properties": {"hosts": {"items": {"properties": {"name": {"minLength": 0}}}}}}),
            "hosts.items.name",
            "minLength: 0",
        ),
        (
            json!({"properties": {"url": {"$ref": "#/$defs/u"}}, "$defs": {"u": {"type": "number"}}}),
            "url",
            "type: \"number\"",
        ),
        (
            json!({"properties": {"env": {"properties": {"A": {"maxLength": 9}}}}}),
            "env.A",
            "maxLength: 9",
        ),
        (
            json!({"properties": {"env": {"additionalProperties": true}}}),
            "env",
            "additionalProperties: true",
        ),
        (
            json!({"properties": {"env": {"additionalProperties": {"secret": false}}}}),
            "env.*",
            "secret: false",
        ),
        (
            json!({"properties": {"tags": {"properties": {"x-a": {"type": "integer"}}}}}),
            "tags.x-a",
            "type: \"integer\"",
        ),
        (
            json!({"properties": {"tags": {"patternProperties": {"^x-": {"maxLength": 3}}}}}),
            "tags.*",
            "maxLength: 3",
        ),
    ] {
        let error = error(own);
        let SchemaError::Loosened { property: found, own_rule, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((found.as_str(), own_rule.as_str()), (property, rule));
    }
}

#[test]
fn a_base_that_loosens_is_its_own_owners_to_mend() {
    let mut schemas = with(&[("pool", pool(), &[])]);
    let wide = Declared::new(json!({"properties": {"size": {"maximum": 99}}})).extending(["pool"]);
    schemas.add(id("acme.pool"), plugin("acme"), &wide).unwrap();
    let error = compile(&schemas, json!({}), &["acme.pool"]).unwrap_err();
    assert_eq!(error.owner(), &plugin("acme"));
    assert!(error.to_string().starts_with(
        "the base schema `acme.pool` of the plugin `acme` loosens `size`: it has `maximum: 99`"
    ));
    // The plugin itself is told of a base beyond the nearest.
    let mut schemas = with(&[("pool", pool(), &[]), ("mid", json!({}), &["pool"])]);
    let error = compile(&schemas, json!({"properties": {"size": {"maximum": 99}}}), &["mid"]);
    assert_eq!(error.unwrap_err().owner(), &plugin("sql"));
    schemas.remove(&component());
    assert_eq!(schemas.bases().count(), 0);
}

#[test]
fn bases_that_are_not_there_and_circles_are_told_with_their_chain() {
    let schemas = with(&[
        ("a", json!({}), &["b"]),
        ("b", json!({}), &["c"]),
        ("c", json!({}), &["a"]),
        ("d", json!({}), &["e"]),
        ("e", json!({}), &["none"]),
    ]);
    let error = |extends: &[&str]| told(&compile(&schemas, json!({}), extends).unwrap_err());
    assert_eq!(
        error(&["d"]),
        "PB1515 the schema of the plugin `sql` needs the base schema `none`, and nobody has it \
         (needed by `e`, for `d`)\n\
         help: correct the id, or add the plugin that has it; there are: `a`, `b`, `c`, `d` and `e`"
    );
    assert_eq!(
        error(&["a"]),
        "PB1516 the schema of the plugin `sql` extends bases that extend each other: \
         `a` → `b` → `c` → `a`\nhelp: let one of them extend the others no more"
    );
    let of_itself = schemas.base(&id("b")).unwrap().unwrap_err().to_string();
    assert!(of_itself.ends_with("`b` → `c` → `a` → `b`"), "{of_itself}");
    assert!(error(&["No Id"]).contains("`No Id` is no base schema's id"));
    let refers = compile(&schemas, json!({"$ref": "none"}), &[]).unwrap_err();
    assert!(matches!(refers, SchemaError::MissingBase { .. }));
}

#[test]
fn two_owners_of_one_id_are_both_named() {
    let mut schemas = with(&[("pool", pool(), &[])]);
    let error = schemas.add(id("pool"), plugin("acme"), &Declared::new(json!({}))).unwrap_err();
    assert_eq!(
        told(&error),
        "PB1517 the base schema `pool` is there twice: of the host's component `database` and of \
         the plugin `acme`\nhelp: give one of them another id, with its owner's name first"
    );
    assert_eq!(error.owner(), &plugin("acme"));
    // The same owner may give it anew.
    schemas.add(id("pool"), component(), &Declared::new(json!({"maxProperties": 0}))).unwrap();
    let schema = schemas.base(&id("pool")).unwrap().unwrap();
    assert!(settled(&schema, json!({"a": 1})).is_err());
    assert!(schemas.base(&id("none")).is_none());
}
