//! The documents say what is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use plugbay_tests::root;

/// Every `PB` with four digits in a text.
fn codes(text: &str) -> BTreeSet<String> {
    text.match_indices("PB")
        .filter_map(|(at, _)| text.get(at..at + 6))
        .filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path, found: &mut String) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_code_is_explained_and_every_explained_code_exists() {
    let mut code = String::new();
    sources(&root().join("loader/src"), &mut code);
    for part in ["config", "registry", "resolve", "stack"] {
        sources(&root().join("loader").join(part).join("src"), &mut code);
    }
    sources(&root().join("host-app/src"), &mut code);
    let explained = codes(&fs::read_to_string(root().join("docs/errors.md")).unwrap());
    let used = codes(&code);
    assert_eq!(used, explained);
}
