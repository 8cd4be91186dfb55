//! Takes the secrets of a generation's configurations out of what it says.

use std::borrow::Cow;

use arc_swap::ArcSwap;
use plugbay_config::schema::Scrubber;

use crate::error::Failure;

/// The secrets of all configurations that a generation was given: also those of one that
/// it did not take, and of earlier ones, which calls that run may still speak of.
#[derive(Debug, Default)]
pub(crate) struct Secrets(ArcSwap<Scrubber>);

impl Secrets {
    pub(crate) fn of(scrubber: Option<Scrubber>) -> Self {
        Self(ArcSwap::from_pointee(scrubber.unwrap_or_default()))
    }

    /// These, too, from now on.
    pub(crate) fn learn(&self, more: &Scrubber) {
        self.0.rcu(|known| known.and(more));
    }

    pub(crate) fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.load().scrub(text)
    }

    pub(crate) fn scrubbed(&self, mut failure: Failure) -> Failure {
        for text in [&mut failure.message].into_iter().chain(&mut failure.causes) {
            if let Cow::Owned(scrubbed) = self.scrub(text) {
                *text = scrubbed;
            }
        }
        failure
    }
}
