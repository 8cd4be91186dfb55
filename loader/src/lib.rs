//! A plugins folder for a Rust program.
//!
//! ```no_run
//! use plugbay_loader::{Host, interface::serde_json::json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::builder().plugin_dir("plugins.d").build()?;
//! let report = host.start()?;
//! for refusal in &report.refused {
//!     eprintln!("{refusal}");
//! }
//! let html = host.call("markdown", "render", json!({ "text": "# Hi" }))?;
//! # Ok(()) }
//! ```
//!
//! A file becomes a serving plugin in stages, one module each, and each stage
//! takes what only the stage before can make:
//!
//! [`discover`](discover()) → [`verify`] → [`resolve`](resolve()) → load →
//! activate → serve → unload.
//!
//! Up to and including `resolve` no code of any plugin has run. Between
//! `resolve` and `load`, a file that was never seen before is loaded once in a
//! throw-away child process (see [`Probe`]).

mod activate;
mod backtrace;
mod beside;
mod builder;
mod call;
mod close;
mod configure;
mod counted;
mod discover;
mod error;
mod events;
mod extensions;
mod footprint;
mod handover;
mod host;
mod image;
mod keeper;
mod link;
mod load;
mod naming;
mod offers;
mod on_thread;
mod parallel;
mod persist;
mod platform;
mod plugin;
mod probation;
mod probe;
mod protect;
mod reconfigure;
mod recorder;
mod records;
pub mod registry;
mod reload;
mod report;
mod resolve;
mod results;
mod seat;
mod secrets;
mod service;
mod slot;
mod snapshot;
pub mod stack;
mod sync;
mod tell;
mod unload;
mod verdicts;
mod verify;
mod watch;
pub mod worker;
mod workspace;

pub use activate::ActivateError;
pub use beside::{BesideError, manifest_beside, strays};
pub use builder::{BuildError, HostBuilder, default_cache_dir, default_data_dir};
pub use call::CallError;
pub use close::PinnedLibrary;
pub use configure::{ConfigError, check_config, check_extension, config_for};
pub use discover::{Candidate, DiscoverError, Discovered, discover, discover_file};
pub use error::{Error, Explain, Failure, printable};
pub use events::{Cause, Event, Events, Happening, Reconfigured, Reloaded, Times};
pub use extensions::{ExtensionError, Extensions};
pub use handover::HandoverError;
pub use host::{Host, LoadPluginError, StartError};
pub use image::{Found, inspect, manifest_in};
pub use load::LoadError;
pub use offers::Difference;
pub use persist::{PersistError, SaveError};
pub use plugin::{Lease, LongLease, PluginHandle};
pub use probe::{Probe, ProbeError};
pub use reconfigure::ConfigureError;
pub use records::Holder;
pub use reload::{LookedAt, Outcome, ReloadError, RollbackError};
pub use report::{
    GenerationStatus, Notice, Phase, PluginState, PluginStatus, Progress, Refusal, Role,
    StartReport, full_message,
};
pub use resolve::{Plan, ResolveError, Resolved, resolve};
pub use results::ResultsStatus;
pub use seat::{InvalidName, Several};
pub use service::{
    ContractStatus, Entered, Held, ProviderStatus, Service, ServiceError, Services, contracts_of,
};
pub use unload::{Pin, RemainingThread, UnloadError, Unloaded};
pub use verdicts::{QuarantineEntry, Verdict, Verdicts};
pub use verify::{ImageError, Verified, VerifyError, VerifyOptions, verify};
pub use watch::WatchOptions;
pub use workspace::Workspace;

/// Configuration files, and the schemas of plugins' configurations.
pub use plugbay_config as config;
/// The decision which plugins run.
pub use plugbay_resolve::{
    Active, Advice, Because, Chosen, Decision, Entry as LockEntry, Exclusion, HeldBack, KindRule,
    Line, Lock, LockError, Member, Members, Missing, Name, Offer, Policy, Profile, Reason, Refused,
    Then, UnknownProfile, Versions, Why,
};

/// What is known of plugins, kept across restarts.
pub use registry::{Registry, RegistryError};
/// What a host runs for one purpose.
pub use stack::{Stack, StackError};

/// The interface crate: what plugins are written against.
pub use plugbay_interface as interface;
pub use plugbay_interface::manifest::{self, Manifest, PluginId};
