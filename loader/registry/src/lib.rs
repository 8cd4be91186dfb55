//! What a host knows of its plugins, kept across restarts.
//!
//! A [`Registry`] has a [record](PluginRecord) of each plugin, what somebody
//! [wants](Wish) of it, what [happened](Event) to it, and which [attempts](Attempt) to
//! run it took a host down. There are three, which answer alike:
//!
//! * [`MemoryRegistry`] ends with its process;
//! * [`FileRegistry`] is JSON that people can read;
//! * [`SqliteRegistry`] is for thousands of plugins and many changes.
//!
//! ```
//! use plugbay_registry::{FileRegistry, PluginRecord, Query, Registry};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let opened = FileRegistry::open(&folder.path().join("registry.json"))?;
//! for aside in &opened.set_aside {
//!     eprintln!("{} was damaged: {}", aside.from.display(), aside.what);
//! }
//! let registry = opened.registry;
//! let hash = "00ff".repeat(16).parse()?;
//! let mut record = PluginRecord::new("markdown".parse()?, "1.2.0".parse()?, hash, "a.so".into());
//! record.kinds.push("renderer".into());
//! registry.record(&[record])?;
//! assert_eq!(registry.query(&Query::new().kind("renderer"))?.len(), 1);
//! # Ok(()) }
//! ```
//!
//! It knows nothing of loading: what a record says is the host's to say, and what follows
//! from it, too. It never holds a value of a plugin's configuration.

mod words;

mod attempt;
mod hash;
mod history;
mod process;
mod query;
mod record;
mod wish;

mod error;
mod opened;
mod registry;
mod room;

mod aside;
mod catalog;
mod durable;
mod escaped_path;
mod file;
mod lock;
mod memory;
mod past;
mod place;
mod rank;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use attempt::{Attempt, AttemptId, Begin, Ending, HeldBack, Selector};
pub use error::{BoxedError, RegistryError};
pub use file::FileRegistry;
pub use hash::{ContentHash, InvalidHash};
pub use history::{Event, HistoryQuery};
pub use memory::MemoryRegistry;
pub use opened::{Limits, Opened, SetAside};
pub use process::HostProcess;
pub use query::Query;
pub use record::{Health, Mark, Offered, PluginRecord, Reason, RecordKey};
pub use registry::Registry;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRegistry;
pub use wish::{Choice, Wish};
pub use words::{Doing, EventKind, LaterWord, Status, Verdict};

/// The point in time that records have; of the crate `jiff`.
pub use jiff::Timestamp;
