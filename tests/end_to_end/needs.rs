//! What a plugin declares to need of others is held to.

use std::fs;

use plugbay_interface::manifest::Need;
use plugbay_loader::Explain;
use plugbay_tests::{Folder, build, with_embedded};
use serde_json::json;

/// Other words of its manifest, in the same file.
fn needing(change: impl Fn(&mut Need)) -> Vec<u8> {
    let library = fs::read(build("plugbay-fixture-asker")).unwrap();
    with_embedded(&library, |embedded| {
        // Makes room.
        embedded.manifest.description = "Asks.".into();
        embedded.manifest.needs.iter_mut().for_each(&change);
    })
}

#[test]
fn a_plugin_whose_need_nobody_meets_does_not_run() {
    let folder = Folder::new();
    folder.write("asker.so", needing(|need| need.optional = false));
    let refused = |folder: &Folder| {
        let report = folder.start().1;
        report
            .refused
            .iter()
            .map(|it| format!("{}: {}", it.error.code(), it.reason()))
            .collect::<Vec<_>>()
    };
    let nothing: Vec<String> = Vec::new();
    assert_eq!(refused(&folder), ["PB0308: needs test.speaker 1.0, and there is none"]);
    folder.put(&build("plugbay-fixture-speaker"), "speaker.so");
    assert_eq!(refused(&folder), nothing);
    let later = needing(|need| {
        need.optional = false;
        need.version = "1.7".parse().unwrap();
    });
    folder.write("asker.so", later);
    let words = "PB0308: needs test.speaker 1.7, found speaker 1.0.0 with 1.1";
    assert_eq!(refused(&folder), [words]);
    folder.put(&build("plugbay-fixture-asker"), "asker.so");
    fs::remove_file(folder.plugins().join("speaker.so")).unwrap();
    assert_eq!(refused(&folder), nothing);
}

#[test]
fn who_declares_one_service_does_not_get_all() {
    let folder = Folder::new();
    folder.write("asker.so", needing(|need| need.many = false));
    folder.put(&build("plugbay-fixture-speaker"), "speaker.so");
    let (host, _) = folder.start();
    assert_eq!(host.call("asker", "best", json!({})).unwrap(), json!("speaker"));
    let error = host.call("asker", "names", json!({})).unwrap_err();
    assert!(error.to_string().contains("write many = true into that [[needs]]"), "{error}");
}
