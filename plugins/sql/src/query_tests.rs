use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("plugbay-sql-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn database(&self, name: &str, sql: &str) -> String {
        let path = self.0.join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn query(sql: &str, tables: &[(&str, &str)]) -> Result<Answer, Error> {
    with(sql, tables, vec![], Config::default())
}

fn with(
    sql: &str,
    tables: &[(&str, &str)],
    params: Vec<Value>,
    config: Config,
) -> Result<Answer, Error> {
    let tables = tables.iter().map(|(name, path)| (name.to_string(), path.to_string())).collect();
    run(Query { sql: sql.into(), tables, params, limit: None }, &config)
}

fn rows(sql: &str, tables: &[(&str, &str)]) -> Value {
    query(sql, tables).unwrap().rows.into()
}

fn failure(sql: &str, tables: &[(&str, &str)]) -> (String, String) {
    let error = query(sql, tables).unwrap_err();
    (error.code().to_owned(), error.to_string())
}

#[test]
fn csv_fields_are_numbers_texts_and_nulls() {
    let folder = Folder::new();
    let path = folder.write("s.csv", "\u{feff}name,qty,zip\n\"a, b\",2,007\nc,,12345\nd,1.5,x\n");
    let sales = [("sales", path.as_str())];
    assert_eq!(
        rows("SELECT *, typeof(qty), typeof(zip) FROM sales", &sales),
        json!([
            ["a, b", 2, "007", "integer", "text"],
            ["c", null, 12345, "null", "integer"],
            ["d", 1.5, "x", "real", "text"]
        ])
    );
    assert_eq!(rows("SELECT sum(qty) FROM sales WHERE qty > 1", &sales), json!([[3.5]]));
    assert_eq!(rows("SELECT _line FROM sales WHERE zip = '007'", &sales), json!([[2]]));
}

#[test]
fn a_header_says_which_delimiter_it_is() {
    let folder = Folder::new();
    let semicolons = folder.write("a.csv", "x;\"y,z\"\n1;2\n");
    let tabs = folder.write("b.TSV", "x\ty\n1\t2\n");
    assert_eq!(rows("SELECT x, \"y,z\" FROM t", &[("t", &semicolons)]), json!([[1, 2]]));
    assert_eq!(rows("SELECT y FROM t", &[("t", &tabs)]), json!([[2]]));
}

#[test]
fn json_lines_have_the_columns_of_their_members() {
    let folder = Folder::new();
    let lines = "{\"b\": 1, \"a\": \"x\"}\n\n{\"a\": [1, {}], \"c\": true}\r\n{\"b\": null}";
    let path = folder.write("l.jsonl", lines);
    let log = [("log", path.as_str())];
    let answer = query("SELECT * FROM log", &log).unwrap();
    assert_eq!(answer.columns, ["b", "a", "c"]);
    assert_eq!(
        Value::from(answer.rows),
        json!([[1, "x", null], [null, "[1, {}]", 1], [null, null, null]])
    );
    assert_eq!(
        rows("SELECT _line, _json -> 'b' FROM log WHERE _json ->> 'b' = 1", &log),
        json!([[1, "1"]])
    );
}

#[test]
fn files_of_all_formats_join() {
    let folder = Folder::new();
    let people = folder.write("p.csv", "id,name\n1,Ann\n2,Bob\n");
    let visits =
        folder.write("v.ndjson", "{\"who\":2,\"day\":\"Mon\"}\n{\"who\":1,\"day\":\"Tue\"}\n");
    let shop = folder.database(
        "s.sqlite",
        "CREATE TABLE orders(who, total); INSERT INTO orders VALUES (1, 9.5), (2, x'00ff');",
    );
    assert_eq!(
        rows(
            "SELECT name, day, total FROM people JOIN visits AS v ON v.who = id \
             JOIN shop.orders AS o ON o.who = id ORDER BY name",
            &[("people", &people), ("visits", &visits), ("shop", &shop)]
        ),
        json!([["Ann", "Tue", 9.5], ["Bob", "Mon", { "blob": "00ff" }]])
    );
}

#[test]
fn a_materialized_side_makes_a_join_of_large_files_fast() {
    let folder = Folder::new();
    let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let left = folder.write("left.csv", format!("id\n{lines}"));
    let right = folder.write("right.csv", format!("id\n{lines}"));
    let tables = [("l", left.as_str()), ("r", right.as_str())];
    // Four hundred million pairs.
    let join = "SELECT count(*) FROM l JOIN r ON l.id = r.id";
    let config = Config { max_seconds: 0.2, ..Config::default() };
    let error = with(join, &tables, vec![], config).unwrap_err();
    assert_eq!(error.code(), "timeout");
    assert!(error.to_string().contains("MATERIALIZED"), "{error}");
    let join =
        "WITH i AS MATERIALIZED (SELECT id FROM r) SELECT count(*) FROM l JOIN i ON l.id = i.id";
    assert_eq!(rows(join, &tables), json!([[20_000]]));
}

#[test]
fn mistakes_in_files_are_told_with_their_place() {
    let folder = Folder::new();
    let short = folder.write("short.csv", "a,b\n1,2\n3\n");
    assert_eq!(
        failure("SELECT * FROM t", &[("t", &short)]),
        ("malformed".into(), format!("{short}:3: expected 2 fields, found 1"))
    );
    let encoding = folder.write("latin.csv", b"a,b\n1,\xe4\n");
    assert_eq!(
        failure("SELECT * FROM t", &[("t", &encoding)]),
        ("malformed".into(), format!("{encoding}:2: field 2 is not UTF-8"))
    );
    // Behind the lines that are sampled, so that it is met in the query.
    let broken = folder.write("b.jsonl", "{\"a\": 1}\n".repeat(1_200) + "{\"a\": 1,}\n");
    let (code, message) = failure("SELECT count(*) FROM t", &[("t", &broken)]);
    assert_eq!(code, "malformed");
    assert!(message.starts_with(&format!("{broken}:1201:9: ")), "{message}");
    let array = folder.write("c.jsonl", "{\"a\": 1}\n[1]\n");
    let (_, message) = failure("SELECT 1", &[("t", &array)]);
    assert!(message.starts_with(&format!("{array}:2:")), "{message}");
    assert!(message.contains("expected a JSON object on each line"), "{message}");
    let empty = folder.write("empty.csv", "");
    assert!(failure("SELECT 1", &[("t", &empty)]).1.contains("is empty"));
    let fake = folder.write("fake.db", "SQLite format 3\0 and then something else");
    assert_eq!(failure("SELECT 1", &[("t", &fake)]).0, "source");
}

#[test]
fn mistakes_in_sql_are_told_with_their_place() {
    assert_eq!(
        failure("SELECT 1\n  FORM x", &[]),
        ("sql".into(), "near \"x\": syntax error, at line 2, column 8".into())
    );
    assert_eq!(failure("SELECT * FROM nothing", &[]).0, "sql");
    assert!(failure("SELECT 1; SELECT 2", &[]).1.contains("one statement"));
    assert_eq!(failure("", &[]).0, "sql");
    let parameters = with("SELECT ?", &[], vec![], Config::default()).unwrap_err();
    assert_eq!(parameters.code(), "arguments");
}

#[test]
fn nothing_can_be_written() {
    let folder = Folder::new();
    let shop = folder.database("s.sqlite", "CREATE TABLE t(x);");
    let new = folder.0.join("new.db");
    for sql in [
        "INSERT INTO shop.t VALUES (1)",
        "DELETE FROM shop.t RETURNING x",
        "UPDATE shop.t SET x = 1",
        "CREATE TABLE y(x)",
        "CREATE TEMP TABLE y(x)",
        "DROP TABLE shop.t",
        &format!("ATTACH '{}' AS other", new.display()),
        "PRAGMA shop.journal_mode = WAL",
        "PRAGMA query_only = OFF",
        "BEGIN",
        "SELECT load_extension('x')",
    ] {
        let (code, message) = failure(sql, &[("shop", &shop)]);
        assert_eq!(code, "read-only", "{sql}: {message}");
    }
    // Not refused while it is prepared, and never run: it has no columns.
    let vacuum = format!("VACUUM shop INTO '{}'", new.display());
    assert_eq!(failure(&vacuum, &[("shop", &shop)]).0, "sql");
    assert!(!new.exists());
    let csv = folder.write("c.csv", "a\n1\n");
    assert!(failure("DELETE FROM t RETURNING a", &[("t", &csv)]).1.contains("may not be modified"));
}

#[test]
fn an_answer_is_cut_at_the_limit_and_says_so() {
    let count =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30) SELECT i FROM n";
    let config = || Config { max_rows: 20, ..Config::default() };
    let answer = |limit| {
        let query = Query { sql: count.into(), tables: BTreeMap::new(), params: vec![], limit };
        let answer = run(query, &config()).unwrap();
        (answer.rows.len(), answer.truncated)
    };
    assert_eq!(answer(None), (20, true));
    assert_eq!(answer(Some(7)), (7, true));
    assert_eq!(answer(Some(1_000)), (20, true));
    assert_eq!(answer(Some(0)), (0, true));
    assert_eq!(query(count, &[]).unwrap().rows.len(), 30);
    assert!(!query(count, &[]).unwrap().truncated);
}

#[test]
fn a_query_that_takes_too_long_or_grows_too_large_ends() {
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let config = Config { max_seconds: 0.05, ..Config::default() };
    assert_eq!(with(endless, &[], vec![], config).unwrap_err().code(), "timeout");
    assert_eq!(failure("SELECT zeroblob(100000000)", &[]).0, "too-large");
}

#[test]
fn parameters_keep_their_types() {
    let params = vec![json!(1), json!(1.5), json!("x"), json!(null), json!(true), json!([1])];
    let answer = with(
        "SELECT typeof(?1), typeof(?2), typeof(?3), typeof(?4), ?5, ?6 -> 0",
        &[],
        params,
        Config::default(),
    );
    assert_eq!(
        Value::from(answer.unwrap().rows),
        json!([["integer", "real", "text", "null", 1, "1"]])
    );
}

#[test]
fn names_and_paths_may_contain_anything() {
    let folder = Folder::new();
    let path = folder.write("a b'?%41#.csv", "x\n1\n");
    assert_eq!(rows("SELECT x FROM \"my \"\"table\"", &[("my \"table", &path)]), json!([[1]]));
    let shop =
        folder.database("d ?mode=rwc&'%41#.db", "CREATE TABLE t(x); INSERT INTO t VALUES (5);");
    assert_eq!(rows("SELECT x FROM \"a-b\".t", &[("a-b", &shop)]), json!([[5]]));
    for name in ["main", "TEMP", "", "sqlite_x"] {
        assert_eq!(failure("SELECT 1", &[(name, &path)]).0, "arguments", "{name}");
    }
}

#[test]
fn columns_of_all_sources_are_listed() {
    use crate::tables::{Sources, list};
    let folder = Folder::new();
    let csv = folder.write("c.csv", "a,b c\n1,2\n");
    let shop =
        folder.database("s.db", "CREATE TABLE \"o t\"(x, y); CREATE VIEW v AS SELECT 1 AS one;");
    let tables = [("c".into(), csv), ("s".into(), shop)].into();
    let listing = list(&Sources { tables }, &Config::default()).unwrap();
    let found: Vec<_> =
        listing.tables.iter().map(|table| (table.name.as_str(), table.columns.join(","))).collect();
    assert_eq!(
        found,
        [("c", "a,b c".into()), ("s.\"o t\"", "x,y".into()), ("s.v", "one".to_owned())]
    );
}
