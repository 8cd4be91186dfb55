use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Commands, Context, Error, Services};

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
