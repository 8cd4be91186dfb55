//! A host that serves on a socket, and says what happens in it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use plugbay_loader::stack::{Fault, Finding};
use plugbay_loader::{Events, Explain, Happening, Host, UnloadError, Unloaded};
use serde::Serialize;
use serde_json::json;

use crate::control::{Claim, HostLine, Overview, Server};
use crate::event_line::Told;
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::{Names, Settings, Watching};
use crate::show;
use crate::survey::Surveyor;
use crate::terminal::{Output, Tone, harmless, one_line};

/// How long the last events may take to be printed.
const FAREWELL: Duration = Duration::from_secs(1);

/// A host with its socket, from its start to its end.
pub struct Serving {
    host: Host,
    server: Server,
    claim: Claim,
    printer: Arc<Printer>,
    output: Output,
}

impl Serving {
    /// Starts it and says so. From then on it prints those events that are wanted.
    pub fn start(
        settings: Settings,
        watching: &Watching,
        output: &Output,
        wanted: fn(&Happening) -> bool,
    ) -> Result<Self, Failure> {
        // Before any plugin is loaded: a second host must not touch their data.
        let mut claim = Claim::take(&settings.socket)?;
        let bar = Bar::new();
        let mut builder = settings.host();
        let mut notices = Vec::new();
        let kept = settings.keeping.for_a_host()?.map_err(|notice| notices.push(notice)).ok();
        if let Some(kept) = &kept {
            notices.extend(kept.notices.iter().cloned());
            builder = builder.registry(kept.registry.clone());
        }
        if settings.locked || !settings.tables().is_empty() {
            // Before any code of a plugin runs.
            let survey = Surveyor::new(&settings).folders(&settings.folders, |_, _| {})?;
            survey.check_tables(&settings, &BTreeSet::new())?;
            settings.check_lock(&survey.plan)?;
        }
        let host = watching.applied(builder).on_progress(bar.reporter()).build()?;
        let events = host.events();
        let report = host.start()?;
        drop(bar);

        let about = HostLine::here(claim.path(), watching.enabled);
        let surveyor = Surveyor::new(&settings);
        if let Some(stack) = &settings.stack {
            let checked = plugbay_loader::stack::check(stack, &host.plan(), &host.refused());
            // What there is a file of is told with the file.
            let is_nowhere = |finding: &&Finding| {
                use Fault::{NoComponent, NoKind, NoPlugin};
                matches!(finding.fault, NoPlugin { .. } | NoKind { .. } | NoComponent { .. })
            };
            notices.extend(checked.findings.iter().filter(is_nowhere).map(|finding| {
                let Finding { member, fault, .. } = finding;
                format!(
                    "{}: the stack {} is not whole: {member}: {fault}; help: {}",
                    finding.code(),
                    stack.name,
                    finding.hint()
                )
            }));
        }
        notices.extend(settings.notices(&names_in(&host)));
        let server = Server::new(host.clone(), about, settings.folders, surveyor, kept);
        claim.publish()?;
        notices.extend(report.notices.iter().map(ToString::to_string));
        // What happened until here is in the overview.
        let told = host.history().last().map_or(0, |event| event.number);
        say_started(&Overview { notices, ..server.overview() }, output);
        let printer = Arc::new(Printer::default());
        if let Err(error) = printer.listen(events, told, *output, wanted) {
            log::warn!("events are not printed: {error}");
        }
        Ok(Self { host, server, claim, printer, output: *output })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Takes clients until there is something to read on `end`.
    pub fn serve(&self, end: &UnixStream) {
        self.server.serve(&self.claim, end);
    }

    /// Ends all plugins, and says so.
    pub fn end(self) -> Exit {
        // What ends from here on is told at once, below.
        let last = self.host.history().last().map_or(0, |event| event.number);
        self.printer.end(last);
        let ended = self.host.stop();
        self.server.finish();
        drop(self.claim);
        say_stopped(&ended, &self.output)
    }
}

/// What a host has found, also where it is refused.
pub fn names_in(host: &Host) -> Names {
    let mut names = Names::default();
    host.plan().offers().iter().for_each(|offer| names.add(&offer.manifest));
    host.plugins().iter().for_each(|status| names.add(&status.manifest));
    let refused = host.refused();
    let refused = refused.iter().filter_map(|refusal| refusal.plugin.as_ref());
    refused.for_each(|(id, _)| names.add_plugin(id));
    names
}

/// Prints events as they happen.
#[derive(Default)]
struct Printer {
    state: Mutex<PrinterState>,
    further: Condvar,
}

#[derive(Default)]
struct PrinterState {
    printed: u64,
    /// The number of the last one to print.
    last: Option<u64>,
}

impl Printer {
    /// Those after a number.
    fn listen(
        self: &Arc<Self>,
        events: Events,
        after: u64,
        output: Output,
        wanted: fn(&Happening) -> bool,
    ) -> io::Result<()> {
        let printer = self.clone();
        printer.state().printed = after;
        thread::Builder::new().name("events".into()).spawn(move || {
            for event in events.filter(|event| event.number > after) {
                if printer.state().last.is_some_and(|last| event.number > last) {
                    return;
                }
                if wanted(&event.happening)
                    && let Err(failure) = Told::event(&event).print(&output)
                {
                    log::warn!("{}", failure.message);
                }
                printer.state().printed = event.number;
                printer.further.notify_all();
            }
        })?;
        Ok(())
    }

    /// Prints no further than to this number. Waits for that, for a while: nobody
    /// may be reading.
    fn end(&self, last: u64) {
        let mut state = self.state();
        state.last = Some(last);
        let waited = self.further.wait_timeout_while(state, FAREWELL, |state| state.printed < last);
        drop(waited);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PrinterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody needs to read it, so a host serves although it cannot be written.
fn say_started(overview: &Overview, output: &Output) {
    #[derive(Serialize)]
    struct Started<'a> {
        event: &'static str,
        #[serde(flatten)]
        overview: &'a Overview,
    }
    let said = if output.json {
        output.json_line(&Started { event: "started", overview })
    } else {
        let mut text = show::overview(overview, output);
        if let Some(host) = &overview.host {
            let _ = writeln!(text, "\nListening on {} (process {}).", host.socket, host.pid);
        }
        output.text(&text)
    };
    if let Err(failure) = said {
        log::warn!("{}", failure.message);
    }
}

fn say_stopped(ended: &[Result<Unloaded, UnloadError>], output: &Output) -> Exit {
    let unloaded: Vec<&Unloaded> = ended.iter().flatten().collect();
    let busy: Vec<&UnloadError> = ended.iter().filter_map(|one| one.as_ref().err()).collect();
    let said = if output.json {
        let failures: Vec<_> = busy
            .iter()
            .map(|e| json!({ "code": e.code(), "message": e.to_string(), "help": e.hint() }))
            .collect();
        let event = json!({ "event": "stopped", "unloaded": unloaded, "failures": failures });
        output.json_line(&event)
    } else {
        let mut text = String::new();
        for Unloaded { name, generation, failures, .. } in &unloaded {
            let _ = writeln!(text, "{name} deactivated (generation {generation})");
            for failure in failures {
                let but = output.paint(Tone::Doubtful, "but");
                let _ = writeln!(text, "  {but} {}", one_line(failure));
            }
        }
        for error in &busy {
            let code = output.paint(Tone::Bad, error.code());
            let _ = writeln!(text, "{code}: {}", harmless(&error.to_string()));
        }
        text.push_str("Ended.\n");
        output.text(&text)
    };
    if let Err(failure) = said {
        log::warn!("{}", failure.message);
    }
    let clean = busy.is_empty() && unloaded.iter().all(|one| one.failures.is_empty());
    if clean { Exit::Ok } else { Exit::Failed }
}
