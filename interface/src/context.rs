use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::Error;
use crate::abi::HostBox;
use crate::error::code;
use crate::service::{Contract, Service, link};

/// What the host tells a plugin about itself and its surroundings.
///
/// Cheap to clone, usable from any thread, valid until the plugin is deactivated.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    id: &'static str,
    generation: u64,
    data_dir: PathBuf,
    configuration: Value,
    host_config: BTreeMap<String, Value>,
    host: Arc<HostBox>,
}

impl Context {
    pub(crate) fn new(
        id: &'static str,
        host: Arc<HostBox>,
        configuration: Value,
        host_config: BTreeMap<String, Value>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                id,
                generation: host.generation(),
                data_dir: PathBuf::from(host.data_dir().as_str()),
                configuration,
                host_config,
                host,
            }),
        }
    }

    /// The plugin's id, as in `plugin.toml`.
    pub fn id(&self) -> &str {
        self.inner.id
    }

    /// Which loaded copy this is. Counted by the host from 1, over all plugins,
    /// never reused while the host runs.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// A folder of this plugin's own, the same for all its versions. Made by
    /// the first call, with mode 0700; does file I/O.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn data_dir(&self) -> Result<&Path, Error> {
        let dir = &self.inner.data_dir;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir).map_err(|error| {
            Error::from(error).context(format!("the data folder {} cannot be made", dir.display()))
        })?;
        Ok(dir)
    }

    /// Says that this generation is not well: what it needs does not answer, say,
    /// or its data is damaged. Counts like a panic: a host that sees too many of
    /// them soon after a reload goes back to the version before. From any thread;
    /// does not block.
    pub fn report_trouble(&self, what: &str) {
        self.inner.host.report_trouble(what.into());
    }

    /// The service that a plugin offers under a contract:
    /// `context.service::<dyn Renderer>("markdown")`. What it is asked for stands in
    /// this plugin's `plugin.toml`, under `[[needs]]`. From any thread; may block while
    /// that plugin is being reloaded.
    ///
    /// # Errors
    ///
    /// When there is no such plugin, when it offers no such service, when the contract
    /// is another one there than here, or when the host is older than services.
    pub fn service<C: Contract + ?Sized>(&self, plugin: &str) -> Result<Service<C>, Error> {
        link::find(&self.inner.host, plugin, false)?.pop().ok_or_else(|| {
            Error::new(code::NOT_FOUND, format!("the plugin `{plugin}` offers no {}", C::ID))
        })
    }

    /// The service under a contract that the host would choose: of the plugin with the
    /// largest precedence, then by id. Never this plugin's own.
    ///
    /// # Errors
    ///
    /// When no plugin that serves offers the contract, or none in a form that can be
    /// called; when `plugin.toml` does not say that it is needed; or when the host is
    /// older than services.
    pub fn best_service<C: Contract + ?Sized>(&self) -> Result<Service<C>, Error> {
        link::find(&self.inner.host, "", false)?.pop().ok_or_else(|| {
            Error::new(code::NOT_FOUND, format!("no plugin that serves offers {}", C::ID))
        })
    }

    /// All services that there are under a contract, the one that the host would choose
    /// first. Its `[[needs]]` in `plugin.toml` says `many = true`.
    ///
    /// # Errors
    ///
    /// When `plugin.toml` does not say that they are needed, or when the host is older
    /// than services.
    pub fn services<C: Contract + ?Sized>(&self) -> Result<Vec<Service<C>>, Error> {
        link::find(&self.inner.host, "", true)
    }

    /// The configuration as the host gave it to [`activate`](crate::Plugin::activate),
    /// before it was read into [`Plugin::Config`](crate::Plugin::Config). One that is taken
    /// later, by [`configure`](crate::Plugin::configure), is not seen here.
    pub fn configuration(&self) -> &Value {
        &self.inner.configuration
    }

    /// A table of the host's own configuration that `plugin.toml` adds to it
    /// (`[host_config.NAME]`): checked by its schema, with defaults filled in and secrets
    /// in it, as this generation was given it. A host whose configuration has no such table
    /// gives what the defaults alone make. Another value comes with another generation.
    ///
    /// None where `plugin.toml` has no such table, and where the host is older than that
    /// (interface 1.3). Does not block.
    pub fn host_config(&self, name: &str) -> Option<&Value> {
        self.inner.host_config.get(name)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.inner.id)
            .field("generation", &self.inner.generation)
            .field("data_dir", &self.inner.data_dir)
            .finish_non_exhaustive()
    }
}
