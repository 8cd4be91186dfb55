//! The ledgers that are kept, and which of them are of releases.

use std::path::{Path, PathBuf};
use std::{fs, io};

use semver::Version;

use crate::compare::{Finding, compare};
use crate::documents;
use crate::ledger::Ledger;

/// What is to be said, and whether all is well.
pub enum Outcome {
    Fine(String),
    Wrong(String),
}

/// The project's folder.
pub struct Releases {
    root: PathBuf,
}

impl Releases {
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Compares the tree with the last release, and the page with the tree.
    pub fn check(&self, tree: &Ledger) -> Result<Outcome, String> {
        let now = &tree.interface;
        let released = self.released()?;
        let mut findings = Vec::new();
        for version in
            released.iter().filter(|version| self.read(version).is_ok_and(|one| one.is_none()))
        {
            findings.push(without_ledger(version));
        }
        let last = released.iter().rfind(|version| version.major == now.major);
        let mut compared = String::from("with no release: it is the first of its major version");
        if let Some(last) = last
            && let Some(release) = self.read(last)?
        {
            if release.machine != tree.machine {
                return Ok(Outcome::Fine(format!(
                    "not compared: the ledger is of a {} machine, and this one is {}",
                    release.machine, tree.machine
                )));
            }
            findings.extend(compare(&release, tree));
            compared = format!("with interface {last}");
        }
        // One that is kept before the release shall be true, too.
        if !released.contains(now)
            && findings.is_empty()
            && self.read(now)?.is_some_and(|kept| kept != *tree)
        {
            findings.push(stale(now));
        }
        let page = self.root.join("docs/ABI.md");
        let page = fs::read_to_string(&page).map_err(|error| told(&page, &error))?;
        let mut before = Vec::new();
        for version in &released {
            before.extend(self.read(version)?);
        }
        findings.extend(documents::differences(&page, tree, &before));
        Ok(if findings.is_empty() {
            let count = tree.entries.len();
            Outcome::Fine(format!(
                "the ABI of interface {now}: {count} entries, compared {compared}"
            ))
        } else {
            let all: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Outcome::Wrong(all.join("\n\n"))
        })
    }

    /// Keeps the tree's ledger, unless it would change that of a release.
    pub fn write(&self, tree: &Ledger) -> Result<Outcome, String> {
        let version = &tree.interface;
        let path = self.path(version);
        let kept = self.read(version)?;
        if kept.as_ref() == Some(tree) {
            return Ok(Outcome::Fine(format!("{} is as it should be", path.display())));
        }
        if kept.is_some() && self.released()?.contains(version) {
            return Ok(Outcome::Wrong(format!(
                "interface {version} is released (tests/frozen/{version} is there), so its ledger \
                 does not change\n  help: raise the version in interface/Cargo.toml"
            )));
        }
        fs::create_dir_all(self.root.join("docs/abi")).map_err(|error| told(&path, &error))?;
        fs::write(&path, tree.to_string()).map_err(|error| told(&path, &error))?;
        Ok(Outcome::Fine(format!("{} is written", path.display())))
    }

    /// A version is released when its binaries are frozen. The oldest first.
    fn released(&self) -> Result<Vec<Version>, String> {
        let folder = self.root.join("tests/frozen");
        let entries = fs::read_dir(&folder).map_err(|error| told(&folder, &error))?;
        let mut found: Vec<Version> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        found.sort();
        Ok(found)
    }

    fn path(&self, version: &Version) -> PathBuf {
        self.root.join(format!("docs/abi/{version}.txt"))
    }

    fn read(&self, version: &Version) -> Result<Option<Ledger>, String> {
        let path = self.path(version);
        match fs::read_to_string(&path) {
            Ok(text) => text.parse().map(Some).map_err(|error| told(&path, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(&path, &error)),
        }
    }
}

fn told(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn without_ledger(version: &Version) -> Finding {
    Finding {
        what: format!("interface {version} is released, and has no ledger"),
        expected: format!("docs/abi/{version}.txt, as tests/frozen/{version} is there"),
        found: "no such file".to_owned(),
        help: "scripts/abi-check --write, or --write COMMIT with the commit of that release"
            .to_owned(),
    }
}

fn stale(version: &Version) -> Finding {
    Finding {
        what: format!(
            "the ledger of interface {version}, which is not released yet, is not that of this tree"
        ),
        expected: format!("docs/abi/{version}.txt as this tree has it"),
        found: "another one".to_owned(),
        help: "scripts/abi-check --write, and look at what it changes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "| 1.1.0 | more |\n| 1.2.0 | even more |\n";

    /// A project in which 1.0.0 is released, with its ledger.
    fn project() -> (tempfile::TempDir, Releases) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("tests/frozen/1.0.0")).unwrap();
        fs::create_dir_all(root.path().join("docs")).unwrap();
        fs::write(root.path().join("docs/ABI.md"), PAGE).unwrap();
        let releases = Releases::of(root.path());
        assert!(fine(releases.write(&ledger("1.0.0", "id"))).contains("is written"));
        (root, releases)
    }

    fn ledger(version: &str, key: &str) -> Ledger {
        let text = format!("interface {version}\nmachine m\n\nnames of keys\n    {key}\n");
        text.parse().unwrap()
    }

    #[track_caller]
    fn fine(outcome: Result<Outcome, String>) -> String {
        match outcome.unwrap() {
            Outcome::Fine(said) => said,
            Outcome::Wrong(said) => panic!("{said}"),
        }
    }

    #[track_caller]
    fn wrong(outcome: Result<Outcome, String>) -> String {
        match outcome.unwrap() {
            Outcome::Fine(said) => panic!("{said}"),
            Outcome::Wrong(said) => said,
        }
    }

    #[test]
    fn the_ledger_of_a_release_does_not_change() {
        let (_root, releases) = project();
        assert!(fine(releases.write(&ledger("1.0.0", "id"))).contains("is as it should be"));
        let said = wrong(releases.write(&ledger("1.0.0", "name")));
        assert!(said.contains("1.0.0 is released") && said.contains("raise the version"), "{said}");
        assert!(
            fine(releases.check(&ledger("1.1.0", "id"))).contains("compared with interface 1.0.0")
        );
    }

    #[test]
    fn a_ledger_that_is_kept_before_the_release_is_true_and_may_change() {
        let (_root, releases) = project();
        fine(releases.write(&ledger("1.1.0", "id")));
        fine(releases.check(&ledger("1.1.0", "id")));
        let later = "id\n    later";
        assert!(wrong(releases.check(&ledger("1.1.0", later))).contains("not released yet"));
        fine(releases.write(&ledger("1.1.0", later)));
        fine(releases.check(&ledger("1.1.0", later)));
    }

    #[test]
    fn the_last_release_is_what_counts_and_each_has_a_ledger() {
        let (root, releases) = project();
        fs::create_dir(root.path().join("tests/frozen/1.1.0")).unwrap();
        let said = wrong(releases.check(&ledger("1.2.0", "id")));
        assert!(said.contains("interface 1.1.0 is released, and has no ledger"), "{said}");
        fine(releases.write(&ledger("1.1.0", "id\n    later")));
        let said = wrong(releases.check(&ledger("1.2.0", "id")));
        assert!(said.contains("`later` is gone") && said.contains("interface 1.1.0"), "{said}");
        fine(releases.check(&ledger("1.2.0", "id\n    later")));
    }

    #[test]
    fn another_machine_is_not_compared() {
        let (_root, releases) = project();
        let mut other = ledger("1.1.0", "other");
        other.machine = "32-bit".into();
        assert!(fine(releases.check(&other)).contains("not compared"));
    }
}
