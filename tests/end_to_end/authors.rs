//! What a plugin's author meets, in a crate outside of this workspace that
//! depends on the interface alone: it builds and runs by the README's words, and
//! every mistake is a compile error that points at its line.

use plugbay_tests::mine::{SOURCE, TOML};
use plugbay_tests::{AuthorCrate, Folder, blocks, check_mine, readme};
use serde_json::json;

/// The crate does not compile, and the compiler says these things.
#[track_caller]
fn assert_mistake(toml: &str, source: &str, words: &[&str]) {
    let said = check_mine(toml, source).expect_err("a mistake is a compile error");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    assert_eq!(
        said.matches("\nerror: ").count() + usize::from(said.starts_with("error: ")),
        2,
        "one mistake is one error, and cargo's last word:\n{said}"
    );
}

#[test]
fn the_compiling_twin_of_the_mistakes_compiles() {
    assert_eq!(check_mine(TOML, SOURCE), Ok(String::new()));
}

#[test]
fn a_crate_without_plugin_toml() {
    assert_mistake("", SOURCE, &["plugin.toml cannot be read", "id = \"my-plugin\""]);
}

#[test]
fn a_key_that_plugin_toml_does_not_have() {
    let toml = TOML.replace("summary", "sumary");
    assert_mistake(&toml, SOURCE, &["plugin.toml: ", "line 4, column 1", "unknown field `sumary`"]);
}

#[test]
fn a_version_that_is_none() {
    let toml = TOML.replace("\n\n", "\nversion = \"1.x\"\n\n");
    assert_mistake(&toml, SOURCE, &["line 2, column 11", "unexpected character 'x'"]);
}

#[test]
fn an_id_that_is_none() {
    let toml = TOML.replace("\"mine\"", "\"My Plugin\"");
    assert_mistake(&toml, SOURCE, &["line 1, column 6", "`My Plugin` is no plugin id"]);
}

#[test]
fn a_declared_command_without_a_handler() {
    let toml = format!("{TOML}\n[commands.stop]\nsummary = \"Stops.\"\n");
    assert_mistake(&toml, SOURCE, &["plugin.toml:6: the command `stop` has no handler"]);
}

#[test]
fn a_handler_whose_command_is_not_declared() {
    let source = SOURCE.replace("commands().on", "commands().on(\"stop\", |_, _: ()| Ok(0)).on");
    let words = ["src/lib.rs:15:23", "the command `stop` is not in plugin.toml"];
    assert_mistake(TOML, &source, &words);
}

#[test]
fn a_command_with_two_handlers() {
    let source = SOURCE.replace("commands().on", "commands().on(\"go\", |_, _: ()| Ok(0)).on");
    assert_mistake(TOML, &source, &["the command `go` has two handlers"]);
}

#[test]
fn a_handlers_name_that_is_no_literal() {
    let source = SOURCE.replace("\"go\"", "std::env!(\"HOME\")");
    assert_mistake(TOML, &source, &["src/lib.rs:15:23", "must be a string literal"]);
}

#[test]
fn the_attribute_on_something_else() {
    let source = SOURCE.replace("impl Plugin for Mine", "impl Drop for Mine");
    let said = check_mine(TOML, &source).unwrap_err();
    assert!(said.contains("#[plugin] stands on `impl Plugin for X`"), "{said}");
}

/// The README's own crate: its files, its command, its output.
#[test]
fn the_readmes_first_plugin_builds_and_answers_as_it_says() {
    let readme = readme();
    let files = blocks(&readme, "plugin");
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Cargo.toml", "plugin.toml", "src/lib.rs"]);
    let files: Vec<_> = files.iter().map(|(n, c)| (n.as_str(), c.as_str())).collect();
    let hello = AuthorCrate::new(&files);
    hello.cargo(&["build"]).unwrap();

    let folder = Folder::new();
    folder.put(&hello.built("libhello.so"), "libhello.so");
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{}", report.refused[0]);
    let answer = host.call("hello", "greet", json!({"name": "Ada"})).unwrap();
    let shown = serde_json::to_string(&answer).unwrap();
    assert!(readme.contains(&shown), "the README does not show {shown}");
}

/// The README's contract, the plugin that offers it, and the program that calls it.
#[test]
fn the_readmes_contract_is_offered_and_called() {
    let readme = readme();
    let files = blocks(&readme, "services");
    let files: Vec<_> = files.iter().map(|(n, c)| (n.as_str(), c.as_str())).collect();
    let hotel = AuthorCrate::new(&files);
    hotel.cargo(&["build"]).unwrap();
    let plugins = hotel.path().join("plugins.d");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(hotel.built("libpolite.so"), plugins.join("libpolite.so")).unwrap();
    let said = hotel.cargo(&["run", "--bin", "program"]).unwrap();
    assert!(
        readme.contains(&format!("--bin program\n{said}```")),
        "the README does not show {said}"
    );
}

/// The README's own host program, with the plugins folder as its argument.
#[test]
fn the_readmes_first_host_builds_and_runs() {
    let readme = readme();
    let files = blocks(&readme, "host");
    let files: Vec<_> = files.iter().map(|(n, c)| (n.as_str(), c.as_str())).collect();
    let program = AuthorCrate::new(&files);
    let folder = Folder::new();
    folder.put(&plugbay_tests::build("plugbay-plugin-markdown"), "libmarkdown.so");
    std::fs::rename(folder.plugins(), program.path().join("plugins.d")).unwrap();
    let said = program.cargo(&["run"]).unwrap();
    assert!(said.contains("<h1>Hi</h1>"), "{said}");
}
