//! The host's events, for clients that follow them.
//!
//! One thread takes the events and puts them into the followers' queues; each
//! follower's own thread writes them out. So a slow client holds up nobody, and
//! one that goes away is seen at once, and not at the next event.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugbay_loader::{Event, Events, Host};
use serde_json::json;

use super::lines;
use super::messages::Answer;
use crate::event_line::Told;
use crate::terminal::Tone;

/// How many events a client may be behind before it misses some.
const BACKLOG: usize = 1024;

/// The clients that follow.
#[derive(Debug, Default)]
pub struct Followers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    followers: Vec<Weak<Follower>>,
    ended: bool,
}

/// One of them.
#[derive(Debug)]
struct Follower {
    queue: Mutex<VecDeque<Arc<Event>>>,
    /// A byte in it says that there is something to do.
    wake: UnixStream,
}

impl Follower {
    fn wake(&self) {
        // A full one has bytes enough.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Followers {
    /// Takes the events until the host is gone.
    pub fn listen(self: &Arc<Self>, events: Events) -> io::Result<()> {
        let followers = self.clone();
        thread::Builder::new()
            .name("followers".into())
            .spawn(move || events.for_each(|event| followers.hand_out(&Arc::new(event))))?;
        Ok(())
    }

    fn hand_out(&self, event: &Arc<Event>) {
        self.state().followers.retain(|follower| {
            let Some(follower) = follower.upgrade() else { return false };
            let mut queue = follower.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() == BACKLOG {
                queue.pop_front();
            }
            queue.push_back(event.clone());
            drop(queue);
            follower.wake();
            true
        });
    }

    /// Lets all of them go, with what has happened until now.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        for follower in state.followers.iter().filter_map(Weak::upgrade) {
            follower.wake();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what has happened, then what happens, until the client or the host
    /// goes.
    pub fn follow(&self, host: &Host, client: &UnixStream, plugin: Option<&str>) -> io::Result<()> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let queue = Mutex::default();
        let follower = Arc::new(Follower { queue, wake });
        self.state().followers.push(Arc::downgrade(&follower));
        // Asked after that, so that between the two nothing is missed.
        let history = host.history();
        let mut next = history.first().map_or(1, |event| event.number);
        let begin = told(history.iter(), plugin, &mut next);
        write(client, begin)?;
        loop {
            match wait(client, &woken)? {
                Woken::ClientIsGone => return Ok(()),
                Woken::Event => {}
            }
            // Asked before the queue is emptied, so that the last ones are told.
            let ended = self.state().ended;
            let queued =
                std::mem::take(&mut *follower.queue.lock().unwrap_or_else(PoisonError::into_inner));
            let mut lines = told(queued.iter().map(|event| &**event), plugin, &mut next);
            if ended {
                lines.extend(told(host.history().iter(), plugin, &mut next));
            }
            if !lines.is_empty() {
                write(client, lines)?;
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// Their lines, from the number `next` on, and how many are missing among them.
pub fn told<'a>(
    events: impl Iterator<Item = &'a Event>,
    plugin: Option<&str>,
    next: &mut u64,
) -> Vec<Told> {
    let mut lines = Vec::new();
    for event in events.filter(|event| event.number >= *next).collect::<Vec<_>>() {
        if event.number > *next {
            let count = event.number - *next;
            let text = format!("{count} events are not told: they came faster than they were read");
            let json = json!({ "event": "missed", "count": count });
            lines.push(Told { time: None, text, tone: Some(Tone::Doubtful), json });
        }
        *next = event.number + 1;
        let about = event.happening.plugin().map(|id| id.as_str());
        if plugin.is_none_or(|plugin| about == Some(plugin)) {
            lines.push(Told::event(event));
        }
    }
    lines
}

enum Woken {
    Event,
    ClientIsGone,
}

fn wait(client: &UnixStream, mut woken: &UnixStream) -> io::Result<Woken> {
    loop {
        let mut waits = [
            PollFd::new(client.as_fd(), PollFlags::POLLIN),
            PollFd::new(woken.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [client, woke] = waits.map(|wait| wait.any() == Some(true));
        // It has nothing more to say, so it hung up, or does not know what it does.
        if client {
            return Ok(Woken::ClientIsGone);
        }
        if woke {
            let mut bytes = [0; 64];
            while matches!(woken.read(&mut bytes), Ok(count) if count > 0) {}
            return Ok(Woken::Event);
        }
    }
}

fn write(client: &UnixStream, lines: Vec<Told>) -> io::Result<()> {
    let line = serde_json::to_string(&Answer::Ok(lines))?;
    lines::write(client, line).map_err(|error| match error {
        lines::LineError::Io(error) => error,
        lines::LineError::TooLong => io::ErrorKind::InvalidData.into(),
    })
}
