//! The signals that a host listens to.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::exit::Failure;

/// The end of this process, when it is asked for; at the second time at once.
pub struct End {
    flag: Arc<AtomicBool>,
    /// There is something to read once it is asked for.
    pub pipe: UnixStream,
}

impl End {
    /// On SIGINT and SIGTERM.
    pub fn listen() -> Result<Self, Failure> {
        Self::on(&[SIGINT, SIGTERM])
    }

    /// As `listen`, and when the terminal is closed.
    pub fn listen_with_terminal() -> Result<Self, Failure> {
        Self::on(&[SIGINT, SIGTERM, SIGHUP])
    }

    fn on(signals: &[i32]) -> Result<Self, Failure> {
        let register = || {
            let flag = Arc::new(AtomicBool::new(false));
            let (pipe, signalled) = UnixStream::pair()?;
            for &signal in signals {
                // The order counts: the first signal finds the flag not yet set.
                flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())?;
                flag::register(signal, flag.clone())?;
                pipe::register(signal, signalled.try_clone()?)?;
            }
            Ok(Self { flag, pipe })
        };
        register().map_err(|error| failed(&error))
    }

    pub fn came(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// SIGHUP, which by custom asks a service to read its files again.
pub struct HangUps(UnixStream);

impl HangUps {
    /// From here on it ends nobody.
    pub fn listen() -> Result<Self, Failure> {
        let register = || {
            let (pipe, signalled) = UnixStream::pair()?;
            pipe::register(SIGHUP, signalled)?;
            Ok(Self(pipe))
        };
        register().map_err(|error| failed(&error))
    }

    /// Does something at each; several that come meanwhile are one.
    pub fn each(mut self, mut work: impl FnMut() + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("hang-ups".into()).spawn(move || {
            let mut bytes = [0; 64];
            loop {
                match self.0.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(_) => work(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        log::error!("SIGHUP is no longer listened to: {error}");
                        return;
                    }
                }
            }
        })?;
        Ok(())
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("PB1021", "signals cannot be listened to", error, "see: ulimit -n")
}
