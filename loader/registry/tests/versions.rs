//! Registries of other versions: earlier ones are taken over, later ones are left alone,
//! and what is new in the same version is kept.

#![cfg(feature = "sqlite")]

mod support;

use std::fs;

use plugbay_registry::{
    Ending, Event, EventKind, HeldBack, HistoryQuery, Mark, Query, Reason, RegistryError, Selector,
    Status,
};
use serde_json::{Value, json};
use support::{Backend, Home, hash, key, names, plugin};

/// A `registry.json` as version 1 wrote it. Not to be changed.
const FILE_1: &str = r#"{
  "version": 1,
  "plugins": [
    {
      "id": "markdown",
      "version": "1.2.0",
      "hash": "0000000000000000000000000000000000000000000000000000000000000001",
      "name": "Markdown",
      "description": "Renders it",
      "path": "/plugins/lib\\xff.so",
      "kinds": ["renderer"],
      "sub_types": { "renderer": { "format": "html" } },
      "capabilities": ["tables"],
      "contracts": [{ "id": "plugbay.renderer", "version": "1.2" }],
      "status": "active",
      "reason": null,
      "verdict": "survived",
      "health": { "troubles": 0 },
      "created": "2026-01-02T03:04:05.678Z",
      "updated": "2026-02-02T03:04:05Z",
      "stars": 5
    }
  ],
  "wishes": { "kv": { "choice": "enabled", "versions": "^1", "since": "2026-01-02T03:04:05Z" } },
  "held_back": [],
  "history": [
    { "time": "2026-01-02T03:04:05Z", "plugin": "markdown", "version": "1.2.0", "kind": "loaded", "text": "one" },
    { "time": "2026-01-02T03:04:06Z", "plugin": "kv", "kind": "refused", "text": "two" }
  ],
  "attempts": [
    {
      "id": 7, "plugin": "kv", "version": "1.0.0",
      "hash": "0000000000000000000000000000000000000000000000000000000000000002",
      "doing": "activating", "since": "2026-01-02T03:04:06Z", "crashed": true,
      "process": { "pid": 1, "started": 2, "boot": "3" }
    }
  ],
  "next_attempt": 12,
  "motto": "keep"
}
"#;

/// A database as version 1 made it. Not to be changed.
const DATABASE_1: &str = r#"
PRAGMA application_id = 1346519385;
CREATE TABLE plugin (row INTEGER PRIMARY KEY, id TEXT NOT NULL, version TEXT NOT NULL, hash TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (id, version, hash));
CREATE INDEX plugin_hash ON plugin (hash);
CREATE TABLE wish (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (number INTEGER PRIMARY KEY AUTOINCREMENT, plugin TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX history_plugin ON history (plugin, number);
CREATE TABLE attempt (id INTEGER PRIMARY KEY AUTOINCREMENT, plugin TEXT NOT NULL, hash TEXT NOT NULL, crashed INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL);
CREATE INDEX attempt_hash ON attempt (hash);
CREATE TABLE held_back (hash TEXT PRIMARY KEY, plugin TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO plugin (id, version, hash, document) VALUES ('markdown', '1.2.0', '0000000000000000000000000000000000000000000000000000000000000001',
'{"id":"markdown","version":"1.2.0","hash":"0000000000000000000000000000000000000000000000000000000000000001","name":"Markdown","description":"Renders it","path":"/plugins/lib\\xff.so","kinds":["renderer"],"sub_types":{"renderer":{"format":"html"}},"capabilities":["tables"],"contracts":[{"id":"plugbay.renderer","version":"1.2"}],"status":"active","reason":null,"verdict":"survived","health":{"troubles":0},"created":"2026-01-02T03:04:05.678Z","updated":"2026-02-02T03:04:05Z","stars":5}');
INSERT INTO wish VALUES ('kv', '{"choice":"enabled","versions":"^1","since":"2026-01-02T03:04:05Z"}');
INSERT INTO history (plugin, document) VALUES ('markdown', '{"time":"2026-01-02T03:04:05Z","plugin":"markdown","version":"1.2.0","kind":"loaded","text":"one"}');
INSERT INTO history (plugin, document) VALUES ('kv', '{"time":"2026-01-02T03:04:06Z","plugin":"kv","kind":"refused","text":"two"}');
INSERT INTO attempt VALUES (7, 'kv', '0000000000000000000000000000000000000000000000000000000000000002', 1,
'{"plugin":"kv","version":"1.0.0","hash":"0000000000000000000000000000000000000000000000000000000000000002","doing":"activating","process":{"pid":1,"started":2,"boot":"3"},"since":"2026-01-02T03:04:06Z"}');
INSERT INTO attempt VALUES (11, 'kv', '', 0, '');
DELETE FROM attempt WHERE id = 11;
PRAGMA user_version = 1;
"#;

fn home_of_version_1(backend: Backend) -> Home {
    let home = Home::of(backend);
    if backend == Backend::File {
        fs::write(home.file(), FILE_1).unwrap();
    } else {
        rusqlite::Connection::open(home.file()).unwrap().execute_batch(DATABASE_1).unwrap();
    }
    home
}

#[test]
fn version_1_is_taken_over_with_all_that_it_knows() {
    for backend in Backend::DURABLE {
        let home = home_of_version_1(backend);
        // The second time it is of this version.
        for _ in 0..2 {
            let registry = home.open();
            let all = registry.query(&Query::new()).unwrap();
            assert_eq!(names(&all), ["markdown 1.2.0"]);
            assert_eq!(all[0].created.to_string(), "2026-01-02T03:04:05.678Z");
            let contract = ("plugbay.renderer".parse().unwrap(), "1.1".parse().unwrap());
            let found = Query::new()
                .kind("renderer")
                .capability("tables")
                .contract(contract.0, contract.1)
                .status(Status::Active)
                .text("RENDERS mark");
            assert_eq!(registry.query(&found).unwrap(), all);
            assert_eq!(registry.wishes().unwrap().len(), 1);
            let events = registry.history(&HistoryQuery::new()).unwrap();
            let texts: Vec<_> = events.iter().map(|event| &*event.text).collect();
            assert_eq!(texts, ["two", "one"]);
            assert_eq!(registry.crashes(&hash(2)).unwrap().len(), 1);
        }
        let registry = home.open();
        let own = plugbay_registry::HostProcess::current().unwrap();
        let id = registry.begin_attempt(&support::begin("kv", 2, &own)).unwrap();
        assert_eq!(id.to_string(), "12", "{backend:?}: no number is given twice");
    }
}

#[test]
fn a_file_of_version_1_that_was_half_taken_over_loses_nothing_new() {
    let home = home_of_version_1(Backend::File);
    let registry = home.open();
    let event = Event::new("kv".parse().unwrap(), None, EventKind::Loaded, "three");
    registry.append(&[event]).unwrap();
    drop(registry);
    // As after a kill between the two files, or as an old copy that was put back.
    fs::write(home.file(), FILE_1).unwrap();
    let events = home.open().history(&HistoryQuery::new()).unwrap();
    let texts: Vec<_> = events.iter().map(|event| &*event.text).collect();
    assert_eq!(texts, ["three", "two", "one"]);
}

#[test]
fn what_a_later_version_wrote_is_refused_and_left_as_it_is() {
    let refused = |home: &Home, path: &std::path::Path| {
        let before = fs::read(path).unwrap();
        let files = home.files();
        let Err(error) = home.try_open() else { panic!("{path:?}") };
        assert!(matches!(error, RegistryError::Newer { found: 3, known: 2, .. }), "{error:?}");
        assert_eq!(error.code(), "PB1607");
        assert_eq!(fs::read(path).unwrap(), before);
        let known = [files, vec![format!("{}.lock", home.backend.file_name())]].concat();
        assert!(home.files().iter().all(|file| known.contains(file)), "{:?}", home.files());
    };
    let file = Home::of(Backend::File);
    fs::write(file.file(), r#"{ "version": 3, "plugins": "in another way" }"#).unwrap();
    refused(&file, &file.file());
    // Not even what is damaged next to it is touched.
    let journal = Home::of(Backend::File);
    let path = journal.folder.path().join("registry.json.journal");
    fs::write(journal.file(), "damaged").unwrap();
    fs::write(&path, "{\"version\":3}\nin another way").unwrap();
    refused(&journal, &path);
    assert_eq!(fs::read(journal.file()).unwrap(), b"damaged");
    let database = Home::of(Backend::Sqlite);
    drop(database.open());
    let connection = rusqlite::Connection::open(database.file()).unwrap();
    connection.execute_batch("DROP TABLE plugin; PRAGMA user_version = 3").unwrap();
    drop(connection);
    refused(&database, &database.file());
}

#[test]
fn a_host_that_runs_sees_that_a_later_version_took_over() {
    let home = Home::of(Backend::File);
    let registry = home.open();
    fs::write(home.file(), r#"{ "version": 3 }"#).unwrap();
    let error = registry.record(&[plugin("a", "1.0.0", 1)]).unwrap_err();
    assert!(matches!(error, RegistryError::Newer { .. }));
    assert_eq!(fs::read(home.file()).unwrap(), br#"{ "version": 3 }"#);
}

/// Adds a field to every object that a later version could add one to.
fn grown(mut document: Value) -> Value {
    fn grow(value: &mut Value) {
        value.as_object_mut().unwrap().insert("added_later".into(), json!({ "to": [1, "it"] }));
    }
    for field in ["plugins", "held_back"] {
        document[field].as_array_mut().unwrap().iter_mut().for_each(grow);
    }
    document["wishes"].as_object_mut().unwrap().values_mut().for_each(grow);
    for plugin in document["plugins"].as_array_mut().unwrap() {
        grow(&mut plugin["health"]);
        grow(&mut plugin["reason"]);
        grow(&mut plugin["contracts"][0]);
    }
    grow(&mut document["held_back"][0]["reason"]);
    grow(&mut document);
    document
}

#[test]
fn fields_that_a_later_version_added_survive_changes_of_this_one() {
    let home = Home::of(Backend::File);
    let registry = home.open();
    let mut record = plugin("a", "1.0.0", 1);
    record.reason = Some(Reason::new("so"));
    registry.record(&[record, plugin("gone", "1.0.0", 1)]).unwrap();
    registry.forget(&[key("gone", "1.0.0", 1)]).unwrap();
    registry.set_wish(&"a".parse().unwrap(), Some(plugbay_registry::Wish::disabled())).unwrap();
    registry.hold_back(&HeldBack::new(key("a", "1.0.0", 1), Reason::new("so"))).unwrap();
    let read = || serde_json::from_slice::<Value>(&fs::read(home.file()).unwrap()).unwrap();
    let expected = grown(read());
    fs::write(home.file(), expected.to_string()).unwrap();
    // Seen without opening it anew, and written with something else.
    registry.record(&[plugin("b", "1.0.0", 2)]).unwrap();
    assert_eq!(registry.forget(&[key("b", "1.0.0", 2)]).unwrap(), 1);
    assert_eq!(read(), expected);
    // Also where the record itself is written, by somebody who has read it or has not.
    let mut found = registry.query(&Query::new()).unwrap().remove(0);
    found.name = "Another".into();
    registry.record(&[found]).unwrap();
    let mut fresh = plugin("a", "1.0.0", 1);
    fresh.name = "Fresh".into();
    registry.record(&[fresh]).unwrap();
    registry.mark(&[Mark::new(key("a", "1.0.0", 1), Status::Active)]).unwrap();
    let plugin = &read()["plugins"][0];
    assert_eq!((&plugin["name"], &plugin["status"]), (&json!("Fresh"), &json!("active")));
    assert_eq!(plugin["added_later"], json!({ "to": [1, "it"] }));
}

#[test]
fn fields_in_a_database_survive_as_well() {
    let home = Home::of(Backend::Sqlite);
    let registry = home.open();
    registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
    let database = rusqlite::Connection::open(home.file()).unwrap();
    let grow = "UPDATE plugin SET document = json_set(document, '$.stars', 5)";
    assert_eq!(database.execute(grow, []).unwrap(), 1);
    let mut fresh = plugin("a", "1.0.0", 1);
    fresh.name = "Fresh".into();
    registry.record(&[fresh]).unwrap();
    registry.mark(&[Mark::new(key("a", "1.0.0", 1), Status::Active)]).unwrap();
    let text = "SELECT (document ->> '$.stars') || (document ->> '$.name') FROM plugin";
    let found: String = database.query_row(text, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "5Fresh");
}

#[test]
fn lines_that_a_later_version_added_to_the_journal_survive_its_being_shortened() {
    let home = Home::of(Backend::File);
    let registry = home.open();
    let journal = home.folder.path().join("registry.json.journal");
    let line = r#"{"rated":{"plugin":"a","stars":5}}"#;
    fs::write(&journal, format!("{}{line}\n", fs::read_to_string(&journal).unwrap())).unwrap();
    let own = plugbay_registry::HostProcess::current().unwrap();
    let begun = support::begin("a", 1, &own);
    for _ in 0..600 {
        let id = registry.begin_attempt(&begun).unwrap();
        registry.end_attempt(id, Ending::Harmless).unwrap();
    }
    let id = registry.begin_attempt(&begun).unwrap();
    registry.end_attempt(id, Ending::Crashed).unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    assert!(text.lines().count() < 400, "{}", text.lines().count());
    assert_eq!(text.lines().filter(|it| *it == line).count(), 1);
    let registry = home.again(registry);
    assert_eq!(registry.crashes(&hash(1)).unwrap().len(), 1);
    assert_eq!(registry.release(&Selector::All).unwrap(), []);
}

#[test]
fn numbers_do_not_come_back_when_the_journal_was_shortened_to_nothing() {
    let home = Home::of(Backend::File);
    let registry = home.open();
    let journal = home.folder.path().join("registry.json.journal");
    let own = plugbay_registry::HostProcess::current().unwrap();
    let begun = support::begin("a", 1, &own);
    let mut last = registry.begin_attempt(&begun).unwrap();
    registry.end_attempt(last, Ending::Harmless).unwrap();
    let length = || fs::metadata(&journal).unwrap().len();
    let mut before = 0;
    while length() > before {
        before = length();
        last = registry.begin_attempt(&begun).unwrap();
        registry.end_attempt(last, Ending::Harmless).unwrap();
    }
    assert_eq!(fs::read_to_string(&journal).unwrap().lines().count(), 1);
    let registry = home.again(registry);
    assert!(registry.begin_attempt(&begun).unwrap() > last);
}

#[test]
fn the_file_is_for_people_to_read() {
    let home = Home::of(Backend::File);
    let registry = home.open();
    registry.record(&[plugin("b", "1.0.0", 1), plugin("a", "1.0.0", 1)]).unwrap();
    let text = fs::read_to_string(home.file()).unwrap();
    assert!(text.lines().count() > 50 && text.ends_with("}\n"), "{text}");
    assert!(text.find("\"a\"").unwrap() < text.find("\"b\"").unwrap());
    assert!(text.contains(r#""path": "/plugins/a\\\\\\xff.so""#), "{text}");
    let wrote = registry.record(&[plugin("c", "1.0.0", 1)]);
    wrote.unwrap();
    // An editor's change is seen at once.
    let text = fs::read_to_string(home.file()).unwrap().replace("footnotes", "endnotes");
    fs::write(home.file(), text).unwrap();
    assert_eq!(registry.query(&Query::new().capability("endnotes")).unwrap().len(), 3);
}
