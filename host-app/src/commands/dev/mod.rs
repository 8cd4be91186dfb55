//! Builds a plugin whenever its sources change, and lets a host take it.

mod cargo;
mod delivery;
mod sources;

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugbay_loader::{Cause, Happening, Reloaded, printable};
use serde_json::json;

pub use self::cargo::Cargo;
use self::cargo::{Built, Running};
use self::delivery::{Delivered, Delivery};
use self::sources::Sources;
use crate::args::Common;
use crate::control::Client;
use crate::event_line::readable;
use crate::exit::{Exit, Failure};
use crate::serving::Serving;
use crate::settings::{Keeping, Settings, Watching};
use crate::signals::End;
use crate::terminal::{Output, Tone, one_line, tell};

/// An editor writes several files; this long after the last one it is done. A
/// build that begins too early is followed by another.
const QUIET: Duration = Duration::from_millis(10);

/// What the loop hears.
enum Message {
    Changed,
    Done(Box<Round>),
    End,
}

/// One build, and what came of it.
struct Round {
    built: Result<Built, Failure>,
    delivered: Option<Result<Delivered, Failure>>,
    /// What serves on, where it did not compile.
    serving: Option<String>,
}

pub fn run(common: &Common, path: &Path, cargo: Cargo, output: &Output) -> Result<Exit, Failure> {
    let end = End::listen_with_terminal()?;
    let dir = crate_in(path)?;
    let mut settings = Settings::read(common)?;
    let socket = settings.socket.clone();
    // With a host of its own these are its folders; a running one has others.
    let named = settings.folders.first().filter(|_| !common.plugins.is_empty()).cloned();
    let mut private = None;
    let own = match Client::connect(&socket)? {
        Some(_) => None,
        None => {
            if named.is_none() {
                let folder = private_folder()?;
                settings.folders = vec![folder.path().to_owned()];
                // What is in that folder ends with it.
                settings.keeping = Keeping::nothing();
                private = Some(folder);
            }
            // It is told of each library, and need not watch.
            Some(Serving::start(settings, &Watching::off(), output, is_news)?)
        }
    };
    let developing = Developing {
        dir,
        cargo,
        delivery: Delivery { socket, folder: named },
        running: Running::default(),
        output: *output,
    };
    let outcome = thread::scope(|scope| {
        if let Some(serving) = &own {
            scope.spawn(|| serving.serve(&end.pipe));
        }
        let outcome = developing.develop(scope, &end);
        // Whatever it was that ended it: the others wait for this, too.
        let _ = end.pipe.shutdown(Shutdown::Both);
        outcome
    });
    let exit = own.map_or(Exit::Ok, Serving::end);
    drop(private);
    outcome.map(|()| exit)
}

/// What is not said after each build.
fn is_news(happening: &Happening) -> bool {
    match happening {
        Happening::Reloaded(Reloaded { cause, .. }) => *cause != Cause::Request,
        Happening::Retired { pinned, failures, .. } => pinned.is_some() || !failures.is_empty(),
        Happening::Loaded { .. } | Happening::Kept { .. } | Happening::Refused { .. } => false,
        _ => true,
    }
}

fn crate_in(path: &Path) -> Result<PathBuf, Failure> {
    // The manifest itself is often what one has at hand.
    let dir = match path.file_name() {
        Some(name) if name == "Cargo.toml" => path.parent().unwrap_or(path),
        _ => path,
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let failed = |error: &std::io::Error| {
        let message = format!("there is no crate in {}", printable(dir));
        Failure::io("PB1023", message, error, "name the folder that its Cargo.toml lies in")
    };
    let dir = dir.canonicalize().map_err(|error| failed(&error))?;
    std::fs::metadata(dir.join("Cargo.toml")).map_err(|error| failed(&error))?;
    Ok(dir)
}

fn private_folder() -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("plugbay-dev-").tempdir();
    folder.map_err(|error| {
        let help = "make room there, or name another with TMPDIR";
        Failure::io("PB1027", "no folder for the plugin can be made", &error, help)
    })
}

struct Developing {
    dir: PathBuf,
    cargo: Cargo,
    delivery: Delivery,
    running: Running,
    output: Output,
}

impl Developing {
    /// Builds once, and then after each change, until the end comes.
    fn develop<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        end: &'env End,
    ) -> Result<(), Failure> {
        let (sender, messages) = channel();
        let changed = sender.clone();
        let _sources = Sources::watch(&self.dir, move || {
            let _ = changed.send(Message::Changed);
        })?;
        let ended = sender.clone();
        scope.spawn(move || {
            wait_for(end);
            let _ = ended.send(Message::End);
        });
        self.say_begin();
        let (mut plugin, mut building, mut again) = (None, true, false);
        self.begin(scope, &sender, None);
        while let Ok(message) = messages.recv() {
            match message {
                Message::End => break,
                Message::Changed if building => again = true,
                Message::Changed => {
                    if settle(&messages).is_err() {
                        break;
                    }
                    building = true;
                    self.begin(scope, &sender, plugin.clone());
                }
                Message::Done(round) => {
                    if let Some(Ok(delivered)) = &round.delivered {
                        plugin = Some(delivered.plugin.clone());
                    }
                    self.say(&round)?;
                    building = std::mem::take(&mut again);
                    if building {
                        self.begin(scope, &sender, plugin.clone());
                    }
                }
            }
        }
        self.running.interrupt();
        Ok(())
    }

    /// Builds and delivers on a thread, so that the end is heard meanwhile.
    fn begin<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        sender: &Sender<Message>,
        plugin: Option<String>,
    ) {
        let sender = sender.clone();
        scope.spawn(move || {
            let built = self.cargo.build(&self.dir, &self.running);
            let delivered = match &built {
                Ok(Built::Library { path, .. }) => Some(self.delivery.deliver(path)),
                _ => None,
            };
            let failed = matches!(built, Ok(Built::Failed { .. }));
            let serving = plugin.filter(|_| failed).and_then(|id| self.delivery.serving(&id));
            let _ = sender.send(Message::Done(Box::new(Round { built, delivered, serving })));
        });
    }

    fn say_begin(&self) {
        if !self.output.json {
            let text = format!("Building {} at each change.\n", printable(&self.dir));
            let _ = self.output.text(&text);
        }
    }

    fn say(&self, round: &Round) -> Result<(), Failure> {
        let (time, library, fresh) = match &round.built {
            Ok(Built::Library { path, fresh, time }) => (*time, Some(path), *fresh),
            Ok(Built::Failed { time }) => (*time, None, false),
            Err(failure) => {
                tell(failure, self.output.json);
                return Ok(());
            }
        };
        let served = match &round.delivered {
            Some(Ok(delivered)) => Some(delivered),
            Some(Err(failure)) => {
                tell(failure, self.output.json);
                return Ok(());
            }
            None => None,
        };
        let unchanged = served.is_some_and(|served| served.told.json["outcome"] == "unchanged");
        // A change that was none, as of a file's date.
        if fresh && unchanged {
            return Ok(());
        }
        if self.output.json {
            return self.output.json_line(&json!({
                "event": "built",
                "compiled": library.is_some(),
                "seconds": time.as_secs_f64(),
                "library": library.map(|path| printable(path)),
                "plugin": served.map(|served| &served.plugin),
                "served_seconds": served.map(|served| served.time.as_secs_f64()),
                "served": served.map(|served| &served.told.json),
            }));
        }
        let text = match served {
            Some(Delivered { told, .. }) => {
                let text = one_line(&format!("compiled in {}; {}", readable(time), told.text));
                told.tone.map_or_else(|| text.clone(), |tone| self.output.paint(tone, &text))
            }
            None => {
                let serving = round.serving.as_ref();
                let serving = serving.map_or_else(String::new, |words| format!("; {words}"));
                let text = format!(
                    "does not compile ({}){serving}; waiting for the next change",
                    readable(time)
                );
                self.output.paint(Tone::Bad, &text)
            }
        };
        self.output.text(&format!("{text}\n"))
    }
}

/// Waits until the sources are quiet. An error: the end has come.
fn settle(messages: &Receiver<Message>) -> Result<(), ()> {
    while let Ok(message) = messages.recv_timeout(QUIET) {
        if matches!(message, Message::End) {
            return Err(());
        }
    }
    Ok(())
}

fn wait_for(end: &End) {
    loop {
        let mut waits = [PollFd::new(end.pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waits, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => {
                log::error!("signals can no longer be waited for: {error}");
                return;
            }
            Ok(_) => return,
        }
    }
}
