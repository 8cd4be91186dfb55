//! Configuration for a host with plugins.
//!
//! Two rooms, which know nothing of the loader:
//!
//! * [`document`] reads configuration files, in three syntaxes and with one model, and
//!   tells every mistake with its line;
//! * [`schema`] checks what a plugin is configured with before the plugin runs: by JSON
//!   Schemas that extend each other, with defaults and secrets.
//!
//! ```
//! use std::path::Path;
//!
//! use plugbay_config::document::{Limits, Syntax, parse};
//! use plugbay_config::schema::{Declared, Owner, Schemas, SecretSource};
//! use serde_json::{Value, json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = b"[sql]\nsize = 3\npassword = { env = 'SQL_PASSWORD' }\n";
//! let document = parse::<Value>(text, Syntax::Toml, Path::new("host.toml"), Limits::default())?;
//!
//! let mut schemas = Schemas::new();
//! let pool = json!({"properties": {"size": {"type": "integer", "maximum": 10}}});
//! let host = Owner::Component("database".into());
//! schemas.add("pool".parse()?, host, &Declared::new(pool))?;
//! let own = json!({"properties": {
//!     "size": {"maximum": 5}, "password": {"secret": true}, "path": {"default": "a.db"}
//! }});
//! let plugin = Owner::Plugin("sql".parse()?);
//! let schema = schemas.compile(plugin, &Declared::new(own).extending(["pool"]))?;
//!
//! let secrets = SecretSource::new("").with_variables([("SQL_PASSWORD", "hunter2")]);
//! let settled = schema.settle(&document.value()["sql"], &secrets)?;
//! assert_eq!(settled.to_string(), r#"{"password":"***","path":"a.db","size":3}"#);
//! assert_eq!(settled.expose_value()["password"], "hunter2");
//! assert_eq!(settled.scrubber().scrub("logged in by hunter2"), "logged in by ***");
//! # Ok(()) }
//! ```

pub mod document;
mod key_path;
mod nearest;
pub mod schema;
pub mod shown;

pub use key_path::{KeyPath, Step};
pub use nearest::nearest;
