use std::collections::{BTreeSet, HashMap};
use std::io::BufReader;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use plugbay_loader::manifest::Manifest;
use plugbay_loader::registry::{HeldBack, PluginRecord, Query};
use plugbay_loader::{CallError, Host, PluginId, PluginStatus, Refusal, UnloadError};
use serde::Serialize;

use super::changes;
use super::claim::Claim;
use super::follow::{self, Followers};
use super::lines::{self, LineError};
use super::messages::{
    Action, Answer, Changed, Contracts, HostLine, Inspection, Overview, PinnedLine, PluginLine,
    RefusedLine, Request,
};
use super::plan::PlanView;
use crate::commands::release;
use crate::exit::{Exit, Failure};
use crate::settings::Kept;
use crate::survey::Surveyor;
use crate::terminal::one_line;

const MOST_CLIENTS: usize = 64;
/// What a client may take for one line, in either direction.
const PATIENCE: Duration = Duration::from_secs(30);
/// What running requests have for their answers, once the plugins have ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answers on the socket.
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    host: Host,
    about: HostLine,
    folders: Vec<PathBuf>,
    surveyor: Surveyor,
    kept: Option<Kept>,
    followers: Arc<Followers>,
    load: Mutex<Load>,
    quieter: Condvar,
}

#[derive(Default)]
struct Load {
    clients: usize,
    /// Requests that have no answer yet.
    requests: usize,
}

impl Server {
    pub fn new(
        host: Host,
        about: HostLine,
        folders: Vec<PathBuf>,
        surveyor: Surveyor,
        kept: Option<Kept>,
    ) -> Self {
        let (load, quieter) = (Mutex::default(), Condvar::new());
        let followers = Arc::new(Followers::default());
        if let Err(error) = followers.listen(host.events()) {
            log::warn!("clients can follow no events: {error}");
        }
        let shared = Shared { host, about, folders, surveyor, kept, followers, load, quieter };
        Self { shared: Arc::new(shared) }
    }

    /// What `list` answers now.
    pub fn overview(&self) -> Overview {
        self.shared.overview()
    }

    /// Takes clients until there is something to read on `end`.
    pub fn serve(&self, claim: &Claim, end: &UnixStream) {
        let listener = claim.listener();
        let mut out_of_descriptors = false;
        loop {
            let mut waits = [
                PollFd::new(end.as_fd(), PollFlags::POLLIN),
                PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            ];
            // A client that cannot be taken now makes the listener ready at once.
            let (waits, time) = match (out_of_descriptors, &mut waits) {
                (true, [end, _]) => (std::slice::from_mut(end), PollTimeout::from(100u8)),
                (false, both) => (both.as_mut_slice(), PollTimeout::NONE),
            };
            match poll(waits, time) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => {
                    log::error!("clients can no longer be waited for: {error}");
                    return;
                }
            }
            if waits.first().and_then(PollFd::any) == Some(true) {
                return;
            }
            out_of_descriptors = match listener.accept() {
                Ok((stream, _)) => {
                    self.take(stream);
                    false
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
                Err(error) => {
                    log::warn!("a client cannot be taken: {error}");
                    true
                }
            };
        }
    }

    /// Waits until requests that were running have their answers, for a while.
    pub fn finish(&self) {
        self.shared.followers.end();
        let load = self.shared.load();
        let waited = self.shared.quieter.wait_timeout_while(load, FAREWELL, |l| l.requests > 0);
        drop(waited);
    }

    fn take(&self, stream: UnixStream) {
        if let Err(failure) = admit(&stream) {
            log::warn!("{}", failure.message);
            return;
        }
        let visit = match self.shared.visit() {
            Some(visit) => visit,
            None => {
                refuse(&stream);
                return;
            }
        };
        let thread = thread::Builder::new().name("client".into());
        if let Err(error) = thread.spawn(move || visit.shared.converse(stream)) {
            log::warn!("a client cannot be served: {error}");
        }
    }
}

/// A client that is being served; counted until it is dropped.
struct Visit {
    shared: Arc<Shared>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.shared.load().clients -= 1;
    }
}

impl Shared {
    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visit(self: &Arc<Self>) -> Option<Visit> {
        let mut load = self.load();
        if load.clients >= MOST_CLIENTS {
            return None;
        }
        load.clients += 1;
        Some(Visit { shared: self.clone() })
    }

    fn converse(&self, stream: UnixStream) {
        let answers = match stream.try_clone() {
            Ok(answers) => answers,
            Err(error) => {
                log::warn!("a client cannot be answered: {error}");
                return;
            }
        };
        let mut requests = BufReader::new(stream);
        loop {
            let (answer, last) = match lines::read(&mut requests, Some(PATIENCE)) {
                Ok(Some(line)) => {
                    self.load().requests += 1;
                    match serde_json::from_slice(&line) {
                        // It takes the rest of the connection.
                        Ok(Request::History { plugin, follow: true }) => {
                            self.follow(&answers, plugin.as_deref());
                            return;
                        }
                        request => (self.answer(request), false),
                    }
                }
                Ok(None) => return,
                Err(LineError::TooLong) => {
                    self.load().requests += 1;
                    (written(Err::<(), _>(too_long("the request"))), true)
                }
                Err(LineError::Io(error)) => {
                    log::debug!("a client is gone: {error}");
                    return;
                }
            };
            let sent = send(&answers, answer);
            self.load().requests -= 1;
            self.quieter.notify_all();
            if last || !sent {
                return;
            }
        }
    }

    fn follow(&self, client: &UnixStream, plugin: Option<&str>) {
        if let Err(error) = self.followers.follow(&self.host, client, plugin) {
            log::debug!("a client that followed is gone: {error}");
        }
        self.load().requests -= 1;
        self.quieter.notify_all();
    }

    fn answer(&self, request: serde_json::Result<Request>) -> String {
        match request {
            Ok(Request::List) => written(Ok(self.overview())),
            Ok(Request::Services) => {
                let (host, contracts) = (Some(self.about.clone()), self.host.contracts());
                written(Ok(Contracts { host, contracts }))
            }
            Ok(Request::Plan) => {
                let not_run = self.host.refused().iter().map(|it| (&**it).into()).collect();
                let plan = PlanView::new(&self.host.plan(), not_run, Some(self.about.clone()));
                written(Ok(plan))
            }
            Ok(Request::Inspect { plugin }) => written(self.inspect(&plugin)),
            Ok(Request::Call { plugin, command, arguments }) => {
                let outcome = self.host.call_json(&plugin, &command, &arguments);
                written(outcome.map_err(|error| Failure::of_call(&error)))
            }
            Ok(Request::Change { action, plugin }) => written(self.change(action, &plugin)),
            Ok(Request::Reload { plugin }) => {
                let which = plugin.as_deref().unwrap_or("--all");
                log::info!("a client wants: reload {}", one_line(which));
                written(changes::reload(&self.host, plugin.as_deref()))
            }
            Ok(Request::Rollback { plugin }) => {
                log::info!("a client wants: rollback {}", one_line(&plugin));
                written(changes::rollback(&self.host, &plugin))
            }
            Ok(Request::Search { words }) => written(self.search(words)),
            Ok(Request::Release { which }) => written(self.release(which.as_deref())),
            Ok(Request::Save { plugin }) => written(changes::save(&self.host, &plugin)),
            Ok(Request::History { plugin, .. }) => {
                let events = self.host.history();
                let mut next = events.first().map_or(1, |event| event.number);
                written(Ok(follow::told(events.iter(), plugin.as_deref(), &mut next)))
            }
            Err(error) => written(Err::<(), _>(Failure::new(
                "PB1011",
                Exit::Failed,
                format!("the host does not understand the request: {error}"),
                "use the host-app that the host was started with",
            ))),
        }
    }

    fn overview(&self) -> Overview {
        Overview {
            host: Some(self.about.clone()),
            folders: self.folders.iter().map(|folder| plugbay_loader::printable(folder)).collect(),
            plugins: self.host.plugins().iter().map(PluginLine::from).collect(),
            refused: self.refused(),
            pinned: self.host.pinned().iter().map(PinnedLine::from).collect(),
            notices: Vec::new(),
        }
    }

    fn refused(&self) -> Vec<RefusedLine> {
        let plan = self.host.plan();
        let manifests: HashMap<&Path, &Manifest> =
            plan.offers().iter().map(|offer| (offer.path.as_path(), &*offer.manifest)).collect();
        let refused = self.host.refused();
        let line = |refusal: &Refusal| {
            RefusedLine::from(refusal).told_by(manifests.get(refusal.path.as_path()).copied())
        };
        refused.iter().map(|refusal| line(refusal)).collect()
    }

    fn search(&self, words: String) -> Result<Vec<PluginRecord>, Failure> {
        let Some(kept) = &self.kept else { return Ok(Vec::new()) };
        Ok(kept.registry.query(&Query::new().text(words))?)
    }

    fn release(&self, which: Option<&str>) -> Result<Vec<HeldBack>, Failure> {
        log::info!("a client wants: release {}", one_line(which.unwrap_or("--all")));
        Ok(self.host.release(&release::selector(which)?)?)
    }

    fn inspect(&self, plugin: &str) -> Result<Inspection, Failure> {
        if let Some(status) = self.status(plugin) {
            return Ok(Inspection::from(&status));
        }
        // Refused, so only its file can be asked.
        for refusal in self.host.refused() {
            if refusal.plugin.as_ref().is_some_and(|(id, _)| id.as_str() == plugin) {
                let inspection = self.surveyor.inspect(&refusal.path)?;
                let refused = Some(RefusedLine::from(&*refusal));
                return Ok(Inspection { refused, ..inspection });
            }
        }
        Err(self.unknown(plugin))
    }

    fn change(&self, action: Action, plugin: &str) -> Result<Changed, Failure> {
        log::info!("a client wants: {action} {}", one_line(plugin));
        let plugin = match action {
            // What is asked for may have versions; what is told of it has not.
            Action::Enable => {
                self.host.enable(plugin)?;
                plugin.split('@').next().unwrap_or(plugin)
            }
            _ => plugin,
        };
        let ended = match action {
            Action::Enable => None,
            Action::Load => self.host.load(plugin).map(|_| None)?,
            Action::Disable => Some(self.host.disable(plugin)),
            Action::Unload => Some(self.host.unload(plugin)),
        };
        let unloaded = match ended {
            // A plugin that the host never had is not one that is not active.
            Some(Err(UnloadError::NotActive { .. })) if self.status(plugin).is_none() => {
                return Err(self.unknown(plugin));
            }
            Some(ended) => Some(ended?),
            None => None,
        };
        let line = match self.status(plugin) {
            Some(status) => PluginLine::from(&status),
            // It never served, and is held back from now on.
            None if action == Action::Disable => PluginLine::held_back(self.inspect(plugin)?),
            None => return Err(self.unknown(plugin)),
        };
        let (state_kept, failures) = unloaded
            .map_or((false, Vec::new()), |unloaded| (unloaded.state_kept, unloaded.failures));
        let kept = self.kept.as_ref().is_some_and(|kept| kept.durable) && failures.is_empty();
        Ok(Changed { plugin: line, state_kept, failures, kept })
    }

    fn status(&self, plugin: &str) -> Option<PluginStatus> {
        self.host.status(plugin)
    }

    fn unknown(&self, plugin: &str) -> Failure {
        let refused = self.host.refused();
        for refusal in &refused {
            if let Some((id, _)) = refusal.plugin.as_ref().filter(|(id, _)| id.as_str() == plugin) {
                return Failure::of_call(&CallError::Refused {
                    plugin: id.clone(),
                    refusal: refusal.clone(),
                });
            }
        }
        let ids = self.host.plugins().into_iter().map(|status| status.manifest.id);
        let of_refused = refused.iter().filter_map(|it| Some(it.plugin.as_ref()?.0.clone()));
        let known: BTreeSet<PluginId> = ids.chain(of_refused).collect();
        let known = known.into_iter().collect();
        CallError::UnknownPlugin { plugin: plugin.to_owned(), known }.into()
    }
}

/// The socket is for its user, whatever rights its folder gives others.
fn admit(stream: &UnixStream) -> Result<(), Failure> {
    let refuse = |what: String| Failure::new("PB1009", Exit::NotPermitted, what, "");
    stream
        .set_write_timeout(Some(PATIENCE))
        .map_err(|error| refuse(format!("a client hung up: {error}")))?;
    let client = getsockopt(stream, PeerCredentials)
        .map_err(|error| refuse(format!("a client that is not known was sent away: {error}")))?;
    if client.uid() != 0 && client.uid() != geteuid().as_raw() {
        return Err(refuse(format!("a client of user {} was sent away", client.uid())));
    }
    Ok(())
}

fn refuse(stream: &UnixStream) {
    log::warn!("a client was sent away: {MOST_CLIENTS} are being served");
    let failure = Failure::new(
        "PB1012",
        Exit::Failed,
        format!("the host serves {MOST_CLIENTS} clients already"),
        "try again when some of them are done",
    );
    // A line this short fits into the socket's buffer, so nobody is waited for.
    send(stream, written(Err::<(), _>(failure)));
}

fn too_long(what: &str) -> Failure {
    Failure::new(
        "PB1013",
        Exit::Failed,
        format!("{what} is too long for the host's socket (64 MiB at most)"),
        "ask for less at once, or call without the host: --alone",
    )
}

fn written<T: Serialize>(outcome: Result<T, Failure>) -> String {
    serde_json::to_string(&Answer::from(outcome)).unwrap_or_else(|error| {
        // Not reached: these types have string keys only.
        log::error!("an answer cannot be written: {error}");
        String::new()
    })
}

/// Whether it arrived.
fn send(stream: &UnixStream, answer: String) -> bool {
    match lines::write(stream, answer) {
        Ok(()) => true,
        Err(LineError::TooLong) => {
            lines::write(stream, written(Err::<(), _>(too_long("the result")))).is_ok()
        }
        Err(LineError::Io(error)) => {
            log::debug!("a client did not take its answer: {error}");
            false
        }
    }
}
