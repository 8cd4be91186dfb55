//! What a host knows of its plugins when it is started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::registry::{
    Choice, ContentHash, FileRegistry, HistoryQuery, Limits, MemoryRegistry, Opened, Query,
    Registry, Selector, SqliteRegistry, Verdict,
};
use plugbay_loader::{
    Active, Explain, Happening, Host, HostBuilder, KindRule, Notice, PluginState, Probe,
    StartReport, WatchOptions, full_message,
};
use plugbay_tests::{Folder, broken_piece, build, piece, until, with_embedded, worker};

const TRACKER: &str = "kinds = [\"tracker\"]\n";

fn file(folder: &Folder) -> PathBuf {
    folder.beside("registry.db")
}

fn opened(path: &Path) -> Opened<SqliteRegistry> {
    SqliteRegistry::open(path).unwrap()
}

/// A host with the folder's registry, of which one tracker runs at a time.
fn builder(folder: &Folder) -> HostBuilder {
    let opened = opened(&file(folder));
    assert_eq!(opened.set_aside, []);
    single(folder.host().registry(Arc::new(opened.registry)))
}

fn single(builder: HostBuilder) -> HostBuilder {
    builder.policy(|policy| {
        let rule = KindRule { active: Active::Single, chain: false };
        policy.kinds.insert("tracker".into(), rule);
    })
}

fn start(folder: &Folder) -> (Host, StartReport) {
    let host = builder(folder).build().unwrap();
    let report = host.start().unwrap();
    (host, report)
}

fn active(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    let active = plugins.iter().filter(|one| one.state == PluginState::Active);
    active.map(|one| format!("{} {}", one.manifest.id, one.manifest.version)).collect()
}

/// Id, version and status of all that is recorded.
fn recorded(registry: &dyn Registry) -> Vec<String> {
    let records = registry.query(&Query::new()).unwrap();
    records.iter().map(|it| format!("{} {} {}", it.id, it.version, it.status)).collect()
}

fn told(registry: &dyn Registry, plugin: &str) -> Vec<String> {
    let mut events = registry.history(&HistoryQuery::new().of(plugin.parse().unwrap())).unwrap();
    events.reverse();
    events.iter().map(|event| event.kind.to_string()).collect()
}

#[test]
fn what_runs_and_what_not_is_recorded_with_its_reason() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", "description = \"Counts\"\n"));
    folder.write("b.so", broken_piece("b", "1.0.0", ""));
    folder.write("c.so", piece("c", "1.0.0", "[dependencies]\nb = \"1\"\n"));
    let (host, _) = start(&folder);
    host.stop();
    let registry = opened(&file(&folder)).registry;
    assert_eq!(recorded(&registry), ["a 1.0.0 active", "b 1.0.0 refused", "c 1.0.0 refused"]);
    let records = registry.query(&Query::new()).unwrap();
    let [a, b, c] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((a.description.as_str(), &a.verdict), ("Counts", &Verdict::Survived));
    assert_eq!(a.path, folder.plugins().join("a.so"));
    let bytes = fs::read(&a.path).unwrap();
    assert_eq!(a.hash, ContentHash::from_bytes(*blake3::hash(&bytes).as_bytes()));
    let reason = |it: &plugbay_loader::registry::PluginRecord| {
        let reason = it.reason.clone().unwrap();
        format!("{}: {}", reason.code.unwrap(), reason.text)
    };
    // Not in the plugin's own words, which may quote its configuration.
    assert_eq!(reason(b), "PB0601: activation failed");
    assert!(reason(c).starts_with("PB0307: needs b ^1; b 1.0.0 is not run"), "{}", reason(c));
    assert!(!reason(c).contains("out of order"), "{}", reason(c));
    assert_eq!(told(&registry, "a"), ["loaded", "unloaded"]);
    assert_eq!(told(&registry, "b"), ["refused"]);
}

#[test]
fn what_changes_while_a_host_runs_is_recorded() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, _) = start(&folder);
    folder.write("a.so", piece("a", "1.1.0", ""));
    host.reload("a").unwrap();
    host.rollback("a").unwrap();
    host.unload("b").unwrap();
    host.stop();
    let registry = opened(&file(&folder)).registry;
    assert_eq!(recorded(&registry), ["a 1.1.0 held_back", "a 1.0.0 active", "b 1.0.0 unloaded"]);
    assert_eq!(told(&registry, "a"), ["loaded", "reloaded", "rolled_back", "unloaded"]);
    assert_eq!(told(&registry, "b"), ["loaded", "unloaded"]);
    drop((host, registry));
    // A file that is gone is told as such.
    fs::remove_file(folder.plugins().join("b.so")).unwrap();
    let (host, _) = start(&folder);
    host.stop();
    let registry = opened(&file(&folder)).registry;
    assert_eq!(recorded(&registry).last().unwrap(), "b 1.0.0 gone");
}

#[test]
fn what_is_disabled_by_hand_stays_so_until_it_is_enabled() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, _) = start(&folder);
    assert_eq!(host.disable("a").unwrap().failures, [""; 0]);
    // It is on the disk already.
    let kept = opened(&file(&folder)).registry.wishes().unwrap();
    assert_eq!(kept["a"].choice, Choice::Disabled);
    drop(host);
    for _ in 0..2 {
        let (host, report) = start(&folder);
        assert_eq!(active(&host), ["b 1.0.0"]);
        assert_eq!(report.refused[0].error.code(), "PB0305");
        assert!(recorded_after(host, &folder).contains(&"a 1.0.0 disabled".into()));
    }
    let (host, _) = start(&folder);
    host.enable("a").unwrap();
    drop(host);
    let (host, _) = start(&folder);
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    // Not for hosts of other registries.
    let elsewhere = folder.host().name("other").registry(Arc::new(MemoryRegistry::new()));
    host.disable("b").unwrap();
    let elsewhere = elsewhere.build().unwrap();
    elsewhere.start().unwrap();
    assert_eq!(active(&elsewhere), ["a 1.0.0", "b 1.0.0"]);
}

fn recorded_after(host: Host, folder: &Folder) -> Vec<String> {
    drop(host);
    recorded(&opened(&file(folder)).registry)
}

#[test]
fn what_is_enabled_by_hand_takes_the_place_of_its_rivals_and_keeps_it() {
    let folder = Folder::new();
    folder.write("m.so", piece("m", "2.0.0", TRACKER));
    folder.write("w.so", piece("w", "1.0.0", TRACKER));
    let (host, _) = start(&folder);
    assert_eq!(active(&host), ["m 2.0.0"]);
    host.call("m", "count", json!(null)).unwrap();
    assert_eq!(host.enable("w").unwrap().manifest.id.as_str(), "w");
    assert_eq!(active(&host), ["w 1.0.0"]);
    // Once more is no error.
    host.enable("w").unwrap();
    drop(host);
    let (host, report) = start(&folder);
    assert_eq!(active(&host), ["w 1.0.0"]);
    let said = report.refused[0].to_string();
    assert!(said.contains("w 1.0.0 runs: it was enabled by hand"), "{said}");
    host.disable("w").unwrap();
    assert_eq!(active(&host), ["m 2.0.0"]);
    // Also without a registry, as long as the host lives.
    let host = single(folder.host().name("other")).build().unwrap();
    host.start().unwrap();
    host.enable("w").unwrap();
    assert_eq!(active(&host), ["w 1.0.0"]);
}

#[test]
fn versions_that_are_enabled_are_the_only_ones_that_run() {
    let folder = Folder::new();
    folder.write("a-1.so", piece("a", "1.4.0", ""));
    folder.write("a-2.so", piece("a", "2.0.0", ""));
    let (host, _) = start(&folder);
    assert_eq!(active(&host), ["a 2.0.0"]);
    let error = host.enable("a@^3").unwrap_err();
    assert_eq!(error.code(), "PB0910");
    assert_eq!(error.to_string(), "no version in the plugins folders is a@^3: 1.4.0, 2.0.0");
    assert_eq!(active(&host), ["a 2.0.0"]);
    assert_eq!(host.enable("a@^1").unwrap().manifest.version.to_string(), "1.4.0");
    drop(host);
    let (host, _) = start(&folder);
    assert_eq!(active(&host), ["a 1.4.0"]);
    host.enable("a").unwrap();
    assert_eq!(active(&host), ["a 2.0.0"]);
    assert_eq!(host.enable("a@one").unwrap_err().code(), "PB0901");
    assert_eq!(host.enable("nobody").unwrap_err().code(), "PB0905");
}

#[test]
fn one_that_is_enabled_and_does_not_come_up_leaves_the_place_to_its_rival() {
    let folder = Folder::new();
    folder.write("m.so", piece("m", "1.0.0", TRACKER));
    folder.write("w.so", broken_piece("w", "1.0.0", TRACKER));
    let (host, _) = start(&folder);
    assert_eq!(active(&host), ["m 1.0.0"]);
    assert_eq!(host.enable("w").unwrap_err().code(), "PB0601");
    assert_eq!(active(&host), ["m 1.0.0"]);
}

/// What a child process is to do; the same test is its program.
const WHERE: &str = "PLUGBAY_TEST_REGISTRY";
const HOW: &str = "PLUGBAY_TEST_ACTIVATE";
const MISBEHAVE: &str = "misbehave";

/// A host in a process of its own, on this folder.
fn child(test: &str, folder: &Folder, how: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(WHERE, folder.plugins().parent().unwrap())
        .env(HOW, how)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// In the child: what it says is one line, `runs` and the plugins, or why not.
fn be_the_child() -> bool {
    let Some(root) = std::env::var_os(WHERE) else { return false };
    let root = Path::new(&root);
    let registry = SqliteRegistry::open(&root.join("registry.db")).unwrap().registry;
    let host = Host::builder()
        .plugin_dir(root.join("plugins"))
        .cache_dir(root.join("cache"))
        .data_dir(root.join("data"))
        .worker(worker())
        .probe(Probe::Never)
        .config(MISBEHAVE, json!({ "activate": std::env::var(HOW).unwrap() }))
        .registry(Arc::new(registry))
        .build()
        .unwrap();
    let report = host.start().unwrap();
    println!("\nruns {}", active(&host).join(", "));
    for refusal in &report.refused {
        println!("refused {}: {}", refusal.error.code(), refusal.reason());
        println!("help {}", refusal.error.hint());
    }
    true
}

/// How it ended, and what it said.
fn ended(mut child: Child) -> (ExitStatus, Vec<String>) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let words = ["runs ", "refused ", "help "];
    let lines = lines.filter(|line| words.iter().any(|word| line.starts_with(word))).collect();
    (child.wait().unwrap(), lines)
}

fn misbehave(folder: &Folder) {
    folder.put(&build("plugbay-fixture-misbehave"), "misbehave.so");
}

#[test]
fn a_plugin_that_aborts_in_activate_is_held_back_after_its_second_crash() {
    const TEST: &str = "a_plugin_that_aborts_in_activate_is_held_back_after_its_second_crash";
    if be_the_child() {
        return;
    }
    let folder = Folder::new();
    misbehave(&folder);
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("z.so", piece("z", "1.0.0", ""));
    // In a level with two others, then alone.
    for _ in 0..2 {
        let (status, said) = ended(child(TEST, &folder, "abort"));
        assert!(!status.success() && said.is_empty(), "{said:?}");
    }
    let (status, said) = ended(child(TEST, &folder, "abort"));
    assert!(status.success(), "{said:?}");
    assert_eq!(said[0], "runs a 1.0.0, z 1.0.0");
    let reason = "refused PB0318: took its host down 2 times while it was activated, the last \
                  time on ";
    assert!(said[1].starts_with(reason), "{said:?}");
    assert_eq!(said[2], "help mend it, or let it be tried again: host-app release misbehave");
    let registry = opened(&file(&folder)).registry;
    assert_eq!(
        recorded(&registry),
        ["a 1.0.0 active", "misbehave 0.1.0 held_back", "z 1.0.0 active"]
    );
    assert_eq!(told(&registry, MISBEHAVE), ["crashed", "crashed", "quarantined"]);
    // Its neighbours had one crash, came back, and were cleared.
    let crashes: Vec<_> = registry.all_crashes().unwrap();
    assert!(crashes.iter().all(|it| it.begun.plugin.as_str() == MISBEHAVE), "{crashes:?}");
    assert_eq!(registry.open_attempts().unwrap(), []);
    drop(registry);
    // Released, it is tried again, and runs where it does not crash.
    let host = folder.host().registry(Arc::new(opened(&file(&folder)).registry)).build().unwrap();
    host.start().unwrap();
    let released = host.release(&Selector::Plugin(MISBEHAVE.parse().unwrap())).unwrap();
    assert_eq!(released[0].plugin.as_str(), MISBEHAVE);
    assert_eq!(active(&host), ["a 1.0.0", "misbehave 0.1.0", "z 1.0.0"]);
    drop(host);
    let (status, said) = ended(child(TEST, &folder, "serve"));
    assert!(status.success());
    assert_eq!(said, ["runs a 1.0.0, misbehave 0.1.0, z 1.0.0"]);
}

#[test]
fn other_bytes_are_not_held_back() {
    const TEST: &str = "other_bytes_are_not_held_back";
    if be_the_child() {
        return;
    }
    let folder = Folder::new();
    misbehave(&folder);
    for _ in 0..2 {
        assert!(!ended(child(TEST, &folder, "abort")).0.success());
    }
    let (_, said) = ended(child(TEST, &folder, "serve"));
    assert!(said.concat().contains("PB0318"), "{said:?}");
    let mended =
        with_embedded(&fs::read(build("plugbay-fixture-misbehave")).unwrap(), |embedded| {
            embedded.manifest.version = "0.1.1".parse().unwrap()
        });
    folder.write("misbehave.so", mended);
    let (_, said) = ended(child(TEST, &folder, "serve"));
    assert_eq!(said, ["runs misbehave 0.1.1"]);
}

/// `kill -9`, in the moment in which it is activated.
fn killed(test: &str, folder: &Folder) {
    let mut child = child(test, folder, "hang");
    // The child began it by itself, so the file is there.
    until(|| file(folder).exists());
    until(|| {
        let registry = SqliteRegistry::open(&file(folder)).ok();
        let open = registry.and_then(|it| it.registry.open_attempts().ok()).unwrap_or_default();
        open.iter().any(|attempt| attempt.begun.process.pid == child.id())
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_plugin_whose_host_is_killed_while_it_is_activated_is_not_held_back() {
    const TEST: &str = "a_plugin_whose_host_is_killed_while_it_is_activated_is_not_held_back";
    if be_the_child() {
        return;
    }
    let folder = Folder::new();
    misbehave(&folder);
    // Each time cleared by the start that follows.
    for _ in 0..3 {
        killed(TEST, &folder);
        let (_, said) = ended(child(TEST, &folder, "serve"));
        assert_eq!(said, ["runs misbehave 0.1.0"]);
        let registry = opened(&file(&folder)).registry;
        assert_eq!(registry.all_crashes().unwrap(), []);
        assert_eq!(registry.held_back().unwrap(), []);
    }
}

#[test]
fn one_that_fails_in_activate_is_cleared_too() {
    const TEST: &str = "one_that_fails_in_activate_is_cleared_too";
    if be_the_child() {
        return;
    }
    let folder = Folder::new();
    misbehave(&folder);
    killed(TEST, &folder);
    let (_, said) = ended(child(TEST, &folder, "fail"));
    assert!(said.concat().contains("refused PB0601"), "{said:?}");
    assert_eq!(opened(&file(&folder)).registry.all_crashes().unwrap(), []);
}

#[test]
fn a_damaged_registry_is_set_aside_and_made_anew_from_the_folder() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    start(&folder).0.stop();
    for name in ["registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(folder.beside(name));
    }
    fs::write(file(&folder), b"this is no database, and was one once").unwrap();
    let opened_now = opened(&file(&folder));
    assert_eq!(opened_now.set_aside.len(), 1);
    let host = folder.host().registry(Arc::new(opened_now.registry)).build().unwrap();
    host.start().unwrap();
    host.stop();
    assert_eq!(recorded(&opened(&file(&folder)).registry), ["a 1.0.0 active"]);
}

#[test]
fn a_registry_that_is_removed_under_a_host_gets_everything_once_more() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, _) = start(&folder);
    host.disable("b").unwrap();
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(folder.beside(name));
    }
    host.unload("a").unwrap();
    host.stop();
    let registry = opened(&file(&folder)).registry;
    assert_eq!(recorded(&registry), ["a 1.0.0 unloaded", "b 1.0.0 disabled"]);
    assert_eq!(registry.wishes().unwrap().len(), 1);
    let said = host.history().into_iter().filter_map(|event| match event.happening {
        Happening::Registry { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["PB1610"]);
}

#[test]
fn two_hosts_keep_one_registry() {
    let (one, two) = (Folder::new(), Folder::new());
    one.write("a.so", piece("a", "1.0.0", ""));
    two.write("b.so", piece("b", "1.0.0", ""));
    two.write("c.so", piece("c", "1.0.0", ""));
    let on = |folder: &Folder, name: &str| {
        let registry = opened(&file(&one)).registry;
        let host = folder.host().name(name).registry(Arc::new(registry)).build().unwrap();
        host.start().unwrap();
        host
    };
    let (first, second) = (on(&one, "first"), on(&two, "second"));
    fs::remove_file(one.plugins().join("a.so")).unwrap();
    one.write("d.so", piece("d", "1.0.0", ""));
    first.reload_all().unwrap();
    second.disable("b").unwrap();
    first.stop();
    second.stop();
    let registry = opened(&file(&one)).registry;
    let expected = ["a 1.0.0 active", "b 1.0.0 disabled", "c 1.0.0 active", "d 1.0.0 active"];
    // Without watching, that a file went is found by the next start.
    assert_eq!(recorded(&registry), expected);
}

/// A registry that fails, as on a full disk.
#[test]
fn a_registry_that_fails_is_told_once_and_stops_no_plugin() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let place = folder.beside("kept");
    fs::create_dir(&place).unwrap();
    let registry = FileRegistry::open(&place.join("registry.json")).unwrap().registry;
    let host = folder.host().registry(Arc::new(registry)).build().unwrap();
    fs::remove_dir_all(&place).unwrap();
    let report = host.start().unwrap();
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    assert!(
        report
            .notices
            .iter()
            .any(|it| matches!(it, Notice::Registry { code, .. } if code == "PB1613")),
        "{:?}",
        report.notices
    );
    let failures = host.disable("a").unwrap().failures;
    assert!(failures[0].contains("not for the next one: PB1613"), "{failures:?}");
    let error = host.enable("a").unwrap_err();
    assert_eq!(error.code(), "PB0911");
    assert_eq!(active(&host), ["a 1.0.0", "b 1.0.0"]);
    host.stop();
    let told = host.history();
    let told = told.iter().filter(|it| matches!(it.happening, Happening::Registry { .. }));
    assert_eq!(told.count(), 1);
}

#[test]
fn what_a_watched_folder_does_is_recorded_while_it_happens() {
    let folder = Folder::new();
    let registry = Arc::new(MemoryRegistry::new());
    let host =
        folder.host().watch(WatchOptions::default()).registry(registry.clone()).build().unwrap();
    host.start().unwrap();
    let aside = folder.write(".a.new", piece("a", "1.0.0", ""));
    fs::rename(aside, folder.plugins().join("a.so")).unwrap();
    until(|| recorded(&*registry) == ["a 1.0.0 active"]);
    fs::remove_file(folder.plugins().join("a.so")).unwrap();
    until(|| recorded(&*registry) == ["a 1.0.0 gone"]);
    assert_eq!(told(&*registry, "a"), ["loaded", "unloaded"]);
}

/// What was disabled ran, and what had taken its host down.
#[test]
fn without_what_the_registry_knows_no_host_is_built() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(50);
    let registry = Arc::new(SqliteRegistry::open_with(&file(&folder), limits).unwrap().registry);
    let host = folder.host().registry(registry.clone()).build().unwrap();
    host.start().unwrap();
    host.disable("a").unwrap();
    drop(host);
    let other = fs::File::open(folder.beside("registry.db.lock")).unwrap();
    other.lock().unwrap();
    let error = folder.host().registry(registry.clone()).build().unwrap_err();
    assert_eq!(error.code(), "PB1606");
    assert!(full_message(&error).starts_with("it is not known what was disabled"), "{error}");
    other.unlock().unwrap();
    let host = folder.host().registry(registry).build().unwrap();
    assert_eq!(host.start().unwrap().refused[0].error.code(), "PB0305");
}
