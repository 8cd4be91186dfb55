use std::collections::BTreeMap;

use plugbay_manifest::PluginId;

use crate::{
    Attempt, AttemptId, Begin, ContentHash, Ending, Event, HeldBack, HistoryQuery, Mark,
    PluginRecord, Query, RecordKey, RegistryError, Selector, Wish,
};

/// What is known of plugins.
///
/// Every method may be called by any thread, and may block: on the disk, and on other
/// processes that have the same registry open, for at most [`Limits::patience`]. What a
/// method did is kept when it returns, also if the machine is switched off then; what it
/// was doing when it failed, or when the process was killed, is either all there or not
/// at all.
///
/// Every method fails by a [`RegistryError`]. Two of them are not of that call alone:
/// where [`RegistryError::is_begun_anew`], the registry does not know any more what it
/// was told, and the host records what it knows once more. Each host that has it open is
/// told so once.
///
/// [`Limits::patience`]: crate::Limits::patience
pub trait Registry: Send + Sync {
    /// Adds records, or puts them in the place of those of the same key, all in one
    /// transaction. A record that is there keeps its time of creation, and the fields
    /// that a later version wrote. Where a key comes twice, the last one counts.
    fn record(&self, records: &[PluginRecord]) -> Result<(), RegistryError>;

    /// Changes what became of plugins, all in one transaction. Returns how many of the
    /// marks have a record; the others are passed over.
    fn mark(&self, marks: &[Mark]) -> Result<usize, RegistryError>;

    /// Removes records, all in one transaction. Returns how many there were. Wishes, the
    /// history, crashes and what is held back stay, as they are not about one file.
    fn forget(&self, keys: &[RecordKey]) -> Result<usize, RegistryError>;

    /// The records that are asked for, in the order that [`Query`] tells.
    fn query(&self, query: &Query) -> Result<Vec<PluginRecord>, RegistryError>;

    /// Keeps what somebody wants of a plugin, in place of an earlier wish; none takes that
    /// back. The plugin need not be known.
    fn set_wish(&self, id: &PluginId, wish: Option<Wish>) -> Result<(), RegistryError>;

    /// All wishes.
    fn wishes(&self) -> Result<BTreeMap<PluginId, Wish>, RegistryError>;

    /// Adds events to the history, all in one transaction, in this order. The oldest are
    /// forgotten where there are more than [`Limits::history`](crate::Limits::history).
    fn append(&self, events: &[Event]) -> Result<(), RegistryError>;

    /// The events that are asked for, the last one appended first.
    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, RegistryError>;

    /// Notes what the host is about to do. When this returns, it is on the disk: if the
    /// host does not come back from it, the next one finds it.
    fn begin_attempt(&self, begin: &Begin) -> Result<AttemptId, RegistryError>;

    /// Notes several at once, with one wait for the disk; their numbers in this order. If
    /// the host does not come back from one of them, all that were not ended then are open:
    /// what is begun together is held against its plugins together.
    fn begin_attempts(&self, begin: &[Begin]) -> Result<Vec<AttemptId>, RegistryError>;

    /// Notes how it ended. Whether the attempt was open: of several hosts that end the
    /// same one, one is told so.
    ///
    /// The one exception to what is said of durability: a harmless end is left to the
    /// system to write, so that an attempt costs one wait for the disk and not two. It
    /// survives the end of the host; if the machine is switched off right then, the attempt
    /// may be found open.
    fn end_attempt(&self, id: AttemptId, ending: Ending) -> Result<bool, RegistryError>;

    /// Notes the same end of several, as one change where the backend can. How many of them
    /// were open. Of durability, what is said of one holds.
    fn end_attempts(&self, ids: &[AttemptId], ending: Ending) -> Result<usize, RegistryError> {
        let ended = ids.iter().map(|id| self.end_attempt(*id, ending).map(usize::from));
        ended.sum()
    }

    /// All attempts that are open, in the order in which they were begun.
    fn open_attempts(&self) -> Result<Vec<Attempt>, RegistryError>;

    /// Those of the open attempts whose process is gone. Each of these plugins took its
    /// host down, or was about to do something when somebody else killed the host: which
    /// of the two the host says when it ends the attempt.
    fn open_attempts_of_dead(&self) -> Result<Vec<Attempt>, RegistryError> {
        let mut attempts = self.open_attempts()?;
        attempts.retain(Attempt::is_open_of_dead);
        Ok(attempts)
    }

    /// The crashes of these bytes since they were last released, the latest first: attempts
    /// that ended as crashes, and open ones whose process is gone, unless it went down with
    /// the machine. Of all plugins together the last
    /// [`Limits::crashes`](crate::Limits::crashes) that ended are kept.
    fn crashes(&self, hash: &ContentHash) -> Result<Vec<Attempt>, RegistryError>;

    /// The crashes of all bytes, in the order in which they were begun; which ones count,
    /// [`crashes`](Self::crashes) says.
    fn all_crashes(&self) -> Result<Vec<Attempt>, RegistryError>;

    /// Holds bytes back from now on. It is noted here and no more: that they are not loaded
    /// is the host's part, and so is a record's status.
    fn hold_back(&self, held: &HeldBack) -> Result<(), RegistryError>;

    /// All that is held back, the latest first.
    fn held_back(&self) -> Result<Vec<HeldBack>, RegistryError>;

    /// Releases what is held back, and forgets the crashes that count against it. Returns
    /// what was held back, by hash.
    fn release(&self, selector: &Selector) -> Result<Vec<HeldBack>, RegistryError>;
}
