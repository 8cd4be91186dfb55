//! One plugin, as a program holds it.

use std::ffi::c_void;
use std::sync::Arc;

use plugbay_interface::manifest::{Manifest, PluginId, Selector, takes};
use semver::VersionReq;
use serde_json::Value;

use crate::activate::Active;
use crate::call::{self, CallError};
use crate::host::Host;
use crate::seat::Seat;
use crate::slot::{self, CountedLease, Slot};

/// A way to one plugin that lives through its reloads: each call goes to the
/// generation that serves then. Cheap to clone, usable from any thread; keeps
/// its host.
#[derive(Debug, Clone)]
pub struct PluginHandle {
    pub(crate) host: Host,
    pub(crate) seat: Seat,
    pub(crate) slot: Arc<Slot>,
    /// The versions that were asked for, where the slot may have others.
    pub(crate) range: Option<Box<VersionReq>>,
}

impl PluginHandle {
    pub(crate) fn new(
        host: Host,
        seat: Seat,
        slot: Arc<Slot>,
        range: Option<Box<VersionReq>>,
    ) -> Self {
        Self { host, seat, slot, range }
    }

    /// Which plugin this is.
    pub fn id(&self) -> &PluginId {
        self.seat.id()
    }

    /// What it is called in its host: its id, or, where versions of it run side by side,
    /// `sql@1`.
    pub fn name(&self) -> &str {
        self.seat.as_str()
    }

    /// Makes sure that the generation that serves now stays as it is while the
    /// lease is held, on this thread. For the time of a call: while it is held,
    /// the plugin's state cannot be handed over. May be nested.
    ///
    /// Takes no lock, and costs about as much as a function call. (The error is in
    /// a box so that the result fits into registers.) Blocks only
    /// while a state is handed over.
    ///
    /// # Errors
    ///
    /// When the plugin does not serve.
    #[inline(always)]
    pub fn enter(&self) -> Result<Lease<'_>, Box<CallError>> {
        match self.slot.enter() {
            Some(lease) if self.range.is_none() || self.is_meant(lease.active()) => {
                Ok(Lease { lease })
            }
            _ => Err(self.why_not()),
        }
    }

    #[cold]
    fn why_not(&self) -> Box<CallError> {
        let serving = self.slot.serving();
        let version = serving.map(|active| active.about.manifest.version.clone());
        Box::new(match (&self.range, version) {
            (Some(range), Some(version)) if !takes(range, &version) => {
                let wanted = Selector { id: self.id().clone(), version: (**range).clone() };
                CallError::NoVersion { wanted, serving: vec![version] }
            }
            _ => self.host.why_not(self.name()),
        })
    }

    #[cold]
    fn is_meant(&self, active: &Active) -> bool {
        let range = self.range.as_ref();
        range.is_none_or(|range| takes(range, &active.about.manifest.version))
    }

    /// As [`enter`](Self::enter), with a lease that may be kept for long and go
    /// to other threads: for objects that outlive a call. Costs a lock.
    ///
    /// # Errors
    ///
    /// When the plugin does not serve.
    pub fn hold(&self) -> Result<LongLease, Box<CallError>> {
        match self.slot.hold() {
            Some(lease) if self.is_meant(lease.active()) => Ok(LongLease { lease }),
            _ => Err(self.why_not()),
        }
    }

    /// As [`hold`](Self::hold), for programs whose threads must not wait; see
    /// [`Service::hold_async`](crate::Service::hold_async).
    ///
    /// # Errors
    ///
    /// When the plugin does not serve.
    pub async fn hold_async(&self) -> Result<LongLease, Box<CallError>> {
        match self.slot.hold_async().await {
            Some(lease) if self.is_meant(lease.active()) => Ok(LongLease { lease }),
            _ => Err(self.why_not()),
        }
    }

    /// As [`Host::call`], without looking the plugin up.
    ///
    /// # Errors
    ///
    /// When the plugin does not serve, has no such command, or says no.
    pub fn call(&self, command: &str, arguments: Value) -> Result<Value, CallError> {
        self.enter()?.call_json(command, &arguments.to_string())
    }
}

/// Proof that a generation stays as it is; see [`PluginHandle::enter`]. It stays on
/// its thread.
#[derive(Debug)]
pub struct Lease<'a> {
    lease: slot::Lease<'a>,
}

impl Lease<'_> {
    /// Which generation it is.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.lease.active().generation
    }

    /// What the generation says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.lease.active().about.manifest
    }

    /// Calls a command of this generation.
    ///
    /// # Errors
    ///
    /// When it has no such command, or says no.
    pub fn call_json(&self, command: &str, arguments: &str) -> Result<Value, CallError> {
        call::call(&self.lease, command, arguments)
    }

    /// The address of a symbol that the library exports. It may be used as long
    /// as this lease is held, and is another one in the next generation.
    pub fn symbol(&self, name: &str) -> Option<*const c_void> {
        self.lease.active().symbol(name)
    }
}

/// Proof that a generation stays as it is, for as long as it is kept; see
/// [`PluginHandle::hold`].
#[derive(Debug)]
pub struct LongLease {
    lease: CountedLease,
}

impl LongLease {
    /// Which generation it is.
    pub fn generation(&self) -> u64 {
        self.lease.active().generation
    }

    /// The address of a symbol that the library exports, as [`Lease::symbol`].
    pub fn symbol(&self, name: &str) -> Option<*const c_void> {
        self.lease.active().symbol(name)
    }
}
