//! How plugins are reloaded, and whether a host does that by itself.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use plugbay_loader::{HostBuilder, WatchOptions};
use serde::Deserialize;

use super::Seconds;
use crate::args::WatchFlags;
use crate::exit::{Exit, Failure};

/// What the variables are called.
pub const NO_WATCH: &str = "PLUGBAY_NO_WATCH";
pub const POLL: &str = "PLUGBAY_POLL_SECONDS";

/// `[watch]` in the config file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WatchTable {
    enabled: Option<bool>,
    poll_seconds: Option<Interval>,
    keep_removed: bool,
}

/// `[reload]` in the config file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReloadTable {
    probation_seconds: Option<Seconds>,
    allowed_troubles: Option<u32>,
    max_generations: Option<Count>,
    pub(super) drain_seconds: Option<Seconds>,
    pause_seconds: Option<Seconds>,
}

/// A time that is not nothing.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Seconds")]
pub struct Interval(Duration);

impl TryFrom<Seconds> for Interval {
    type Error = String;

    fn try_from(Seconds(time): Seconds) -> Result<Self, String> {
        // More often than this, the looking is all that the machine does.
        match time >= Duration::from_millis(10) {
            true => Ok(Self(time)),
            false => Err(format!("{} is no interval: 0.01 seconds at least", time.as_secs_f64())),
        }
    }
}

impl std::str::FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
        Seconds::try_from(seconds)?.try_into()
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
struct Count(usize);

impl TryFrom<usize> for Count {
    type Error = &'static str;

    fn try_from(count: usize) -> Result<Self, Self::Error> {
        if count == 0 { Err("0 generations are none: 1 at least") } else { Ok(Self(count)) }
    }
}

/// How the folders are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    pub enabled: bool,
    /// Looks at an interval, instead of waiting for events.
    pub poll: Option<Duration>,
    /// A removed file does not retire its plugin.
    pub keep_removed: bool,
}

/// What the environment says of it.
#[derive(Debug, Default)]
pub(super) struct WatchEnvironment {
    pub(super) no_watch: Option<OsString>,
    pub(super) poll: Option<OsString>,
}

impl Watching {
    /// By the first of these that says something: flag, environment, file.
    pub(super) fn by(
        flags: &WatchFlags,
        environment: &WatchEnvironment,
        file: &WatchTable,
    ) -> Result<Self, Failure> {
        let poll = match environment.poll.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(interval(text)?),
            None => None,
        };
        let unwanted =
            environment.no_watch.as_deref().is_some_and(|text| !text.is_empty() && text != "0");
        let enabled = if flags.no_watch {
            false
        } else if flags.poll.is_some() {
            true
        } else if environment.no_watch.is_some() {
            !unwanted
        } else {
            file.enabled.unwrap_or(true)
        };
        let Interval(poll) = match flags.poll.or(poll).or(file.poll_seconds) {
            Some(interval) => interval,
            None => return Ok(Self { enabled, poll: None, keep_removed: file.keep_removed }),
        };
        Ok(Self { enabled, poll: Some(poll), keep_removed: file.keep_removed })
    }

    /// Not at all.
    pub fn off() -> Self {
        Self { enabled: false, poll: None, keep_removed: false }
    }

    /// A host that watches its folders, where that is wanted.
    pub fn applied(&self, host: HostBuilder) -> HostBuilder {
        if !self.enabled {
            return host;
        }
        let mut options = WatchOptions::default();
        options.poll = self.poll;
        host.watch(options).keep_removed(self.keep_removed)
    }
}

fn interval(text: &OsStr) -> Result<Interval, Failure> {
    let parsed = text.to_str().ok_or_else(|| "it is no text".to_owned()).and_then(str::parse);
    parsed.map_err(|error: String| {
        let help = "give a number of seconds, for example 2, or unset it";
        Failure::new("PB1022", Exit::Usage, format!("the variable {POLL} is wrong: {error}"), help)
    })
}

impl ReloadTable {
    pub(super) fn applied(&self, mut host: HostBuilder) -> HostBuilder {
        if let Some(Seconds(time)) = self.probation_seconds {
            host = host.probation(time);
        }
        if let Some(most) = self.allowed_troubles {
            host = host.allowed_troubles(most);
        }
        if let Some(Count(most)) = self.max_generations {
            host = host.max_generations(most);
        }
        if let Some(Seconds(limit)) = self.pause_seconds {
            host = host.pause_limit(limit);
        }
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(flags: &WatchFlags, environment: [Option<&str>; 2], file: &str) -> Watching {
        let [no_watch, poll] = environment.map(|text| text.map(OsString::from));
        let file = toml::from_str(file).unwrap();
        Watching::by(flags, &WatchEnvironment { no_watch, poll }, &file).unwrap()
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let none = WatchFlags::default();
        let unset = [None, None];
        let on = Watching { enabled: true, poll: None, keep_removed: false };
        assert_eq!(by(&none, unset, ""), on);
        let file = "enabled = false\npoll_seconds = 5\nkeep_removed = true";
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let said = Watching { enabled: false, poll: seconds(5), keep_removed: true };
        assert_eq!(by(&none, unset, file), said);
        let said = by(&none, [Some("0"), Some("3")], file);
        assert_eq!((said.enabled, said.poll), (true, seconds(3)));
        assert!(!by(&none, [Some("1"), None], "enabled = true").enabled);
        let flags = WatchFlags { poll: Some("2".parse().unwrap()), ..WatchFlags::default() };
        let said = by(&flags, [Some("1"), Some("3")], file);
        assert_eq!((said.enabled, said.poll), (true, seconds(2)));
        let flags = WatchFlags { no_watch: true, poll: None };
        assert!(!by(&flags, [Some("0"), None], "enabled = true").enabled);
    }

    #[test]
    fn what_is_no_interval_is_said_so() {
        for text in ["", "x", "-1", "0", "0.001", "NaN", "1e99"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
        let environment = WatchEnvironment { no_watch: None, poll: Some("soon".into()) };
        let failure =
            Watching::by(&WatchFlags::default(), &environment, &WatchTable::default()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.exit), ("PB1022", Exit::Usage));
        assert!(failure.message.contains("`soon`"), "{}", failure.message);
    }
}
