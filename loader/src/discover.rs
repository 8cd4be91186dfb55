use std::io;
use std::path::{Path, PathBuf};

use crate::beside;
use crate::error::{Explain, printable, quoted};
use crate::platform;

/// A file in a plugins folder whose name says library. Nothing of it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Which folder it is from: 0 for the first, which has precedence.
    rank: usize,
    path: PathBuf,
}

impl Candidate {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn known_as(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }
}

/// What [`discover`] found.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Files to verify, by folder and then by name.
    pub candidates: Vec<Candidate>,
    /// Folders that could not be read.
    pub problems: Vec<DiscoverError>,
}

/// A folder that could not be searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// There is no such folder.
    #[error("the folder {} does not exist", printable(.path))]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It is something else than a folder.
    #[error("{} is not a folder", printable(.path))]
    NotAFolder {
        /// What was given as a folder.
        path: PathBuf,
    },
    /// Every user of the machine may put files into it.
    #[error(
        "everyone on this machine may write to the folder {} (mode {mode:04o})", printable(.path)
    )]
    WorldWritable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who may put files into it.
    #[error("the folder {} belongs to another user (uid {owner})", printable(.path))]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The user that it belongs to.
        owner: u32,
    },
    /// The operating system does not let this process list it.
    #[error("the folder {} cannot be listed", printable(.path))]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DiscoverError {
    /// The folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::NotAFolder { path }
            | Self::WorldWritable { path, .. }
            | Self::Foreign { path, .. }
            | Self::Unreadable { path, .. } => path,
        }
    }
}

impl Explain for DiscoverError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "PB0101",
            Self::NotAFolder { .. } => "PB0102",
            Self::WorldWritable { .. } => "PB0103",
            Self::Unreadable { .. } => "PB0104",
            Self::Foreign { .. } => "PB0105",
        }
    }

    fn hint(&self) -> String {
        let path = quoted(self.path()).unwrap_or_else(|| "FOLDER".into());
        match self {
            Self::Missing { .. } => format!("make it with: mkdir -p {path}"),
            Self::NotAFolder { .. } => "name the folder that the plugins lie in".into(),
            Self::WorldWritable { .. } => {
                format!(
                    "take the right away with: chmod o-w {path}, or allow it on purpose \
                     (allow_world_writable)"
                )
            }
            Self::Foreign { .. } => format!(
                "name a folder of your own, take it over with: chown -R \"$USER\" {path}, or \
                 allow it on purpose (allow_world_writable)"
            ),
            Self::Unreadable { .. } => {
                "give this user the right to read and enter the folder".into()
            }
        }
    }
}

/// Lists the files in `folders` whose names say library: the platform's
/// extension (`.so`), not hidden. Folders that come first have precedence; one
/// that is named twice counts once. Does file I/O, opens no file.
///
/// A folder that everyone may write to, or that belongs to another user than
/// this one and root, is taken only with `allow_world_writable`. A sticky one (as
/// `/tmp`) is taken: nobody can replace another's files in it, and files of other
/// users are refused by themselves.
pub fn discover(folders: &[PathBuf], allow_world_writable: bool) -> Discovered {
    let mut found = Discovered::default();
    let mut seen = Vec::new();
    for folder in folders {
        let identity = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if seen.contains(&identity) {
            continue;
        }
        match list(folder, allow_world_writable) {
            Ok(paths) => {
                let rank = seen.len();
                found.candidates.extend(paths.into_iter().map(|path| Candidate { rank, path }));
            }
            Err(problem) => found.problems.push(problem),
        }
        seen.push(identity);
    }
    found
}

/// One file of [`discover`]'s, which may be there or not; none where discover
/// would not list it, because of its name or its folder. Looks at the folder alone.
pub(crate) fn discover_one(
    path: &Path,
    folders: &[PathBuf],
    allow_world_writable: bool,
) -> Result<Option<Candidate>, DiscoverError> {
    let mut seen = Vec::new();
    for folder in folders {
        let identity = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if seen.contains(&identity) {
            continue;
        }
        if path.parent() == Some(folder) && is_library_name(path) {
            look_at_folder(folder, allow_world_writable)?;
            return Ok(Some(Candidate { rank: seen.len(), path: path.to_owned() }));
        }
        seen.push(identity);
    }
    Ok(None)
}

/// The candidate for one named file, whatever its name. Does no I/O.
pub fn discover_file(path: impl Into<PathBuf>) -> Candidate {
    Candidate { rank: 0, path: path.into() }
}

fn unreadable(folder: &Path, source: io::Error) -> DiscoverError {
    let path = folder.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => DiscoverError::Missing { path },
        io::ErrorKind::NotADirectory => DiscoverError::NotAFolder { path },
        _ => DiscoverError::Unreadable { path, source },
    }
}

/// Whether files are taken from it at all.
fn look_at_folder(folder: &Path, allow_world_writable: bool) -> Result<(), DiscoverError> {
    let path = || folder.to_owned();
    let unreadable = |source| unreadable(folder, source);
    let metadata = folder.metadata().map_err(unreadable)?;
    if !metadata.is_dir() {
        return Err(DiscoverError::NotAFolder { path: path() });
    }
    if let Some(mode) = platform::writable_by_everyone(&metadata)
        && !allow_world_writable
        && !platform::is_sticky(&metadata)
    {
        return Err(DiscoverError::WorldWritable { path: path(), mode });
    }
    if let Some(owner) = platform::foreign_owner(&metadata)
        && !allow_world_writable
    {
        return Err(DiscoverError::Foreign { path: path(), owner });
    }
    Ok(())
}

fn list(folder: &Path, allow_world_writable: bool) -> Result<Vec<PathBuf>, DiscoverError> {
    look_at_folder(folder, allow_world_writable)?;
    let unreadable = |source| unreadable(folder, source);
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_library_name(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Whether something at this name changes what plugins there are: a library's, or that of a
/// manifest beside one.
pub(crate) fn is_watched_name(path: &Path) -> bool {
    is_library_name(path) || beside::is_manifest_name(path)
}

/// Whether a name says library: the platform's extension, not hidden.
pub(crate) fn is_library_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == platform::LIBRARY_EXTENSION)
}
