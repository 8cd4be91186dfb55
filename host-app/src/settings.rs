//! Where plugins are looked for and how they are run: flag > environment >
//! config file > default.

mod at_start;
mod names;
mod places;
mod registry;
mod reloading;
mod selection;
mod tables;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use plugbay_loader::config::document::{self, Limits, ReadError};
use plugbay_loader::config::schema::SecretSource;
use plugbay_loader::manifest::{InvalidSelector, Selector};
use plugbay_loader::{
    BuildError, Extensions, Host, HostBuilder, KindRule, Lock, Plan, PluginId, Policy, Probe,
    Profile, Stack, VerifyOptions, Versions, default_data_dir, printable,
};
use semver::Version;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::at_start::AtStart;
pub use self::names::Names;
pub use self::registry::{Keeping, Kept, again_if_anew, done_by_hand};
pub use self::reloading::{Interval, Watching};
use self::reloading::{ReloadTable, WatchEnvironment, WatchTable};
use self::selection::{Selection, all_there, read_lock};
use self::tables::{Tables, Whole, own_keys};
use crate::args::{Common, WatchFlags};
use crate::control::Place;
use crate::exit::{Exit, Failure};

/// What the variable is called that names plugins folders.
pub const PLUGIN_PATH: &str = "PLUGBAY_PLUGIN_PATH";

/// The lock's file, beside the config file.
const LOCK_NAME: &str = "plugbay.lock";

/// What the config file may be called.
const FILE_NAMES: [&str; 4] = ["host.toml", "host.yaml", "host.yml", "host.json"];

/// What a host is called where nobody says.
const OWN_NAME: &str = "host-app";

#[derive(Debug)]
pub struct Settings {
    /// What the host is called.
    pub name: String,
    pub folders: Vec<PathBuf>,
    pub folders_from: Source,
    pub socket: Place,
    /// The config file that was read, if any.
    pub file: Option<PathBuf>,
    /// What looks like one in the current folder, where none was read and nobody named
    /// folders.
    unread: Option<PathBuf>,
    pub allow_world_writable: bool,
    /// What ran the last time, where that was written down.
    pub lock: Option<Lock>,
    pub lock_path: PathBuf,
    /// Whether nothing else may run.
    pub locked: bool,
    /// What runs, where a stack says so.
    pub stack: Option<Stack>,
    /// Where it is kept what is known of plugins.
    pub keeping: Keeping,
    selection: Selection,
    probe: Probe,
    activation_deadline: Option<Duration>,
    drain_limit: Option<Duration>,
    reload: ReloadTable,
    watch: WatchTable,
    watch_environment: WatchEnvironment,
    config: BTreeMap<String, Value>,
    tables: Tables,
    /// The host's own keys, as the config file has them.
    written: Map<String, Value>,
    /// The config file's, where paths in it begin.
    folder: PathBuf,
}

/// Who named the plugins folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    File,
    Default,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "--plugins",
            Self::Environment => PLUGIN_PATH,
            Self::File => "the config file",
            Self::Default => "the default",
        }
    }
}

/// What is asked of the environment, so that tests need not change it.
#[derive(Debug, Default)]
struct Environment {
    plugin_path: Option<OsString>,
    default_folder: Option<PathBuf>,
    default_file: Option<PathBuf>,
    current_folder: PathBuf,
    watch: WatchEnvironment,
}

/// The config file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    plugins: Option<Vec<PathBuf>>,
    socket: Option<PathBuf>,
    name: Option<String>,
    registry: Option<registry::Written>,
    allow_world_writable: bool,
    probe: ProbeWord,
    activation_deadline_seconds: Option<Seconds>,
    drain_limit_seconds: Option<Seconds>,
    lock: Option<PathBuf>,
    enabled: Vec<Selector>,
    disabled: Vec<PluginId>,
    profile: Option<Profile>,
    kinds: BTreeMap<String, KindRule>,
    only_known_kinds: bool,
    #[serde(alias = "plugin_precedence")]
    precedence: BTreeMap<String, Vec<PluginId>>,
    stack: Option<PathBuf>,
    features: Vec<String>,
    versions: Versions,
    versions_of: BTreeMap<PluginId, Versions>,
    watch: WatchTable,
    reload: ReloadTable,
    config: BTreeMap<Key, serde_json::Map<String, Value>>,
}

/// Whose configuration it is: `sql`, or `sql@^1`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Key(String);

impl TryFrom<String> for Key {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(|selector: Selector| Self(selector.to_string()))
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProbeWord {
    #[default]
    IfPossible,
    Required,
    Never,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        // A year: longer is a slip of the hand, and no clock overflows.
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if time <= Duration::from_secs(31_536_000) => Ok(Self(time)),
            _ => Err(format!("{seconds} is no number of seconds from 0 to 31536000")),
        }
    }
}

impl Settings {
    pub fn read(common: &Common) -> Result<Self, Failure> {
        let environment = Environment {
            plugin_path: env::var_os(PLUGIN_PATH),
            default_folder: default_data_dir().map(|dir| dir.join("plugins")),
            default_file: default_file(),
            current_folder: env::current_dir().unwrap_or_default(),
            watch: WatchEnvironment {
                no_watch: env::var_os(reloading::NO_WATCH),
                poll: env::var_os(reloading::POLL),
            },
        };
        Self::with(common, environment)
    }

    fn with(common: &Common, environment: Environment) -> Result<Self, Failure> {
        let path = match (&common.config, environment.default_file) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(path)) if path.exists() => Some(path),
            (None, _) => None,
        };
        let (file, tables, written) = path.as_deref().map(read).transpose()?.unwrap_or_default();
        // `absolute` fails for the empty path only, which stays what it is.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let base = path.as_ref().map(absolute);
        let base = base.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let from_environment: Vec<PathBuf> = environment
            .plugin_path
            .iter()
            .flat_map(env::split_paths)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| absolute(&path))
            .collect();
        let (folders, folders_from) = if !common.plugins.is_empty() {
            (common.plugins.iter().map(absolute).collect(), Source::Flag)
        } else if !from_environment.is_empty() {
            (from_environment, Source::Environment)
        } else if let Some(folders) = &file.plugins {
            (folders.iter().map(|folder| base.join(folder)).collect(), Source::File)
        } else {
            (vec![environment.default_folder.ok_or(BuildError::NoHome)?], Source::Default)
        };
        let unread = match (&path, folders_from) {
            (None, Source::Default) => first_file(&environment.current_folder),
            _ => None,
        };
        let socket = match (&common.socket, &file.socket) {
            (Some(path), _) => Place::Named(absolute(path)),
            (None, Some(path)) => Place::Named(base.join(path)),
            (None, None) => Place::own(),
        };
        let lock_path = match (&common.lock, &file.lock) {
            (Some(path), _) => absolute(path),
            (None, Some(path)) => base.join(path),
            (None, None) => base.join(LOCK_NAME),
        };
        let lock = read_lock(&lock_path)?;
        if common.locked && lock.is_none() {
            let message = format!("there is no lock {}", printable(&lock_path));
            let help = "write it with: host-app lock, or name another with --lock";
            return Err(Failure::new("PB1034", Exit::NotFound, message, help));
        }
        let stack = common.stack.clone().or(file.stack.map(|path| base.join(path)));
        let stack = stack.as_deref().map(Stack::read).transpose()?;
        let mut config: BTreeMap<String, Value> =
            file.config.into_iter().map(|(key, table)| (key.0, Value::Object(table))).collect();
        if let Some(stack) = &stack {
            stack.configure(&mut config);
        }
        let name = common.name.clone().or(file.name).unwrap_or_else(|| OWN_NAME.to_owned());
        Ok(Self {
            keeping: Keeping::new(file.registry, base, &name),
            name,
            folders,
            folders_from,
            socket,
            allow_world_writable: file.allow_world_writable,
            lock,
            lock_path,
            locked: common.locked,
            selection: Selection {
                enabled: file.enabled,
                disabled: file.disabled,
                profile: file.profile,
                kinds: file.kinds,
                only_known_kinds: file.only_known_kinds,
                precedence: file.precedence,
                features: file.features,
                versions: file.versions,
                versions_of: file.versions_of,
            },
            probe: match file.probe {
                ProbeWord::IfPossible => Probe::IfPossible,
                ProbeWord::Required => Probe::Required,
                ProbeWord::Never => Probe::Never,
            },
            activation_deadline: file.activation_deadline_seconds.map(|seconds| seconds.0),
            drain_limit: file
                .reload
                .drain_seconds
                .or(file.drain_limit_seconds)
                .map(|seconds| seconds.0),
            reload: file.reload,
            watch: file.watch,
            watch_environment: environment.watch,
            config,
            stack,
            tables,
            written,
            folder: base.to_owned(),
            file: path,
            unread,
        })
    }

    /// That a config file in the current folder is not read, where it is most likely meant:
    /// nobody who only goes to a folder runs what somebody left there.
    pub fn notice_of_unread(&self) -> Option<String> {
        let path = printable(self.unread.as_ref()?);
        Some(format!("PB1041: {path} is not read; help: if it is meant, name it with --config"))
    }

    /// A host for one command: it does what was wished, and records nothing.
    pub fn host_of_one_command(&self) -> Result<HostBuilder, Failure> {
        if !self.keeping.is_there() {
            return Ok(self.host());
        }
        let kept = match self.keeping.for_a_host()? {
            Ok(kept) => kept,
            Err(notice) => {
                log::warn!("{notice}");
                return Ok(self.host());
            }
        };
        kept.notices.iter().for_each(|notice| log::warn!("{notice}"));
        let mut applied = Ok(());
        let host = self.host().policy(|policy| {
            applied = plugbay_loader::registry::apply(&*kept.registry, policy);
        });
        applied?;
        Ok(host)
    }

    /// A host as these settings have it.
    pub fn host(&self) -> HostBuilder {
        let mut host = Host::builder()
            .name(&self.name)
            .policy(|policy| *policy = self.policy())
            .secrets_from(&self.folder)
            .own_keys(own_keys().iter().copied())
            .allow_world_writable(self.allow_world_writable)
            .probe(self.probe);
        for folder in &self.folders {
            host = host.plugin_dir(folder);
        }
        for (id, config) in &self.config {
            host = host.config(id.as_str(), config.clone());
        }
        for (name, table) in self.tables() {
            host = host.extension(name, table.clone());
        }
        if let Some(deadline) = self.activation_deadline {
            host = host.activation_deadline(deadline);
        }
        if let Some(limit) = self.drain_limit {
            host = host.drain_limit(limit);
        }
        self.reload.applied(host)
    }

    /// Where secrets are looked for.
    pub fn secrets(&self) -> SecretSource {
        SecretSource::new(&self.folder)
    }

    /// What a host is given of its own configuration for plugins.
    pub fn extensions(&self) -> Extensions {
        Extensions::new(self.tables().clone()).reserving(own_keys().iter().copied())
    }

    /// What plugins are configured with.
    pub fn configurations(&self) -> &BTreeMap<String, Value> {
        &self.config
    }

    /// Whether and how a host watches its folders.
    pub fn watching(&self, flags: &WatchFlags) -> Result<Watching, Failure> {
        Watching::by(flags, &self.watch_environment, &self.watch)
    }

    /// Whether everything is there that shall run and nothing else: with `--locked`.
    pub fn check_lock(&self, plan: &Plan) -> Result<(), Failure> {
        match &self.lock {
            Some(lock) if self.locked => all_there(lock, &self.lock_path, plan),
            _ => Ok(()),
        }
    }

    /// What such a host would let pass.
    pub fn verify_options(&self) -> VerifyOptions {
        let mut options = VerifyOptions::default();
        options.allow_world_writable = self.allow_world_writable;
        options
    }

    /// What such a host is to plugins.
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::new(version());
        self.selection.apply(&mut policy);
        if let Some(stack) = &self.stack {
            stack.apply(&mut policy);
        }
        policy.lock.clone_from(&self.lock);
        policy.locked = self.locked;
        policy
    }
}

/// This program's version, which plugins may require.
fn version() -> Version {
    let text = env!("CARGO_PKG_VERSION");
    // Cargo takes no version that semver does not.
    Version::parse(text).unwrap_or(Version::new(0, 0, 0))
}

/// The first one that is there; the one to be made, where there is none.
fn default_file() -> Option<PathBuf> {
    let folder = etcetera::choose_base_strategy().ok()?.config_dir().join("plugbay");
    first_file(&folder).or_else(|| Some(folder.join(FILE_NAMES[0])))
}

fn first_file(folder: &Path) -> Option<PathBuf> {
    FILE_NAMES.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// TOML, YAML or JSON, by its name.
fn read(path: &Path) -> Result<(File, Tables, Map<String, Value>), Failure> {
    match document::read::<Whole>(path, Limits::default()) {
        Ok(document) => {
            let (Whole { file, others }, document) = document.split();
            let written = match document.json() {
                Value::Object(mut all) => {
                    all.retain(|key, _| !others.contains_key(key));
                    all
                }
                _ => Map::new(),
            };
            Ok((file, Tables::new(others, Some(document))?, written))
        }
        Err(ReadError::Unreadable { source, .. }) => {
            let message = format!("the config file {} cannot be read", printable(path));
            let help = match source.kind() {
                io::ErrorKind::NotFound => "name one that is there with --config, or leave it out",
                _ => "see who may read it: ls -l",
            };
            Err(Failure::io("PB1002", message, &source, help))
        }
        Err(error) => {
            Err(Failure::new(error.code(), Exit::Failed, error.to_string(), error.hint()))
        }
    }
}

#[cfg(test)]
mod tests;
