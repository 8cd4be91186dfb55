//! The last stage: gives the library of an ended generation back to the system,
//! or keeps what is needed to try that again.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::abi::{Kept, RootRef};
use plugbay_interface::manifest::PluginId;
use serde::Serialize;

use crate::footprint::Footprint;
use crate::platform::{self, Library};
use crate::snapshot::Snapshot;
use crate::unload::{Ending, Pin};

/// How long an unload waits for threads of the plugin, at most. One that takes
/// longer pins its library, and the next change of the host looks again.
const PATIENCE: Duration = Duration::from_secs(2);

/// A mapped library with the file that it is mapped from. It stays mapped when
/// this value is dropped.
pub(crate) struct Mapped {
    /// None: it was closed, and is mapped all the same.
    library: Option<Library>,
    /// None once it is to stay for good.
    snapshot: Option<Snapshot>,
    footprint: Arc<Footprint>,
    /// Whether the library has taken the footprint's hooks.
    hooked: bool,
    root: RootRef,
}

/// The library of an ended generation that is still in memory.
pub(crate) struct Pinned {
    id: PluginId,
    generation: u64,
    pin: Pin,
    mapped: Mapped,
}

/// What is told of a library that is still in memory although its generation
/// has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PinnedLibrary {
    /// The plugin.
    pub id: PluginId,
    /// The generation that has ended.
    pub generation: u64,
    /// Why it is still in memory.
    pub pin: Pin,
}

/// How a library is to be closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    /// What is done with one that has no hooks.
    pub(crate) ending: Ending,
    /// When the plugin's threads should be gone.
    pub(crate) threads_until: Instant,
    /// How long its thread-locals may take to be destroyed.
    pub(crate) deadline: Duration,
}

impl Closing {
    /// Waits for threads what is left of the time for deactivation, and not
    /// longer than is bearable.
    pub(crate) fn by(ending: Ending, begun: Instant, deadline: Duration) -> Self {
        let left = deadline.saturating_sub(begun.elapsed());
        Self { ending, threads_until: Instant::now() + left.min(PATIENCE), deadline }
    }

    /// Waits for no thread.
    pub(crate) fn now(ending: Ending, deadline: Duration) -> Self {
        Self { ending, threads_until: Instant::now(), deadline }
    }
}

impl Mapped {
    /// A library that was just loaded: hands it its hooks.
    pub(crate) fn new(library: Library, snapshot: Snapshot, root: RootRef) -> Self {
        let footprint = Footprint::new(snapshot.path());
        let hooked = footprint.install(root);
        Self { library: Some(library), snapshot: Some(snapshot), footprint, hooked, root }
    }

    /// The file that it is mapped from.
    pub(crate) fn copy_path(&self) -> Option<&Path> {
        self.snapshot.as_ref().map(Snapshot::path)
    }

    /// The address of an exported symbol.
    pub(crate) fn address_of(&self, symbol: &str) -> Option<*const c_void> {
        self.library.as_ref()?.address_of(symbol)
    }

    pub(crate) fn footprint(&self) -> &Arc<Footprint> {
        &self.footprint
    }

    /// Ends it. The generation is over: its instance was dropped or never made,
    /// no call is running and none will come, and nothing of it is held.
    pub(crate) fn close(
        mut self,
        id: &PluginId,
        generation: u64,
        closing: Closing,
    ) -> Result<(), Box<Pinned>> {
        match self.try_to_close(id, closing) {
            Ok(()) => Ok(()),
            Err(pin) => Err(Box::new(Pinned { id: id.clone(), generation, pin, mapped: self })),
        }
    }

    fn try_to_close(&mut self, id: &PluginId, closing: Closing) -> Result<(), Pin> {
        let Some(snapshot) = &self.snapshot else { return Err(Pin::Kept) };
        let path = snapshot.path().to_owned();
        match self.library.take() {
            Some(library) => {
                if let Err(pin) = self.ready_to_close(id, &path, closing) {
                    self.library = Some(library);
                    return Err(pin);
                }
                // SAFETY: the generation is over (the caller's word), and no
                // thread and no signal runs its code any more, as far as that
                // can be known or was promised (`ready_to_close`, just above).
                unsafe { library.close() }.map_err(|said| Pin::CloseFailed { said })?;
            }
            // Closed before. None of its code is to be called now: it may have
            // gone meanwhile.
            None => platform::look_again(&path),
        }
        // What cannot be looked at is not called gone.
        let ranges = platform::mapped_ranges(&path).map_err(|_| Pin::StillMapped)?;
        // With only such left, its code is gone, which alone knew of them.
        if !ranges.iter().all(|range| self.footprint.has_mapped(range.start)) {
            let never = snapshot.is_never_unmapped();
            return Err(if never { Pin::NoDelete } else { Pin::StillMapped });
        }
        for range in ranges {
            // SAFETY: the library itself has mapped its own file there, to read
            // in it, and is not there any more (just above).
            unsafe { platform::unmap(range) };
        }
        if self.hooked {
            self.footprint.release();
        }
        // The file goes with it.
        self.snapshot = None;
        Ok(())
    }

    /// Waits until none of its code is run any more.
    fn ready_to_close(&self, id: &PluginId, path: &Path, closing: Closing) -> Result<(), Pin> {
        // What lets them go is code of the library, which may leave something on its
        // thread.
        self.nothing_is_kept()?;
        let Closing { ending, threads_until, deadline } = closing;
        if self.hooked {
            self.footprint.clear(id, self.root, threads_until, deadline)?;
        } else {
            self.footprint.wait_for_threads(threads_until)?;
            // `Close`: a promise of the host's author (`close_on_unload`).
            if ending == Ending::Keep {
                return Err(Pin::Kept);
            }
        }
        // Destructors may have given something away.
        self.nothing_is_kept()?;
        let ranges = platform::mapped_ranges(path).map_err(|_| Pin::StillMapped)?;
        let signals = platform::signals_handled_in(&ranges);
        if signals.is_empty() { Ok(()) } else { Err(Pin::SignalHandlers { signals }) }
    }

    /// That others keep nothing which they let go by the library's code, at any time.
    fn nothing_is_kept(&self) -> Result<(), Pin> {
        let Some(kept) = self.root.kept() else { return Ok(()) };
        match (kept(Kept::Wakers as u32), kept(Kept::Buffers as u32)) {
            (0, 0) => Ok(()),
            (0, count) => Err(Pin::Buffers { count }),
            (count, _) => Err(Pin::Wakers { count }),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            // Still mapped from it.
            snapshot.keep();
        }
    }
}

impl Pinned {
    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    fn told(&self) -> PinnedLibrary {
        let Self { id, generation, pin, .. } = self;
        PinnedLibrary { id: id.clone(), generation: *generation, pin: pin.clone() }
    }
}

/// The libraries of ended generations that a host could not close yet.
#[derive(Default)]
pub(crate) struct PinnedLibraries {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    held: Vec<Pinned>,
    /// What is being closed just now: it is told of until it has gone.
    trying: Vec<PinnedLibrary>,
}

impl PinnedLibraries {
    pub(crate) fn add(&self, pinned: Pinned) {
        self.all.lock().held.push(pinned);
    }

    /// Tries to close each of them again, and waits for no thread. One at a time,
    /// as its caller changes the host.
    pub(crate) fn sweep(&self, ending: Ending, deadline: Duration) {
        let held = {
            let mut all = self.all.lock();
            all.trying = all.held.iter().map(Pinned::told).collect();
            std::mem::take(&mut all.held)
        };
        for Pinned { id, generation, mapped, .. } in held {
            let closing = Closing::now(ending, deadline);
            let outcome = mapped.close(&id, generation, closing);
            let mut all = self.all.lock();
            all.trying.retain(|one| one.id != id || one.generation != generation);
            if let Err(pinned) = outcome {
                all.held.push(*pinned);
            }
        }
    }

    /// Whether there is one that may go without anybody's doing.
    pub(crate) fn worth_another_look(&self) -> bool {
        let all = self.all.lock();
        all.held.iter().any(|pinned| pinned.pin != Pin::Kept && pinned.pin != Pin::NoDelete)
    }

    pub(crate) fn all(&self) -> Vec<PinnedLibrary> {
        let all = self.all.lock();
        let mut told = all.trying.clone();
        told.extend(all.held.iter().map(Pinned::told));
        told.sort_by_key(|one| one.generation);
        told
    }

    /// Those of one plugin: generation and reason.
    pub(crate) fn of(&self, id: &PluginId) -> Vec<(u64, Pin)> {
        let of_it = self.all().into_iter().filter(|one| one.id == *id);
        of_it.map(|one| (one.generation, one.pin)).collect()
    }
}
