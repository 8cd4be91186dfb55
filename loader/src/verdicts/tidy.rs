//! Keeps the folders of verdicts from growing for ever.
//!
//! Several hosts may do this in one folder at the same time, and others write to
//! it: a file that is gone was removed by somebody else, and one that is new since
//! it was listed stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How many verdicts are kept in one folder. More than anybody has plugins: one of
/// those that are in use is not to be tried again at every start.
pub(super) const MOST: usize = 10_000;
/// When a folder of another version is one that nobody uses any more.
const ABANDONED: Duration = Duration::from_secs(90 * 24 * 3600);
/// When what is written aside is not being written any more.
const LEFT: Duration = Duration::from_secs(3600);

/// Removes the oldest verdicts of a folder where there are more than `most`, and a
/// tenth of the others with them, so that this is seldom to be done.
pub(super) fn tidy(dir: &Path, most: usize) {
    let mut verdicts = Vec::new();
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if is_verdict(&path) {
            verdicts.push(path);
        } else if age(&path).is_some_and(|age| age > LEFT) {
            let _ = fs::remove_file(path);
        }
    }
    if verdicts.len() <= most {
        return;
    }
    let mut dated: Vec<_> =
        verdicts.into_iter().filter_map(|path| Some((changed(&path)?, path))).collect();
    dated.sort();
    let over = dated.len().saturating_sub(most - most / 10);
    for (then, path) in dated.into_iter().take(over) {
        if changed(&path) == Some(then) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes what other versions of the loader knew of libraries that survived. What
/// they know of those that crashed stays.
pub(super) fn tidy_other_versions(own: &Path, survivors: &str) {
    let versions = own.parent().and_then(|all| all.read_dir().ok());
    for version in versions.into_iter().flatten().flatten().map(|entry| entry.path()) {
        let folder = version.join(survivors);
        // The folder changes with each file that is put into it.
        if version != own && age(&folder).is_some_and(|age| age > ABANDONED) {
            for verdict in verdicts_in(&folder) {
                let _ = fs::remove_file(verdict);
            }
            // Those that are empty now.
            let _ = fs::remove_dir(folder).and_then(|()| fs::remove_dir(version));
        }
    }
}

fn verdicts_in(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_verdict(path))
}

fn is_verdict(path: &Path) -> bool {
    let hash = path.file_stem().and_then(|stem| stem.to_str());
    let is_hash = hash.is_some_and(|hash| blake3::Hash::from_hex(hash).is_ok());
    is_hash && path.extension().is_some_and(|extension| extension == "json")
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.symlink_metadata().ok()?.modified().ok()
}

fn age(path: &Path) -> Option<Duration> {
    changed(path)?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn put(dir: &Path, name: &str, age: Duration) -> PathBuf {
        let path = dir.join(name);
        let file = File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        path
    }

    fn verdict(dir: &Path, number: u64) -> PathBuf {
        let name = format!("{}.json", blake3::hash(&number.to_le_bytes()).to_hex());
        put(dir, &name, Duration::from_secs(number * 60))
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let all: Vec<_> = (0..20).map(|number| verdict(dir, number)).collect();
        let foreign = put(dir, "notes.txt", Duration::ZERO);
        let aside = put(dir, ".tmpA", Duration::ZERO);
        let left = put(dir, ".tmpB", LEFT * 2);
        tidy(dir, 20);
        assert!(all.iter().all(|path| path.exists()));
        assert!(foreign.exists() && aside.exists() && !left.exists());
        tidy(dir, 10);
        let kept: Vec<_> = all.iter().map(|path| path.exists()).collect();
        assert_eq!(kept, [vec![true; 9], vec![false; 11]].concat());
    }

    #[test]
    fn another_version_keeps_its_crashes_and_loses_the_rest_when_it_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let make = |version: &str, age: Duration| {
            let dir = folder.path().join(version).join("survived");
            fs::create_dir_all(&dir).unwrap();
            let verdict = verdict(&dir, 1);
            File::open(&dir).unwrap().set_modified(SystemTime::now() - age).unwrap();
            verdict
        };
        let (own, used) = (make("own", ABANDONED * 2), make("used", Duration::ZERO));
        let (old, older) = (make("old", ABANDONED * 2), make("older", ABANDONED * 2));
        let crashed = folder.path().join("older/quarantined");
        fs::create_dir(&crashed).unwrap();
        let crashed = verdict(&crashed, 2);
        tidy_other_versions(&folder.path().join("own"), "survived");
        assert!(own.exists() && used.exists() && crashed.exists());
        assert!(!older.exists() && !old.exists() && !folder.path().join("old").exists());
    }
}
