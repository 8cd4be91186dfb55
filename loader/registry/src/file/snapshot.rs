//! `registry.json`: what is known of plugins, for people to read, too. It is replaced as
//! a whole.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use plugbay_manifest::PluginId;
use serde::{Deserialize, Serialize};

use super::{Content, VERSION, earlier, version_of};
use crate::catalog::Catalog;
use crate::error::io_error;
use crate::place::{Identity, Place};
use crate::record::Later;
use crate::{Attempt, Event, HeldBack, PluginRecord, RegistryError, Wish, durable};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// The file's content, and which file it was read from or written to.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) catalog: Catalog,
    /// When it was begun: two that begin at different times are not the same registry.
    pub(super) begun: Option<Timestamp>,
    later: Later,
    stamp: Stamp,
    /// Open, so that no other file gets its number while that is known here.
    _file: File,
}

/// By what one sees that the file is another, or was changed: by a host, which replaces
/// it, or by an editor, which may write into it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    length: u64,
    changed: Option<SystemTime>,
}

/// A file, and what the version before kept in it besides.
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    pub(super) earlier: Option<EarlierPast>,
}

/// What version 1 had in this file, and later ones have in the journal.
#[derive(Debug, Default, Deserialize)]
pub(super) struct EarlierPast {
    #[serde(default)]
    pub(super) history: Vec<Event>,
    #[serde(default)]
    pub(super) attempts: Vec<Attempt>,
    #[serde(default)]
    pub(super) next_attempt: u64,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    begun: Option<Timestamp>,
    #[serde(default)]
    plugins: Vec<PluginRecord>,
    #[serde(default)]
    wishes: BTreeMap<PluginId, Wish>,
    #[serde(default)]
    held_back: Vec<HeldBack>,
    #[serde(flatten)]
    later: Later,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    begun: Option<Timestamp>,
    plugins: Vec<&'a PluginRecord>,
    wishes: &'a BTreeMap<PluginId, Wish>,
    held_back: Vec<&'a HeldBack>,
    #[serde(flatten)]
    later: &'a Later,
}

impl Snapshot {
    /// Reads the file.
    pub(super) fn read(place: &Place) -> Result<Content<Loaded>, RegistryError> {
        let (path, failed) = (place.file(), || io_error("read", place.file()));
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
            Err(error) => return Err(failed()(error)),
        };
        let metadata = file.metadata().map_err(failed())?;
        if metadata.len() > LONGEST {
            return Ok(Content::Damaged(format!("{} bytes are too many", metadata.len())));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed())?;
        let version = match version_of(path, &text)? {
            Ok(version) => version,
            Err(what) => return Ok(Content::Damaged(what)),
        };
        let read = || -> serde_json::Result<Loaded> {
            let mut document: Document = serde_json::from_slice(&text)?;
            document.later.remove("version");
            let earlier = match version < VERSION {
                true => Some(earlier::take_past(&mut document.later)?),
                false => None,
            };
            let snapshot = Self {
                catalog: document.catalog(),
                begun: document.begun,
                later: document.later,
                stamp: Stamp::of(&metadata),
                _file: file,
            };
            Ok(Loaded { snapshot, earlier })
        };
        Ok(read().map_or_else(|error| Content::Damaged(error.to_string()), Content::Whole))
    }

    /// Writes the first file.
    pub(super) fn begin(place: &Place) -> Result<Self, RegistryError> {
        // To the nanosecond, as a number that no other one has.
        Self::write(place, Catalog::default(), Some(Timestamp::now()), Later::new())
    }

    /// Writes the file once more. Where that fails, the one before is there.
    pub(super) fn again(self, place: &Place) -> Result<Self, RegistryError> {
        Self::write(place, self.catalog, self.begun, self.later)
    }

    fn write(
        place: &Place,
        catalog: Catalog,
        begun: Option<Timestamp>,
        later: Later,
    ) -> Result<Self, RegistryError> {
        let path = place.file();
        let written = Written {
            version: VERSION,
            begun,
            plugins: catalog.records.values().collect(),
            wishes: &catalog.wishes,
            held_back: catalog.held_back.values().collect(),
            later: &later,
        };
        let text = serde_json::to_vec_pretty(&written).map_err(io::Error::from);
        let mut text = text.map_err(io_error("write", path))?;
        text.push(b'\n');
        let file = durable::write(place, path, &text)?;
        let stamp = Stamp::of(&file.metadata().map_err(io_error("write", path))?);
        Ok(Self { catalog, begun, later, stamp, _file: file })
    }

    /// Whether the file is as it was when this was read or written.
    pub(super) fn is_current(&self, path: &Path) -> Result<bool, RegistryError> {
        match path.metadata() {
            Ok(metadata) => Ok(Stamp::of(&metadata) == self.stamp),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("read", path)(error)),
        }
    }
}

impl Document {
    fn catalog(&mut self) -> Catalog {
        let plugins = std::mem::take(&mut self.plugins).into_iter();
        let held_back = std::mem::take(&mut self.held_back).into_iter();
        Catalog {
            records: plugins.map(|record| (record.key(), record)).collect(),
            wishes: std::mem::take(&mut self.wishes),
            held_back: held_back.map(|held| (held.hash, held)).collect(),
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            length: metadata.len(),
            changed: metadata.modified().ok(),
        }
    }
}
