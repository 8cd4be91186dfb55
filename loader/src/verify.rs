use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use plugbay_interface::manifest::section::SectionError;
use plugbay_interface::manifest::{Embedded, Facts, Manifest, PluginId};
use semver::Version;

use crate::beside::{self, BesideError};
use crate::discover::Candidate;
use crate::error::{Explain, printable, quoted, shown_word};
use crate::image::{self, Found};
use crate::platform::{self, Writers};
use crate::snapshot::{CopyError, Draft, Snapshot};
use crate::workspace::Workspace;

/// What [`verify`] lets pass.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Take files that other users of the machine may change: those that everyone
    /// may write to, and those of another user than this one and root. Off by
    /// default.
    pub allow_world_writable: bool,
    /// The largest library that is taken, in bytes. 1 GiB by default.
    pub max_size: u64,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { allow_world_writable: false, max_size: 1 << 30 }
    }
}

/// A plugin library whose bytes were looked at and copied: what was verified is
/// the private copy, and the copy is what gets loaded. No code of it has run.
#[derive(Debug)]
pub struct Verified {
    candidate: Candidate,
    embedded: Embedded,
    snapshot: Snapshot,
}

impl Verified {
    /// The file in the plugins folder.
    pub fn path(&self) -> &Path {
        self.candidate.path()
    }

    /// Bytes that were copied from this file.
    pub(crate) fn known_as(self, path: &Path) -> Self {
        Self { candidate: self.candidate.known_as(path), ..self }
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.embedded.manifest
    }

    /// How the library was built.
    pub fn facts(&self) -> &Facts {
        &self.embedded.facts
    }

    /// The BLAKE3 hash of the whole file.
    pub fn hash(&self) -> blake3::Hash {
        self.snapshot.hash()
    }

    /// The private copy.
    pub(crate) fn copy_path(&self) -> &Path {
        self.snapshot.path()
    }

    pub(crate) fn rank(&self) -> usize {
        self.candidate.rank()
    }

    /// The copy's file, now that the library may stay mapped from it.
    pub(crate) fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }
}

/// Why a file is no plugin that this host can load.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", printable(.path))]
pub struct VerifyError {
    path: PathBuf,
    plugin: Option<Box<(PluginId, Version)>>,
    #[source]
    problem: Problem,
}

/// What is wrong: with the file in the folder, with its bytes, or with the copy.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the file is gone")]
    Gone,
    #[error("expected a library file, found {found}")]
    NotAFile { found: &'static str },
    #[error("the link leads nowhere")]
    Dangling,
    #[error("the link leads in a circle")]
    Circle,
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("everyone on this machine may change the file (mode {mode:04o})")]
    WorldWritable { mode: u32 },
    #[error("the file belongs to another user (uid {owner})")]
    Foreign { owner: u32 },
    #[error("the file is being written")]
    Unfinished,
    #[error("the file is empty")]
    Empty,
    #[error("the file has {found} bytes, and at most {most} are taken")]
    Large { found: u64, most: u64 },
    #[error(transparent)]
    Image(ImageError),
    #[error(transparent)]
    Copy(CopyError),
    #[error(transparent)]
    Beside(BesideError),
}

/// What is wrong with a library's bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Some other kind of file.
    #[error("expected a shared library of this platform, found {found}")]
    NotALibrary {
        /// What it is.
        found: Found,
    },
    /// The headers tell of more bytes than there are.
    #[error("the file ends early: its headers tell of {expected} bytes, there are {found}")]
    Truncated {
        /// Bytes that there should be at least.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The headers contradict each other.
    #[error("the file is damaged: {reason}")]
    Damaged {
        /// The first contradiction.
        reason: String,
    },
    /// Built for another processor.
    #[error("expected a library for {expected}, found one for {found}")]
    OtherMachine {
        /// This host's machine.
        expected: String,
        /// The file's.
        found: String,
    },
    /// An ELF file, but no shared library.
    #[error("expected a shared library, found {found}")]
    NotShared {
        /// What it is.
        found: Found,
    },
    /// A shared library, but no plugin.
    #[error("the library is no plugin: it has no manifest")]
    NotAPlugin,
    /// The ABI root is there, the manifest is not.
    #[error("the plugin has no manifest: the section was taken out of the file")]
    NoManifest,
    /// The manifest section cannot be read.
    #[error("the manifest is damaged: {0}")]
    Manifest(#[source] SectionError),
    /// Built for an interface of another major version.
    #[error("built for interface {found} ({}), this host has interface {expected}", shown_word(.rustc))]
    Interface {
        /// The host's major version.
        expected: u64,
        /// The plugin's version.
        found: Version,
        /// The plugin's compiler.
        rustc: String,
    },
    /// Built for another target triple.
    #[error("built for {}, this host is {expected}", shown_word(.found))]
    Target {
        /// The host's.
        expected: &'static str,
        /// The plugin's.
        found: String,
    },
    /// Built so that a panic ends the process.
    #[error("built with panic = \"{}\": a panic in it would end this process", shown_word(.found))]
    Panic {
        /// The panic strategy found.
        found: String,
    },
    /// The manifest is there, the ABI root is not.
    #[error("the plugin exports no usable `plugbay_root`")]
    NoRoot,
}

impl VerifyError {
    /// Whether somebody writes to the file: it is to be looked at again.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(
            self.problem,
            Problem::Unfinished | Problem::Beside(BesideError::Unfinished { .. })
        )
    }

    /// What is wrong with the manifest beside the library, where that is what is wrong.
    pub fn beside(&self) -> Option<&BesideError> {
        match &self.problem {
            Problem::Beside(error) => Some(error),
            _ => None,
        }
    }

    /// The file in the plugins folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says that it is, where that can be read. Nothing of it is certain.
    pub fn plugin(&self) -> Option<(PluginId, Version)> {
        self.plugin.as_deref().cloned()
    }
}

impl Explain for VerifyError {
    fn code(&self) -> &'static str {
        match &self.problem {
            Problem::Gone => "PB0201",
            Problem::NotAFile { .. } => "PB0202",
            Problem::Dangling => "PB0203",
            Problem::Circle => "PB0204",
            Problem::Unreadable(_) => "PB0205",
            Problem::WorldWritable { .. } => "PB0206",
            Problem::Foreign { .. } => "PB0222",
            Problem::Unfinished => "PB0223",
            Problem::Empty => "PB0207",
            Problem::Large { .. } => "PB0208",
            Problem::Image(image) => match image {
                ImageError::NotALibrary { .. } => "PB0209",
                ImageError::Truncated { .. } => "PB0210",
                ImageError::Damaged { .. } => "PB0211",
                ImageError::OtherMachine { .. } => "PB0212",
                ImageError::NotShared { .. } => "PB0213",
                ImageError::NotAPlugin => "PB0214",
                ImageError::NoManifest => "PB0215",
                ImageError::Manifest(_) => "PB0216",
                ImageError::Interface { .. } => "PB0217",
                ImageError::Target { .. } => "PB0218",
                ImageError::Panic { .. } => "PB0219",
                ImageError::NoRoot => "PB0220",
            },
            Problem::Copy(error) if error.dir().is_none() => "PB0205",
            Problem::Copy(_) => "PB0221",
            Problem::Beside(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        let path = quoted(&self.path).unwrap_or_else(|| "FILE".into());
        match &self.problem {
            Problem::Gone => "nothing, if it was removed on purpose".into(),
            Problem::NotAFile { .. } => "move it out of the plugins folder".into(),
            Problem::Dangling | Problem::Circle => {
                format!("remove the link, or let it lead to a library: ls -l {path}")
            }
            Problem::Unreadable(_) => {
                format!("see who may read it: ls -l {path}")
            }
            Problem::WorldWritable { .. } => format!(
                "take the right away with: chmod o-w {path}, or allow it on purpose \
                 (allow_world_writable)"
            ),
            Problem::Foreign { .. } => format!(
                "take it over with: chown \"$USER\" {path}, or allow it on purpose \
                 (allow_world_writable)"
            ),
            Problem::Unfinished => {
                format!("wait until its writer has closed it; who that is: fuser -v {path}")
            }
            Problem::Empty => "copy the file again; the copy stopped before it began".into(),
            Problem::Large { .. } => "strip the library of its debug information".into(),
            Problem::Image(image) => image.hint(),
            Problem::Copy(error) => match error.dir() {
                Some(dir) => format!("make room in, or see who may write to: {}", printable(dir)),
                None => format!("see who may read it: ls -l {path}"),
            },
            Problem::Beside(error) => error.hint(),
        }
    }
}

impl ImageError {
    fn hint(&self) -> String {
        match self {
            Self::NotALibrary { .. } | Self::NotShared { .. } => {
                "build the plugin with crate-type = [\"cdylib\"] and copy its .so here".into()
            }
            Self::Truncated { .. } => {
                "copy the file again; it was cut off, or is still being copied".into()
            }
            Self::Damaged { .. } | Self::Manifest(_) => {
                "copy the file again from where it was built; if it is the same there, build it \
                 again, without packers or own linker scripts"
                    .into()
            }
            Self::OtherMachine { .. } | Self::Target { .. } => {
                format!(
                    "build it for this machine: cargo build --target {}",
                    plugbay_interface::TARGET
                )
            }
            Self::NotAPlugin => {
                "move it to another folder if it is a library that a plugin needs; a plugin has \
                 #[plugin] on its `impl Plugin`"
                    .into()
            }
            Self::NoManifest => "do not run objcopy -R on it; strip is harmless".into(),
            Self::Interface { expected, .. } => format!(
                "build the plugin with plugbay-interface {expected}, or run a host that has its \
                 version"
            ),
            Self::Panic { .. } => {
                "build the plugin with panic = \"unwind\", the default of every cargo profile"
                    .into()
            }
            Self::NoRoot => "build it again: a linker script or version script hides it".into(),
        }
    }
}

/// Looks at a candidate's file and bytes and takes a private copy into
/// `workspace`. Does file I/O, and waits some milliseconds for one who has it open for
/// writing, but not for him to finish; loads nothing.
///
/// # Errors
///
/// The first thing that is wrong, the most general first: the file, its
/// format, its machine, the manifest, the interface, the target, the panic
/// strategy, and at last a manifest beside the library that says something else.
pub fn verify(
    candidate: Candidate,
    workspace: &Workspace,
    options: &VerifyOptions,
) -> Result<Verified, VerifyError> {
    let path = candidate.path();
    match look(path, workspace, options) {
        Ok((embedded, snapshot)) => {
            if let Err(error) = beside::check(path, &embedded.manifest) {
                let Manifest { id, version, .. } = embedded.manifest;
                let plugin = Some(Box::new((id, version)));
                let problem = Problem::Beside(error);
                return Err(VerifyError { path: path.to_owned(), plugin, problem });
            }
            Ok(Verified { candidate, embedded, snapshot: snapshot.used() })
        }
        Err(problem) => {
            let plugin = said_in(path, &problem).map(Box::new);
            Err(VerifyError { path: path.to_owned(), plugin, problem })
        }
    }
}

/// What a file says that it is which is whole, and for another interface, machine or kind
/// of panic.
fn said_in(path: &Path, problem: &Problem) -> Option<(PluginId, Version)> {
    use ImageError::{Interface, NoRoot, OtherMachine, Panic, Target};
    let Problem::Image(
        Interface { .. } | OtherMachine { .. } | Target { .. } | Panic { .. } | NoRoot,
    ) = problem
    else {
        return None;
    };
    let Manifest { id, version, .. } = image::manifest_of(&open(path).ok()?).ok()?.manifest;
    Some((id, version))
}

fn look(
    path: &Path,
    workspace: &Workspace,
    options: &VerifyOptions,
) -> Result<(Embedded, Snapshot), Problem> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(Problem::Unreadable)?;
    if !metadata.is_file() {
        return Err(Problem::NotAFile { found: platform::kind_of(&metadata) });
    }
    if let Some(mode) = platform::writable_by_everyone(&metadata)
        && !options.allow_world_writable
    {
        return Err(Problem::WorldWritable { mode });
    }
    if let Some(owner) = platform::foreign_owner(&metadata)
        && !options.allow_world_writable
    {
        return Err(Problem::Foreign { owner });
    }
    if is_being_written(&file) {
        return Err(Problem::Unfinished);
    }
    match metadata.len() {
        0 => return Err(Problem::Empty),
        found if found > options.max_size => {
            return Err(Problem::Large { found, most: options.max_size });
        }
        _ => {}
    }
    let draft = match workspace.spare_copy(&file) {
        Some(draft) => draft,
        None => new_copy(&file, workspace, options)?,
    };
    // Half of one version and half of another look well. Who has written meanwhile
    // has it open still, or has changed its times.
    if is_being_written(&file) {
        return Err(Problem::Unfinished);
    }
    let after = file.metadata().map_err(Problem::Unreadable)?;
    if !platform::is_unchanged(&metadata, &after) {
        return Err(Problem::Unfinished);
    }
    let embedded = image::inspect(draft.bytes()).map_err(Problem::Image)?;
    let snapshot = draft.named(&embedded.manifest).map_err(Problem::Copy)?;
    Ok((embedded, snapshot))
}

/// Glances at the original first, so that a folder full of other libraries is not
/// copied. What counts is the look at the copy, which nobody else can change.
fn new_copy(file: &File, workspace: &Workspace, options: &VerifyOptions) -> Result<Draft, Problem> {
    image::glance(file).map_err(Problem::Image)?;
    workspace.copy(file, options.max_size).map_err(|error| match error {
        CopyError::Large { found } => Problem::Large { found, most: options.max_size },
        error => Problem::Copy(error),
    })
}

/// Whether somebody has the file open for writing, and goes on doing so. Not at the
/// first look: a writer that starts a process has left it what it had open, until that
/// process runs its own program.
pub(crate) fn is_being_written(file: &File) -> bool {
    let mut pause = Duration::from_millis(1);
    while platform::writers_of(file) == Writers::Somebody {
        if pause > LONGEST_PAUSE {
            return true;
        }
        thread::sleep(pause);
        pause *= 2;
    }
    false
}

/// All of them together are 31 ms.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Whether the file says that it is this plugin. Nothing is checked or copied:
/// it only saves the work for files that are others.
pub(crate) fn says_to_be(library: &Path, id: &PluginId) -> bool {
    open(library).is_ok_and(|file| {
        image::manifest_of(&file).is_ok_and(|embedded| embedded.manifest.id == *id)
    })
}

/// Opens only what is a regular file: opening a device may do something.
fn open(path: &Path) -> Result<File, Problem> {
    let looked_at = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => Problem::Dangling,
        io::ErrorKind::NotFound => Problem::Gone,
        _ if platform::is_link_loop(&error) => Problem::Circle,
        _ => Problem::Unreadable(error),
    })?;
    if !looked_at.is_file() {
        return Err(Problem::NotAFile { found: platform::kind_of(&looked_at) });
    }
    platform::open_without_waiting(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Gone,
        _ => Problem::Unreadable(error),
    })
}
