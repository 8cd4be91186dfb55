//! Hosts and plugins of all interfaces, with each other: those that were frozen when
//! they were released, and those of this tree, in debug and release, by two compilers.
//!
//! A host is a program of its own (`tests/fixtures/plainhost`), which is told what to do
//! and says what came of it. So one that crashes is seen as such.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plugbay_interface::semver::Version;
use plugbay_tests::{Folder, Variant, root};
use serde_json::{Value, json};

use Expected::{Fails, Has, Is};

/// What one build gave: a host, and plugins.
struct Built {
    /// For people.
    name: String,
    /// Of the interface.
    version: String,
    folder: PathBuf,
    nightly: bool,
}

impl Built {
    fn semver(&self) -> Version {
        self.version.parse().unwrap()
    }

    fn since(&self, minor: u64) -> bool {
        self.semver().minor >= minor
    }

    fn host(&self) -> PathBuf {
        self.folder.join("plainhost")
    }

    fn library(&self, plugin: &str) -> PathBuf {
        self.folder.join(format!("lib{plugin}.so"))
    }

    /// Those of the plugins that this build has.
    fn plugins(&self) -> Vec<&'static str> {
        let all = ["misbehave", "kv", "greeter", "latergreeter"];
        all.into_iter().filter(|plugin| self.library(plugin).exists()).collect()
    }
}

/// The frozen ones for this target, the oldest first.
fn frozen() -> Vec<Built> {
    let versions = fs::read_dir(root().join("tests/frozen")).unwrap();
    let mut found: Vec<_> = versions
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .map(|(version, path)| (version, path.join(plugbay_interface::TARGET)))
        .filter(|(_, folder)| folder.is_dir())
        .map(|(version, folder)| Built { name: version.clone(), version, folder, nightly: false })
        .collect();
    found.sort_by_key(Built::semver);
    found
}

/// This tree's, by one compiler; none where it is not installed.
fn of_today(variant: Variant) -> Option<Built> {
    let packages = [
        "plugbay-fixture-plainhost",
        "plugbay-fixture-misbehave",
        "plugbay-fixture-greeter",
        "plugbay-fixture-latergreeter",
        "plugbay-plugin-kv",
    ];
    let Variant { nightly, release } = variant;
    let compiler = if nightly { "nightly" } else { "stable" };
    let profile = if release { "release" } else { "debug" };
    Some(Built {
        name: format!("today's, {compiler}, {profile}"),
        version: plugbay_interface::VERSION.to_owned(),
        folder: variant.build(&packages)?,
        nightly,
    })
}

/// The project's own compiler, in debug and release.
fn of_today_and_before() -> Vec<Built> {
    let mut built = frozen();
    if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
        assert!(built.len() >= 2, "1.0.0 and 1.1.0 are frozen");
    } else if built.is_empty() {
        println!("not tried: nothing was frozen for {}", plugbay_interface::TARGET);
    }
    let variants = [false, true].map(|release| Variant { nightly: false, release });
    built.extend(variants.into_iter().filter_map(of_today));
    built
}

/// What is to be done, and what must come of it.
#[derive(Default)]
struct Script {
    steps: Vec<Value>,
    expected: Vec<Expected>,
}

enum Expected {
    Is(Value),
    /// Of the object, these.
    Has(Value),
    /// The code, and words of the message.
    Fails(&'static str, String),
}

impl Script {
    fn step(&mut self, step: Value, expected: Expected) {
        self.steps.push(step);
        self.expected.push(expected);
    }

    fn call(&mut self, plugin: &str, command: &str, arguments: Value, expected: Expected) {
        self.step(json!(["call", plugin, command, arguments]), expected);
    }

    #[track_caller]
    fn check(&self, pair: &str, told: &Value) {
        let answers = told["answers"].as_array().unwrap();
        assert_eq!(answers.len(), self.steps.len(), "{pair}");
        for ((step, expected), answer) in self.steps.iter().zip(&self.expected).zip(answers) {
            let fits = match expected {
                Expected::Is(value) => answer["ok"] == *value && answer.get("ok").is_some(),
                Expected::Has(value) => {
                    assert!(answer.get("ok").is_some(), "{pair}: {step} gives {answer}");
                    let mut members = value.as_object().unwrap().iter();
                    members.all(|(name, value)| answer["ok"][name] == *value)
                }
                Expected::Fails(code, words) => {
                    let said = answer["error"]["message"].as_str().unwrap_or_default();
                    // A panic of a command brings the addresses of its frames along.
                    let frames = answer["error"]["lines"].as_u64() > Some(1);
                    let panicked = *code == "PB0706";
                    answer["error"]["code"] == *code && said.contains(words) && frames == panicked
                }
            };
            assert!(fits, "{pair}: {step} gives {answer}");
        }
    }
}

/// What every plugin of every version does in every host.
fn misbehaves(script: &mut Script, host: &Built, plugin: &Built) {
    let value = json!({"text": "ä", "n": [1, null]});
    script.call("misbehave", "echo", value.clone(), Is(value));
    let words = "the answer cannot be computed: invalid digit found in string";
    script.call("misbehave", "fail", json!({}), Fails("PB0705", words.into()));
    script.call("misbehave", "panic", json!({"message": "ouch"}), Fails("PB0706", "ouch".into()));
    script.call("misbehave", "sing", json!({}), Fails("PB0703", "sing".into()));
    script.call("misbehave", "panic", json!({}), Fails("PB0704", "message".into()));
    script.call("misbehave", "spawn_panic", json!({}), Is(json!(true)));
    script.call("misbehave", "caught_panic", json!(null), Is(json!(true)));
    script.call("misbehave", "log", json!({}), Is(json!(null)));
    script.call("misbehave", "thread_local", json!({}), Is(json!(1)));
    script.call("misbehave", "where_am_i", json!({}), Has(json!({"id": "misbehave"})));
    script.call("misbehave", "count", json!({}), Is(json!(1)));
    // Who has no hooks, on either side, is kept in memory.
    let pinned = match host.since(1) && plugin.since(1) {
        true => Value::Null,
        false => json!("kept mapped, as closing is not known to be safe"),
    };
    let ended = json!({"state_kept": true, "failures": [], "pinned": pinned});
    script.step(json!(["unload", "misbehave"]), Has(ended));
}

/// The state goes from one version to another, and back: the file is replaced.
fn changes_hands(script: &mut Script, host: &Built, plugins: &[&Built], place: &Path) {
    script.step(json!(["load", "misbehave"]), Has(json!({})));
    for (at, plugin) in plugins.iter().enumerate() {
        script.step(json!(["put", plugin.library("misbehave"), place]), Is(Value::Null));
        if host.since(1) {
            script.step(json!(["reload", "misbehave"]), Has(json!({"state": 1})));
        } else {
            script.step(json!(["unload", "misbehave"]), Has(json!({"state_kept": true})));
            script.step(json!(["load", "misbehave"]), Has(json!({})));
        }
        script.call("misbehave", "count", json!({}), Is(json!(at + 2)));
    }
}

/// A contract, asked for in both of its minor versions, of two providers of the one and
/// the other: by the host, and by each of the providers.
fn greets(script: &mut Script, host: &Built) {
    if !host.since(2) {
        // Neither side knows the other's version; the plugin says what it lacks.
        let words = "this host is older than services (interface 1.2)";
        for asking in ["greeter", "latergreeter"] {
            script.call(asking, "ask", json!("greeter"), Fails("PB0705", words.into()));
        }
        return;
    }
    let answers = |greet: &str, mood: &str, language: Option<&str>| {
        let failed = |code, message, panic| json!({"code": code, "message": message, "panic": panic, "placed": true});
        let mut all = json!({
            "add": 42,
            "greet": greet,
            "mood": mood,
            "error": failed("no", "it was told to fail", false),
            "panic": failed("panic", "it was told to panic", true),
            "sum": 6,
        });
        if let Some(language) = language {
            all["language"] = json!(language);
        }
        all
    };
    // What one side does not know, the other one has a default for.
    let of_earlier = json!({
        "earlier": answers("Good evening, Ada", "Calm", None),
        "later": answers("Good evening, Ada", "Calm", Some("unknown")),
    });
    let of_later = json!({
        "earlier": answers("Good evening, Ada", "Other", None),
        "later": answers("Good evening, Lady Ada", "Merry(3)", Some("English")),
    });
    for (asked, expected) in [("greeter", of_earlier), ("latergreeter", of_later)] {
        script.step(json!(["ask", asked]), Is(expected.clone()));
        for asking in ["greeter", "latergreeter"] {
            script.call(asking, "ask", json!(asked), Is(expected.clone()));
        }
    }
    let words = "does not offer test.greeter 1";
    script.step(json!(["ask", "kv"]), Fails("PB1401", words.into()));
}

/// One host with the plugins of one build; of `neighbour` is the greeter of the later
/// version.
fn meet(host: &Built, plugin: &Built, neighbour: &Built, others: &[&Built], probe: bool) {
    let pair = format!(
        "host: {}; plugins: {}; beside them: {}; probe: {probe}",
        host.name, plugin.name, neighbour.name
    );
    let folder = Folder::new();
    let mut expected = Vec::new();
    for name in plugin.plugins() {
        let of = if name == "latergreeter" { neighbour } else { plugin };
        folder.put(&of.library(name), &format!("{name}.so"));
        expected.push((name, of.version.as_str()));
    }
    expected.sort_unstable();

    let mut script = Script::default();
    misbehaves(&mut script, host, plugin);
    changes_hands(&mut script, host, others, &folder.plugins().join("misbehave.so"));
    let key = |by| json!({"key": "visits", "by": by});
    script.call("kv", "increment", key(41), Has(json!({"value": 41})));
    script.call("kv", "increment", key(1), Has(json!({"value": 42})));
    if plugin.since(2) {
        greets(&mut script, host);
    }

    let told = run(&pair, host, &folder, probe, &script.steps);
    assert_eq!(told["interface"], host.version.as_str(), "{pair}");
    assert_eq!(told["refused"], json!([]), "{pair}");
    let active: Vec<_> = told["active"].as_array().unwrap().iter().collect();
    let active: Vec<_> = active
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["interface"].as_str().unwrap()))
        .collect();
    assert_eq!(active, expected, "{pair}");
    for (built, rustc) in [(host, &told["rustc"]), (plugin, &told["active"][0]["rustc"])] {
        assert_eq!(rustc.as_str().unwrap().contains("nightly"), built.nightly, "{pair}");
    }
    script.check(&pair, &told);
    let ended = told["ended"].as_array().unwrap();
    assert_eq!(ended.len(), expected.len(), "{pair}");
    for one in ended {
        assert_eq!(one["ok"]["failures"], json!([]), "{pair}: {one}");
    }
}

/// Runs the host's program, which must come to its own end.
fn run(pair: &str, host: &Built, folder: &Folder, probe: bool, steps: &[Value]) -> Value {
    let told = json!({
        "plugins": folder.plugins(),
        "cache": folder.beside("cache"),
        "data": folder.beside("data"),
        "probe": probe,
        "steps": steps,
    });
    let mut child = Command::new(host.host())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_BACKTRACE")
        .env("HOME", folder.beside("home"))
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(told.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pair}: {}\n{said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{pair}: {error}\n{said}"))
}

/// All pairs that `wanted` wants, with and without a child process that tries first.
/// How many there are.
fn all_pairs(built: &[Built], wanted: impl Fn(&Built, &Built) -> bool) -> usize {
    let all: Vec<_> = built.iter().collect();
    let with_services: Vec<_> = all.iter().copied().filter(|one| one.since(2)).collect();
    let mut neighbours = with_services.into_iter().cycle();
    let mut met = 0;
    for host in built {
        for (at, plugin) in built.iter().enumerate().filter(|(_, plugin)| wanted(host, plugin)) {
            met += 1;
            // All others take over the state, and at last it comes back.
            let others: Vec<_> = all.iter().copied().cycle().skip(at + 1).take(all.len()).collect();
            for probe in [true, false] {
                meet(host, plugin, neighbours.next().unwrap(), &others, probe);
            }
        }
    }
    met
}

/// Those of the nightly compiler with each other, and with all others.
fn with_nightly(release: bool) {
    let Some(of_nightly) = of_today(Variant { nightly: true, release }) else {
        println!("not tried: no nightly toolchain is installed here");
        return;
    };
    let mut built = of_today_and_before();
    let others = built.len();
    built.push(of_nightly);
    let pairs = all_pairs(&built, |host, plugin| host.nightly || plugin.nightly);
    assert_eq!(pairs, 2 * others + 1);
}

#[test]
fn hosts_and_plugins_of_all_releases_and_of_this_tree_work_together() {
    let built = of_today_and_before();
    assert_eq!(all_pairs(&built, |_, _| true), built.len() * built.len());
}

#[test]
fn so_do_those_of_another_compiler() {
    with_nightly(false);
}

#[test]
#[ignore = "builds the loader once more, which takes minutes: scripts/test --long"]
fn so_do_those_of_another_compiler_in_release() {
    with_nightly(true);
}
