//! Mistakes in stack files, as somebody reads them.

mod support;

use support::wrong;

#[test]
fn every_mistake_has_its_line_its_key_and_what_was_expected() {
    for (ending, text, words) in [
        ("toml", "plugin = ['a']", &["line 1", "`plugin`", "did you mean `plugins`?"][..]),
        (
            "toml",
            "plugins = [\n  'a',\n  { id = 'b', verson = '1' },\n]",
            &["line 3", "`verson`", "did you mean `version`?"],
        ),
        (
            "yaml",
            "plugins:\n  a:\n    confg: {}\n",
            &["line 3", "`confg`", "did you mean `config`?"],
        ),
        ("yaml", "plugins:\n  a: {id: b}\n", &["line 2", "no key `id`"]),
        (
            "yaml",
            "plugins:\n  - a\n  - A b\n",
            &["line 3", "`plugins[1]`", "\"sql (data_source)\""],
        ),
        ("yaml", "plugins:\n  - a (data source)\n", &["line 2", "a kind is 1 to 64 letters"]),
        ("yaml", "plugins:\n  - a@one\n", &["line 2", "\"sql@^2\""]),
        ("yaml", "plugins:\n  - 3\n", &["line 2", "expected a plugin's id, or a table", "found 3"]),
        ("yaml", "plugins: a\n", &["line 1", "expected a list of plugins, or a table"]),
        (
            "yaml",
            "plugins:\n  - {optional: true}\n",
            &["line 2", "an `id` (or `name`), or a `kind`"],
        ),
        (
            "yaml",
            "plugins:\n  - {kind: k, config: {a: 1}}\n",
            &["line 2", "`config` is for one plugin"],
        ),
        (
            "yaml",
            "plugins:\n  - {name: a, id: b}\n",
            &["line 2", "there twice, perhaps by two names"],
        ),
        ("yaml", "plugins:\n  - {name: B C}\n", &["line 2", "no plugin id"]),
        ("yaml", "plugins:\n  - a\n  - {name: a}\n", &["line 3", "`a` is in this list twice"]),
        (
            "yaml",
            "plugins:\n  - {name: snow, config: {a: 1}}\n  - {name: snow-plugin}\n",
            &["line 3, column 5", "`snow-plugin` is in this list twice: `snow` may mean the same"],
        ),
        (
            "toml",
            "[plugins.snow-plugin]\n[plugins.snow]\nversion = '2'\n",
            &["line 2, column 10", "`snow` is in this list twice: `snow-plugin` may", "one range"],
        ),
        (
            "yaml",
            "components: [snow_plugin,\n snow-plugin]\n",
            &["line 2", "`snow-plugin` is in this list twice: `snow_plugin` may mean the same"],
        ),
        (
            "yaml",
            "plugins:\n  - {kind: k}\n  - {type: k}\n",
            &["line 3", "any `k` is in this list twice"],
        ),
        (
            "yaml",
            "plugins: [a]\ncomponents: [{type: k}]\n",
            &["line 2", "expected an `id` (or `name`)"],
        ),
        ("yaml", "plugins: [a]\ncomponents: [b, b]\n", &["line 2", "`b` is in this list twice"]),
        ("yaml", "plugins: [a]\nconflicts:\n  - [a]\n", &["line 3", "two plugins or more"]),
        (
            "yaml",
            "plugins: [a]\nconflicts:\n  - [a, b, a]\n",
            &["line 3", "`a` is in conflict with itself here\n"],
        ),
        (
            "yaml",
            "plugins: [a]\nconflicts:\n  - [snow, b, snow-plugin]\n",
            &["line 3", "`snow-plugin` is in conflict with itself here: `snow` may mean the same"],
        ),
        ("yaml", "plugins: {a: {dependencies: [B]}}\n", &["line 1", "names no plugin"]),
        ("yaml", "plugins: {a: {enabled: 'yes'}}\n", &["line 1", "`true` or `false`"]),
        ("yaml", "plugins: {a: {config: [1]}}\n", &["line 1", "expected a table"]),
        ("toml", "plugins = ['a']\nprofile = 'ml2'", &["line 2", "machine-learning"]),
        ("toml", "plugins = ['a']\n[kinds]\nk = 'lots'", &["line 3", "a rule is"]),
        (
            "toml",
            "plugins = ['a']\nname = 'a'\ncomposition_name = 'b'",
            &["line 3", "`composition_name` is another name of `name`"],
        ),
        (
            "toml",
            "plugins = ['a']\nextends = 3",
            &["line 2", "expected a file, or a list of files"],
        ),
        ("toml", "description = 'nothing'", &["names nothing that shall run"]),
        ("yaml", "plugins: [\n", &["line"]),
        ("conf", "plugins: [a]\n", &["the name of the stack file s.conf does not tell its syntax"]),
        (
            "toml",
            "plugins = [\n  'sql@^1',\n  'sql@^2',\n]",
            &["line 3", "`sql` is in this list twice", "sql@>=1, <3"],
        ),
    ] {
        let told = wrong(ending, text);
        assert!(told.starts_with("PB1702: "), "{text}\n{told}");
        assert!(told.contains("\nhelp: ") && !told.contains("config file"), "{told}");
        for word in words {
            assert!(told.contains(word), "{text}\n{word}\n{told}");
        }
    }
}

#[test]
fn a_conflict_of_everybody_with_everybody_is_refused() {
    let names: Vec<_> = (0..40).map(|at| format!("p{at}")).collect();
    let told = wrong("yaml", &format!("plugins: [a]\nconflicts: [[{}]]\n", names.join(", ")));
    assert!(told.contains("line 2") && told.contains("more than 32 plugins"), "{told}");
}

#[test]
fn a_secret_that_stands_on_a_wrong_line_is_not_told() {
    let told = wrong("yaml", "plugins:\n  - {name: a, password: hunter2}\n");
    assert!(!told.contains("hunter2") && told.contains("no key `password`"), "{told}");
}

#[test]
fn what_a_plugin_is_configured_with_is_not_told_where_something_else_is_wrong() {
    for (ending, text) in [
        ("yaml", "plugins:\n  - {name: a, config: {dsn: hunter2}, optionl: true}\n"),
        ("yaml", "plugins:\n  - {optional: true, config: {dsn: hunter2}}\n"),
        ("yaml", "plugins:\n  - {kind: k, config: {dsn: hunter2}}\n"),
        ("yaml", "plugins: [{name: a, config: {dsn: hunter2}}, a]\n"),
        ("yaml", "plugins: [a, {name: a, config: {dsn: hunter2}}]\n"),
        ("json", r#"{"plugins": {"a": {"config": {"dsn": "hunter2"}}}, "profile": "ml2"}"#),
        ("json", r#"{"plugins": {"a": {"config": {"dsn": "hunter2"}}},}"#),
        ("toml", "plugins.a = { config = 'hunter2' }\n"),
    ] {
        let told = wrong(ending, text);
        assert!(!told.contains("hunter2") && told.contains("***"), "{text}\n{told}");
    }
}
