//! A running host, and those who talk to it.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use plugbay_tests::{build, piece, until, with_embedded};
use serde_json::json;
use support::{Home, fixture, said};

#[test]
fn run_says_what_is_active_and_what_was_refused_and_why() {
    let home = Home::new();
    home.folder.write("text.so", "no library");
    let host = home.run(&[]);
    assert!(host.table.contains("misbehave"), "{}", host.table);
    assert!(host.table.contains("active"), "{}", host.table);
    assert!(
        host.table.contains("text.so\n    PB0209: expected a shared library"),
        "{}",
        host.table
    );
    assert!(host.table.contains("\n    help: build the plugin"), "{}", host.table);
    // Nothing that steers a terminal, as this is none.
    assert!(!host.table.contains('\x1b') && host.table.is_ascii(), "{}", host.table);
}

#[test]
fn calls_go_to_the_running_host() {
    let home = Home::new();
    let _host = home.run(&[]);
    for count in 1..=2 {
        let said = home.say(&["call", "misbehave:count", "null"]).ok();
        assert_eq!(said.stdout, format!("{count}\n"));
    }
    // Alone, it is another instance, with a count of its own.
    let said = home.say(&["call", "--alone", "misbehave:count", "null"]).ok();
    assert_eq!(said.stdout, "1\n");

    let long = "x".repeat(3 << 20);
    let mut command = home.command(&["call", "misbehave:echo", "-", "--raw"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = json!(long).to_string();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.trim_ascii_end(), long.as_bytes());
}

#[test]
fn a_failure_in_the_host_has_the_same_words_and_exit_as_alone() {
    let home = Home::new();
    home.folder.write("text.so", "no library");
    let cases: [(&[&str], i32, &str); 5] = [
        (&["call", "misbehave:fail"], 1, "PB0705"),
        (&["call", "misbehave:panic", r#"{"message":"on request"}"#], 1, "PB0706"),
        (&["call", "misbehave:panic", r#"{"message":1}"#], 2, "PB0704"),
        (&["call", "misbehave:nothing"], 4, "PB0703"),
        (&["call", "nobody:nothing"], 4, "PB0701"),
    ];
    let alone = cases.map(|(arguments, exit, code)| home.say(arguments).failed(exit, code).stderr);
    let _host = home.run(&[]);
    for ((arguments, exit, code), alone) in cases.into_iter().zip(alone) {
        let served = home.say(arguments).failed(exit, code).stderr;
        // Alone, the help of an unknown plugin knows of refused files, too.
        assert_eq!(alone.lines().next(), served.lines().next());
    }
}

#[test]
fn a_second_host_on_the_same_socket_is_refused() {
    let home = Home::new();
    let host = home.run(&[]);
    let pid = host.child.id();
    let said = home.say(&["run"]).failed(1, "PB1006");
    assert!(said.stderr.contains(&format!("process {pid}")), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("kill {pid}")), "{}", said.stderr);
    home.say(&["call", "misbehave:echo"]).ok();
    // Elsewhere it may.
    let elsewhere = home.folder.beside("other.sock");
    let socket = elsewhere.to_str().unwrap();
    let _second = home.run(&["--socket", socket]);
    assert_eq!(home.json(&["list", "--socket", socket])["host"]["socket"], socket);
}

#[test]
fn a_socket_that_a_killed_host_left_is_taken_over() {
    let home = Home::new();
    let host = home.run(&[]);
    host.signal("-KILL");
    host.wait();
    assert!(home.socket().exists());
    // It counts as no host.
    assert!(home.json(&["list"])["host"].is_null());
    let said = home.say(&["load", "misbehave"]);
    said.failed(4, "PB1008");
    let host = home.run(&[]);
    assert_eq!(home.json(&["list"])["host"]["pid"], host.child.id());
}

#[test]
fn sigterm_and_sigint_deactivate_and_remove_the_socket() {
    for signal in ["-TERM", "-INT"] {
        let home = Home::new();
        let host = home.run(&[]);
        assert_eq!(home.socket().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        host.signal(signal);
        let (status, rest) = host.wait();
        assert_eq!(status.code(), Some(0));
        assert_eq!(rest, "misbehave deactivated (generation 1)\nEnded.\n");
        assert!(!home.socket().exists());
    }
}

#[test]
fn a_call_that_runs_gets_its_answer_when_the_host_ends() {
    let home = Home::new();
    let host = home.run(&[]);
    let gate = home.folder.beside("gate");
    let arguments = json!({ "path": gate }).to_string();
    let caller = home
        .command(&["call", "misbehave:wait", &arguments])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| home.json(&["list"])["plugins"][0]["calls"] == 1);
    host.signal("-TERM");
    // It takes no clients any more, and waits for the call.
    until(|| {
        let Ok(mut client) = UnixStream::connect(home.socket()) else { return true };
        client.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        client.write_all(b"{\"request\":\"list\"}\n").unwrap();
        client.read(&mut [0]).is_err()
    });
    std::fs::write(&gate, "").unwrap();
    let output = caller.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"null\n"[..]));
    let (status, _) = host.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_answer_on_its_way_arrives_when_the_host_ends() {
    let home = Home::new();
    let host = home.run(&[]);
    let text = "x".repeat(8 << 20);
    let request = json!({
        "request": "call", "plugin": "misbehave", "command": "echo",
        "arguments": json!(text).to_string(),
    });
    let mut client = UnixStream::connect(home.socket()).unwrap();
    writeln!(client, "{request}").unwrap();
    let mut answer = vec![0];
    client.read_exact(&mut answer).unwrap();
    host.signal("-TERM");
    // Far more than fits into the socket: it waits for this client.
    assert!(!host.says_more());
    let mut client = BufReader::new(client);
    client.read_until(b'\n', &mut answer).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["ok"], text);
    let (status, _) = host.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let home = Home::new();
    let host = home.run(&[]);
    let arguments = json!({ "path": home.folder.beside("gate") }).to_string();
    let mut caller = home.command(&["call", "misbehave:wait", &arguments]).spawn().unwrap();
    until(|| home.json(&["list"])["plugins"][0]["calls"] == 1);
    host.signal("-TERM");
    host.signal("-INT");
    let (status, _) = host.wait();
    assert!([Some(130), Some(143)].contains(&status.code()), "{status}");
    caller.wait().unwrap();
}

#[test]
fn a_refused_plugin_is_disabled_and_enabled() {
    let home = Home::new();
    let library = std::fs::read(fixture()).unwrap();
    home.replace(&with_embedded(&library, |embedded| {
        embedded.manifest.host = ">=99".parse().unwrap();
        embedded.manifest.description.clear();
    }));
    let _host = home.run(&["--no-watch"]);
    let said = home.say(&["disable", "misbehave"]).ok().stdout;
    assert!(said.starts_with("misbehave 0.1.0 is disabled\n  for later hosts, too"), "{said}");
    home.replace(&library);
    home.say(&["reload", "misbehave"]).failed(3, "PB0305");
    home.say(&["enable", "misbehave"]).ok();
}

#[test]
fn plugins_are_unloaded_loaded_disabled_and_enabled() {
    let home = Home::new();
    let _host = home.run(&[]);
    let state = || home.json(&["list"])["plugins"][0]["state"].clone();

    home.say(&["call", "misbehave:count", "null"]).ok();
    let said = home.say(&["unload", "misbehave"]).ok();
    assert!(said.stdout.starts_with("misbehave 0.1.0 is unloaded (generation 1 ended"));
    assert_eq!(state(), "unloaded");
    home.say(&["call", "misbehave:echo"]).failed(1, "PB0702");
    home.say(&["unload", "misbehave"]).failed(1, "PB0801");
    home.say(&["load", "misbehave"]).ok();
    assert_eq!(state(), "active");
    home.say(&["load", "misbehave"]).failed(1, "PB0906");
    // With the state that it had.
    assert_eq!(home.say(&["call", "misbehave:count", "null"]).ok().stdout, "2\n");

    let changed = home.json(&["disable", "misbehave"]);
    assert_eq!(
        (&changed["plugin"]["state"], &changed["state_kept"]),
        (&json!("disabled"), &json!(true))
    );
    let said = home.say(&["call", "misbehave:echo"]).failed(1, "PB0702");
    assert!(said.stderr.contains("host-app enable misbehave"), "{}", said.stderr);
    let said = home.say(&["enable", "misbehave"]).ok();
    assert_eq!(said.stdout, "misbehave 0.1.0 is active (generation 3)\n");

    for action in ["load", "unload", "enable", "disable"] {
        let exit = home.say(&[action, "nobody"]).exit;
        assert_eq!(exit, 4, "{action}");
    }
}

#[test]
fn a_refused_plugin_can_be_inspected_and_not_called() {
    let home = Home::new();
    let config = home.folder.beside("config/plugbay");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("host.toml"), "[config.misbehave]\nactivate = 'fail'\n").unwrap();
    let host = home.run(&[]);
    assert!(host.table.contains("PB0601: activation failed"), "{}", host.table);
    assert!(host.table.contains("the database is not there"), "{}", host.table);
    home.say(&["call", "misbehave:echo"]).failed(3, "PB0601");
    home.say(&["unload", "misbehave"]).failed(3, "PB0601");
    let inspection = home.json(&["inspect", "misbehave"]);
    assert_eq!(inspection["refused"]["code"], "PB0601");
    assert_eq!(inspection["manifest"]["id"], "misbehave");
}

#[test]
fn json_of_run_is_one_line_at_the_start_and_one_at_the_end() {
    let home = Home::new();
    let host = home.run(&["--json"]);
    let started: serde_json::Value = serde_json::from_str(host.table.trim_end()).unwrap();
    assert_eq!(started["plugins"][0]["id"], "misbehave");
    assert_eq!(started["host"]["pid"], host.child.id());
    host.signal("-TERM");
    let (_, rest) = host.wait();
    let stopped: serde_json::Value = serde_json::from_str(rest.trim_end()).unwrap();
    assert_eq!(stopped["event"], "stopped");
    assert_eq!(stopped["unloaded"][0]["id"], "misbehave");
}

#[test]
fn clients_that_talk_nonsense_or_not_at_all_hurt_nobody() {
    let home = Home::new();
    let _host = home.run(&[]);
    let connect = || UnixStream::connect(home.socket()).unwrap();
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();

    let mut nonsense = connect();
    nonsense.write_all(b"GET / HTTP/1.1\n{\"request\":\"dance\"}\n").unwrap();
    let mut answers = BufReader::new(nonsense).lines();
    for _ in 0..2 {
        let answer = answers.next().unwrap().unwrap();
        assert!(answer.contains("PB1011"), "{answer}");
    }
    connect().write_all(b"{\"request\":").unwrap();
    home.say(&["call", "misbehave:echo"]).ok();
    drop(silent);
}

#[test]
fn too_many_clients_are_sent_away_until_some_leave() {
    let home = Home::new();
    let _host = home.run(&[]);
    let connect = || UnixStream::connect(home.socket()).unwrap();
    let clients: Vec<_> = (0..64).map(|_| connect()).collect();
    let mut answer = String::new();
    connect().read_to_string(&mut answer).unwrap();
    assert!(answer.contains("PB1012"), "{answer}");
    home.say(&["list"]).failed(1, "PB1012");
    drop(clients);
    until(|| home.say(&["list"]).exit == 0);
}

#[test]
fn folders_of_the_running_host_answer_and_not_those_of_the_caller() {
    let home = Home::new();
    let _host = home.run(&[]);
    let elsewhere = home.folder.beside("data");
    let said = said(&mut home.command(&["list", "--plugins", elsewhere.to_str().unwrap()]));
    assert!(said.stdout.contains("misbehave"), "{}", said.stdout);
    assert!(said.stderr.contains("--plugins is not used"), "{}", said.stderr);
}

#[test]
fn results_that_are_kept_are_given_to_every_caller_and_shown() {
    let home = Home::empty();
    home.folder.put(&build("plugbay-fixture-dial"), "dial.so");
    let _host = home.run(&["--no-watch"]);
    let square = |arguments| home.say(&["call", "dial:square", arguments]).ok().stdout;
    assert_eq!(square("{\"n\": 3, \"padding\": \"x\"}"), square("{\"padding\":\"x\",\"n\":3}"));
    assert_eq!(home.say(&["call", "dial:asked"]).ok().stdout, "1\n");
    let said = home.say(&["inspect", "dial", "-v"]).ok().stdout;
    assert!(said.contains("results       hits 1, misses 1; kept 1 in "), "{said}");
    assert!(said.contains("    its results are kept for 3600s\n"), "{said}");
    let list = home.json(&["list"]);
    assert_eq!(list["plugins"][0]["results"]["hits"], 1, "{list}");
    assert_eq!(home.json(&["inspect", "dial"])["results"]["misses"], 1);
}

/// It was looked for as if it were a plugin's id.
#[test]
fn a_range_that_cannot_be_read_is_told_with_a_host_and_without() {
    let home = Home::new();
    let told = || {
        for range in ["bogus", "", "1@^1"] {
            let target = format!("misbehave@{range}:count");
            let said = home.say(&["call", &target, "null"]).failed(2, "PB0901");
            let words = format!("the versions of `misbehave@{range}` cannot be read");
            assert!(said.stderr.contains(&words), "{}", said.stderr);
        }
    };
    told();
    let _host = home.run(&["--no-watch"]);
    told();
}

#[test]
fn versions_side_by_side_are_called_by_a_range_with_a_host_and_without() {
    let home = Home::empty();
    home.folder.write("one.so", piece("a", "1.0.0", ""));
    home.folder.write("two.so", piece("a", "2.0.0", ""));
    std::fs::create_dir_all(home.folder.beside("config/plugbay")).unwrap();
    let file = home.folder.beside("config/plugbay/host.toml");
    let config = "versions = 'compatible'\n[config.'a@1']\nn = 1\n[config.'a@2']\nn = 2\n";
    std::fs::write(file, config).unwrap();
    let told = || {
        for (name, config) in [("a@^1", 1), ("a@^2", 2), ("a", 2)] {
            assert_eq!(home.json(&["call", &format!("{name}:config")])["n"], config);
        }
        home.say(&["call", "a@^3:config"]).failed(4, "PB0708");
    };
    told();
    let host = home.run(&["--no-watch"]);
    told();
    let said = home.say(&["reload", "--all"]).ok().stdout;
    assert!(
        said.contains("a@1 is unchanged: 1.0.0") && said.contains("a@2 is unchanged"),
        "{said}"
    );
    host.signal("-TERM");
    let (_, said) = host.wait();
    for name in ["a@1", "a@2"] {
        assert!(said.contains(&format!("{name} deactivated (generation ")), "{said}");
    }
}
