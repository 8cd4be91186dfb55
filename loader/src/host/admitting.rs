//! How a file that was decided on comes to be loaded: as it is by then, or, where it is being
//! written or broken and its plugin sleeps, as what that was verified as.

use std::path::Path;
use std::sync::Arc;

use plugbay_resolve::Offer;

use super::Inner;
use super::settling::Fresh;
use crate::discover::{discover_file, discover_one};
use crate::error::Explain;
use crate::events::Cause;
use crate::report::Refusal;
use crate::resolve::{Plan, Resolved};
use crate::verify::{Verified, VerifyError, verify};

impl Inner {
    /// The file of a plan, ready to be loaded; none where it is not there any more as it
    /// was decided on, which is known then.
    pub(super) fn admitted(
        &self,
        plan: &Plan,
        offer: &Offer,
        fresh: &mut Fresh,
    ) -> Option<Resolved> {
        let of_now = match fresh.remove(&offer.path) {
            Some(verified) => Ok(verified),
            None => self.verified_now(offer),
        };
        let error = match of_now.map(|verified| plan.admit(verified)) {
            Ok(Ok(resolved)) => return Some(resolved),
            Ok(Err(other)) => {
                self.learn_files(&[*other]);
                return None;
            }
            Err(error) => error,
        };
        let is_gone = error.code() == "PB0201";
        let is_told = self.is_worth_telling(&error);
        let refusal = Arc::new(refusal_of(offer, error));
        // Half of it may be written, and nobody may tell of the other half.
        if !is_gone && self.sleep_on(plan, offer) {
            self.turn_away(refusal, &Cause::File);
            return None;
        }
        self.is_no_good_file(&offer.path);
        self.sleeps_no_more_as(offer);
        if is_told {
            self.remember(refusal.clone());
            self.tell_refusal(&refusal, &Cause::File);
        }
        None
    }

    /// The file as it is now. Where it is being written, or broken, or is not taken, and the
    /// plugin sleeps: what that was verified as, as the file of a plugin that serves changes
    /// nothing then.
    fn verified_now(&self, offer: &Offer) -> Result<Verified, VerifyError> {
        let copy = self.set_copy_aside(offer);
        if self.is_not_taken(&offer.path)
            && let Some(verified) = copy.as_deref().and_then(|copy| self.verified_copy(copy, offer))
        {
            self.workspace.drop_spares();
            return Ok(verified);
        }
        let verified = self.verify_again(offer).or_else(|error| {
            let copy = copy.filter(|_| error.code() != "PB0201");
            let Some(verified) = copy.and_then(|copy| self.verified_copy(&copy, offer)) else {
                return Err(error);
            };
            if self.is_worth_telling(&error) {
                self.known.lock().files.remove(&offer.path);
                self.turn_away(refusal_of(offer, error), &Cause::File);
            }
            Ok(verified)
        });
        self.workspace.drop_spares();
        verified
    }

    fn is_not_taken(&self, path: &Path) -> bool {
        let known = self.known.lock();
        known
            .not_taken
            .get(path)
            .is_some_and(|it| known.files.get(path).is_some_and(|file| file.hash == it.hash))
    }

    /// What was copied from a file once, as long as it has the same bytes.
    fn verified_copy(&self, copy: &Path, offer: &Offer) -> Option<Verified> {
        let verified = verify(discover_file(copy), &self.workspace, &self.options.verify).ok()?;
        let is_it = verified.hash().to_hex().as_str() == offer.hash;
        is_it.then(|| verified.known_as(&offer.path))
    }

    /// That a file is gone, or written, is told by itself, where somebody watches.
    fn is_worth_telling(&self, error: &VerifyError) -> bool {
        let is_watched = self.options.watch.is_some();
        error.code() != "PB0201" && !(error.is_unfinished() && is_watched)
    }

    fn is_no_good_file(&self, path: &Path) {
        let mut known = self.known.lock();
        known.files.remove(path);
        known.by_hand.retain(|_, it| it.path != path);
    }

    fn verify_again(&self, offer: &Offer) -> Result<Verified, VerifyError> {
        let open = self.options.verify.allow_world_writable;
        let found = discover_one(&offer.path, &self.options.folders, open);
        let candidate = match found {
            Ok(Some(candidate)) => candidate,
            // From outside of the folders.
            Ok(None) | Err(_) => discover_file(&offer.path),
        };
        verify(candidate, &self.workspace, &self.options.verify)
    }
}

/// That the file of a plan is none any more.
fn refusal_of(offer: &Offer, error: VerifyError) -> Refusal {
    let plugin = Some((offer.manifest.id.clone(), offer.manifest.version.clone()));
    Refusal::new(&offer.path, plugin, error.into())
}
