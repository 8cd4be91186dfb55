//! Schemas of plugins' configurations: checked and filled in before a plugin runs.
//!
//! A schema is JSON Schema 2020-12, with `secret: true` for what nobody should see.
//! `format` is checked. Nothing is fetched: a `$ref` leads to `#/…` in the same schema,
//! or to a base schema by its id, `{"$ref": "pool"}` or `{"$ref": "pool#/properties/size"}`.
//! Patterns are those of ECMA 262 without look-around and back references, whose time
//! is linear; and what a schema may ask of the validator in all is bounded, by
//! [`SchemaError::TooCostly`] when it is made and by [`Problem::TooMuch`] when it is used.
//!
//! # Extending
//!
//! A schema may extend base schemas. Then all of them hold at once, and nothing that a
//! base says is ever loosened:
//!
//! * properties are those of all; where several describe the same one, each holds, and
//!   so inside of tables and lists;
//! * what must be there is what any of them requires;
//! * what a base says of keys that it does not know, in `additionalProperties` or
//!   `unevaluatedProperties`, holds for each key that this base neither names nor
//!   matches, whoever else does. Only `false` gives way to what others add, and only to
//!   names: in `properties`, also inside of their `$ref`, `allOf`, `anyOf`, `oneOf`, `then`,
//!   `else` and `dependentSchemas`. To patterns it gives way where they are of a base
//!   that its own schema extends;
//! * what a base makes secret is secret;
//! * the extending schema's defaults count before the base's, and of two bases those of
//!   the one that is named first; a base's before those of what it extends itself;
//! * a rule that is looser than a base's is [`SchemaError::Loosened`], though the base's
//!   holds anyway: its author would believe that it has an effect. So is a pattern, or a
//!   rule for further keys that is not `false`, where the base is closed. What is not
//!   said is inherited.
//!
//! Rules inside of `allOf`, `anyOf`, `if` and the like stay what they are: an
//! `additionalProperties: false` there refuses what stands beside it, as in any schema.
//!
//! # Defaults
//!
//! A key that is absent gets the first default that is declared for it for sure: by a
//! schema itself before what it refers to, by that before its `allOf`. What stands in
//! `anyOf`, `oneOf`, `if` and the like is not for sure.
//!
//! An absent table without a default of its own is made if it is required, so that
//! what is missing is told by its own name; and otherwise if the defaults of its keys
//! alone make it right, and put something in. Which tables these are is known when the
//! schema is made, and does not depend on a configuration.
//!
//! What is there is never changed, also where it is `null`; inside of it, and of
//! defaults, it goes on. A default that does not fit its place is
//! [`SchemaError::Default`].
//!
//! # Secrets
//!
//! In a configuration, the value of a secret is `{ env = "NAME" }` or
//! `{ file = "path" }`. The text that is found there is checked as any other; where the
//! schema wants a number or a truth value and no text, it is read as one. A value is a
//! secret where any schema that may hold for it says so.

mod check;
mod circles;
mod defaults;
mod describe;
mod error;
mod fill;
mod graph;
mod join;
mod keywords;
mod layer;
mod loosened;
mod opened;
mod owner;
mod pattern;
mod plain;
mod problem;
mod reach;
mod reference;
mod schemas;
mod scrubber;
mod secret;
mod settle;
mod settled;
mod source;
mod sources;
mod wording;

use std::fmt;

use jsonschema::Validator;
use serde_json::Value;

pub use self::describe::Row;
pub use self::error::SchemaError;
pub use self::owner::{BaseId, InvalidBaseId, Origin, Owner};
pub use self::problem::{Problem, Unsettled};
pub use self::schemas::Schemas;
pub use self::scrubber::Scrubber;
pub use self::secret::{MAX_SECRET, SecretSource, Unavailable};
pub use self::settled::{Exposed, ExposedValue, Settled, Warning};

use self::graph::{Graph, PartId};

/// A schema as its author declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// The JSON Schema.
    pub schema: Value,
    /// The ids of the base schemas that it extends; those before others count first.
    pub extends: Vec<String>,
}

impl Declared {
    /// One that extends nothing.
    pub fn new(schema: Value) -> Self {
        Self { schema, extends: Vec::new() }
    }

    /// The same, extending these.
    #[must_use]
    pub fn extending<I: Into<String>>(mut self, bases: impl IntoIterator<Item = I>) -> Self {
        self.extends = bases.into_iter().map(Into::into).collect();
        self
    }
}

/// A schema that can be used: whole, and found to make sense. [`Schemas::compile`] makes
/// it. Threads may share it.
pub struct Schema {
    origin: Origin,
    graph: Graph,
    set: Vec<PartId>,
    validator: Validator,
}

impl Schema {
    /// Whose it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Fills in defaults, reads secrets and checks. Blocks while it reads files of
    /// secrets.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration, at once.
    pub fn settle(&self, given: &Value, secrets: &SecretSource) -> Result<Settled, Unsettled> {
        settle::settle(self, given, secrets)
    }

    /// What can be configured, by name; tables before what is in them.
    pub fn describe(&self) -> Vec<Row> {
        describe::rows(&self.graph, &self.set)
    }

    /// The whole as one JSON Schema, with all that it extends in its `$defs`.
    pub fn document(&self) -> &Value {
        self.graph.document()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("origin", &self.origin).finish_non_exhaustive()
    }
}
