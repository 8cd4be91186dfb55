//! What a plugin declares to need of others is held to.

use std::fs;

use plugbay_interface::manifest::Need;
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
fn a_need_that_nobody_meets_is_told_at_the_start() {
    let folder = Folder::new();
    folder.write("asker.so", needing(|need| need.optional = false));
    let told = |folder: &Folder| {
        let notices = folder.start().1.notices;
        notices.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let words = "asker needs test.speaker 1.0, which no other plugin that serves offers";
    assert_eq!(told(&folder), [words]);
    folder.put(&build("plugbay-fixture-speaker"), "speaker.so");
    assert_eq!(told(&folder), Vec::<String>::new());
    let later = needing(|need| {
        need.optional = false;
        need.version = "1.7".parse().unwrap();
    });
    folder.write("asker.so", later);
    let words = "asker needs test.speaker 1.7, which no other plugin that serves offers; \
                 speaker offers 1.1";
    assert_eq!(told(&folder), [words]);
    folder.put(&build("plugbay-fixture-asker"), "asker.so");
    fs::remove_file(folder.plugins().join("speaker.so")).unwrap();
    assert_eq!(told(&folder), Vec::<String>::new());
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
