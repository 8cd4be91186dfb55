//! Stack files in a folder of their own.

#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::path::PathBuf;

use plugbay_stack::{MemberName, Stack, StackError};
use tempfile::TempDir;

pub struct Files(TempDir);

impl Files {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Result<Stack, StackError> {
        Stack::read(&self.path(name))
    }

    /// The message without the folder, and the help.
    pub fn told(&self, name: &str) -> String {
        let error = self.read(name).unwrap_err();
        let folder = format!("{}/", self.0.path().display());
        format!("{}: {error}\nhelp: {}", error.code(), error.hint()).replace(&folder, "")
    }
}

/// One file, which is called `s` as a stack where it does not say.
pub fn stack(ending: &str, text: &str) -> Stack {
    let name = format!("s.{ending}");
    Files::new(&[(&name, text)]).read(&name).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

pub fn wrong(ending: &str, text: &str) -> String {
    let name = format!("s.{ending}");
    Files::new(&[(&name, text)]).told(&name)
}

pub fn name(text: &str) -> MemberName {
    text.parse().unwrap()
}
