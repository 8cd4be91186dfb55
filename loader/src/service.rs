//! Plugins called by contract: a trait of Rust in the place of commands and JSON.

mod error;
mod links;
mod query;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use plugbay_interface::manifest::PluginId;
use plugbay_interface::service::Contract;

pub use error::ServiceError;
pub(crate) use links::find as find_for_a_plugin;
pub use query::{ContractStatus, ProviderStatus, Services, contracts_of};

use crate::activate::Active;
use crate::host::Host;
use crate::offers::Want;
use crate::plugin::PluginHandle;
use crate::seat::Seat;
use crate::slot::{self, CountedLease, Slot};

/// One plugin's service of a contract: `Service<dyn Renderer>`. It lives through
/// reloads: each call goes to the generation that serves then. Cheap to clone, usable
/// from any thread; keeps its host.
///
/// Of `sql@^1` a version in that range serves, or calls are refused, as by
/// [`Host::plugin`].
///
/// A reload to a version that does not offer the contract any more, or not one that
/// fits, is refused as long as the host runs: who asked for a contract once may call
/// it at any time.
pub struct Service<C: Contract + ?Sized> {
    host: Host,
    id: Seat,
    slot: Arc<Slot>,
    /// Under which the generations of this slot know what is asked for.
    number: usize,
    wanted: Arc<Want>,
    contract: PhantomData<fn() -> Box<C>>,
}

/// The service of the generation that serves, for the time of a call or a few; see
/// [`Service::enter`]. It stays on its thread.
pub struct Entered<'a, C: Contract + ?Sized> {
    proxy: C::Proxy,
    lease: slot::Lease<'a>,
}

/// The service of one generation, for as long as it is kept; see [`Service::hold`].
pub struct Held<C: Contract + ?Sized> {
    proxy: C::Proxy,
    lease: CountedLease,
}

impl<C: Contract + ?Sized> Service<C> {
    /// Looks whether the generation that serves offers what is asked for.
    pub(crate) fn new(plugin: PluginHandle) -> Result<Self, ServiceError> {
        let PluginHandle { host, seat: id, slot, range } = plugin;
        let Some(lease) = slot.enter() else { return Err(host.why_not(id.as_str()).into()) };
        let want = Want { contract: C::description(), versions: range.map(|range| *range) };
        let (number, wanted) = lease.active().want(slot.wants(), want)?;
        drop(lease);
        Ok(Self { host, id, slot, number, wanted, contract: PhantomData })
    }

    /// The plugin that offers it.
    pub fn plugin(&self) -> &PluginId {
        self.id.id()
    }

    /// What it is called in its host: its id, or, where versions of it run side by side,
    /// `sql@1`.
    pub fn name(&self) -> &str {
        self.id.as_str()
    }

    /// Makes sure that the generation that serves now stays as it is, on this thread,
    /// and gives its service: `renderer.enter()?.render("# Hi")?`. For the time of a
    /// call: while it is held, the plugin's state cannot be handed over. May be nested.
    ///
    /// Takes no lock, and costs about as much as a function call. Blocks only while a
    /// state is handed over.
    ///
    /// # Errors
    ///
    /// When the plugin does not serve. (In a box, so that the result fits into
    /// registers.)
    #[inline(always)]
    pub fn enter(&self) -> Result<Entered<'_, C>, Box<ServiceError>> {
        if let Some(lease) = self.slot.enter()
            && let Some(provided) = lease.active().offers.get(self.number)
        {
            // SAFETY: what a number leads to was compared with the description that
            // the number stands for, which is `C`'s. The proxy goes before the lease.
            let proxy = unsafe { C::proxy(provided.object, provided.methods) };
            return Ok(Entered { proxy, lease });
        }
        self.enter_slowly()
    }

    #[cold]
    fn enter_slowly(&self) -> Result<Entered<'_, C>, Box<ServiceError>> {
        let Some(lease) = self.slot.enter() else {
            return Err(Box::new(self.host.why_not(self.id.as_str()).into()));
        };
        let proxy = self.proxy(lease.active())?;
        Ok(Entered { proxy, lease })
    }

    /// As [`enter`](Self::enter), with a service that may be kept for long and go to
    /// other threads: for futures, and for objects that outlive a call. Costs a lock.
    ///
    /// # Errors
    ///
    /// As `enter`.
    pub fn hold(&self) -> Result<Held<C>, Box<ServiceError>> {
        let Some(lease) = self.slot.hold() else {
            return Err(Box::new(self.host.why_not(self.id.as_str()).into()));
        };
        let proxy = self.proxy(lease.active())?;
        Ok(Held { proxy, lease })
    }

    /// As [`hold`](Self::hold), for programs whose threads must not wait: where the
    /// plugin's state is being handed over, the future is woken when that is done. Under
    /// an executor that always has calls under way, this also lets a handover come to its
    /// end: `hold` lets a thread in that holds the plugin already, as it would otherwise
    /// wait for itself.
    ///
    /// Whoever holds the plugin and awaits another hold of it before he lets go makes a
    /// handover fail, as it waits for the first.
    ///
    /// # Errors
    ///
    /// As `enter`.
    pub async fn hold_async(&self) -> Result<Held<C>, Box<ServiceError>> {
        let Some(lease) = self.slot.hold_async().await else {
            return Err(Box::new(self.host.why_not(self.id.as_str()).into()));
        };
        let proxy = self.proxy(lease.active())?;
        Ok(Held { proxy, lease })
    }

    /// Runs `body` with the service of the generation that serves.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter); what `body` gives is the inner result.
    #[inline]
    pub fn call<T>(&self, body: impl FnOnce(&C::Proxy) -> T) -> Result<T, Box<ServiceError>> {
        self.enter().map(|service| body(&service))
    }

    /// The service of a generation that this thread has a lease on.
    fn proxy(&self, active: &Active) -> Result<C::Proxy, Box<ServiceError>> {
        active
            .provides(self.number, &self.wanted)
            // SAFETY: as in `enter`.
            .map(|provided| unsafe { C::proxy(provided.object, provided.methods) })
            .map_err(|unfit| Box::new(ServiceError::unfit(active, &self.wanted, unfit)))
    }
}

impl<C: Contract + ?Sized> Entered<'_, C> {
    /// Which generation it is.
    pub fn generation(&self) -> u64 {
        self.lease.active().generation
    }
}

impl<C: Contract + ?Sized> Held<C> {
    /// Which generation it is.
    pub fn generation(&self) -> u64 {
        self.lease.active().generation
    }
}

impl<C: Contract + ?Sized> Deref for Entered<'_, C> {
    type Target = C::Proxy;

    #[inline(always)]
    fn deref(&self) -> &C::Proxy {
        &self.proxy
    }
}

impl<C: Contract + ?Sized> Deref for Held<C> {
    type Target = C::Proxy;

    fn deref(&self) -> &C::Proxy {
        &self.proxy
    }
}

impl<C: Contract + ?Sized> Clone for Service<C> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            id: self.id.clone(),
            slot: self.slot.clone(),
            number: self.number,
            wanted: self.wanted.clone(),
            contract: PhantomData,
        }
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Service<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("contract", &self.wanted.contract.id)
            .field("plugin", &self.id)
            .finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Entered<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").field("active", self.lease.active()).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Held<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("active", self.lease.active()).finish_non_exhaustive()
    }
}
