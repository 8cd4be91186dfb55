//! All that the author of a plugin needs.
//!
//! A plugin is a `cdylib` crate with a `plugin.toml` beside its `Cargo.toml`, a
//! type, and an implementation of [`Plugin`] under [`#[plugin]`](plugin):
//!
//! ```ignore
//! use plugbay_interface::prelude::*;
//!
//! struct Hello;
//!
//! #[plugin]
//! impl Plugin for Hello {
//!     type Config = ();
//!     type State = ();
//!
//!     fn activate(_cx: Context, _config: (), _state: Option<()>) -> Result<Self, Error> {
//!         Ok(Hello)
//!     }
//!
//!     fn commands(&self) -> Commands<Self> {
//!         commands().on("greet", Self::greet)
//!     }
//! }
//!
//! impl Hello {
//!     fn greet(&self, arguments: Value) -> Result<Value, Error> {
//!         let name = arguments["name"].as_str().unwrap_or("world");
//!         log::info!("greeting {name}");
//!         Ok(json!({ "text": format!("Hello, {name}!") }))
//!     }
//! }
//! ```
//!
//! What holds for every plugin:
//!
//! * its methods are called from many threads at once;
//! * a panic in any of them ends that call with an error, never the host;
//! * what it writes with the [`log`] macros arrives in the host's logger, with
//!   the plugin's id as target;
//! * it may be built by another compiler than the host's, in debug or release,
//!   with `panic = "unwind"`.
//!
//! A plugin is called by commands, which are JSON for people and glue, and by
//! *contracts*: traits under [`#[service]`](macro@service) that Rust programs call it by,
//! typed, at the cost of a function pointer ([`service`](mod@service),
//! [`crossing`]).
//!
//! Everything in [`abi`] is the boundary itself: a plugin author never names it,
//! and it grows by the rules of `docs/ABI.md`.

// The macros' output names this crate, also in its own tests.
#[cfg(test)]
extern crate self as plugbay_interface;

pub mod abi;
mod commands;
mod context;
pub mod crossing;
mod error;
#[doc(hidden)]
pub mod export;
mod faults;
#[doc(hidden)]
pub mod given;
mod guard;
mod hooks;
mod kept;
mod logging;
mod plugin;
pub mod service;

pub use commands::{Commands, commands};
pub use context::Context;
pub use error::{Blame, Error, code};
pub use plugin::{Plugin, Taken};
pub use service::{Change, ServiceChange, Services, services};

pub use plugbay_macros::{data, plugin, service, shared};
pub use plugbay_manifest as manifest;
pub use {abi_stable, log, semver, serde, serde_json};

/// The version of this interface; the loader compares it with a plugin's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The target triple that this crate was compiled for.
pub const TARGET: &str = env!("PLUGBAY_TARGET");
/// What the compiler of this crate calls itself.
pub const RUSTC: &str = env!("PLUGBAY_RUSTC");

/// What a plugin's source begins with: `use plugbay_interface::prelude::*;`.
pub mod prelude {
    pub use crate::crossing::{Buffer, Stream};
    pub use crate::{
        Change, Commands, Context, Error, Plugin, ServiceChange, Services, Taken, commands, data,
        plugin, service, services, shared,
    };
    pub use abi_stable::std_types::{RSlice, RStr, RString, RVec};
    pub use log;
    pub use serde_json::{Value, json};
}
