use super::*;

fn parse(text: &str) -> Result<Source, SourceError> {
    let defaults = CrateDefaults {
        version: "0.3.1".into(),
        authors: "Ann:Bob".into(),
        ..CrateDefaults::default()
    };
    Source::parse(text, &defaults)
}

#[test]
fn what_is_left_out_comes_from_the_crate() {
    let source = parse("id = \"x\"\n[commands.go]\nsummary = \"Goes.\"\n").unwrap();
    let manifest = source.manifest();
    assert_eq!(manifest.version, Version::new(0, 3, 1));
    assert_eq!(manifest.authors, ["Ann", "Bob"]);
    assert_eq!(manifest.name, "x");
    assert_eq!(manifest.state_version, 0);
    assert_eq!(source.command_line("go"), Some(2));
}

#[test]
fn what_is_said_of_results_is_read_as_milliseconds() {
    let text = "id = \"x\"\n[commands.go]\nsummary = \"\"\ncache = { ttl = \"1h 30m\" }\n";
    let source = parse(text).unwrap();
    let rule = source.manifest().commands["go"].cache.unwrap();
    assert_eq!((rule.ttl_ms, rule.ttl().as_secs()), (5_400_000, 5400));
    let json = serde_json::to_string(source.manifest()).unwrap();
    assert!(json.contains(r#""cache":{"ttl_ms":5400000}"#), "{json}");
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), *source.manifest());
}

#[test]
fn services_and_needs_are_lists() {
    let source = parse(
        "id = \"x\"\n\n[[services]]\nid = \"a.b\"\nversion = \"1.2\"\n\n\
         [[services]]\nid = \"a.b\"\nversion = \"2.0\"\n\n\
         [[needs]]\nid = \"a.c\"\nversion = \"1.1\"\noptional = true\n",
    )
    .unwrap();
    let manifest = source.manifest();
    assert_eq!((source.service_line(0), source.service_line(1)), (Some(3), Some(7)));
    let need = &manifest.needs[0];
    assert!(need.optional && !need.many && need.version.minor == 1);
    assert!(!manifest.services[0].satisfies(need));
    let json = serde_json::to_string(manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), *manifest);
}

#[test]
fn what_it_runs_with_and_not_is_read() {
    let source = parse(
        "id = \"x\"\nfeatures = [\"events\"]\ndeprecated = \"use y\"\n\
         activation = \"on-demand\"\nconflicts = [\"a@^1\", \"kind:k\"]\n\
         kinds = [\"plain\", { id = \"data_source\", source = \"postgres\" }]\n\
         integrates = [{ plugin = \"b\", kind = \"k\" }, { kind = \"k\" }]\n\
         [dependencies]\nsql = \"^2\"\nkv = { version = \"1\", optional = true }\n",
    )
    .unwrap();
    let manifest = source.manifest();
    assert_eq!(manifest.kinds, ["plain", "data_source"]);
    assert_eq!(manifest.sub_types["data_source"]["source"], "postgres");
    let dependencies: Vec<_> =
        manifest.dependencies.iter().map(|it| (it.id.as_str(), it.optional)).collect();
    assert_eq!(dependencies, [("kv", true), ("sql", false)]);
    assert_eq!(manifest.conflicts.len(), 2);
    assert_eq!(manifest.integrates[1].plugin, None);
    assert_eq!(manifest.activation, Activation::OnDemand);
    let json = serde_json::to_string(manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), *manifest);
}

#[test]
fn tables_of_the_hosts_configuration_are_read() {
    let source = parse(
        "id = \"x\"\n[host_config.dspy]\nextends = [\"pool\"]\n\
         [host_config.dspy.schema.properties.model]\ntype = \"string\"\n",
    )
    .unwrap();
    let manifest = source.manifest();
    let table = &manifest.host_config["dspy"];
    assert_eq!(table.extends, ["pool"]);
    assert_eq!(table.schema["properties"]["model"]["type"], "string");
    let json = serde_json::to_string(manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), *manifest);
}

#[test]
fn mistakes_are_told_with_their_line() {
    let long_version = format!("id = \"x\"\nversion = \"1.0.0-{}\"\n", "a".repeat(59));
    for (text, line, word) in [
        ("id = \"x\"\nlicense2 = \"MIT\"\n", "line 2", "license2"),
        ("id = \"x\"\nversion = \"one\"\n", "line 2", "version"),
        (&long_version, "line 2", "a version has at most 64"),
        ("id = \"X Y\"\n", "line 1", "no plugin id"),
        ("id = \"x\"\nkinds = [\n  \"a b\",\n]\n", "line 3", "a kind has"),
        ("id = \"x\"\n\n[commands.go]\nsummary = \"\"\narguments = 3\n", "line 5", "JSON Schema"),
        ("id = \"x\"\n[commands.\"a:b\"]\nsummary = \"\"\n", "line 2", "a command's name"),
        ("id = \"x\"\n[commands.go]\n", "line 2", "summary"),
        (
            "id = \"x\"\n[commands.go]\nsummary = \"\"\ncache = true\n",
            "line 4",
            "expected a table: { ttl = \"60s\" }",
        ),
        (
            "id = \"x\"\n[commands.go]\nsummary = \"\"\ncache = { ttl = \"60\" }\n",
            "line 4",
            "`60` is no time",
        ),
        ("id = \"x\"\n[commands.go]\nsummary = \"\"\ncache = { tll = \"60s\" }\n", "line 4", "tll"),
        ("id = \"x\"\n[[services]]\nid = \"a\"\nversion = \"1.0\"\n", "line 3", "whose it is"),
        ("id = \"x\"\n[[services]]\nid = \"a.b\"\nversion = \"1\"\n", "line 4", "two numbers"),
        (
            "id = \"x\"\nservices = [\n{ id = \"a.b\", version = \"1.0\" },\n\
             { id = \"a.b\", version = \"1.1\" },\n]\n",
            "line 4",
            "a.b 1.x is declared twice",
        ),
        ("id = \"x\"\nconflicts = [\n\"A\"]\n", "line 3", "is no conflict"),
        ("id = \"x\"\n[dependencies]\nx = \"1\"\n", "line 3", "depends on itself"),
        ("id = \"x\"\n[dependencies]\ny = \"one\"\n", "line 3", "version"),
        ("id = \"x\"\n[dependencies]\ny = { optionl = true }\n", "line 3", "optional"),
        ("id = \"x\"\nkinds = [{ source = \"a\" }]\n", "line 2", "id = "),
        ("id = \"x\"\nkinds = [\"k\", { id = \"k\" }]\n", "line 2", "named twice"),
        ("id = \"x\"\n[[integrates]]\n", "line 2", "a plugin, a kind, or both"),
        ("id = \"x\"\nactivation = \"later\"\n", "line 2", "on-demand"),
        ("id = \"x\"\n[host_config.dspy]\nschem = {}\n", "line 3", "schem"),
        ("id = \"x\"\n[host_config.dspy]\n", "line 2", "has a `schema`"),
        ("id = \"x\"\n[host_config.\"a.b\"]\nschema = {}\n", "line 2", "a letter first"),
        ("id = \"x\"\n[host_config.dspy]\nschema = 3\n", "line 3", "JSON Schema"),
        ("id = \"x\"\n[[needs]]\nid = \"a.b\"\nversion = \"1.0\"\nsome = 1\n", "line 5", "some"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(line) && error.contains(word), "{text}\n{error}");
    }
}
