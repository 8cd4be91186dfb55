//! What happens to plugins, as it happens, and the history of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use plugbay_interface::manifest::PluginId;
use plugbay_resolve::Policy;
use semver::Version;
use serde::{Serialize, Serializer};

use crate::recorder::Job;
use crate::records::Holder;
use crate::report::as_printable;
use crate::seat::Seat;
use crate::unload::Pin;

/// How many events are kept.
const HISTORY: usize = 1000;
/// How many events a slow reader may be behind before it misses some.
const BACKLOG: usize = 1024;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Counted by the host from 1, without gaps: who misses some can tell.
    pub number: u64,
    /// When it was over. Written as seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub at: SystemTime,
    /// What the plugin that it is about is called in this host: its id, or, where versions of
    /// it run side by side, `sql@1`. None where its version could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
    /// Where what happened does not say it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
}

impl Event {
    /// The version of the plugin that it is about, after a reload the new one; of a file that
    /// was refused none, where none could be read.
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref().or(self.happening.version())
    }
}

/// What can happen.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happening {
    /// A plugin serves that did not.
    Loaded {
        /// The plugin.
        plugin: PluginId,
        /// Its version.
        version: Version,
        /// Its generation.
        generation: u64,
        /// The file.
        #[serde(serialize_with = "as_printable")]
        path: PathBuf,
        /// What led to it.
        cause: Cause,
        /// What took how long.
        times: Times,
    },
    /// Another generation of a plugin serves.
    Reloaded(Reloaded),
    /// A new generation was not to be had; the old one serves on.
    Kept {
        /// The plugin.
        plugin: PluginId,
        /// The version that serves on.
        version: Version,
        /// The generation that serves on.
        generation: u64,
        /// The file that was not taken.
        #[serde(serialize_with = "as_printable")]
        path: PathBuf,
        /// What led to the attempt.
        cause: Cause,
        /// The stable code of the reason.
        code: String,
        /// Why not.
        reason: String,
        /// What to do.
        help: String,
        /// What took how long.
        times: Times,
    },
    /// A plugin has another configuration, in the generation that serves.
    Configured(Reconfigured),
    /// A plugin did not take another configuration, and serves on with the one that it had.
    NotConfigured {
        /// The plugin.
        plugin: PluginId,
        /// Its version.
        version: Version,
        /// The generation that serves on.
        generation: u64,
        /// What led to the attempt.
        cause: Cause,
        /// The stable code of the reason.
        code: String,
        /// Why not.
        reason: String,
        /// What to do.
        help: String,
    },
    /// A file is no plugin that can serve, and none serves because of it.
    Refused {
        /// The file.
        #[serde(serialize_with = "as_printable")]
        path: PathBuf,
        /// The plugin, where it could be read.
        plugin: Option<PluginId>,
        /// The stable code.
        code: String,
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
    /// A plugin takes no more calls.
    Unloaded {
        /// The plugin.
        plugin: PluginId,
        /// The generation that served last.
        generation: u64,
        /// What led to it.
        cause: Cause,
        /// Whether its state is kept.
        state_kept: bool,
    },
    /// An old generation was ended.
    Retired {
        /// The plugin.
        plugin: PluginId,
        /// Its version.
        version: Version,
        /// The generation.
        generation: u64,
        /// What took how long.
        times: Times,
        /// Why its library is still in memory; none when it was looked for and is gone.
        pinned: Option<Pin>,
        /// What it failed at while it ended.
        failures: Vec<String>,
    },
    /// An old generation cannot end, because it is still in use.
    InUse {
        /// The plugin.
        plugin: PluginId,
        /// The generation.
        generation: u64,
        /// By whom.
        holders: Vec<Holder>,
    },
    /// The registry has a problem; plugins go on.
    Registry {
        /// The stable code.
        code: String,
        /// Which.
        problem: String,
        /// What to do.
        help: String,
    },
    /// Watching the folders has a problem.
    Watching {
        /// The stable code.
        code: String,
        /// Which.
        problem: String,
        /// What to do.
        help: String,
    },
}

/// A change from one generation to the next.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Reloaded {
    /// The plugin.
    pub plugin: PluginId,
    /// The version that served.
    pub from: Version,
    /// The version that serves.
    pub to: Version,
    /// The generation that served.
    pub from_generation: u64,
    /// The generation that serves.
    pub to_generation: u64,
    /// The file.
    #[serde(serialize_with = "as_printable")]
    pub path: PathBuf,
    /// What led to it.
    pub cause: Cause,
    /// What took how long.
    pub times: Times,
    /// Calls that had to wait for the state.
    pub calls_waited: u64,
    /// The size of the state in bytes, where one was handed over.
    pub state_bytes: Option<u64>,
    /// What should be known of it.
    pub note: Option<String>,
}

/// A configuration that was taken by a generation which serves.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Reconfigured {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
    /// Its generation.
    pub generation: u64,
    /// What led to it.
    pub cause: Cause,
    /// What took how long.
    pub times: Times,
}

/// What led to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", content = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The host was started.
    Start,
    /// A file changed.
    File,
    /// Somebody asked for it.
    Request,
    /// Somebody asked for the generation before.
    Rollback,
    /// The new generation was in trouble.
    Trouble(String),
    /// It is loaded on demand, and somebody called it.
    Demand,
    /// Something else changed, and it was decided anew what runs; why it is out.
    Decision(String),
}

/// What took how long; nothing for what was not done. Written as whole
/// microseconds, under names that end with `_us`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Times {
    /// From the file's event to the begin of the work.
    pub detect: Option<Duration>,
    /// Looking at the file's bytes, and copying them.
    pub verify: Option<Duration>,
    /// Finding out whether it may be mapped here.
    pub probe: Option<Duration>,
    /// Mapping it and comparing its layout.
    pub load: Option<Duration>,
    /// Constructing it, until it served.
    pub activate: Option<Duration>,
    /// Of that: how long calls had to wait at most, for the state.
    pub pause: Option<Duration>,
    /// Giving it another configuration. Calls do not wait for that.
    pub configure: Option<Duration>,
    /// Waiting for running calls to end.
    pub drain: Option<Duration>,
    /// Saving the state.
    pub save: Option<Duration>,
    /// Deactivating it, and closing its library.
    pub unload: Option<Duration>,
}

/// The events of one host from the moment of asking on.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
}

impl Events {
    /// The next event; blocks until there is one, or the time is over, or the
    /// host has ended.
    pub fn next_within(&self, limit: Duration) -> Option<Event> {
        self.receiver.recv_timeout(limit).ok()
    }
}

/// Blocks until there is an event. Ends when the host has ended.
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.receiver.recv().ok()
    }
}

/// What happened, and who wants to know.
pub(crate) struct Chronicle {
    told: Mutex<Told>,
    /// Says which versions run side by side.
    policy: Policy,
}

#[derive(Default)]
struct Told {
    next: u64,
    history: VecDeque<Event>,
    readers: Vec<Sender<Event>>,
    /// Who writes it all down.
    recorder: Option<Sender<Job>>,
}

impl Chronicle {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self { told: Mutex::default(), policy: policy.clone() }
    }

    pub(crate) fn tell(&self, happening: Happening) {
        self.add(happening, None);
    }

    /// The same, of a plugin in this version, which the happening does not say.
    pub(crate) fn tell_of(&self, version: &Version, happening: Happening) {
        self.add(happening, Some(version.clone()));
    }

    fn add(&self, happening: Happening, version: Option<Version>) {
        let of = happening.plugin().zip(version.as_ref().or(happening.version()));
        let seat = of.map(|(id, version)| Seat::new(id, self.policy.line_of(id, version)));
        let name = seat.map(|seat| seat.to_string());
        let mut told = self.told.lock();
        told.next += 1;
        let event = Event { number: told.next, at: SystemTime::now(), name, happening, version };
        if told.history.len() == HISTORY {
            told.history.pop_front();
        }
        told.history.push_back(event.clone());
        if let Some(recorder) = &told.recorder {
            let _ = recorder.send(Job::Happened(Box::new(event.clone())));
        }
        // One that does not read misses events; it does not hold anybody up.
        told.readers.retain(|reader| {
            !matches!(reader.try_send(event.clone()), Err(TrySendError::Disconnected(_)))
        });
    }

    /// All that happens from now on is to be written down.
    pub(crate) fn record(&self, recorder: Sender<Job>) {
        self.told.lock().recorder = Some(recorder);
    }

    pub(crate) fn history(&self) -> Vec<Event> {
        self.told.lock().history.iter().cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = bounded(BACKLOG);
        self.told.lock().readers.push(sender);
        Events { receiver }
    }
}

impl Happening {
    /// The plugin that it is about.
    pub fn plugin(&self) -> Option<&PluginId> {
        match self {
            Self::Loaded { plugin, .. }
            | Self::Kept { plugin, .. }
            | Self::NotConfigured { plugin, .. }
            | Self::Unloaded { plugin, .. }
            | Self::Retired { plugin, .. }
            | Self::InUse { plugin, .. } => Some(plugin),
            Self::Reloaded(reloaded) => Some(&reloaded.plugin),
            Self::Configured(configured) => Some(&configured.plugin),
            Self::Refused { plugin, .. } => plugin.as_ref(),
            Self::Registry { .. } | Self::Watching { .. } => None,
        }
    }

    fn version(&self) -> Option<&Version> {
        match self {
            Self::Loaded { version, .. }
            | Self::Kept { version, .. }
            | Self::NotConfigured { version, .. }
            | Self::Retired { version, .. } => Some(version),
            Self::Reloaded(reloaded) => Some(&reloaded.to),
            Self::Configured(configured) => Some(&configured.version),
            _ => None,
        }
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { detect, verify, probe, load, activate, pause, configure, drain, save, unload } =
            *self;
        let named = [
            ("detect_us", detect),
            ("verify_us", verify),
            ("probe_us", probe),
            ("load_us", load),
            ("activate_us", activate),
            ("pause_us", pause),
            ("configure_us", configure),
            ("drain_us", drain),
            ("save_us", save),
            ("unload_us", unload),
        ];
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        serializer
            .collect_map(named.into_iter().filter_map(|(name, time)| Some((name, micros(time?)))))
    }
}

fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_f64(since.as_secs_f64())
}
