//! A running host whose plugins change.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use plugbay_tests::{build, piece, until, with_embedded};
use serde_json::{Value, json};
use support::{Home, Running, fixture};

fn serving(home: &Home) -> (Value, Value) {
    let list = home.json(&["list"]);
    (list["plugins"][0]["version"].clone(), list["plugins"][0]["generation"].clone())
}

#[test]
fn a_reload_says_what_took_over_and_keeps_the_state() {
    let home = Home::new();
    let host = home.run(&["--no-watch"]);
    home.say(&["call", "misbehave:count", "null"]).ok();
    home.put_version("0.2.0");
    let said = home.say(&["reload", "misbehave"]).ok().stdout;
    let begin = "misbehave reloaded on request: 0.1.0 → 0.2.0 (generation 1 → 2), serving after ";
    assert!(said.starts_with(begin), "{said}");
    for words in ["(verify ", ", probe ", ", load ", ", activate ", "; calls paused ", "(drain "] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
    // The host says it, too, with the time of day.
    let line = host.next_line().unwrap();
    assert_eq!(line.split_once(' ').unwrap().1, said.trim_end());
    assert_eq!(home.say(&["call", "misbehave:count", "null"]).ok().stdout, "2\n");

    let said = home.say(&["reload", "misbehave"]).ok().stdout;
    assert_eq!(said, "misbehave is unchanged: 0.2.0 serves (generation 2)\n");
    assert_eq!(home.json(&["reload", "misbehave"])["outcome"], "unchanged");
    home.put_version("0.3.0");
    let json = home.json(&["reload", "misbehave"]);
    assert_eq!(
        (&json["outcome"], &json["from"], &json["to"]),
        (&json!("reloaded"), &json!("0.2.0"), &json!("0.3.0"))
    );
    assert!(json["times"]["verify_us"].as_u64().is_some(), "{json}");
}

#[test]
fn a_refused_reload_exits_with_3_and_names_who_serves_on() {
    let home = Home::new();
    let _host = home.run(&["--no-watch"]);
    home.replace(b"no library");
    let said = home.say(&["reload", "misbehave"]).failed(3, "PB0209");
    assert!(said.stderr.contains("; misbehave 0.1.0 serves on (generation 1)"), "{}", said.stderr);
    let json = home.json(&["reload", "misbehave"]);
    assert_eq!(json["error"]["code"], "PB0209");
    home.say(&["call", "misbehave:echo"]).ok();
    // It is in the history, too.
    let said = home.say(&["history", "misbehave"]).ok().stdout;
    assert!(said.contains("misbehave 0.1.0 serves on (generation 1): "), "{said}");
    let said = home.say(&["reload", "--all"]);
    assert_eq!(said.exit, 3, "{}", said.stdout);
    assert!(said.stdout.contains("misbehave was not taken: PB0209: "), "{}", said.stdout);
    home.say(&["reload", "nobody"]).failed(4, "PB0905");
    home.say(&["reload", "No Body"]).failed(2, "PB0901");
    assert_eq!(home.say(&["reload"]).exit, 2);
    assert_eq!(home.say(&["reload", "misbehave", "--all"]).exit, 2);
}

#[test]
fn reload_all_takes_what_changed_and_what_is_new_and_names_each() {
    let home = Home::new();
    let _host = home.run(&["--no-watch"]);
    let library = fs::read(fixture()).unwrap();
    let other = with_embedded(&library, |embedded| {
        embedded.manifest.id = "other".parse().unwrap();
    });
    home.folder.write("other.so", other);
    let said = home.say(&["reload", "--all"]).ok().stdout;
    assert!(said.contains("misbehave is unchanged"), "{said}");
    assert!(said.contains("other 0.1.0 loaded (generation 2)\n"), "{said}");
    // It crashes, and so it is not taken.
    home.replace(&plugbay_tests::misdeed(&library, "crash"));
    let said = home.say(&["reload", "--all"]);
    assert_eq!(said.exit, 3);
    assert!(said.stdout.contains("misbehave was not taken: PB0401: "), "{}", said.stdout);
    assert!(said.stdout.contains("serves on (generation 1)"), "{}", said.stdout);
    assert_eq!(said.stdout.lines().count(), 2, "{}", said.stdout);
    let said = home.say(&["reload", "--all", "--json"]);
    let outcomes: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcomes[0]["outcome"], "refused");
    assert_eq!(outcomes[0]["serving"]["generation"], 1);
    assert_eq!(outcomes[1]["outcome"], "unchanged");
    home.say(&["call", "misbehave:echo"]).ok();
}

#[test]
fn a_rollback_goes_back_and_nothing_is_behind_the_first() {
    let home = Home::new();
    let _host = home.run(&["--no-watch"]);
    home.say(&["rollback", "misbehave"]).failed(4, "PB1107");
    home.say(&["rollback", "nobody"]).failed(1, "PB1106");
    home.put_version("0.2.0");
    home.say(&["reload", "misbehave"]).ok();
    let said = home.say(&["rollback", "misbehave"]).ok().stdout;
    assert!(said.starts_with("misbehave rolled back: 0.2.0 → 0.1.0 (generation 2 → "), "{said}");
    assert_eq!(serving(&home).0, "0.1.0");
    // Known by its bytes.
    home.say(&["reload", "misbehave"]).failed(3, "PB0402");
    // For hosts of this name alone.
    let list = |name| home.json(&["quarantine", "list", "--name", name])["quarantined"].clone();
    assert_eq!(list("host-app")[0]["host"], "host-app");
    assert_eq!(list("other"), json!([]));
    home.say(&["quarantine", "clear", "--all", "--name", "other"]).ok();
    let check = |name| home.command(&["check", "--name", name]).output().unwrap().status.code();
    assert_eq!((check("other"), check("host-app")), (Some(0), Some(3)));
    home.say(&["quarantine", "clear", "misbehave"]).ok();
    home.say(&["reload", "misbehave"]).ok();
}

#[test]
fn a_state_is_saved_to_the_disk_where_the_plugin_asks_for_it() {
    let home = Home::new();
    {
        let _host = home.run(&["--no-watch"]);
        home.say(&["save", "misbehave"]).failed(1, "PB1205");
        home.say(&["save", "nobody"]).failed(1, "PB1204");
    }
    home.replace(&with_embedded(&fs::read(fixture()).unwrap(), |embedded| {
        embedded.manifest.state_persist = true;
        // What is added must have room.
        embedded.manifest.description = "Short.".into();
    }));
    let host = home.run(&["--no-watch"]);
    home.say(&["call", "misbehave:count", "null"]).ok();
    let said = home.say(&["save", "misbehave"]).ok().stdout;
    assert_eq!(said, "misbehave: its state is on disk, 1 bytes\n");
    assert_eq!(home.json(&["save", "misbehave"]), json!({ "plugin": "misbehave", "bytes": 1 }));
    host.signal("-KILL");
    host.wait();
    let _host = home.run(&["--no-watch"]);
    assert_eq!(home.say(&["call", "misbehave:count", "null"]).ok().stdout, "2\n");
}

#[test]
fn the_history_tells_what_happened_and_goes_on_with_what_happens() {
    let home = Home::new();
    home.say(&["history"]).failed(4, "PB1008");
    let host = home.run(&["--no-watch"]);
    let said = home.say(&["history"]).ok().stdout;
    assert!(said.contains(" misbehave 0.1.0 loaded at the start (generation 1)"), "{said}");
    assert_eq!(home.say(&["history", "nobody"]).ok().stdout, "Nothing has happened.\n");
    let following = home.start(&["history", "--follow"], &["loaded at the start"]);
    let of_other = home.start(&["history", "-f", "--json"], &["\"loaded\""]);
    home.put_version("0.2.0");
    home.say(&["reload", "misbehave"]).ok();
    assert!(following.line_with("reloaded on request").contains("0.1.0 → 0.2.0"));
    let event: Value = serde_json::from_str(&of_other.next_line().unwrap()).unwrap();
    assert_eq!(
        (&event["event"], &event["number"], &event["to"]),
        (&json!("reloaded"), &json!(2), &json!("0.2.0"))
    );
    // Until the host ends, with the last that there is to tell.
    host.signal("-TERM");
    following.line_with("misbehave unloaded");
    let (status, rest) = following.wait();
    assert_eq!(status.code(), Some(0));
    assert!(rest.contains("misbehave 0.2.0 retired (generation 2)"), "{rest}");
}

#[test]
fn followers_that_go_away_or_do_not_read_cost_nothing() {
    let home = Home::new();
    let host = home.run(&["--no-watch"]);
    let follow = || {
        let mut client = UnixStream::connect(home.socket()).unwrap();
        client.write_all(b"{\"request\":\"history\",\"follow\":true}\n").unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(client);
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("loaded"), "{line}");
        reader
    };
    // As many as the host serves, none of which reads on.
    let clients: Vec<_> = (0..64).map(|_| follow()).collect();
    home.say(&["list"]).failed(1, "PB1012");
    home.put_version("0.2.0");
    host.signal("-HUP");
    host.line_with("0.1.0 → 0.2.0");
    // They are seen to go at once, and not when something happens next.
    drop(clients);
    until(|| home.say(&["list"]).exit == 0);
}

#[test]
fn sighup_reloads_all_and_ends_nobody() {
    let home = Home::new();
    let host = home.run(&["--no-watch"]);
    home.put_version("0.2.0");
    host.signal("-HUP");
    let line = host.line_with("misbehave reloaded");
    assert!(line.contains("0.1.0 → 0.2.0"), "{line}");
    // One that changes nothing, and one that is refused.
    host.signal("-HUP");
    let crashing = plugbay_tests::misdeed(&fs::read(fixture()).unwrap(), "crash");
    home.replace(&crashing);
    host.signal("-HUP");
    let line = host.line_with("misbehave 0.2.0 serves on (generation 2)");
    assert!(line.contains("PB0401: ") && line.contains("; help: "), "{line}");
    assert_eq!(serving(&home).1, 2);
    host.signal("-TERM");
    assert_eq!(host.wait().0.code(), Some(0));
}

#[test]
fn sighup_gives_plugins_their_configuration_without_a_reload_where_they_take_it() {
    let home = Home::empty();
    home.folder.put(&build("plugbay-fixture-dial"), "dial.so");
    let folder = home.folder.beside("config").join("plugbay");
    fs::create_dir_all(&folder).unwrap();
    let config =
        |text: &str| fs::write(folder.join("host.toml"), format!("[config.dial]\n{text}\n"));
    config("size = 1").unwrap();
    let host = home.run(&["--no-watch"]);
    let after_hang_up = |text: &str| {
        config(text).unwrap();
        host.signal("-HUP");
        host.line_with("dial 1.0.0 ")
    };
    let line = after_hang_up("size = 2");
    assert!(line.contains("dial 1.0.0 configured on request in "), "{line}");
    assert!(line.contains(", without a reload (generation 1)"), "{line}");
    assert_eq!(home.say(&["call", "dial:size"]).ok().stdout, "2\n");
    let line = after_hang_up("size = 3\nanswer = 'no'");
    let says = "dial 1.0.0 serves on with the configuration that it had (generation 1): PB1521: it \
                does not take its new configuration";
    assert!(line.contains(says), "{line}");
    assert_eq!(home.say(&["call", "dial:size"]).ok().stdout, "2\n");
    config("size = 4\nanswer = 'reload'").unwrap();
    host.signal("-HUP");
    let line = host.line_with("dial reloaded");
    assert!(line.contains("(generation 1 → 2)"), "{line}");
    assert_eq!(home.say(&["call", "dial:size"]).ok().stdout, "4\n");
    let told = home.say(&["history", "--json"]).ok().stdout;
    let events: Vec<Value> = told.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names[..4], ["loaded", "configured", "not_configured", "reloaded"]);
    assert!(events[1]["times"]["configure_us"].is_u64(), "{}", events[1]);
}

/// A key that the plugin could not do without was forgotten, and held for ever.
#[test]
fn what_is_taken_out_of_the_config_file_and_could_not_be_is_tried_again_on_sighup() {
    let home = Home::empty();
    let needs = "[config.schema]\nrequired = [\"size\"]\n";
    home.folder.write("a.so", piece("a", "1.0.0", needs));
    let folder = home.folder.beside("config").join("plugbay");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("host.toml"), "[config.a]\nsize = 1\n").unwrap();
    let host = home.run(&["--no-watch"]);
    fs::write(folder.join("host.toml"), "").unwrap();
    home.folder.write("b.so", piece("b", "1.0.0", ""));
    host.signal("-HUP");
    // The configuration comes before the folders.
    host.line_with("b 1.0.0 loaded");
    assert_eq!(home.say(&["call", "a:config"]).ok().stdout, "{\"size\":1}\n");
    home.folder.put_whole("a.so", &piece("a", "2.0.0", ""));
    host.signal("-HUP");
    host.line_with("a reloaded on request: 1.0.0 → 2.0.0");
    assert_eq!(home.say(&["call", "a:config"]).ok().stdout, "{}\n");
}

/// A host with one plugin `a`, whose `uri` has to be there.
struct Configured {
    home: Home,
    host: Running,
}

impl Configured {
    fn start(config: &str) -> Self {
        let home = Home::empty();
        let needs = "[config.schema]\nrequired = [\"uri\"]\nproperties.key.secret = true\n";
        home.folder.write("a.so", piece("a", "1.0.0", needs));
        fs::create_dir_all(home.folder.beside("config/plugbay")).unwrap();
        write(&home, config);
        let host = home.run(&["--no-watch"]);
        Self { home, host }
    }

    /// SIGHUP with another file, until it has done everything.
    fn hang_up(&self, config: &str, marker: &str) {
        write(&self.home, config);
        self.home.folder.write(&format!("{marker}.so"), piece(marker, "1.0.0", ""));
        self.host.signal("-HUP");
        // The configuration comes before the folders.
        self.host.line_with(&format!("{marker} 1.0.0 loaded"));
    }

    fn has(&self) -> Value {
        self.home.json(&["call", "a:config"])
    }
}

fn write(home: &Home, config: &str) {
    fs::write(home.folder.beside("config/plugbay/host.toml"), config).unwrap();
}

/// What was gone was taken out before what had come was there, which the plugin cannot be without.
#[test]
fn a_configuration_under_another_key_is_taken_on_sighup() {
    let running = Configured::start("[config.'a@^1']\nuri = 'x'\n");
    for (config, uri, marker) in
        [("[config.a]\nuri = 'y'\n", "y", "b"), ("[config.'a@1']\nuri = 'z'\n", "z", "c")]
    {
        running.hang_up(config, marker);
        assert_eq!(running.has()["uri"], uri);
    }
}

#[test]
fn a_configuration_that_is_moved_with_a_mistake_stays_where_it_was() {
    let running = Configured::start("[config.a]\nuri = 'x'\n[config.c]\nsize = 1\n");
    let sized = "[config.schema.properties.size]\ntype = \"integer\"\n";
    running.home.folder.write("c.so", piece("c", "1.0.0", sized));
    running.hang_up("[config.a]\nuri = 'x'\n[config.c]\nsize = 2\n", "b");
    let size = || running.home.say(&["call", "c:config"]).ok().stdout;
    assert_eq!(size(), "{\"size\":2}\n");
    running.hang_up("[config.a]\nuri = 'x'\n[config.'c@^1']\nsize = 'no'\n", "d");
    assert_eq!(size(), "{\"size\":2}\n");
    running.hang_up("[config.a]\nuri = 'x'\n[config.'c@^1']\nsize = 3\n", "e");
    assert_eq!(size(), "{\"size\":3}\n");
}

#[test]
fn a_mistake_in_one_plugins_part_keeps_nothing_of_another_ones() {
    let running = Configured::start("[config.a]\nuri = 'x'\n[config.c]\nsize = 1\n");
    running.hang_up("[config.a]\nuri = 'x'\n[config.c]\nsize = 2\n", "c");
    running.hang_up("[config.a]\nsize = 1\n", "b");
    assert_eq!(running.has()["uri"], "x");
    assert_eq!(running.home.say(&["call", "c:config"]).ok().stdout, "{}\n");
}

#[test]
fn a_slip_that_is_taken_back_undoes_no_rollback() {
    let running = Configured::start("[config.a]\nuri = 'x'\n");
    running.hang_up("[config.a]\nuri = 'y'\n", "b");
    running.home.say(&["rollback", "a"]).ok();
    running.hang_up("[config.a]\nsize = 1\n", "c");
    running.hang_up("[config.a]\nuri = 'y'\n", "d");
    assert_eq!(running.has()["uri"], "x");
}

/// Each SIGHUP undid what had been gone back to.
#[test]
fn what_was_gone_back_to_stays_until_its_own_part_of_the_file_changes() {
    let running = Configured::start("[config.a]\nuri = 'x'\n");
    running.hang_up("[config.a]\nuri = 'y'\n", "b");
    running.home.say(&["rollback", "a"]).ok();
    assert_eq!(running.has()["uri"], "x");
    running.hang_up("[config.a]\nuri = 'y'\n[config.b]\nsize = 1\n", "c");
    assert_eq!(running.has()["uri"], "x");
    running.hang_up("[config.a]\nuri = 'z'\n", "d");
    assert_eq!(running.has()["uri"], "z");
}

#[test]
fn a_secret_that_has_changed_in_its_file_is_fetched_on_sighup() {
    let running = Configured::start("");
    let config = "[config.a]\nuri = 'x'\nkey = { file = 'key' }\n";
    let key = |text: &str| {
        let path = running.home.folder.beside("config/plugbay/key");
        fs::write(path, text).unwrap();
    };
    key("one");
    running.hang_up(config, "b");
    let one = running.has();
    key("another");
    running.hang_up(config, "c");
    assert_ne!(running.has(), one);
}

/// Only what was wrong was said, and neither where nor what holds.
#[test]
fn what_sighup_does_not_take_is_told_with_its_place_and_what_goes_on() {
    let home = Home::empty();
    let number = "[config.schema]\nproperties.size.type = \"integer\"\n";
    home.folder.write("a.so", piece("a", "1.0.0", number));
    home.folder.put(&build("plugbay-fixture-dial"), "dial.so");
    fs::create_dir_all(home.folder.beside("config/plugbay")).unwrap();
    write(&home, "[config.a]\nsize = 1\n");
    let log = home.folder.beside("log");
    let mut command = home.command(&["run", "--no-watch"]);
    let host = Running::start_with_log(&mut command, &log);
    write(&home, "[config.dial]\nsize = 3\nanswer = 'no'\n\n[config.a]\nsize = 'x'\n");
    home.folder.write("b.so", piece("b", "1.0.0", ""));
    host.signal("-HUP");
    host.line_with("b 1.0.0 loaded");
    let said = fs::read_to_string(log).unwrap();
    for words in [
        "PB1501: `a` goes on with the configuration that it had: ",
        "host.toml is wrong at line 6, column 8, `config.a.size`",
        "PB1521: `dial` goes on with the configuration that it had: ",
        "host.toml:1:9: ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(home.json(&["call", "a:config"]), json!({ "size": 1 }));
}

#[test]
fn run_prints_each_event_as_json_with_json() {
    let home = Home::new();
    let host = home.run(&["--no-watch", "--json"]);
    home.put_version("0.2.0");
    home.say(&["reload", "misbehave"]).ok();
    home.say(&["unload", "misbehave"]).ok();
    let event = || serde_json::from_str::<Value>(&host.next_line().unwrap()).unwrap();
    let reloaded = event();
    assert_eq!(reloaded["event"], "reloaded");
    assert_eq!((&reloaded["from"], &reloaded["to"]), (&json!("0.1.0"), &json!("0.2.0")));
    assert_eq!((&reloaded["number"], &reloaded["calls_waited"]), (&json!(2), &json!(0)));
    let unloaded = event();
    assert_eq!((&unloaded["event"], &unloaded["state_kept"]), (&json!("unloaded"), &json!(true)));
    let retired = event();
    assert_eq!((&retired["event"], &retired["generation"]), (&json!("retired"), &json!(2)));
}

#[test]
fn an_old_generation_in_use_is_told_with_thread_call_and_time() {
    let home = Home::new();
    let config = home.folder.beside("config/plugbay");
    fs::create_dir(&config).unwrap();
    let text = "[reload]\nprobation_seconds = 0\ndrain_seconds = 0.05\n";
    fs::write(config.join("host.toml"), text).unwrap();
    // Without state, so that the new one need not wait for the call.
    let stateless = |version: &str| {
        with_embedded(&fs::read(fixture()).unwrap(), |embedded| {
            embedded.manifest.version = version.parse().unwrap();
            embedded.manifest.state_version = 0;
        })
    };
    home.replace(&stateless("0.1.0"));
    let host = home.run(&["--no-watch"]);
    let gate = home.folder.beside("gate");
    let arguments = json!({ "path": gate }).to_string();
    let mut caller = home.command(&["call", "misbehave:wait", &arguments]).spawn().unwrap();
    until(|| home.json(&["list"])["plugins"][0]["calls"] == 1);
    home.replace(&stateless("0.2.0"));
    home.say(&["reload", "misbehave"]).ok();
    let said = home.say(&["list"]).ok().stdout;
    assert!(said.contains("Still in memory:\n"), "{said}");
    let words = "misbehave 0.1.0 (generation 1): ends after its last call; in use by `wait` on \
                 thread client (";
    assert!(said.contains(words), "{said}");
    let said = home.say(&["inspect", "misbehave"]).ok().stdout;
    let words = "leaving       generation 1: ends after its last call; in use by `wait`";
    assert!(said.contains(words), "{said}");
    let line = host.line_with("generation 1 cannot end");
    assert!(line.contains("still in use: `wait` on thread client ("), "{line}");
    fs::write(gate, "").unwrap();
    assert!(caller.wait().unwrap().success());
    host.line_with("misbehave 0.1.0 retired (generation 1): ");
    until(|| home.json(&["list"])["plugins"][0]["generations"].as_array().unwrap().len() == 1);
}

#[test]
fn a_file_that_changes_comes_or_goes_is_taken_by_itself() {
    let home = Home::new();
    let host = home.run(&[]);
    assert!(home.json(&["list"])["host"]["watches"].as_bool().unwrap());
    home.put_version("0.2.0");
    let line = host.next_line().unwrap();
    let words = "misbehave reloaded: 0.1.0 → 0.2.0 (generation 1 → 2), serving after ";
    assert!(line.contains(words), "{line}");
    assert!(line.contains("(detect "), "{line}");
    home.folder.write("text.so", "no library");
    let line = host.next_line().unwrap();
    assert!(line.contains(" refused "), "{line}");
    assert!(line.contains("text.so: PB0209: expected a shared library"), "{line}");
    home.replace(b"no library");
    let line = host.next_line().unwrap();
    assert!(line.contains("misbehave 0.2.0 serves on (generation 2): "), "{line}");
    assert!(line.contains("misbehave.so was not taken: PB0209: "), "{line}");
    home.put_version("0.3.0");
    host.line_with("0.2.0 → 0.3.0");
    fs::remove_file(home.folder.plugins().join("misbehave.so")).unwrap();
    host.line_with("misbehave unloaded (generation 3 ended, its state is kept)");
    home.put_version("0.4.0");
    host.line_with("misbehave 0.4.0 loaded (generation 4)");
}

#[test]
fn a_removed_file_keeps_its_plugin_where_that_is_wanted() {
    let home = Home::new();
    let config = home.folder.beside("config/plugbay");
    fs::create_dir(&config).unwrap();
    let text = "[watch]\npoll_seconds = 0.02\nkeep_removed = true\n";
    fs::write(config.join("host.toml"), text).unwrap();
    let host = home.run(&[]);
    fs::remove_file(home.folder.plugins().join("misbehave.so")).unwrap();
    // Longer than a removed file has to come back. Nothing is to be waited for:
    // that nothing happens is what is asked.
    assert!(!host.says_more() && !host.says_more());
    home.say(&["call", "misbehave:echo"]).ok();
    // It did look.
    home.put_version("0.2.0");
    host.line_with("0.1.0 → 0.2.0");
}
