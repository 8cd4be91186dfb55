//! What becomes of the processes that load libraries first. Alone in its process, as it
//! tells them by whose children they are.

use std::fs;
use std::process::Command;

use plugbay_tests::{Folder, build, until, with_embedded};
use serde_json::json;

/// A library that nobody has seen yet.
fn library(id: &str) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-answer")).unwrap();
    with_embedded(&library, |embedded| embedded.manifest.id = id.parse().unwrap())
}

fn only_child_of(pid: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children = lists.collect::<Vec<_>>().join(" ");
    let children: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(children.len() < 2, "{children:?}");
    children.first().copied()
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// Whether it has had its request, and so ends by itself: from then on it is the first
/// one to go when memory runs out.
fn is_busy(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).is_ok_and(|score| score == "1000\n")
}

/// The next child is there before it is needed. If something ends it, or the worker,
/// no library is blamed for it. With the host, all of them go.
#[test]
fn workers_and_children_may_be_ended_by_others() {
    let folder = Folder::new();
    folder.write("a.so", library("answea"));
    let host = folder.host().build().unwrap();
    assert!(host.start().unwrap().refused.is_empty());
    let worker = || only_child_of(std::process::id()).unwrap();
    let waiting = || {
        let mut waiting = None;
        until(|| {
            waiting = only_child_of(worker()).filter(|child| !is_busy(*child));
            waiting.is_some()
        });
        waiting.unwrap()
    };
    for id in ["answeb", "answec"] {
        kill(waiting());
        folder.write(&format!("{id}.so"), library(id));
        host.load(id).unwrap();
        assert!(host.call(id, "answer", json!(1)).is_ok());
    }
    kill(worker());
    folder.write("d.so", library("answed"));
    host.load("answed").unwrap();
    let last = waiting();
    drop(host);
    until(|| !fs::exists(format!("/proc/{last}")).unwrap());
    assert_eq!(only_child_of(std::process::id()), None);
}
