//! Where it is kept what is known of plugins: `registry` in the config file.

mod copied;

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugbay_loader::registry::{
    Event, FileRegistry, MemoryRegistry, Opened, Registry, RegistryError, SetAside, SqliteRegistry,
    hold_back_suspects,
};
use plugbay_loader::{default_data_dir, full_message, printable};
use serde::Deserialize;

use crate::exit::{Exit, Failure};

/// `"sqlite"`, or `{ kind = "file", path = "registry.json" }`.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a registry is \"sqlite\", \"file\" or \"memory\", or \
                 { kind = \"sqlite\", path = \"registry.db\" }"
)]
pub(super) enum Written {
    Kind(Kind),
    Table(Table),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    #[default]
    Sqlite,
    File,
    Memory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Table {
    kind: Kind,
    path: Option<PathBuf>,
}

/// Which registry a host has.
#[derive(Debug, Clone)]
pub struct Keeping {
    kind: Kind,
    /// None where it is in memory, or this user has no home.
    path: Option<PathBuf>,
}

/// A registry that was opened, and what its user is to be told.
pub struct Kept {
    pub registry: Arc<dyn Registry>,
    pub notices: Vec<String>,
    /// Whether it is there when the host has ended.
    pub durable: bool,
}

impl Keeping {
    /// For the host of this name; paths are relative to `base`.
    pub(super) fn new(written: Option<Written>, base: &Path, name: &str) -> Self {
        let Table { kind, path } = match written {
            None => Table::default(),
            Some(Written::Kind(kind)) => Table { kind, path: None },
            Some(Written::Table(table)) => table,
        };
        let own = |file: &str| {
            // Of what is no name, the loader says so.
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !name.starts_with('.');
            let hosts = default_data_dir()?.join("hosts");
            is_name.then(|| hosts.join(name).join(file))
        };
        let path = path.map(|path| base.join(path));
        let path = match kind {
            Kind::Memory => None,
            Kind::Sqlite => path.or_else(|| own("registry.db")),
            Kind::File => path.or_else(|| own("registry.json")),
        };
        Self { kind, path }
    }

    /// For a host that keeps nothing.
    pub fn nothing() -> Self {
        Self { kind: Kind::Memory, path: None }
    }

    /// Its file, where it has one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Opens it, or begins one.
    pub fn open(&self) -> Result<Kept, RegistryError> {
        let Some(path) = &self.path else {
            let registry = Arc::new(MemoryRegistry::new());
            return Ok(Kept { registry, notices: Vec::new(), durable: false });
        };
        // That it is not there is said by the registry, and better.
        if let Some(folder) = path.parent() {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        match self.kind {
            Kind::File => FileRegistry::open(path).map(kept),
            Kind::Sqlite | Kind::Memory => SqliteRegistry::open(path).map(kept),
        }
    }

    /// The one that a host keeps; without one it serves as well, and what it says of that is
    /// given. But where one is there and cannot be read, it is not known what somebody
    /// disabled and what took a host down, and nothing is to run. Where it can be read and
    /// not be written, that holds, and nothing is kept.
    pub fn for_a_host(&self) -> Result<Result<Kept, String>, Failure> {
        let error = match self.open().and_then(readable) {
            Ok(kept) => return Ok(Ok(kept)),
            Err(error) => error,
        };
        let (code, problem, help) = (error.code(), full_message(&error), error.hint());
        if !self.is_there() {
            return Ok(Err(format!("{code}: {problem}; nothing is kept; help: {help}")));
        }
        if let Some(registry) = self.read_elsewhere(&error) {
            let holds = "what is disabled and held back holds, and nothing is kept";
            let notices = vec![format!("{code}: {problem}; {holds}; help: {help}")];
            return Ok(Ok(Kept { registry: Arc::new(registry), notices, durable: false }));
        }
        let exit = Exit::of(&error);
        let lacks = "so what is disabled and what took a host down is not known, and nothing runs";
        let without = "or run without: registry = \"memory\" in the config file";
        Err(Failure::new(code, exit, format!("{problem}; {lacks}"), format!("{help}; {without}")))
    }

    /// Where it can be read and not be written: what it knows, in memory, and held back what
    /// is not to be tried where nobody can note it. It is read from a copy, as none of the
    /// registries is only read. None where that cannot be had.
    fn read_elsewhere(&self, error: &RegistryError) -> Option<MemoryRegistry> {
        use RegistryError::{Full, NotPermitted, ReadOnly};
        if !matches!(error, Full { .. } | ReadOnly { .. } | NotPermitted { .. }) {
            return None;
        }
        let registry = self.copied()?;
        hold_back_suspects(&registry, error).ok()?;
        Some(registry)
    }

    fn copied(&self) -> Option<MemoryRegistry> {
        // Where it is a link, its log lies beside what that leads to.
        let path = fs::canonicalize(self.path.as_ref()?).ok()?;
        let log = match self.kind {
            Kind::File => FileRegistry::JOURNAL,
            Kind::Sqlite | Kind::Memory => SqliteRegistry::LOG,
        };
        let (_folder, copied) = copied::elsewhere(&path, log)?;
        let copy = Self { kind: self.kind, path: Some(copied) };
        let there = copy.open().ok().filter(|kept| kept.notices.is_empty())?.registry;
        MemoryRegistry::copy_of(&*there).ok()
    }

    /// Whether there is a file, or something else, where it is kept; also where that cannot
    /// be looked up.
    pub fn is_there(&self) -> bool {
        let Some(path) = &self.path else { return false };
        match path.symlink_metadata() {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    /// The one that is there already, for those who want to know what a host knows; none
    /// where it cannot be read, which is logged.
    pub fn look(&self) -> Option<Arc<dyn Registry>> {
        if !self.is_there() {
            return None;
        }
        let error = match self.open().and_then(readable) {
            Ok(kept) => {
                kept.notices.iter().for_each(|notice| log::warn!("{notice}"));
                return Some(kept.registry);
            }
            Err(error) => error,
        };
        if let Some(registry) = self.read_elsewhere(&error) {
            return Some(Arc::new(registry));
        }
        log::warn!("{}: {}; help: {}", error.code(), full_message(&error), error.hint());
        None
    }

    /// The one that outlives this command.
    pub fn demand(&self) -> Result<Arc<dyn Registry>, Failure> {
        let kept = self.open().and_then(readable)?;
        kept.notices.iter().for_each(|notice| log::warn!("{notice}"));
        if kept.durable {
            return Ok(kept.registry);
        }
        Err(Failure::new(
            "PB1037",
            Exit::NotFound,
            "no host is running, and this host's registry ends with it",
            "start one: host-app run; or keep it on disk: registry = \"sqlite\" in the config file",
        ))
    }
}

/// Does something with a registry. Once more, where it was begun anew meanwhile.
pub fn again_if_anew<T>(action: impl Fn() -> Result<T, RegistryError>) -> Result<T, RegistryError> {
    match action() {
        Err(error) if error.is_begun_anew() => {
            log::warn!("{}: {}", error.code(), loss(&error));
            action()
        }
        outcome => outcome,
    }
}

/// Does what somebody wants by hand while no host runs, and adds it to the history.
pub fn done_by_hand<T>(
    registry: &dyn Registry,
    action: impl Fn() -> Result<T, RegistryError>,
    events: impl Fn(&T) -> Vec<Event>,
) -> Result<T, RegistryError> {
    again_if_anew(|| {
        let done = action()?;
        tell(registry, &events(&done)).map(|()| done)
    })
}

/// That something was done does not hang on the history, but on that it was done to what lies
/// there now.
fn tell(registry: &dyn Registry, events: &[Event]) -> Result<(), RegistryError> {
    if events.is_empty() {
        return Ok(());
    }
    match registry.append(events) {
        Err(error) if !error.is_begun_anew() => {
            registry.wishes()?;
            let (code, problem, help) = (error.code(), full_message(&error), error.hint());
            log::warn!("{code}: {problem}; it is done, and not in the history; help: {help}");
            Ok(())
        }
        outcome => outcome,
    }
}

/// What is found only when it is read: that there is no room for a database's log, and, of a
/// row, that it is damaged.
fn readable(mut kept: Kept) -> Result<Kept, RegistryError> {
    let by_hand = kept.registry.wishes().and_then(|_| kept.registry.held_back());
    match by_hand {
        Ok(_) => {}
        Err(error) if error.is_begun_anew() => kept.notices.push(loss(&error)),
        Err(error) => return Err(error),
    }
    Ok(kept)
}

/// What it means that a registry was begun anew.
fn loss(error: &RegistryError) -> String {
    match error {
        RegistryError::Damaged { path, what, set_aside } => notice(path, what, set_aside),
        _ => full_message(error),
    }
}

fn kept<R: Registry + 'static>(opened: Opened<R>) -> Kept {
    let aside = opened.set_aside.iter();
    let notices = aside.map(|SetAside { from, to, what, .. }| notice(from, what, to)).collect();
    Kept { registry: Arc::new(opened.registry), notices, durable: true }
}

/// What a user loses by a registry that was damaged.
fn notice(path: &Path, what: &str, set_aside: &Path) -> String {
    format!(
        "the registry {} was damaged ({what}) and is made anew from the plugins folders; what was \
         enabled, disabled and held back before is not known any more; the damaged file is {}",
        printable(path),
        printable(set_aside)
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use plugbay_loader::PluginId;
    use plugbay_loader::registry::{
        Begin, Choice, ContentHash, Doing, Ending, EventKind, HeldBack, HistoryQuery, HostProcess,
        Reason, RecordKey, Wish,
    };

    use super::*;

    fn path(text: &str) -> Option<PathBuf> {
        keeping(text).path
    }

    fn keeping(text: &str) -> Keeping {
        #[derive(Deserialize)]
        struct File {
            registry: Option<Written>,
        }
        let file: File = toml::from_str(text).unwrap();
        Keeping::new(file.registry, Path::new("/etc/plugbay"), "mine")
    }

    /// As where the disk is full, or only to be read.
    #[test]
    fn what_cannot_be_written_is_read_with_its_log_behind_a_link() {
        for (kind, name) in [(Kind::Sqlite, "registry.db"), (Kind::File, "registry.json")] {
            let folder = tempfile::tempdir().unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let link = elsewhere.path().join("link");
            // Open, so that what it says is in its log.
            let registry = Keeping { kind, path: Some(path.clone()) }.open().unwrap().registry;
            let id: PluginId = "sql".parse().unwrap();
            registry.set_wish(&id, Some(Wish::disabled())).unwrap();
            symlink(&path, &link).unwrap();
            let keeping = Keeping { kind, path: Some(link) };
            let allow = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            allow(0o400);
            let read = keeping.copied().unwrap();
            assert_eq!(read.wishes().unwrap(), registry.wishes().unwrap());
            allow(0o600);
            let hash = ContentHash::from_bytes([7; 32]);
            let key = RecordKey { id, version: semver::Version::new(1, 0, 0), hash };
            let process = HostProcess::current().unwrap();
            let begin = Begin::new(key.clone(), Doing::Activating, process);
            let begun = registry.begin_attempt(&begin).unwrap();
            registry.end_attempt(begun, Ending::Crashed).unwrap();
            let held = || {
                let copy = keeping.copied().unwrap();
                let full = RegistryError::Full {
                    operation: "write",
                    path: path.clone(),
                    source: "no room".into(),
                };
                hold_back_suspects(&copy, &full).unwrap();
                copy.held_back().unwrap().into_iter().map(|it| it.reason.text).collect::<Vec<_>>()
            };
            let why = "should that happen again it could not be noted: PB1605: ";
            assert!(matches!(&held()[..], [only] if only.contains(why)), "{name}: {:?}", held());
            registry.hold_back(&HeldBack::new(key, Reason::new("it crashes"))).unwrap();
            assert_eq!(held(), ["it crashes"], "{name}");
        }
    }

    fn begun(kind: &str) -> (tempfile::TempDir, Keeping, Arc<dyn Registry>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        let keeping = keeping(&format!("registry = {{ kind = '{kind}', path = {path:?} }}"));
        let registry = keeping.open().unwrap().registry;
        (folder, keeping, registry)
    }

    fn disabled(id: &PluginId) -> Event {
        Event::new(id.clone(), None, EventKind::Disabled, "")
    }

    #[test]
    fn what_went_with_the_registry_that_was_there_is_done_once_more() {
        for kind in ["sqlite", "file"] {
            let (folder, keeping, registry) = begun(kind);
            let id: PluginId = "sql".parse().unwrap();
            let tries = Cell::new(0);
            let disable = || {
                registry.set_wish(&id, Some(Wish::disabled()))?;
                tries.set(tries.get() + 1);
                if tries.get() == 1 {
                    // Between what is done and the history.
                    fs::remove_dir_all(folder.path()).unwrap();
                    fs::create_dir(folder.path()).unwrap();
                    keeping.open().unwrap();
                }
                Ok(())
            };
            let event = |(): &()| vec![disabled(&id)];
            done_by_hand(&*registry, disable, event).unwrap();
            assert_eq!(tries.get(), 2, "{kind}");
            let there = keeping.open().unwrap().registry;
            let wish = there.wishes().unwrap().remove(&id).unwrap();
            assert_eq!(wish.choice, Choice::Disabled, "{kind}");
            assert_eq!(there.history(&HistoryQuery::new()).unwrap().len(), 1, "{kind}");
        }
    }

    #[test]
    fn what_is_gone_with_its_folder_is_not_said_to_be_done() {
        for kind in ["sqlite", "file"] {
            let (folder, _, registry) = begun(kind);
            let id: PluginId = "sql".parse().unwrap();
            let disable = || {
                registry.set_wish(&id, Some(Wish::disabled()))?;
                fs::remove_dir_all(folder.path()).unwrap();
                Ok(())
            };
            let event = |(): &()| vec![disabled(&id)];
            assert!(done_by_hand(&*registry, disable, event).is_err(), "{kind}");
        }
    }

    #[test]
    fn a_registry_is_a_word_or_a_table() {
        assert!(path("").unwrap().ends_with("plugbay/hosts/mine/registry.db"));
        assert_eq!(path("registry = 'sqlite'"), path(""));
        assert!(path("registry = 'file'").unwrap().ends_with("hosts/mine/registry.json"));
        assert_eq!(path("registry = 'memory'"), None);
        let named = |text| path(text).unwrap();
        assert_eq!(
            named("registry = { kind = 'file', path = 'known.json' }"),
            Path::new("/etc/plugbay/known.json")
        );
        assert_eq!(named("registry = { path = '/var/known.db' }"), Path::new("/var/known.db"));
        assert!(Keeping::new(None, Path::new(""), "../else").path.is_none());
    }
}
