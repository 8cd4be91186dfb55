use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Commands, Context, Error};

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

    /// Gives the state that the next generation begins with.
    ///
    /// Called when no call is in flight and none will come, before
    /// [`deactivate`](Plugin::deactivate).
    ///
    /// # Errors
    ///
    /// An error is reported; the next generation then begins without state.
    fn save(&self) -> Result<Option<Self::State>, Error> {
        Ok(None)
    }

    /// Ends the plugin: stop threads, flush, close.
    ///
    /// Called once, when no call is in flight and none will come. What is left
    /// running after it keeps the library in memory.
    fn deactivate(self) {}
}
