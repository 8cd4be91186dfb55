//! Stacks, on real libraries: what a check promises is what runs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use plugbay_loader::interface::serde_json::{self, Value, json};
use plugbay_loader::{Explain, LoadPluginError, PluginState, Stack};
use plugbay_tests::{Folder, host_app, piece};

/// A folder of pieces, and the program on it.
struct Lab {
    folder: Folder,
    /// What the last host that ran had to say.
    notices: Mutex<String>,
}

/// What the program said.
struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

const TRACKER: &str = "kinds = [\"experiment_tracker\"]\n";
const SOURCE: &str = "kinds = [\"data_source\"]
[config.schema]
additionalProperties = false
properties.pool = { type = \"object\", properties = { size = { type = \"integer\", maximum = 10 } } }
properties.mode = { enum = [\"fast\", \"safe\"], default = \"safe\" }
properties.login = { type = \"string\", secret = true }
";

impl Lab {
    /// A platform that needs a store, two trackers, two versions of a data source, and
    /// something besides.
    fn new() -> Self {
        let lab = Self { folder: Folder::new(), notices: Mutex::default() };
        for name in ["cache", "data", "config", "runtime"] {
            fs::create_dir_all(lab.folder.beside(name)).unwrap();
        }
        lab.put("zenml", "1.0.0", "kinds = [\"ml_platform\"]\n[dependencies]\nstore = \"1\"\n");
        lab.put("store", "1.2.0", "");
        lab.put("mlflow", "2.0.0", TRACKER);
        lab.put("wandb", "3.0.0", TRACKER);
        lab.put("lake", "1.0.0", SOURCE);
        lab.put("lake", "2.1.0", SOURCE);
        lab.put("other", "1.0.0", "");
        lab
    }

    fn put(&self, id: &str, version: &str, more: &str) {
        self.folder.write(&format!("{id}-{version}.so"), piece(id, version, more));
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.beside(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(host_app());
        command
            .args(arguments)
            .current_dir(self.folder.beside(""))
            .env("XDG_CACHE_HOME", self.folder.beside("cache"))
            .env("XDG_DATA_HOME", self.folder.beside("data"))
            .env("XDG_CONFIG_HOME", self.folder.beside("config"))
            .env("XDG_RUNTIME_DIR", self.folder.beside("runtime"))
            .env("PLUGBAY_PLUGIN_PATH", self.folder.plugins())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn say(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn check(&self, file: &str) -> (i32, Value) {
        let said = self.say(&["stack", "check", file, "--json"]);
        (said.exit, said.json())
    }

    /// What runs of a stack, as `id version`, by id: it is started, asked, and ended.
    fn run(&self, arguments: &[&str]) -> Vec<String> {
        let arguments = [&["run", "--json"], arguments].concat();
        let mut child = self.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        // All that is missing is told at once.
        *self.notices.lock().unwrap() = started["notices"].to_string();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        stdout.read_to_string(&mut line).unwrap();
        assert!(child.wait().unwrap().success());
        names(&started["plugins"])
    }
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// `id version` of each, sorted.
fn names(plugins: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let plugins = plugins.as_array().unwrap().iter();
    let mut names: Vec<_> =
        plugins.map(|it| format!("{} {}", text(&it["id"]), text(&it["version"]))).collect();
    names.sort();
    names
}

/// `code member` of each problem.
fn problems(checked: &Value) -> Vec<String> {
    let problems = checked["problems"].as_array().unwrap().iter();
    problems
        .map(|it| format!("{} {}", it["code"].as_str().unwrap(), it["member"].as_str().unwrap()))
        .collect()
}

const RESEARCH: &str = "
name = 'research'
plugins = [
    'zenml (ml_platform)',
    { id = 'lake', version = '^2', kind = 'data_source', config = { pool = { size = 10 } } },
    { id = 'mlflow', kind = 'experiment_tracker' },
]
";

#[test]
fn what_a_check_promises_runs_and_nothing_else() {
    let lab = Lab::new();
    lab.write("research.toml", RESEARCH);
    let (exit, checked) = lab.check("research.toml");
    assert_eq!((exit, problems(&checked)), (0, vec![]), "{checked}");
    let expected = ["lake 2.1.0", "mlflow 2.0.0", "store 1.2.0", "zenml 1.0.0"];
    assert_eq!(names(&checked["run"]), expected);
    assert_eq!(lab.run(&["--stack", "research.toml"]), expected);
    // Whoever else asks what would run by it gets the same answer.
    let plan = lab.say(&["plan", "--stack", "research.toml", "--json"]).json();
    assert_eq!(names(&plan["run"]), expected);
    assert_eq!(names(&plan["outside"]), ["other 1.0.0", "wandb 3.0.0"]);
    let listed = lab.say(&["list", "--stack", "research.toml", "--json"]).json();
    assert_eq!(names(&listed["plugins"]), expected);
    let graph = lab.say(&["graph", "--stack", "research.toml"]).stdout;
    assert!(graph.contains("\"zenml 1.0.0\" -> \"store 1.2.0\"") && !graph.contains("other"));
    let locked =
        lab.say(&["lock", "--stack", "research.toml", "--lock", "l.lock", "--json"]).json();
    assert_eq!(locked["plugins"], 4);
    let why = lab.say(&["plan", "--stack", "research.toml", "--why", "other"]).stdout;
    assert!(why.contains("PB0321: is no member of the stack research"), "{why}");
    let said = lab.say(&["call", "--stack", "research.toml", "other:count"]);
    assert_eq!(said.exit, 3);
    assert!(said.stderr.contains("error[PB0321]"), "{}", said.stderr);
    assert_eq!(lab.say(&["call", "--stack", "research.toml", "zenml:count"]).stdout, "1\n");
    // By the config file it is the same, relative to it.
    fs::create_dir(lab.folder.beside("config/plugbay")).unwrap();
    lab.write("config/plugbay/host.toml", "stack = '../../research.toml'\n");
    assert_eq!(lab.run(&[]), expected);
}

#[test]
fn a_host_takes_a_stack_over_its_own_configuration() {
    let lab = Lab::new();
    let stack = Stack::read(&lab.write("research.toml", RESEARCH)).unwrap();
    let own = json!({ "pool": { "size": 3 }, "mode": "fast" });
    let host = lab.folder.host().stack(stack).config("lake", own).build().unwrap();
    host.start().unwrap();
    let given = host.call("lake", "config", json!(null)).unwrap();
    assert_eq!(given, json!({ "pool": { "size": 10 }, "mode": "fast" }));
    // Who loads something else by hand is told why not.
    let error = host.load("other").unwrap_err();
    assert_eq!(error.code(), "PB0321", "{error}");
    assert!(matches!(error, LoadPluginError::Refused(_)));
    let is_active = |id: &str| {
        host.plugins()
            .iter()
            .any(|it| it.manifest.id.as_str() == id && it.state == PluginState::Active)
    };
    // What a member needs ends with it.
    assert!(is_active("store"));
    host.disable("zenml").unwrap();
    assert!(!is_active("zenml") && !is_active("store") && is_active("lake"));
}

#[test]
fn members_that_exclude_each_other_are_told_with_the_reason() {
    let lab = Lab::new();
    lab.write("s.yaml", "plugins: [mlflow, lake@^2]\nconflicts: [[lake, mlflow]]\n");
    let (exit, checked) = lab.check("s.yaml");
    assert_eq!((exit, problems(&checked)), (3, vec!["PB1714 mlflow".to_owned()]), "{checked}");
    let message = checked["problems"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("mlflow 2.0.0: by the stack s, does not run beside lake 2.1.0"));
    assert_eq!(lab.run(&["--stack", "s.yaml"]), names(&checked["run"]));
    let plan = lab.say(&["plan", "--stack", "s.yaml", "--json"]).json();
    assert_eq!(plan["not_run"][0]["code"], "PB0322", "the other version of lake");
    assert_eq!(plan["not_run"][1]["code"], "PB0309", "{plan}");
    // Of a kind of which one runs, the stack's precedence says which.
    lab.write(
        "k.yaml",
        "plugins: [mlflow, wandb]\nprofile: machine-learning\n\
         plugin_precedence: {experiment_tracker: [mlflow]}\n",
    );
    let (exit, checked) = lab.check("k.yaml");
    assert_eq!((exit, problems(&checked)), (3, vec!["PB1714 wandb".to_owned()]));
}

#[test]
fn what_is_missing_is_named() {
    let lab = Lab::new();
    lab.write(
        "s.yaml",
        "
plugins:
  - {kind: serving_platfrm}
  - {name: mlfow}
  - {name: lake, version: ^3}
  - {name: wandb, type: data_source}
  - {name: gone, optional: true}
  - {name: mlflow, dependencies: [nobody]}
components: [Feature Store, zenml]
conflicts: [[mlflow, mlfloww]]
",
    );
    let (exit, checked) = lab.check("s.yaml");
    assert_eq!(exit, 3);
    assert_eq!(
        problems(&checked),
        [
            "PB1718 Feature Store",
            "PB1713 lake",
            "PB1711 nobody",
            "PB1711 mlfow",
            "PB1715 wandb",
            "PB1712 serving_platfrm",
        ]
    );
    let said = lab.say(&["stack", "check", "s.yaml"]).stdout;
    for words in [
        "no version ^3 is there, found 1.0.0, 2.1.0",
        "mlfow  PB1711: there is no such plugin; is `mlflow` meant?",
        "nobody, which mlflow depends on  PB1711",
        "the stack takes it as data_source, and wandb 3.0.0 is experiment_tracker",
        "note: gone is optional, and does not run: there is no such plugin",
        "note: `conflicts` names mlfloww, which is not there; is `mlflow` meant?",
        "The stack s is not whole: 6 problems.",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    // What runs all the same is what was promised; the host says what is missing.
    assert_eq!(lab.run(&["--stack", "s.yaml"]), names(&checked["run"]));
    let notices = lab.notices.lock().unwrap().clone();
    for words in
        ["PB1711: the stack s is not whole: mlfow: there is no such plugin", "PB1712", "PB1718"]
    {
        assert!(notices.contains(words), "{words}\n{notices}");
    }
    assert!(!notices.contains("PB1715"), "told with the file: {notices}");
    // Of a kind that is there any will do.
    lab.write(
        "t.yaml",
        "plugins: [{type: experiment_tracker}]\nkinds: {experiment_tracker: single}\n",
    );
    let (exit, checked) = lab.check("t.yaml");
    assert_eq!((exit, names(&checked["run"])), (0, vec!["wandb 3.0.0".to_owned()]));
}

#[test]
fn what_is_disabled_by_hand_stays_so_and_is_told() {
    let lab = Lab::new();
    lab.write("research.toml", RESEARCH);
    assert_eq!(lab.say(&["disable", "mlflow"]).exit, 0);
    let (exit, checked) = lab.check("research.toml");
    assert_eq!((exit, problems(&checked)), (3, vec!["PB1717 mlflow".to_owned()]));
    assert_eq!(checked["problems"][0]["help"], "let it run with: host-app enable mlflow");
    assert_eq!(
        lab.run(&["--stack", "research.toml"]),
        ["lake 2.1.0", "store 1.2.0", "zenml 1.0.0"]
    );
}

#[test]
fn a_configuration_that_does_not_fit_is_told_and_a_secret_is_not() {
    let lab = Lab::new();
    lab.write(
        "s.yaml",
        "plugins: {lake: {version: ^2, config: {pool: {size: 11}, login: hunter2}}}\n",
    );
    let (exit, checked) = lab.check("s.yaml");
    assert_eq!((exit, problems(&checked)), (3, vec!["PB1716 lake".to_owned()]), "{checked}");
    let message = checked["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("`pool.size`") && message.contains("10 or less"), "{message}");
    for arguments in [["stack", "show", "s.yaml", "--json"], ["stack", "check", "s.yaml", "--json"]]
    {
        let said = lab.say(&arguments);
        assert!(!said.stdout.contains("hunter2") && !said.stderr.contains("hunter2"));
    }
    assert_eq!(lab.run(&["--stack", "s.yaml"]), [""; 0]);
    // By the name alone, where the schema says nothing of it.
    lab.write("t.yaml", "plugins: {other: {config: {api_key: hunter2, size: 3}}}\n");
    let shown = lab.say(&["stack", "show", "t.yaml"]).stdout;
    assert!(shown.contains("\"api_key\": \"***\"") && shown.contains("\"size\": 3"), "{shown}");
}

/// The check promised what the host then refused.
#[test]
fn a_secret_that_is_not_there_is_told_by_every_look() {
    let lab = Lab::new();
    let secret = "{ env = \"NOBODY_HAS_SET_THIS\" }";
    lab.write("s.toml", &format!("plugins.lake.config.login = {secret}\n"));
    let (exit, checked) = lab.check("s.toml");
    // It may well be in the environment of the host.
    assert_eq!((exit, checked["problems"].as_array().unwrap().len()), (0, 0), "{checked}");
    let said = "lake 2.1.0: PB1504: the configuration does not fit the schema of the plugin \
                `lake`: the secret `login` cannot be had from the variable \
                `NOBODY_HAS_SET_THIS`: it is not set; a host that does not have it either refuses \
                the plugin";
    let told = |notes: &Value| {
        let told = notes[0].as_str().unwrap_or_default();
        assert!(told.starts_with(said) && notes.as_array().unwrap().len() == 1, "{notes}");
    };
    told(&checked["notes"]);
    let text = lab.say(&["stack", "check", "s.toml"]).stdout;
    assert!(text.contains(&format!("note: {said}")), "{text}");
    told(&lab.say(&["plan", "--stack", "s.toml", "--json"]).json()["advice"]);
    let here = lab.folder.plugins();
    let here = here.to_str().unwrap();
    let notices = lab.say(&["check", here, "--stack", "s.toml", "--json"]).json();
    told(&notices["notices"]);
    assert_eq!(lab.run(&["--stack", "s.toml"]), [""; 0]);
}

#[test]
fn a_plan_says_what_is_loaded_when_it_is_called() {
    let lab = Lab::new();
    let on_demand = "activation = \"on-demand\"\n[dependencies]\n";
    lab.put("lazy", "1.0.0", &format!("{on_demand}base = \"*\"\n"));
    // One that it needs, and one that is needed from the start.
    lab.put("base", "1.0.0", on_demand);
    lab.put("early", "1.0.0", on_demand);
    let early = "[dependencies]\nearly = \"*\"\n";
    lab.put("user", "1.0.0", &format!("{early}extra = {{ version = \"*\", optional = true }}\n"));
    lab.put("extra", "1.0.0", "");
    lab.write("s.toml", "plugins = ['lazy', 'user', 'extra']\n");
    let plan = lab.say(&["plan", "--stack", "s.toml", "--json"]).json();
    let run = plan["run"].as_array().unwrap().iter();
    let asleep = run.filter(|line| line["on_demand"] == json!(true));
    assert_eq!(names(&asleep.cloned().collect()), ["base 1.0.0", "lazy 1.0.0"]);
    let table = lab.say(&["plan", "--stack", "s.toml"]).stdout;
    assert!(table.contains("lazy 1.0.0 (on demand)"), "{table}");
    assert!(!table.contains("early 1.0.0 (on demand)"), "{table}");
    let tree = lab.say(&["plan", "--stack", "s.toml", "--tree"]).stdout;
    assert!(tree.contains("lazy 1.0.0 (on demand)\n└─ base 1.0.0 (on demand)\n"), "{tree}");
    assert!(tree.contains("user 1.0.0\n├─ early 1.0.0\n└─ extra 1.0.0 (optional)\n"), "{tree}");
    let why = lab.say(&["plan", "--stack", "s.toml", "--why", "lazy"]).stdout;
    assert!(why.contains("lazy 1.0.0 runs when it is called first, from "), "{why}");
}

#[test]
fn a_stack_is_shown_with_what_it_extends() {
    let lab = Lab::new();
    lab.write("research.toml", RESEARCH);
    lab.write(
        "team.yaml",
        "extends: research.toml\nplugins:\n  - {name: lake, config: {mode: fast}}\n  - {name: mlflow, enabled: false}\n  - wandb\n",
    );
    let shown = lab.say(&["stack", "show", "team.yaml", "--json"]).json();
    assert_eq!(shown["files"].as_array().unwrap().len(), 2);
    assert_eq!(
        shown["stack"]["plugins"][0],
        json!({
            "id": "lake", "version": "^2", "kind": "data_source",
            "config": { "pool": { "size": 10 }, "mode": "fast" },
        })
    );
    let expected = ["lake 2.1.0", "store 1.2.0", "wandb 3.0.0", "zenml 1.0.0"];
    let (exit, checked) = lab.check("team.yaml");
    assert_eq!((exit, names(&checked["run"])), (0, expected.map(ToOwned::to_owned).to_vec()));
    assert_eq!(lab.run(&["--stack", "team.yaml"]), expected);
    let text = lab.say(&["stack", "show", "team.yaml"]).stdout;
    for words in ["team", "from research.toml, team.yaml", "does not run", "^2"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    // A circle, a file that is gone, and a mistake.
    lab.write("research.toml", &RESEARCH.replace("plugins", "extends = 'team.yaml'\nplugins"));
    for (arguments, exit, code) in [
        (["plan", "--stack", "team.yaml"], 1, "PB1704"),
        (["plan", "--stack", "gone.yaml"], 4, "PB1701"),
    ] {
        let said = lab.say(&arguments);
        assert_eq!(said.exit, exit, "{}", said.stderr);
        assert!(said.stderr.contains(&format!("error[{code}]")), "{}", said.stderr);
    }
    lab.write("research.toml", &RESEARCH.replace("version", "verson"));
    let said = lab.say(&["stack", "show", "team.yaml"]);
    assert_eq!(said.exit, 1);
    assert!(said.stderr.contains("line 5") && said.stderr.contains("`version`"), "{}", said.stderr);
}

#[test]
fn four_spellings_run_the_same() {
    let lab = Lab::new();
    let expected = ["lake 2.1.0", "mlflow 2.0.0", "store 1.2.0", "zenml 1.0.0"];
    for (name, text) in [
        ("own.toml", RESEARCH.to_owned()),
        (
            "components.yaml",
            "name: research\ncomponents: [zenml]\nplugins:\n  - {type: data_source, name: lake, version: ^2, config: {pool: {size: 10}}}\n  - {type: experiment_tracker, name: mlflow}\n".to_owned(),
        ),
        (
            "composition.json",
            json!({
                "composition_name": "research",
                "plugins": [
                    "mlflow-plugin (experiment_tracker)", "lake@^2 (data_source)",
                    "zenml-plugin (ml_platform)",
                ],
            })
            .to_string(),
        ),
        (
            "plugins.yaml",
            "plugins:\n  zenml: {dependencies: [mlflow, 'lake@^2']}\n  lake: {enabled: true, config: {pool: {size: 10}}}\n  wandb: {enabled: false}\n".to_owned(),
        ),
    ] {
        lab.write(name, &text);
        let (exit, checked) = lab.check(name);
        assert_eq!(exit, 0, "{name}: {checked}");
        assert_eq!(names(&checked["run"]), expected, "{name}");
        assert_eq!(lab.run(&["--stack", name]), expected, "{name}");
        if name == "composition.json" {
            let note = "mlflow-plugin stands for the plugin mlflow";
            assert_eq!(checked["notes"][0], note);
        }
    }
}
