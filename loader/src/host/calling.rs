//! How a program calls plugins.

use std::sync::atomic::Ordering;

use plugbay_interface::service::Contract;
use serde_json::Value;

use super::{Found, Host};
use crate::call::{self, CallError};
use crate::plugin::PluginHandle;
use crate::seat::Named;
use crate::service::{ContractStatus, Service, ServiceError, Services, contracts_of};

impl Host {
    /// Calls a command of a plugin on this thread, and waits for its result.
    ///
    /// Takes no lock; may be called from any number of threads at once. Waits while
    /// the state of the plugin is handed over to another generation, or while it is
    /// unloaded. A panic of the plugin is an error, and the plugin goes on serving.
    ///
    /// Of a command whose results may be kept ([`result_cache`](crate::HostBuilder::result_cache)), the result of
    /// an earlier call with the same arguments is given, without the plugin. That takes a lock of
    /// the generation's, for a look.
    ///
    /// # Errors
    ///
    /// When there is no such plugin or command, the plugin said no, or the host was
    /// stopped.
    pub fn call(&self, plugin: &str, command: &str, arguments: Value) -> Result<Value, CallError> {
        self.call_json(plugin, command, &arguments.to_string())
    }

    /// As [`call`](Host::call), with arguments that are JSON already.
    ///
    /// # Errors
    ///
    /// As `call`; text that is no JSON is an error of the arguments.
    pub fn call_json(
        &self,
        plugin: &str,
        command: &str,
        arguments: &str,
    ) -> Result<Value, CallError> {
        let inner = self.inner();
        let table = inner.table.load();
        let lease = table
            .get(plugin)
            .filter(|_| !inner.stopped.load(Ordering::Relaxed))
            .and_then(|slot| slot.enter());
        match lease {
            Some(lease) => call::call(&lease, command, arguments),
            None => self.call_some_version(plugin, command, arguments),
        }
    }

    /// Where the text is no seat's name: an id with versions, or an id of which several
    /// versions serve.
    #[cold]
    fn call_some_version(
        &self,
        plugin: &str,
        command: &str,
        arguments: &str,
    ) -> Result<Value, CallError> {
        let inner = self.inner();
        let named = Named::read(plugin).ok().filter(|_| !inner.stopped.load(Ordering::Relaxed));
        let Some(named) = named else { return Err(inner.why_not(plugin)) };
        // One may go just now, or be replaced; then another one may do, also one that has
        // come meanwhile.
        for _ in 0..2 {
            let table = inner.table.load();
            for (_, slot) in table.find(named.selector()) {
                let Some(lease) = slot.enter() else { continue };
                let version = &lease.active().about.manifest.version;
                if named.selector().has(named.id(), version) {
                    return call::call(&lease, command, arguments);
                }
            }
        }
        Err(inner.why_not(plugin))
    }

    /// A way to one plugin that has served, without looking it up at each call.
    /// It lives through reloads; whether the plugin serves, each call says.
    ///
    /// Of `sql@^1` a version in that range serves, or calls are refused. Where versions run
    /// side by side, it is the way to the line of the newest one that serves now.
    pub fn plugin(&self, id: &str) -> Option<PluginHandle> {
        let named = Named::read(id).ok()?;
        let (seat, slot) = self.inner().slot_of(&named)?;
        let range = named.range_within(&seat);
        Some(PluginHandle::new(self.clone(), seat, slot, range))
    }

    /// A plugin's service of a contract: `host.service::<dyn Renderer>("markdown")`. It
    /// lives through reloads.
    ///
    /// # Errors
    ///
    /// When the plugin does not serve, does not offer the contract, or another form of it.
    pub fn service<C: Contract + ?Sized>(&self, id: &str) -> Result<Service<C>, ServiceError> {
        let unknown = || self.inner().why_not(id);
        let named = Named::read(id).map_err(|_| unknown())?;
        let Found { seat, slot, range } = self.inner().slot_within(&named)?;
        Service::new(PluginHandle::new(self.clone(), seat, slot, range))
    }

    /// The plugins that offer a contract:
    /// `host.services::<dyn Renderer>().capability("tables").best()`.
    pub fn services<C: Contract + ?Sized>(&self) -> Services<C> {
        Services::new(self.clone())
    }

    /// All contracts that plugins which serve offer or call, by id.
    pub fn contracts(&self) -> Vec<ContractStatus> {
        contracts_of(&self.inner().manifests())
    }

    /// Why a call found nobody.
    pub(crate) fn why_not(&self, id: &str) -> CallError {
        self.inner().why_not(id)
    }
}
