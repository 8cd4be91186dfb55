//! What the end-to-end tests are built with: real libraries, real folders, a
//! real host.
//!
//! Everything panics when it does not work: it is for tests.

mod author;
mod block_on;
mod build;
mod logged;
pub mod measure;
pub mod mine;
mod piece;
mod rewrite;
mod turncoat;

use std::ops::Deref;
use std::path::{Path, PathBuf};

pub use author::{AuthorCrate, blocks, check_mine, readme};
pub use block_on::block_on;
pub use build::{
    Variant, build, build_with_nightly, built, compare, compare_sandboxes, host_app, released,
    root, shipped, worker,
};
pub use logged::{keep_what_is_logged, logged};
pub use piece::{broken_piece, piece, piece_of};
use plugbay_loader::interface::serde_json::Value;
use plugbay_loader::{Host, HostBuilder, Probe, StartReport};
pub use rewrite::{misdeed, turned, with_embedded, with_section};
use tempfile::TempDir;
pub use turncoat::{
    Turncoat, as_it_is, at_once, impatient, mapped_below, next, reloaded, thread_names, until,
    while_calling,
};

/// A plugins folder with the cache and data folders of one host, gone with it.
pub struct Folder {
    root: TempDir,
}

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("plugbay-test-").tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("plugins")).expect("a folder");
        Self { root }
    }

    /// The plugins folder.
    pub fn plugins(&self) -> PathBuf {
        self.root.path().join("plugins")
    }

    /// A path beside the plugins folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Copies a file in, under a name.
    pub fn put(&self, file: &Path, name: &str) -> PathBuf {
        let path = self.plugins().join(name);
        std::fs::copy(file, &path).expect("copied");
        path
    }

    /// Writes a file, with mode 0644 whatever the umask says.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.plugins().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Writes a file aside and renames it, so that it is there whole or not at all.
    pub fn put_whole(&self, name: &str, content: &[u8]) {
        let aside = self.plugins().join(format!(".{name}.new"));
        std::fs::write(&aside, content).expect("written");
        std::fs::rename(aside, self.plugins().join(name)).expect("renamed");
    }

    /// A host on this folder, with its own cache and data, that tries libraries
    /// in a child process.
    pub fn host(&self) -> HostBuilder {
        Host::builder()
            .plugin_dir(self.plugins())
            .cache_dir(self.beside("cache"))
            .data_dir(self.beside("data"))
            .worker(worker())
            .probe(Probe::Required)
    }

    /// Builds and starts [`host`](Self::host).
    pub fn start(&self) -> (Host, StartReport) {
        let host = self.host().build().expect("a host");
        let report = host.start().expect("a start");
        (host, report)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// A host that serves one plugin, with the folder that it lives in.
pub struct Serving {
    host: Host,
    /// The folder; dropped after the host.
    pub folder: Folder,
}

impl Deref for Serving {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Builds a package, puts its library into a fresh folder and starts a host
/// there, which gives it `config`.
pub fn serving(package: &str, config: Value) -> Serving {
    let folder = Folder::new();
    let library = build(package);
    let name = library.file_name().expect("a name").to_string_lossy().into_owned();
    folder.put(&library, &name);
    let id = name.trim_start_matches("lib").trim_end_matches(".so").to_owned();
    let host = folder.host().config(id, config).build().expect("a host");
    let report = host.start().expect("a start");
    let refused: Vec<_> = report.refused.iter().map(ToString::to_string).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    Serving { host, folder }
}
