//! What works without a running host.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use plugbay_tests::{build, misdeed, piece, with_embedded};
use serde_json::{Value, json};
use support::{Home, fixture, is_root, said};

#[test]
fn list_shows_what_would_run_and_loads_nothing() {
    let home = Home::new();
    // It would end any process that loads it.
    home.folder.write("crash.so", crashing());
    home.folder.write("empty.so", "");
    let said = home.say(&["list"]).ok();
    assert!(said.stdout.contains("misbehave  0.1.0    verified  -"), "{}", said.stdout);
    assert!(said.stdout.contains("empty.so\n    PB0207: the file is empty"), "{}", said.stdout);
    let said = home.say(&["list", "--refused"]).ok();
    assert!(!said.stdout.contains("verified"), "{}", said.stdout);
    let list = home.json(&["list"]);
    assert_eq!(list["host"], Value::Null);
    assert_eq!(list["plugins"][0]["state"], "verified");
    assert_eq!(list["refused"][0]["code"], "PB0207");
    assert!(!home.folder.beside("cache/plugbay/live").exists());
}

#[test]
fn a_call_loads_the_plugin_for_itself() {
    let home = Home::new();
    let said = home.say(&["call", "misbehave:echo", r#"{"text": ["a", 1]}"#]).ok();
    assert_eq!(said.stdout, "{\"text\":[\"a\",1]}\n");
    assert_eq!(said.stderr, "");
    assert_eq!(home.say(&["call", "misbehave:echo"]).ok().stdout, "{}\n");
    let said = home.say(&["call", "misbehave:echo", "\"a\\nb\"", "--raw"]).ok();
    assert_eq!(said.stdout, "a\nb\n");
    let said = home.say(&["call", "misbehave:echo", r#"{"a":"b"}"#, "-r", "--field", "a"]).ok();
    assert_eq!(said.stdout, "b\n");
    let said = home.say(&["call", "misbehave:echo", "[[7]]", "--pointer", "/0/0"]).ok();
    assert_eq!(said.stdout, "7\n");
    let said = home.say(&["call", "misbehave:echo", r#"{"a":1}"#, "--field", "b"]);
    assert!(said.failed(4, "PB1016").stderr.contains("it has: a"));
}

#[test]
fn contracts_are_listed_and_their_methods_called_by_name() {
    let home = Home::new();
    assert_eq!(home.say(&["services"]).ok().stdout.lines().next(), Some("No contracts."));
    home.folder.put(&build("plugbay-fixture-speaker"), "speaker.so");
    home.folder.put(&build("plugbay-fixture-asker"), "asker.so");
    let listed = home.say(&["services"]).ok().stdout;
    let line = "test.speaker 1.1  speaker 1.0.0  twice         0           asker";
    assert!(listed.contains(line), "{listed}");
    let list = home.json(&["services", "test.speaker"]);
    assert_eq!(list["contracts"][0]["providers"][0]["plugin"], "speaker");
    assert_eq!(home.json(&["services", "test.none"])["contracts"], json!([]));
    let said = home.say(&["call", "speaker:test.speaker:add", "--arg", "number:=41"]).ok();
    assert_eq!(said.stdout, "42\n");
    let said = home.say(&["call", "speaker:test.speaker:add", "{}"]).failed(2, "PB0704");
    assert!(said.stderr.contains("by name: fn add(number: u64) -> u64"), "{}", said.stderr);
    let said = home.say(&["call", "speaker:test.speaker:sing"]).failed(4, "PB0703");
    assert!(said.stderr.contains("test.speaker:twice"), "{}", said.stderr);
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    let home = Home::new();
    let text = home.folder.write("text.so", "no library");
    let text = text.to_str().unwrap();
    home.say(&["call", "misbehave:fail"]).failed(1, "PB0705");
    home.say(&["call", "misbehave:panic", r#"{"message":"x"}"#]).failed(1, "PB0706");
    home.say(&["call", "misbehave:echo", "{text: 1}"]).failed(2, "PB1015");
    home.say(&["call", "misbehave:panic"]).failed(2, "PB0704");
    home.say(&["inspect", text]).failed(3, "PB0209");
    home.say(&["inspect", "./nowhere.so"]).failed(4, "PB1020");
    home.say(&["inspect", "nobody"]).failed(4, "PB0701");
    home.say(&["check", "./nowhere"]).failed(4, "PB1020");
    home.say(&["call", "nobody:x"]).failed(4, "PB0701");
    home.say(&["call", "No Body:x"]).failed(4, "PB0701");
    home.say(&["call", "misbehave:x"]).failed(4, "PB0703");
    home.say(&["call", "misbehave:echo", "@/nowhere.json"]).failed(4, "PB1014");
    for action in ["load", "unload"] {
        home.say(&[action, "misbehave"]).failed(4, "PB1008");
    }
    for action in ["enable", "disable"] {
        home.say(&[action, "nobody"]).failed(4, "PB0701");
        home.say(&[action, "No Body"]).failed(2, "PB0901");
    }
    for usage in [&["dance"][..], &["call", "misbehave"], &["call"], &["list", "--no-such"]] {
        let said = home.say(usage);
        assert_eq!((said.exit, said.stdout.as_str()), (2, ""), "{usage:?}");
        assert!(said.stderr.starts_with("error: "), "{}", said.stderr);
    }
}

#[test]
fn missing_rights_have_an_exit_code_of_their_own() {
    let home = Home::new();
    let closed = home.folder.beside("runtime/plugbay");
    fs::create_dir(&closed).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&closed, Some(65534), None).unwrap();
        let said = home.say(&["run"]).failed(5, "PB1004");
        assert!(said.stderr.contains("belongs to user 65534"), "{}", said.stderr);
    } else {
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        home.say(&["list"]).failed(5, "PB1009");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn with_json_errors_are_json_on_stdout() {
    let home = Home::new();
    for (arguments, exit, code) in [
        (&["call", "misbehave:fail"][..], 1, "PB0705"),
        (&["dance"], 2, "PB1001"),
        (&["call", "misbehave:echo", "{"], 2, "PB1015"),
        (&["call", "nobody:x"], 4, "PB0701"),
        (&["unload", "misbehave"], 4, "PB1008"),
        (&["list", "--config", "/nowhere.toml"], 4, "PB1002"),
        (&["quarantine", "clear", "nobody"], 4, "PB1018"),
    ] {
        let said = home.say(&[arguments, &["--json"]].concat());
        assert_eq!((said.exit, said.stderr.as_str()), (exit, ""), "{arguments:?}");
        let json = said.json();
        assert_eq!(json["error"]["code"], code, "{arguments:?}");
        for member in ["message", "help"] {
            assert!(json["error"][member].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
    let json = home.json(&["call", "misbehave:fail"]);
    assert_eq!(json["error"]["failure"]["code"], "no-number");
}

#[test]
fn every_command_has_json() {
    let home = Home::new();
    for (arguments, member) in [
        (&["list"][..], "plugins"),
        (&["inspect", "misbehave"], "manifest"),
        (&["check"], "refused"),
        (&["doctor"], "checks"),
        (&["quarantine", "list"], "quarantined"),
        (&["quarantine", "clear", "--all"], "released"),
        (&["completions", "bash"], "script"),
    ] {
        assert!(home.json(arguments).get(member).is_some(), "{arguments:?}");
    }
}

#[test]
fn check_says_of_each_file_whether_it_would_run() {
    let home = Home::new();
    assert!(home.say(&["check"]).ok().stdout.ends_with("1 ok, 0 refused\n"));
    let library = fs::read(fixture()).unwrap();
    let cut = home.folder.write("cut.so", &library[..library.len() / 2]);
    let good = home.folder.plugins().join("misbehave.so");
    let plugins = home.folder.plugins();
    let said = home.say(&["check", plugins.to_str().unwrap()]);
    assert_eq!(said.exit, 3);
    assert!(said.stdout.contains("misbehave.so  misbehave 0.1.0\n"), "{}", said.stdout);
    assert!(said.stdout.contains("cut.so  PB0210: the file ends early"), "{}", said.stdout);
    assert!(said.stdout.contains("\n         help: copy the file again"), "{}", said.stdout);
    home.say(&["check", good.to_str().unwrap()]).ok();
    assert_eq!(home.say(&["check", cut.to_str().unwrap()]).exit, 3);
    // Two files of one plugin: in a folder one is too many, by themselves not.
    fs::remove_file(&cut).unwrap();
    let copy = home.folder.put(&good, "copy.so");
    assert_eq!(home.say(&["check"]).exit, 3);
    home.say(&["check", good.to_str().unwrap(), copy.to_str().unwrap()]).ok();
    // Nothing of it stays behind.
    let copies = fs::read_dir(home.folder.beside("cache/plugbay/check")).unwrap();
    assert_eq!(copies.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 0);
}

#[test]
fn inspect_reads_a_file_that_would_be_refused() {
    let home = Home::new();
    let foreign = with_embedded(&fs::read(fixture()).unwrap(), |embedded| {
        embedded.facts.target = "riscv64gc-unknown-linux".into();
    });
    let path = home.folder.write("foreign.so", foreign);
    let said = home.say(&["inspect", path.to_str().unwrap()]).ok();
    for words in [
        "misbehave 0.1.0\n",
        "would be refused PB0218: ",
        "help: build it for this machine",
        "target        riscv64gc-unknown-linux\n",
        "  echo          Gives back its arguments.\n",
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    assert!(!said.stdout.contains("properties"), "{}", said.stdout);
    let said = home.say(&["inspect", "misbehave", "--verbose"]).ok();
    assert!(said.stdout.contains("properties"), "{}", said.stdout);
    let said = home.json(&["inspect", "misbehave"]);
    assert_eq!(said["manifest"]["commands"]["echo"]["summary"], "Gives back its arguments.");
    assert_eq!(said["hash"].as_str().unwrap().len(), 64);
}

#[test]
fn what_crashed_is_quarantined_until_it_is_cleared() {
    let home = Home::empty();
    home.folder.write("crash.so", crashing());
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0401");
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0402");
    // Known without loading it.
    assert_eq!(home.json(&["list"])["refused"][0]["code"], "PB0402");
    assert_eq!(home.say(&["check"]).exit, 3);
    let said = home.say(&["quarantine", "list"]).ok();
    assert!(said.stdout.contains("SIGSEGV"), "{}", said.stdout);
    let list = home.json(&["quarantine", "list"]);
    let hash = list["quarantined"][0]["hash"].as_str().unwrap();

    home.say(&["quarantine", "clear", "zzzz"]).failed(4, "PB1018");
    home.say(&["quarantine", "clear", &hash[..8]]).ok();
    assert_eq!(home.json(&["quarantine", "list"]), json!({ "quarantined": [] }));
    assert_eq!(home.json(&["list"])["plugins"][0]["id"], "misbehave");
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0401");
    home.say(&["quarantine", "clear", "misbehave"]).ok();
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0401");
    home.say(&["quarantine", "clear", "--all"]).ok();
    let said = home.say(&["quarantine", "list"]).ok();
    assert_eq!(said.stdout, "Nothing is quarantined.\n");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let home = Home::new();
    let folder = |name: &str, id: &str| {
        let dir = home.folder.beside(name);
        fs::create_dir_all(&dir).unwrap();
        let library = fs::read(fixture()).unwrap();
        let renamed = with_embedded(&library, |found| found.manifest.id = id.parse().unwrap());
        fs::write(dir.join("plugin.so"), renamed).unwrap();
        dir
    };
    let flag = folder("flag", "flag");
    let environment = folder("environment", "env");
    folder("config/plugbay/file", "file");
    folder("data/plugbay/plugins", "default");
    let config = home.folder.beside("config/plugbay/host.toml");
    // Relative to the file.
    fs::write(&config, "plugins = ['file']").unwrap();

    let ids =
        |command: &mut Command| said(command.arg("--json")).json()["plugins"][0]["id"].clone();
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("PLUGBAY_PLUGIN_PATH", &environment);
        command
    };
    assert_eq!(ids(&mut with(&["list", "--plugins", flag.to_str().unwrap()])), "flag");
    assert_eq!(ids(&mut with(&["list"])), "env");
    assert_eq!(ids(with(&["list"]).env_remove("PLUGBAY_PLUGIN_PATH")), "file");
    fs::remove_file(&config).unwrap();
    assert_eq!(ids(with(&["list"]).env_remove("PLUGBAY_PLUGIN_PATH")), "default");
}

#[test]
fn a_wrong_config_file_is_named_with_its_line() {
    let home = Home::new();
    let path = home.folder.beside("wrong.toml");
    fs::write(&path, "# mine\nplugin = ['x']\n").unwrap();
    let said = home.say(&["list", "--config", path.to_str().unwrap()]).failed(1, "PB1003");
    for words in ["wrong.toml", "line 2", "there is no key `plugin`", "`plugins`"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    // The doctor lives with it.
    let said = home.say(&["doctor", "--config", path.to_str().unwrap()]);
    assert_eq!(said.exit, 1);
    assert!(said.stdout.contains("problem  configuration"), "{}", said.stdout);
}

#[test]
fn the_config_file_reaches_the_plugin() {
    let home = Home::new();
    let path = home.folder.beside("host.toml");
    fs::write(&path, "[config.misbehave]\nactivate = 'serve'\n").unwrap();
    let arguments = ["call", "misbehave:where_am_i", "--config", path.to_str().unwrap()];
    let configuration = &home.json(&arguments)["configuration"];
    assert!(configuration.to_string().contains("serve"), "{configuration}");
    fs::write(&path, "disabled = ['misbehave']\n").unwrap();
    let said = home.say(&arguments).failed(1, "PB0702");
    assert!(said.stderr.contains("take it out of `disabled`"), "{}", said.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let arguments: [&[&str]; 4] =
        [&["list"], &["call", "misbehave:echo"], &["completions", "bash"], &["--help"]];
    for arguments in arguments {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.command(arguments).stdout(writer).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let home = Home::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = home.command(&["list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[PB1017]"));
}

#[test]
fn doctor_finds_what_is_wrong() {
    let home = Home::new();
    let said = home.say(&["doctor"]).ok();
    assert!(said.stdout.contains("\nAll is well.\n"), "{}", said.stdout);
    let missing = home.folder.beside("missing");
    let said = home.say(&["doctor", "--plugins", missing.to_str().unwrap()]);
    assert_eq!(said.exit, 1);
    assert!(said.stdout.contains("PB0101"), "{}", said.stdout);
    assert!(said.stdout.contains("cure: make it with: mkdir -p"), "{}", said.stdout);

    // As after a crash of the host, and of a plugin.
    home.folder.write("crash.so", crashing());
    fs::remove_file(home.folder.plugins().join("misbehave.so")).unwrap();
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0401");
    let json = home.json(&["doctor"]);
    let check = |what: &str| {
        let checks = json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["what"] == what).unwrap().clone()
    };
    assert_eq!(check("quarantine")["verdict"], "warning");
    assert_eq!(check("worker")["verdict"], "ok");
    assert_eq!(check("socket")["verdict"], "ok");
}

#[test]
fn completions_know_the_commands() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.say(&["completions", shell]).ok().stdout;
        assert!(script.contains("quarantine"), "{shell}");
    }
}

#[test]
fn arguments_come_from_stdin_and_files() {
    let home = Home::new();
    let mut command = home.command(&["call", "misbehave:echo", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"[\n1\n]\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"[1]\n");
    let path = home.folder.beside("arguments.json");
    fs::write(&path, "{\"a\":\n1}").unwrap();
    let argument = format!("@{}", path.display());
    assert_eq!(home.say(&["call", "misbehave:echo", &argument]).ok().stdout, "{\"a\":1}\n");
}

fn crashing() -> Vec<u8> {
    misdeed(&fs::read(fixture()).unwrap(), "crash")
}

/// It was said that the next hosts go on with all of them.
#[test]
fn doctor_says_what_hosts_left_who_goes_on_with_it_and_how_large_it_is() {
    let home = Home::new();
    for name in ["one", "two"] {
        let host = home.run(&["--name", name]);
        host.signal("-TERM");
        host.wait();
    }
    let said = home.say(&["doctor"]).stdout;
    for words in [
        "folders of ended hosts: 2, ",
        " MiB",
        "the next host of a name goes on with the last one of that name",
        "of the others, 8 at most stay for hosts of other names",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A slip of the pen in the config file left its plugin as it was, without a word.
#[test]
fn names_in_the_config_file_that_nobody_has_are_told_with_their_place() {
    let home = Home::empty();
    let kind = "kinds = [\"experiment_tracker\"]\n";
    home.folder.write("mlflow.so", piece("mlflow", "1.0.0", kind));
    home.folder.write("sql.so", piece("sql", "1.0.0", "kinds = [\"data_source\"]\n"));
    let file = home.folder.beside("config/plugbay/host.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let good = "enabled = ['sql@^1']\ndisabled = ['mlflow']\n[versions_of]\nsql = 'compatible'\n\
                [precedence]\ndata_source = ['sql']\nmodel_registry = []\n\
                [kinds]\nmodel_registry = 'single'\n[config.'sql@1']\nx = 1\n";
    std::fs::write(&file, good).unwrap();
    for command in ["plan", "check"] {
        let said = home.say(&[command]).stdout;
        assert!(!said.contains("PB10"), "{command}: {said}");
    }
    let wrong = "enabled = ['nobody@^3']\ndisabled = ['sql', 'mlflo']\n\
                 versions_of = { sqll = 'compatible' }\n\
                 [plugin_precedence]\nexperiment_trackr = ['mlflow', 'mlfow']\n\
                 [config.'mlflwo@1']\nx = 1\n[kinds]\ndata_sourc = 'single'\n";
    std::fs::write(&file, wrong).unwrap();
    let expected = [
        "PB1039: FILE:1:12: `enabled` names the plugin `nobody`, of which no good file was \
         found; help: ",
        "PB1039: FILE:2:20: `disabled` names the plugin `mlflo`, of which no good file was \
         found; did you mean `mlflow`?; help: ",
        "PB1039: FILE:3:17: `versions_of` names the plugin `sqll`, of which no good file \
         was found; did you mean `sql`?; help: ",
        "PB1040: FILE:5:1: `plugin_precedence` names the kind `experiment_trackr`, which nothing \
         is of; did you mean `experiment_tracker`?; help: ",
        "PB1039: FILE:5:32: `plugin_precedence` names the plugin `mlfow`, of which no good file was \
         found; did you mean `mlflow`?; help: ",
        "PB1039: FILE:6:9: `config` names the plugin `mlflwo`, of which no good file was \
         found; did you mean `mlflow`?; help: ",
        "PB1040: FILE:9:1: `kinds` names the kind `data_sourc`, which nothing is of; did you \
         mean `data_source`?; help: ",
    ];
    let expected = expected.map(|line| line.replace("FILE", file.to_str().unwrap()));
    for command in ["plan", "check"] {
        let said = home.say(&[command]).stdout;
        for words in &expected {
            assert!(said.contains(words), "{command}: {words}: {said}");
        }
        assert_eq!(said.matches("PB10").count(), expected.len(), "{command}: {said}");
    }
    let host = home.run(&["--no-watch"]);
    for words in &expected {
        assert!(host.table.contains(words), "{words}: {}", host.table);
    }
}
