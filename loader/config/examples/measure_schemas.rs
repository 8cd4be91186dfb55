//! How long a thousand small schemas take:
//! `cargo run --release -p plugbay-config --example measure_schemas`.

use std::time::Instant;

use plugbay_config::schema::{Declared, Owner, Schemas, SecretSource};
use serde_json::json;

fn main() {
    let plain = json!({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "log": {"type": "object", "properties": {"level": {"enum": ["debug", "info"]}}}
        },
        "required": ["path"],
        "additionalProperties": false
    });
    let mut rich = plain.clone();
    rich["properties"]["size"]["default"] = json!(4);
    rich["properties"]["log"]["properties"]["level"]["default"] = json!("info");
    rich["properties"]["password"] = json!({"secret": true, "minLength": 3});
    let mut schemas = Schemas::new();
    let pool = json!({"properties": {"size": {"type": "integer", "maximum": 20, "default": 3}}});
    let host = Owner::Component("database".into());
    schemas.add("pool".parse().unwrap(), host, &Declared::new(pool)).unwrap();
    let owner = Owner::Plugin("sql".parse().unwrap());
    let source = SecretSource::new("").with_variables([("P", "hunter2")]);

    for (name, declared, given) in [
        ("without defaults", Declared::new(plain), json!({"path": "a"})),
        (
            "defaults and a secret",
            Declared::new(rich.clone()),
            json!({"path": "a", "password": {"env": "P"}}),
        ),
        (
            "the same, extending a base",
            Declared::new(rich).extending(["pool"]),
            json!({"path": "a", "password": {"env": "P"}}),
        ),
    ] {
        let begin = Instant::now();
        let all: Vec<_> =
            (0..1_000).map(|_| schemas.compile(owner.clone(), &declared).unwrap()).collect();
        let compiled = begin.elapsed();
        for schema in &all {
            schema.settle(&given, &source).unwrap();
        }
        let both = begin.elapsed();
        println!("{name}: 1,000 compiled in {compiled:?}, and settled in {:?}", both - compiled);
    }
}
