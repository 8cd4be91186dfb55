use std::sync::Arc;

use plugbay_config::nearest;
use plugbay_interface::abi::FaultKind;
use plugbay_interface::abi::abi_stable::std_types::{RResult, RStr};
use plugbay_interface::manifest::{PluginId, Selector};
use semver::Version;
use serde_json::Value;

use crate::activate::Active;
use crate::error::{Explain, Failure};
use crate::host::StartError;
use crate::report::{PluginState, Refusal};
use crate::results::{Look, Results};
use crate::slot::Lease;

/// How many ids a help names.
const MOST_IDS: usize = 30;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No file in the folders gives this id.
    #[error("there is no plugin `{}`", .plugin.escape_debug())]
    UnknownPlugin {
        /// The id that was called.
        plugin: String,
        /// The ids that there are.
        known: Vec<PluginId>,
    },
    /// Of a plugin's versions it was called for, `sql@bogus`, no range can be read.
    #[error("the versions of `{}` cannot be read", .name.escape_debug())]
    Range {
        /// What was called.
        name: String,
    },
    /// There is one, but it does not serve.
    #[error("the plugin `{name}` is {state}, so it takes no calls")]
    NotActive {
        /// The plugin.
        plugin: PluginId,
        /// What it is called: its id, or `sql@1`.
        name: String,
        /// What it is instead.
        state: PluginState,
    },
    /// There is one, and not in these versions.
    #[error("no version of the plugin `{}` that is {} serves: {}", .wanted.id, .wanted.version, words(.serving))]
    NoVersion {
        /// What was asked for.
        wanted: Selector,
        /// The versions that serve.
        serving: Vec<Version>,
    },
    /// There is one, and it was refused.
    #[error("the plugin `{plugin}` was refused: {}", .refusal.reason())]
    Refused {
        /// The plugin.
        plugin: PluginId,
        /// Why, with file and code.
        refusal: Arc<Refusal>,
    },
    /// The host was stopped.
    #[error(transparent)]
    Stopped(#[from] StartError),
    /// The plugin has no such command.
    #[error("the plugin `{plugin}` has no command `{}`", .command.escape_debug())]
    UnknownCommand {
        /// The plugin.
        plugin: PluginId,
        /// The command that was called.
        command: String,
        /// The commands that it has.
        known: Vec<String>,
    },
    /// The arguments do not fit the command.
    #[error("`{plugin}:{command}` does not take these arguments: {failure}")]
    Arguments {
        /// The plugin.
        plugin: PluginId,
        /// The command.
        command: String,
        /// Which member is wrong and why.
        failure: Box<Failure>,
        /// The method, where it is one of a contract: as it would stand in the trait.
        method: Option<Box<str>>,
    },
    /// The command returned an error.
    #[error("`{plugin}:{command}` failed: {failure}")]
    Failed {
        /// The plugin.
        plugin: PluginId,
        /// The command.
        command: String,
        /// What it said.
        failure: Box<Failure>,
    },
    /// The command panicked. The plugin goes on serving.
    #[error("`{plugin}:{command}` panicked: {failure}")]
    Panicked {
        /// The plugin.
        plugin: PluginId,
        /// The command.
        command: String,
        /// What the panic said, and where.
        failure: Box<Failure>,
    },
    /// The plugin gave something that is no JSON.
    #[error("`{plugin}:{command}` gave a result that is no JSON")]
    Result {
        /// The plugin.
        plugin: PluginId,
        /// The command.
        command: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// For `?` on what comes in a box.
impl From<Box<CallError>> for CallError {
    fn from(error: Box<CallError>) -> Self {
        *error
    }
}

impl CallError {
    /// What the plugin said, where it was the plugin that said something.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Arguments { failure, .. }
            | Self::Failed { failure, .. }
            | Self::Panicked { failure, .. } => Some(failure),
            _ => None,
        }
    }
}

impl Explain for CallError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownPlugin { .. } => "PB0701",
            Self::Range { .. } => "PB0901",
            Self::NotActive { .. } => "PB0702",
            Self::Refused { refusal, .. } => refusal.error.code(),
            Self::Stopped(error) => error.code(),
            Self::UnknownCommand { .. } => "PB0703",
            Self::Arguments { .. } => "PB0704",
            Self::Failed { .. } => "PB0705",
            Self::Panicked { .. } => "PB0706",
            Self::Result { .. } => "PB0707",
            Self::NoVersion { .. } => "PB0708",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::UnknownPlugin { known, .. } if known.is_empty() => {
                "no plugin is there; put its library into a plugins folder".into()
            }
            Self::UnknownPlugin { plugin, known } => {
                let ids: Vec<_> = known.iter().map(PluginId::as_str).collect();
                let id = plugin.split('@').next().unwrap_or(plugin);
                let meant = nearest(id, ids.iter().copied()).filter(|meant| *meant != id);
                let meant = meant.map(|id| format!("did you mean `{id}`? ")).unwrap_or_default();
                let some = ids.iter().take(MOST_IDS).copied().collect::<Vec<_>>().join(", ");
                let more = match ids.len().saturating_sub(MOST_IDS) {
                    0 => String::new(),
                    more => format!(" and {more} more: host-app list"),
                };
                format!("{meant}there are: {some}{more}")
            }
            Self::Range { name } => {
                let id = name.split('@').next().unwrap_or_default();
                format!("write them as in {id}@1, '{id}@^1.4' or '{id}@>=1, <3'")
            }
            Self::NotActive { plugin, name, state } => match state {
                PluginState::Disabled => format!("let it serve again: host-app enable {plugin}"),
                PluginState::OnDemand => format!(
                    "it cannot be loaded while the host waits for the caller to activate, save or \
                     end: let that plugin depend on it ([dependencies] {plugin} = \"*\" in its \
                     plugin.toml), so that it is loaded before"
                ),
                _ => format!("let it serve again: host-app load {name}"),
            },
            Self::NoVersion { wanted, .. } => {
                format!(
                    "see which versions there are, and why they do not run: host-app plan --why {}",
                    wanted.id
                )
            }
            Self::Refused { refusal, .. } => refusal.error.hint(),
            Self::Stopped(error) => error.hint(),
            Self::UnknownCommand { known, .. } if known.is_empty() => "it has no commands".into(),
            Self::UnknownCommand { known, .. } => format!("it has: {}", known.join(", ")),
            Self::Arguments { method: Some(method), .. } => {
                format!("give an object with its arguments by name: {method}")
            }
            Self::Arguments { plugin, command, .. } => {
                format!("see the schema of its arguments: host-app inspect {plugin} ({command})")
            }
            Self::Failed { plugin, .. } => format!(
                "the message is the plugin's own; host-app inspect {plugin} shows what it takes"
            ),
            Self::Panicked { failure, .. } => fault_of_the_plugin(failure),
            Self::Result { .. } => "a fault in the plugin: report it to its authors".into(),
        }
    }
}

fn words(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
}

pub(crate) fn fault_of_the_plugin(failure: &Failure) -> String {
    if failure.backtrace.is_empty() {
        "a fault in the plugin: report it to its authors, with what RUST_BACKTRACE=1 shows".into()
    } else {
        "a fault in the plugin: report it to its authors".into()
    }
}

/// Runs one command under a lease.
pub(crate) fn call(lease: &Lease<'_>, command: &str, arguments: &str) -> Result<Value, CallError> {
    let active = lease.active();
    lease.note(command);
    let outcome = match &active.results {
        None => run(lease, active, command, arguments, |_| {}),
        Some(results) => ask_once(lease, active, results, command, arguments),
    };
    lease.clear_note();
    if let Err(CallError::Panicked { failure, .. }) = &outcome {
        active.troubles.report(&format!("`{command}` panicked: {failure}"));
    }
    outcome
}

/// Gives what is kept of an earlier call with the same arguments, or runs the command.
/// Calls that come before the first one has its result run as well.
#[inline(never)] // so that the way of commands of which nothing is kept stays short
fn ask_once(
    lease: &Lease<'_>,
    active: &Active,
    results: &Results,
    command: &str,
    arguments: &str,
) -> Result<Value, CallError> {
    match results.look(command, arguments) {
        Look::There(answer) => read(active, command, &answer),
        Look::Missing(ticket) => {
            run(lease, active, command, arguments, |answer| results.keep(ticket, answer))
        }
        Look::NotKept => run(lease, active, command, arguments, |_| {}),
    }
}

/// `keep` gets the text of a good result.
#[inline]
fn run(
    lease: &Lease<'_>,
    active: &Active,
    command: &str,
    arguments: &str,
    keep: impl FnOnce(&str),
) -> Result<Value, CallError> {
    let plugin = || active.about.manifest.id.clone();
    let command_name = || command.to_owned();
    let Some(instance) = lease.instance() else {
        return Err(CallError::NotActive {
            plugin: plugin(),
            name: active.about.seat.to_string(),
            state: PluginState::Unloaded,
        });
    };
    let outcome = match command.split_once(':') {
        None => instance.call(RStr::from_str(command), RStr::from_str(arguments)),
        Some((contract, method)) => match active.offers.newest(contract) {
            Some(offered) => offered.call(method, arguments),
            None => {
                let (plugin, command) = (plugin(), command_name());
                return Err(CallError::UnknownCommand { plugin, command, known: known(active) });
            }
        },
    };
    match outcome {
        // Read here and now: the text is the plugin's, and the lease ends soon.
        RResult::ROk(json) => {
            let result = read(active, command, &json)?;
            keep(&json);
            Ok(result)
        }
        RResult::RErr(fault) => {
            let kind = fault.kind;
            let failure = Box::new(active.troubles.scrubbed(Failure::take(fault)));
            let (plugin, command) = (plugin(), command_name());
            Err(match kind {
                FaultKind::PANIC => CallError::Panicked { plugin, command, failure },
                FaultKind::UNKNOWN_COMMAND => {
                    CallError::UnknownCommand { plugin, command, known: known(active) }
                }
                FaultKind::ARGUMENTS => {
                    let method = active.offers.method(&command);
                    CallError::Arguments { plugin, command, failure, method }
                }
                _ => CallError::Failed { plugin, command, failure },
            })
        }
    }
}

fn read(active: &Active, command: &str, json: &str) -> Result<Value, CallError> {
    serde_json::from_str(json).map_err(|source| CallError::Result {
        plugin: active.about.manifest.id.clone(),
        command: command.to_owned(),
        source,
    })
}

/// What can be called there, by name.
fn known(active: &Active) -> Vec<String> {
    let commands = active.about.manifest.commands.keys().cloned();
    commands.chain(active.offers.methods()).collect()
}
