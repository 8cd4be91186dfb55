use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plugbay_loader::{Explain, UnloadError, Unloaded};
use serde::Serialize;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::args::Common;
use crate::control::{Claim, HostLine, Overview, Server};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::show;
use crate::survey::Surveyor;
use crate::terminal::{Output, Tone, harmless, one_line};

/// Serves until it is told to end.
pub fn run(common: &Common, output: &Output) -> Result<Exit, Failure> {
    let end = End::listen().map_err(|error| {
        Failure::io("PB1021", "signals cannot be listened to", &error, "see: ulimit -n")
    })?;
    let settings = Settings::read(common)?;
    // Before any plugin is loaded: a second host must not touch their data.
    let mut claim = Claim::take(&settings.socket)?;
    let bar = Bar::new();
    let host = settings.host().on_progress(bar.reporter()).build()?;
    let report = host.start()?;
    drop(bar);

    let about = HostLine::here(claim.path());
    let surveyor = Surveyor::new(&settings);
    let server = Server::new(host.clone(), about, settings.folders, surveyor);
    claim.publish()?;
    let notices = report.notices.iter().map(ToString::to_string).collect();
    say_started(&Overview { notices, ..server.overview() }, output);
    if !end.came() {
        server.serve(&claim, &end.pipe);
    }

    let ended = host.stop();
    server.finish();
    drop(claim);
    Ok(say_stopped(&ended, output))
}

/// The end of this process, when it is asked for; at the second time at once.
struct End {
    flag: Arc<AtomicBool>,
    pipe: UnixStream,
}

impl End {
    fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let (pipe, signalled) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // The order counts: the first signal finds the flag not yet set.
            flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())?;
            flag::register(signal, flag.clone())?;
            pipe::register(signal, signalled.try_clone()?)?;
        }
        Ok(Self { flag, pipe })
    }

    fn came(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
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
        for Unloaded { id, generation, failures, .. } in &unloaded {
            let _ = writeln!(text, "{id} deactivated (generation {generation})");
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
