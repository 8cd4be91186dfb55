//! `host-app pipe`.

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use plugbay_tests::{build, with_embedded};
use support::Home;

fn home() -> Home {
    let home = Home::empty();
    for name in ["sql", "jq", "markdown", "kv"] {
        home.folder.put(&build(&format!("plugbay-plugin-{name}")), &format!("{name}.so"));
    }
    fs::write(home.folder.beside("people.csv"), "name,age,note\nAnn,41,# Hi\nBob,17,\n").unwrap();
    home
}

fn table(home: &Home) -> String {
    format!("people={}", home.folder.beside("people.csv").display())
}

#[test]
fn rows_go_from_a_source_through_processors_and_renderers() {
    let home = home();
    let said = home
        .say(&[
            "pipe",
            "-t",
            &table(&home),
            "sql:SELECT note, name, age FROM people",
            "markdown:note",
        ])
        .ok();
    // In the order of the columns.
    let lines = "{\"note\":\"<h1>Hi</h1>\\n\",\"name\":\"Ann\",\"age\":41}\n\
                 {\"note\":null,\"name\":\"Bob\",\"age\":17}\n";
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), (lines, ""));
    let select = "jq:select(.age > 18) | .name";
    let said = home.say(&["pipe", "-t", &table(&home), "sql:SELECT * FROM people", select, "jq:."]);
    assert_eq!(said.ok().stdout, "{\"value\":\"Ann\"}\n");
    // A filter leaves nothing of a batch, or nothing in a column: then there is no text.
    let nobody = ["sql:SELECT * FROM people", "jq:select(.age > 99)", "markdown:note"];
    let said = home.say(&[&["pipe", "-t", &table(&home)], &nobody[..]].concat()).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    let nothing = ["sql:SELECT * FROM people", "jq:{note: null}", "markdown:note"];
    let said = home.say(&[&["pipe", "-t", &table(&home)], &nothing[..]].concat()).ok();
    assert_eq!(said.stdout, "{\"note\":null}\n{\"note\":null}\n");
    // Without an end, and larger than memory.
    let endless =
        "sql:WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let said = home.say(&["pipe", endless, "jq:select(.i % 5000 == 0)", "--limit", "3"]).ok();
    assert_eq!(said.stdout, "{\"i\":5000}\n{\"i\":10000}\n{\"i\":15000}\n");
}

#[test]
fn rows_come_from_standard_input_and_files() {
    let home = home();
    let given = |input: &[u8]| {
        let mut child = home
            .command(&["pipe", "--input", "-", "jq:.a"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (ok, stdout, _) = given(b"{\"a\":1}\n\n{\"a\":2}");
    assert!(ok && stdout == b"{\"value\":1}\n{\"value\":2}\n");
    let (ok, _, said) = given(b"{\"a\":1}\n{\"a\":");
    assert!(!ok && said.contains("standard input:2:5: EOF while parsing a value"), "{said}");
    let (_, _, said) = given(b"{\"a\":[]}\n{\"a\":{}}\n");
    assert!(said.contains("error[PB1031]: standard input: the rows before line"), "{said}");
    home.say(&["pipe", "--input", "/nowhere", "jq:."]).failed(4, "PB1031");
}

#[test]
fn mistakes_are_told_with_a_way_out() {
    let home = home();
    let said = |stages: &[&str], exit, code| {
        let table = table(&home);
        let arguments: Vec<_> = ["pipe", "-t", &table].iter().chain(stages).copied().collect();
        home.say(&arguments).failed(exit, code).stderr
    };
    let stderr = said(&["jq:."], 1, "PB1401");
    assert!(stderr.contains("the first stage is a source, and jq 0.1.0 offers"), "{stderr}");
    let stderr = said(&["sql:SELECT 1", "kv:x"], 1, "PB1401");
    assert!(stderr.contains("a processor or a renderer"), "{stderr}");
    said(&["nobody:x"], 4, "PB0701");
    said(&["No Body:x"], 4, "PB0701");
    let stderr = said(&["sql:SELEC"], 1, "PB1030");
    assert!(stderr.contains("sql failed: near \"SELEC\": syntax error"), "{stderr}");
    let stderr = said(&["sql:SELECT * FROM people", "markdown:text"], 2, "PB1029");
    assert!(stderr.contains("there are: name, age, note"), "{stderr}");
    let stderr = said(&["sql:SELECT * FROM people", "markdown:age"], 2, "PB1029");
    assert!(stderr.contains("the column `age` is Int64"), "{stderr}");
    assert_eq!(home.say(&["pipe", "sql"]).exit, 2);
    let failed = home.say(&["pipe", "--json", "sql:SELECT 1 AS a", "jq:error(\"no\")"]);
    assert_eq!(failed.json()["error"]["failure"]["message"], "no");
}

/// One that was built with another form of a contract is refused, and what differs is told
/// where it is asked for.
#[test]
fn another_form_of_a_contract_is_told_in_full_where_it_is_wanted() {
    let home = Home::empty();
    let library = fs::read(build("plugbay-plugin-jq")).unwrap();
    let mut other = with_embedded(&library, |_| {});
    // What the description of its contract calls a batch.
    let (word, places) = (b"RecordBatch", other.windows(11).enumerate());
    let places: Vec<_> = places.filter(|(_, bytes)| bytes == word).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        other[at..at + word.len()].copy_from_slice(b"RecordBundl");
    }
    home.folder.write("jq.so", other);
    home.folder.put(&build("plugbay-plugin-sql"), "sql.so");
    let said = home.say(&["pipe", "sql:SELECT 1 AS a", "jq:.a"]).failed(1, "PB1402");
    let words = "jq 0.1.0 offers another plugbay.data-processor than is asked for";
    assert!(said.stderr.contains(words) && !said.stderr.contains("there:"), "{}", said.stderr);
    let said = home.say(&["pipe", "sql:SELECT 1 AS a", "jq:.a", "--verbose"]).failed(1, "PB1402");
    let here = "here:  fn process(step: str, batch: RecordBatch) -> RecordBatch";
    let there = "there: fn process(step: str, batch: RecordBundl) -> RecordBundl";
    assert!(said.stderr.contains(here) && said.stderr.contains(there), "{}", said.stderr);
}
