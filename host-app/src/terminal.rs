//! Standard output: results for people or as JSON, colours only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// How results are to be written.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// `--json`.
    pub json: bool,
    /// Standard output is a terminal: tables may be framed and wrapped.
    pub terminal: bool,
    /// It takes colours, too.
    pub colour: bool,
}

/// The few colours there are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Good,
    Doubtful,
    Bad,
    Faint,
    Strong,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { json, terminal, colour: terminal && colours_wanted() }
    }

    /// Text in a colour, or as it is.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let number = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }

    /// One JSON document: over several lines on a terminal, else on one.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.terminal {
            true => serde_json::to_string_pretty(value),
            false => serde_json::to_string(value),
        };
        self.text(&format!("{}\n", text.map_err(|error| cannot_write(&error.into()))?))
    }

    /// One JSON document on one line, whatever standard output is.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| cannot_write(&error.into()))?;
        self.text(&format!("{text}\n"))
    }

    /// Whether nobody reads it any more.
    pub fn is_closed(&self) -> bool {
        let stdout = io::stdout();
        let mut waits = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        poll(&mut waits, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// Text as it is. A reader that went away has seen what it wanted.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
            _ => Ok(()),
        }
    }
}

/// Tells why a command failed: people on standard error, programs on standard
/// output.
pub fn tell(failure: &Failure, json: bool) {
    if json {
        let _ = Output::new(true).json(&serde_json::json!({ "error": failure }));
        return;
    }
    let colour = io::stderr().is_terminal() && colours_wanted();
    let (red, plain) = if colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let _ = io::stderr().write_all(failure.for_people(red, plain).as_bytes());
}

/// Text of a plugin or a file, without what would steer a terminal.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

/// As `harmless`, on one line.
pub fn one_line(text: &str) -> String {
    harmless(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// https://no-color.org: set, and not to nothing.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn cannot_write(error: &io::Error) -> Failure {
    let help = "see that there is room where standard output leads";
    Failure {
        exit: Exit::Failed,
        ..Failure::io("PB1017", "the result cannot be written", error, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_others_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\x1b[31mb\nc\x07"), "a\u{fffd}[31mb\nc\u{fffd}");
        assert_eq!(one_line(" a\n  b\tc "), "a b c");
    }
}
