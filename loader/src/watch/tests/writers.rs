//! One test for each kind of writer.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Watched, has, library, run};

/// What a writer of two versions is given: a plugin's path and the new bytes' file.
fn two_versions(watched: &Watched) -> (std::path::PathBuf, std::path::PathBuf) {
    let source = watched.outside.join("new.so");
    fs::write(&source, library(1)).unwrap();
    (watched.plugin("a.so"), source)
}

fn tool(name: &str, arguments: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).args(paths);
    command
}

/// Once for a new file, once over an old one.
fn new_and_over(name: &str, arguments: &[&str]) {
    let mut watched = Watched::new();
    let (plugin, source) = two_versions(&watched);
    for seed in [1, 2] {
        fs::write(&source, library(seed)).unwrap();
        let mut writer = tool(name, arguments, &[&source, &plugin]);
        watched.is_whole_each_time(&plugin, &mut writer);
        assert_eq!(fs::read(&plugin).unwrap(), library(seed));
    }
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}

#[test]
fn cp() {
    new_and_over("cp", &[]);
}

#[test]
fn cp_that_shares_the_bytes_where_it_can() {
    new_and_over("cp", &["--reflink=auto"]);
}

#[test]
fn cp_that_removes_first() {
    new_and_over("cp", &["--remove-destination"]);
}

#[test]
fn install_which_unlinks_and_makes_anew_is_no_removal() {
    new_and_over("install", &["-m755"]);
}

#[test]
fn mv() {
    new_and_over("mv", &[]);
}

#[test]
fn mv_from_another_file_system() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return eprintln!("skipped: there is no /dev/shm here");
    };
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let source = elsewhere.path().join("a.so");
    fs::write(&source, library(1)).unwrap();
    watched.is_whole_each_time(&plugin, &mut tool("mv", &[], &[&source, &plugin]));
}

#[test]
fn a_hard_link() {
    let mut watched = Watched::new();
    let (plugin, source) = two_versions(&watched);
    watched.is_whole_each_time(&plugin, &mut tool("ln", &[], &[&source, &plugin]));
    let other = watched.outside.join("other.so");
    fs::write(&other, library(2)).unwrap();
    watched.is_whole_each_time(&plugin, &mut tool("ln", &["-f"], &[&other, &plugin]));
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}

#[test]
fn a_symbolic_link_its_replacement_and_what_it_leads_to() {
    let mut watched = Watched::new();
    let (plugin, source) = two_versions(&watched);
    watched.is_whole_each_time(&plugin, &mut tool("ln", &["-s"], &[&source, &plugin]));
    let other = watched.outside.join("sub/other.so.1");
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::write(&other, library(2)).unwrap();
    watched.is_whole_each_time(&plugin, &mut tool("ln", &["-sf"], &[&other, &plugin]));

    // What it leads to is written over, replaced, and is away for a moment.
    watched.is_whole_each_time(&plugin, &mut tool("cp", &[], &[&source, &other]));
    assert_eq!(fs::read(&plugin).unwrap(), library(1));
    fs::write(&source, library(3)).unwrap();
    watched.is_whole_each_time(&plugin, &mut tool("mv", &[], &[&source, &other]));
    fs::remove_dir_all(other.parent().unwrap()).unwrap();
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::write(&other, library(4)).unwrap();
    assert_eq!(watched.ready(&plugin), library(4));
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);

    // The old target is nobody's any more.
    fs::remove_file(&plugin).unwrap();
    watched.gone(&plugin);
    fs::write(&other, library(5)).unwrap();
    assert!(watched.told_by_now(&plugin).ready.is_empty());
}

#[test]
fn a_link_that_leads_nowhere_is_told_and_told_again_when_it_leads_somewhere() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let target = watched.outside.join("later/a.so");
    symlink(&target, &plugin).unwrap();
    let dangles = |change| matches!(change, super::Change::Ready { path, .. } if path == plugin);
    assert!(dangles(watched.next()));
    fs::create_dir(target.parent().unwrap()).unwrap();
    fs::write(&target, library(1)).unwrap();
    assert_eq!(watched.ready(&plugin), library(1));
}

#[test]
fn tar() {
    let mut watched = Watched::new();
    let (plugin, source) = two_versions(&watched);
    let archive = watched.outside.join("archive.tar");
    let made = source.with_file_name("a.so");
    fs::rename(&source, &made).unwrap();
    let outside = watched.outside.clone();
    let pack = || {
        run(Command::new("tar").arg("cf").arg(&archive).arg("-C").arg(&outside).arg("a.so"));
    };
    pack();
    let folder = watched.plugins.clone();
    let mut unpack = Command::new("tar");
    unpack.arg("xf").arg(&archive).arg("-C").arg(&folder);
    watched.is_whole_each_time(&plugin, &mut unpack);
    fs::write(&made, library(2)).unwrap();
    pack();
    watched.is_whole_each_time(&plugin, &mut unpack);
    assert_eq!(fs::read(&plugin).unwrap(), library(2));
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}

#[test]
fn rsync() {
    if has("rsync") {
        new_and_over("rsync", &["--ignore-times", "--whole-file"]);
    }
}

#[test]
fn rsync_in_place() {
    if has("rsync") {
        new_and_over("rsync", &["--ignore-times", "--inplace", "--no-whole-file"]);
    }
}

#[test]
fn touch() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    // Told to the end: a late word of this would be one too many below.
    watched.told_of(&plugin, || fs::write(&plugin, library(1)).unwrap());
    watched.is_whole_each_time(&plugin, &mut tool("touch", &[], &[&plugin]));
    watched.is_whole_each_time(&plugin, &mut tool("chmod", &["600"], &[&plugin]));
}

#[test]
fn an_editor_that_writes_aside_and_renames() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    // Told to the end: a late word of this would be one too many below.
    watched.told_of(&plugin, || fs::write(&plugin, library(1)).unwrap());
    let aside = watched.plugin(".a.so.swp");
    let backup = watched.plugin("a.so~");
    let told = watched.told_of(&plugin, || {
        fs::rename(&plugin, &backup).unwrap();
        fs::write(&aside, library(2)).unwrap();
        fs::rename(&aside, &plugin).unwrap();
        fs::remove_file(&backup).unwrap();
    });
    assert!(!told.ready.is_empty() && told.ready.iter().all(|bytes| *bytes == library(2)));
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}

#[test]
fn an_editor_that_truncates_and_writes() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    // Told to the end: a late word of this would be one too many below.
    watched.told_of(&plugin, || fs::write(&plugin, library(1)).unwrap());
    let told = watched.told_of(&plugin, || fs::write(&plugin, library(2)).unwrap());
    assert_eq!(told.ready, [library(2)]);
}

#[test]
fn a_slow_writer_is_not_ready_before_its_close() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let bytes = library(1);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut file = File::create(&plugin).unwrap();
    file.write_all(first).unwrap();
    // Events that are no close: a change of mode, another name and back.
    run(&mut tool("chmod", &["700"], &[&plugin]));
    let aside = watched.plugin("a.so.tmp");
    fs::rename(&plugin, &aside).unwrap();
    fs::rename(&aside, &plugin).unwrap();
    let told = watched.told_after_grace(&plugin);
    assert!(told.ready.is_empty() && told.gone == 0, "{told:?}");
    file.write_all(second).unwrap();
    drop(file);
    assert_eq!(watched.ready(&plugin), bytes);
}

#[test]
fn a_writer_that_closes_half_way_is_ready_twice() {
    let watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let bytes = library(1);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    fs::write(&plugin, first).unwrap();
    assert_eq!(watched.ready(&plugin), first);
    OpenOptions::new().append(true).open(&plugin).unwrap().write_all(second).unwrap();
    // A late word of the first half may come before.
    while watched.ready(&plugin) != bytes {}
}

#[test]
fn a_file_with_two_writers_is_ready_when_the_last_has_closed_it() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let mut one = File::create(&plugin).unwrap();
    fs::write(&plugin, "something").unwrap();
    assert!(watched.told_by_now(&plugin).ready.is_empty());
    one.write_all(&library(1)).unwrap();
    drop(one);
    assert_eq!(watched.ready(&plugin), library(1));
}

#[test]
fn a_hard_link_to_a_file_that_is_written_under_its_first_name() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let source = watched.outside.join("a.o");
    let bytes = library(1);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut file = File::create(&source).unwrap();
    file.write_all(first).unwrap();
    fs::hard_link(&source, &plugin).unwrap();
    assert!(watched.told_after_grace(&plugin).ready.is_empty());
    file.write_all(second).unwrap();
    drop(file);
    // No event tells of this close.
    assert_eq!(watched.ready(&plugin), bytes);
}

#[test]
fn temporary_names_are_not_told() {
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let names = [".a.so.x8Jf2k", "a.so.tmp", ".a.so", "a.so~", "4913", "a.txt"];
    for name in names {
        fs::write(watched.plugin(name), library(1)).unwrap();
    }
    let sentinel = watched.sentinel();
    fs::write(&sentinel, "").unwrap();
    assert!(matches!(watched.next(), super::Change::Ready { path, .. } if path == sentinel));
    fs::rename(watched.plugin("a.so.tmp"), &plugin).unwrap();
    assert_eq!(watched.ready(&plugin), library(1));
}

/// A linker that writes straight into the folder, twice.
fn linker(name: &str) {
    if !has("gcc") || !has(&format!("ld.{name}")) {
        return;
    }
    let mut watched = Watched::new();
    let plugin = watched.plugin("a.so");
    let source = watched.outside.join("a.c");
    for version in [1, 2] {
        // Large enough that the linker writes more than once.
        let text =
            format!("char table[3000000] = {{ {version}, 2, 3 }}; int f(void) {{ return 1; }}");
        fs::write(&source, text).unwrap();
        let linker = format!("-fuse-ld={name}");
        let mut gcc = tool("gcc", &["-shared", "-fPIC", "-g", &linker, "-o"], &[&plugin, &source]);
        watched.is_whole_each_time(&plugin, &mut gcc);
    }
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}

#[test]
fn bfd() {
    linker("bfd");
}

#[test]
fn gold() {
    linker("gold");
}

#[test]
fn lld() {
    linker("lld");
}

#[test]
fn mold() {
    linker("mold");
}

#[test]
fn cargo_build_into_a_target_folder_that_is_not_there_yet() {
    let mut watched = Watched::with(super::WatchOptions::default(), "target/debug");
    let package = watched.outside.join("tiny");
    fs::create_dir_all(package.join("src")).unwrap();
    let manifest = "[package]\nname = \"tiny\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    let plugin = watched.plugin("libtiny.so");
    let target = watched.plugins.parent().unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline"]).current_dir(&package);
    cargo.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS");
    for version in 1..=3 {
        let text =
            format!("#[unsafe(no_mangle)] pub extern \"C\" fn version() -> u32 {{ {version} }}");
        fs::write(package.join("src/lib.rs"), text).unwrap();
        let told = watched.told_of(&plugin, || run(&mut cargo));
        // The first may be there before the folder has a watch.
        assert!(!told.ready.is_empty() || told.rescans > 0, "{version}: {told:?}");
        let whole = fs::read(&plugin).unwrap();
        assert!(told.ready.iter().all(|bytes| *bytes == whole), "{version}");
        assert!(version == 1 || !told.ready.is_empty(), "{version}: {told:?}");
    }
    assert_eq!(watched.told_after_grace(&plugin).gone, 0);
}
