use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use plugbay_interface::manifest::source::{CrateDefaults, Source};
use tempfile::TempDir;

use super::*;

fn manifest(more: &str) -> Manifest {
    let text = format!("id = \"kv\"\nversion = \"1.2.0\"\n{more}");
    Source::parse(&text, &CrateDefaults::default()).unwrap().manifest().clone()
}

/// A folder with files, of which those that end in `.so` are no libraries at all.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn checked(folder: &TempDir, library: &str) -> Result<(), BesideError> {
    check(&folder.path().join(library), &manifest(""))
}

/// What `libkv.so`, which is alone, is told of this.
fn told(more: &str, beside: &str) -> Result<(), BesideError> {
    let folder = folder(&[("libkv.so", ""), ("plugin.json", beside)]);
    check(&folder.path().join("libkv.so"), &manifest(more))
}

#[test]
fn what_says_the_same_in_other_words_fits() {
    let more = "name = \"Keys\"\nhost = \">=1.2, <3\"\nfeatures = [\"a\", \"b\"]\n\
                permissions = [\"read-files\"]\n[dependencies]\nsql = \"1\"\n\
                log = { version = \"^2\", optional = true }\n";
    for beside in [
        r#"{"id": "kv"}"#,
        r#"{"id": "kv", "name": "Keys", "version": "1.2.0", "minHostVersion": "1.2",
            "requiredFeatures": ["b", "a"], "dependencies": ["sql"],
            "permissions": ["read-files"]}"#,
        r#"{"id": "kv", "minHostVersion": "1.2.0", "dependencies": ["sql@^1.0", "log"]}"#,
        r#"{"id": "kv", "dependencies": {"sql": ">=1, <2", "log": "2"}}"#,
        r#"{"id": "kv", "dependencies": [{"id": "sql", "version": "^1"}, {"name": "log"}]}"#,
    ] {
        told(more, beside).unwrap();
    }
    told("", r#"{"id": "kv", "minHostVersion": "0", "dependencies": {}, "permissions": []}"#)
        .unwrap();
}

#[test]
fn what_differs_is_named_with_what_both_say() {
    let more = "host = \"^1.2\"\nfeatures = [\"a\"]\n[dependencies]\nsql = \"1\"\n";
    for (beside, words) in [
        (r#"{"id": "kw"}"#, [r#"`id` is "kw" there"#, r#""kv" in the library"#]),
        (r#"{"id": "kv", "name": "Keys"}"#, [r#"`name` is "Keys""#, r#""kv" in"#]),
        (r#"{"id": "kv", "version": "1.2.1"}"#, [r#""1.2.1""#, r#""1.2.0" in"#]),
        (r#"{"id": "kv", "minHostVersion": "1.3"}"#, [r#""1.3.0""#, r#"(host = "^1.2")"#]),
        (r#"{"id": "kv", "requiredFeatures": []}"#, ["`requiredFeatures` is []", r#"["a"]"#]),
        (r#"{"id": "kv", "dependencies": []}"#, ["`dependencies` is []", r#"["sql@^1"]"#]),
        (r#"{"id": "kv", "dependencies": ["sql@^2"]}"#, [r#"["sql@^2"]"#, r#"["sql@^1"]"#]),
        (r#"{"id": "kv", "dependencies": ["sql", "x"]}"#, [r#""x""#, r#"["sql@^1"]"#]),
        (r#"{"id": "kv", "permissions": ["net"]}"#, [r#"`permissions` is ["net"]"#, "[] in"]),
    ] {
        let error = told(more, beside).unwrap_err();
        assert_eq!(error.code(), "PB0224", "{beside}");
        let error = error.to_string();
        assert!(error.contains("plugin.json"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (beside, words) in [
        ("{\"id\": \"kv\",\n\"minHostVersoin\": \"1\"}", ["line 2", "`minHostVersion`"]),
        ("{\"id\": \"kv\",\n\"version\": \"one\"}", ["line 2", "version"]),
        ("{\"id\": \"kv\",\n\"minHostVersion\": \"1.x\"}", ["line 2", "no version"]),
        ("{\"id\": \"kv\",\n\"dependencies\": \"sql\"}", ["line 2", "a list of ids"]),
        ("{\"id\": \"kv\",\n\"dependencies\": [\"A b\"]}", ["line 2", "names no plugin"]),
        ("{\"id\": \"kv\",\n\"dependencies\": [\"a\", \"a@1\"]}", ["line 2", "named twice"]),
        ("{\"id\": \"kv\",\n\"dependencies\": [{\"id\": \"a\", \"x\": 1}]}", ["line 2", "`x`"]),
        ("{\"id\": \"kv\",\n\"dependencies\": [3]}", ["line 2", "kv@^1"]),
        ("{\"id\": \"kv\",\n\"permissions\": [1]}", ["line 2", "text"]),
        ("{\n}", ["line 1", "`id`"]),
        ("[\"kv\"]", ["line 1", "table"]),
        ("{\"id\": \"kv\"", ["line 1", ""]),
        ("", ["line 1", ""]),
        ("{\"id\": \"kv\", \"id\": \"kv\"}", ["line 1", "id"]),
        ("{\"id\": \"kv\", \"x\": [[[[[[[[1]]]]]]]]}", ["line 1", ""]),
    ] {
        let error = told("", beside).unwrap_err();
        assert_eq!(error.code(), "PB0225", "{beside}");
        let shown = error.to_string();
        for word in words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        assert!(shown.contains("plugin.json") && !error.hint().is_empty(), "{shown}");
    }
    let bytes = folder(&[("libkv.so", "")]);
    fs::write(bytes.path().join("plugin.json"), b"{\"id\": \"\xff\"}").unwrap();
    assert_eq!(checked(&bytes, "libkv.so").unwrap_err().code(), "PB0225");
}

#[test]
fn what_cannot_be_read_is_told_and_waits_for_nobody() {
    let code = |make: &dyn Fn(&Path)| {
        let folder = folder(&[("libkv.so", "")]);
        make(&folder.path().join("plugin.json"));
        checked(&folder, "libkv.so").unwrap_err().code()
    };
    assert_eq!(code(&|path| fs::create_dir(path).unwrap()), "PB0226");
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    assert_eq!(code(&fifo), "PB0226");
    assert_eq!(code(&|path| fs::write(path, " ".repeat(MOST + 1)).unwrap()), "PB0226");
    assert_eq!(code(&|path| symlink("/dev/zero", path).unwrap()), "PB0226");
    assert_eq!(code(&|path| symlink("nowhere", path).unwrap()), "PB0226");
    assert_eq!(code(&|path| symlink("plugin.json", path).unwrap()), "PB0226");
    let outside = folder(&[("secret", "{\"id\": \"kv\", \"token\": \"xyz\"}")]);
    let error = {
        let folder = folder(&[("libkv.so", "")]);
        symlink(outside.path().join("secret"), folder.path().join("plugin.json")).unwrap();
        checked(&folder, "libkv.so").unwrap_err()
    };
    assert_eq!(error.code(), "PB0226");
    assert!(!error.to_string().contains("xyz"), "{error}");
    // Within the folder it is only another name.
    let folder = folder(&[("libkv.so", ""), ("kv.json", r#"{"id": "kv"}"#)]);
    symlink("kv.json", folder.path().join("plugin.json")).unwrap();
    checked(&folder, "libkv.so").unwrap();
}

#[test]
fn the_name_says_whose_it_is() {
    let (good, other) = (r#"{"id": "kv"}"#, r#"{"id": "other"}"#);
    let fits = |library: &str, files: &[(&str, &str)]| checked(&folder(files), library).is_ok();
    let two = [("libkv.so", ""), ("b.so", "")];
    assert!(!fits("libkv.so", &[two[0], two[1], ("libkv.plugin.json", other)]));
    assert!(!fits("libkv.so", &[two[0], two[1], ("kv.plugin.json", other)]));
    assert!(!fits("b.so", &[two[0], two[1], ("libb.plugin.json", other)]));
    assert!(fits("libkv.so", &[two[0], two[1], ("b.plugin.json", other)]));
    // The one without the prefix is the library's that has none.
    assert!(fits("libkv.so", &[two[0], ("kv.so", ""), ("kv.plugin.json", other)]));
    assert!(!fits("kv.so", &[two[0], ("kv.so", ""), ("kv.plugin.json", other)]));
    // By its name before by its id.
    let files = [two[0], ("libkv.plugin.json", good), ("plugin.json", other)];
    assert!(fits("libkv.so", &files));
    // Among others it is some other's.
    assert!(fits("libkv.so", &[two[0], two[1], ("plugin.json", other)]));
    assert!(!fits("libkv.so", &[two[0], ("plugin.json", other)]));
    assert!(fits("libkv.so", &[two[0], two[1], ("plugin.json", "{")]));
    assert!(!fits("libkv.so", &[two[0], ("plugin.json", "{")]));
}

#[test]
fn what_is_nobodys_is_told() {
    let codes = |files: &[(&str, &str)]| {
        let folder = folder(files);
        let strays = strays(folder.path());
        strays.iter().map(|stray| (stray.code(), stray.to_string())).collect::<Vec<_>>()
    };
    let other = ("plugin.json", r#"{"id": "other"}"#);
    let told = codes(&[("a.so", ""), ("b.so", ""), other, ("c.plugin.json", "{}")]);
    assert_eq!((told[0].0, told[1].0), ("PB0227", "PB0227"));
    assert!(told[0].1.contains("c.plugin.json") && told[1].1.contains("`other`"), "{told:?}");
    // One library alone is refused for it.
    assert_eq!(codes(&[("a.so", ""), other]), []);
    assert_eq!(codes(&[("a.so", ""), ("b.so", ""), ("plugin.json", "{")])[0].0, "PB0225");
    assert_eq!(codes(&[other]).len(), 1);
    assert_eq!(codes(&[("a.so", ""), (".x.plugin.json", "{")]), []);
}
