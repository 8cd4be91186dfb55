//! Tables of the config file that plugins register.

mod support;

use std::fs;

use plugbay_tests::piece;
use support::{Home, Running};

/// Registers `[dspy]`.
const DSPY: &str = "[host_config.dspy.schema]\nadditionalProperties = false\n\
                    required = [\"model\"]\n\
                    properties = { model = { type = \"string\" }, \
                    retries = { type = \"integer\", default = 3 } }\n";

fn home(config: &str) -> Home {
    let home = Home::empty();
    home.folder.write("a.so", piece("a", "1.0.0", DSPY));
    write(&home, config);
    home
}

fn write(home: &Home, config: &str) {
    let folder = home.folder.beside("config/plugbay");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("host.toml"), config).unwrap();
}

fn table(home: &Home) -> String {
    home.say(&["call", "a:host_config", "\"dspy\""]).ok().stdout
}

fn running(home: &Home) -> Running {
    home.run(&["--no-watch"])
}

#[test]
fn the_table_reaches_the_plugin_in_each_syntax() {
    let home = home("[dspy]\nmodel = 'small'\n");
    home.say(&["check"]).ok();
    home.say(&["plan"]).ok();
    assert_eq!(table(&home), "{\"model\":\"small\",\"retries\":3}\n");
    let config = home.folder.beside("config/plugbay");
    fs::remove_file(config.join("host.toml")).unwrap();
    fs::write(config.join("host.yaml"), "dspy:\n  model: small\n  retries: 4\n").unwrap();
    assert_eq!(table(&home), "{\"model\":\"small\",\"retries\":4}\n");
    fs::remove_file(config.join("host.yaml")).unwrap();
    fs::write(config.join("host.json"), "{\"dspy\": {\"model\": \"json\"}}").unwrap();
    assert_eq!(table(&home), "{\"model\":\"json\",\"retries\":3}\n");
    let shown = home.say(&["inspect", "a"]).ok().stdout;
    assert!(shown.contains("[dspy]"), "{shown}");
}

#[test]
fn one_that_nobody_registers_is_an_unknown_key_with_its_place() {
    let home = home("name = 'x'\n\n[dpsy]\nmodel = 'm'\n\n[dspy]\nmodel = 'm'\n");
    for command in ["check", "plan", "run"] {
        let said = home.say(&[command]).failed(1, "PB1003");
        for words in ["line 3", "`dpsy`", "did you mean `dspy`?", "`plugins`"] {
            assert!(said.stderr.contains(words), "{command} {words}: {}", said.stderr);
        }
    }
    // What is no table cannot be a plugin's, and is told without a look at the folders.
    write(&home, "plugin = ['x']\n");
    let said = home.say(&["list"]).failed(1, "PB1003");
    assert!(said.stderr.contains("did you mean `plugins`?"), "{}", said.stderr);
}

#[test]
fn one_that_does_not_fit_is_told_with_its_place() {
    let home = home("[dspy]\nmodel = 'm'\nretries = 'often'\nmodle = 'n'\n");
    for command in ["check", "plan", "run"] {
        let said = home.say(&[command]).failed(1, "PB1501");
        for words in ["line 3", "a whole number", "line 4", "did you mean", "plugin `a`"] {
            assert!(said.stderr.contains(words), "{command} {words}: {}", said.stderr);
        }
    }
}

#[test]
fn two_that_register_one_name_are_both_named() {
    let home = home("[dspy]\nmodel = 'm'\n");
    home.folder.write("b.so", piece("b", "1.0.0", DSPY));
    let said = home.say(&["check"]);
    assert_eq!(said.exit, 3, "{}", said.stdout);
    for words in ["PB1531", "`a` has it", "`b` wants it", "1 ok, 1 refused"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    home.folder.write("b.so", piece("b", "1.0.0", "[host_config.plugins]\nschema = true\n"));
    let said = home.say(&["check"]);
    assert!(said.stdout.contains("PB1532"), "{}", said.stdout);
}

#[test]
fn another_value_reaches_a_plugin_that_serves_on_sighup() {
    let home = home("[dspy]\nmodel = 'one'\n");
    let host = running(&home);
    assert_eq!(table(&home), "{\"model\":\"one\",\"retries\":3}\n");
    write(&home, "[dspy]\nmodel = 'two'\n");
    host.signal("-HUP");
    host.line_with("a reloaded");
    assert_eq!(table(&home), "{\"model\":\"two\",\"retries\":3}\n");
    // What is wrong changes nothing, and ends nobody.
    write(&home, "[dspyy]\nmodel = 'three'\n");
    host.signal("-HUP");
    // A change that is seen comes after.
    home.folder.write("c.so", piece("c", "1.0.0", ""));
    host.signal("-HUP");
    host.line_with("c 1.0.0 loaded");
    assert_eq!(table(&home), "{\"model\":\"two\",\"retries\":3}\n");
    host.signal("-TERM");
    assert_eq!(host.wait().0.code(), Some(0));
}

#[test]
fn the_table_is_checked_for_the_one_that_has_it() {
    // The first by id does not run, and would take another one.
    let home = home("disabled = ['a']\n[dspy]\nsize = 1\n");
    let size = "[host_config.dspy.schema]\nadditionalProperties = false\n\
                properties = { size = { type = \"integer\" } }\n";
    home.folder.write("b.so", piece("b", "1.0.0", size));
    home.say(&["plan"]).ok();
    let said = home.say(&["check"]);
    assert!(!said.stdout.contains("PB15"), "{}{}", said.stdout, said.stderr);
    assert_eq!(home.say(&["call", "b:host_config", "\"dspy\""]).ok().stdout, "{\"size\":1}\n");
    write(&home, "disabled = ['a']\n[dspy]\nsize = 'x'\n");
    let said = home.say(&["plan"]).failed(1, "PB1501");
    assert!(said.stderr.contains("plugin `b`"), "{}", said.stderr);
    // It runs, and is refused for something else.
    write(&home, "[config.a]\nx = 1\n[dspy]\nsize = 1\n");
    home.folder.write("a.so", piece("a", "1.0.0", &format!("{DSPY}[config]\nschema = false\n")));
    let said = home.say(&["check"]);
    assert!(said.stdout.contains("1 ok, 1 refused"), "{}{}", said.stdout, said.stderr);
    assert!(!said.stdout.contains("PB1531"), "{}", said.stdout);
}

#[test]
fn a_new_version_and_its_new_table_are_taken_by_one_sighup_and_no_smaller_id_stands_in_the_way() {
    let home = Home::empty();
    home.folder.write("b.so", piece("b", "1.0.0", DSPY));
    write(&home, "[dspy]\nmodel = 'one'\n");
    let host = running(&home);
    home.folder.put_whole("b.so", &piece("b", "2.0.0", &DSPY.replace("model", "path")));
    home.folder.write("a.so", piece("a", "1.0.0", DSPY));
    write(&home, "[dspy]\npath = 'two'\n");
    host.signal("-HUP");
    host.line_with("b reloaded");
    let table = home.say(&["call", "b:host_config", "\"dspy\""]).ok().stdout;
    assert_eq!(table, "{\"path\":\"two\",\"retries\":3}\n");
    host.signal("-TERM");
    assert_eq!(host.wait().0.code(), Some(0));
}
