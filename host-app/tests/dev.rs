//! `host-app dev`, on a real crate outside of this workspace.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use plugbay_tests::AuthorCrate;
use plugbay_tests::mine::{CARGO, SOURCE, TOML};
use serde_json::Value;
use support::{Home, Running};

/// A crate whose dependencies are built, so that none of the waits is for those.
fn author(id: &str) -> AuthorCrate {
    let crate_ = AuthorCrate::new(&[
        ("Cargo.toml", &CARGO.replace("mine", id)),
        ("plugin.toml", &TOML.replace("mine", id)),
        ("src/lib.rs", SOURCE),
    ]);
    crate_.cargo(&["build"]).unwrap();
    crate_
}

fn dev(home: &Home, author: &AuthorCrate, arguments: &[&str], words: &str) -> Running {
    let target = author.built("x");
    let target = target.parent().and_then(Path::parent).unwrap();
    let path = author.path().to_str().unwrap();
    let mut command: Command = home.command(&[&["dev", path], arguments].concat());
    command
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .env("CARGO_TERM_COLOR", "never");
    Running::start(&mut command, &[words])
}

fn write(author: &AuthorCrate, name: &str, content: &str) {
    fs::write(author.path().join(name), content).unwrap();
}

#[test]
fn dev_serves_each_change_from_a_host_of_its_own_and_ends_cleanly() {
    let home = Home::empty();
    let author = author("mine");
    let dev = dev(&home, &author, &[], "compiled in ");
    assert!(dev.table.contains("; mine 0.1.0 loaded (generation 1)"), "{}", dev.table);
    let go = || home.say(&["call", "mine:go", "null"]).ok().stdout;
    assert_eq!(go(), "\"gone\"\n");

    write(&author, "src/lib.rs", &SOURCE.replace("gone", "went"));
    let line = dev.line_with("compiled in ");
    assert!(line.contains("mine reloaded on request: 0.1.0 → 0.1.0 (generation 1 → 2)"), "{line}");
    assert_eq!(go(), "\"went\"\n");

    write(&author, "src/lib.rs", &SOURCE.replace("Ok(\"gone\")", "Ok(missing)"));
    let line = dev.line_with("does not compile");
    assert!(line.contains("; mine 0.1.0 serves on (generation 2); waiting"), "{line}");
    assert_eq!(go(), "\"went\"\n");

    // In another file, and the mistake is mended.
    write(&author, "Cargo.toml", &{
        let text = fs::read_to_string(author.path().join("Cargo.toml")).unwrap();
        text.replace("0.1.0", "0.2.0")
    });
    write(&author, "src/lib.rs", &SOURCE.replace("gone", "back"));
    let line = dev.line_with("0.1.0 → 0.2.0");
    assert!(line.starts_with("compiled in "), "{line}");
    assert_eq!(go(), "\"back\"\n");

    // One that compiles and is refused.
    let refusing = SOURCE.replace("Ok(Mine)", "Err(Error::new(\"no\", \"not today\"))");
    write(&author, "src/lib.rs", &refusing);
    let line = dev.line_with("PB0601");
    assert!(line.contains("mine was not taken: PB0601: "), "{line}");
    assert!(line.contains("not today") && line.contains("mine 0.2.0 serves on"), "{line}");
    assert_eq!(go(), "\"back\"\n");

    dev.signal("-INT");
    let (status, rest) = dev.wait();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(rest.ends_with("Ended.\n"), "{rest}");
    assert!(!home.socket().exists());
}

#[test]
fn dev_gives_a_running_host_what_it_builds_where_the_plugin_lies() {
    let home = Home::empty();
    let author = author("theirs");
    home.folder.put(&author.built("libtheirs.so"), "called-otherwise.so");
    let host = home.run(&[]);
    write(&author, "src/lib.rs", &SOURCE.replace("gone", "went"));
    let dev = dev(&home, &author, &["--json"], "\"built\"");
    let built: Value = serde_json::from_str(dev.table.trim_end()).unwrap();
    assert_eq!((&built["compiled"], &built["plugin"]), (&true.into(), &"theirs".into()));
    assert!(built["served"]["times"]["verify_us"].as_u64().is_some(), "{built}");
    host.line_with("theirs reloaded");
    assert_eq!(home.say(&["call", "theirs:go", "null"]).ok().stdout, "\"went\"\n");
    let names: Vec<_> = fs::read_dir(home.folder.plugins())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["called-otherwise.so"]);
    // The host is not its own, and stays.
    dev.signal("-TERM");
    assert_eq!(dev.wait().0.code(), Some(0));
    home.say(&["call", "theirs:go", "null"]).ok();
    let elsewhere = home.folder.beside("data");
    let wrong = ["--plugins", elsewhere.to_str().unwrap(), "--json"];
    let dev = self::dev(&home, &author, &wrong, "PB1027");
    assert!(dev.table.contains("does not look into"), "{}", dev.table);
}

#[test]
fn dev_wants_a_crate() {
    let home = Home::empty();
    let path = home.folder.plugins();
    home.say(&["dev", path.to_str().unwrap()]).failed(4, "PB1023");
    home.say(&["dev", "/nowhere"]).failed(4, "PB1023");
}
