//! Files of earlier versions.
//!
//! Version 1 had the history and the attempts in `registry.json`, which was written
//! whole for each of them; they came into the journal with version 2. A journal that is
//! there is newer than what such a file says: it was made from that file, by a host that
//! was killed before it wrote the file anew, or the file is an old copy.

use serde::Deserialize;
use serde_json::Value;

use super::snapshot::EarlierPast;
use crate::Limits;
use crate::past::{Past, Step};
use crate::record::Later;

/// Takes out of the fields of a version 1 what that had in its file and this has not.
pub(super) fn take_past(fields: &mut Later) -> serde_json::Result<EarlierPast> {
    let names = ["history", "attempts", "next_attempt"];
    let taken = names.into_iter().filter_map(|name| fields.remove_entry(name)).collect();
    EarlierPast::deserialize(Value::Object(taken))
}

impl EarlierPast {
    /// The same, as it is held now.
    pub(super) fn into_past(self, limits: &Limits) -> Past {
        let mut past = Past::new(limits, self.next_attempt);
        past.apply(Step::Events(self.history));
        past.apply(Step::Begun(self.attempts));
        past
    }
}
