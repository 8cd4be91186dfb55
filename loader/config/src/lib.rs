//! Configuration for a host with plugins.
//!
//! Two rooms, which know nothing of the loader:
//!
//! * [`document`] reads configuration files, in three syntaxes and with one model,
//!   and tells every mistake with its line.

pub mod document;
mod key_path;
mod nearest;
mod shown;

pub use key_path::{KeyPath, Step};
