//! An event on one line: for people as a sentence, for programs as JSON.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plugbay_loader::{Cause, Event, Happening, PluginId, Reconfigured, Reloaded, Times, printable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Failure;
use crate::terminal::{Output, Tone, one_line};

/// One line of what happened, as it is printed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The time of day, where it is told later than it happened.
    pub time: Option<String>,
    pub text: String,
    pub tone: Option<Tone>,
    /// The same with `--json`.
    pub json: Value,
}

impl Told {
    pub fn event(event: &Event) -> Self {
        Self {
            time: Some(time_of_day(event.at, TimeZone::system())),
            text: sentence(&event.happening, event.name.as_deref()),
            tone: tone(&event.happening),
            // Not reached: these types have string keys only.
            json: serde_json::to_value(event).unwrap_or_default(),
        }
    }

    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        if output.json {
            return output.json_line(&self.json);
        }
        let text = one_line(&self.text);
        let text = self.tone.map_or_else(|| text.clone(), |tone| output.paint(tone, &text));
        match &self.time {
            Some(time) => output.text(&format!("{} {text}\n", output.paint(Tone::Faint, time))),
            None => output.text(&format!("{text}\n")),
        }
    }
}

/// What happened, on one line, without the time. `name` is what the plugin is called, where
/// that is known.
pub fn sentence(happening: &Happening, name: Option<&str>) -> String {
    let id = happening.plugin().map(PluginId::as_str);
    let name = name.or(id).unwrap_or_default();
    let text = match happening {
        Happening::Loaded { version, generation, cause, times, .. } => {
            let loaded = why("loaded", cause);
            format!("{name} {version} {loaded} (generation {generation}){}", serving(times))
        }
        Happening::Reloaded(told) => reloaded(told, name),
        Happening::Kept { version, generation, path, code, reason, help, times, .. } => format!(
            "{name} {version} serves on (generation {generation}): {} was not taken: {code}: \
             {}; help: {help}{}",
            printable(path),
            reason.trim_end(),
            steps(times),
        ),
        Happening::Configured(told) => configured(told, name),
        Happening::NotConfigured { version, generation, code, reason, help, .. } => {
            format!(
                "{name} {version} serves on with the configuration that it had (generation \
                 {generation}): {code}: {}; help: {help}",
                reason.trim_end()
            )
        }
        Happening::Refused { path, plugin, code, reason, help } => {
            let plugin = plugin.as_ref().map_or_else(String::new, |_| format!(" ({name})"));
            format!("refused {}{plugin}: {code}: {reason}; help: {help}", printable(path))
        }
        Happening::Unloaded { generation, cause, state_kept, .. } => {
            let kept = if *state_kept { ", its state is kept" } else { "" };
            format!("{name} {} (generation {generation} ended{kept})", why("unloaded", cause))
        }
        Happening::Retired { version, generation, times, pinned, failures, .. } => {
            let mut text = format!("{name} {version} retired (generation {generation}): ");
            match pinned {
                None => text.push_str("unmapped"),
                Some(pin) => {
                    let _ = write!(text, "its library is still in memory: {pin}");
                }
            }
            text.push_str(&steps(times));
            for failure in failures {
                let _ = write!(text, "; but {failure}");
            }
            text
        }
        Happening::InUse { generation, holders, .. } => {
            let holders: Vec<_> = holders.iter().map(ToString::to_string).collect();
            let holders = holders.join("; ");
            format!("{name} generation {generation} cannot end, it is still in use: {holders}")
        }
        Happening::Registry { code, problem, help } => {
            format!("the registry: {code}: {problem}; help: {help}")
        }
        Happening::Watching { code, problem, help } => {
            format!("watching the folders: {code}: {problem}; help: {help}")
        }
        // Of a newer loader than this was written for.
        other => format!("{other:?}"),
    };
    one_line(&text)
}

/// A change of generations of what is called so.
pub fn reloaded(told: &Reloaded, name: &str) -> String {
    let Reloaded { from, to, from_generation, to_generation, times, .. } = told;
    let how = match &told.cause {
        Cause::Rollback | Cause::Trouble(_) => why("rolled back", &told.cause),
        cause => why("reloaded", cause),
    };
    let mut text = format!(
        "{name} {how}: {from} → {to} (generation {from_generation} → {to_generation}){}",
        serving(times)
    );
    if let Some(pause) = times.pause {
        let _ = write!(text, "; calls paused {}", readable(pause));
        let state = told.state_bytes.map(|bytes| format!("state {bytes} bytes"));
        let drain = times.drain.map(|time| format!("drain {}", readable(time)));
        let save = times.save.map(|time| format!("save {}", readable(time)));
        let of: Vec<_> = [drain, save, state].into_iter().flatten().collect();
        if !of.is_empty() {
            let _ = write!(text, " ({})", of.join(", "));
        }
    }
    match told.calls_waited {
        0 => {}
        1 => text.push_str("; 1 call waited"),
        count => {
            let _ = write!(text, "; {count} calls waited");
        }
    }
    if let Some(note) = &told.note {
        let _ = write!(text, "; {note}");
    }
    one_line(&text)
}

/// Another configuration in the same generation.
pub fn configured(told: &Reconfigured, name: &str) -> String {
    let Reconfigured { version, generation, cause, times, .. } = told;
    let took = times.configure.map(|time| format!(" in {}", readable(time))).unwrap_or_default();
    let how = why("configured", cause);
    one_line(&format!("{name} {version} {how}{took}, without a reload (generation {generation})"))
}

/// As short as it can be read: 12 µs, 3.4 ms, 5.6 s.
pub fn readable(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros @ 1000..1_000_000 => format!("{}.{} ms", micros / 1000, micros / 100 % 10),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn why(what: &str, cause: &Cause) -> String {
    match cause {
        Cause::Start => format!("{what} at the start"),
        Cause::Request => format!("{what} on request"),
        Cause::Demand => format!("{what} on demand"),
        Cause::Trouble(trouble) => format!("{what} in trouble ({trouble})"),
        Cause::Decision(why) => format!("{what}: {why}"),
        // A file is what it mostly is; a rollback is said with the word.
        _ => what.to_owned(),
    }
}

/// From the file's event until it served, and the steps of it.
fn serving(times: &Times) -> String {
    let steps = [times.detect, times.verify, times.probe, times.load, times.activate];
    if steps.iter().all(Option::is_none) {
        return String::new();
    }
    let all = steps.iter().flatten().sum();
    let named = named(&[
        ("detect", times.detect),
        ("verify", times.verify),
        ("probe", times.probe),
        ("load", times.load),
        ("activate", times.activate),
    ]);
    format!(", serving after {} ({named})", readable(all))
}

/// All that took time.
fn steps(times: &Times) -> String {
    let named = named(&[
        ("detect", times.detect),
        ("verify", times.verify),
        ("probe", times.probe),
        ("load", times.load),
        ("activate", times.activate),
        ("pause", times.pause),
        ("configure", times.configure),
        ("drain", times.drain),
        ("save", times.save),
        ("unload", times.unload),
    ]);
    if named.is_empty() { named } else { format!(" ({named})") }
}

fn named(times: &[(&str, Option<Duration>)]) -> String {
    let named = times.iter().filter_map(|(name, time)| Some((name, (*time)?)));
    let named: Vec<_> = named.map(|(name, time)| format!("{name} {}", readable(time))).collect();
    named.join(", ")
}

fn tone(happening: &Happening) -> Option<Tone> {
    match happening {
        Happening::Kept { .. } | Happening::NotConfigured { .. } | Happening::Refused { .. } => {
            Some(Tone::Bad)
        }
        Happening::InUse { .. } | Happening::Watching { .. } | Happening::Registry { .. } => {
            Some(Tone::Doubtful)
        }
        Happening::Retired { failures, .. } if !failures.is_empty() => Some(Tone::Doubtful),
        Happening::Retired { .. } => Some(Tone::Faint),
        Happening::Reloaded(Reloaded { cause: Cause::Trouble(_), .. }) => Some(Tone::Bad),
        _ => None,
    }
}

fn time_of_day(at: SystemTime, zone: TimeZone) -> String {
    match Timestamp::try_from(at) {
        Ok(at) => at.to_zoned(zone).strftime("%H:%M:%S%.3f").to_string(),
        // A clock beyond the year 9999.
        Err(_) => "--:--:--.---".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use plugbay_loader::Pin;
    use semver::Version;

    use super::*;

    /// Of one that is called by its id.
    fn sentence(happening: &Happening) -> String {
        super::sentence(happening, None)
    }

    fn id() -> PluginId {
        "kv".parse().unwrap()
    }

    fn version() -> Version {
        Version::new(1, 2, 3)
    }

    fn times() -> Times {
        let mut times = Times::default();
        times.detect = Some(Duration::from_micros(90));
        times.verify = Some(Duration::from_micros(1910));
        times.activate = Some(Duration::from_millis(1));
        times
    }

    #[test]
    fn times_are_short() {
        for (micros, said) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1000, "1.0 ms"),
            (12_345, "12.3 ms"),
            (999_999, "999.9 ms"),
            (1_000_000, "1.0 s"),
            (90_000_000, "90.0 s"),
        ] {
            assert_eq!(readable(Duration::from_micros(micros)), said);
        }
    }

    #[test]
    fn a_load_says_why_and_how_long() {
        let loaded = |cause, times| Happening::Loaded {
            plugin: id(),
            version: version(),
            generation: 7,
            path: "/p/kv.so".into(),
            cause,
            times,
        };
        assert_eq!(
            sentence(&loaded(Cause::Request, times())),
            "kv 1.2.3 loaded on request (generation 7), serving after 3.0 ms (detect 90 µs, \
             verify 1.9 ms, activate 1.0 ms)"
        );
        assert_eq!(
            sentence(&loaded(Cause::File, Times::default())),
            "kv 1.2.3 loaded (generation 7)"
        );
    }

    #[test]
    fn a_failure_has_code_reason_help_and_who_serves_on_and_stays_one_line() {
        let mut times = Times::default();
        times.verify = Some(Duration::from_micros(1500));
        let kept = Happening::Kept {
            plugin: id(),
            version: version(),
            generation: 3,
            path: "/p/kv.so".into(),
            cause: Cause::File,
            code: "PB0601".into(),
            reason: format!("activation failed:\n  \x1b[31m{}", "long ".repeat(500)),
            help: "mend it".into(),
            times,
        };
        let line = sentence(&kept);
        assert!(line.starts_with(
            "kv 1.2.3 serves on (generation 3): /p/kv.so was not taken: PB0601: activation \
             failed: \u{fffd}[31mlong"
        ));
        assert!(line.ends_with("long; help: mend it (verify 1.5 ms)"), "{line}");
        assert!(!line.contains('\n') && line.len() > 2000);
        assert!(matches!(tone(&kept), Some(Tone::Bad)));
    }

    #[test]
    fn a_configuration_that_is_not_taken_says_why_and_who_serves_on() {
        let not = Happening::NotConfigured {
            plugin: id(),
            version: version(),
            generation: 3,
            cause: Cause::Request,
            code: "PB1521".into(),
            reason: "it does not take its new configuration: no".into(),
            help: "mend it".into(),
        };
        assert_eq!(
            sentence(&not),
            "kv 1.2.3 serves on with the configuration that it had (generation 3): PB1521: it \
             does not take its new configuration: no; help: mend it"
        );
        assert!(matches!(tone(&not), Some(Tone::Bad)));
    }

    #[test]
    fn a_refusal_names_file_and_plugin() {
        let refused = |plugin| Happening::Refused {
            path: "/p/kv.so".into(),
            plugin,
            code: "PB0210".into(),
            reason: "the file ends early".into(),
            help: "copy it again".into(),
        };
        let rest = "PB0210: the file ends early; help: copy it again";
        assert_eq!(sentence(&refused(Some(id()))), format!("refused /p/kv.so (kv): {rest}"));
        assert_eq!(sentence(&refused(None)), format!("refused /p/kv.so: {rest}"));
    }

    #[test]
    fn an_end_says_what_is_left() {
        let unloaded = |cause, state_kept| Happening::Unloaded {
            plugin: id(),
            generation: 4,
            cause,
            state_kept,
        };
        assert_eq!(
            sentence(&unloaded(Cause::Request, true)),
            "kv unloaded on request (generation 4 ended, its state is kept)"
        );
        assert_eq!(sentence(&unloaded(Cause::File, false)), "kv unloaded (generation 4 ended)");
        // A reason may begin with what is one of its kind, or with a verb.
        let decided = Cause::Decision("one tracker runs at a time, and aim 1.0.0 runs".into());
        assert_eq!(
            sentence(&unloaded(decided, false)),
            "kv unloaded: one tracker runs at a time, and aim 1.0.0 runs (generation 4 ended)"
        );
        let retired = |pinned, failures: &[&str]| {
            let mut times = Times::default();
            times.drain = Some(Duration::from_micros(7));
            times.unload = Some(Duration::from_millis(2));
            Happening::Retired {
                plugin: id(),
                version: version(),
                generation: 4,
                times,
                pinned,
                failures: failures.iter().map(ToString::to_string).collect(),
            }
        };
        assert_eq!(
            sentence(&retired(None, &[])),
            "kv 1.2.3 retired (generation 4): unmapped (drain 7 µs, unload 2.0 ms)"
        );
        let signals = vec!["SIGUSR1".to_owned()];
        assert_eq!(
            sentence(&retired(Some(Pin::SignalHandlers { signals }), &["it did not say goodbye"])),
            "kv 1.2.3 retired (generation 4): its library is still in memory: it handles signals: \
             SIGUSR1 (drain 7 µs, unload 2.0 ms); but it did not say goodbye"
        );
    }

    #[test]
    fn what_holds_a_generation_and_what_hinders_watching_are_told() {
        let in_use = Happening::InUse { plugin: id(), generation: 2, holders: Vec::new() };
        assert!(sentence(&in_use).starts_with("kv generation 2 cannot end, it is still in use"));
        let watching = Happening::Watching {
            code: "PB1302".into(),
            problem: "too many\nwatches".into(),
            help: "raise the limit".into(),
        };
        let said = "watching the folders: PB1302: too many watches; help: raise the limit";
        assert_eq!(sentence(&watching), said);
    }

    #[test]
    fn of_versions_side_by_side_it_says_which() {
        let named = |happening: &Happening| super::sentence(happening, Some("kv@1"));
        let in_use = Happening::InUse { plugin: id(), generation: 2, holders: Vec::new() };
        assert!(named(&in_use).starts_with("kv@1 generation 2 cannot end"));
        let unloaded = Happening::Unloaded {
            plugin: id(),
            generation: 4,
            cause: Cause::File,
            state_kept: false,
        };
        assert_eq!(named(&unloaded), "kv@1 unloaded (generation 4 ended)");
    }

    #[test]
    fn the_time_of_day_is_the_zones() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 3600 + 62);
        assert_eq!(time_of_day(at, TimeZone::UTC), "03:01:02.000");
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(time_of_day(at, east), "05:01:02.000");
    }
}
