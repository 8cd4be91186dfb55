//! The private copies of libraries, from one host to the next of its name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plugbay_loader::{Host, Probe, WatchOptions, Workspace};
use plugbay_tests::{Folder, build, mapped_below, piece, until};
use serde_json::json;

const ON_DEMAND: &str = "activation = \"on-demand\"\n";

fn live(folder: &Folder) -> PathBuf {
    folder.beside("cache/live")
}

/// The folders of hosts that run, or have left something.
fn folders(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(live(folder)).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The copies in them: inode by the name of the plugin.
fn copies(folder: &Folder) -> BTreeMap<String, u64> {
    let files = folders(folder).into_iter().filter_map(|dir| fs::read_dir(dir).ok());
    // A host may just be at it.
    let named = files.flatten().flatten().filter_map(|file| {
        let name = file.file_name().into_string().unwrap();
        let (name, _number) = name.strip_suffix(".so")?.rsplit_once('-')?;
        Some((name.to_owned(), file.metadata().ok()?.ino()))
    });
    named.collect()
}

fn count(host: &Host, plugin: &str) -> u64 {
    host.call(plugin, "count", json!({})).unwrap().as_u64().unwrap()
}

fn named(folder: &Folder, name: &str) -> Host {
    let host = folder.host().name(name).build().unwrap();
    host.start().unwrap();
    host
}

#[test]
fn a_host_goes_on_with_the_copies_of_the_last_one() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    folder.write("b.so", piece("b", "1.0.0", ""));
    let (host, _) = folder.start();
    let first = copies(&folder);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["a-1.0.0", "b-1.0.0"]);
    drop(host);
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
    assert_eq!(copies(&folder), first);
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(copies(&folder), first);
    assert_eq!((count(&host, "a"), count(&host, "b")), (1, 1));
    // One that is loaded again has a file of its own again.
    host.unload("a").unwrap();
    assert_eq!(copies(&folder).keys().collect::<Vec<_>>(), ["b-1.0.0"]);
    host.load("a").unwrap();
    assert_eq!(copies(&folder).len(), 2);
    assert_eq!(count(&host, "a"), 2);
}

#[test]
fn a_copy_of_a_file_that_was_changed_or_removed_meanwhile_goes() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", "");
    folder.write("a.so", &library);
    folder.write("b.so", piece("b", "1.0.0", ""));
    folder.write("c.so", piece("c", "1.0.0", ""));
    let first = {
        let (_host, _) = folder.start();
        copies(&folder)
    };
    // As long as before, and of the same name and version.
    folder.write("a.so", piece("a", "1.0.0", "description = \"other\"\n"));
    assert_ne!(fs::read(folder.plugins().join("a.so")).unwrap(), library);
    assert_eq!(fs::metadata(folder.plugins().join("a.so")).unwrap().len(), library.len() as u64);
    fs::remove_file(folder.plugins().join("b.so")).unwrap();
    let (host, _) = folder.start();
    let second = copies(&folder);
    assert_eq!(second.keys().collect::<Vec<_>>(), ["a-1.0.0", "c-1.0.0"]);
    assert_ne!(second["a-1.0.0"], first["a-1.0.0"]);
    assert_eq!(second["c-1.0.0"], first["c-1.0.0"]);
    assert_eq!(count(&host, "a"), 1);
}

#[test]
fn a_copy_that_was_damaged_is_not_used() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", "");
    folder.write("a.so", &library);
    drop(folder.start());
    let [dir] = folders(&folder).try_into().unwrap();
    let copy = dir.read_dir().unwrap().flatten().find(|it| it.file_name() != "lock").unwrap();
    let file = fs::OpenOptions::new().write(true).open(copy.path()).unwrap();
    let last = library.len() as u64 - 1;
    file.write_all_at(&[!library[library.len() - 1]], last).unwrap();
    // Half of another one.
    fs::write(dir.join("7.draft"), "half").unwrap();
    let damaged = copies(&folder);
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(count(&host, "a"), 1);
    assert_eq!(copies(&folder).len(), 1);
    assert_ne!(copies(&folder)["a-1.0.0"], damaged["a-1.0.0"]);
}

#[test]
fn two_hosts_of_one_name_have_a_folder_each() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    drop(folder.start());
    let one = named(&folder, "same");
    let two = named(&folder, "same");
    assert_eq!((count(&one, "a"), count(&two, "a"), count(&two, "a")), (1, 1, 2));
    // And one of the kit's own name, which waits.
    assert_eq!(folders(&folder).len(), 3);
}

#[test]
fn what_stays_mapped_is_not_taken_over_in_its_process() {
    let folder = Folder::new();
    folder.put(&build("plugbay-fixture-residue"), "residue.so");
    let (host, _) = folder.start();
    host.call("residue", "signal", json!(true)).unwrap();
    drop(host);
    let mapped = mapped_below(&folder.beside("cache"));
    assert_eq!(mapped, 1);
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(mapped_below(&folder.beside("cache")), 2);
    assert_eq!(folders(&folder).len(), 2);
    drop(host);
}

#[test]
fn copies_of_a_host_that_was_killed_are_used() {
    const WHO: &str = "PLUGBAY_TEST_KILLED_WITH_COPIES";
    if let Some(root) = std::env::var_os(WHO) {
        let root = PathBuf::from(root);
        let host = Host::builder()
            .plugin_dir(root.join("plugins"))
            .cache_dir(root.join("cache"))
            .data_dir(root.join("data"))
            .name("killed")
            .build()
            .unwrap();
        host.start().unwrap();
        fs::write(root.join("runs"), "").unwrap();
        loop {
            std::thread::park();
        }
    }
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["copies_of_a_host_that_was_killed_are_used", "--exact"])
        .env(WHO, folder.beside(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(|| folder.beside("runs").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let first = copies(&folder);
    let host = named(&folder, "killed");
    assert_eq!(first.len(), 1);
    assert_eq!(copies(&folder), first);
    assert_eq!(count(&host, "a"), 1);
}

#[test]
fn the_copy_of_a_plugin_on_demand_waits_for_its_first_call() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ON_DEMAND));
    folder.write("b.so", piece("b", "1.0.0", ON_DEMAND));
    let host = folder.host().watch(WatchOptions::default()).build().unwrap();
    host.start().unwrap();
    let first = copies(&folder);
    assert_eq!(first.len(), 2);
    assert_eq!(count(&host, "a"), 1);
    assert_eq!(copies(&folder), first);
    // Its file goes, and so does what was made of it.
    fs::remove_file(folder.plugins().join("b.so")).unwrap();
    until(|| copies(&folder).len() == 1);
    // Another one comes, and is what waits.
    folder.put_whole("b.so", &piece("b", "1.1.0", ON_DEMAND));
    until(|| copies(&folder).contains_key("b-1.1.0"));
    folder.put_whole("b.so", &piece("b", "1.2.0", ON_DEMAND));
    until(|| copies(&folder).contains_key("b-1.2.0"));
    until(|| copies(&folder).len() == 2);
    let last = copies(&folder);
    drop(host);
    // And for the next host.
    let (host, _) = folder.start();
    assert_eq!(copies(&folder), last);
    assert_eq!(count(&host, "b"), 1);
    assert_eq!(copies(&folder), last);
}

#[test]
fn a_folder_is_left_by_some_hosts_of_other_names_and_not_by_all() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    for number in 0..12 {
        drop(named(&folder, &format!("host-{number}")));
    }
    // The last one, and those that were there when it came.
    assert_eq!(folders(&folder).len(), 9);
    assert_eq!(Workspace::count_abandoned(&live(&folder)).unwrap(), 9);
    let is_of = |dir: &Path, name: &str| dir.file_name().unwrap().to_str().unwrap().contains(name);
    assert!(folders(&folder).iter().any(|dir| is_of(dir, "host-11-")));
    assert!(!folders(&folder).iter().any(|dir| is_of(dir, "host-0-")));
}

/// Programs that save room do that with files that have the same bytes.
#[test]
fn a_copy_that_is_the_plugins_own_file_is_not_used() {
    let folder = Folder::new();
    let library = piece("a", "1.0.0", "");
    let path = folder.write("a.so", &library);
    drop(folder.start());
    let [dir] = folders(&folder).try_into().unwrap();
    let copy = dir.read_dir().unwrap().flatten().find(|it| it.file_name() != "lock").unwrap();
    fs::remove_file(&path).unwrap();
    fs::hard_link(copy.path(), &path).unwrap();
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_ne!(copies(&folder)["a-1.0.0"], path.metadata().unwrap().ino());
    // Not mapped from there.
    fs::write(&path, vec![0; library.len()]).unwrap();
    assert_eq!(count(&host, "a"), 1);
}

#[test]
fn whatever_lies_in_the_folder_of_copies_a_host_starts() {
    let folder = Folder::new();
    folder.write("a.so", piece("a", "1.0.0", ""));
    drop(folder.start());
    let [dir] = folders(&folder).try_into().unwrap();
    fs::create_dir(dir.join("a-1.0.0-5.so")).unwrap();
    fs::write(dir.join("a-1.0.0-5.so").join("file"), "").unwrap();
    fs::write(dir.join(format!("a-1.0.0-{}.so", u64::MAX)), "").unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.join("a-1.0.0-6.so")).unwrap();
    let fifo = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    fifo(&dir.join("a-1.0.0-7.so"));
    let strange = live(&folder).join("host-1-strange");
    fs::create_dir(&strange).unwrap();
    fifo(&strange.join("lock"));
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    let (host, report) = folder.start();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(count(&host, "a"), 1);
    assert!(!strange.exists());
    let [dir] = folders(&folder).try_into().unwrap();
    assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
    // The copy and the lock.
    assert_eq!(dir.read_dir().unwrap().count(), 2);
    folder.write("b.so", piece("b", "1.0.0", ""));
    host.load("b").unwrap();
}

#[test]
fn what_is_left_gives_up_its_room() {
    let folder = Folder::new();
    let cache = folder.beside("cache");
    fs::create_dir(&cache).unwrap();
    let first = piece("a", "1.0.0", "");
    let size = first.len() as u64;
    // Room for two copies and a half.
    let options = format!("size={},mode=0700", size * 5 / 2);
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
        .arg(&cache)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return println!("not tried: this user cannot mount");
    }
    let _mounted = Mounted(cache);
    let start = |name: &str| {
        let host = folder.host().name(name).probe(Probe::Never).build().unwrap();
        let report = host.start().unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        report.active.len()
    };
    folder.write("a.so", &first);
    folder.write("b.so", piece("b", "1.0.0", ""));
    assert_eq!(start("one"), 2);
    folder.write("a.so", piece("a", "1.0.0", "description = \"other\"\n"));
    folder.write("b.so", piece("b", "1.0.0", "description = \"other\"\n"));
    assert_eq!(start("one"), 2);
    // And the room of others.
    assert_eq!(start("two"), 2);
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
