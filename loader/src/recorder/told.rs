//! What happens in a host, as the registry's history has it.

use plugbay_interface::manifest::PluginId;
use semver::Version;

use crate::error::{printable, shown_word};
use crate::events::{Cause, Event, Happening};
use crate::registry::{self, EventKind, Timestamp};

/// None for what the history does not have.
pub(super) fn event(event: &Event) -> Option<registry::Event> {
    let (plugin, version, kind, text) = said(&event.happening)?;
    let version = match &event.happening {
        // The one that it is about serves on.
        Happening::Kept { .. } => None,
        _ => version.or(event.version()),
    };
    let mut told = registry::Event::new(plugin.clone(), version.cloned(), kind, text);
    let time = Timestamp::try_from(event.at).ok();
    // In milliseconds, as the others.
    if let Some(time) = time.and_then(|it| Timestamp::from_millisecond(it.as_millisecond()).ok()) {
        told.time = time;
    }
    Some(told)
}

fn said(happening: &Happening) -> Option<(&PluginId, Option<&Version>, EventKind, String)> {
    Some(match happening {
        Happening::Loaded { plugin, version, generation, path, .. } => {
            let text = format!("generation {generation}, from {}", printable(path));
            (plugin, Some(version), EventKind::Loaded, text)
        }
        Happening::Reloaded(told) => {
            let kind = match told.cause {
                Cause::Rollback | Cause::Trouble(_) => EventKind::RolledBack,
                _ => EventKind::Reloaded,
            };
            let text =
                format!("generation {}, in place of version {}", told.to_generation, told.from);
            (&told.plugin, Some(&told.to), kind, text)
        }
        Happening::Kept { plugin, version, code, reason, .. } => {
            let text = format!(
                "a new file was not taken, {version} serves on: {code}: {}",
                without_its_words(reason)
            );
            (plugin, None, EventKind::Refused, text)
        }
        Happening::Configured(told) => {
            let text = format!("generation {}, while it served", told.generation);
            (&told.plugin, Some(&told.version), EventKind::Configured, text)
        }
        // Without its words, which may quote the configuration.
        Happening::NotConfigured { plugin, version, code, .. } => {
            let text = format!("{code}: did not take another configuration");
            (plugin, Some(version), EventKind::Refused, text)
        }
        Happening::Refused { plugin, code, reason, .. } => {
            let text = format!("{code}: {}", without_its_words(reason));
            (plugin.as_ref()?, None, EventKind::Refused, text)
        }
        Happening::Unloaded { plugin, cause, .. } => {
            let text = match cause {
                Cause::Decision(why) => without_its_words(why),
                _ => String::new(),
            };
            (plugin, None, EventKind::Unloaded, text)
        }
        _ => return None,
    })
}

/// A reason on one line, without what a plugin said when it did not come up: that may
/// quote its configuration, of which nothing is kept.
pub(crate) fn without_its_words(reason: &str) -> String {
    let mut text = reason.lines().next().unwrap_or_default();
    for what in ["activation failed", "activation panicked"] {
        // What it said stands behind it, up to the end.
        if let Some((before, _)) = text.split_once(what) {
            text = reason.get(..before.len() + what.len()).unwrap_or(before);
        }
    }
    shown_word(text)
}

#[cfg(test)]
mod tests {
    use super::without_its_words;

    #[test]
    fn what_a_plugin_says_of_its_configuration_is_not_kept() {
        for (reason, kept) in [
            ("needs a host ^2", "needs a host ^2"),
            ("activation failed: password `hunter2` is wrong", "activation failed"),
            (
                "needs b ^1; b 1.0.0 is not run: does not come up: PB0602: \
                 activation panicked: hunter2\n    at x",
                "needs b ^1; b 1.0.0 is not run: does not come up: PB0602: \
                 activation panicked",
            ),
        ] {
            assert_eq!(without_its_words(reason), kept);
        }
    }
}
