//! Which of all plugins are listed.

use std::path::PathBuf;
use std::sync::Arc;

use plugbay_loader::printable;
use plugbay_loader::registry::{PluginRecord, Query, Registry, Status};

use crate::args::Filters;
use crate::control::{Overview, PluginLine, RefusedLine};

impl Filters {
    fn is_any(&self) -> bool {
        self.status.is_some() || self.kind.is_some() || self.capability.is_some()
    }

    fn wants(&self, status: &str, kinds: &[String], capabilities: &[String]) -> bool {
        self.status.as_deref().is_none_or(|wanted| wanted == status)
            && self.kind.as_ref().is_none_or(|kind| kinds.contains(kind))
            && self.capability.as_ref().is_none_or(|word| capabilities.contains(word))
    }

    /// Leaves what is wanted, and adds what is gone where that is.
    pub fn apply(
        &self,
        overview: &mut Overview,
        registry: impl FnOnce() -> Option<Arc<dyn Registry>>,
    ) {
        if !self.is_any() {
            return;
        }
        overview
            .plugins
            .retain(|line| self.wants(status_of(line), &line.kinds, &line.capabilities));
        overview
            .refused
            .retain(|line| self.wants(status_of_refused(line), &line.kinds, &line.capabilities));
        overview.pinned.clear();
        overview.notices.clear();
        if self.status.as_deref() == Some("gone")
            && let Some(registry) = registry()
        {
            overview.plugins.extend(self.gone(&*registry));
        }
    }

    fn gone(&self, registry: &dyn Registry) -> Vec<PluginLine> {
        let found = registry.query(&Query::new().status(Status::Gone));
        let found = found.inspect_err(|error| log::warn!("{}: {error}", error.code()));
        let records = found.unwrap_or_default().into_iter();
        records.filter(|it| self.wants("gone", &it.kinds, &it.capabilities)).map(line).collect()
    }
}

/// What would run where no host was asked counts as active.
fn status_of(line: &PluginLine) -> &str {
    match line.state.as_str() {
        "verified" => "active",
        state => state,
    }
}

fn status_of_refused(line: &RefusedLine) -> &'static str {
    match line.code.as_str() {
        "PB0305" => "disabled",
        "PB0318" | "PB0401" | "PB0402" => "held_back",
        _ => "refused",
    }
}

fn line(record: PluginRecord) -> PluginLine {
    let path: PathBuf = record.path;
    PluginLine {
        id: record.id.to_string(),
        name: record.id.to_string(),
        version: record.version.to_string(),
        state: record.status.to_string(),
        generation: None,
        calls: 0,
        generations: Vec::new(),
        results: None,
        pinned: Vec::new(),
        path: printable(&path),
        hash: record.hash.to_string(),
        description: record.description,
        kinds: record.kinds,
        capabilities: record.capabilities,
    }
}
