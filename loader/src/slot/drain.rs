//! Waiting until nobody uses a generation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CountedLease, Drained};
use crate::activate::Active;
use crate::platform;
use crate::records::{self, Holder};

/// Whether nobody uses a generation, and nobody will: what a place points to no
/// longer is used only by who has got it from somebody that used it.
///
/// From a mark comes another mark, behind it (`protect.rs`), or a count that is taken
/// before the mark is given back; from a count comes another one, or a mark that is
/// taken before the count is given back. So when nothing is counted, and nothing was
/// while the marks were looked through, those that were found to be none are all.
fn is_idle(active: &Active) -> bool {
    let before = active.counted.counts();
    before.held == 0 && !records::is_used(active) && active.counted.counts() == before
}

/// Waits until nobody uses a generation that no place points to any more. Gives
/// back who still does at the end of the time.
pub(crate) fn drain(active: Arc<Active>, limit: Duration) -> Result<Drained, Vec<Holder>> {
    drain_unless(active, limit, || false)
}

/// As [`drain`], and gives up early when it is told to.
pub(crate) fn drain_unless(
    active: Arc<Active>,
    limit: Duration,
    over: impl Fn() -> bool,
) -> Result<Drained, Vec<Holder>> {
    // None: for ever.
    let end = Instant::now().checked_add(limit);
    let mut pause = Duration::from_micros(20);
    let mut looks = 0_u32;
    // Without it the marks prove nothing, so then it counts as in use.
    let ordered = platform::heavy_barrier();
    loop {
        if ordered && is_idle(&active) {
            return Ok(Drained(active));
        }
        if over() || end.is_some_and(|end| Instant::now() >= end) {
            let mut holders = records::users_of(&active);
            holders.extend(active.counted.holders());
            return Err(holders);
        }
        // Whoever leaves does so with a plain store, which wakes nobody.
        looks += 1;
        if looks < 50 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }
}

/// Who uses a generation now.
pub(crate) fn holders_of(active: &Active) -> Vec<Holder> {
    let mut holders = records::users_of(active);
    holders.extend(active.counted.holders());
    holders
}

impl Drained {
    pub(crate) fn active(&self) -> &Active {
        &self.0
    }

    pub(crate) fn active_arc(&self) -> Arc<Active> {
        self.0.clone()
    }

    /// Uses it once more, alone as long as its slot is shut.
    pub(crate) fn into_lease(self) -> CountedLease {
        CountedLease::new(self.0, None)
    }
}
