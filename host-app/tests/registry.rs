//! What host-app remembers of plugins from one host to the next.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plugbay_loader::registry::{Registry, SqliteRegistry};
use plugbay_tests::piece;
use rusqlite::Connection;
use serde_json::json;
use support::{Home, Running, said};

fn registry(home: &Home) -> PathBuf {
    home.folder.beside("data/plugbay/hosts/host-app/registry.db")
}

fn config(home: &Home, text: &str) {
    let folder = home.folder.beside("config/plugbay");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("host.toml"), text).unwrap();
}

/// Pieces with kinds, and what they do.
fn pieces() -> Home {
    let home = Home::empty();
    for (id, more) in [
        ("html", "kinds = [\"renderer\"]\ndescription = \"Draws tables as HTML\"\n"),
        ("text", "kinds = [\"renderer\"]\ncapabilities = [\"tables\"]\n"),
        ("sum", "kinds = [\"data_processor\"]\n"),
    ] {
        home.folder.write(&format!("{id}.so"), piece(id, "1.0.0", more));
    }
    home
}

fn ids(plugins: &serde_json::Value) -> Vec<&str> {
    plugins.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

#[test]
fn what_is_disabled_without_a_host_holds_from_the_next_start_on() {
    let home = Home::new();
    let said = home.say(&["disable", "misbehave"]).ok().stdout;
    assert_eq!(
        said,
        "misbehave is disabled: holds from the next start on, as no host is running\n"
    );
    // What looks at the folders knows it at once.
    assert_eq!(home.json(&["list"])["refused"][0]["code"], "PB0305");
    let said = home.say(&["call", "misbehave:echo"]).failed(1, "PB0702");
    assert!(said.stderr.contains("help: host-app enable misbehave"), "{}", said.stderr);
    let host = home.run(&[]);
    assert!(host.table.contains("PB0305: is disabled"), "{}", host.table);
    home.say(&["enable", "misbehave"]).ok();
    drop(host);
    let host = home.run(&[]);
    assert!(host.table.contains("active"), "{}", host.table);
    let changed = home.json(&["disable", "misbehave"]);
    assert_eq!(changed["kept"], true);
    drop(host);
    assert_eq!(home.json(&["enable", "misbehave@^0.1"])["versions"], "^0.1");
    let host = home.run(&[]);
    assert!(host.table.contains("active"), "{}", host.table);
}

#[test]
fn a_running_host_enables_one_in_a_range_of_versions() {
    let home = Home::empty();
    home.folder.write("a-1.so", piece("a", "1.0.0", ""));
    home.folder.write("a-2.so", piece("a", "2.0.0", ""));
    let _host = home.run(&[]);
    let said = home.say(&["enable", "a@^1"]).ok().stdout;
    assert!(said.starts_with("a 1.0.0 is active"), "{said}");
    home.say(&["enable", "a@^7"]).failed(4, "PB0910");
}

#[test]
fn plugins_are_found_by_words_while_a_host_runs_and_when_none_does() {
    let home = pieces();
    let said = home.say(&["search", "tables"]).ok().stdout;
    assert_eq!(said, "Nothing is known yet: a host that runs records what is in its folders.\n");
    let host = home.run(&[]);
    let found = home.json(&["search", "tables"]);
    assert_eq!(ids(&found["plugins"]), ["text", "html"]);
    host.signal("-TERM");
    host.wait();
    let found = home.json(&["search", "TABLES", "draws"]);
    assert_eq!(ids(&found["plugins"]), ["html"]);
    let said = home.say(&["search", "tables"]).ok().stdout;
    assert!(said.contains("html  1.0.0    active  renderer  Draws tables as HTML"), "{said}");
    let said = home.say(&["search", "nowhere"]).ok().stdout;
    assert_eq!(said, "No plugin has all of these words.\n");
}

#[test]
fn a_list_has_what_is_asked_for() {
    let home = pieces();
    let list = |arguments: &[&str]| {
        let listed = home.json(&[&["list"], arguments].concat());
        let of = |which: &str| ids(&listed[which]).join(" ");
        (of("plugins"), of("refused"))
    };
    let filters = |host: bool| {
        assert_eq!(list(&["--kind", "renderer"]), ("html text".into(), String::new()), "{host}");
        assert_eq!(list(&["--capability", "tables"]).0, "text");
        assert_eq!(list(&["--kind", "renderer", "--capability", "tables"]).0, "text");
        assert_eq!(list(&["--status", "active"]).0, "html sum text");
        assert_eq!(list(&["--status", "refused"]), (String::new(), String::new()));
    };
    filters(false);
    let host = home.run(&[]);
    filters(true);
    home.say(&["disable", "sum"]).ok();
    assert_eq!(list(&["--status", "disabled"]).0, "sum");
    home.say(&["unload", "text"]).ok();
    assert_eq!(list(&["--status", "unloaded", "--kind", "renderer"]).0, "text");
    host.signal("-TERM");
    host.wait();
    assert_eq!(list(&["--status", "disabled"]), (String::new(), "sum".into()));
    assert_eq!(list(&["--status", "disabled", "--kind", "renderer"]).1, "");
    fs::remove_file(home.folder.plugins().join("html.so")).unwrap();
    let host = home.run(&[]);
    host.signal("-TERM");
    host.wait();
    assert_eq!(list(&["--status", "gone", "--kind", "renderer"]).0, "html");
    home.say(&["list", "--status", "asleep"]).exit.eq(&2).then_some(()).unwrap();
}

#[test]
fn one_that_crashes_the_host_is_held_back_and_released_by_the_command() {
    let home = Home::new();
    config(&home, "probe = 'never'\n[config.misbehave]\nactivate = 'abort'\n");
    for _ in 0..2 {
        assert_eq!(home.say(&["run"]).exit, -1);
    }
    let host = home.run(&[]);
    assert!(host.table.contains("PB0318: took its host down 2 times"), "{}", host.table);
    assert!(host.table.contains("host-app release misbehave"), "{}", host.table);
    let held = home.json(&["list", "--status", "held_back"]);
    assert_eq!(ids(&held["refused"]), ["misbehave"]);
    let doctor = home.say(&["doctor"]).stdout;
    assert!(doctor.contains("held back as they took their host down: 1"), "{doctor}");
    drop(host);
    // Looked at alone, it is held back, too.
    assert_eq!(home.json(&["list"])["refused"][0]["code"], "PB0318");
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0318");
    home.say(&["release", "nobody"]).failed(4, "PB1038");
    home.say(&["release", "No Body"]).failed(2, "PB1038");
    config(&home, "probe = 'never'\n");
    let said = home.say(&["release", "misbehave"]).ok().stdout;
    let expected = "misbehave 0.1.0 is tried again (from the next start on); it took its host down";
    assert!(said.starts_with(expected), "{said}");
    let host = home.run(&[]);
    assert!(host.table.contains("active"), "{}", host.table);
    assert_eq!(home.say(&["release", "--all"]).ok().stdout, "Nothing is held back.\n");
}

#[test]
fn a_running_host_releases_what_is_held_back_and_loads_it() {
    let home = Home::new();
    config(&home, "probe = 'never'\n[config.misbehave]\nactivate = 'abort'\n");
    for _ in 0..2 {
        assert_eq!(home.say(&["run"]).exit, -1);
    }
    config(&home, "probe = 'never'\n");
    let _host = home.run(&[]);
    let said = home.json(&["release", "misbehave"]);
    assert_eq!(said["released"][0]["plugin"], "misbehave");
    assert_eq!(home.json(&["list"])["plugins"][0]["state"], "active");
}

#[test]
fn a_damaged_registry_is_told_of_at_the_start_and_made_anew() {
    let home = Home::new();
    drop(home.run(&[]));
    let path = registry(&home);
    for name in ["registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(path.with_file_name(name));
    }
    fs::write(&path, "no database").unwrap();
    let said = home.say(&["doctor"]);
    assert!(said.stdout.contains("was damaged"), "{}", said.stdout);
    assert_eq!(said.exit, 1);
    fs::write(&path, "no database").unwrap();
    let host = home.run(&[]);
    assert!(host.table.contains("note: the registry "), "{}", host.table);
    assert!(host.table.contains("made anew from the plugins folders"), "{}", host.table);
    host.signal("-TERM");
    host.wait();
    let opened = SqliteRegistry::open(&path).unwrap();
    assert_eq!(opened.set_aside, []);
    let known = opened.registry.query(&plugbay_loader::registry::Query::new()).unwrap();
    assert_eq!(known[0].id.as_str(), "misbehave");
    drop(opened);
    assert!(home.say(&["doctor"]).stdout.contains("registry.db: plugins: 1"));
    // A whole database, with a row that nobody can have written: it is found when it is read.
    let damage = || {
        let database = Connection::open(&path).unwrap();
        database.execute("INSERT INTO wish (id, document) VALUES ('No Id', '{}')", []).unwrap();
    };
    damage();
    let host = home.run(&[]);
    assert!(host.table.contains("made anew") && host.table.contains("active"), "{}", host.table);
    host.signal("-TERM");
    host.wait();
    // What is disabled then is so in the new one.
    damage();
    let said = home.say(&["disable", "misbehave"]);
    assert!(said.stderr.contains("made anew"), "{}", said.stderr);
    said.ok();
    let host = home.run(&[]);
    assert!(host.table.contains("PB0305: is disabled"), "{}", host.table);
}

/// What was disabled ran.
#[test]
fn with_a_registry_that_cannot_be_read_no_host_runs() {
    let home = Home::new();
    home.say(&["disable", "misbehave"]).ok();
    let path = registry(&home);
    let kept = path.with_extension("kept");
    fs::rename(&path, &kept).unwrap();
    fs::create_dir(&path).unwrap();
    for command in [&["run"][..], &["call", "misbehave:echo"]] {
        let said = home.say(command).failed(1, "PB1602");
        assert!(said.stderr.contains("is not known, and nothing runs"), "{}", said.stderr);
    }
    fs::remove_dir(&path).unwrap();
    fs::rename(&kept, &path).unwrap();
    let host = home.run(&[]);
    assert!(host.table.contains("PB0305: is disabled"), "{}", host.table);
}

/// The program where a script has made of `$DATA`, this user's data, what it wants; none where
/// that cannot be had.
fn elsewhere(home: &Home, script: &str, arguments: &[&str]) -> Option<Command> {
    let possible = Command::new("unshare").args(["-rm", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there are no namespaces for users here (unshare -rm)");
        return None;
    }
    let inner = home.command(arguments);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-ec", &format!("{script}; exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("DATA", home.folder.beside("data")).stdin(Stdio::null());
    Some(command)
}

/// Where a host ended while its plugin was activated, with a registry of this kind.
fn crashed_once(kind: &str) -> Home {
    let home = Home::new();
    let crashing =
        format!("registry = '{kind}'\nprobe = 'never'\n[config.misbehave]\nactivate = 'abort'\n");
    config(&home, &crashing);
    assert_eq!(home.say(&["run"]).exit, -1);
    home
}

/// With all that it has to write.
fn end(host: Running) {
    host.signal("-TERM");
    host.wait();
}

#[test]
fn on_a_read_only_disk_what_is_known_holds() {
    const READ_ONLY: &str = "mount --bind \"$DATA\" \"$DATA\"; mount -o remount,bind,ro \"$DATA\"";
    let say = |home: &Home, arguments: &[&str]| {
        elsewhere(home, READ_ONLY, arguments).map(|mut command| said(&mut command))
    };
    for kind in ["sqlite", "file"] {
        let home = crashed_once(kind);
        let echo = ["call", "misbehave:echo"];
        let Some(said) = say(&home, &echo) else { return };
        let problem = "should that happen again it could not be noted: PB1604: ";
        assert!(said.stderr.contains(problem), "{}", said.stderr);
        said.failed(3, "PB0318");
        assert_eq!(home.say(&["run"]).exit, -1);
        end(home.run(&[]));
        let said = say(&home, &echo).unwrap().failed(3, "PB0318");
        assert!(said.stderr.contains("took its host down 2 times"), "{}", said.stderr);
        let said = say(&home, &["search", "misbehave", "--json"]).unwrap().ok();
        assert_eq!(said.json()["plugins"][0]["status"], "held_back");
        config(&home, &format!("registry = '{kind}'\n"));
        home.say(&["release", "misbehave"]).ok();
        say(&home, &echo).unwrap().ok();
        home.say(&["disable", "misbehave"]).ok();
        let said = say(&home, &echo).unwrap().failed(1, "PB0702");
        assert!(said.stderr.contains("what is disabled and held back holds"), "{}", said.stderr);
    }
}

/// A disk with room for a command's few words, and not for all that a host writes.
const NEARLY_FULL: &str = "full=\"$XDG_RUNTIME_DIR/full\"
    mkdir -p \"$full\"
    mount -t tmpfs -o size=2m tmpfs \"$full\"
    cp -a \"$DATA/.\" \"$full\"
    mount --bind \"$full\" \"$DATA\"
    dd if=/dev/zero of=\"$DATA/ballast\" bs=1k count=2k 2>&- || true
    truncate -s -60k \"$DATA/ballast\"";

/// It took down one host after the other.
#[test]
fn what_a_host_ended_with_is_not_tried_where_that_cannot_be_noted() {
    for kind in ["sqlite", "file"] {
        let home = crashed_once(kind);
        let Some(mut command) = elsewhere(&home, NEARLY_FULL, &["run"]) else { return };
        let host = Running::start(&mut command, &["Listening on"]);
        let problem = "PB0606: a host ended while it was activated; should that happen again it \
                       could not be noted: cannot write the registry, as the disk is full";
        assert!(host.table.contains(problem), "{kind}: {}", host.table);
        drop(host);
        // What is held back is released, and what is wished is wished, though no history has it.
        assert_eq!(home.say(&["run"]).exit, -1);
        end(home.run(&[]));
        for command in ["release", "disable", "enable"] {
            let said = said(&mut elsewhere(&home, NEARLY_FULL, &[command, "misbehave"]).unwrap());
            let warning = "PB1605: cannot write the registry, as the disk is full";
            assert!(said.stderr.contains(warning), "{kind} {command}: {}", said.stderr);
            said.ok();
        }
    }
}

#[test]
fn a_host_without_a_registry_serves_and_says_so() {
    let home = Home::new();
    config(&home, "registry = { path = '/proc/nowhere/registry.db' }\n");
    let host = home.run(&[]);
    assert!(host.table.contains("PB1601: ") && host.table.contains("active"), "{}", host.table);
    home.say(&["call", "misbehave:echo"]).ok();
    let said = home.say(&["disable", "misbehave"]).ok().stdout;
    assert!(said.contains("until this host ends"), "{said}");
    drop(host);
    home.say(&["disable", "misbehave"]).failed(4, "PB1601");
    config(&home, "registry = 'memory'\n");
    home.say(&["disable", "misbehave"]).failed(4, "PB1037");
    config(&home, "registry = 'tape'\n");
    let said = home.say(&["list"]).failed(1, "PB1003");
    assert!(said.stderr.contains("a registry is \"sqlite\", \"file\" or"), "{}", said.stderr);
}

#[test]
fn a_registry_in_a_file_can_be_read_by_people() {
    let home = Home::new();
    config(&home, "registry = 'file'\n");
    home.say(&["disable", "misbehave"]).ok();
    let text = fs::read_to_string(registry(&home).with_extension("json")).unwrap();
    assert!(text.contains("\"misbehave\"") && text.contains("\"disabled\""), "{text}");
    let host = home.run(&[]);
    assert!(host.table.contains("PB0305"), "{}", host.table);
    assert_eq!(home.json(&["search", "misbehave"])["plugins"][0]["status"], json!("disabled"));
}
