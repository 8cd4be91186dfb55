//! Ten plugins with dependencies, conflicts, kinds, a configuration, one on demand, and one in
//! two versions: what runs is what the plan says, while files come, go and change and calls go on.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use plugbay_loader::interface::serde_json::{Value, json};
use plugbay_loader::{
    Active, CallError, Events, Explain, Happening, Host, KindRule, PluginState, Policy, Versions,
    WatchOptions,
};
use plugbay_tests::{Folder, next, piece, until};

const STORE: &str = "kinds = [\"store\"]\n[config.schema]\nadditionalProperties = false\n\
    properties.size = { type = \"integer\", maximum = 10, default = 3 }\n";

fn folder() -> Folder {
    let folder = Folder::new();
    let put = |id: &str, version: &str, more: &str| {
        folder.write(&format!("{id}-{version}.so"), piece(id, version, more));
    };
    put("sql", "1.4.0", "");
    put("sql", "2.0.0", "");
    put("store", "1.0.0", STORE);
    put("shop", "1.0.0", "[dependencies]\nsql = \"^1\"\nstore = \"1\"\n");
    put("bank", "1.0.0", "[dependencies]\nsql = \"^2\"\n");
    put("red", "1.0.0", "kinds = [\"theme\"]\n");
    put("blue", "1.0.0", "kinds = [\"theme\"]\n");
    put("spare", "1.0.0", "conflicts = [\"store\"]\n");
    put("night", "1.0.0", "activation = \"on-demand\"\n[dependencies]\nbank = \"*\"\n");
    put("quiet", "1.0.0", "kinds = [\"chain\"]\n");
    folder
}

fn policy(policy: &mut Policy) {
    policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    policy.kinds.insert("theme".into(), KindRule { active: Active::Single, chain: false });
    let themes = ["red", "blue"].map(|id| id.parse().unwrap());
    policy.precedence.insert("theme".into(), themes.to_vec());
    let stores = vec!["store".parse().unwrap()];
    policy.precedence.insert("store".into(), stores);
}

fn running(host: &Host) -> BTreeSet<String> {
    let plugins = host.plugins();
    let there = |state| matches!(state, PluginState::Active | PluginState::OnDemand);
    let all = plugins.iter().filter(|one| there(one.state));
    all.map(|one| format!("{} {}", one.manifest.id, one.manifest.version)).collect()
}

/// What runs is what is decided now.
fn as_planned(host: &Host) -> BTreeSet<String> {
    let planned: BTreeSet<String> = host
        .plan()
        .run()
        .map(|offer| format!("{} {}", offer.manifest.id, offer.manifest.version))
        .collect();
    until(|| running(host) == planned);
    planned
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&one| one.to_owned()).collect()
}

fn wait_for(events: &Events, wanted: impl Fn(&Happening) -> bool) {
    next(events, wanted);
}

#[test]
fn what_runs_is_what_the_plan_says_through_all_changes_under_load() {
    let folder = folder();
    let host = folder.host().watch(WatchOptions::default()).policy(policy).build().unwrap();
    host.start().unwrap();
    let events = host.events();
    let first = [
        "bank 1.0.0",
        "night 1.0.0",
        "quiet 1.0.0",
        "red 1.0.0",
        "shop 1.0.0",
        "sql 1.4.0",
        "sql 2.0.0",
        "store 1.0.0",
    ];
    assert_eq!(as_planned(&host), set(&first));

    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for name in ["sql@^1", "sql@^2", "quiet"] {
            let (host, over, calls) = (&host, &over, &calls);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // These serve all the time: no call of them may fail.
                    host.call(name, "count", json!({})).unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Overwritten, in one line.
        folder.put_whole("sql-1.4.0.so", &piece("sql", "1.5.0", ""));
        wait_for(
            &events,
            |it| matches!(it, Happening::Reloaded(it) if it.plugin.as_str() == "sql"),
        );
        // Called for the first time.
        assert_eq!(host.call("night", "count", json!({})).unwrap(), 1);
        // Another configuration, and one that does not fit.
        let size = |host: &Host| -> Result<Value, CallError> {
            Ok(host.call("store", "config", json!({}))?["size"].clone())
        };
        assert_eq!(size(&host).unwrap(), 3);
        host.configure("store", json!({ "size": 7 })).unwrap();
        assert_eq!(size(&host).unwrap(), 7);
        assert_eq!(host.configure("store", json!({ "size": 11 })).unwrap_err().code(), "PB1501");
        assert_eq!(size(&host).unwrap(), 7);
        // What goes before others goes, and comes back.
        fs::remove_file(folder.plugins().join("red-1.0.0.so")).unwrap();
        wait_for(
            &events,
            |it| matches!(it, Happening::Loaded { plugin, .. } if plugin.as_str() == "blue"),
        );
        assert!(as_planned(&host).contains("blue 1.0.0"));
        folder.put_whole("red-1.1.0.so", &piece("red", "1.1.0", "kinds = [\"theme\"]\n"));
        wait_for(
            &events,
            |it| matches!(it, Happening::Loaded { plugin, .. } if plugin.as_str() == "red"),
        );
        assert!(!as_planned(&host).contains("blue 1.0.0"));
        // What is needed goes, with those that need it; what it excluded comes up.
        fs::remove_file(folder.plugins().join("store-1.0.0.so")).unwrap();
        wait_for(
            &events,
            |it| matches!(it, Happening::Loaded { plugin, .. } if plugin.as_str() == "spare"),
        );
        let now = as_planned(&host);
        assert!(!now.contains("shop 1.0.0") && !now.contains("store 1.0.0"), "{now:?}");
        // And comes back, in its place.
        folder.put_whole("store-1.0.0.so", &piece("store", "1.2.0", STORE));
        until(|| running(&host).contains("shop 1.0.0"));
        assert!(!as_planned(&host).contains("spare 1.0.0"));
        // A plugin of its own.
        folder.put_whole("new.so", &piece("new", "0.1.0", "[dependencies]\nshop = \"1\"\n"));
        wait_for(
            &events,
            |it| matches!(it, Happening::Loaded { plugin, .. } if plugin.as_str() == "new"),
        );
        over.store(true, Ordering::Relaxed);
    });
    let last = [
        "bank 1.0.0",
        "new 0.1.0",
        "night 1.0.0",
        "quiet 1.0.0",
        "red 1.1.0",
        "shop 1.0.0",
        "sql 1.5.0",
        "sql 2.0.0",
        "store 1.2.0",
    ];
    assert_eq!(as_planned(&host), set(&last));
    // Every call was counted, in the generation that it met or its successor.
    let counted = |name: &str| host.call(name, "count", json!({})).unwrap().as_u64().unwrap() - 1;
    let all: u64 = ["sql@^1", "sql@^2", "quiet"].iter().map(|name| counted(name)).sum();
    assert_eq!(all, calls.load(Ordering::Relaxed));
}
