use std::path::Path;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use plugbay_loader::printable;

use crate::exit::{Exit, Failure};

/// What a plugin is built from, besides `src/`.
const FILES: [&str; 3] = ["Cargo.toml", "plugin.toml", "build.rs"];

/// The sources of a crate, watched until this is dropped.
pub struct Sources {
    _watcher: RecommendedWatcher,
}

impl Sources {
    /// Calls `changed` for each event, from a thread of its own.
    pub fn watch(dir: &Path, changed: impl Fn() + Send + 'static) -> Result<Self, Failure> {
        let root = dir.to_owned();
        let failed = |error: notify::Error| {
            Failure::new(
                "PB1024",
                Exit::Failed,
                format!("the sources in {} cannot be watched: {error}", printable(dir)),
                "raise the limits: sysctl fs.inotify.max_user_watches=524288 \
                 fs.inotify.max_user_instances=1024",
            )
        };
        let mut watcher = notify::recommended_watcher(move |event| match event {
            Ok(event) if is_source(&root, &event) => changed(),
            Ok(_) => {}
            Err(error) => log::warn!("changes of the sources may be missed: {error}"),
        })
        .map_err(failed)?;
        watcher.watch(dir, RecursiveMode::NonRecursive).map_err(failed)?;
        let sources = dir.join("src");
        if sources.is_dir() {
            watcher.watch(&sources, RecursiveMode::Recursive).map_err(failed)?;
        }
        Ok(Self { _watcher: watcher })
    }
}

fn is_source(root: &Path, event: &Event) -> bool {
    // The compiler reads them, too.
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    // Events were lost: any of them may have changed.
    event.need_rescan() || event.paths.iter().any(|path| is_source_path(root, path))
}

fn is_source_path(root: &Path, path: &Path) -> bool {
    let Ok(inner) = path.strip_prefix(root) else { return false };
    let Some(name) = inner.file_name().and_then(|name| name.to_str()) else { return false };
    match inner.starts_with("src") {
        // Not what editors keep beside a file while it is edited.
        true => !name.starts_with('.') && !name.ends_with('~'),
        false => FILES.contains(&name) && inner.parent() == Some(Path::new("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_from_what_lies_beside_them() {
        let is = |path: &str| is_source_path(Path::new("/crate"), Path::new(path));
        for path in ["/crate/src/lib.rs", "/crate/src/a/b.txt", "/crate/Cargo.toml"] {
            assert!(is(path), "{path}");
        }
        for path in [
            "/crate/Cargo.lock",
            "/crate/target",
            "/crate/target/Cargo.toml",
            "/crate/src/.lib.rs.swp",
            "/crate/src/lib.rs~",
            "/other/src/lib.rs",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
