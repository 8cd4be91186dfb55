//! Stacks: what a host runs for one purpose.
//!
//! A stack file names plugins, kinds, versions and configuration, and which of its members
//! do not run beside each other. It may extend other stack files. [`Stack::read`] reads one
//! with all that it extends; [`Stack::apply`] writes it into a host's
//! [`Policy`](plugbay_resolve::Policy), [`Stack::configure`] lays its configuration over the
//! host's, and [`Stack::check`] says of a decision what the stack misses in it.
//!
//! # What is written
//!
//! A file is TOML, YAML or JSON, by the ending of its name, in any of these spellings. All
//! keys are known in all of them; a key that is not known is an error.
//!
//! ```toml
//! name = "research"                        # the file's name where it is left out
//! extends = "base.yaml"                    # or several, of which later ones win
//! plugins = [
//!     "sql@^2",                            # a plugin, in these versions
//!     { id = "lake", kind = "data_source", config = { pool = { size = 10 } } },
//!     { id = "charts", optional = true },  # may be missing
//!     { id = "old", enabled = false },     # does not run, whoever names it besides
//!     { kind = "experiment_tracker" },     # any of that kind
//! ]
//! conflicts = [["lake", "warehouse"]]      # which do not run beside each other
//! profile = "machine-learning"
//!
//! [kinds]
//! experiment_tracker = "single"
//!
//! [precedence]
//! experiment_tracker = ["mlflow", "wandb"]
//! ```
//!
//! * `components`: as `plugins`, but what is no plugin there is told as a component that
//!   nobody knows;
//! * a plugin's `name` is its `id`, and its `type` its `kind`;
//! * `"mlflow-plugin (experiment_tracker)"`: the kind in brackets. A name that ends in
//!   `-plugin` or `_plugin` means the plugin of that id, or, where there is none, the one
//!   that is called so without that ending. Two names that may mean one plugin, as
//!   `mlflow-plugin` and `mlflow`, are one member, which is called by what they have in
//!   common, `mlflow`; in one list that is a mistake, as is a conflict between them;
//! * `plugins` as a table by id. `dependencies`, a list of ids with or without versions, are
//!   what has to run as well;
//! * `composition_name` is `name`, and `plugin_precedence` is `precedence`.
//!
//! # Which file wins
//!
//! A file goes over those that it extends: what it says of a member (version, kind, whether
//! it is optional or enabled, what it depends on), each key of a configuration, each kind's
//! rule and precedence. What it says nothing of stays as it was. Conflicts add up. A file
//! that is extended in several ways counts once, before all that extend it.

mod check;
mod error;
mod layer;
mod member;
mod overlay;
mod read;
mod shown;
mod stack;
mod written;

pub use check::{Against, Checked, Facts, Fault, Finding, Refused};
pub use error::StackError;
pub use member::{AnyOf, Configuration, Dependency, InvalidName, Member, MemberName};
pub use stack::{Clash, Stack};
