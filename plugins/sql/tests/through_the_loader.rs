//! The plugin as a host sees it.

use std::fs;
use std::thread;

use plugbay_loader::CallError;
use plugbay_tests::{Folder, Serving, build, serving};
use serde_json::{Value, json};
use tempfile::TempDir;

const PACKAGE: &str = "plugbay-plugin-sql";

fn write(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn failure(host: &Serving, arguments: Value) -> (String, String) {
    match host.call("sql", "query", arguments).unwrap_err() {
        CallError::Failed { failure, .. } | CallError::Arguments { failure, .. } => {
            (failure.code, failure.message)
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn files_of_two_formats_are_joined() {
    let host = serving(PACKAGE, json!({}));
    let folder = tempfile::tempdir().unwrap();
    let people = write(&folder, "people.csv", "id,name\n1,Ann\n2,Bob\n");
    let visits = write(&folder, "visits.jsonl", "{\"who\":2}\n{\"who\":1}\n{\"who\":2}\n");
    let tables = json!({"people": people, "visits": visits});
    let sql = "SELECT name, count(*) AS times FROM people JOIN visits ON who = id \
               WHERE name <> ? GROUP BY name ORDER BY times DESC";
    assert_eq!(
        host.call("sql", "query", json!({"sql": sql, "tables": tables, "params": ["Eve"]}))
            .unwrap(),
        json!({"columns": ["name", "times"], "rows": [["Bob", 2], ["Ann", 1]], "truncated": false})
    );
    let listed = host.call("sql", "tables", json!({ "tables": tables })).unwrap();
    assert_eq!(listed["tables"][1]["columns"], json!(["who"]));
}

#[test]
fn an_answer_has_no_more_rows_than_the_configuration_allows() {
    let host = serving(PACKAGE, json!({"max_rows": 3}));
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let result = host.call("sql", "query", json!({"sql": sql, "limit": 1_000_000})).unwrap();
    assert_eq!(result["rows"], json!([[1], [2], [3]]));
    assert_eq!(result["truncated"], json!(true));
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let host = serving(PACKAGE, json!({}));
    let folder = tempfile::tempdir().unwrap();
    let log = write(&folder, "log.jsonl", "{\"a\": 1}\n{\"a\": }\n");
    let (code, message) =
        failure(&host, json!({"sql": "SELECT * FROM log", "tables": {"log": log}}));
    assert_eq!((code.as_str(), message), ("malformed", format!("{log}:2:7: expected value")));
    let (code, message) = failure(&host, json!({"sql": "SELECT 1,\n  FROM x"}));
    assert_eq!((code.as_str(), message.contains("line 2, column 3")), ("sql", true), "{message}");
    let (code, _) = failure(&host, json!({"sql": "ATTACH 'x.db' AS x"}));
    assert_eq!(code, "read-only");
}

#[test]
fn many_threads_query_one_file() {
    let host = serving(PACKAGE, json!({}));
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..1_000).map(|number| format!("{number}\n")).collect();
    let path = write(&folder, "numbers.csv", &format!("n\n{lines}"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let arguments =
                        json!({"sql": "SELECT sum(n) FROM numbers", "tables": {"numbers": path}});
                    let result = host.call("sql", "query", arguments).unwrap();
                    assert_eq!(result["rows"], json!([[499_500]]));
                }
            });
        }
    });
}

#[test]
fn an_unloaded_plugin_leaves_the_memory() {
    let folder = Folder::new();
    folder.put(&build(PACKAGE), "libsql.so");
    let (host, _) = folder.start();
    let arguments = json!({"sql": "SELECT json('[1]')"});
    // On a thread that lives on.
    host.call("sql", "query", arguments).unwrap();
    let unloaded = host.unload("sql").unwrap();
    assert!(unloaded.pinned.is_none(), "{:?}", unloaded.pinned);
}
