//! The running host's socket: one JSON object a line, request and answer.

mod changes;
mod claim;
mod client;
mod follow;
mod lines;
mod messages;
mod place;
mod plan;
mod server;

pub use claim::Claim;
pub use client::{Client, demand, reach};
pub use messages::{
    Action, Changed, Contracts, GenerationLine, HostLine, Inspection, Overview, PinnedLine,
    PluginLine, RefusedLine, Reloads, Request,
};
pub use place::Place;
pub use plan::{PlanView, RunLine};
pub use server::Server;

/// The longest line in either direction, in bytes.
const LONGEST_LINE: usize = 64 << 20;
