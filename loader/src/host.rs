use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use arc_swap::ArcSwap;
use log::LevelFilter;
use parking_lot::Mutex;
use plugbay_interface::abi::SavedState;
use plugbay_interface::manifest::{InvalidPluginId, PluginId};
use serde_json::Value;

use crate::activate::{self, Active};
use crate::builder::{HostBuilder, Options};
use crate::call::{self, CallError};
use crate::discover::{Candidate, discover, discover_file};
use crate::error::{Error, Explain, printable};
use crate::link::{Link, level_for};
use crate::load;
use crate::parallel;
use crate::probe::Prober;
use crate::report::{
    Loadable, Notice, Phase, PluginState, PluginStatus, Progress, Refusal, StartReport,
};
use crate::resolve::{HostFacts, Resolved, resolve};
use crate::snapshot::Workspace;
use crate::unload::{self, Pin, UnloadError, Unloaded};
use crate::verdicts::Verdicts;
use crate::verify::{Verified, says_to_be, verify};

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

impl Inner {
    fn running(&self) -> Result<(), StartError> {
        if self.stopped.load(Ordering::Acquire) { Err(StartError::Stopped) } else { Ok(()) }
    }

    fn start(&self) -> StartReport {
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut refused: Vec<Arc<Refusal>> = Vec::new();
        for problem in found.problems {
            let path = problem.path().to_owned();
            refused.push(Arc::new(Refusal { path, plugin: None, error: problem.into() }));
        }
        let (verified, problems) = self.verify(found.candidates);
        refused.extend(problems);
        let verified = verified
            .into_iter()
            .filter(|verified| {
                let id = verified.manifest().id.as_str();
                self.options.only.as_ref().is_none_or(|only| only.contains(id))
            })
            .collect();
        let plan = resolve(verified, &self.facts());
        for held_back in plan.held_back {
            refused.push(Arc::new(Refusal {
                path: held_back.path().to_owned(),
                plugin: Some((held_back.id().clone(), held_back.version().clone())),
                error: held_back.into(),
            }));
        }
        let table = self.table.load_full();
        let new = plan
            .run
            .into_iter()
            .filter(|resolved| !table.contains_key(&resolved.verified().manifest().id))
            .collect();
        refused.extend(self.bring_up(new).into_iter().filter_map(Result::err));
        refused.sort_by(|a, b| a.path.cmp(&b.path));

        let mut report = StartReport { refused: refused.clone(), ..StartReport::default() };
        let table = self.table.load();
        let mut known = self.known.lock();
        known.refused = refused;
        report.active = known
            .plugins
            .iter()
            .filter(|(id, _)| table.contains_key(*id))
            .map(|(id, record)| record.status(table.get(id)))
            .collect();
        if self.prober.went_without() {
            report.notices.push(Notice::Unprobed { worker: self.options.worker.clone() });
        }
        report
    }

    fn verify(&self, candidates: Vec<Candidate>) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
        let count = self.counter(Phase::Verify, candidates.len());
        let outcomes = parallel::map(candidates, |candidate| {
            let outcome = verify(candidate, &self.workspace, &self.options.verify);
            count();
            outcome
        });
        let mut verified = Vec::new();
        let mut refused = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(good) => verified.push(good),
                Err(error) => refused.push(Arc::new(Refusal {
                    path: error.path().to_owned(),
                    plugin: None,
                    error: error.into(),
                })),
            }
        }
        (verified, refused)
    }

    fn facts(&self) -> HostFacts {
        HostFacts {
            version: self.options.version.clone(),
            disabled: self.known.lock().disabled.iter().cloned().collect(),
        }
    }

    /// Probes, loads and activates, and lets all that are ready serve at once.
    fn bring_up(&self, plan: Vec<Resolved>) -> Vec<Result<PluginId, Arc<Refusal>>> {
        let count = self.counter(Phase::Load, plan.len());
        let outcomes = parallel::map(plan, |resolved| {
            let known = Arc::new(Loadable::of(resolved.verified()));
            let outcome = self
                .activate(resolved, known.clone())
                .map_err(|error| Arc::new(Refusal::of(&known, error)));
            count();
            outcome
        });
        let mut table = HashMap::clone(&self.table.load());
        let mut known = self.known.lock();
        let results = outcomes
            .into_iter()
            .map(|outcome| {
                let active = Arc::new(outcome?);
                let id = active.about.manifest.id.clone();
                let pinned = known.plugins.remove(&id).map(|old| old.pinned).unwrap_or_default();
                known.plugins.insert(
                    id.clone(),
                    Record {
                        about: active.about.clone(),
                        state: PluginState::Active,
                        generation: active.generation,
                        pinned,
                        saved: None,
                    },
                );
                table.insert(id.clone(), active);
                Ok(id)
            })
            .collect();
        self.table.store(Arc::new(table));
        results
    }

    fn activate(&self, resolved: Resolved, about: Arc<Loadable>) -> Result<Active, Error> {
        let probed = self.prober.probe(resolved.verified())?;
        let id = about.manifest.id.clone();
        let loaded = load::load(resolved, probed)?;
        let configuration = self.options.config.get(id.as_str());
        let saved = self.known.lock().plugins.get(&id).and_then(|record| record.saved.clone());
        let log_level = match self.options.log_levels.get(id.as_str()) {
            Some(level) => *level,
            None => level_for(id.as_str()),
        };
        let link = Link {
            generation: self.next_generation.fetch_add(1, Ordering::Relaxed),
            data_dir: self.options.data_dir.join(id.as_str()),
            configuration: configuration.map_or_else(|| "{}".to_owned(), Value::to_string),
            state: Mutex::new(saved),
            wants_backtraces: self.options.backtraces,
            log_level,
            id,
        };
        Ok(activate::activate(loaded, about, link, self.options.activation_deadline)?)
    }

    fn load(&self, id: &PluginId) -> Result<PluginStatus, LoadPluginError> {
        if self.table.load().contains_key(id) {
            return Err(LoadPluginError::AlreadyActive { plugin: id.clone() });
        }
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut candidates = found.candidates;
        // The file that it came from counts, too: it may be broken by now.
        let last = self.known.lock().plugins.get(id).map(|record| record.about.path.clone());
        candidates.retain(|candidate| {
            says_to_be(candidate, id) || last.as_deref() == Some(candidate.path())
        });
        let (wanted, refused) = self.verify(candidates);
        let mut facts = self.facts();
        facts.disabled.retain(|disabled| disabled != id);
        let mut plan = resolve(wanted, &facts);
        if plan.run.is_empty() {
            return Err(match plan.held_back.pop() {
                Some(error) => self.refuse(Refusal {
                    path: error.path().to_owned(),
                    plugin: Some((error.id().clone(), error.version().clone())),
                    error: error.into(),
                }),
                None => match refused.into_iter().next() {
                    Some(refusal) => LoadPluginError::Refused(refusal),
                    None => LoadPluginError::NotFound {
                        plugin: id.clone(),
                        folders: self.options.folders.clone(),
                    },
                },
            });
        }
        self.bring_up_one(plan.run)
    }

    fn load_file(&self, candidate: Candidate) -> Result<PluginStatus, LoadPluginError> {
        let verified =
            verify(candidate, &self.workspace, &self.options.verify).map_err(|error| {
                let path = error.path().to_owned();
                self.refuse(Refusal { path, plugin: None, error: error.into() })
            })?;
        let id = verified.manifest().id.clone();
        if self.table.load().contains_key(&id) {
            return Err(LoadPluginError::AlreadyActive { plugin: id });
        }
        let mut plan = resolve(vec![verified], &self.facts());
        match plan.held_back.pop() {
            Some(error) => Err(self.refuse(Refusal {
                path: error.path().to_owned(),
                plugin: Some((error.id().clone(), error.version().clone())),
                error: error.into(),
            })),
            None => self.bring_up_one(plan.run),
        }
    }

    fn bring_up_one(&self, plan: Vec<Resolved>) -> Result<PluginStatus, LoadPluginError> {
        let mut last = Err(LoadPluginError::Stopped(StartError::Stopped));
        for outcome in self.bring_up(plan) {
            last = match outcome {
                Ok(id) => {
                    let table = self.table.load();
                    let mut known = self.known.lock();
                    known.disabled.remove(&id);
                    known.refused.retain(|old| old.plugin.as_ref().is_none_or(|(o, _)| *o != id));
                    match known.plugins.get(&id) {
                        Some(record) => Ok(record.status(table.get(&id))),
                        None => Err(LoadPluginError::NotFound {
                            plugin: id,
                            folders: self.options.folders.clone(),
                        }),
                    }
                }
                Err(refusal) => {
                    let mut known = self.known.lock();
                    known.refused.retain(|old| old.path != refusal.path);
                    known.refused.push(refusal.clone());
                    Err(LoadPluginError::Refused(refusal))
                }
            };
        }
        last
    }

    fn refuse(&self, refusal: Refusal) -> LoadPluginError {
        let refusal = Arc::new(refusal);
        let mut known = self.known.lock();
        known.refused.retain(|old| old.path != refusal.path);
        known.refused.push(refusal.clone());
        LoadPluginError::Refused(refusal)
    }

    fn unload(&self, id: &str, state: PluginState) -> Result<Unloaded, UnloadError> {
        let Some(active) = self.table.load().get(id).cloned() else {
            let mut known = self.known.lock();
            // What does not serve can still be held back from the next start.
            if let Some((id, record)) = known.plugins.get_key_value(id)
                && state == PluginState::Disabled
            {
                let unloaded = Unloaded {
                    id: id.clone(),
                    generation: record.generation,
                    pinned: record.pinned.last().map(|(_, pin)| pin.clone()),
                    state_kept: record.saved.is_some(),
                    failures: Vec::new(),
                };
                known.disabled.insert(unloaded.id.clone());
                if let Some(record) = known.plugins.get_mut(&unloaded.id) {
                    record.state = state;
                }
                return Ok(unloaded);
            }
            return Err(UnloadError::NotActive { plugin: id.to_owned() });
        };
        let Options { drain_limit, activation_deadline, ending, .. } = self.options;
        let (unloaded, saved) = unload::retire(&active, drain_limit, activation_deadline, ending)?;
        // Under this lock, as several may end at once.
        let mut known = self.known.lock();
        let mut table = HashMap::clone(&self.table.load());
        table.remove(id);
        self.table.store(Arc::new(table));
        if state == PluginState::Disabled {
            known.disabled.insert(unloaded.id.clone());
        }
        if let Some(record) = known.plugins.get_mut(&unloaded.id) {
            record.state = state;
            record.saved = saved;
            record.pinned.extend(unloaded.pinned.clone().map(|pin| (unloaded.generation, pin)));
        }
        Ok(unloaded)
    }

    fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        self.stopped.store(true, Ordering::Release);
        let ids: Vec<_> = self.table.load().keys().cloned().collect();
        // All at once, so that the slow ones wait together.
        thread::scope(|scope| {
            let ends: Vec<_> = ids
                .iter()
                .map(|id| {
                    let end = || self.unload(id.as_str(), PluginState::Unloaded);
                    let thread = thread::Builder::new().name("plugbay-stop".into());
                    thread.spawn_scoped(scope, end).map_err(|_| end())
                })
                .collect();
            ends.into_iter()
                .map(|ended| match ended {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(ended) => ended,
                })
                .collect()
        })
    }

    /// Why a call found nobody.
    fn why_not(&self, id: &str) -> CallError {
        let known = self.known.lock();
        if let Some((plugin, record)) = known.plugins.get_key_value(id) {
            let state = match record.state {
                // The table and this record change one after the other.
                PluginState::Active => PluginState::Retiring,
                state => state,
            };
            return CallError::NotActive { plugin: plugin.clone(), state };
        }
        if let Some(plugin) = known.disabled.get(id) {
            return CallError::NotActive { plugin: plugin.clone(), state: PluginState::Disabled };
        }
        let refused = known.refused.iter().find_map(|refusal| {
            let (plugin, _) =
                refusal.plugin.as_ref().filter(|(plugin, _)| plugin.as_str() == id)?;
            Some((plugin, refusal))
        });
        match refused {
            Some((plugin, refusal)) => {
                CallError::Refused { plugin: plugin.clone(), refusal: refusal.clone() }
            }
            None => CallError::UnknownPlugin {
                plugin: id.to_owned(),
                known: known.plugins.keys().cloned().collect(),
            },
        }
    }

    /// Tells the beginning at once, and each call of what it returns as one more.
    fn counter(&self, phase: Phase, total: usize) -> impl Fn() + Sync {
        let callback = self.options.progress.clone();
        let tell = move |done| {
            if let Some(callback) = &callback {
                callback(Progress { phase, done, total });
            }
        };
        tell(0);
        let done = AtomicUsize::new(0);
        move || tell(done.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for unloaded in self.stop().into_iter().flatten() {
            for failure in &unloaded.failures {
                log::warn!(target: unloaded.id.as_str(), "{failure}");
            }
        }
    }
}

impl Record {
    fn status(&self, active: Option<&Arc<Active>>) -> PluginStatus {
        PluginStatus {
            path: self.about.path.clone(),
            state: self.state,
            generation: self.generation,
            calls: active.map_or(0, |active| active.instance.leases()),
            pinned: self.pinned.clone(),
            hash: self.about.hash.to_hex().to_string(),
            facts: self.about.facts.clone(),
            manifest: self.about.manifest.clone(),
        }
    }
}
