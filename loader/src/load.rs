//! Maps a library and takes its ABI root, after comparing it with this host's.

use std::mem::size_of;
use std::path::Path;

use plugbay_interface::abi::abi_stable::StableAbi;
use plugbay_interface::abi::abi_stable::abi_stability::abi_checking::{
    AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use plugbay_interface::abi::abi_stable::library::{AbiHeader, LibHeader};
use plugbay_interface::abi::abi_stable::type_layout::TypeLayout;
use plugbay_interface::abi::{ROOT_SYMBOL, RootRef};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::close::Mapped;
use crate::error::{Explain, shown_word};
use crate::footprint::watch_this_thread;
use crate::platform::Library;
use crate::probe::{Compared, Probed};
use crate::resolve::Resolved;

/// A mapped library with an ABI root that this host understands, and with this
/// host's hooks.
pub(crate) struct Loaded {
    pub(crate) mapped: Mapped,
    pub(crate) root: RootRef,
}

/// Why a library could not be loaded. Data, so that it can come from a child
/// process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LoadError {
    /// The dynamic linker refused it.
    #[error("the system's loader refused it: {}", shown_word(.said))]
    Open {
        /// What it said.
        said: String,
    },
    /// There is no ABI root, although the file has the symbol.
    #[error("the library has no ABI root")]
    Root,
    /// Another abi_stable.
    #[error("built with another abi_stable than this host (0.11)")]
    AbiStable,
    /// The root's version is no version, or another major one.
    #[error("the ABI root has version {}, this host has {expected}", shown_word(.found))]
    Version {
        /// The host's interface.
        expected: String,
        /// The library's.
        found: String,
    },
    /// The types that cross are laid out otherwise.
    #[error(
        "its types are laid out otherwise than this host's, although both say interface {major}"
    )]
    Layout {
        /// The major version that both have.
        major: u64,
        /// What differs, at length.
        details: String,
    },
    /// The root's constructor failed.
    #[error("its ABI root cannot be made: {}", shown_word(.said))]
    Construct {
        /// What went wrong.
        said: String,
    },
}

impl LoadError {
    /// The long story, for a verbose mode.
    pub fn details(&self) -> Option<&str> {
        match self {
            Self::Layout { details, .. } => Some(details),
            _ => None,
        }
    }
}

impl Explain for LoadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "PB0501",
            Self::Root => "PB0502",
            Self::AbiStable => "PB0503",
            Self::Version { .. } => "PB0504",
            Self::Layout { .. } => "PB0505",
            Self::Construct { .. } => "PB0506",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Open { said } if said.contains("failed to map segment") => {
                "the cache folder lies on a file system mounted noexec, or memory is short: \
                 host-app doctor; name another folder with XDG_CACHE_HOME"
                    .into()
            }
            Self::Open { .. } => {
                "install the library that it names, or build the plugin on a system as old as \
                 this one"
                    .into()
            }
            _ => format!(
                "build the plugin again with plugbay-interface {}",
                plugbay_interface::VERSION
            ),
        }
    }
}

/// Maps the private copy of a plugin that may be mapped.
pub(crate) fn load(resolved: Resolved, probed: Probed) -> Result<Loaded, LoadError> {
    let verified = resolved.into_verified();
    // Its constructors run before it has hooks.
    watch_this_thread();
    // SAFETY: the path is the private copy that was verified, and a `Probed`
    // says that it survived the same in a child process or that the host's
    // author wants to go without.
    let (library, root) = unsafe { open_root(verified.copy_path(), probed.compared) }?;
    Ok(Loaded { mapped: Mapped::new(library, verified.into_snapshot(), root), root })
}

/// Maps a library and takes its root, after comparing its layout unless that was done
/// with the same bytes.
///
/// # Safety
///
/// As for [`Library::open`]. The root is valid as long as the library is mapped.
pub(crate) unsafe fn open_root(
    path: &Path,
    compared: Option<Compared>,
) -> Result<(Library, RootRef), LoadError> {
    // SAFETY: the caller's promise.
    let library = unsafe { Library::open(path) }.map_err(|said| LoadError::Open { said })?;
    match root_of(&library, compared) {
        Ok(root) => Ok((library, root)),
        // Its constructors have run and may have left something behind, so it
        // stays mapped (dropping the library keeps it).
        Err(error) => Err(error),
    }
}

fn root_of(library: &Library, compared: Option<Compared>) -> Result<RootRef, LoadError> {
    let address = library.address_of(ROOT_SYMBOL).ok_or(LoadError::Root)?;
    let header = address.cast::<AbiHeader>();
    if header.is_null() || !header.is_aligned() || size_of::<AbiHeader>() == 0 {
        return Err(LoadError::Root);
    }
    // SAFETY: the symbol is a data symbol of a mapped library, aligned, and the
    // header is plain integers, so any bytes are a value. (image.rs: the symbol
    // is a definition in the file that was verified.)
    let abi = unsafe { &*header };
    if !abi.is_valid() {
        return Err(LoadError::AbiStable);
    }
    // SAFETY: the magic string and version say that an abi_stable of this
    // version wrote the `LibHeader` that begins with this header.
    let header: &'static LibHeader = unsafe { &*address.cast::<LibHeader>() };
    let found = header.version_strings().version.as_str().to_owned();
    let expected = plugbay_interface::VERSION;
    let (Ok(theirs), Ok(ours)) = (Version::parse(&found), Version::parse(expected)) else {
        return Err(LoadError::Version { expected: expected.into(), found });
    };
    if theirs.major != ours.major {
        return Err(LoadError::Version { expected: expected.into(), found });
    }
    if compared.is_none() {
        check_layout(header, &theirs, &ours)?;
    }
    // SAFETY: the layout was checked just above, or by a worker that loaded the same
    // bytes and has the same types.
    unsafe { header.init_root_module_with_unchecked_layout::<RootRef>() }
        .map_err(|error| LoadError::Construct { said: error.to_string() })
}

/// abi_stable's check wants the second side to have at least what the first
/// has, so the older interface goes first.
///
/// The globals are made for each check and dropped after it: the process-wide
/// ones keep pointers into the library, which is unmapped one day.
fn check_layout(header: &LibHeader, theirs: &Version, ours: &Version) -> Result<(), LoadError> {
    let layout_error = |details| LoadError::Layout { major: ours.major, details };
    let Some(plugin) = header.layout() else {
        return Err(layout_error("the library carries no layout".into()));
    };
    let host = <RootRef as StableAbi>::LAYOUT;
    let (older, newer) = if theirs < ours { (plugin, host) } else { (host, plugin) };
    compare(older, newer).map_err(|errors| {
        // To text at once: the errors point into the library.
        let mut details = errors.to_string();
        details.truncate(details.floor_char_boundary(16 * 1024));
        layout_error(details)
    })
}

fn compare(
    older: &'static TypeLayout,
    newer: &'static TypeLayout,
) -> Result<(), AbiInstabilityErrors> {
    check_layout_compatibility_with_globals(older, newer, &CheckingGlobals::new())
}

/// Does once what a comparison does, in a process that was just forked: the next one
/// finds the memory and the code that it needs in place.
pub(crate) fn rehearse() {
    let host = <RootRef as StableAbi>::LAYOUT;
    let _ = compare(host, host);
}
