//! What a reload and a rollback say.

use std::sync::Arc;
use std::time::Duration;

use plugbay_interface::manifest::PluginId;

use crate::error::Explain;
use crate::events::{Reconfigured, Reloaded};
use crate::handover::HandoverError;
use crate::host::{LoadPluginError, StartError};
use crate::report::{PluginStatus, Refusal};
use crate::seat::{InvalidName, Seat, Several};

/// What came of a file that was looked at again.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Its content serves already.
    Unchanged,
    /// It serves now, and nothing of this plugin did before.
    Loaded(Box<PluginStatus>),
    /// It is ready, and will be loaded when it is called for the first time.
    OnDemand(Box<PluginStatus>),
    /// It took over.
    Reloaded(Box<Reloaded>),
    /// The generation that serves has taken another configuration.
    Configured(Box<Reconfigured>),
}

/// One plugin that was looked at again.
#[derive(Debug)]
#[non_exhaustive]
pub struct LookedAt {
    /// The plugin.
    pub plugin: PluginId,
    /// What it is called by: its id, or, where several of its versions run side by side,
    /// `sql@1`.
    pub name: String,
    /// What came of it.
    pub outcome: Result<Outcome, LoadPluginError>,
}

impl LookedAt {
    pub(crate) fn new(seat: &Seat, outcome: Result<Outcome, LoadPluginError>) -> Self {
        Self { plugin: seat.id().clone(), name: seat.to_string(), outcome }
    }
}

/// Why a new generation did not take over, although it could be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The state of the old one did not come over.
    #[error("its state could not be handed over: {0}")]
    Handover(#[source] HandoverError),
    /// Calls would have had to wait too long for it. The old one goes on with the
    /// state that it had handed over.
    #[error(
        "it was not ready {limit:?} after calls had begun to wait for it, of which running calls \
         took {drain:.1?} and saving the state {save:.1?}"
    )]
    Late {
        /// How long they may have to wait.
        limit: Duration,
        /// What the running calls took of that.
        drain: Duration,
        /// What saving took.
        save: Duration,
    },
    /// Too many generations are in memory already.
    #[error("{alive} generations of it are still in memory, and at most {most} may be")]
    Generations {
        /// How many there are.
        alive: usize,
        /// How many may be.
        most: usize,
    },
}

impl Explain for ReloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Handover(error) => error.code(),
            Self::Generations { .. } => "PB1105",
            Self::Late { .. } => "PB1108",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Handover(error) => error.hint(),
            Self::Late { .. } => "do in the background what takes long in its `activate` or \
                                  `migrate`, or let calls wait longer (pause_limit)"
                .into(),
            Self::Generations { .. } => "see what keeps them: host-app list; end those calls or \
                                         threads, allow more (max_generations), or restart the \
                                         host"
                .into(),
        }
    }
}

/// Why there was no way back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// The text names no plugin.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It does not serve.
    #[error("the plugin `{plugin}` is not active")]
    NotActive {
        /// The plugin.
        plugin: PluginId,
    },
    /// Several versions of it do.
    #[error(transparent)]
    Several(#[from] Several),
    /// Nothing is known of a generation before this one.
    #[error("there is no earlier version of the plugin `{plugin}` to go back to")]
    NothingBefore {
        /// The plugin.
        plugin: PluginId,
    },
    /// The earlier version was refused.
    #[error("the earlier version cannot take over: {}", .0.reason())]
    Refused(Arc<Refusal>),
    /// The host was stopped.
    #[error(transparent)]
    Stopped(#[from] StartError),
}

impl Explain for RollbackError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "PB0901",
            Self::NotActive { .. } => "PB1106",
            Self::Several(error) => error.code(),
            Self::NothingBefore { .. } => "PB1107",
            Self::Refused(refusal) => refusal.error.code(),
            Self::Stopped(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Name(_) | Self::NotActive { .. } => "see what is active: host-app list".into(),
            Self::Several(error) => error.hint(),
            Self::NothingBefore { .. } => {
                "only what was replaced in this host can come back; else put the earlier file \
                 into the folder"
                    .into()
            }
            Self::Refused(refusal) => refusal.error.hint(),
            Self::Stopped(error) => error.hint(),
        }
    }
}
