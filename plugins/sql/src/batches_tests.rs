use std::collections::BTreeMap;
use std::time::Duration;

use plugbay_contracts::Query;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn stream(query: Query) -> Result<Stream<Batch>, Error> {
    crate::stream::run(BTreeMap::new(), query, LONG)
}

fn rows(sql: &str) -> Vec<Value> {
    let batches = stream(Query::new(sql)).unwrap();
    batches.flat_map(|batch| batch.unwrap().to_rows().unwrap()).collect()
}

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

#[test]
fn a_column_has_one_type_for_all_its_cells() {
    for (values, expected) in [
        ("(1), (NULL), (3)", json!([1, null, 3])),
        ("(1), (2.5)", json!([1.0, 2.5])),
        ("(1), ('a'), (2.0)", json!(["1", "a", "2.0"])),
        ("(x'0aff'), (NULL)", json!(["0aff", null])),
        ("(NULL)", json!([null])),
    ] {
        let rows = rows(&format!("SELECT * FROM (VALUES {values})"));
        let cells: Vec<_> = rows.iter().map(|row| row["column1"].clone()).collect();
        assert_eq!(Value::from(cells), expected, "{values}");
    }
}

#[test]
fn a_result_comes_in_batches_with_the_same_columns() {
    let text = format!("{NUMBERS} SELECT i, NULL AS empty FROM n");
    let query = Query { limit: Some(25), batch_rows: Some(10), ..Query::new(text) };
    let batches: Vec<_> = stream(query).unwrap().map(Result::unwrap).collect();
    let sizes: Vec<_> = batches.iter().map(|batch| batch.num_rows()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    assert!(batches.iter().all(|batch| batch.schema() == batches[0].schema()));
}

#[test]
fn a_result_without_rows_has_a_batch_with_its_columns() {
    for query in [
        Query::new("SELECT 1 AS a, 2 AS b WHERE 0"),
        Query { limit: Some(0), ..Query::new("SELECT 1 AS a, 2 AS b") },
    ] {
        let batches: Vec<_> = stream(query).unwrap().map(Result::unwrap).collect();
        assert_eq!((batches.len(), batches[0].num_rows(), batches[0].num_columns()), (1, 0, 2));
    }
}

#[test]
fn a_cell_that_does_not_fit_is_told_with_its_row_and_a_way_out() {
    let text = format!("{NUMBERS} SELECT iif(i = 15, 'x', i) AS number FROM n LIMIT 20");
    let query = |text| Query { batch_rows: Some(10), ..Query::new(text) };
    let mut batches = stream(query(text)).unwrap();
    assert_eq!(batches.next().unwrap().unwrap().num_rows(), 10);
    let error = batches.next().unwrap().unwrap_err();
    assert_eq!(error.code(), "column-type");
    assert_eq!(
        error.to_string(),
        "the column `number` has text in row 15, and integers before; make it one type with \
         CAST(number AS TEXT)"
    );
    assert!(batches.next().is_none());
    let text = format!("{NUMBERS} SELECT CAST(iif(i = 15, 'x', i) AS TEXT) FROM n LIMIT 20");
    assert_eq!(stream(query(text)).unwrap().filter(Result::is_ok).count(), 2);
    let text = "SELECT * FROM (VALUES (0.5), (9007199254740993))";
    assert_eq!(stream(Query::new(text)).unwrap_err().code(), "column-type");
}

#[test]
fn what_is_wrong_with_a_query_is_told_at_once() {
    for (text, code) in [
        ("SELECT 1,", "sql"),
        ("DELETE FROM x", "sql"),
        ("PRAGMA journal_mode = WAL", "read-only"),
        ("SELECT ?1", "arguments"),
    ] {
        assert_eq!(stream(Query::new(text)).unwrap_err().code(), code, "{text}");
    }
    let mut endless = stream(Query::new(format!("{NUMBERS} SELECT i FROM n"))).unwrap();
    assert_eq!(endless.next().unwrap().unwrap().num_rows(), 8192);
    // Ends the thread, which would read for ever.
    drop(endless);
}

#[test]
fn the_time_between_two_batches_is_not_the_querys() {
    let text = format!("{NUMBERS} SELECT i FROM n LIMIT 50000");
    let query = Query { batch_rows: Some(10_000), ..Query::new(text) };
    let short = Duration::from_millis(500);
    let mut batches = crate::stream::run(BTreeMap::new(), query, short).unwrap();
    batches.next().unwrap().unwrap();
    std::thread::sleep(2 * short);
    assert_eq!(batches.map(Result::unwrap).map(|batch| batch.num_rows()).sum::<usize>(), 40_000);
    let text = format!("{NUMBERS} SELECT sum(i) FROM n");
    let error = crate::stream::run(BTreeMap::new(), Query::new(text), short).unwrap_err();
    assert_eq!(error.code(), "timeout");
}

#[test]
fn long_values_make_short_batches() {
    let text = format!("{NUMBERS} SELECT zeroblob(6000000) AS b FROM n LIMIT 7");
    let sizes: Vec<_> =
        stream(Query::new(text)).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(sizes, [3, 3, 1]);
}
