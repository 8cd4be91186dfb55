//! Whatever lies in the folder, the host goes on and says what it is.
//!
//! Each test puts a real file beside a good plugin, starts a host, and asks two
//! things: is the file refused with the right code, and does the plugin serve.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plugbay_loader::{
    Explain, Host, Probe, VerifyOptions, Workspace, discover, discover_file, printable, verify,
};
use plugbay_tests::{Folder, build, built, misdeed, with_embedded, with_section};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

const FIXTURE: &str = "plugbay-fixture-misbehave";

/// The fixture without its debug information, so that there is less to copy.
fn fixture() -> Vec<u8> {
    let whole = build(FIXTURE);
    let stripped = tempfile::NamedTempFile::new().unwrap();
    let done = Command::new("strip").arg("-o").arg(stripped.path()).arg(&whole).status().unwrap();
    assert!(done.success());
    fs::read(stripped.path()).unwrap()
}

/// A folder in which the good plugin lies already, under an id of its own.
fn folder_with_good_plugin() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let library = fixture();
    folder.write("good.so", renamed(&library, "goodness"));
    (folder, library)
}

/// The same library as another plugin, whose id must not be longer.
fn renamed(library: &[u8], id: &str) -> Vec<u8> {
    with_embedded(library, |embedded| embedded.manifest.id = id.parse().unwrap())
}

/// Random cases: `PROPTEST_CASES` of them, or as many as given.
fn runner(cases: u32) -> TestRunner {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |text| text.parse().unwrap());
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Starts a host there; the good plugin must serve. Gives code and message of
/// what was refused, by file name.
fn refusals(folder: &Folder) -> Vec<(String, &'static str, String)> {
    refusals_of(&folder.host().build().unwrap())
}

fn refusals_of(host: &Host) -> Vec<(String, &'static str, String)> {
    let report = host.start().unwrap();
    assert_eq!(host.call("goodness", "echo", json!(7)).unwrap(), json!(7));
    report
        .refused
        .iter()
        .map(|refusal| {
            let shown = refusal.to_string();
            assert!(shown.contains("help: "), "{shown}");
            assert!(!shown.lines().any(|line| line.len() > 600), "{shown}");
            let name = printable(Path::new(refusal.path.file_name().unwrap()));
            (name, refusal.error.code(), shown)
        })
        .collect()
}

/// The one refusal that there must be.
fn refusal(folder: &Folder) -> (&'static str, String) {
    let mut all = refusals(folder);
    assert_eq!(all.len(), 1, "{all:#?}");
    let (_, code, shown) = all.remove(0);
    (code, shown)
}

/// One file with this content is refused with this code.
#[track_caller]
fn assert_refused(content: impl AsRef<[u8]>, code: &str, words: &str) {
    let (folder, _) = folder_with_good_plugin();
    folder.write("bad.so", content);
    let (found, shown) = refusal(&folder);
    assert_eq!(found, code, "{shown}");
    assert!(shown.contains(words), "{shown}");
}

#[test]
fn an_empty_file() {
    assert_refused("", "PB0207", "empty");
}

#[test]
fn text_and_other_files_that_are_no_libraries() {
    assert_refused("I am a library, honestly.\n", "PB0209", "found text");
    assert_refused("#!/bin/sh\necho hello\n", "PB0209", "a script");
    assert_refused([0; 10_000], "PB0209", "zeros");
    assert_refused(b"!<arch>\nlibx.a/", "PB0209", "archive");
    assert_refused(b"\x7fELF", "PB0211", "ELF header");
    assert_refused([0xff; 300], "PB0209", "unknown kind");
}

#[test]
fn a_file_cut_off_anywhere() {
    let library = fixture();
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(&dir.path().join("live")).unwrap();
    let cut = |at: usize| {
        let path = dir.path().join("cut.so");
        fs::write(&path, &library[..at]).unwrap();
        let error = verify(discover_file(&path), &workspace, &VerifyOptions::default())
            .map(|_| ())
            .expect_err("a cut library is refused");
        let code = error.code();
        let expected = if at == 0 { &["PB0207"][..] } else { &["PB0209", "PB0210", "PB0211"] };
        assert!(expected.contains(&code), "{at} bytes: {error}");
    };
    (0..library.len()).step_by(4096).for_each(cut);
    runner(100)
        .run(&(0..library.len()), |at| {
            cut(at);
            Ok(())
        })
        .unwrap();
    // And once through a host.
    assert_refused(&library[..library.len() / 2], "PB0210", "ends early");
}

#[test]
fn a_file_whose_tail_is_zeros() {
    let (folder, library) = folder_with_good_plugin();
    // The section table at the end stays, so that the headers look right.
    let table = section_table(&library);
    for (at, percent) in [10, 30, 50, 70, 90, 99].into_iter().enumerate() {
        let from = library.len() * percent / 100;
        let mut zeroed = library.clone();
        zeroed[from..].fill(0);
        folder.write(&format!("tail-{at}.so"), &zeroed);
        zeroed[table..].copy_from_slice(&library[table..]);
        folder.write(&format!("middle-{at}.so"), &zeroed);
    }
    // Some of them are harmless; that the host lives is what counts.
    let all = refusals(&folder);
    assert!(all.iter().filter(|(name, ..)| name.starts_with("tail")).count() == 6, "{all:#?}");
}

#[test]
fn flipped_bits_in_the_manifest() {
    use object::{Object, ObjectSection};
    let (folder, library) = folder_with_good_plugin();
    let section = {
        let file = object::File::parse(&*library).unwrap();
        let (offset, _) = file.section_by_name(".plugbay").unwrap().file_range().unwrap();
        let start = usize::try_from(offset).unwrap();
        // Without what the linker or a sanitizer adds behind it.
        let length = u32::from_le_bytes(library[start + 12..start + 16].try_into().unwrap());
        start..start + 24 + length as usize
    };
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(&dir.path().join("live")).unwrap();
    runner(400)
        .run(&(section.clone(), 0..8u32), |(at, bit)| {
            // Four bytes of the header are reserved and not looked at.
            if (20..24).contains(&(at - section.start)) {
                return Ok(());
            }
            let mut flipped = library.clone();
            flipped[at] ^= 1u8 << bit;
            let path = dir.path().join("flipped.so");
            fs::write(&path, &flipped).unwrap();
            let error = verify(discover_file(&path), &workspace, &VerifyOptions::default())
                .map(|_| ())
                .expect_err("a damaged manifest is refused");
            assert_eq!(error.code(), "PB0216", "{error}");
            Ok(())
        })
        .unwrap();
    let mut flipped = library.clone();
    flipped[section.start + 60] ^= 1;
    folder.write("bad.so", flipped);
    assert_eq!(refusal(&folder).0, "PB0216");
}

#[test]
fn a_library_for_another_processor() {
    let mut arm = fixture();
    arm[18..20].copy_from_slice(&183u16.to_le_bytes()); // e_machine = EM_AARCH64
    assert_refused(arm, "PB0212", "found one for ARM64, 64 bits");
}

#[test]
fn a_library_of_32_bits() {
    let dir = tempfile::tempdir().unwrap();
    let (object, library) = (dir.path().join("x.o"), dir.path().join("x.so"));
    let mut assembler = Command::new("as")
        .args(["--32", "-o"])
        .arg(&object)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assembler.stdin.take().unwrap().write_all(b".globl f\nf: ret\n").unwrap();
    assert!(assembler.wait().unwrap().success());
    let linked = Command::new("ld")
        .args(["-m", "elf_i386", "-shared", "-o"])
        .args([&library, &object])
        .status()
        .unwrap();
    assert!(linked.success());
    assert_refused(fs::read(library).unwrap(), "PB0212", "32 bits");
}

#[test]
fn an_executable() {
    assert_refused(fs::read("/bin/true").unwrap(), "PB0213", "found an executable");
}

#[test]
fn a_shared_library_that_is_no_plugin() {
    assert_refused(plain_library(), "PB0214", "no plugin");
}

#[test]
fn a_plugin_whose_manifest_was_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let (with, without) = (dir.path().join("with.so"), dir.path().join("without.so"));
    fs::write(&with, fixture()).unwrap();
    let done = Command::new("objcopy")
        .args(["--remove-section", ".plugbay"])
        .args([&with, &without])
        .status()
        .unwrap();
    assert!(done.success());
    assert_refused(fs::read(without).unwrap(), "PB0215", "no manifest");
}

#[test]
fn a_plugin_for_another_interface() {
    let future = with_embedded(&fixture(), |embedded| {
        embedded.facts.interface = "7.0.0".parse().unwrap();
    });
    assert_refused(future, "PB0217", "built for interface 7.0.0");
}

#[test]
fn a_plugin_for_another_target() {
    let musl = with_embedded(&fixture(), |embedded| {
        embedded.facts.target = "x86_64-unknown-none".into();
    });
    assert_refused(musl, "PB0218", "built for x86_64-unknown-none");
}

#[test]
fn a_plugin_that_ends_the_process_when_it_panics() {
    let library = built(FIXTURE, &["--profile", "panic-abort"], "panic-abort");
    assert_refused(fs::read(library).unwrap(), "PB0219", "panic = \"abort\"");
}

#[test]
fn a_plugin_without_a_root() {
    let mut library = fixture();
    // In the string table of the dynamic symbols.
    let name = b"\0plugbay_root\0";
    let at = library.windows(name.len()).position(|bytes| bytes == name).unwrap();
    library[at + 1] = b'x';
    assert_refused(library, "PB0220", "plugbay_root");
}

#[test]
fn a_constructor_that_crashes_hangs_exits_or_aborts() {
    let (folder, library) = folder_with_good_plugin();
    for misdeed_word in ["crash", "hang", "exit", "abort"] {
        let id = format!("mis{misdeed_word}");
        folder.write(&format!("{misdeed_word}.so"), misdeed(&renamed(&library, &id), misdeed_word));
    }
    let host = || folder.host().probe_deadline(Duration::from_millis(500)).build().unwrap();
    let first = host();
    let words =
        ["SIGABRT (it said: terminate called", "SIGSEGV", "exit with code 0", "within 500ms"];
    for ((name, code, shown), words) in refusals_of(&first).into_iter().zip(words) {
        assert_eq!(code, "PB0401", "{name}: {shown}");
        assert!(shown.contains(words), "{shown}");
    }
    assert_eq!(first.verdicts().quarantined().unwrap().len(), 4);
    drop(first);

    // The next host knows them by their content and does not try again.
    folder.write("crash-again.so", fs::read(folder.plugins().join("crash.so")).unwrap());
    let second = host();
    let all = refusals_of(&second);
    assert_eq!(all.len(), 5, "{all:#?}");
    assert!(all.iter().all(|(_, code, _)| ["PB0402", "PB0303"].contains(code)), "{all:#?}");

    // Released, it is tried again.
    for entry in second.verdicts().quarantined().unwrap() {
        assert!(second.verdicts().release(&entry).unwrap());
    }
    drop(second);
    assert!(refusals_of(&host()).iter().any(|(_, code, _)| *code == "PB0401"));
}

#[test]
fn a_constructor_that_turns_on_its_watcher() {
    let (folder, library) = folder_with_good_plugin();
    for word in ["forger", "glutton", "killer", "stopper"] {
        folder.write(&format!("{word}.so"), misdeed(&renamed(&library, word), word));
    }
    let host = folder.host().probe_deadline(Duration::from_secs(20)).build().unwrap();
    let words = ["exit with code 0", "SIGABRT", "ended or stopped the process", "ended or stopped"];
    let all = refusals_of(&host);
    for ((name, code, shown), words) in all.iter().zip(words) {
        assert_eq!(*code, "PB0401", "{name}: {shown}");
        assert!(shown.contains(words), "{shown}");
    }
    assert_eq!(all.len(), 4);
}

/// Its comparison of layouts would say nothing of this host's.
#[test]
fn a_worker_of_another_build() {
    let folder = Folder::new();
    folder.write("good.so", fixture());
    let worker = folder.beside("worker");
    let script = r#"read -r line && echo '{"hello":{"abi":"0123456789abcdef"}}'"#;
    fs::write(&worker, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
    let host = folder.host().worker(&worker).build().unwrap();
    let refused = host.start().unwrap().refused;
    assert_eq!(refused[0].error.code(), "PB0404");
    assert!(refused[0].to_string().contains("another build than this host"), "{}", refused[0]);
}

#[test]
fn what_belongs_to_another_user() {
    if !nix::unistd::geteuid().is_root() {
        println!("not tried: only root can give files away");
        return;
    }
    let (folder, library) = folder_with_good_plugin();
    let path = folder.write("bad.so", library);
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    let (code, shown) = refusal(&folder);
    assert_eq!(code, "PB0222");
    assert!(shown.contains("another user (uid 65534)"), "{shown}");
    let elsewhere = folder.beside("theirs");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::chown(&elsewhere, Some(65_534), None).unwrap();
    let host = folder.host().plugin_dir(&elsewhere).build().unwrap();
    assert_eq!(refusals_of(&host).len(), 2);
    assert_eq!(host.refused()[1].error.code(), "PB0105");
    // Nor are private copies made where others may write.
    let cache = folder.beside("open-cache");
    fs::create_dir_all(cache.join("live")).unwrap();
    fs::set_permissions(cache.join("live"), fs::Permissions::from_mode(0o777)).unwrap();
    let error = folder.host().cache_dir(cache).build().unwrap_err();
    assert_eq!(error.code(), "PB0903");
}

#[test]
fn foreign_text_cannot_move_the_cursor_or_speak_for_the_host() {
    let (folder, library) = folder_with_good_plugin();
    folder.write("a'; touch x; '.so", &library);
    folder.write("b.so", &library);
    let host =
        folder.host().config("misbehave", json!({"activate": "\u{1b}[2J\nhelp: run"})).build();
    let host = host.unwrap();
    for (_, _, shown) in refusals_of(&host) {
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        // Foreign lines are indented further than ours.
        let ours = shown.lines().filter(|line| !line.starts_with("    "));
        let helps = ours.filter(|line| line.trim_start().starts_with("help:"));
        assert_eq!(helps.count(), 1, "{shown}");
    }
}

#[test]
fn a_root_function_that_panics() {
    let library = fs::read(build("plugbay-fixture-rootpanics")).unwrap();
    assert_refused(library, "PB0401", "SIGABRT");
}

#[test]
fn a_root_of_another_layout() {
    let library = fs::read(build("plugbay-fixture-otherlayout")).unwrap();
    assert_refused(library, "PB0505", "laid out otherwise");
}

#[test]
fn an_activation_that_fails_panics_or_hangs() {
    for (how, code, words) in [
        ("fail", "PB0601", "the database is not there"),
        ("panic", "PB0602", "activation panics on request (at "),
        ("hang", "PB0603", "within 300ms"),
        ("dance", "PB1501", "found \"dance\""),
    ] {
        let (folder, library) = folder_with_good_plugin();
        folder.write("bad.so", library);
        let host = folder
            .host()
            .config("misbehave", json!({ "activate": how }))
            .activation_deadline(Duration::from_millis(300))
            .build()
            .unwrap();
        let all = refusals_of(&host);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert_eq!(all[0].1, code, "{}", all[0].2);
        assert!(all[0].2.contains(words), "{}", all[0].2);
        let call = host.call("misbehave", "echo", json!(1)).unwrap_err();
        assert_eq!(call.code(), code, "{call}");
    }
}

#[test]
fn two_files_with_the_same_id() {
    let (folder, library) = folder_with_good_plugin();
    folder.write("a.so", &library);
    folder.write("b.so", &library);
    let mut other_bytes = library.clone();
    other_bytes.push(0);
    folder.write("c.so", other_bytes);
    folder.write(
        "old.so",
        with_embedded(&library, |embedded| embedded.manifest.version = "0.0.9".parse().unwrap()),
    );
    let all: Vec<_> = refusals(&folder).into_iter().map(|(name, code, _)| (name, code)).collect();
    let expected = [("b.so", "PB0303"), ("c.so", "PB0304"), ("old.so", "PB0302")];
    assert_eq!(all, expected.map(|(name, code)| (name.to_owned(), code)));
}

#[test]
fn what_is_no_file_at_all() {
    use nix::sys::stat::Mode;
    let (folder, _) = folder_with_good_plugin();
    let at = |name: &str| folder.plugins().join(name);
    fs::create_dir(at("folder.so")).unwrap();
    nix::unistd::mkfifo(&at("fifo.so"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.so")).unwrap();
    symlink("/dev/zero", at("device.so")).unwrap();
    symlink("/nowhere/at/all.so", at("dangling.so")).unwrap();
    symlink("loop.so", at("loop.so")).unwrap();
    let all = refusals(&folder);
    let codes: Vec<_> = all.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
    assert_eq!(
        codes,
        [
            ("dangling.so", "PB0203"),
            ("device.so", "PB0202"),
            ("fifo.so", "PB0202"),
            ("folder.so", "PB0202"),
            ("loop.so", "PB0204"),
            ("socket.so", "PB0202"),
        ],
        "{all:#?}"
    );
}

#[test]
fn a_link_to_a_good_library_is_a_plugin() {
    let (folder, library) = folder_with_good_plugin();
    fs::write(folder.beside("elsewhere.so"), library).unwrap();
    symlink(folder.beside("elsewhere.so"), folder.plugins().join("link.so")).unwrap();
    let (host, report) = folder.start();
    assert!(report.refused.is_empty());
    assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
}

#[test]
fn a_file_that_this_user_may_not_read() {
    // To root everything is readable, so root runs this as nobody.
    const NOBODY: u32 = 65_534;
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = scratch.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let library = scratch.path().join("library.so");
        fs::write(&library, fixture()).unwrap();
        let run = Command::new(program)
            .args(["--exact", "a_file_that_this_user_may_not_read", "--nocapture"])
            .env("PLUGBAY_TEST_LIBRARY", library)
            .env("TMPDIR", scratch.path())
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        return;
    }
    let folder = Folder::new();
    let library = match std::env::var_os("PLUGBAY_TEST_LIBRARY") {
        Some(path) => fs::read(path).unwrap(),
        None => fixture(),
    };
    folder.write("good.so", renamed(&library, "goodness"));
    let path = folder.write("bad.so", &library);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let unreadable = tempfile::tempdir_in(folder.beside(".")).unwrap();
    fs::set_permissions(unreadable.path(), fs::Permissions::from_mode(0o000)).unwrap();
    // Not `folder.host()`, which would build the worker.
    let host = Host::builder()
        .plugin_dir(folder.plugins())
        .plugin_dir(unreadable.path())
        .cache_dir(folder.beside("cache"))
        .data_dir(folder.beside("data"))
        .probe(Probe::Never)
        .build()
        .unwrap();
    let mut codes: Vec<_> = refusals_of(&host).into_iter().map(|(_, code, _)| code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["PB0104", "PB0205"]);
}

#[test]
fn what_everyone_may_change_is_refused_unless_allowed() {
    let (folder, library) = folder_with_good_plugin();
    let path = folder.write("bad.so", library);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, shown) = refusal(&folder);
    assert_eq!(code, "PB0206");
    assert!(shown.contains("mode 0666") && shown.contains("chmod o-w"), "{shown}");

    let host = folder.host().allow_world_writable(true).build().unwrap();
    assert!(host.start().unwrap().refused.is_empty());
    drop(host);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.plugins(), fs::Permissions::from_mode(0o777)).unwrap();
    let (_, report) = folder.start();
    assert!(report.active.is_empty());
    assert_eq!(report.refused[0].error.code(), "PB0103");
}

#[test]
fn any_name_that_the_file_system_takes() {
    let (folder, library) = folder_with_good_plugin();
    let names: [&[u8]; 4] = [b"a b.so", b"new\nline.so", b"not\xffutf8.so", b"\x1b[31mred.so"];
    for (at, name) in names.iter().enumerate() {
        let path = folder.plugins().join(OsStr::from_bytes(name));
        fs::write(path, renamed(&library, &format!("plugin-{at}"))).unwrap();
    }
    let (host, report) = folder.start();
    assert_eq!(report.active.len(), 5, "{:#?}", report.refused);
    for at in 0..names.len() {
        let id = format!("plugin-{at}");
        assert_eq!(host.call(&id, "echo", json!(at)).unwrap(), json!(at));
    }
    // A broken one is shown on one line, without moving the cursor.
    fs::write(folder.plugins().join(OsStr::from_bytes(b"\x1b[31m\nbad.so")), "").unwrap();
    let (_, report) = folder.start();
    let shown = report.refused[0].to_string();
    assert!(shown.starts_with(&printable(&folder.plugins())), "{shown}");
    assert!(shown.lines().next().unwrap().ends_with("\\u{1b}[31m\\nbad.so"), "{shown}");
}

#[test]
fn a_file_that_goes_between_discovery_and_verification() {
    let (folder, library) = folder_with_good_plugin();
    let path = folder.write("gone.so", library);
    let found = discover(&[folder.plugins()], false);
    fs::remove_file(path).unwrap();
    let workspace = Workspace::new(&folder.beside("live")).unwrap();
    let codes: Vec<_> = found
        .candidates
        .into_iter()
        .map(|candidate| verify(candidate, &workspace, &VerifyOptions::default()))
        .filter_map(|verified| verified.err().map(|error| error.code()))
        .collect();
    assert_eq!(codes, ["PB0201"]);
}

#[test]
fn a_folder_that_is_none() {
    let (folder, _) = folder_with_good_plugin();
    let file = folder.beside("file");
    fs::write(&file, "").unwrap();
    let host = folder.host().plugin_dir(folder.beside("missing")).plugin_dir(file).build().unwrap();
    let all: Vec<_> = refusals_of(&host).into_iter().map(|(_, code, _)| code).collect();
    assert_eq!(all, ["PB0102", "PB0101"]);
}

#[test]
fn five_thousand_libraries_that_are_no_plugins() {
    let (folder, _) = folder_with_good_plugin();
    let library = plain_library();
    for at in 0..5000 {
        folder.write(&format!("lib{at}.so"), &library);
    }
    let all = refusals(&folder);
    assert_eq!(all.len(), 5000);
    assert!(all.iter().all(|(_, code, _)| *code == "PB0214"));
}

#[test]
fn a_library_that_needs_one_that_is_not_there() {
    let (folder, library) = folder_with_good_plugin();
    // Another name, as long, for the C library in the table of needed ones.
    let mut needy = library;
    let name = b"\0libc.so.6\0";
    let at = needy.windows(name.len()).position(|bytes| bytes == name).unwrap();
    needy[at + 4] = b'q';
    folder.write("bad.so", needy);
    let (code, shown) = refusal(&folder);
    assert_eq!(code, "PB0501");
    assert!(shown.contains("libq.so.6: cannot open shared object file"), "{shown}");
}

#[test]
fn a_file_overwritten_while_its_plugin_serves() {
    let (folder, library) = folder_with_good_plugin();
    let path = folder.write("live.so", &library);
    let (host, _) = folder.start();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&vec![0xcc; library.len()]).unwrap();
    file.set_len(10).unwrap();
    assert_eq!(host.call("misbehave", "echo", json!(1)).unwrap(), json!(1));
    assert!(host.call("misbehave", "panic", json!({"message": "still mapped"})).is_err());
}

fn plain_library() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("x.c"), dir.path().join("x.so"));
    fs::write(&source, "int f(void) { return 1; }\n").unwrap();
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(done.success());
    fs::read(library).unwrap()
}

/// Where the table of sections begins; linkers put it last.
fn section_table(library: &[u8]) -> usize {
    usize::try_from(u64::from_le_bytes(library[40..48].try_into().unwrap())).unwrap()
}

#[test]
fn a_section_may_be_rewritten_by_tools() {
    // That the tests' own tool makes files that are taken at all.
    let library = fixture();
    let same = with_section(&library, ".misdeed", b"serve");
    assert_eq!(same, library);
}
