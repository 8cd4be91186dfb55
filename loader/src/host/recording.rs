//! What a host tells its registry of the files that it knows: after each change, all of
//! it. What of that is new, the recorder's thread finds out.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use plugbay_resolve::Reason;

use super::{Inner, Known};
use crate::error::Error;
use crate::recorder::{Job, Seen, Snapshot};
use crate::registry::Status;
use crate::report::{PluginState, Refusal};
use crate::seat::Seat;

impl Inner {
    /// Hands over what there is now. Does no I/O.
    pub(super) fn record(&self) {
        let Some(recorder) = &self.recorder else { return };
        let serving = self.all_serving();
        let known = self.known.lock();
        let refused: HashMap<&Path, &Arc<Refusal>> =
            known.refused.iter().map(|refusal| (refusal.path.as_path(), refusal)).collect();
        let mut seen = Vec::with_capacity(known.files.len());
        let mut listed = 0;
        for (path, offer) in &known.files {
            let seat = self.seat_of(&offer.manifest);
            let active = serving.get(&seat);
            let active = active.filter(|it| it.about.hash.to_hex().as_str() == offer.hash);
            listed += usize::from(active.is_some());
            // One that was gone back from is not among the refused.
            let not_taken = || known.not_taken.get(path).map(|it| &it.refusal);
            let refusal = match active {
                Some(_) => None,
                None => refused.get(path.as_path()).copied().or_else(not_taken).cloned(),
            };
            seen.push(Seen {
                manifest: offer.manifest.clone(),
                hash: offer.hash.clone(),
                path: path.clone(),
                status: match active {
                    Some(_) => Status::Active,
                    None => status(&known, &seat, refusal.as_deref()),
                },
                refusal,
                troubles: active.map_or(0, |active| active.troubles.seen()),
            });
        }
        // What serves from a file that is not there as it was, or from outside.
        if listed < serving.len() {
            let bytes: HashSet<&str> =
                known.files.values().map(|offer| offer.hash.as_str()).collect();
            for active in serving.values() {
                let hash = active.about.hash.to_hex().to_string();
                if !bytes.contains(hash.as_str()) {
                    seen.push(Seen {
                        manifest: Arc::new(active.about.manifest.clone()),
                        hash,
                        path: active.about.path.clone(),
                        status: Status::Active,
                        refusal: None,
                        troubles: active.troubles.seen(),
                    });
                }
            }
        }
        // What sleeps on as what was there before.
        let asleep = known.plugins.values().filter(|it| it.state == PluginState::OnDemand);
        for about in asleep.map(|record| &record.about) {
            let hash = about.hash.to_hex().to_string();
            if known.files.get(&about.path).is_none_or(|file| file.hash != hash) {
                seen.push(Seen {
                    manifest: Arc::new(about.manifest.clone()),
                    hash,
                    path: about.path.clone(),
                    status: Status::OnDemand,
                    refusal: None,
                    troubles: 0,
                });
            }
        }
        let whole = known.looked;
        drop(known);
        recorder.tell(Job::Seen(Snapshot { seen, folders: self.options.folders.clone(), whole }));
    }
}

/// What became of a file that does not serve.
fn status(known: &Known, seat: &Seat, refusal: Option<&Refusal>) -> Status {
    if known.disabled.contains(seat.id()) {
        return Status::Disabled;
    }
    match refusal.map(|refusal| &refusal.error) {
        Some(Error::Probe(_)) => Status::HeldBack,
        Some(Error::Resolve(error)) => match error.reason() {
            Some(Reason::Held(_)) => Status::HeldBack,
            Some(Reason::Disabled) => Status::Disabled,
            _ => Status::Refused,
        },
        Some(_) => Status::Refused,
        None => match known.plugins.get(seat).map(|record| record.state) {
            Some(PluginState::Disabled) => Status::Disabled,
            Some(PluginState::OnDemand) => Status::OnDemand,
            _ => Status::Unloaded,
        },
    }
}
