//! A manifest beside a library: `plugin.json`, for tools and people that do not read
//! libraries.
//!
//! It adds nothing to what the library says of itself, and grants nothing: the manifest in
//! the library is the one that counts, and a file beside it that says something else
//! refuses the library, before anything of it is loaded.
//!
//! Of `libkv.so` are `libkv.plugin.json` and `kv.plugin.json`, the latter unless there is a
//! `kv.so`; and of `kv.so` `kv.plugin.json`, and `libkv.plugin.json` unless there is a
//! `libkv.so`. Where there is neither, `plugin.json` is its manifest, if it has its id. A
//! `plugin.json` of another id refuses the library that is the only one in its folder; among
//! others it is some other's, or nobody's, which is told ([`strays`]).
//!
//! * `written`: what may stand in it;
//! * `compare`: what differs from the library;
//! * `span`: which versions a range takes.

mod compare;
mod span;
mod written;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use plugbay_config::document::{self, Limits, ReadError, Syntax, Wrong};
use plugbay_interface::manifest::{Manifest, PluginId};
use serde::de::DeserializeOwned;

use self::compare::{Difference, differences};
use self::written::{Claimed, Written};
use crate::discover::is_library_name;
use crate::error::{Explain, printable};
use crate::platform;
use crate::verify::{is_being_written, says_to_be};

/// What the file is called that belongs to the library with its id.
const SHARED: &str = "plugin.json";
/// How the names end of those that belong to the library with that name.
const NAMED: &str = ".plugin.json";
/// The largest file that is read, in bytes.
const MOST: usize = 1 << 16;
/// How deep lists and tables may be inside of each other.
const DEEPEST: usize = 4;

/// Why a manifest beside a library does not fit it, or belongs to none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BesideError {
    /// It is a folder, FIFO, socket or device. It was not opened.
    #[error("{} beside it is {found}, and no regular file", printable(.path))]
    NotAFile {
        /// The manifest.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is a link out of the folder of plugins, or one that leads nowhere.
    #[error("{} beside it is a link that leads out of the folder, or nowhere", printable(.path))]
    Elsewhere {
        /// The manifest.
        path: PathBuf,
    },
    /// The operating system does not let it be read.
    #[error("{} beside it cannot be read", printable(.path))]
    Unreadable {
        /// The manifest.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody has it open for writing.
    #[error("{} beside it is being written", printable(.path))]
    Unfinished {
        /// The manifest.
        path: PathBuf,
    },
    /// It has more bytes than are read.
    #[error("{} beside it has more than {limit} bytes", printable(.path))]
    TooLarge {
        /// The manifest.
        path: PathBuf,
        /// How many it may have.
        limit: usize,
    },
    /// Its content is no such manifest; with the place.
    #[error("{0}")]
    Wrong(Wrong),
    /// It says something else than the library.
    #[error("{} beside it differs from the library: {}", printable(.path), listed(.differences))]
    Differs {
        /// The manifest.
        path: PathBuf,
        /// Each key that differs, what it says, and what the library says.
        differences: Vec<String>,
    },
    /// No library in its folder has its name, or its id.
    #[error("{} belongs to no library in its folder: {why}", printable(.path))]
    Stray {
        /// The manifest.
        path: PathBuf,
        /// What there is not.
        why: String,
    },
}

impl BesideError {
    /// The manifest beside the library.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotAFile { path, .. }
            | Self::Elsewhere { path }
            | Self::Unreadable { path, .. }
            | Self::Unfinished { path }
            | Self::TooLarge { path, .. }
            | Self::Differs { path, .. }
            | Self::Stray { path, .. } => path,
            Self::Wrong(wrong) => wrong.file(),
        }
    }
}

impl Explain for BesideError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unfinished { .. } => "PB0223",
            Self::Differs { .. } => "PB0224",
            Self::Wrong(_) => "PB0225",
            Self::NotAFile { .. }
            | Self::Elsewhere { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge { .. } => "PB0226",
            Self::Stray { .. } => "PB0227",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Unfinished { .. } => "wait until its writer has closed it".into(),
            Self::Differs { .. } => "the library counts: correct the file beside it, or remove \
                                     it; or build the library with what the file says"
                .into(),
            Self::Wrong(wrong) => wrong.hint(),
            Self::NotAFile { .. } => "move it out of the plugins folder".into(),
            Self::Elsewhere { .. } => "put the file itself there, or remove the link".into(),
            Self::Unreadable { .. } => "see who may read it: ls -l".into(),
            Self::TooLarge { .. } => "see whether it is the right file: ls -l".into(),
            Self::Stray { .. } => "remove it, or put its library beside it".into(),
        }
    }
}

/// Whether a name says manifest beside a library. Hidden ones do not.
pub(crate) fn is_manifest_name(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    name == SHARED || (!name.starts_with('.') && name.ends_with(NAMED))
}

/// The manifest beside a library, and nothing of whether it fits; none where there is
/// none. Reads it, where it is one that the id decides about.
pub fn manifest_beside(library: &Path, id: &PluginId) -> Option<PathBuf> {
    let shared = shared_of(library).filter(|path| claimed(path).is_ok_and(|it| it == *id));
    named_for(library).into_iter().next().or(shared)
}

/// Compares what lies beside a library with what the library says.
pub(crate) fn check(library: &Path, manifest: &Manifest) -> Result<(), BesideError> {
    let named = named_for(library);
    for path in &named {
        check_one(path, manifest)?;
    }
    let Some(path) = shared_of(library).filter(|_| named.is_empty()) else { return Ok(()) };
    match claimed(&path) {
        Ok(id) if id == manifest.id => check_one(&path, manifest),
        // Some other library's, or nobody's: see `strays`.
        _ if !is_alone(library) => Ok(()),
        Ok(id) => {
            let differences = vec![Difference::of_id(&id, &manifest.id).to_string()];
            Err(BesideError::Differs { path, differences })
        }
        Err(error) => Err(error),
    }
}

/// The manifests in a folder that belong to none of its libraries, and those of which
/// nobody can tell. Where there is one library alone, they are told as what refuses it.
pub fn strays(folder: &Path) -> Vec<BesideError> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let mut manifests: Vec<_> = paths.iter().filter(|path| is_manifest_name(path)).collect();
    manifests.sort();
    let libraries: Vec<_> = paths.iter().filter(|path| is_library_name(path)).collect();
    let stray = |path: &PathBuf| -> Option<BesideError> {
        let is_shared = path.file_name().is_some_and(|name| name == SHARED);
        if !is_shared {
            let why = "there is none of its name".to_owned();
            return libraries_named(path)
                .is_empty()
                .then(|| BesideError::Stray { path: path.clone(), why });
        }
        if let [only] = libraries.as_slice()
            && named_for(only).is_empty()
        {
            return None;
        }
        let id = match claimed(path) {
            Ok(id) => id,
            Err(BesideError::Unfinished { .. }) => return None,
            Err(error) => return Some(error),
        };
        let has_it = libraries.iter().any(|library| says_to_be(library, &id));
        let why = format!("none has the id `{id}`");
        (!has_it).then(|| BesideError::Stray { path: path.clone(), why })
    };
    manifests.into_iter().filter_map(stray).collect()
}

/// The libraries that a manifest is of by its name; all in its folder that may be meant
/// where it is called `plugin.json`.
pub(crate) fn libraries_of(manifest: &Path) -> Vec<PathBuf> {
    let is_shared = manifest.file_name().is_some_and(|name| name == SHARED);
    if !is_shared {
        return libraries_named(manifest);
    }
    let Some(entries) = manifest.parent().and_then(|folder| folder.read_dir().ok()) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let libraries: Vec<_> = paths.filter(|path| is_library_name(path)).collect();
    let claimed = claimed(manifest).ok();
    if libraries.len() == 1 {
        return libraries;
    }
    let is_its = |library: &PathBuf| claimed.as_ref().is_some_and(|id| says_to_be(library, id));
    libraries.into_iter().filter(is_its).collect()
}

/// Those that are there and have this library's name.
fn named_for(library: &Path) -> Vec<PathBuf> {
    let Some(stem) = library.file_stem().and_then(|stem| stem.to_str()) else { return Vec::new() };
    let bare = stem.strip_prefix("lib").filter(|bare| !bare.is_empty());
    let other = bare.map_or_else(|| format!("lib{stem}"), str::to_owned);
    let mut stems = vec![stem];
    if !is_there(&library_called(library, &other)) {
        stems.push(&other);
    }
    let paths = stems.iter().map(|stem| library.with_file_name(format!("{stem}{NAMED}")));
    paths.filter(|path| is_there(path)).collect()
}

/// The libraries that are there and have this manifest's name.
fn libraries_named(manifest: &Path) -> Vec<PathBuf> {
    let name = manifest.file_name().and_then(|name| name.to_str());
    let Some(stem) = name.and_then(|name| name.strip_suffix(NAMED)) else { return Vec::new() };
    let own = library_called(manifest, stem);
    let bare = stem.strip_prefix("lib").filter(|bare| !bare.is_empty());
    let other = bare.map_or_else(|| format!("lib{stem}"), str::to_owned);
    let other = library_called(manifest, &other);
    let one = [own, other].into_iter().find(|library| is_there(library));
    one.into_iter().collect()
}

fn library_called(beside: &Path, stem: &str) -> PathBuf {
    beside.with_file_name(format!("{stem}.{}", platform::LIBRARY_EXTENSION))
}

/// Links that lead nowhere are there, too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn shared_of(library: &Path) -> Option<PathBuf> {
    Some(library.with_file_name(SHARED)).filter(|path| is_there(path))
}

/// Whether no other library is in its folder.
fn is_alone(library: &Path) -> bool {
    let folder = match library.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return false,
    };
    let Ok(entries) = folder.read_dir() else { return false };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut others = names.filter(|name| {
        is_library_name(Path::new(name)) && library.file_name() != Some(name.as_os_str())
    });
    others.next().is_none()
}

/// Whose it says that it is. The rest of it may be anything.
fn claimed(path: &Path) -> Result<PluginId, BesideError> {
    read::<Claimed>(path).map(|claimed| claimed.id)
}

fn check_one(path: &Path, manifest: &Manifest) -> Result<(), BesideError> {
    let differences = differences(&read::<Written>(path)?, manifest);
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.iter().map(ToString::to_string).collect();
    Err(BesideError::Differs { path: path.to_owned(), differences })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, BesideError> {
    let unreadable = |source| BesideError::Unreadable { path: path.to_owned(), source };
    if !stays_in_its_folder(path).map_err(unreadable)? {
        return Err(BesideError::Elsewhere { path: path.to_owned() });
    }
    // Opening a device may do something, and a FIFO waits.
    regular(path, &path.metadata().map_err(unreadable)?)?;
    let file = platform::open_without_waiting(path).map_err(unreadable)?;
    regular(path, &file.metadata().map_err(unreadable)?)?;
    if is_being_written(&file) {
        return Err(BesideError::Unfinished { path: path.to_owned() });
    }
    let bytes = bytes_of(&file).map_err(unreadable)?;
    let mut limits = Limits::default();
    (limits.bytes, limits.depth) = (MOST, DEEPEST);
    let document = document::parse::<T>(&bytes, Syntax::Json, path, limits);
    document.map(document::Document::into_value).map_err(|error| match error {
        ReadError::Wrong(wrong) => BesideError::Wrong(wrong.called("manifest beside it,")),
        _ => BesideError::TooLarge { path: path.to_owned(), limit: MOST },
    })
}

fn bytes_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regular(path: &Path, metadata: &std::fs::Metadata) -> Result<(), BesideError> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = platform::kind_of(metadata);
    Err(BesideError::NotAFile { path: path.to_owned(), found })
}

/// Whether what the name leads to lies where the name does. What is outside is nothing
/// that a message about plugins should quote.
fn stays_in_its_folder(path: &Path) -> io::Result<bool> {
    if !path.symlink_metadata()?.is_symlink() {
        return Ok(true);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
    let Ok(target) = path.canonicalize() else { return Ok(false) };
    Ok(target.parent() == Some(&folder))
}

fn listed(differences: &[String]) -> String {
    differences.join("; ")
}

#[cfg(test)]
mod tests;
