//! A library's path whose file is replaced while somebody calls it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;
use std::{fs, io};

use tempfile::TempDir;

/// A folder with the library `answer`.
pub struct Live {
    root: TempDir,
    versions: [Vec<u8>; 2],
}

impl Live {
    /// With the first version in place.
    pub fn new(libraries: &[PathBuf; 2]) -> io::Result<Self> {
        let versions = [fs::read(&libraries[0])?, fs::read(&libraries[1])?];
        let live = Self { root: tempfile::tempdir()?, versions };
        fs::create_dir(live.folder())?;
        // Not in the watched folder: what is on its way there is no event.
        fs::create_dir(live.beside("staged"))?;
        live.put(1)?;
        Ok(live)
    }

    /// What the peers watch, or the folder of it.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("live")
    }

    /// The path whose file is replaced.
    pub fn library(&self) -> PathBuf {
        self.folder().join("libanswer.so")
    }

    /// A path that nobody watches, in the same file system.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Replaces the library by the version that answers `answer`, in one step: a
    /// half-written file makes some of the peers crash, which is another matter.
    /// Returns when that was done.
    pub fn put(&self, answer: u64) -> io::Result<Instant> {
        let staged = self.beside("staged/libanswer.so");
        fs::write(&staged, &self.versions[if answer == 1 { 0 } else { 1 }])?;
        fs::rename(&staged, self.library())?;
        Ok(Instant::now())
    }
}

static WATCHED: OnceLock<PathBuf> = OnceLock::new();

/// Sets [`watched`], once.
pub fn watch(folder: &Path) {
    WATCHED.set(folder.to_owned()).expect("one folder a process");
}

/// Where hot-lib-reloader's modules, which are globals, find their library: they
/// ask when they are first called.
pub fn watched() -> PathBuf {
    WATCHED.get().expect("a folder is set before the first call").clone()
}
