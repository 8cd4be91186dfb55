//! What the tests of a registry share. Each of them uses a part of it.
#![allow(dead_code)]

use std::path::PathBuf;

use plugbay_registry::{
    Begin, ContentHash, Doing, FileRegistry, HostProcess, Limits, MemoryRegistry, Offered, Opened,
    PluginRecord, RecordKey, Registry, SetAside, SqliteRegistry,
};
use tempfile::TempDir;

pub mod child;

/// One of the registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Memory,
    File,
    Sqlite,
}

impl Backend {
    pub const ALL: [Self; 3] = [Self::Memory, Self::File, Self::Sqlite];
    pub const DURABLE: [Self; 2] = [Self::File, Self::Sqlite];

    pub fn file_name(self) -> &'static str {
        match self {
            Self::Memory => "nothing",
            Self::File => "registry.json",
            Self::Sqlite => "registry.db",
        }
    }
}

/// A folder of its own for one registry.
pub struct Home {
    pub backend: Backend,
    pub folder: TempDir,
    pub limits: Limits,
}

impl Home {
    pub fn of(backend: Backend) -> Self {
        let limits = Limits::default();
        Self { backend, folder: tempfile::tempdir().unwrap(), limits }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join(self.backend.file_name())
    }

    /// Opens what is not damaged.
    pub fn open(&self) -> Box<dyn Registry> {
        let (registry, aside) = self.try_open().unwrap();
        assert_eq!(aside, []);
        registry
    }

    pub fn try_open(
        &self,
    ) -> Result<(Box<dyn Registry>, Vec<SetAside>), plugbay_registry::RegistryError> {
        open_at(self.backend, self.file(), self.limits.clone())
    }

    /// What the next host finds; the memory's registry itself, as it ends with its host.
    pub fn again(&self, registry: Box<dyn Registry>) -> Box<dyn Registry> {
        if self.backend == Backend::Memory {
            return registry;
        }
        drop(registry);
        self.open()
    }

    /// The names of the files there are.
    pub fn files(&self) -> Vec<String> {
        let entries = self.folder.path().read_dir().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn open_at(
    backend: Backend,
    file: PathBuf,
    limits: Limits,
) -> Result<(Box<dyn Registry>, Vec<SetAside>), plugbay_registry::RegistryError> {
    fn boxed<R: Registry + 'static>(opened: Opened<R>) -> (Box<dyn Registry>, Vec<SetAside>) {
        (Box::new(opened.registry), opened.set_aside)
    }
    match backend {
        Backend::Memory => Ok((Box::new(MemoryRegistry::with(&limits)), Vec::new())),
        Backend::File => FileRegistry::open_with(&file, limits).map(boxed),
        Backend::Sqlite => SqliteRegistry::open_with(&file, limits).map(boxed),
    }
}

pub fn hash(number: u64) -> ContentHash {
    format!("{number:064x}").parse().unwrap()
}

/// A plugin with something in every field, the name of whose file is not UTF-8.
pub fn plugin(id: &str, version: &str, number: u64) -> PluginRecord {
    use std::os::unix::ffi::OsStringExt;
    let path = std::ffi::OsString::from_vec(format!("/plugins/{id}\\").into_bytes());
    let mut path = path.into_vec();
    path.extend_from_slice(b"\xff.so");
    let path = std::ffi::OsString::from_vec(path).into();
    let (id, version) = (id.parse().unwrap(), version.parse().unwrap());
    let mut record = PluginRecord::new(id, version, hash(number), path);
    record.description = "Tells \"what\" it does\0\nin two lines".into();
    record.kinds = vec!["renderer".into()];
    record.capabilities = vec!["tables".into(), "footnotes".into()];
    let attributes = serde_json::json!({ "speed": 0.1, "deep": { "in": [1, null, "ü"] } });
    let attributes = attributes.as_object().unwrap().clone();
    record.sub_types = [("renderer".into(), attributes)].into();
    let contract = "plugbay.renderer".parse().unwrap();
    record.contracts = vec![Offered::new(contract, "1.2".parse().unwrap())];
    record
}

pub fn key(id: &str, version: &str, number: u64) -> RecordKey {
    RecordKey { id: id.parse().unwrap(), version: version.parse().unwrap(), hash: hash(number) }
}

pub fn begin(id: &str, number: u64, process: &HostProcess) -> Begin {
    Begin::new(key(id, "1.0.0", number), Doing::Activating, process.clone())
}

/// Ids and versions, as they came.
pub fn names(records: &[PluginRecord]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.id, record.version)).collect()
}

/// A process that was there and is gone.
pub fn a_dead_process() -> HostProcess {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let process = HostProcess::of(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    process
}
