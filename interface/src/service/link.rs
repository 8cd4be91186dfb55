use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use abi_stable::std_types::{RResult, RStr};

use super::Contract;
use super::offers::describe;
use crate::Error;
use crate::abi::{HostBox, Link, Served, Wanted};

/// Another plugin's service, as a plugin holds it. Made by
/// [`Context::service`](crate::Context::service).
///
/// Lives through reloads of the other plugin: each call reaches the generation that
/// serves then, and while there is none it says why. Usable from any thread; a clone
/// costs a count. Not to be kept beyond `deactivate`.
pub struct Service<C: Contract + ?Sized> {
    link: Link,
    contract: PhantomData<fn() -> Box<C>>,
}

impl<C: Contract + ?Sized> Service<C> {
    /// The id of the plugin that serves.
    pub fn plugin(&self) -> &str {
        &self.link.plugin
    }

    /// Begins a call or several, on this thread: the other plugin's generation stays
    /// until the result is dropped. At the cost of two calls of function pointers.
    ///
    /// Waits while the service is being handed over to the next generation. What is
    /// entered is left soon: a reload of the other plugin waits for it.
    ///
    /// # Errors
    ///
    /// When the plugin is gone or disabled; the error says which.
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_, C>, Error> {
        let served = self.link.links.enter()(self.link.place);
        if served.object.is_null() {
            return Err(self.why());
        }
        // SAFETY: the host has compared the descriptions, which it was given when it
        // was asked, and what it gives is valid until `leave`.
        let proxy = unsafe { C::proxy(served.object, served.methods) };
        Ok(Entered { proxy, link: &self.link, token: served.token, on_thread: PhantomData })
    }

    /// As [`enter`](Self::enter), for asynchronous calls and for other threads: what is
    /// held may be kept and sent. Dearer; and as long as it is held, the earlier
    /// generation stays in memory after a reload of the other plugin, or, if that has
    /// state, is not replaced; and the other plugin cannot end. Two plugins that keep what
    /// they hold of each other, or one that keeps what it holds of itself, cannot end at
    /// all: when they are unloaded, or the host is stopped, that is given up after the
    /// host's drain limit. Kept for long is better the service, and held for a call.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn hold(&self) -> Result<Held<C>, Error> {
        let Served { object, methods, token } = self.link.links.hold()(self.link.place);
        if object.is_null() {
            return Err(self.why());
        }
        // SAFETY: as above, until `let_go`.
        let proxy = unsafe { C::proxy(object, methods) };
        Ok(Held { proxy, service: self.clone(), token })
    }

    #[cold]
    fn why(&self) -> Error {
        self.link.links.why()(self.link.place).into()
    }
}

impl<C: Contract + ?Sized> Clone for Service<C> {
    fn clone(&self) -> Self {
        let Link { place, links, plugin, more } = &self.link;
        let place = links.share()(*place);
        let link = Link { place, links: *links, plugin: plugin.clone(), more: more.clone() };
        Self { link, contract: PhantomData }
    }
}

impl<C: Contract + ?Sized> Drop for Service<C> {
    fn drop(&mut self) {
        self.link.links.release()(self.link.place);
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Service<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", C::ID, self.plugin())
    }
}

/// A service during a call, on one thread. Its methods are the contract's.
pub struct Entered<'service, C: Contract + ?Sized> {
    proxy: C::Proxy,
    link: &'service Link,
    token: usize,
    /// The host knows it by the thread.
    on_thread: PhantomData<*const ()>,
}

impl<C: Contract + ?Sized> Deref for Entered<'_, C> {
    type Target = C::Proxy;

    #[inline]
    fn deref(&self) -> &C::Proxy {
        &self.proxy
    }
}

impl<C: Contract + ?Sized> Drop for Entered<'_, C> {
    #[inline]
    fn drop(&mut self) {
        self.link.links.leave()(self.link.place, self.token);
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Entered<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, entered", C::ID, self.link.plugin)
    }
}

/// A service that is held for as long as wanted. Its methods are the contract's.
pub struct Held<C: Contract + ?Sized> {
    proxy: C::Proxy,
    service: Service<C>,
    token: usize,
}

impl<C: Contract + ?Sized> Deref for Held<C> {
    type Target = C::Proxy;

    fn deref(&self) -> &C::Proxy {
        &self.proxy
    }
}

impl<C: Contract + ?Sized> Drop for Held<C> {
    fn drop(&mut self) {
        let Link { place, links, .. } = &self.service.link;
        links.let_go()(*place, self.token);
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Held<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, held", self.service)
    }
}

/// Asks the host. `plugin` is empty for any.
pub(crate) fn find<C: Contract + ?Sized>(
    host: &HostBox,
    plugin: &str,
    many: bool,
) -> Result<Vec<Service<C>>, Error> {
    let wanted = Wanted {
        contract: RStr::from_str(C::ID),
        major: C::MAJOR,
        // Older ones will do: there are defaults for what they lack. Who needs more
        // says so in `plugin.toml`.
        minor: 0,
        plugin: plugin.into(),
        many,
        describe: describe::<C>,
        more: RStr::empty(),
    };
    match host.find_services(wanted) {
        RResult::ROk(links) => {
            Ok(links.into_iter().map(|link| Service { link, contract: PhantomData }).collect())
        }
        RResult::RErr(fault) => Err(fault.into()),
    }
}

#[cfg(test)]
mod tests;
