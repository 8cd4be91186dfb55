mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcetera::BaseStrategy;
use log::LevelFilter;
use plugbay_config::schema::{BaseId, Declared, SecretSource};
use plugbay_interface::manifest::PluginId;
use plugbay_resolve::Policy;
use semver::Version;
use serde_json::Value;

pub use error::BuildError;

use crate::configure::Grounds;
use crate::extensions::Extensions;
use crate::handover::Limits;
use crate::host::Host;
use crate::naming;
use crate::probe::{Probe, default_worker};
use crate::registry::Registry;
use crate::report::Progress;
use crate::results::Most;
use crate::seat::Named;
use crate::stack::Stack;
use crate::unload::Ending;
use crate::verify::VerifyOptions;
use crate::watch::WatchOptions;
use crate::workspace::Workspace;

/// What every host has of what manifests may require as `features`.
const FEATURES: [&str; 5] = ["commands", "configuration", "reload", "services", "state"];

/// Says how a [`Host`] is to be. Made by [`Host::builder`].
#[must_use]
pub struct HostBuilder {
    options: Options,
    name: Option<String>,
    cache_dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    ids: Vec<String>,
    configs: Vec<(String, Value)>,
    disabled: Vec<String>,
    only: Vec<String>,
    stack: Option<Stack>,
}

pub(crate) type ProgressCallback = Arc<dyn Fn(Progress) + Send + Sync>;

pub(crate) struct Options {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) policy: Policy,
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) extensions: Extensions,
    pub(crate) grounds: Grounds,
    pub(crate) verify: VerifyOptions,
    pub(crate) probe: Probe,
    pub(crate) worker: PathBuf,
    pub(crate) probe_deadline: Duration,
    pub(crate) activation_deadline: Duration,
    pub(crate) drain_limit: Duration,
    pub(crate) pause_limit: Duration,
    pub(crate) max_state: usize,
    pub(crate) max_generations: usize,
    pub(crate) probation: Duration,
    pub(crate) allowed_troubles: u32,
    pub(crate) results: Most,
    pub(crate) watch: Option<WatchOptions>,
    pub(crate) keep_removed: bool,
    pub(crate) ending: Ending,
    pub(crate) backtraces: bool,
    pub(crate) log_levels: BTreeMap<String, LevelFilter>,
    pub(crate) progress: Option<ProgressCallback>,
    pub(crate) registry: Option<Arc<dyn Registry>>,
    pub(crate) name: String,
    pub(crate) cache_dir: PathBuf,
    pub(crate) data_dir: PathBuf,
    /// Where states lay before hosts had names.
    pub(crate) earlier_data: Option<PathBuf>,
}

impl Options {
    pub(crate) fn handover_limits(&self) -> Limits {
        Limits { drain: self.drain_limit, pause: self.pause_limit, max_state: self.max_state }
    }
}

/// `$XDG_CACHE_HOME/plugbay`, or what the platform has instead.
pub fn default_cache_dir() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("plugbay"))
}

/// `$XDG_DATA_HOME/plugbay`, or what the platform has instead.
pub fn default_data_dir() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.data_dir().join("plugbay"))
}

impl HostBuilder {
    pub(crate) fn new() -> Self {
        Self {
            options: Options {
                folders: Vec::new(),
                policy: Policy::new(Version::new(
                    parse(env!("CARGO_PKG_VERSION_MAJOR")),
                    parse(env!("CARGO_PKG_VERSION_MINOR")),
                    parse(env!("CARGO_PKG_VERSION_PATCH")),
                )),
                config: BTreeMap::new(),
                extensions: Extensions::default(),
                grounds: Grounds { components: BTreeMap::new(), secrets: SecretSource::new("") },
                verify: VerifyOptions::default(),
                probe: Probe::default(),
                worker: default_worker(),
                probe_deadline: Duration::from_secs(10),
                activation_deadline: Duration::from_secs(10),
                drain_limit: Duration::from_secs(10),
                pause_limit: Duration::from_secs(5),
                max_state: 1 << 30,
                max_generations: 32,
                probation: Duration::from_secs(10),
                allowed_troubles: 3,
                results: Most { entries: 1024, bytes: 8 << 20 },
                watch: None,
                keep_removed: false,
                ending: Ending::Keep,
                backtraces: std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0"),
                log_levels: BTreeMap::new(),
                progress: None,
                registry: None,
                name: String::new(),
                cache_dir: PathBuf::new(),
                data_dir: PathBuf::new(),
                earlier_data: None,
            },
            name: None,
            cache_dir: None,
            data_dir: None,
            ids: Vec::new(),
            configs: Vec::new(),
            disabled: Vec::new(),
            only: Vec::new(),
            stack: None,
        }
    }

    /// Adds a folder to look for plugins in. The first one has precedence.
    pub fn plugin_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.folders.push(folder.into());
        self
    }

    /// What the host is called. Hosts of one name share what plugins keep in the
    /// default data folder, and what they went back from; others do not. The name
    /// of the program's file where this is not called.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The version of the host program, which plugins may require with `host`.
    /// The loader's own where this is not called.
    pub fn version(mut self, version: Version) -> Self {
        self.options.policy.host = version;
        self
    }

    /// The configuration of one plugin; `{}` where this is not called. It is checked by the
    /// plugin's schema before any of its code runs, and defaults are filled in. Secrets
    /// are written as where they are: `{ "env": "NAME" }` or `{ "file": "path" }`.
    ///
    /// What is said of `sql@^1` goes, for those versions, before what is said of `sql`.
    pub fn config(mut self, plugin: impl Into<String>, config: Value) -> Self {
        self.configs.push((plugin.into(), config));
        self
    }

    /// A table of the host's own configuration, by its name: for the plugin that registers
    /// it with `[host_config.NAME]` in its `plugin.toml`, which gets it checked by its
    /// schema, with defaults filled in, beside its own configuration. Secrets are written as
    /// there. Where nobody in the folders registers it, [`Host::start`] says so
    /// ([`Notice::Extension`](crate::Notice::Extension)).
    pub fn extension(mut self, name: impl AsRef<str>, value: Value) -> Self {
        self.options.extensions.set(name.as_ref(), Some(value));
        self
    }

    /// The keys of the host's own configuration: a plugin that registers a table of such a
    /// name is refused.
    pub fn own_keys<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.options.extensions = self.options.extensions.reserving(names);
        self
    }

    /// Where the paths of secrets' files begin that are not absolute; the working folder
    /// where this is not called.
    pub fn secrets_from(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.grounds.secrets = SecretSource::new(folder);
        self
    }

    /// A schema of the host's that plugins' schemas may extend.
    pub fn base_schema(mut self, id: BaseId, schema: Declared) -> Self {
        self.options.grounds.components.insert(id, schema);
        self
    }

    /// What runs, where not everything can: kinds of which one runs at a time, precedence,
    /// what is enabled and disabled by hand, features of the host, a lock:
    /// `policy(|policy| policy.kinds = Profile::MachineLearning.kinds())`. What the host
    /// finds out itself, plugins that failed or were unloaded, it adds.
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.options.policy);
        self
    }

    /// Holds a plugin back, until [`Host::enable`].
    pub fn disable(mut self, id: impl Into<String>) -> Self {
        self.disabled.push(id.into());
        self
    }

    /// Brings up no other plugins than those named by this method, and what they need.
    pub fn only(mut self, id: impl Into<String>) -> Self {
        self.only.push(id.into());
        self
    }

    /// Runs what a stack names, what that needs, and nothing else. What the stack says goes over
    /// what this builder says of kinds, precedence and configurations, in whatever order they
    /// are called; what is disabled stays so. [`stack::check`](crate::stack::check) says what
    /// it misses. The last one holds where this is called again.
    pub fn stack(mut self, stack: Stack) -> Self {
        self.stack = Some(stack);
        self
    }

    /// Takes files and folders that other users of the machine may change: those
    /// that everyone may write to, and those of another user than this one and root.
    pub fn allow_world_writable(mut self, allow: bool) -> Self {
        self.options.verify.allow_world_writable = allow;
        self
    }

    /// Whether libraries are first loaded in a child process.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.options.probe = probe;
        self
    }

    /// The worker program; `plugbay-worker` beside the host's own where this is
    /// not called. See [`worker`](crate::worker).
    pub fn worker(mut self, program: impl Into<PathBuf>) -> Self {
        self.options.worker = program.into();
        self
    }

    /// How long a library may take to load in the child process. 10 s.
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.options.probe_deadline = deadline;
        self
    }

    /// How long a plugin may take to activate, and to deactivate. 10 s.
    pub fn activation_deadline(mut self, deadline: Duration) -> Self {
        self.options.activation_deadline = deadline;
        self
    }

    /// How long an unload, and a reload of a plugin with state, wait for calls
    /// that are running. 10 s; in a reload not longer than the
    /// [`pause_limit`](Self::pause_limit).
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.options.drain_limit = limit;
        self
    }

    /// How long calls may have to wait in a reload of a plugin with state, and in
    /// [`Host::save`]: for running calls to end, for the old generation to save, and
    /// for the new one to read the state and to activate. 5 s. What is not
    /// ready then never serves; the old generation goes on with its state.
    pub fn pause_limit(mut self, limit: Duration) -> Self {
        self.options.pause_limit = limit;
        self
    }

    /// Watches the folders from [`Host::start`] on: what is put into them is
    /// loaded, what is replaced is reloaded, what is removed is unloaded. On a
    /// thread of the host's own; what happens is told by [`Host::events`].
    pub fn watch(mut self, options: WatchOptions) -> Self {
        self.options.watch = Some(options);
        self
    }

    /// Whether a plugin goes on when its file is removed from a watched folder.
    pub fn keep_removed(mut self, keep: bool) -> Self {
        self.options.keep_removed = keep;
        self
    }

    /// The largest state that is handed over, in bytes. 1 GiB.
    pub fn max_state(mut self, bytes: usize) -> Self {
        self.options.max_state = bytes;
        self
    }

    /// How many generations of one plugin may be in memory; a load or reload beyond
    /// that is refused. 32.
    pub fn max_generations(mut self, most: usize) -> Self {
        self.options.max_generations = most;
        self
    }

    /// How long a generation that was replaced is kept, idle, to come back when
    /// the new one is in trouble. 10 s; none: at once it is ended.
    pub fn probation(mut self, time: Duration) -> Self {
        self.options.probation = time;
        self
    }

    /// How many panics and troubles of its own report a generation may have in
    /// its probation; with one more the one before takes over again. 3.
    pub fn allowed_troubles(mut self, most: u32) -> Self {
        self.options.allowed_troubles = most;
        self
    }

    /// How many results of commands are kept of one plugin, and in how many bytes, with
    /// their arguments and about 256 bytes for each. 1,024 and 8 MiB; with 0 none are.
    /// Only those of commands whose manifest says so (`cache = { ttl = "60s" }`), each for
    /// the time that stands there: a call with the same arguments is given the result
    /// without the plugin's hearing of it. Errors are not kept. All of a plugin are dropped
    /// when another generation takes over, when it ends, and when it is given another
    /// configuration. Where there are too many, what was not asked for the longest goes.
    pub fn result_cache(mut self, entries: usize, bytes: usize) -> Self {
        self.options.results = Most { entries, bytes };
        self
    }

    /// Where private copies and verdicts are kept; [`default_cache_dir`] where
    /// this is not called. Libraries are mapped from it, so it must not lie on a
    /// file system mounted `noexec`.
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// Below which each plugin has a data folder, by its id, and where the states lie
    /// that are kept on disk. Where this is not called: `hosts/NAME` in
    /// [`default_data_dir`], by the host's [`name`](Self::name).
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Whether panics come with the plugin's frames. Where this is not called:
    /// whether `RUST_BACKTRACE` is set, and not to 0.
    pub fn backtraces(mut self, wanted: bool) -> Self {
        self.options.backtraces = wanted;
        self
    }

    /// The most verbose level taken from a plugin's log macros. Where this is
    /// not called, the host's logger is asked for the target named as the plugin.
    pub fn log_level(mut self, id: impl Into<String>, level: LevelFilter) -> Self {
        let id = id.into();
        self.ids.push(id.clone());
        self.options.log_levels.insert(id, level);
        self
    }

    /// Is called while a start or load goes on, from its threads. It must not
    /// start, load, unload or stop anything of the same host.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.options.progress = Some(Arc::new(callback));
        self
    }

    /// Where it is kept across restarts what there is, what happened, and what was enabled
    /// and disabled by hand. What took its host down twice while it was activated is held
    /// back then. Nothing is kept where this is not called.
    ///
    /// It is read when the host is built, and written on a thread of the host's own, but
    /// for what must be there first: a wish, and that a plugin is about to be activated.
    /// What was done by hand goes before what the policy says of the same plugins. Where it
    /// cannot be read then, no host is built, as what was disabled would run; when it fails
    /// later, that is told, and the plugins run.
    pub fn registry(mut self, registry: Arc<dyn Registry>) -> Self {
        self.options.registry = Some(registry);
        self
    }

    /// Closes also libraries without hooks (built with an interface before 1.1)
    /// when their plugin is unloaded, and looks whether they are gone. Without
    /// this, they stay mapped and are reported as pinned. Others are always closed.
    ///
    /// # Safety
    ///
    /// A Rust library leaves things behind on the threads that ran its code,
    /// which are called when such a thread ends. So for those without hooks: no
    /// thread that called the plugin, or that the plugin started, ends after the
    /// plugin was unloaded, or the plugin is known to leave nothing there.
    pub unsafe fn close_on_unload(mut self) -> Self {
        self.options.ending = Ending::Close;
        self
    }

    /// Makes the host: a folder for private copies is made, nothing is loaded.
    ///
    /// A process that forks afterwards, and goes on in the child without `exec`, has one
    /// host and not two: parent and child would make their copies in one folder, and
    /// refuse each other's loads (PB0221). Let the child build a host of its own.
    ///
    /// # Errors
    ///
    /// When an id is none, the cache folder cannot be made, or the registry not be read.
    pub fn build(self) -> Result<Host, BuildError> {
        let Self { mut options, name, cache_dir, data_dir, ids, configs, disabled, only, stack } =
            self;
        options.name = name.unwrap_or_else(naming::of_this_program);
        if !naming::is_name(&options.name) {
            return Err(BuildError::HostName { name: options.name });
        }
        for id in ids {
            PluginId::try_from(id)?;
        }
        for (plugin, config) in configs {
            let key = Named::read(&plugin)?.selector().to_string();
            options.config.insert(key, config);
        }
        for id in disabled {
            options.policy.disabled.insert(id.try_into()?);
        }
        for id in only {
            options.policy.only.get_or_insert_default().insert(id.try_into()?);
        }
        if let Some(stack) = &stack {
            stack.apply(&mut options.policy);
            stack.configure(&mut options.config);
        }
        options.policy.features.extend(FEATURES.map(str::to_owned));
        let cache_dir = cache_dir.or_else(default_cache_dir).ok_or(BuildError::NoHome)?;
        if data_dir.is_none() {
            options.earlier_data = default_data_dir().map(|dir| dir.join("data"));
        }
        let own_data = || Some(naming::hosts_in(&default_data_dir()?).join(&options.name));
        let data_dir = data_dir.or_else(own_data).ok_or(BuildError::NoHome)?;
        let live = cache_dir.join("live");
        let workspace = Workspace::of_host(&live, &options.name)
            .map_err(|source| BuildError::Cache { path: live, source })?;
        options.cache_dir = cache_dir;
        // Plugins may change the working directory; this must not move then.
        options.data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
        if options.data_dir.to_str().is_none() {
            return Err(BuildError::DataPath { path: options.data_dir });
        }
        Host::new(options, workspace).map_err(|source| BuildError::Registry { source })
    }
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("folders", &self.options.folders)
            .finish_non_exhaustive()
    }
}

fn parse(number: &str) -> u64 {
    number.parse().unwrap_or(0)
}
