use std::fmt;

use abi_stable::std_types::{RResult, RStr, RString};

use super::Implemented;
use crate::abi::{Fault, Offer};

/// The services of a plugin, in the order in which they were offered. Made by
/// [`services`].
pub struct Services<P> {
    offers: Vec<Offered<P>>,
}

struct Offered<P> {
    contract: &'static str,
    offer: Box<dyn Fn(&P) -> Offer + Send + Sync>,
}

/// An empty list, to be filled with [`Services::offer`].
pub fn services<P>() -> Services<P> {
    Services { offers: Vec::new() }
}

impl<P: 'static> Services<P> {
    /// Offers the plugin itself under a contract that it implements:
    /// `.offer::<dyn Renderer>()`.
    #[must_use]
    pub fn offer<C: Implemented<P> + ?Sized>(self) -> Self {
        self.offer_by::<C, P>(|plugin| plugin)
    }

    /// Offers a part of the plugin under a contract that the part implements:
    /// `.offer_by::<dyn Renderer, _>(|plugin: &Self| &plugin.renderer)`.
    ///
    /// `part` is asked once, after `activate`, and what it gives is used until
    /// `deactivate`.
    #[must_use]
    pub fn offer_by<C: Implemented<T> + ?Sized, T: 'static>(
        mut self,
        part: impl Fn(&P) -> &T + Send + Sync + 'static,
    ) -> Self {
        let offer = move |plugin: &P| {
            let object: *const T = part(plugin);
            Offer {
                contract: RStr::from_str(C::ID),
                major: C::MAJOR,
                minor: C::MINOR,
                object: object.cast(),
                methods: C::METHODS,
                describe: describe::<C>,
                call: call::<C, T>,
                more: RString::new(),
            }
        };
        self.offers.push(Offered { contract: C::ID, offer: Box::new(offer) });
        self
    }

    /// The services of a plugin that stays where it is.
    pub(crate) fn of(&self, plugin: &P) -> impl Iterator<Item = Offer> {
        self.offers.iter().map(|offered| (offered.offer)(plugin))
    }
}

pub(super) extern "C" fn describe<C: super::Contract + ?Sized>() -> RString {
    let described = std::panic::catch_unwind(|| {
        serde_json::to_string(&C::description()).unwrap_or_default().into()
    });
    // Nothing reads as no contract, and is refused.
    described.unwrap_or_default()
}

extern "C" fn call<C: Implemented<T> + ?Sized, T: 'static>(
    object: *const (),
    method: RStr<'_>,
    arguments: RStr<'_>,
) -> RResult<RString, Fault> {
    // SAFETY: an offer's function is called with that offer's object.
    unsafe { C::call(object, method, arguments) }
}

impl<P> fmt::Debug for Services<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.offers.iter().map(|offered| offered.contract)).finish()
    }
}
