use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugbay_loader::{manifest_in, printable};
use serde_json::json;

use crate::control::{Overview, Place, Reloads, Request, demand};
use crate::event_line::Told;
use crate::exit::{Exit, Failure};
use crate::terminal::Tone;

/// How long a host that watches its folders may take to see a new file; then it
/// is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way from cargo's folder to a running host.
#[derive(Debug)]
pub struct Delivery {
    pub socket: Place,
    /// The plugins folder, where it was named.
    pub folder: Option<PathBuf>,
}

/// What came of a library.
#[derive(Debug)]
pub struct Delivered {
    pub plugin: String,
    pub told: Told,
    /// From the moment that it lay in the folder.
    pub time: Duration,
}

impl Delivery {
    /// Puts a library into the folder, and waits until its plugin serves or is
    /// refused.
    pub fn deliver(&self, library: &Path) -> Result<Delivered, Failure> {
        let bytes = fs::read(library).map_err(|error| {
            let message = format!("what cargo built cannot be read: {}", printable(library));
            Failure::io("PB1027", message, &error, "see whether another cargo works there")
        })?;
        let embedded = manifest_in(bytes.as_slice()).map_err(|error| {
            let message = format!("{} is no plugin: {error}", printable(library));
            Failure::new("PB1026", Exit::Refused, message, "use #[plugin] in its lib.rs")
        })?;
        let plugin = embedded.manifest.id.to_string();
        let overview: Overview = demand(&self.socket)?.ask(&Request::List)?;
        let target = self.target(&overview, &plugin, library)?;
        let same = fs::read(&target).is_ok_and(|there| there == bytes);
        let watches = overview.host.as_ref().is_some_and(|host| host.watches);
        let begin = Instant::now();
        let told = if same {
            self.ask(&plugin)
        } else if watches {
            let (history, mut following) = demand(&self.socket)?.follow(Some(plugin.clone()))?;
            drop(history);
            put(&bytes, &target)?;
            loop {
                let left = PATIENCE.saturating_sub(begin.elapsed());
                let lines = match left.is_zero() {
                    true => None,
                    false => following.next_within(Some(left))?,
                };
                match lines {
                    Some(lines) => {
                        if let Some(told) = lines.into_iter().find(decides) {
                            break Ok(told);
                        }
                    }
                    None => break self.ask(&plugin),
                }
            }
        } else {
            put(&bytes, &target)?;
            self.ask(&plugin)
        };
        Ok(Delivered { told: told?, plugin, time: begin.elapsed() })
    }

    /// What serves of a plugin, in a few words.
    pub fn serving(&self, plugin: &str) -> Option<String> {
        let overview: Overview = demand(&self.socket).ok()?.ask(&Request::List).ok()?;
        let line = overview.plugins.into_iter().find(|line| line.id == plugin)?;
        let generation = line.generation.filter(|_| line.state == "active")?;
        Some(format!("{plugin} {} serves on (generation {generation})", line.version))
    }

    /// A refusal is what came of it, too; that there is no host is not.
    fn ask(&self, plugin: &str) -> Result<Told, Failure> {
        let request = Request::Reload { plugin: Some(plugin.to_owned()) };
        let answer: Result<Reloads, Failure> = demand(&self.socket)?.ask(&request);
        match answer {
            Ok(reloads) => reloads.plugins.into_iter().next().ok_or_else(|| {
                let help = "use the host-app that the host was started with";
                Failure::new("PB1011", Exit::Failed, "the host told of no plugin", help)
            }),
            Err(failure) if failure.exit == Exit::Refused || failure.exit == Exit::NotFound => {
                let Failure { code, message, help, .. } = &failure;
                let text = format!("{plugin} was not taken: {code}: {message}; help: {help}");
                let json = json!({ "outcome": "refused", "plugin": plugin, "error": failure });
                Ok(Told { time: None, text, tone: Some(Tone::Bad), json })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Where the plugin lies already, else under the library's own name.
    fn target(
        &self,
        overview: &Overview,
        plugin: &str,
        library: &Path,
    ) -> Result<PathBuf, Failure> {
        let active = overview.plugins.iter().find(|line| line.id == plugin).map(|line| &line.path);
        let refused = overview.refused.iter().find(|line| line.id.as_deref() == Some(plugin));
        let there = active.or(refused.map(|line| &line.path)).map(PathBuf::from);
        let first = overview.folders.first().map(PathBuf::from);
        let folders: Vec<PathBuf> = overview.folders.iter().map(PathBuf::from).collect();
        let (Some(folder), Some(name)) = (self.folder.clone().or(first), library.file_name())
        else {
            let help = "name one that it has: host-app run --plugins DIR";
            return Err(Failure::new("PB1027", Exit::Failed, "the host has no folder", help));
        };
        if !folders.contains(&folder) {
            let message = format!("the running host does not look into {}", printable(&folder));
            let help =
                format!("leave --plugins out, or name one of: {}", overview.folders.join(", "));
            return Err(Failure::new("PB1027", Exit::Usage, message, help));
        }
        // One that was brought back from elsewhere is not to be replaced there.
        let inside = |path: &PathBuf| match &self.folder {
            Some(folder) => path.parent() == Some(folder),
            None => folders.iter().any(|folder| path.parent() == Some(folder)),
        };
        Ok(there.filter(inside).unwrap_or_else(|| folder.join(name)))
    }
}

/// Whether an event says what became of the new file.
fn decides(told: &Told) -> bool {
    let event = told.json.get("event").and_then(|event| event.as_str());
    matches!(event, Some("loaded" | "reloaded" | "kept" | "refused"))
}

/// Written aside and renamed, so that no host meets half of it.
fn put(bytes: &[u8], target: &Path) -> Result<(), Failure> {
    let folder = target.parent().unwrap_or(Path::new("."));
    // Hidden, and so no library to any host.
    let aside = || {
        let mut file = tempfile::Builder::new().prefix(".plugbay-dev-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(0o755))?;
        file.persist(target).map_err(|error| error.error)
    };
    aside().map(drop).map_err(|error| {
        let message = format!("{} cannot be written", printable(target));
        Failure::io("PB1027", message, &error, "see who may write to its folder: ls -ld")
    })
}
