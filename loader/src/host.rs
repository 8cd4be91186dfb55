mod lifecycle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use log::LevelFilter;
use parking_lot::Mutex;
use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::{InvalidPluginId, PluginId};
use serde_json::Value;

use crate::activate::Active;
use crate::builder::{HostBuilder, Options};
use crate::call::{self, CallError};
use crate::discover::discover_file;
use crate::error::{Explain, printable};
use crate::probe::Prober;
use crate::report::{Loadable, PluginState, PluginStatus, Refusal, StartReport};
use crate::snapshot::Workspace;
use crate::unload::{Pin, UnloadError, Unloaded};
use crate::verdicts::Verdicts;

/// A program's plugins: finds them, runs them, and calls them.
///
/// Cheap to clone, and all clones are the same host; usable from any thread.
/// Any number of hosts may live in one process. The last clone that goes ends
/// all plugins, as [`stop`](Host::stop) does.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    workspace: Workspace,
    prober: Prober,
    verdicts: Verdicts,
    /// What calls go through. Replaced as a whole, never changed.
    table: ArcSwap<HashMap<PluginId, Arc<Active>>>,
    known: Mutex<Known>,
    /// One start, load or unload at a time.
    changing: Mutex<()>,
    next_generation: AtomicU64,
    stopped: AtomicBool,
}

/// What is to be told of plugins that the table does not have, or no more.
#[derive(Default)]
struct Known {
    plugins: BTreeMap<PluginId, Record>,
    disabled: BTreeSet<PluginId>,
    refused: Vec<Arc<Refusal>>,
}

struct Record {
    about: Arc<Loadable>,
    state: PluginState,
    generation: u64,
    pinned: Vec<(u64, Pin)>,
    saved: Option<SavedState>,
}

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was stopped; make a new one.
    #[error("this host was stopped")]
    Stopped,
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        "PB0904"
    }

    fn hint(&self) -> String {
        "build a new host".into()
    }
}

/// Why a single plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadPluginError {
    /// The text is no id.
    #[error(transparent)]
    Id(#[from] InvalidPluginId),
    /// No file in the folders gives this id.
    #[error("no file in the plugins folders is the plugin `{plugin}`: {}", list(.folders))]
    NotFound {
        /// The id.
        plugin: PluginId,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// It serves already.
    #[error("the plugin `{plugin}` is active already")]
    AlreadyActive {
        /// The plugin.
        plugin: PluginId,
    },
    /// It was refused.
    #[error("{}", .0.reason())]
    Refused(Arc<Refusal>),
    /// The host was stopped.
    #[error(transparent)]
    Stopped(#[from] StartError),
}

impl Explain for LoadPluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id(_) => "PB0901",
            Self::NotFound { .. } => "PB0905",
            Self::AlreadyActive { .. } => "PB0906",
            Self::Refused(refusal) => refusal.error.code(),
            Self::Stopped(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Id(_) => "see the ids: host-app list".into(),
            Self::NotFound { .. } => {
                "put its library there; see what is there: host-app check DIR".into()
            }
            Self::AlreadyActive { plugin } => {
                format!("to load it anew: host-app unload {plugin}, then load")
            }
            Self::Refused(refusal) => refusal.error.hint(),
            Self::Stopped(error) => error.hint(),
        }
    }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| printable(folder)).collect::<Vec<_>>().join(", ")
}

impl Host {
    /// Says how the host is to be.
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    pub(crate) fn new(options: Options, workspace: Workspace) -> Self {
        let verdicts = Verdicts::in_cache(&options.cache_dir);
        let prober = Prober::new(
            options.probe,
            options.worker.clone(),
            options.probe_deadline,
            verdicts.clone(),
        );
        let disabled = options.disabled.iter().filter_map(|id| id.parse().ok()).collect();
        Self {
            inner: Arc::new(Inner {
                options,
                workspace,
                prober,
                verdicts,
                table: ArcSwap::default(),
                known: Mutex::new(Known { disabled, ..Known::default() }),
                changing: Mutex::new(()),
                next_generation: AtomicU64::new(1),
                stopped: AtomicBool::new(false),
            }),
        }
    }

    /// Searches the folders and brings up what can run. What serves already goes
    /// on as it is, so a second call only adds. Blocks until every plugin is
    /// active or refused; independent ones are brought up in parallel. As `load`,
    /// `unload` and `stop`, not to be called from a progress callback, from a
    /// logger, or from inside of a call: one of them runs at a time.
    ///
    /// # Errors
    ///
    /// Only after [`stop`](Host::stop). What is wrong with a file or a plugin is
    /// in the report.
    pub fn start(&self) -> Result<StartReport, StartError> {
        let _changing = self.inner.changing.lock();
        self.inner.running()?;
        Ok(self.inner.start())
    }

    /// Calls a command of a plugin on this thread, and waits for its result.
    ///
    /// Takes no lock; may be called from any number of threads at once. A panic
    /// of the plugin is an error, and the plugin goes on serving.
    ///
    /// # Errors
    ///
    /// When there is no such plugin or command, or the plugin said no.
    pub fn call(&self, plugin: &str, command: &str, arguments: Value) -> Result<Value, CallError> {
        self.call_json(plugin, command, &arguments.to_string())
    }

    /// As [`call`](Host::call), with arguments that are JSON already.
    ///
    /// # Errors
    ///
    /// As `call`; text that is no JSON is an error of the arguments.
    pub fn call_json(
        &self,
        plugin: &str,
        command: &str,
        arguments: &str,
    ) -> Result<Value, CallError> {
        let table = self.inner.table.load();
        table
            .get(plugin)
            .filter(|_| !self.inner.stopped.load(Ordering::Relaxed))
            .and_then(|active| call::call(active, command, arguments))
            .unwrap_or_else(|| Err(self.inner.why_not(plugin)))
    }

    /// Brings up one plugin that is in the folders and does not serve: the
    /// newest version that this host can run. Takes a `disable` back.
    ///
    /// # Errors
    ///
    /// When it is not there, serves already, or is refused.
    pub fn load(&self, id: &str) -> Result<PluginStatus, LoadPluginError> {
        let id: PluginId = id.parse()?;
        let _changing = self.inner.changing.lock();
        self.inner.running()?;
        self.inner.load(&id)
    }

    /// Brings up the plugin in one file, which need not be in the folders.
    ///
    /// # Errors
    ///
    /// When its id serves already, or it is refused.
    pub fn load_file(&self, path: impl Into<PathBuf>) -> Result<PluginStatus, LoadPluginError> {
        let _changing = self.inner.changing.lock();
        self.inner.running()?;
        self.inner.load_file(discover_file(path))
    }

    /// Ends a plugin: waits for its calls, keeps its state for the next
    /// [`load`](Host::load) in this host, deactivates it. While it waits, new
    /// calls of this plugin are refused; where it gives up, they are taken again.
    ///
    /// # Errors
    ///
    /// When it does not serve, or its calls do not end in time; then it goes on.
    pub fn unload(&self, id: &str) -> Result<Unloaded, UnloadError> {
        let _changing = self.inner.changing.lock();
        self.inner.unload(id, PluginState::Unloaded)
    }

    /// Ends a plugin, as [`unload`](Host::unload), and holds it back, whatever
    /// is started, until [`enable`](Host::enable) or the end of this host.
    ///
    /// # Errors
    ///
    /// As `unload`.
    pub fn disable(&self, id: &str) -> Result<Unloaded, UnloadError> {
        let _changing = self.inner.changing.lock();
        self.inner.unload(id, PluginState::Disabled)
    }

    /// Takes a [`disable`](Host::disable) back and brings the plugin up with the
    /// state that it had.
    ///
    /// # Errors
    ///
    /// As [`load`](Host::load).
    pub fn enable(&self, id: &str) -> Result<PluginStatus, LoadPluginError> {
        self.load(id)
    }

    /// What is known of every plugin that serves or has served, by id.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let table = self.inner.table.load();
        let known = self.inner.known.lock();
        known.plugins.iter().map(|(id, record)| record.status(table.get(id))).collect()
    }

    /// What the last start, and loads since, refused.
    pub fn refused(&self) -> Vec<Arc<Refusal>> {
        self.inner.known.lock().refused.clone()
    }

    /// Changes the most verbose level taken from a plugin's log macros, for the
    /// generation that serves. Whether there is one.
    pub fn set_log_level(&self, id: &str, level: LevelFilter) -> bool {
        let table = self.inner.table.load();
        let Some(active) = table.get(id) else { return false };
        let Some(_lease) = active.instance.enter() else { return false };
        active.root.set_log_level()(level as u8);
        true
    }

    /// What is known of files that were loaded in child processes, and the
    /// quarantine.
    pub fn verdicts(&self) -> &Verdicts {
        &self.inner.verdicts
    }

    /// Ends all plugins. Calls that come later are refused. Waits for those that
    /// are running up to the drain limit, for all plugins at the same time; one
    /// that is still busy then is left as it is, with its library mapped.
    pub fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        let _changing = self.inner.changing.lock();
        self.inner.stop()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active: Vec<_> = self.inner.table.load().keys().cloned().collect();
        f.debug_struct("Host").field("active", &active).finish_non_exhaustive()
    }
}
