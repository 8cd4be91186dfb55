//! A copy of a registry that cannot be written, for who wants to read it.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// How often a registry is copied that another host writes to meanwhile.
const MOST_COPIES: usize = 100;

/// A copy of a registry's file and of its log, in a folder that goes with it: that of the
/// user's session, which is in memory, or, where there is none, the one for temporary files.
pub(super) fn elsewhere(path: &Path, log: &str) -> Option<(TempDir, PathBuf)> {
    let session = env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute());
    let session = session.and_then(|dir| TempDir::new_in(dir).ok());
    [session, TempDir::new().ok()].into_iter().flatten().find_map(|folder| {
        let copied = copied_to(folder.path(), path, log)?;
        Some((folder, copied))
    })
}

/// Copies a registry's file, and its log as it was all that time: another host may move what
/// is in the log to the file between two reads.
fn copied_to(folder: &Path, path: &Path, log: &str) -> Option<PathBuf> {
    let log_of = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(log);
        PathBuf::from(name)
    };
    let log = || match fs::read(log_of(path)) {
        Ok(bytes) => Some(Some(bytes)),
        Err(error) => (error.kind() == ErrorKind::NotFound).then_some(None),
    };
    let copied = folder.join(path.file_name()?);
    for _ in 0..MOST_COPIES {
        let before = log()?;
        // Its bytes alone: what may not be written to is to be written to there.
        fs::write(&copied, fs::read(path).ok()?).ok()?;
        if log()? == before {
            if let Some(bytes) = before {
                fs::write(log_of(&copied), bytes).ok()?;
            }
            return Some(copied);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use plugbay_loader::PluginId;
    use plugbay_loader::registry::{Registry, SqliteRegistry, Wish};

    use super::super::{Keeping, Kind};

    #[test]
    fn what_another_host_has_written_is_in_a_copy_though_it_moves_its_log_meanwhile() {
        const WISHES: usize = 100;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        drop(SqliteRegistry::open(&path).unwrap());
        let keeping = Keeping { kind: Kind::Sqlite, path: Some(path.clone()) };
        let written = AtomicUsize::new(0);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 1..=WISHES {
                    // With the last one that has it open its log goes.
                    let registry = SqliteRegistry::open(&path).unwrap().registry;
                    let id: PluginId = format!("p{number}").parse().unwrap();
                    registry.set_wish(&id, Some(Wish::disabled())).unwrap();
                    written.store(number, Ordering::Release);
                }
            });
            let mut read = 0;
            while !writer.is_finished() {
                let before = written.load(Ordering::Acquire);
                if let Some(copy) = keeping.copied() {
                    let wishes = copy.wishes().unwrap().len();
                    assert!(wishes >= before, "{wishes} of {before}");
                    read += 1;
                }
            }
            assert!(read > 0);
        });
    }
}
