//! What a host does with its plugins: the stages put together.

use std::collections::BTreeSet;
use std::mem;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::MutexGuard;

use super::settling::Change;
use super::{Inner, Known, LoadPluginError, StartError};
use crate::beside::strays;
use crate::discover::{Candidate, discover};
use crate::error::Explain;
use crate::events::Cause;
use crate::extensions;
use crate::footprint::{InHost, in_host};
use crate::keeper::Wish;
use crate::on_thread::Changing;
use crate::parallel;
use crate::recorder::Recorder;
use crate::records;
use crate::report::{Notice, Phase, PluginState, Progress, Refusal, StartReport, full_message};
use crate::seat::Seat;
use crate::unload::{UnloadError, Unloaded};
use crate::verify::{Verified, verify};

/// One thread's turn to change a host.
pub(super) struct Turn<'a> {
    // Dropped in this order.
    _turn: MutexGuard<'a, ()>,
    _in_host: InHost,
    _changing: Changing,
}

impl Inner {
    /// The turn to change something. Libraries that could not be closed before
    /// may be by now.
    pub(super) fn change(&self) -> Turn<'_> {
        let in_host = in_host();
        let turn =
            Turn { _turn: self.changing.lock(), _in_host: in_host, _changing: Changing::begins() };
        self.pinned.sweep(self.options.ending, self.options.activation_deadline);
        turn
    }

    pub(super) fn running(&self) -> Result<(), StartError> {
        if self.stopped.load(Ordering::Acquire) { Err(StartError::Stopped) } else { Ok(()) }
    }

    pub(super) fn start(&self) -> StartReport {
        self.watch();
        let found = discover(&self.options.folders, self.options.verify.allow_world_writable);
        let mut refused: Vec<Arc<Refusal>> = Vec::new();
        for problem in found.problems {
            let path = problem.path().to_owned();
            refused.push(Arc::new(Refusal { path, plugin: None, error: problem.into() }));
        }
        let (verified, problems) = self.verify(found.candidates);
        self.workspace.drop_spares();
        refused.extend(problems);
        {
            let mut known = self.known.lock();
            known.looked = true;
            known.files.clear();
            known.not_taken.clear();
            known.failed.clear();
            // What serves goes on; else what lies in the folders runs.
            let Known { by_hand, plugins, .. } = &mut *known;
            by_hand.retain(|seat, _| {
                plugins.get(seat).is_some_and(|it| it.state == PluginState::Active)
            });
            known.refused = refused;
            // What was unloaded by hand is to come up again.
            known.plugins.values_mut().for_each(|record| record.ended_by_hand = false);
        }
        self.learn_files(&verified);
        self.settle(verified, Change::because(&Cause::Start));

        let mut known = self.known.lock();
        known.refused.sort_by(|a, b| a.path.cmp(&b.path));
        let mut report = StartReport { refused: known.refused.clone(), ..StartReport::default() };
        let all_that_are = |state| {
            let records = known.plugins.values().filter(move |record| record.state == state);
            records.map(|record| self.status(record)).collect()
        };
        report.active = all_that_are(PluginState::Active);
        report.on_demand = all_that_are(PluginState::OnDemand);
        if self.prober.went_without() {
            report.notices.push(Notice::Unprobed { worker: self.options.worker.clone() });
        }
        report.notices.extend(self.recorder.as_ref().and_then(Recorder::notice));
        report.notices.extend(self.strangers(&known));
        let strays = self.options.folders.iter().flat_map(|folder| strays(folder));
        report.notices.extend(strays.map(|stray| Notice::Beside {
            code: stray.code().to_owned(),
            problem: full_message(&stray),
            help: stray.hint(),
        }));
        report.notices.extend(known.advice.iter().cloned().map(Notice::Advice));
        report
    }

    /// The tables of the host's configuration that no file in the folders registers.
    fn strangers(&self, known: &Known) -> Vec<Notice> {
        let serving = known.plugins.values().map(|record| &record.about.manifest);
        let files = known.files.values().map(|offer| &*offer.manifest);
        let registered = files.chain(serving).flat_map(|it| it.host_config.keys());
        let registered: BTreeSet<String> = registered.cloned().collect();
        let strangers = known.configurations.tables().strangers(&registered).into_iter();
        let notice = |(name, meant): (String, Option<&str>)| Notice::Extension {
            code: extensions::STRANGER.to_owned(),
            problem: extensions::stranger(&name, meant),
            name,
        };
        strangers.map(notice).collect()
    }

    pub(super) fn verify(&self, candidates: Vec<Candidate>) -> (Vec<Verified>, Vec<Arc<Refusal>>) {
        let count = self.counter(Phase::Verify, candidates.len());
        let outcomes = parallel::map(candidates, |candidate| {
            let outcome = verify(candidate, &self.workspace, &self.options.verify);
            count();
            outcome
        });
        let mut verified = Vec::new();
        let mut refused = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(good) => verified.push(good),
                Err(error) => refused.push(Arc::new(Refusal::from(error))),
            }
        }
        (verified, refused)
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> LoadPluginError {
        self.told(LoadPluginError::Refused(Arc::new(refusal)))
    }

    /// Tells of a refusal because of which nothing serves.
    pub(super) fn told(&self, why: LoadPluginError) -> LoadPluginError {
        let LoadPluginError::Refused(refusal) = why else { return why };
        self.tell_refused(&refusal);
        self.remember(refusal)
    }

    /// A plugin serves from this file, so what was said against it is over.
    pub(super) fn no_longer_refused(&self, path: &Path) {
        self.known.lock().refused.retain(|refusal| refusal.path != path);
    }

    pub(super) fn remember(&self, refusal: Arc<Refusal>) -> LoadPluginError {
        let mut known = self.known.lock();
        known.refused.retain(|old| old.path != refusal.path);
        known.refused.push(refusal.clone());
        LoadPluginError::Refused(refusal)
    }

    pub(super) fn stop(&self) -> Vec<Result<Unloaded, UnloadError>> {
        self.stopped.store(true, Ordering::Release);
        self.tell.end();
        self.unwatch();
        // What runs now is what the next host begins with, more often than not.
        self.workspace.leave_copies();
        self.end_those_asleep(|_| true);
        let levels = self.in_order_of_ending();
        let ended_before: Vec<_> = {
            let mut known = self.known.lock();
            known.to_end.clear();
            known.to_take.clear();
            let serves = |id: &&Seat| levels.iter().flatten().any(|it| it == *id);
            known.plugins.keys().filter(|id| !serves(id)).cloned().collect()
        };
        // Those first that need others; of what does not, all at once, so that the slow
        // ones wait together.
        let levels = [ended_before].into_iter().chain(levels);
        let ended = levels.flat_map(|ids| self.end_together(&ids)).collect();
        let known = self.known.lock();
        let still_to_save =
            known.plugins.iter().filter(|(_, record)| record.leaving.iter().any(|one| one.saves));
        let ids: Vec<_> = still_to_save.map(|(id, _)| id.clone()).collect();
        self.persisted.release_all_but(&ids);
        ended
    }

    fn end_together(&self, ids: &[Seat]) -> Vec<Result<Unloaded, UnloadError>> {
        thread::scope(|scope| {
            let ends: Vec<_> = ids
                .iter()
                .map(|id| {
                    let end = || {
                        let limit = self.options.drain_limit;
                        let ended = self.serving(id).map(|_| {
                            self.unload(id, PluginState::Unloaded, &Cause::Request, limit)
                        });
                        self.end_what_left(id);
                        ended
                    };
                    let thread = thread::Builder::new().name("plugbay-stop".into());
                    thread.spawn_scoped(scope, end).map_err(|_| end())
                })
                .collect();
            ends.into_iter()
                .filter_map(|ended| match ended {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(ended) => ended,
                })
                .collect()
        })
    }

    /// The last clone of the host is gone.
    pub(super) fn end_all(&self) {
        let _in_host = in_host();
        let changing = self.changing.lock();
        for unloaded in self.stop().into_iter().flatten() {
            for failure in &unloaded.failures {
                log::warn!(target: unloaded.id.as_str(), "{failure}");
            }
        }
        self.keep_what_is_marked();
        drop(changing);
        if let Some(recorder) = &self.recorder {
            recorder.end();
        }
        let _ = self.keeper.wishes.send(Wish::End);
        // It may be in the middle of something, with a way to this host: what is
        // the host's is gone when this returns, and not a moment later.
        if let Some(keeper) = self.keeper.thread.lock().take() {
            let _ = keeper.join();
        }
    }

    /// Leases borrow from a host, so at its end only forgotten ones are left, for
    /// ever. What they say must not become the address of another generation,
    /// which would count as in use then.
    fn keep_what_is_marked(&self) {
        let known = self.known.lock();
        for (id, record) in &known.plugins {
            let left = record.in_use().into_iter().chain(self.serving(id));
            left.filter(|active| records::is_used(Arc::as_ptr(active))).for_each(mem::forget);
        }
    }

    /// Tells the beginning at once, and each call of what it returns as one more.
    pub(super) fn counter(&self, phase: Phase, total: usize) -> impl Fn() + Sync {
        let callback = self.options.progress.clone();
        let tell = move |done| {
            if let Some(callback) = &callback {
                callback(Progress { phase, done, total });
            }
        };
        tell(0);
        let done = AtomicUsize::new(0);
        move || tell(done.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
