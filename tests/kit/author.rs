//! Crates as a plugin's author has them: outside of the workspace, with nothing
//! but the interface to depend on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::build::{cargo, root, target};
use crate::mine;

/// What stands in the README where the author's checkout of the project is.
const CHECKOUT: &str = "../plugbay";

/// A crate in a folder of its own.
pub struct AuthorCrate {
    dir: tempfile::TempDir,
    files: Vec<PathBuf>,
}

/// What `cargo check` says of the plugin `mine` with these files; without a `plugin.toml`
/// where that is empty.
///
/// # Errors
///
/// When it does not compile: what the compiler says.
pub fn check_mine(toml: &str, source: &str) -> Result<String, String> {
    let mut files = vec![("Cargo.toml", mine::CARGO), ("src/lib.rs", source)];
    if !toml.is_empty() {
        files.push(("plugin.toml", toml));
    }
    AuthorCrate::new(&files).cargo(&["check"])
}

/// To cargo, crates of one name at the roots of their workspaces are the same crate,
/// and it takes a file that is older than the last build for unchanged. So one is
/// built after the other, with new times.
static ONE_BY_ONE: Mutex<()> = Mutex::new(());

impl AuthorCrate {
    /// Writes the files. In each `Cargo.toml`, `../plugbay` becomes this project.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let checkout = root();
        let (mut written, mut depends) = (Vec::new(), false);
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            let content = if name.ends_with("Cargo.toml") {
                depends |= content.contains(CHECKOUT);
                content.replace(CHECKOUT, checkout.to_str().expect("UTF-8"))
            } else {
                (*content).to_owned()
            };
            fs::write(&path, content).expect("written");
            written.push(path);
        }
        assert!(depends, "no crate here depends on this project");
        // The versions that this project is tested with.
        fs::copy(checkout.join("Cargo.lock"), dir.path().join("Cargo.lock")).expect("copied");
        Self { dir, files: written }
    }

    /// Runs cargo there; its exit and what it said.
    pub fn cargo(&self, arguments: &[&str]) -> Result<String, String> {
        let _alone = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &self.files {
            let file = File::options().append(true).open(file).expect("opened");
            file.set_modified(SystemTime::now()).expect("touched");
        }
        let output = Command::new(cargo())
            .args(arguments)
            .args(["--quiet", "--color", "never"])
            .current_dir(self.dir.path())
            .env("CARGO_TARGET_DIR", target().join("author"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(said)
        }
    }

    /// Where cargo puts what it builds.
    pub fn built(&self, name: &str) -> PathBuf {
        target().join("author/debug").join(name)
    }

    /// The crate's folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The fenced blocks of a Markdown file that follow a comment
/// `<!-- GROUP: NAME -->`, as name and content.
pub fn blocks(markdown: &str, group: &str) -> Vec<(String, String)> {
    let mark = format!("<!-- {group}: ");
    markdown
        .split(&mark)
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once(" -->").expect("an end of the comment");
            let (_, rest) = rest.split_once("```").expect("a fence");
            let (_, rest) = rest.split_once('\n').expect("a line");
            let (content, _) = rest.split_once("\n```").expect("an end of the fence");
            (name.to_owned(), format!("{content}\n"))
        })
        .collect()
}

/// The project's README.
pub fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("a README")
}
