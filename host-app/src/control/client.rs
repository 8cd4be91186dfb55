use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use plugbay_loader::printable;
use serde::de::DeserializeOwned;

use super::lines::{self, LineError};
use super::messages::{Answer, Request};
use super::place::Place;
use crate::args::Common;
use crate::event_line::Told;
use crate::exit::{Exit, Failure};

/// A connection to a running host.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    place: Place,
}

/// The running host, if there is one and it may be asked.
pub fn reach(place: &Place, common: &Common, alone: bool) -> Result<Option<Client>, Failure> {
    // What a stack named here would be is no question for a host that runs by another one.
    if alone || common.stack.is_some() {
        return Ok(None);
    }
    let client = Client::connect(place)?;
    if client.is_some() && !common.plugins.is_empty() {
        log::warn!("--plugins is not used: the running host answers, with folders of its own");
    }
    Ok(client)
}

/// The running host, which must be there.
pub fn demand(place: &Place) -> Result<Client, Failure> {
    Client::connect(place)?.ok_or_else(|| {
        Failure::new(
            "PB1008",
            Exit::NotFound,
            format!("no host listens on {}", printable(place.path())),
            "start one: host-app run; or name the socket of one that runs with --socket",
        )
    })
}

/// The host's events, as they come.
#[derive(Debug)]
pub struct Following {
    client: Client,
}

impl Following {
    /// Those that came next; none when the host has ended, or within the time.
    pub fn next_within(&mut self, time: Option<Duration>) -> Result<Option<Vec<Told>>, Failure> {
        let client = &mut self.client;
        // The time of the line before is not this one's.
        let unlimited = client.stream.get_ref().set_read_timeout(None);
        unlimited.map_err(|error| client.lost(&error))?;
        match lines::read(&mut client.stream, time) {
            Ok(Some(line)) => client.understood(&line).map(Some),
            Ok(None) => Ok(None),
            Err(LineError::Io(error)) if is_late(&error) => Ok(None),
            Err(LineError::Io(error)) => Err(client.lost(&error)),
            Err(LineError::TooLong) => Err(client.lost(&io::ErrorKind::InvalidData.into())),
        }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

impl Client {
    /// Asks for the events of one plugin, or of all, and the history before.
    pub fn follow(mut self, plugin: Option<String>) -> Result<(Vec<Told>, Following), Failure> {
        let history = self.ask(&Request::History { plugin, follow: true })?;
        Ok((history, Following { client: self }))
    }

    fn understood<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, Failure> {
        let answer = serde_json::from_slice::<Answer<T>>(line);
        answer.map_err(|error| self.not_understood(&error))?.into()
    }

    /// `None` where nobody listens.
    pub fn connect(place: &Place) -> Result<Option<Self>, Failure> {
        let path = printable(place.path());
        let stream = match UnixStream::connect(place.path()) {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                    io::ErrorKind::PermissionDenied => Err(Failure::io(
                        "PB1009",
                        format!("this user may not reach the host on {path}"),
                        &error,
                        "do it as the user who started the host, or go without it with --alone",
                    )),
                    _ => Err(Failure::io(
                        "PB1010",
                        format!("the host on {path} cannot be reached"),
                        &error,
                        "name the socket of a host with --socket",
                    )),
                };
            }
        };
        // In a shared folder, somebody else may listen there in the host's name.
        let server = getsockopt(&stream, PeerCredentials).map_err(|error| {
            let message = format!("who listens on {path} is not known");
            Failure::io("PB1010", message, &error.into(), "use another --socket")
        })?;
        let own = geteuid();
        if !own.is_root() && server.uid() != 0 && server.uid() != own.as_raw() {
            return Err(Failure::new(
                "PB1009",
                Exit::NotPermitted,
                format!("the host on {path} belongs to user {}", server.uid()),
                "name the socket of your own host with --socket, or go without one with --alone",
            ));
        }
        Ok(Some(Self { stream: BufReader::new(stream), place: place.clone() }))
    }

    /// Asks, and waits for the answer as long as it takes.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let text = serde_json::to_string(request).map_err(|e| self.not_understood(&e))?;
        match lines::write(self.stream.get_ref(), text) {
            Ok(()) => {}
            Err(LineError::TooLong) => {
                return Err(Failure::new(
                    "PB1013",
                    Exit::Failed,
                    "the arguments are too long for the host's socket (64 MiB at most)",
                    "give less at once, or call without the host: --alone",
                ));
            }
            // A host that has too many clients says so before it hangs up.
            Err(LineError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(LineError::Io(error)) => return Err(self.lost(&error)),
        }
        match lines::read(&mut self.stream, None) {
            Ok(Some(line)) => self.understood(&line),
            Ok(None) => Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Err(LineError::Io(error)) => Err(self.lost(&error)),
            Err(LineError::TooLong) => Err(self.lost(&io::ErrorKind::InvalidData.into())),
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let path = printable(self.place.path());
        Failure {
            exit: Exit::Failed,
            ..Failure::io(
                "PB1010",
                format!("the host on {path} hung up before it answered"),
                error,
                "see whether it still runs: host-app doctor",
            )
        }
    }

    fn not_understood(&self, error: &serde_json::Error) -> Failure {
        let path = printable(self.place.path());
        Failure::new(
            "PB1011",
            Exit::Failed,
            format!("what the host on {path} said is not understood: {error}"),
            "use the host-app that the host was started with, or name another --socket",
        )
    }
}
