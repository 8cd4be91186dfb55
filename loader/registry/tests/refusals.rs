//! What is no damage: what this user may not do, what another process has locked, what
//! there is no room for. The registry says so, and what it acknowledged stays.

#![cfg(feature = "sqlite")]

mod support;

use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::unistd::geteuid;
use plugbay_registry::{
    Ending, Event, EventKind, HistoryQuery, HostProcess, Limits, Query, Registry, RegistryError,
};
use support::child::{arguments, child, orders, tell};
use support::{Backend, Home, begin, open_at, plugin};

fn refusal(home: &Home) -> RegistryError {
    match home.try_open() {
        Ok(_) => panic!("{:?} opened", home.backend),
        Err(error) => error,
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_is_expected_and_a_file_wanted() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let error =
            |path: &str| match open_at(backend, home.folder.path().join(path), Limits::default()) {
                Ok(_) => panic!("{path}"),
                Err(error) => error.code(),
            };
        assert_eq!(error("nowhere/registry"), "PB1601");
        fs::create_dir(home.folder.path().join("folder")).unwrap();
        assert_eq!(error("folder"), "PB1602");
        assert_eq!(error(".."), "PB1602");
        nix::unistd::mkfifo(&home.folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU)
            .unwrap();
        assert_eq!(error("fifo"), "PB1602");
        assert_eq!(home.files(), ["fifo", "folder"]);
    }
}

#[test]
fn files_are_for_their_user_alone() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let registry = home.open();
        registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
        registry.append(&[event(1)]).unwrap();
        assert!(home.files().len() >= 3, "{:?}", home.files());
        for name in home.files() {
            let mode = home.folder.path().join(&name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}

#[test]
fn a_link_is_followed_and_not_replaced() {
    for backend in Backend::DURABLE {
        let (home, other) = (Home::of(backend), Home::of(backend));
        drop(other.open());
        symlink(other.file(), home.file()).unwrap();
        home.open().record(&[plugin("a", "1.0.0", 1)]).unwrap();
        assert!(home.file().is_symlink());
        assert_eq!(other.open().query(&Query::new()).unwrap().len(), 1);
    }
}

#[test]
fn a_relative_path_is_meant_from_where_it_was_opened() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let mut command =
            child("opens_and_goes_elsewhere", backend, backend.file_name().as_ref(), "");
        assert_well(command.current_dir(home.folder.path()).output().unwrap());
        assert_eq!(home.open().query(&Query::new()).unwrap().len(), 1);
    }
}

#[test]
#[ignore = "run as a child"]
fn opens_and_goes_elsewhere() {
    let Some(orders) = orders() else { return };
    let (registry, _) = open_at(orders.backend, orders.file, Limits::default()).unwrap();
    std::env::set_current_dir("/").unwrap();
    registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
}

#[test]
fn another_process_that_has_it_locked_is_waited_for_and_then_named() {
    for backend in Backend::DURABLE {
        let mut home = Home::of(backend);
        home.limits = home.limits.patience(Duration::from_millis(50));
        let registry = home.open();
        let lock =
            File::open(home.folder.path().join(format!("{}.lock", backend.file_name()))).unwrap();
        lock.lock().unwrap();
        let error = registry.record(&[plugin("a", "1.0.0", 1)]).unwrap_err();
        assert!(matches!(error, RegistryError::Busy { .. }), "{error:?}");
        assert_eq!((error.code(), refusal(&home).code()), ("PB1606", "PB1606"));
        lock.unlock().unwrap();
        registry.record(&[plugin("a", "1.0.0", 1)]).unwrap();
    }
}

#[test]
fn a_database_that_somebody_works_in_is_busy_and_not_damaged() {
    let mut home = Home::of(Backend::Sqlite);
    home.limits = home.limits.patience(Duration::from_millis(50));
    let registry = home.open();
    let other = rusqlite::Connection::open(home.file()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(registry.append(&[event(1)]).unwrap_err().code(), "PB1606");
    other.execute_batch("ROLLBACK").unwrap();
    registry.append(&[event(1)]).unwrap();
}

#[test]
fn somebody_elses_database_is_left_alone() {
    let home = Home::of(Backend::Sqlite);
    let other = rusqlite::Connection::open(home.file()).unwrap();
    other
        .execute_batch("CREATE TABLE bookmark (url TEXT); INSERT INTO bookmark VALUES ('x')")
        .unwrap();
    drop(other);
    let before = fs::read(home.file()).unwrap();
    let error = refusal(&home);
    assert!(matches!(error, RegistryError::Foreign { .. }), "{error:?}");
    assert_eq!(error.code(), "PB1608");
    assert_eq!(fs::read(home.file()).unwrap(), before);
}

/// As a user whom modes stop.
fn as_nobody(command: &mut Command) -> &mut Command {
    match geteuid().is_root() {
        true => command.uid(65_534).gid(65_534),
        false => command,
    }
}

fn assert_well(output: Output) {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
    assert!(said(&output.stdout).contains("1 passed"), "{}", said(&output.stdout));
}

#[test]
fn what_this_user_may_not_do_is_no_damage() {
    for backend in Backend::DURABLE {
        // The folder alone; and the file alone, where everything next to it may be written.
        for (folder, file) in [(0o555, 0o666), (0o777, 0o000), (0o777, 0o444)] {
            let home = Home::of(backend);
            home.open().record(&[plugin("a", "1.0.0", 1)]).unwrap();
            // A file that is replaced as a whole need not be written to, but it is looked at.
            if (backend, file) == (Backend::File, 0o444) {
                continue;
            }
            for name in home.files() {
                set_mode(&home.folder.path().join(name), 0o666);
            }
            let lock = home.folder.path().join(format!("{}.lock", backend.file_name()));
            if folder == 0o555 {
                fs::remove_file(lock).unwrap();
            }
            set_mode(&home.file(), file);
            set_mode(home.folder.path(), folder);
            let name = format!("{folder:o} {file:o}");
            let mut command = child("opens_what_it_may_not", backend, &home.file(), &name);
            let output = as_nobody(&mut command).output();
            set_mode(home.folder.path(), 0o700);
            match output {
                Ok(output) => assert_well(output),
                Err(error) => return eprintln!("skipped: nobody cannot run this program: {error}"),
            }
            set_mode(&home.file(), 0o600);
            let aside = home.files().into_iter().find(|name| name.contains("broken"));
            assert_eq!(aside, None);
            assert_eq!(home.open().query(&Query::new()).unwrap().len(), 1);
        }
    }
}

#[test]
#[ignore = "run as a child"]
fn opens_what_it_may_not() {
    let Some(orders) = orders() else { return };
    let error = match open_at(orders.backend, orders.file.clone(), Limits::default()) {
        Ok((registry, aside)) => {
            assert_eq!(aside, []);
            registry.record(&[plugin("b", "1.0.0", 2)]).unwrap_err()
        }
        Err(error) => error,
    };
    assert!(matches!(error, RegistryError::NotPermitted { .. }), "{}: {error:?}", orders.name);
    assert!(error.hint().contains("ls -ld"), "{}", error.hint());
}

#[test]
fn what_is_damaged_and_cannot_be_set_aside_is_told() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can make files of another user");
    }
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        drop(home.open());
        fs::write(home.file(), "damaged").unwrap();
        for name in home.files() {
            set_mode(&home.folder.path().join(name), 0o666);
        }
        // Everybody may write here, and rename only what is their own.
        set_mode(home.folder.path(), 0o1777);
        let mut command = child("opens_what_it_may_not_rename", backend, &home.file(), "");
        match as_nobody(&mut command).output() {
            Ok(output) => assert_well(output),
            Err(error) => return eprintln!("skipped: nobody cannot run this program: {error}"),
        }
        assert_eq!(fs::read(home.file()).unwrap(), b"damaged");
    }
}

#[test]
#[ignore = "run as a child"]
fn opens_what_it_may_not_rename() {
    let Some(orders) = orders() else { return };
    let error = open_at(orders.backend, orders.file, Limits::default()).err().unwrap();
    assert!(matches!(error, RegistryError::NotSetAside { .. }), "{error:?}");
    assert_eq!(error.code(), "PB1611");
}

fn event(number: usize) -> Event {
    let text = format!("{number} {}", "x".repeat(400));
    Event::new("a".parse().unwrap(), None, EventKind::Loaded, text)
}

/// Adds events until it fails. How many were acknowledged.
fn append_until_refused(registry: &dyn Registry) -> (usize, RegistryError) {
    for number in 0..1_000_000 {
        if let Err(error) = registry.append(&[event(number)]) {
            return (number, error);
        }
    }
    panic!("there is no limit");
}

fn assert_all_there(registry: &dyn Registry, acknowledged: usize) {
    let kept = registry.history(&HistoryQuery::new()).unwrap();
    // What was refused may be there, and what was acknowledged must be.
    assert!(kept.len() == acknowledged || kept.len() == acknowledged + 1, "{}", kept.len());
    for (number, kept) in kept.iter().rev().enumerate() {
        assert_eq!(kept.text, event(number).text);
    }
    let records = registry.query(&Query::new().id("first".parse().unwrap())).unwrap();
    assert_eq!(records.len(), 1);
}

/// Runs a script in a namespace of its own, where `$DIR` may become another file system.
/// Whether that can be done here.
fn in_namespace(script: &str, test: &str, home: &Home) -> Option<Output> {
    let possible = Command::new("unshare").args(["-rm", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there are no namespaces for users here (unshare -rm)");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-ec", script]).arg(std::env::current_exe().unwrap());
    command.args(arguments(test)).env("DIR", home.folder.path());
    tell(&mut command, home.backend, &home.file(), "");
    Some(command.output().unwrap())
}

#[test]
fn a_disk_that_is_full_is_told_and_loses_nothing() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let script = "mount -t tmpfs -o size=600k tmpfs \"$DIR\"; \"$0\" \"$@\"";
        if let Some(output) = in_namespace(script, "fills_its_disk", &home) {
            assert_well(output);
        }
    }
}

#[test]
#[ignore = "run as a child"]
fn fills_its_disk() {
    let Some(orders) = orders() else { return };
    let folder = orders.file.parent().unwrap();
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 100_000]).unwrap();
    let open = || open_at(orders.backend, orders.file.clone(), Limits::default()).unwrap();
    let (registry, _) = open();
    registry.record(&[plugin("first", "1.0.0", 1)]).unwrap();
    let (acknowledged, error) = append_until_refused(&*registry);
    assert_eq!(error.code(), "PB1605", "{error:?}");
    assert!(acknowledged > 10, "{acknowledged}");
    assert_all_there(&*registry, acknowledged);
    let many: Vec<_> = (0..500).map(|number| plugin("many", "1.0.0", number)).collect();
    assert_eq!(registry.record(&many).unwrap_err().code(), "PB1605");
    assert_eq!(registry.query(&Query::new()).unwrap().len(), 1);
    // The same registry goes on when there is room, and so does the next one.
    fs::remove_file(ballast).unwrap();
    registry.record(&[plugin("second", "1.0.0", 2)]).unwrap();
    drop(registry);
    let (registry, aside) = open();
    assert_eq!(aside, []);
    assert_all_there(&*registry, acknowledged);
    assert_eq!(registry.query(&Query::new()).unwrap().len(), 2);
}

/// Where only the beginning had room, the next host would take that for a crash.
#[test]
fn what_begins_on_a_disk_that_fills_can_end() {
    for backend in Backend::DURABLE {
        for test in ["begins_on_a_disk_that_fills", "begins_and_finds_the_log_full"] {
            let home = Home::of(backend);
            let script = "mount -t tmpfs -o size=600k tmpfs \"$DIR\"; \"$0\" \"$@\"";
            if let Some(output) = in_namespace(script, test, &home) {
                assert_well(output);
            }
        }
    }
}

fn fill(ballast: &mut File) {
    while ballast.write_all(&[1; 4096]).is_ok() {}
}

#[test]
#[ignore = "run as a child"]
fn begins_on_a_disk_that_fills() {
    let Some(orders) = orders() else { return };
    let (registry, _) = open_at(orders.backend, orders.file.clone(), Limits::default()).unwrap();
    assert_eq!(registry.open_attempts().unwrap(), []);
    let process = HostProcess::current().unwrap();
    let all: Vec<_> = (0..20).map(|number| begin("a", number, &process)).collect();
    let mut ballast = File::create(orders.file.with_file_name("ballast")).unwrap();
    fill(&mut ballast);
    let full = ballast.metadata().unwrap().len();
    let (mut begun, mut refused) = (0, 0);
    for room in (0..=full).step_by(4096) {
        ballast.set_len(full - room).unwrap();
        ballast.seek(SeekFrom::End(0)).unwrap();
        match registry.begin_attempts(&all) {
            Ok(ids) => {
                // By other hosts of this registry, and by everybody else.
                let many: Vec<_> = (0..1_000).map(event).collect();
                while registry.append(&many).is_ok() {}
                while registry.append(&[event(begun)]).is_ok() {}
                fill(&mut ballast);
                while registry.append(&[event(begun)]).is_ok() {}
                assert_eq!(registry.end_attempts(&ids, Ending::Harmless).unwrap(), ids.len());
                begun += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), "PB1605", "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(begun > 0 && refused > 0, "{begun} begun, {refused} refused");
    assert_eq!(registry.open_attempts().unwrap(), []);
}

/// By a program that leaves no room.
#[test]
#[ignore = "run as a child"]
fn begins_and_finds_the_log_full() {
    let Some(orders) = orders().filter(|it| it.backend == Backend::Sqlite) else { return };
    let (registry, _) = open_at(orders.backend, orders.file.clone(), Limits::default()).unwrap();
    let process = HostProcess::current().unwrap();
    let id = registry.begin_attempt(&begin("a", 1, &process)).unwrap();
    fill(&mut File::create(orders.file.with_file_name("ballast")).unwrap());
    let other = rusqlite::Connection::open(&orders.file).unwrap();
    let change = "UPDATE attempt SET plugin = CASE plugin WHEN 'a' THEN 'b' ELSE 'a' END";
    while other.execute(change, []).is_ok() {}
    assert!(registry.end_attempt(id, Ending::Harmless).unwrap());
}

#[test]
fn a_disk_that_becomes_read_only_is_told_and_loses_nothing() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let script = "mount -t tmpfs tmpfs \"$DIR\"; \"$0\" \"$@\"";
        if let Some(output) = in_namespace(script, "loses_the_right_to_write", &home) {
            assert_well(output);
        }
    }
}

#[test]
#[ignore = "run as a child"]
fn loses_the_right_to_write() {
    let Some(orders) = orders() else { return };
    let open = || open_at(orders.backend, orders.file.clone(), Limits::default());
    let (registry, _) = open().unwrap();
    registry.record(&[plugin("first", "1.0.0", 1)]).unwrap();
    drop(registry);
    let remount = |how: &str| {
        let mut command = Command::new("mount");
        command.args(["-o", how]).arg(orders.file.parent().unwrap());
        assert!(command.status().unwrap().success());
    };
    remount("remount,bind,ro");
    let error = open().err().unwrap();
    assert_eq!(error.code(), "PB1604", "{error:?}");
    assert!(error.hint().contains("findmnt -T"), "{}", error.hint());
    remount("remount,bind,rw");
    let (registry, aside) = open().unwrap();
    assert_eq!(aside, []);
    assert_all_there(&*registry, 0);
}

#[test]
fn a_write_that_the_system_cuts_short_loses_nothing() {
    for backend in Backend::DURABLE {
        let home = Home::of(backend);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 400; trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(std::env::current_exe().unwrap()).args(arguments("writes_up_to_a_limit"));
        tell(&mut command, backend, &home.file(), "");
        assert_well(command.output().unwrap());
        let kept = home.open().history(&HistoryQuery::new()).unwrap();
        assert!(kept.len() > 10);
    }
}

#[test]
#[ignore = "run as a child"]
fn writes_up_to_a_limit() {
    let Some(orders) = orders() else { return };
    let open = || open_at(orders.backend, orders.file.clone(), Limits::default()).unwrap();
    let (registry, _) = open();
    registry.record(&[plugin("first", "1.0.0", 1)]).unwrap();
    let (acknowledged, error) = append_until_refused(&*registry);
    assert!(!matches!(error, RegistryError::Damaged { .. }), "{error:?}");
    assert_all_there(&*registry, acknowledged);
    drop(registry);
    let (registry, aside) = open();
    assert_eq!(aside, []);
    assert_all_there(&*registry, acknowledged);
}
