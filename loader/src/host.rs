//! What a program holds. What its functions do is in the files of `host/`.

mod admitting;
mod attempts;
mod bring_up;
mod by_hand;
mod calling;
mod configurations;
mod configuring;
mod deciding;
mod demand;
mod ending;
mod errors;
mod finding;
mod known;
mod lifecycle;
mod loading;
mod recording;
mod reloading;
mod retiring;
mod rolling_back;
mod saving;
mod settling;
mod status;
mod trying_again;
mod watching;
mod wishing;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use plugbay_interface::manifest::Manifest;
use serde_json::Value;

use configurations::Configurations;
pub use errors::{LoadPluginError, StartError};
pub(crate) use finding::Found;
use known::{Known, Leaving, Previous, Record};
use settling::Change;

use crate::builder::{HostBuilder, Options};
use crate::close::PinnedLibraries;
use crate::discover::discover_file;
use crate::events::{Cause, Chronicle, Reloaded, Times};
use crate::keeper::{Asked, Wish};
use crate::persist::{Persisted, SaveError};
use crate::platform;
use crate::probe::Prober;
use crate::recorder::Recorder;
use crate::registry::{HeldBack, RegistryError, Selector as Released};
use crate::reload::{LookedAt, Outcome, RollbackError};
use crate::report::{PluginState, PluginStatus, StartReport};
use crate::seat::{Named, Table};
use crate::tell::Tell;
use crate::unload::{UnloadError, Unloaded};
use crate::verdicts::Verdicts;
use crate::watch::Watcher;
use crate::workspace::Workspace;

/// A program's plugins: finds them, runs them, and calls them.
///
/// Cheap to clone, and all clones are the same host; usable from any thread.
/// Any number of hosts may live in one process. The last clone that goes ends
/// all plugins, as [`stop`](Host::stop) does.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

/// What the clones of a host share. The keeper's thread has a way to `Inner` of
/// its own, so the end of the last clone is seen here.
struct Shared {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    options: Options,
    workspace: Workspace,
    prober: Prober,
    verdicts: Verdicts,
    persisted: Persisted,
    table: ArcSwap<Table>,
    known: Mutex<Known>,
    pinned: PinnedLibraries,
    /// One start, load, reload or unload at a time.
    changing: Mutex<()>,
    next_generation: AtomicU64,
    stopped: AtomicBool,
    chronicle: Arc<Chronicle>,
    recorder: Option<Recorder>,
    tell: Tell,
    keeper: Keeper,
    asked: Asked,
    watcher: Mutex<Option<Watcher>>,
}

/// The way to the keeper's thread, which is started when it is first needed.
struct Keeper {
    wishes: Sender<Wish>,
    waiting: Mutex<Option<Receiver<Wish>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    host: Weak<Inner>,
}

impl Host {
    /// Says how the host is to be.
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    pub(crate) fn new(options: Options, workspace: Workspace) -> Result<Self, RegistryError> {
        // The first time it is asked for takes milliseconds, which is not to be
        // while calls wait.
        let _ = platform::has_membarrier();
        let verdicts = Verdicts::in_cache(&options.cache_dir).of_host(&options.name);
        let prober = Prober::new(
            options.probe,
            options.worker.clone(),
            options.probe_deadline,
            verdicts.clone(),
        );
        let disabled = options.policy.disabled.clone();
        let configurations =
            Configurations::new(options.config.clone(), options.extensions.clone());
        let (wishes, waiting) = unbounded();
        let persisted = Persisted::below(&options.data_dir, options.earlier_data.as_deref());
        let chronicle = Arc::new(Chronicle::new(&options.policy));
        let recorder = options.registry.clone();
        let recorder =
            recorder.map(|registry| Recorder::start(registry, &chronicle, verdicts.clone()));
        let inner = Arc::new_cyclic(|host| Inner {
            options,
            persisted,
            workspace,
            prober,
            verdicts,
            table: ArcSwap::default(),
            known: Mutex::new(Known { disabled, configurations, ..Known::default() }),
            pinned: PinnedLibraries::default(),
            changing: Mutex::new(()),
            next_generation: AtomicU64::new(1),
            stopped: AtomicBool::new(false),
            chronicle,
            recorder,
            tell: Tell::default(),
            asked: Asked::new(wishes.clone()),
            keeper: Keeper {
                wishes,
                waiting: Mutex::new(Some(waiting)),
                thread: Mutex::new(None),
                host: host.clone(),
            },
            watcher: Mutex::new(None),
        });
        let this = Self { shared: Arc::new(Shared { inner }) };
        this.inner().recall()?;
        Ok(this)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.shared.inner
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
        let _changing = self.inner().change();
        self.inner().running()?;
        Ok(self.inner().start())
    }

    /// Loads the file of a plugin anew, where its bytes have changed, and lets
    /// the new generation take over: it is verified, loaded and constructed
    /// while the old one serves, gets its state, and then every new call goes to
    /// it. Calls that run end where they began. Loads a plugin that does not
    /// serve yet.
    ///
    /// Blocks until the new one serves or is refused. Calls wait for the state of
    /// a plugin that has one, and for nothing else.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the new one; the old one then serves on, untouched.
    pub fn reload(&self, id: &str) -> Result<Outcome, LoadPluginError> {
        let id = Named::read(id)?;
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        inner.reload_from_folders(&id, &Cause::Request)
    }

    /// Gives a plugin another configuration: it is checked by the plugin's schema, and then
    /// given to the plugin, which takes it while it serves ([`Outcome::Configured`]), or wants
    /// a reload: a new generation of the same file takes over with it, and with the state.
    /// What makes no difference changes nothing. A plugin that does not serve gets it when
    /// it does. Of `sql@^1`, only versions in that range. Where what serves cannot have it,
    /// and what lies in the folders by now can, both are taken in one go.
    ///
    /// Blocks until the plugin has taken it, up to the
    /// [`activation_deadline`](HostBuilder::activation_deadline), and as a
    /// [`reload`](Host::reload) where there is one. Calls do not wait for what is taken
    /// while it serves; results that are kept of the plugin's commands are dropped.
    ///
    /// A [`rollback`](Host::rollback) afterwards is about generations. The one before gets the
    /// configuration that holds, unless it is the same file, which was replaced for its
    /// configuration: then it comes back with the one that it had. That undoes what was said
    /// since, by whatever name, for what goes back and for nothing else, until it is said
    /// again.
    ///
    /// # Errors
    ///
    /// When it does not fit, a secret cannot be had, the plugin says no, panics or does not
    /// come to an end ([`ConfigureError`](crate::ConfigureError)), or the new generation does
    /// not come up; then the plugin goes on with the configuration that it has.
    pub fn configure(&self, id: &str, config: Value) -> Result<Outcome, LoadPluginError> {
        let id = Named::read(id)?;
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        inner.configure(&id, Some(config))
    }

    /// Takes back what a plugin was configured with, by the builder or by
    /// [`configure`](Self::configure) under the same name: it goes on with its defaults, or
    /// with what is said of it by another name (`sql`, where this was of `sql@^1`).
    ///
    /// # Errors
    ///
    /// As `configure`.
    pub fn unconfigure(&self, id: &str) -> Result<Outcome, LoadPluginError> {
        let id = Named::read(id)?;
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        inner.configure(&id, None)
    }

    /// Gives a table of the host's own configuration another value, or takes it out: the
    /// plugin that has it goes on with it as with another [configuration](Self::configure),
    /// but never as it serves: in a new generation. One that nobody registers, or nobody who
    /// serves or is loaded on demand, waits for who does.
    ///
    /// Of several plugins that register one table, who serves with it has it. Where nobody
    /// does, it is the smallest id of those that would run, and one that another one of them
    /// needs goes before that. The others are refused ([`ExtensionError::Taken`]), and tried
    /// again when it is nobody's any more.
    ///
    /// [`ExtensionError::Taken`]: crate::ExtensionError::Taken
    ///
    /// # Errors
    ///
    /// As [`configure`](Self::configure).
    pub fn configure_extension(
        &self,
        name: &str,
        value: Option<Value>,
    ) -> Result<Outcome, LoadPluginError> {
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        inner.configure_extension(name, value)
    }

    /// The tables of the host's own configuration that there are for plugins, as they were
    /// given, by name.
    pub fn extensions(&self) -> BTreeMap<String, Value> {
        self.inner().known.lock().configurations.tables().values().clone()
    }

    /// Fetches the secrets anew that the configurations of plugins refer to: who serves, and
    /// would have others now, goes on with them, as with another
    /// [configuration](Self::configure). What is written stays as it is, and so does what a
    /// [`rollback`](Self::rollback) undid of it. Gives those for whom that changed something,
    /// or went wrong: they go on with what they have.
    ///
    /// Blocks as `configure`, for each of them.
    ///
    /// # Errors
    ///
    /// Only after [`stop`](Host::stop); those of single plugins stand beside them.
    pub fn fetch_secrets(&self) -> Result<Vec<LookedAt>, StartError> {
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        Ok(inner.fetch_secrets())
    }

    /// [`reload`](Self::reload)s every plugin that serves, one after the other,
    /// and loads what is new in the folders.
    ///
    /// # Errors
    ///
    /// Only after [`stop`](Host::stop); those of single plugins stand beside them.
    pub fn reload_all(&self) -> Result<Vec<LookedAt>, StartError> {
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        Ok(inner.rescan(&Cause::Request, &[], Times::default()))
    }

    /// Goes back to the generation of a plugin that was replaced last: with the
    /// state of the one that serves, where the earlier version takes it, else
    /// with its own. What served is not loaded again until its bytes change, or
    /// its quarantine is lifted.
    ///
    /// # Errors
    ///
    /// When there is no way back; then all stays as it is.
    pub fn rollback(&self, id: &str) -> Result<Reloaded, RollbackError> {
        let named = Named::read(id)?;
        let inner = self.inner();
        let _changing = inner.change();
        inner.running()?;
        let plugin = named.id().clone();
        let seat = inner.one_serving(&named)?.ok_or(RollbackError::NotActive { plugin })?;
        let reloaded = inner.roll_back(&seat, Cause::Rollback)?;
        // Others may need the version that was left.
        inner.settle(Vec::new(), Change::because(&Cause::Rollback));
        Ok(reloaded)
    }

    /// Saves the state of a plugin that serves, and keeps it on disk, so that a
    /// host that is killed begins with it. It is on the disk when this returns.
    /// The plugin asks for that with `[state] persist = true`; its state is also
    /// kept at each reload, unload and stop. Calls wait while it saves, not while
    /// it is written. Gives the size in bytes.
    ///
    /// # Errors
    ///
    /// When it does not serve or did not ask, cannot save, or the disk is full;
    /// what was kept before is kept.
    pub fn save(&self, id: &str) -> Result<usize, SaveError> {
        let named = Named::read(id)?;
        let _changing = self.inner().change();
        let plugin = named.id().clone();
        let seat = self.inner().one_serving(&named)?.ok_or(SaveError::NotActive { plugin })?;
        self.inner().save(&seat)
    }

    /// Brings up one plugin that is in the folders and does not serve: the
    /// newest version that this host can run. Takes a `disable` back.
    ///
    /// # Errors
    ///
    /// When it is not there, serves already, or is refused.
    pub fn load(&self, id: &str) -> Result<PluginStatus, LoadPluginError> {
        let id = Named::read(id)?;
        let _changing = self.inner().change();
        self.inner().running()?;
        self.inner().load(&id)
    }

    /// Brings up the plugin in one file, which need not be in the folders. It goes before the
    /// other files of its plugin, also when it is disabled and enabled, until one of those is
    /// asked for with [`load`](Self::load) or [`reload`](Self::reload).
    ///
    /// # Errors
    ///
    /// When its id serves already, or it is refused: also, for example, where another
    /// plugin that serves excludes it.
    pub fn load_file(&self, path: impl Into<PathBuf>) -> Result<PluginStatus, LoadPluginError> {
        let _changing = self.inner().change();
        self.inner().running()?;
        self.inner().load_file(discover_file(path))
    }

    /// Ends a plugin: waits for its calls, keeps its state for the next
    /// [`load`](Host::load) in this host, deactivates it. Calls that come
    /// meanwhile wait; where it gives up, they go on. Plugins that need it end
    /// before it, and what it excluded comes up.
    ///
    /// # Errors
    ///
    /// When it does not serve, or its calls do not end in time; then it goes on.
    pub fn unload(&self, id: &str) -> Result<Unloaded, UnloadError> {
        let _changing = self.inner().change();
        self.inner().end(id, PluginState::Unloaded)
    }

    /// Ends a plugin, as [`unload`](Host::unload), and holds it back, whatever
    /// is started, until [`enable`](Host::enable) or the end of this host. So also
    /// one that was refused: a good file of it is not loaded then.
    ///
    /// With a [`registry`](HostBuilder::registry), it holds for later hosts, too, and is on
    /// the disk when this returns. Where that fails, `failures` says so.
    ///
    /// # Errors
    ///
    /// As `unload`, but one that does not serve is no error where it is known.
    pub fn disable(&self, id: &str) -> Result<Unloaded, UnloadError> {
        let _changing = self.inner().change();
        self.inner().disable(id)
    }

    /// Takes a [`disable`](Host::disable) back and brings the plugin up with the
    /// state that it had. From then on it goes before all that it excludes, or that has
    /// its place: those end. Of `sql@^1`, only versions in that range run from then on.
    ///
    /// With a [`registry`](HostBuilder::registry), it holds for later hosts, too, and is on
    /// the disk when this returns.
    ///
    /// # Errors
    ///
    /// As [`load`](Host::load), but one that serves is no error; the plugin is not held
    /// back any more then either. Where no version there is in the range, nothing changes.
    pub fn enable(&self, wanted: &str) -> Result<PluginStatus, LoadPluginError> {
        let wanted = Named::read(wanted)?;
        let _changing = self.inner().change();
        self.inner().running()?;
        self.inner().enable(&wanted)
    }

    /// Takes back that bytes are held back which took their host down while they were
    /// activated, for all hosts of the registry, and lets run what can run then. Gives what
    /// was held back; nothing, where there is no registry.
    ///
    /// # Errors
    ///
    /// When the registry fails; then nothing is released.
    pub fn release(&self, which: &Released) -> Result<Vec<HeldBack>, RegistryError> {
        let inner = self.inner();
        let _changing = inner.change();
        let released = inner.release(which)?;
        if !released.is_empty() && inner.running().is_ok() {
            inner.settle(Vec::new(), Change::because(&Cause::Request));
        }
        Ok(released)
    }

    /// Ends all plugins. Calls that come later are refused. Waits for those that
    /// are running up to the drain limit, for all plugins at the same time; one
    /// that is still busy then takes no more calls either, and is ended when
    /// nobody uses it any more, as long as there is a clone of the host.
    ///
    /// What happened until then is in the registry when this returns, or is given up
    /// after 5 seconds.
    pub fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        let _changing = self.inner().change();
        let ended = self.inner().stop();
        if let Some(recorder) = &self.inner().recorder {
            recorder.flush();
        }
        ended
    }
}

impl Inner {
    /// What the plugins that serve, or will when they are called, say of themselves.
    pub(crate) fn manifests(&self) -> Vec<Manifest> {
        let known = self.known.lock();
        let is_there = |state| matches!(state, PluginState::Active | PluginState::OnDemand);
        let there = known.plugins.values().filter(|it| is_there(it.state));
        there.map(|record| record.about.manifest.clone()).collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inner.end_all();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.inner().known.lock();
        let active: Vec<_> = known
            .plugins
            .iter()
            .filter(|(_, record)| record.state == PluginState::Active)
            .map(|(id, _)| id.clone())
            .collect();
        f.debug_struct("Host").field("active", &active).finish_non_exhaustive()
    }
}
