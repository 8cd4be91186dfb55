use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::HowTaken;
use crate::{Commands, Context, Error, ServiceChange, Services};

/// A plugin: constructed by [`activate`](Plugin::activate), asked through its
/// commands, ended by [`deactivate`](Plugin::deactivate).
///
/// Implement it under [`#[plugin]`](crate::plugin). All methods run on threads
/// of the host, `&self` methods on many at once. A panic in any of them becomes
/// an error for that call; the value is kept and later calls reach it, so what a
/// panic may leave half-done must be behind something that notices (a poisoned
/// `Mutex` does).
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The configuration, read from the host's by serde; `()` where there is none.
    type Config: DeserializeOwned;

    /// What survives from one generation of this plugin to the next, carried as
    /// JSON in host-owned memory; `()` where there is nothing.
    type State: Serialize + DeserializeOwned;

    /// Makes the plugin ready to serve.
    ///
    /// Called once for each generation, on a thread of the host that does
    /// nothing else. It may block up to the host's activation deadline (10 s
    /// unless set). `state` is what the generation before gave from
    /// [`save`](Plugin::save), if it gave anything.
    ///
    /// At a reload the generation before still serves meanwhile, and goes on
    /// doing so if this fails; so nothing may be taken that both need. A plugin
    /// with state (`[state] version` in `plugin.toml`) is called with the calls of
    /// the generation before at an end and new ones waiting: what takes long is
    /// better done later.
    ///
    /// # Errors
    ///
    /// Any error refuses this generation: the host reports it and goes on.
    fn activate(
        context: Context,
        config: Self::Config,
        state: Option<Self::State>,
    ) -> Result<Self, Error>;

    /// The handlers of the commands that `plugin.toml` declares.
    ///
    /// Called once, after `activate`. `#[plugin]` compares the names in the body
    /// with `plugin.toml` at compile time, so they are literals.
    fn commands(&self) -> Commands<Self> {
        crate::commands()
    }

    /// What the plugin offers to be called by contract: the host's own calls, and
    /// other plugins'. `plugin.toml` declares the same under `[[services]]`.
    ///
    /// Called once, after `activate`. `#[plugin]` compares the contracts in the body
    /// with `plugin.toml` at compile time, so they are written out:
    /// `services().offer::<dyn Renderer>()`.
    fn services(&self) -> Services<Self> {
        crate::services()
    }

    /// Hears that a service of another plugin, of a contract that `plugin.toml` declares
    /// under `[[needs]]`, appeared, was replaced or is gone. What is true when it is
    /// called: a look with [`Context::service`] or [`Context::services`] finds what has
    /// happened, and perhaps what will be told next.
    ///
    /// ```
    /// # use std::sync::Mutex;
    /// # use plugbay_interface::prelude::*;
    /// # use plugbay_interface::service::Service;
    /// # #[service(id = "hotel.greeter", version = "1.0")]
    /// # trait Greeter: Send + Sync {
    /// #     fn greet(&self, name: &str) -> Result<String, Error>;
    /// # }
    /// # struct Porter { context: Context, greeter: Mutex<Option<Service<dyn Greeter>>> }
    /// # impl Plugin for Porter {
    /// #     type Config = ();
    /// #     type State = ();
    /// #     fn activate(context: Context, _: (), _: Option<()>) -> Result<Self, Error> {
    /// #         Ok(Self { context, greeter: Mutex::default() })
    /// #     }
    /// fn service_changed(&self, change: ServiceChange<'_>) -> Result<(), Error> {
    ///     if change.is_of::<dyn Greeter>() {
    ///         // The best one that there is now, or none. What is kept lives through
    ///         // `Change::Replaced` by itself.
    ///         let best = self.context.services::<dyn Greeter>()?.into_iter().next();
    ///         *self.greeter.lock()? = best;
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// *Which.* Versions of the contract with the same first number and at least the
    /// second one of `[[needs]]`; never this plugin's own. When a generation begins to
    /// serve it is told `Appeared` of each one that there is at that moment, the one that
    /// the host would choose first, also of those that it could find in
    /// [`activate`](Self::activate) already; from then on of each change, once, in the
    /// order in which they happened. So who looks here misses nothing. A generation
    /// that comes back at a rollback is told what has changed since it served.
    ///
    /// *Threads.* One change is told after the other, on a thread of the host, while
    /// calls of this plugin run on others. It may block, call the service, and look for
    /// others, but who is slow hears the next change later; nobody else waits, neither
    /// the other plugin nor a further plugin that is told. As a call it keeps this
    /// generation: it is waited for where calls are, at a reload with state and at an
    /// unload, up to the same limit.
    ///
    /// *Not told* is who does not serve: what has not been told by the end of a
    /// generation is dropped. When the host stops, nobody is told anything any more.
    /// A host that is older than interface 1.2 tells nothing.
    ///
    /// # Errors
    ///
    /// An error is written to the host's log. A panic is so, too, and counts as one
    /// of a call does ([`Context::report_trouble`]).
    fn service_changed(&self, change: ServiceChange<'_>) -> Result<(), Error> {
        let _ = change;
        Ok(())
    }

    /// Takes another configuration while it serves, or says that it takes this one by a
    /// reload. A plugin that does not write this is reloaded for each change, with its
    /// state.
    ///
    /// ```
    /// # use std::sync::Mutex;
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use plugbay_interface::prelude::*;
    /// # #[data]
    /// # struct Settings { url: String, pool: usize }
    /// # struct Database { url: String, pool: AtomicUsize }
    /// # impl Plugin for Database {
    /// #     type Config = Settings;
    /// #     type State = ();
    /// #     fn activate(_: Context, config: Settings, _: Option<()>) -> Result<Self, Error> {
    /// #         Ok(Self { url: config.url, pool: config.pool.into() })
    /// #     }
    /// fn configure(&self, config: Settings) -> Result<Taken, Error> {
    ///     // Another server is another beginning.
    ///     if config.url != self.url {
    ///         return Ok(Taken::ByReload);
    ///     }
    ///     self.pool.store(config.pool, Ordering::Relaxed);
    ///     Ok(Taken::Live)
    /// }
    /// # }
    /// ```
    ///
    /// *What comes* has been checked by the schema in `plugin.toml`, with defaults and
    /// secrets filled in, as in [`activate`](Self::activate); and it differs from what the
    /// plugin has. [`Taken::Live`] says that it holds: when this has returned, every call
    /// that begins goes by it, and results that the host had kept are dropped. With
    /// anything else, an error and a panic as well, **the plugin goes on with the
    /// configuration that it had, whole**; so whatever can fail is done before anything is
    /// changed.
    ///
    /// *Threads.* Called on a thread of the host that does nothing else, beside calls,
    /// which nobody holds up; a second one never before the first has returned. It may
    /// block up to the host's activation deadline (10 s unless set). Who is later is given
    /// up: a [`Taken::Live`] that comes then is taken back, by calling this with the
    /// configuration before. As a call it keeps this generation.
    ///
    /// *Afterwards.* A later generation is constructed with what was taken last. A host
    /// that is older than interface 1.3 does not call this, and reloads.
    ///
    /// # Errors
    ///
    /// An error is told to who changed the configuration, with its code, its causes and
    /// [whose fault](crate::Blame) it is: `with_blame(Blame::Host)` where the configuration
    /// is what has to be mended. Secrets are taken out of it. The plugin serves on, and is
    /// not reloaded. A panic is the same, and counts as one of a call does
    /// ([`Context::report_trouble`]).
    fn configure(&self, config: Self::Config) -> Result<Taken, Error> {
        let _ = config;
        Ok(Taken::ByReload)
    }

    /// Gives the state that the next generation begins with.
    ///
    /// Called while no call is in flight and new ones wait: at a reload, before
    /// [`deactivate`](Plugin::deactivate), and whenever the host keeps the state
    /// on disk. The plugin may serve on afterwards, so this changes nothing.
    ///
    /// # Errors
    ///
    /// At a reload an error keeps this generation serving. At an unload it is
    /// reported, and the next generation begins without state.
    fn save(&self) -> Result<Option<Self::State>, Error> {
        Ok(None)
    }

    /// Makes a state of this version's out of one that another version saved:
    /// `bytes` as that version's `State` was written (JSON), `version` as its
    /// `plugin.toml` says. Called before [`activate`](Plugin::activate), which
    /// gets the result.
    ///
    /// # Errors
    ///
    /// Any error refuses this generation. Unless written, all versions but this
    /// one's own are refused.
    fn migrate(version: u32, bytes: &[u8]) -> Result<Self::State, Error> {
        let _ = bytes;
        Err(Error::message(format!("this plugin does not read states of version {version}")))
    }

    /// Ends the plugin: stop threads, flush, close.
    ///
    /// Called once, when no call is in flight and none will come. What is left
    /// running after it keeps the library in memory, and what was printed without
    /// an end of line is lost unless it is flushed here (a library has a standard
    /// output of its own).
    fn deactivate(self) {}
}

/// How a plugin takes a configuration that it is given while it serves; see
/// [`Plugin::configure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Taken {
    /// It has it from now on.
    Live,
    /// Not in this generation: the host makes another one, which gets it, and the state.
    ByReload,
}

impl From<Taken> for HowTaken {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Live => Self::LIVE,
            Taken::ByReload => Self::BY_RELOAD,
        }
    }
}
