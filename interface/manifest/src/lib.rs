//! What a plugin says of itself.
//!
//! Three parties read the manifest, and this crate is what they share:
//!
//! * `#[plugin]` reads `plugin.toml` when the plugin is compiled ([`source`]),
//!   strictly: an unknown key is an error with its line;
//! * the plugin's library carries it, with the facts of its build, in a section
//!   of its own ([`section`]);
//! * the loader reads that section from the file's bytes before any code of the
//!   plugin runs, leniently: keys of a newer interface are passed over.
//!
//! Plugin authors meet it as `plugbay_interface::manifest`.

mod contract;
mod model;
mod relations;
pub mod section;
pub mod source;

pub use contract::{
    ContractId, ContractVersion, InvalidContractId, InvalidContractVersion, Need, Provided,
};
pub use model::{
    BaseSchema, CacheRule, Command, Embedded, Facts, InvalidPluginId, Manifest, PluginId,
};
pub use relations::{
    Activation, Conflict, Dependency, Integration, InvalidConflict, InvalidSelector, Selector,
    takes,
};
