use jiff::Timestamp;
use plugbay_manifest::PluginId;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::EventKind;
use crate::record::{Later, now};

/// Something that happened to a plugin. Values of its configuration are nobody's to keep
/// here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// To which plugin.
    pub plugin: PluginId,
    /// In which version, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What.
    pub kind: EventKind,
    /// In words.
    #[serde(default)]
    pub text: String,
    #[serde(flatten)]
    pub(crate) later: Later,
}

/// Which events are wanted; all of them, unless something is said.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// Only those of this plugin.
    pub plugin: Option<PluginId>,
    /// Only those of one of these kinds; of all, where there is none.
    pub kinds: Vec<EventKind>,
    /// Only those of this time or later.
    pub since: Option<Timestamp>,
    /// At most so many, the latest.
    pub limit: Option<usize>,
}

impl Event {
    /// Something that happens now.
    pub fn new(
        plugin: PluginId,
        version: Option<Version>,
        kind: EventKind,
        text: impl Into<String>,
    ) -> Self {
        Self { time: now(), plugin, version, kind, text: text.into(), later: Later::new() }
    }
}

impl HistoryQuery {
    /// All that is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events of this plugin.
    pub fn of(mut self, plugin: PluginId) -> Self {
        self.plugin = Some(plugin);
        self
    }

    /// Events of this kind, too.
    pub fn kind(mut self, kind: EventKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only events of this time or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// At most so many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.plugin.as_ref().is_none_or(|plugin| *plugin == event.plugin)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.since.is_none_or(|since| event.time >= since)
    }
}
