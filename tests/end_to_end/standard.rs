//! The standard contracts, as the plugins of this workspace offer them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use plugbay_contracts::arrow_array::{Array, Int64Array};
use plugbay_contracts::{Batch, DataProcessor, DataSource, KeyValue, Query, Renderer, Source};
use plugbay_interface::Error;
use plugbay_interface::crossing::Stream;
use plugbay_loader::{Explain, Host, Pin, Service};
use plugbay_tests::{Folder, build, mapped_below, reloaded, until, while_calling, with_embedded};
use semver::Version;
use serde_json::{Value, json};

const COUNTING: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

fn start(names: &[&str]) -> (Folder, Host) {
    let folder = Folder::new();
    for name in names {
        folder.put(&build(&format!("plugbay-plugin-{name}")), &format!("{name}.so"));
    }
    let host = folder.host().probation(Duration::ZERO).build().unwrap();
    assert!(host.start().unwrap().refused.is_empty());
    (folder, host)
}

/// Puts another version in its place.
fn replace(folder: &Folder, host: &Host, name: &str, number: u64) {
    let library = fs::read(build(&format!("plugbay-plugin-{name}"))).unwrap();
    let next = with_embedded(&library, |embedded| {
        embedded.manifest.version = Version::new(1, 0, number);
    });
    let aside = folder.beside("next.so");
    fs::write(&aside, next).unwrap();
    fs::rename(aside, folder.plugins().join(format!("{name}.so"))).unwrap();
    reloaded(host.reload(name));
}

/// The numbers up to `until`, so many in a batch.
fn numbers(until: u64, batch_rows: u32) -> Query {
    let text = format!("{COUNTING} SELECT i FROM n");
    Query { limit: Some(until), batch_rows: Some(batch_rows), ..Query::new(text) }
}

fn query(sql: &Service<dyn DataSource>, query: Query) -> Result<Stream<Batch>, Error> {
    sql.enter().unwrap().query(Source::default(), query)
}

/// What a batch of one column of integers has.
fn integers(batch: &Batch) -> Vec<i64> {
    batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
}

#[test]
fn markdown_renders() {
    let (_folder, host) = start(&["markdown"]);
    let renderer: Service<dyn Renderer> = host.service("markdown").unwrap();
    let renderer = renderer.enter().unwrap();
    assert_eq!(renderer.render("# Hi").unwrap(), "<h1>Hi</h1>\n");
    let headings = renderer.outline("# A\n\n## B").unwrap();
    assert_eq!((headings[1].level, headings[1].id.as_str()), (2, "b"));
    assert_eq!(renderer.media_types().unwrap().to, "text/html");
}

#[test]
fn kv_keeps_values_for_its_contract_and_its_commands() {
    let (folder, host) = start(&["kv"]);
    let kv: Service<dyn KeyValue> = host.service("kv").unwrap();
    let in_it = || kv.enter().unwrap();
    assert!(!in_it().set("a", json!({"n": [1, null]}), None).unwrap());
    assert!(in_it().set("a", json!(1), Some(Duration::from_secs(3600))).unwrap());
    assert_eq!(in_it().increment("a", 41).unwrap(), 42);
    assert_eq!(host.call("kv", "get", json!({"key": "a"})).unwrap()["value"], 42);
    host.call("kv", "set", json!({"key": "b", "value": "x"})).unwrap();
    // The state goes over.
    replace(&folder, &host, "kv", 1);
    assert_eq!(in_it().get("b").unwrap(), Some(json!("x")));
    assert_eq!(in_it().keys("", None, 1).unwrap().keys, ["a"]);
    let page = in_it().keys("", Some("a".into()), 10).unwrap();
    assert_eq!((page.keys, page.truncated), (vec!["b".to_owned()], false));
    assert!(in_it().delete("a").unwrap() && !in_it().delete("a").unwrap());
    assert_eq!(in_it().get("a").unwrap(), None);
    assert_eq!(in_it().set("", json!(1), None).unwrap_err().code(), "arguments");
    assert!(in_it().increment("b", 1).is_err());
    // What is left out is none where there may be none, and not null.
    let set = |arguments| host.call("kv", "plugbay.key-value:set", arguments);
    assert_eq!(set(json!({"key": "c", "value": null})).unwrap(), json!(false));
    let error = set(json!({"key": "b"})).unwrap_err();
    assert_eq!((error.code(), in_it().get("b").unwrap()), ("PB0704", Some(json!("x"))));
    assert!(error.to_string().contains("the argument `value` is missing"), "{error}");
}

#[test]
fn sql_and_jq_are_a_chain() {
    let (folder, host) = start(&["sql", "jq"]);
    let sql: Service<dyn DataSource> = host.service("sql").unwrap();
    let jq: Service<dyn DataProcessor> = host.service("jq").unwrap();
    let path = folder.beside("people.csv");
    fs::write(&path, "name,age\nAnn,41\nBob,17\n").unwrap();
    let tables = BTreeMap::from([("people".to_owned(), path.to_str().unwrap().to_owned())]);
    let source = Source { tables, ..Source::default() };
    let schema = sql.enter().unwrap().schema(source.clone()).unwrap();
    assert_eq!((schema[0].name.as_str(), schema[0].columns[1].name.as_str()), ("people", "age"));
    let text =
        Query { parameters: vec![json!(18)], ..Query::new("SELECT * FROM people WHERE age > ?") };
    let mut batches = sql.enter().unwrap().query(source, text).unwrap();
    let adults = batches.next().unwrap().unwrap();
    let jq = jq.enter().unwrap();
    let older = jq.process("{name, age: (.age + 1)}, {name: \"and\"}", adults.clone()).unwrap();
    let expected = [json!({"name": "Ann", "age": 42}), json!({"name": "and", "age": null})];
    assert_eq!(older.to_rows().unwrap(), expected);
    assert_eq!(
        jq.process(".age", adults.clone()).unwrap().to_rows().unwrap(),
        [json!({"value": 41})]
    );
    assert_eq!(jq.process("empty", adults.clone()).unwrap().num_rows(), 0);
    let error = jq.process(".[", adults).unwrap_err();
    assert_eq!(error.code(), "compile");
}

/// A batch of a plugin that has gone, sent to another one.
#[test]
fn a_batch_outlives_its_plugin_and_goes_on_to_the_next() {
    let (folder, host) = start(&["sql", "jq"]);
    let sql: Service<dyn DataSource> = host.service("sql").unwrap();
    let jq: Service<dyn DataProcessor> = host.service("jq").unwrap();
    let batch = query(&sql, numbers(1000, 1000)).unwrap().next().unwrap().unwrap();
    assert_eq!(host.unload("sql").unwrap().pinned, Some(Pin::Buffers { count: 1 }));
    let column = batch.column(0).slice(990, 10);
    let twice = jq.enter().unwrap().process(".i * 2", batch).unwrap();
    assert_eq!(integers(&twice).last(), Some(&2000));
    // A part of the batch is enough.
    assert_eq!(host.pinned().len(), 1);
    drop(column);
    until(|| host.pinned().is_empty());
    drop(twice);
    host.unload("jq").unwrap();
    until(|| mapped_below(&folder.beside("cache")) == 0);
}

#[test]
fn a_query_goes_on_while_its_plugin_is_replaced() {
    let (folder, host) = start(&["sql"]);
    let sql: Service<dyn DataSource> = host.service("sql").unwrap();
    let mut stream = query(&sql, numbers(10_000, 100)).unwrap();
    let mut seen = integers(&stream.next().unwrap().unwrap());
    replace(&folder, &host, "sql", 1);
    assert_eq!(query(&sql, numbers(1, 1)).unwrap().count(), 1);
    host.unload("sql").unwrap();
    seen.extend(stream.flat_map(|batch| integers(&batch.unwrap())));
    assert_eq!(seen, (1..=10_000).collect::<Vec<_>>());
    until(|| mapped_below(&folder.beside("cache")) == 0);
}

/// Dropping it wakes the thread that reads, wherever that is.
#[test]
fn a_query_that_nobody_wants_any_more_ends() {
    let (folder, host) = start(&["sql"]);
    let sql: Service<dyn DataSource> = host.service("sql").unwrap();
    let mut stream = query(&sql, numbers(u64::MAX, 10)).unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    assert_eq!(host.unload("sql").unwrap().pinned, None);
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
}

#[test]
fn chains_are_whole_while_all_of_their_plugins_are_replaced() {
    let (folder, host) = start(&["sql", "jq"]);
    let sql: Service<dyn DataSource> = host.service("sql").unwrap();
    let jq: Service<dyn DataProcessor> = host.service("jq").unwrap();
    let call = |_| {
        let mut sum = 0;
        for batch in query(&sql, numbers(300, 100)).unwrap() {
            let batch = jq.call(|jq| jq.process(".i * 2", batch.unwrap())).unwrap().unwrap();
            sum += integers(&batch).iter().sum::<i64>();
        }
        assert_eq!(sum, 300 * 301);
        Ok(Value::Null)
    };
    let (calls, _) = while_calling(3, call, || {
        for number in 1..4 {
            replace(&folder, &host, "sql", number);
            replace(&folder, &host, "jq", number);
        }
    });
    assert!(calls > 3);
    until(|| mapped_below(&folder.beside("cache")) == 2);
}

#[test]
fn batches_and_streams_are_rows_by_name() {
    let (_folder, host) = start(&["sql", "jq"]);
    let query = json!({"source": {}, "query": {"text": "SELECT 1 AS a, 'x' AS b"}});
    let rows = host.call("sql", "plugbay.data-source:query", query).unwrap();
    assert_eq!(rows, json!([[{"a": 1, "b": "x"}]]));
    let process = json!({"step": ".a", "batch": [{"a": 1}, {"a": 2}]});
    let rows = host.call("jq", "plugbay.data-processor:process", process).unwrap();
    assert_eq!(rows, json!([{"value": 1}, {"value": 2}]));
}
