//! The running host's socket: one JSON object a line, request and answer.

mod claim;
mod client;
mod lines;
mod messages;
mod place;
mod server;

pub use claim::Claim;
pub use client::{Client, reach};
pub use messages::{
    Action, Changed, HostLine, Inspection, Overview, PinnedLine, PluginLine, RefusedLine, Request,
};
pub use place::Place;
pub use server::Server;

/// The longest line in either direction, in bytes.
const LONGEST_LINE: usize = 64 << 20;
